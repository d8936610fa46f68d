"""The stream's backend when gateway and stream share a process: everything is asked directly."""

from collections.abc import Callable, Mapping
from math import ceil

from structlog.typing import FilteringBoundLogger

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.market_views import AccountView, account_view
from fxsocket_server.gateway.messages import MarketState, market_state
from fxsocket_server.gateway.reads import list_positions
from fxsocket_server.gateway.trades import TRADES
from fxsocket_server.model.account import Account
from fxsocket_server.model.candle import Candle
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.server_time import ServerZone
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.security.keys import Keyring
from fxsocket_server.security.principal import Principal
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.stream.backend import Command, Page, PositionsNow, StreamAccount


class LinkedView:
    """A linked account of this process."""

    __slots__ = ("_linked",)

    def __init__(self, linked: LinkedAccount) -> None:
        self._linked = linked

    @property
    def account(self) -> Account:
        """The account as it was linked."""
        return self._linked.account

    @property
    def status(self) -> AccountStatus:
        """Whether its terminal is there."""
        return self._linked.status

    @property
    def error(self) -> str | None:
        """Why its terminal is not there; None while it is."""
        return self._linked.error

    @property
    def epoch(self) -> str | None:
        """Its log's epoch; None while its terminal was never here."""
        return None if self._linked.lane is None else self._linked.lane.book.epoch

    @property
    def head(self) -> int | None:
        """The last published event; None while its terminal was never here."""
        return None if self._linked.lane is None else self._linked.lane.published_seq

    def specs(self) -> Mapping[str, SymbolSpec]:
        """Its symbols, by name."""
        return {} if self._linked.lane is None else self._linked.lane.connector.specs()

    def quote(self, symbol: str) -> Quote | None:
        """A symbol's newest price, or None before the first."""
        return None if self._linked.lane is None else self._linked.lane.connector.quote(symbol)

    def market(self, symbol: str) -> MarketState:
        """Whether a symbol may be traded now."""
        connector = self._lane.connector
        return market_state(connector.specs()[symbol], connector)

    def time_ms(self) -> int:
        """The broker clock: the wall clock, or the newest tick of a replay."""
        return self._lane.connector.time_ms()

    @property
    def zone(self) -> ServerZone:
        """The wall clock of the broker's server, by which candles begin."""
        return _market_of(self._linked).zone

    @property
    def _lane(self) -> Lane:
        if self._linked.lane is None:
            raise LookupError(f"account {self._linked.account.id} has no lane yet")
        return self._linked.lane


def _market_of(linked: LinkedAccount) -> MarketData:
    if linked.market is None:
        raise Problem("unavailable", "the account has no prices yet", retry_after_s=1)
    return linked.market


class GatewayBackend:
    """Answers the stream from the gateway itself."""

    def __init__(
        self,
        gateway: Gateway,
        keyring: Keyring,
        requests: RateLimiter,
        risk_reducing: RateLimiter,
        logger: FilteringBoundLogger,
    ) -> None:
        self._gateway = gateway
        self._keyring = keyring
        self._requests = requests
        self._risk_reducing = risk_reducing
        self._log = logger

    # --- who asks, and about what ------------------------------------------------------------

    def authenticate(self, secret: str) -> Principal:
        """The principal of a key; raises `unauthorized`."""
        return self._keyring.authenticate(secret)

    def current(self, principal: Principal) -> Principal | None:
        """Who somebody authenticated is now; None when its secret is void."""
        return self._keyring.current(principal)

    def visible(self, principal: Principal) -> list[StreamAccount]:
        """The accounts that a key may see, oldest first."""
        return [LinkedView(linked) for linked in self._gateway.visible(principal)]

    def choose(self, principal: Principal, account_id: str | None) -> StreamAccount:
        """The account that a frame means; raises `not_found` and `account_required`."""
        return LinkedView(self._gateway.choose(principal, account_id))

    def live(self, principal: Principal, account_id: str | None) -> StreamAccount:
        """The same; raises `unavailable` too, while the account has no terminal."""
        return self.account(self._gateway.lane(principal, account_id).account.id)

    def account(self, account_id: str) -> StreamAccount:
        """An account that has published; raises LookupError."""
        return LinkedView(self._gateway.has_published(account_id))

    # --- events ------------------------------------------------------------------------------

    def read_events(
        self, account_id: str, after: int, limit: int, then: Callable[[Page | None], None]
    ) -> None:
        """Give `then` the committed events above `after`, in order; None if unreadable."""
        try:
            page = self._gateway.journal.events(account_id, after, limit)
        # tidy: broad-except because whatever a disk does, the client is asked to come again
        except Exception as error:
            self._log.error("event log unreadable", account_id=account_id, exc_info=error)
            then(None)
        else:
            then(page)

    # --- what an account shows ---------------------------------------------------------------

    def read_candle(
        self,
        account_id: str,
        symbol: str,
        timeframe: Timeframe,
        then: Callable[[Candle | None], None],
    ) -> None:
        """Give `then` the candle that the newest tick fell into; None before the first."""
        then(_market_of(self._gateway.has_published(account_id)).live_candle(symbol, timeframe))

    async def positions(self, account_id: str) -> PositionsNow:
        """The open positions, all that they tell being durable; raises Problem."""
        lane = self._live_lane(account_id)
        now = PositionsNow(lane.book.epoch, lane.book.head_seq, list_positions(lane))
        await lane.settled()
        return now

    async def figures(self, account_id: str) -> AccountView:
        """The account with its money of now, likewise; raises Problem."""
        lane, linked = self._live_lane(account_id), self._gateway.accounts[account_id]
        view = account_view(
            linked.account, linked.status, lane.connector, lane.connector.figures(),
            is_halted=lane.risk.state.halted is not None,
        )  # fmt: skip
        await lane.settled()
        return view

    def _live_lane(self, account_id: str) -> Lane:
        linked = self._gateway.accounts.get(account_id)
        if linked is None or linked.lane is None:
            raise Problem("unavailable", f"account {account_id} has no terminal", retry_after_s=5)
        return linked.lane

    # --- trade commands ----------------------------------------------------------------------

    def new_request_id(self) -> str:
        """An id for a command."""
        return self._gateway.ids.make("req_")

    async def run(self, principal: Principal, command: Command) -> Answer:
        """Run a trade command under the key's bucket, the one that REST counts it in, too."""
        trade = TRADES[command.name]
        self._count(principal, self._risk_reducing if trade.reduces_risk else self._requests)
        lane = self._gateway.lane(principal, command.account_id)
        return await trade.run(
            self._gateway, lane, command.subject_id, command.body, command.sender
        )

    def _count(self, principal: Principal, limiter: RateLimiter) -> None:
        verdict = limiter.take(principal.key_id, self._gateway.clock.monotonic_ms())
        if not verdict.allowed:
            raise Problem(
                "rate_limited",
                f"more than {limiter.per_s:g} requests a second",
                retry_after_s=ceil(verdict.reset_s),
            )
