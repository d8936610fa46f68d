"""A server as a simulated process: the product's own parts on a simulated loop, net and disk."""

import asyncio
from collections.abc import Callable
from functools import lru_cache

import msgspec
from msgspec import Struct

from fxsocket_server.api.app import build_app
from fxsocket_server.api.context import Context
from fxsocket_server.api.server import http_protocols
from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.broker.profile import Profile
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.sim.connector import SimCheckpoint, SimConnector
from fxsocket_server.connectors.sim.feeds import LiveFeed
from fxsocket_server.core import limits
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.gateway import Gateway, LinkedAccount
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.security.keys import ApiKey, Keyring, digest_of
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.settings import Settings
from fxsocket_server.storage.history.bundled import BundledHistory
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.testkit.clock import SimClock, WallClock
from fxsocket_server.testkit.disk import SimDisk
from fxsocket_server.testkit.loop import SimLoop
from fxsocket_server.testkit.net import SimTransport
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.workers.checkpoint import keep_checkpoints
from fxsocket_server.workers.equity import EquitySampler, keep_equity
from fxsocket_server.workers.settle import settle_commands
from fxsocket_server.workers.space import watch_space

HOST, PORT = "server", 8000
USER = "usr_sim"
SECRET = "sim-key"  # noqa: S105 - the key of a world that has no outside
BALANCE = 100_000_00
SYMBOLS = ("EURUSD", "USDJPY")

_PEPPER = b"p" * 32


@lru_cache(maxsize=1)
def profile() -> Profile:
    """The broker of every world."""
    return load_profile("standard")


@lru_cache(maxsize=1)
def _history() -> BundledHistory:
    return BundledHistory()


def _unacknowledged(transport: asyncio.Transport) -> int:
    assert isinstance(transport, SimTransport)
    return transport.unacknowledged()


def sim_account(number: int) -> Account:
    """The number-th simulated account."""
    return new_account(Settings(), profile(), f"acc_{number}", USER, number, number)


class Machine(Struct):
    """What outlives the process: disk, wall clock, accounts."""

    loop: SimLoop
    disk: SimDisk
    wall: WallClock
    accounts: list[Account]


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

    async def run(self, tell: Callable[[object], None], ready: asyncio.Event) -> None:
        """Open the journal, rebuild the accounts, listen; `tell` hears every event published."""
        machine = self._machine
        self._clock = SimClock(machine.loop, machine.wall, self._chance.below(10**9))
        self._ids = IdFactory(self._chance.bytes, self._clock.wall_ms)
        self.journal = machine.disk.open_journal()
        self._bus = InProcessBus(lambda topic, error: self._note(f"{topic}: {error!r}"))
        self._bus.subscribe("events.*", tell)
        self.gateway = Gateway(self.journal, self._bus, self._clock, self._ids, _history())
        self.journal.on_failure(self._rebuild)
        for account in machine.accounts:
            await self._connect(account)
        protocols = http_protocols(build_app(self._context()), _unacknowledged)
        await machine.loop.create_server(protocols, HOST, PORT)
        ready.set()
        await asyncio.gather(
            keep_checkpoints(self.lanes()),
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
            digest=digest_of(_PEPPER, SECRET),
            scope=Scope.FULL,
            account_ids=None,
            default_account_id=None,
            created_ms=0,
        )
        return Context(
            gateway=self.gateway,
            keyring=Keyring(_PEPPER, [key], self._clock.wall_ms),
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
        lane = Lane(
            account,
            connector,
            self.journal,
            self._bus,
            self._clock,
            self._ids,
            state,
            self._reach,
        )
        market = MarketData(lane, self._bus, self.gateway.history, profile().zone)
        self.gateway.accounts[account.id] = LinkedAccount(
            account, AccountStatus.CONNECTED, lane, market, connector
        )
        await lane.resume()
        if state.head_seq == 0:
            now = connector.time_ms()
            await lane.on_facts(connector.broker.deposit(BALANCE, now, "Initial deposit"), now)
        await connector.start(lane)

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
