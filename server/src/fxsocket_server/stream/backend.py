"""What the stream asks of the gateway: one narrow port, within a process or across two.

Each member is one of two kinds. A COPY is answered at once: in the gateway's process from its own
state, elsewhere from what messages on the bus keep up to date. What is ASKED may cross a process:
the answer comes later, and in the order of the bus, so that nothing which was published after an
answer was made arrives before it.

The stream listens to these topics of the bus: ticks.*, events.*, terminal.*, market.*, keys.* and
bus.link (`gateway.messages` says what they carry).
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.gateway import Sender
from fxsocket_server.gateway.market_views import AccountView
from fxsocket_server.gateway.messages import MarketState
from fxsocket_server.gateway.views import PositionView
from fxsocket_server.model.account import Account
from fxsocket_server.model.candle import Candle
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.server_time import ServerZone
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.security.principal import Principal

Page = list[Event]


class StreamAccount(Protocol):
    """One account as the stream sees it, all of it COPY; read it anew in each turn."""

    @property
    def account(self) -> Account:
        """The account as it was linked."""
        ...

    @property
    def status(self) -> AccountStatus:
        """Whether its terminal is there."""
        ...

    @property
    def error(self) -> str | None:
        """Why its terminal is not there; None while it is."""
        ...

    @property
    def epoch(self) -> str | None:
        """Its log's epoch; None while its terminal was never here."""
        ...

    @property
    def head(self) -> int | None:
        """The last published event; None while its terminal was never here."""
        ...

    def specs(self) -> Mapping[str, SymbolSpec]:
        """Its symbols, by name."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """A symbol's newest price, or None before the first."""
        ...

    def market(self, symbol: str) -> MarketState:
        """Whether a symbol may be traded now; kept up by market.*."""
        ...

    def time_ms(self) -> int:
        """The broker clock: the wall clock, or the newest tick of a replay."""
        ...

    @property
    def zone(self) -> ServerZone:
        """The wall clock of the broker's server, by which candles begin."""
        ...


class PositionsNow(Struct, frozen=True):
    """Open positions, and the last event that is in them."""

    epoch: str
    head: int
    rows: list[PositionView]


class Command(Struct, frozen=True, kw_only=True):
    """A trade command; `body` is the struct that the gateway decodes such a request into.

    `subject_id` names what is changed or closed, "" where the command makes something new.
    """

    name: str
    account_id: str
    subject_id: str = ""
    body: Struct
    sender: Sender


class Backend(Protocol):
    """The gateway behind the stream."""

    def authenticate(self, secret: str) -> Principal:
        """COPY, kept up by keys.*: the principal of a key; raises `unauthorized`."""
        ...

    def current(self, principal: Principal) -> Principal | None:
        """COPY, likewise: who somebody authenticated is now; None when its secret is void."""
        ...

    def visible(self, principal: Principal) -> list[StreamAccount]:
        """COPY: the accounts that a key may see, oldest first."""
        ...

    def choose(self, principal: Principal, account_id: str | None) -> StreamAccount:
        """COPY: the account that a frame means; raises `not_found` and `account_required`."""
        ...

    def live(self, principal: Principal, account_id: str | None) -> StreamAccount:
        """COPY: the same; raises `unavailable` too, while the account has no terminal."""
        ...

    def account(self, account_id: str) -> StreamAccount:
        """COPY: an account that has published; raises LookupError."""
        ...

    def read_events(
        self, account_id: str, after: int, limit: int, then: Callable[[Page | None], None]
    ) -> None:
        """ASKED: give `then` the committed events above `after`, in order; None if unreadable."""
        ...

    def read_candle(
        self,
        account_id: str,
        symbol: str,
        timeframe: Timeframe,
        then: Callable[[Candle | None], None],
    ) -> None:
        """ASKED: give `then` the candle that the newest tick fell into; None before the first."""
        ...

    async def positions(self, account_id: str) -> PositionsNow:
        """ASKED: the open positions, all that they tell being durable; raises Problem."""
        ...

    async def figures(self, account_id: str) -> AccountView:
        """ASKED: the account with its money of now, likewise; raises Problem."""
        ...

    async def run(self, principal: Principal, command: Command) -> Answer:
        """ASKED: run a trade command under the key's trade bucket; raises Problem.

        Who calls has checked the key's scope. The delivery of the sender is told what became of
        the answer.
        """
        ...

    def new_request_id(self) -> str:
        """An id for a command, made where it is called."""
        ...
