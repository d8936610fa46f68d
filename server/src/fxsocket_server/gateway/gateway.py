"""The gateway: accounts by id, and which of them a key may use."""

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.commands import Answer, Command, fingerprint_of, wait_of
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.orders.place import PlaceOrder
from fxsocket_server.gateway.ports import Bus, FaultSwitch, History, Journal
from fxsocket_server.gateway.requests import OrderRequest, check_key, one_key
from fxsocket_server.gateway.several.plan import Composite
from fxsocket_server.gateway.several.run import run_composite
from fxsocket_server.gateway.terminal import TerminalMessage
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.security.principal import Principal
from fxsocket_server.security.usage import KeyUse


class LinkedAccount(Struct):
    """An account that this server runs, or ran: only a connected one has a lane.

    A simulated terminal has a switch for its faults.
    """

    account: Account
    status: AccountStatus
    lane: Lane | None = None
    market: MarketData | None = None
    fault_switch: FaultSwitch | None = None
    error: str | None = None


class Sender(Struct, frozen=True, kw_only=True):
    """How a trade command came in: its id, its key and how long its sender waits."""

    request_id: str
    key: str | None = None
    timeout_ms: float | None = None
    api_key_id: str = ""
    delivery: Delivery | None = None


class Gateway:
    """The use cases' front: finds the account of a request and runs commands in its lane."""

    def __init__(
        self, journal: Journal, bus: Bus, clock: Clock, ids: IdFactory, history: History
    ) -> None:
        self.journal = journal
        self.bus = bus
        self.clock = clock
        self.ids = ids
        self.history = history
        self.accounts: dict[str, LinkedAccount] = {}
        self.default_accounts: dict[str, str] = {}  # of users that have chosen one
        self._removed: dict[str, LinkedAccount] = {}  # the newest, for streams that still look
        self.use = KeyUse(clock.wall_ms)
        bus.subscribe("terminal.*", self._on_terminal)

    def remove(self, linked: LinkedAccount) -> None:
        """Know an account no more, but for streams that were sending of it."""
        self.accounts.pop(linked.account.id, None)
        self._removed[linked.account.id] = linked
        if len(self._removed) > limits.REMOVED_ACCOUNTS:
            del self._removed[next(iter(self._removed))]

    def has_published(self, account_id: str) -> LinkedAccount:
        """An account that is there, or was until lately; raises LookupError."""
        return self.accounts.get(account_id) or self._removed[account_id]

    def _on_terminal(self, message: object) -> None:
        assert isinstance(message, TerminalMessage)
        linked = self.accounts.get(message.account_id)
        if linked is not None:
            linked.status = message.status
            linked.error = None if message.status is AccountStatus.CONNECTED else message.detail

    def visible(self, principal: Principal) -> list[LinkedAccount]:
        """The accounts that a key may see, oldest first."""
        return [a for a in self.accounts.values() if self._is_visible(principal, a)]

    def _is_visible(self, principal: Principal, linked: LinkedAccount) -> bool:
        account = linked.account
        return account.user_id == principal.user_id and principal.may_see(account.id)

    def default_of(self, principal: Principal) -> str | None:
        """The account that a key means when it names none: its own, else its user's default."""
        for wanted in (principal.default_account_id, self.default_accounts.get(principal.user_id)):
            linked = self.accounts.get(wanted or "")
            if linked is not None and self._is_visible(principal, linked):
                return wanted
        return None

    def choose(self, principal: Principal, account_id: str | None) -> LinkedAccount:
        """The account that a request means.

        Raises `not_found` for an account that the key does not cover, `account_required` when none
        is named and the key has several and no default.
        """
        wanted = account_id or self.default_of(principal)
        if wanted is not None:
            linked = self.accounts.get(wanted)
            if linked is None or not self._is_visible(principal, linked):
                raise _unknown(wanted)
            return linked
        visible = self.visible(principal)
        if len(visible) == 1:
            return visible[0]
        choices = ", ".join(linked.account.id for linked in visible) or "none yet"
        raise Problem(
            "account_required",
            f"name the account with X-Account-Id or ?account_id=; this key has: {choices}",
            pointer="?account_id",
        )

    def lane(self, principal: Principal, account_id: str | None) -> Lane:
        """The lane of the account that a request means; raises `unavailable` without terminal."""
        linked = self.choose(principal, account_id)
        if linked.lane is None:
            why = f" ({linked.error})" if linked.error else ""
            raise Problem(
                "unavailable",
                f"account {linked.account.id} is {linked.status.value}{why}; nothing was sent",
                retry_after_s=5,
            )
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


def _unknown(account_id: str) -> Problem:
    return Problem("not_found", f"no account {account_id[:64]!r} for this key")
