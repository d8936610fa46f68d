"""A whole REST server in this process, on a real socket, whose market and clock stand still.

Everything is the product's own but three things: the clock moves when `advance` is called, prices
move when they are set, and a far terminal answers when it is told to.
"""

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Container, Coroutine
from itertools import count as _count
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from msgspec.structs import replace

from fxsocket_server.api.app import build_app
from fxsocket_server.api.context import Context
from fxsocket_server.api.protocol import ConnectionBounds
from fxsocket_server.api.server import RestServer
from fxsocket_server.bootstrap.accounts import ServerProfiles, load_profile, new_account
from fxsocket_server.bootstrap.crash import never
from fxsocket_server.bootstrap.running import Accounts
from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.broker.profile import Profile
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.bridge.listener import Peer
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.connectors.sim.feeds import FeedTick
from fxsocket_server.core import limits
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.gateway.accounts.manage import AccountManager
from fxsocket_server.gateway.accounts.passwords import Passwords
from fxsocket_server.gateway.accounts.registry import AccountRegistry
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.keys.records import Records
from fxsocket_server.gateway.keys.service import Keys, Minting
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.ports import Capabilities, FactSink, Unreachable
from fxsocket_server.gateway.risk.guard import RuleBook
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.model.facts import Lookup, LookupState, Report, TradeRequest
from fxsocket_server.model.units import fixed_of
from fxsocket_server.security.key_format import digest_of, mint_secret
from fxsocket_server.security.keys import ApiKey, Keyring
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.security.vault import Vault
from fxsocket_server.settings import Settings
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.history.bundled import BundledHistory
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.storage.key_files import KeyFiles
from fxsocket_server.workers.risk import Rules

T = TypeVar("T")

WATCHDOG_S = 30
MONDAY_MS = 1_767_571_200_000  # 2026-01-05 00:00 UTC, two hours into the broker's day
PEPPER = b"p" * 32
USER = "usr_test"
ACCOUNTS_MAX = 1_000
PRICES = {
    "EURUSD": (108_340, 108_350),
    "GBPUSD": (127_000, 127_012),
    "USDJPY": (151_000, 151_010),
    "XAUUSD": (265_000, 265_020),
    "BTCUSD": (6_500_000, 6_500_300),
    "WS30": (42_000, 42_002),
}


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on an event loop of its own."""

    @functools.wraps(test)
    def run(*fixtures: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*fixtures, **named), WATCHDOG_S))

    return run


class StillFeed:
    """A market that opens at given prices and stands there until one is set."""

    lossless = False
    waits_for_reader = False
    recorded = False

    def __init__(self, clock: ManualClock, symbols: Container[str] = PRICES) -> None:
        self._clock = clock
        self._symbols = symbols

    def opening(self) -> list[tuple[str, int, int]]:
        """The opening prices of those symbols that the broker has."""
        return [(name, *prices) for name, prices in PRICES.items() if name in self._symbols]

    def next(self) -> FeedTick | None:
        """No tick comes by itself."""
        return None

    def set_price(self, symbol: str, bid: int, ask: int) -> bool:
        """Any price may be set."""
        return True

    def now_ms(self) -> int:
        """The world's clock."""
        return self._clock.wall_ms()

    def delivered(self, time_ms: int) -> None:
        """Nothing to do."""

    def checkpoint(self) -> bytes | None:
        """Nothing to keep."""
        return None


class OpenGate:
    """A feed gate without readers: nothing is ever held back."""

    def held(self, account_id: str, lossless: bool) -> bool:
        """Never."""
        return False

    async def wait(self, account_id: str, lossless: bool) -> None:
        """At once."""

    async def first_reader(self, account_id: str) -> None:
        """At once."""


class FarConnector(SimConnector):
    """A terminal outside the process: takes a request, reports at once or (`silent`) when told."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.silent = False
        self.away = False
        self.taken: list[tuple[str, TradeRequest]] = []
        self.results: dict[str, Report] = {}  # by tag: the terminal's own journal

    async def start(self, sink: FactSink) -> None:
        """Come, and show the prices."""
        await sink.on_terminal(True, "a test's terminal")
        await super().start(sink)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the simulated broker, but for where it stands."""
        return replace(super().capabilities, in_process=False)

    def hand_over(self, request: TradeRequest) -> Report | None:
        """Take a request."""
        self.taken.append((request.command_id, request))
        return None if self.silent else self.execute(request)

    def execute(self, request: TradeRequest) -> Report:
        """What the broker says to a request that was taken."""
        report = super().hand_over(request)
        assert report is not None
        self.results[request.tag] = report
        return report

    async def lookup(self, tag: str, since_ms: int) -> Lookup:
        """What the terminal's journal says."""
        if self.away:
            raise Unreachable("a test's terminal is away")
        if tag in self.results:
            return Lookup(state=LookupState.DONE, report=self.results[tag])
        if any(request.tag == tag for _, request in self.taken):
            return Lookup(state=LookupState.STARTED)
        return Lookup(state=LookupState.NONE)


