"""Accounts whose terminals dial in: their connectors, their tokens, and what their terminals say.

An account that was only just linked has no lane: its currency and margin mode are known when its
terminal has been here once, and stored for every later start.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec.structs import replace

from fxsocket_server.connectors.bridge.connector import BridgeConnector, zone_of
from fxsocket_server.connectors.bridge.listener import Peer
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.fxb.messages import TerminalAccount
from fxsocket_server.gateway.accounts.manage import DISCONNECTED, REMOVED
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.security.connector_tokens import token_of


class Links(Protocol):
    """Where accounts and the names of their tokens are stored."""

    def connector_keys(self, account_id: str) -> list[str]:
        """The names of an account's tokens."""
        ...

    def update_account(self, account: Account) -> None:
        """Store what a terminal said of its account."""
        ...


_AWAITED = "its terminal has not dialled in yet"

MakeLane = Callable[[Account, BridgeConnector], Awaitable[Lane]]


class TerminalAccounts:
    """Links TERMINAL accounts into a gateway and lets their terminals in."""

    def __init__(
        self,
        store: Links,
        gateway: Gateway,
        peers: dict[str, Peer],
        pepper: bytes,
        clock: Clock,
        make_lane: MakeLane,
        log: Callable[..., None],
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._peers = peers
        self._pepper = pepper
        self._clock = clock
        self._make_lane = make_lane
        self._log = log
        self._connectors: dict[str, BridgeConnector] = {}

    async def link(self, account: Account) -> LinkedAccount:
        """Expect an account's terminal; one that was here before can be read at once."""
        linked = LinkedAccount(account, AccountStatus.CONNECTING, error=_AWAITED)
        self._gateway.accounts[account.id] = linked

        async def opened(told: TerminalAccount) -> None:
            await self._opened(linked, connector, told)

        def refused(why: str) -> None:
            linked.status, linked.error = AccountStatus.ERROR, why

        connector = BridgeConnector(account.id, self._clock, opened, self._log, refused)
        self._connectors[account.id] = connector
        if account.currency:
            await self._connect(linked, connector)
        if account.is_disconnected:
            self.disconnect(linked, DISCONNECTED)
        for key in self._store.connector_keys(account.id):
            token = token_of(self._pepper, key)
            self._peers[key] = Peer(token, account.login, account.server, connector)
        return linked

    def connect(self, linked: LinkedAccount) -> None:
        """Let the terminal of a disconnected account in when it dials."""
        self._connectors[linked.account.id].refusal = ""
        linked.status, linked.error = AccountStatus.CONNECTING, _AWAITED

    def disconnect(self, linked: LinkedAccount, why: str) -> None:
        """Send an account's terminal away, and refuse it until it is connected again."""
        self._connectors[linked.account.id].send_away(why)
        linked.status, linked.error = AccountStatus.DISCONNECTED, why
        if linked.lane is not None:
            linked.lane.terminal.fault = why

    def unlink(self, linked: LinkedAccount) -> None:
        """Forget an account's terminal: its tokens let nobody in any more."""
        connector = self._connectors.pop(linked.account.id)
        connector.send_away(REMOVED)
        for key, peer in tuple(self._peers.items()):
            if peer.connector is connector:
                del self._peers[key]

    async def _connect(self, linked: LinkedAccount, connector: BridgeConnector) -> None:
        linked.lane = await self._make_lane(linked.account, connector)
        await connector.start(linked.lane)

    async def _opened(
        self, linked: LinkedAccount, connector: BridgeConnector, told: TerminalAccount
    ) -> None:
        try:
            account = completed(linked.account, told)
        except Problem as problem:
            linked.status, linked.error = AccountStatus.ERROR, problem.detail
            raise
        if account != linked.account:
            self._store.update_account(account)
            linked.account = account
        if linked.lane is None:
            await self._connect(linked, connector)
        assert linked.lane is not None
        linked.lane.account = account
        if linked.market is None:
            gateway = self._gateway
            linked.market = MarketData(linked.lane, gateway.bus, gateway.history, zone_of(told))


def completed(account: Account, told: TerminalAccount) -> Account:
    """An account with what its terminal says of it.

    Problem when that is another account than was here before: its money would be in another
    currency, or its positions would add up otherwise.
    """
    fixed = (told.currency, told.money_digits, told.margin_mode)
    known = (account.currency, account.money_digits, account.margin_mode)
    if account.platform != told.platform.value or (account.currency and fixed != known):
        raise Problem(
            "validation_error",
            f"account {account.id} is {account.platform} {account.currency} "
            f"{account.margin_mode.value}, the terminal's is {told.platform.value} "
            f"{told.currency} {told.margin_mode.value}; link that one on its own",
        )
    return replace(
        account,
        broker=told.company,
        mode=told.mode,
        margin_mode=told.margin_mode,
        currency=told.currency,
        money_digits=told.money_digits,
        leverage=told.leverage,
        stop_out_level=told.stop_out_level,
        margin_call_level=told.margin_call_level,
    )
