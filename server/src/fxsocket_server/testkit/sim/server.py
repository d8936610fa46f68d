"""A server as a simulated process: the product's own parts on a simulated loop, net and disk."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import TypeGuard, cast

import msgspec
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from fxsocket_server.api.app import build_app
from fxsocket_server.api.context import Context
from fxsocket_server.api.server import http_protocols
from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.bootstrap.terminals import TerminalAccounts
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.broker.profile import Profile
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.bridge.listener import BridgeListener
from fxsocket_server.connectors.sim.connector import SimCheckpoint, SimConnector
from fxsocket_server.connectors.sim.feeds import LiveFeed
from fxsocket_server.core import limits
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
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
from fxsocket_server.stream.hub import StreamHub
from fxsocket_server.stream.in_process import GatewayBackend
from fxsocket_server.stream.server import StreamServer
from fxsocket_server.stream.unread import Unread
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
    STREAM_PORT,
    USER,
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


class Deadline(Struct, frozen=True):
    """A trade's deadline by the loop; `origin_ms` is what the server's clock had at its 0."""

    at_s: float
    origin_ms: int


class Machine(Struct):
    """What outlives the process: disk, wall clock, accounts; and who watches it.

    `tell` hears of every event that is published, `ready` is set while the server serves, and
    `handed` is told each trade that goes to a terminal, with its deadline.
    """

    loop: SimLoop
    disk: SimDisk
    wall: WallClock
    accounts: dict[str, Account]
    brokers: dict[str, Profile]
    ready: asyncio.Event
    tell: Callable[[object], None]
    handed: Callable[[str, "Deadline"], None]

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


def _unread(transport: asyncio.Transport) -> Unread:
    assert isinstance(transport, SimTransport)
    return Unread(transport.was_reset, transport.unacknowledged())


class _Log:
    """Keeps what the server would log as wrong."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def error(self, event: str, **fields: object) -> None:
        """Something that must not happen."""
        self._note(f"{event}: {fields.get('exc_info')!r}")

    def debug(self, event: str, **fields: object) -> None:
        """A client or its network misbehaves, as they are to."""


class SimServer:
    """One life of the server; `run` is its process."""

    def __init__(self, machine: Machine, chance: Chance, reach: Reach) -> None:
        self._machine = machine
        self._chance = chance
        self._reach = reach
        self.errors: list[str] = []
        self.is_built = False
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
        self.gateway = Gateway(self.journal, self._bus, self._clock, self._ids, _history())
        self._bus.subscribe("events.*", machine.tell)
        self.journal.on_failure(self._rebuild)
        self._build_access()
        self.is_built = True
        bridge = BridgeListener(HOST, BRIDGE_PORT, self._clock, self._chance.bytes)
        terminals = self._terminals(bridge)
        for account in tuple(machine.accounts.values()):
            if account.kind is AccountKind.TERMINAL:
                await terminals.link(account)
            else:
                await self._connect(account)
        await bridge.start()
        await StreamServer(self._hub, HOST, STREAM_PORT, own_net=True).start()
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

    def _build_access(self) -> None:
        """The one key, its limits, and the stream that it opens."""
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
        self._keyring = Keyring(PEPPER, [key], self._clock.wall_ms)
        self._requests = RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST)
        self._risk_reducing = RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST)
        log = cast("FilteringBoundLogger", _Log(self._note))
        backend = GatewayBackend(
            self.gateway, self._keyring, self._requests, self._risk_reducing, log
        )
        self._hub = StreamHub(backend, self._bus, self._clock, log, unread_of=_unread)

    def _context(self) -> Context:
        return Context(
            gateway=self.gateway,
            keyring=self._keyring,
            clock=self._clock,
            ids=self._ids,
            requests=self._requests,
            risk_reducing=self._risk_reducing,
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
        market = MarketData(lane, self._bus, self.gateway.history, self._broker(account).zone)
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
        at_s = (request.deadline_ms - self._origin_ms) / 1000
        self._machine.handed(request.tag, Deadline(at_s, self._origin_ms))

    def _broker(self, account: Account) -> Profile:
        return self._machine.brokers[account.id]

    def _connector(self, account: Account, state: AccountState) -> SimConnector:
        broker = self._broker(account)
        generator = PriceGenerator(broker.generators.values(), account.seed, self._clock.wall_ms())
        if state.checkpoint is not None:
            saved = msgspec.msgpack.decode(state.checkpoint, type=SimCheckpoint).feed
            if saved is not None:
                generator.restore(saved)
        terms = broker.terms(currency="USD", leverage=100, sessions_apply=False)
        feed = LiveFeed(generator, self._clock)
        connector = SimConnector(account.id, terms, broker.symbols, feed, self._hub)
        connector.rebuild(state)
        return connector

    def sim_connectors(self) -> list[SimConnector]:
        """The simulated brokers inside the server."""
        linked = self.gateway.accounts.values()
        return [a.lane.connector for a in linked if a.lane and _is_simulated(a.lane.connector)]


def _is_simulated(connector: Connector) -> TypeGuard[SimConnector]:
    return isinstance(connector, SimConnector)
