"""A server as a simulated process: the product's own parts on a simulated loop, net and disk."""

import asyncio
from collections.abc import Callable
from functools import lru_cache

import msgspec
from msgspec import Struct

from fxsocket_server.api.app import build_app
from fxsocket_server.api.context import Context
from fxsocket_server.api.server import http_protocols
from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.bootstrap.terminals import TerminalAccounts
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.bridge.listener import BridgeListener
from fxsocket_server.connectors.sim.connector import SimCheckpoint, SimConnector
from fxsocket_server.connectors.sim.feeds import LiveFeed
from fxsocket_server.core import limits
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.gateway import Gateway, LinkedAccount
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.ports import Connector, Reach
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.model.facts import Report, TradeRequest
from fxsocket_server.security.key_format import digest_of
from fxsocket_server.security.keys import ApiKey, Keyring
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.storage.history.bundled import BundledHistory
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.testkit.clock import SimClock, WallClock
from fxsocket_server.testkit.disk import SimDisk
from fxsocket_server.testkit.loop import SimLoop
from fxsocket_server.testkit.net import SimTransport
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.parts import (
    BRIDGE_PORT,
    HOST,
    PEPPER,
    PORT,
    SECRET,
    SYMBOLS,
    USER,
    profile,
)
from fxsocket_server.workers.checkpoint import keep_checkpoints
from fxsocket_server.workers.equity import EquitySampler, keep_equity
from fxsocket_server.workers.settle import settle_commands
from fxsocket_server.workers.space import watch_space

BALANCE = 100_000_00


@lru_cache(maxsize=1)
def _history() -> BundledHistory:
    return BundledHistory()


def _unacknowledged(transport: asyncio.Transport) -> int:
    assert isinstance(transport, SimTransport)
    return transport.unacknowledged()


class Machine(Struct):
    """What outlives the process: disk, wall clock, accounts; and who watches it.

    `tell` hears of every event that is published, `ready` is set while the server serves, and
    `handed` is told each trade that goes to a terminal, with the loop's time of its deadline.
    """

    loop: SimLoop
    disk: SimDisk
    wall: WallClock
    accounts: dict[str, Account]
    ready: asyncio.Event
    tell: Callable[[object], None]
    handed: Callable[[str, float], None]

    def connector_keys(self, account_id: str) -> list[str]:
        """The name of an account's token."""
        return [account_id]

    def update_account(self, account: Account) -> None:
        """Keep what a terminal said of its account."""
        self.accounts[account.id] = account


def _watched(connector: BridgeConnector, note: Callable[[TradeRequest], None]) -> BridgeConnector:
    """A connector whose trades are noted before they go."""
    hand_over = connector.hand_over

    def noted(request: TradeRequest) -> Report | None:
        note(request)
        return hand_over(request)

    connector.hand_over = noted  # type: ignore[method-assign]
    return connector


class OpenGate:
    """A feed gate without readers."""

    def held(self, account_id: str, lossless: bool) -> bool:
        """Never."""
        return False

    async def wait(self, account_id: str, lossless: bool) -> None:
        """At once."""

    async def first_reader(self, account_id: str) -> None:
        """At once."""