class Spy:
    """Counts the calls of a method while it is entered, so that a test can wait for them."""

    def __init__(
        self, owner: object, name: str, when: Callable[..., bool] = lambda *_, **__: True
    ) -> None:
        """`when` says of a call's arguments whether it counts."""
        self._owner = owner
        self._name = name
        self._when = when
        self._called = threading.Condition()
        self.count = 0

    def wait_for(self, count: int) -> None:
        """Return once the method was called so many times."""
        with self._called:
            assert self._called.wait_for(lambda: self.count >= count, WATCHDOG_S)

    def __enter__(self) -> "Spy":
        method = getattr(self._owner, self._name)
        self._own = vars(self._owner).get(self._name)

        def watched(*args: Any, **named: Any) -> Any:
            with self._called:
                self.count += self._when(*args, **named)
                self._called.notify_all()
            return method(*args, **named)

        setattr(self._owner, self._name, watched)
        return self

    def __exit__(self, *error: object) -> None:
        if self._own is None:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._own)


class StillAccounts(Accounts):
    """The product's own way to run accounts, on markets that stand still."""

    def _connector(
        self, account: Account, profile: Profile, recorded: list[Any], state: AccountState
    ) -> SimConnector:
        terms = profile.terms(currency=account.currency, leverage=account.leverage)
        clock = self._gateway.clock
        assert isinstance(clock, ManualClock)
        feed = StillFeed(clock, profile.symbols)
        connector = SimConnector(account.id, terms, profile.symbols, feed, OpenGate())
        connector.rebuild(state)
        return connector


