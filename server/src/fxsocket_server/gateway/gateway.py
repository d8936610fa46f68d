"""The gateway: runs the commands of its accounts, each in its account's lane."""

from msgspec import Struct

from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.commands import Answer, Command, fingerprint_of, wait_of
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.directory import Directory, no_terminal
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.orders.place import PlaceOrder
from fxsocket_server.gateway.ports import Bus, History, Journal
from fxsocket_server.gateway.requests import OrderRequest, check_key, one_key
from fxsocket_server.gateway.several.plan import Composite
from fxsocket_server.gateway.several.run import run_composite
from fxsocket_server.model.enums import AccountKind
from fxsocket_server.security.principal import Principal
from fxsocket_server.security.usage import KeyUse


class Sender(Struct, frozen=True, kw_only=True):
    """How a trade command came in: its id, its key and how long its sender waits."""

    request_id: str
    key: str | None = None
    timeout_ms: float | None = None
    api_key_id: str = ""
    delivery: Delivery | None = None


class Gateway(Directory):
    """The use cases' front: finds the account of a request and runs commands in its lane."""

    def __init__(
        self, journal: Journal, bus: Bus, clock: Clock, ids: IdFactory, history: History
    ) -> None:
        self.journal = journal
        self.bus = bus
        self.clock = clock
        self.ids = ids
        self.history = history
        super().__init__(bus)
        self.use = KeyUse(clock.wall_ms)

    def lane(self, principal: Principal, account_id: str | None) -> Lane:
        """The lane of the account that a request means; raises `unavailable` without terminal."""
        linked = self.choose(principal, account_id)
        if linked.lane is None:
            raise no_terminal(linked)
        return linked.lane

    def kinds(self, user_id: str) -> dict[str, AccountKind]:
        """What stands behind each account of a user."""
        accounts = (linked.account for linked in self.accounts.values())
        return {account.id: account.kind for account in accounts if account.user_id == user_id}

    def market(self, lane: Lane) -> MarketData:
        """The prices and candles of a lane's account."""
        market = self.accounts[lane.account.id].market
        if market is None:
            raise Problem("unavailable", "the account has no prices yet", retry_after_s=1)
        return market

    async def place(self, lane: Lane, request: OrderRequest, sender: Sender) -> Answer:
        """Place an order once; its id is made here so that the journal can name it."""
        self.use.orders(lane.account.user_id, sender.api_key_id, 1)
        key = one_key(sender.key, request.client_order_id)
        return await self.run(
            lane, "order.place", self.ids.make("ord_"), request, key, sender, PlaceOrder(request)
        )

    async def run(
        self,
        lane: Lane,
        kind: str,
        subject_id: str,
        body: object,
        key: str | None,
        sender: Sender,
        verb: Verb,
    ) -> Answer:
        """Run a trade command in its account's lane."""
        # A new order's id is no part of what was asked: a retry has another one.
        asked_of = "" if kind == "order.place" else subject_id
        fingerprint = fingerprint_of(kind, asked_of, body)
        return await lane.run(_command(kind, subject_id, fingerprint, key, sender), verb)

    async def run_composite(
        self,
        lane: Lane,
        kind: str,
        subject_id: str,
        body: object,
        sender: Sender,
        composite: Composite,
    ) -> Answer:
        """Run a command of several legs in its account's lane."""
        fingerprint = fingerprint_of(kind, subject_id, body)
        command = _command(kind, subject_id, fingerprint, sender.key, sender)
        return await run_composite(lane, command, composite)


def _command(
    kind: str, subject_id: str, fingerprint: bytes, key: str | None, sender: Sender
) -> Command:
    check_key(key)
    return Command(
        id=sender.request_id,
        kind=kind,
        subject_id=subject_id,
        fingerprint=fingerprint,
        key=key,
        wait_ms=wait_of(sender.timeout_ms),
        api_key_id=sender.api_key_id,
        delivery=sender.delivery,
    )
