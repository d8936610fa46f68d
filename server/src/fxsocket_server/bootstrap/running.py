"""Runs accounts: brings them up from the store and the journal, connects them, takes them down."""

from collections.abc import Callable
from contextlib import suppress

from fxsocket_server.bootstrap.accounts import connect_sim, load_profile
from fxsocket_server.bootstrap.crash import CrashPoint, never
from fxsocket_server.bootstrap.terminals import TerminalAccounts
from fxsocket_server.broker.profile import Profile
from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.bridge.listener import Peer
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.accounts.manage import DISCONNECTED, REMOVED
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.ports import Connector, FeedGate
from fxsocket_server.gateway.risk.guard import RuleBook
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.model.units import fixed_of
from fxsocket_server.settings import Settings, SettingsError
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.tick_files import RecordedTicks


class Accounts:
    """The running accounts of a server, whatever stands behind each."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        store: AppStore,
        gate: FeedGate,
        rules: RuleBook,
        peers: dict[str, Peer],
        pepper: bytes,
        log: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._gate = gate
        self._rules = rules
        self._log = log
        self._terminals = TerminalAccounts(
            store, gateway, peers, pepper, gateway.clock, self._terminal_lane, log
        )

    async def open(self, account: Account) -> LinkedAccount:
        """Run a stored account from now on; one that cannot be run says why as its error."""
        if account.kind is AccountKind.TERMINAL:
            return await self._terminals.link(account)
        if account.kind is AccountKind.REPLAY:
            return self._enter(account, AccountStatus.DISCONNECTED, "the replay has ended")
        try:
            profile = load_profile(account.profile)
        except SettingsError as error:
            self._log("an account cannot be opened", account_id=account.id, why=str(error))
            return self._enter(account, AccountStatus.ERROR, str(error))
        return await self.simulate(account, profile, [])

    def _enter(self, account: Account, status: AccountStatus, error: str) -> LinkedAccount:
        linked = self._gateway.accounts[account.id] = LinkedAccount(account, status, error=error)
        return linked

    async def simulate(
        self, account: Account, profile: Profile, recorded: list[RecordedTicks]
    ) -> LinkedAccount:
        """Run a simulated account on the generator's market, or on a recorded one."""
        gateway = self._gateway
        state = self._state(account)
        connector = self._connector(account, profile, recorded, state)
        lane = self._lane(account, connector, state)
        market = MarketData(lane, gateway.bus, gateway.history, profile.zone)
        linked = LinkedAccount(account, AccountStatus.CONNECTED, lane, market, connector)
        gateway.accounts[account.id] = linked
        await lane.resume()
        if state.head_seq == 0:
            await self._deposit(account, lane, connector)
        if account.is_disconnected:
            linked.status, linked.error = AccountStatus.DISCONNECTED, DISCONNECTED
            lane.terminal.stays_away(DISCONNECTED)
        else:
            await connector.start(lane)
        return linked

    def _connector(
        self, account: Account, profile: Profile, recorded: list[RecordedTicks], state: AccountState
    ) -> SimConnector:
        clock = self._gateway.clock
        return connect_sim(account, self._settings, profile, recorded, state, self._gate, clock)

    async def _deposit(self, account: Account, lane: Lane, connector: SimConnector) -> None:
        amount = account.deposit
        if amount is None:  # it was made before accounts kept this
            amount = fixed_of(self._settings.balance, account.money_digits)
        now = connector.time_ms()
        await lane.on_facts(connector.broker.deposit(amount, now, "Initial deposit"), now)

    def _state(self, account: Account) -> AccountState:
        gateway = self._gateway
        return gateway.journal.open_account(account.id, account.user_id, gateway.ids.make(""))

    def _lane(self, account: Account, connector: Connector, state: AccountState) -> Lane:
        gateway = self._gateway
        reach = CrashPoint(self._settings.crash_at) if self._settings.crash_at else never
        return Lane(
            account, connector, gateway.journal, gateway.bus, gateway.clock, gateway.ids, state,
            reach, self._log, self._rules,
        )  # fmt: skip

    async def _terminal_lane(self, account: Account, connector: BridgeConnector) -> Lane:
        lane = self._lane(account, connector, self._state(account))
        await lane.resume()
        return lane

    # --- AccountRunner -----------------------------------------------------------------------

    async def connect(self, linked: LinkedAccount) -> None:
        """Let the feed of a disconnected account run again, or its terminal in."""
        if linked.account.kind is AccountKind.TERMINAL:
            self._terminals.connect(linked)
        elif linked.lane is not None:
            await linked.lane.on_terminal(True, "")
            await linked.lane.connector.start(linked.lane)

    async def disconnect(self, linked: LinkedAccount, why: str) -> None:
        """Stop the feed of an account, or send its terminal away; what it holds stays readable."""
        if linked.account.kind is AccountKind.TERMINAL:
            self._terminals.disconnect(linked, why)
        elif linked.lane is not None:
            await linked.lane.on_terminal(False, why)
            assert isinstance(linked.lane.connector, SimConnector)
            await linked.lane.connector.pause()

    async def close(self, linked: LinkedAccount) -> None:
        """Run an account no more; the gateway does not know it any longer."""
        if linked.account.kind is AccountKind.TERMINAL:
            self._terminals.unlink(linked)
        if linked.lane is not None:
            with suppress(Problem):  # a full disk keeps nobody from removing an account
                await linked.lane.on_terminal(False, REMOVED)
            await linked.lane.connector.stop()
        self._gateway.remove(linked)
        if linked.market is not None:
            linked.market.close()
        linked.status, linked.error = AccountStatus.DISCONNECTED, REMOVED