class SimServer:
    """One life of the server; `run` is its process."""

    def __init__(self, machine: Machine, chance: Chance, reach: Reach) -> None:
        self._machine = machine
        self._chance = chance
        self._reach = reach
        self.errors: list[str] = []
        self.journal: SqliteJournal
        self.gateway: Gateway

    async def run(self) -> None:
        """Open the journal, rebuild the accounts, listen, until the process dies."""
        machine = self._machine
        self._origin_ms = self._chance.below(10**9)
        self._clock = SimClock(machine.loop, machine.wall, self._origin_ms)
        self._ids = IdFactory(self._chance.bytes, self._clock.wall_ms)
        self.journal = machine.disk.open_journal()
        self._bus = InProcessBus(lambda topic, error: self._note(f"{topic}: {error!r}"))
        self._bus.subscribe("events.*", machine.tell)
        self.gateway = Gateway(self.journal, self._bus, self._clock, self._ids, _history())
        self.journal.on_failure(self._rebuild)
        bridge = BridgeListener(HOST, BRIDGE_PORT, self._clock, self._chance.bytes)
        terminals = self._terminals(bridge)
        for account in tuple(machine.accounts.values()):
            if account.kind is AccountKind.TERMINAL:
                await terminals.link(account)
            else:
                await self._connect(account)
        await bridge.start()
        protocols = http_protocols(build_app(self._context()), _unacknowledged)
        await machine.loop.create_server(protocols, HOST, PORT)
        machine.ready.set()
        await asyncio.gather(
            keep_checkpoints(self.lanes),
            settle_commands(self.lanes),
            watch_space(self.journal.check_space),
            keep_equity(EquitySampler(self.gateway)),
        )

    def _note(self, error: str) -> None:
        self.errors.append(error)

    def _rebuild(self) -> None:
        for lane in self.lanes():
            lane.rebuild()

    def lanes(self) -> list[Lane]:
        """The lanes of all accounts."""
        return [linked.lane for linked in self.gateway.accounts.values() if linked.lane]

    def _context(self) -> Context:
        key = ApiKey(
            id="key_sim",
            user_id=USER,
            name="sim",
            digest=digest_of(PEPPER, SECRET),
            scope=Scope.FULL,
            account_ids=None,
            default_account_id=None,
            created_ms=0,
        )
        return Context(
            gateway=self.gateway,
            keyring=Keyring(PEPPER, [key], self._clock.wall_ms),
            clock=self._clock,
            ids=self._ids,
            requests=RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST),
            risk_reducing=RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST),
            strangers=RateLimiter(limits.UNKNOWN_PER_S, limits.UNKNOWN_BURST),
            version="sim",
            spec_folder=spec_folder(),
            is_ready=lambda: None,
            log=lambda event, **fields: self._note(f"{event}: {fields.get('exc_info')!r}"),
        )

    async def _connect(self, account: Account) -> None:
        state = self.journal.open_account(account.id, account.user_id, self._ids.make(""))
        connector = self._connector(account, state)
        lane = self._lane(account, connector, state)
        market = MarketData(lane, self._bus, self.gateway.history, profile().zone)
        self.gateway.accounts[account.id] = LinkedAccount(
            account, AccountStatus.CONNECTED, lane, market, connector
        )
        await lane.resume()
        if state.head_seq == 0:
            now = connector.time_ms()
            await lane.on_facts(connector.broker.deposit(BALANCE, now, "Initial deposit"), now)
        await connector.start(lane)

    def _lane(self, account: Account, connector: Connector, state: AccountState) -> Lane:
        return Lane(
            account, connector, self.journal, self._bus, self._clock, self._ids, state,
            self._reach, self._alarm,
        )  # fmt: skip

    def _alarm(self, text: str, **_: object) -> None:
        """What an operator would be told: not wrong in a world where things go wrong."""
        self._reach(f"alarm {text}")

    def _terminals(self, bridge: BridgeListener) -> TerminalAccounts:
        return TerminalAccounts(
            self._machine,
            self.gateway,
            bridge.peers,
            PEPPER,
            self._clock,
            self._terminal_lane,
            self._alarm,
        )

    async def _terminal_lane(self, account: Account, connector: BridgeConnector) -> Lane:
        state = self.journal.open_account(account.id, account.user_id, self._ids.make(""))
        lane = self._lane(account, _watched(connector, self._note_trade), state)
        await lane.resume()
        return lane

    def _note_trade(self, request: TradeRequest) -> None:
        self._machine.handed(request.tag, (request.deadline_ms - self._origin_ms) / 1000)

    def _connector(self, account: Account, state: AccountState) -> SimConnector:
        generators = [profile().generators[symbol] for symbol in SYMBOLS]
        generator = PriceGenerator(generators, account.seed, self._clock.wall_ms())
        if state.checkpoint is not None:
            saved = msgspec.msgpack.decode(state.checkpoint, type=SimCheckpoint).feed
            if saved is not None:
                generator.restore(saved)
        terms = profile().terms(currency="USD", leverage=100, sessions_apply=False)
        specs = {symbol: profile().symbols[symbol] for symbol in SYMBOLS}
        feed = LiveFeed(generator, self._clock)
        connector = SimConnector(account.id, terms, specs, feed, OpenGate())
        connector.rebuild(state)
        return connector