class World:
    """A running REST server with one simulated account; `close` ends it."""

    def __init__(
        self,
        folder: Path,
        start_ms: int = MONDAY_MS,
        bounds: ConnectionBounds | None = None,
    ) -> None:
        self.clock = ManualClock(start_ms)
        self.ids = IdFactory(SplitMix64(7).bytes, self.clock.wall_ms)
        self.not_ready: str | None = None
        self.failures: list[Any] = []
        self._folder = folder
        self._bounds = bounds
        self.journal_path = folder / "journal.db"
        self._numbers = _count(1)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="world")
        self._thread.start()
        self.run(self._start())
        self.account = self.add_account()

    async def _start(self) -> None:
        self.journal = SqliteJournal(self.journal_path, asyncio.get_running_loop())
        self.store = AppStore(f"sqlite:///{self._folder / 'app.db'}")
        self.bus = InProcessBus(lambda topic, error: self.failures.append(error))
        keys, self.keys_version = self.store.keys.changed_since(-1)
        self.keyring = Keyring(PEPPER, keys, self.clock.wall_ms)
        self.gateway = Gateway(self.journal, self.bus, self.clock, self.ids, BundledHistory())
        self.journal.on_failure(self._rebuild)
        self.rules = RuleBook()
        self.stored_rules = Rules(self.rules, self.store.risk_rules, self._note)
        self.keys = Keys(
            self.store.keys, self.keyring, self.bus, self.clock, self.ids,
            Minting(PEPPER, SplitMix64(8).bytes), self.gateway.kinds, self.stored_rules.reload,
        )  # fmt: skip
        self.records = Records(self.store.keys, self.clock, self.keyring, self.gateway.use)
        self.context = Context(
            gateway=self.gateway,
            keyring=self.keyring,
            clock=self.clock,
            ids=self.ids,
            requests=RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST),
            risk_reducing=RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST),
            strangers=RateLimiter(limits.UNKNOWN_PER_S, limits.UNKNOWN_BURST),
            version="1.2.3",
            spec_folder=spec_folder(),
            is_ready=lambda: self.not_ready,
            accounts=self._manager(),
            log=self._note,
            keys=self.keys,
            records=self.records,
        )
        self.rest = RestServer(build_app(self.context), "127.0.0.1", 0, bounds=self._bounds)
        await self.rest.start()

    def _manager(self) -> AccountManager:
        self.peers: dict[str, Peer] = {}
        vault = Vault(KeyFiles(self._folder, os.urandom), os.urandom)
        self.passwords = Passwords(vault, self.store)
        self.registry = AccountRegistry(
            self.store, self.passwords, ServerProfiles("standard"), ids=self.ids, clock=self.clock,
            random_bytes=os.urandom, pepper=PEPPER, accounts_max=ACCOUNTS_MAX,
        )  # fmt: skip
        self.running = StillAccounts(
            Settings(), self.gateway, self.store, OpenGate(), self.rules, self.peers, PEPPER,
            self._note,
        )  # fmt: skip
        return AccountManager(self.gateway, self.registry, self.running)

    def _note(self, *_: object, **fields: object) -> None:
        self.failures.append(fields.get("exc_info"))

    def _rebuild(self) -> None:
        for lane in self.lanes():
            lane.rebuild()

    @property
    def root(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.rest.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WATCHDOG_S)

    def do(self, work: Callable[[], T]) -> T:
        """Call a function on the server's loop, where all its state lives."""

        async def call() -> T:
            return work()

        return self.run(call())

    def close(self) -> None:
        """Stop the server and everything that it opened."""
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WATCHDOG_S)
        self._loop.close()

    async def _stop(self) -> None:
        await self.rest.stop()
        for lane in self.lanes():
            await lane.connector.stop()
        self.journal.close()
        self.store.close()

    # --- accounts and keys -------------------------------------------------------------------

    def lanes(self) -> list[Lane]:
        """The lanes of all connected accounts."""
        return [linked.lane for linked in self.gateway.accounts.values() if linked.lane]

    def lane(self, account_id: str | None = None) -> Lane:
        """An account's lane, by default the first one's."""
        lane = self.gateway.accounts[account_id or self.account].lane
        assert lane is not None
        return lane

    def add_account(
        self,
        *,
        user: str = USER,
        balance: float = 10_000,
        connected: bool = True,
        sessions: bool = False,
        kind: type[SimConnector] = SimConnector,
        currency: str = "USD",
        profile: str = "standard",
    ) -> str:
        """Open a simulated account (or only link it) and return its id."""
        settings = Settings(balance=balance, currency=currency, sessions=sessions, profile=profile)
        broker = load_profile(profile)
        number = next(self._numbers)
        account = new_account(
            settings, broker, f"acc_{number}", user, number, self.clock.wall_ms() + number
        )
        self.store.ensure_user(user, user, self.clock.wall_ms())
        self.store.add_account(account)
        if connected:
            self.run(self._connect(account, settings, broker, kind))
        else:
            self.gateway.accounts[account.id] = LinkedAccount(account, AccountStatus.DISCONNECTED)
        return account.id

    async def _connect(
        self, account: Account, settings: Settings, profile: Profile, kind: type[SimConnector]
    ) -> None:
        terms = profile.terms(
            currency=account.currency, leverage=100, sessions_apply=settings.sessions
        )
        feed = StillFeed(self.clock, profile.symbols)
        connector = kind(account.id, terms, profile.symbols, feed, OpenGate())
        state = self.journal.open_account(account.id, account.user_id, self.ids.make(""))
        connector.rebuild(state)
        lane = Lane(
            account, connector, self.journal, self.bus, self.clock, self.ids, state, never,
            lambda *_, **__: None, self.rules,
        )  # fmt: skip
        market = MarketData(lane, self.bus, self.gateway.history, profile.zone)
        self.gateway.accounts[account.id] = LinkedAccount(
            account, AccountStatus.CONNECTED, lane, market, connector
        )
        amount = fixed_of(settings.balance, account.money_digits)
        now = connector.time_ms()
        await lane.on_facts(connector.broker.deposit(amount, now, "Initial deposit"), now)
        await connector.start(lane)

    def add_key(
        self,
        scope: Scope = Scope.FULL,
        *,
        user: str = USER,
        accounts: tuple[str, ...] | None = None,
        default: str | None = None,
        expires_ms: int | None = None,
        **parts: Any,
    ) -> str:
        """Mint a key, store it, let it in, and return its secret."""
        secret = mint_secret(SplitMix64(next(self._numbers)).bytes)
        key = ApiKey(
            id=self.ids.make("key_"),
            user_id=user,
            name="test",
            digest=digest_of(PEPPER, secret),
            scope=scope,
            account_ids=accounts,
            default_account_id=default,
            created_ms=self.clock.wall_ms(),
            expires_ms=expires_ms,
            **parts,
        )
        self.store.keys.put(key)
        self.do(lambda: self.keyring.put(key))
        return secret

    def revoke(self, secret: str) -> None:
        """Take a key back."""
        digest = digest_of(PEPPER, secret)
        [key] = [key for key in self.store.keys.valid() if key.digest == digest]
        revoked = replace(key, revoked_ms=self.clock.wall_ms())
        self.store.keys.put(revoked)
        self.do(lambda: self.keyring.put(revoked))

    def drain(self, secret: str, limiter: RateLimiter) -> None:
        """Use up a key's bucket; it stays empty while the clock stands."""
        key_id = self.keyring.authenticate(secret).key_id
        now = self.clock.monotonic_ms()
        while limiter.take(key_id, now).allowed:
            pass
