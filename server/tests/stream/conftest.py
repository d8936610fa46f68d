"""A stream server on loopback, in the test's own event loop, under a clock that the test moves.

The gateway, lanes, journal and simulated broker are the real ones; feeds and timers are scripted.
"""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.connectors.sim.feeds import FeedTick
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.messages import KeyMessage
from fxsocket_server.gateway.ports import FeedGate
from fxsocket_server.model.account import Account
from fxsocket_server.model.candle import Candle
from fxsocket_server.model.enums import AccountKind, AccountStatus, MarginMode
from fxsocket_server.security.key_format import digest_of
from fxsocket_server.security.keys import ApiKey, Keyring
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.hub import StreamHub
from fxsocket_server.stream.in_process import GatewayBackend
from fxsocket_server.stream.server import StreamServer

from .apart_link import Apart
from .frame_judge import FrameJudge

WATCHDOG_S = 30
PEPPER = b"pepper" * 6
PROFILE_PATH = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(PROFILE_PATH.read_text(encoding="utf-8"), PROFILE_PATH.name)
OPENING = [("EURUSD", 108_340, 108_348), ("GBPUSD", 127_000, 127_010), ("WS30", 42_000, 42_002)]

JUDGE = FrameJudge()  # every frame that any test here reads is one of the contract's

Frame = dict[str, Any]


class ManualTimers:
    """Timers on a ManualClock; `advance` moves it and makes the calls that fall due."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def after(self, ms: float, callback: Callable[[], object]) -> Any:
        if ms <= 0:
            return asyncio.get_running_loop().call_soon(callback)
        self._count += 1
        call = (self._clock.monotonic_ms() + ms, self._count, callback)
        self._calls.append(call)
        return _ManualTimer(self._calls, call)

    @property
    def waiting(self) -> int:
        """How many calls have not been made yet."""
        return len(self._calls)

    def advance(self, ms: float) -> None:
        end = self._clock.monotonic_ms() + ms
        while self._calls and min(self._calls)[0] <= end:
            due = min(self._calls)
            self._calls.remove(due)
            self._clock.advance(due[0] - self._clock.monotonic_ms())
            due[2]()
        self._clock.advance(end - self._clock.monotonic_ms())


class _ManualTimer:
    def __init__(self, calls: list[Any], call: Any) -> None:
        self._calls = calls
        self._call = call

    def cancel(self) -> None:
        if self._call in self._calls:
            self._calls.remove(self._call)


class ManualFeed:
    """A live market that moves only when the test sets a price."""

    lossless = waits_for_reader = recorded = False

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def opening(self) -> list[tuple[str, int, int]]:
        return OPENING

    def next(self) -> FeedTick | None:
        return None

    def set_price(self, symbol: str, bid: int, ask: int) -> bool:
        return True

    def now_ms(self) -> int:
        return self._clock.wall_ms()

    def delivered(self, time_ms: int) -> None:
        pass

    def checkpoint(self) -> bytes | None:
        return None


class ListFeed(ManualFeed):
    """A recording that is replayed as fast as its readers take it; counts what it gave out."""

    def __init__(self, clock: ManualClock, ticks: list[FeedTick], *, lossless: bool) -> None:
        super().__init__(clock)
        self.lossless = lossless
        self.waits_for_reader = self.recorded = True
        self.ticks = ticks
        self.given = 0
        self._last_ms = clock.wall_ms()

    def opening(self) -> list[tuple[str, int, int]]:
        return []

    def now_ms(self) -> int:
        return self._last_ms

    def delivered(self, time_ms: int) -> None:
        self._last_ms = time_ms

    def next(self) -> FeedTick | None:
        if self.given == len(self.ticks):
            return None
        self.given += 1
        return self.ticks[self.given - 1]


def walk(clock: ManualClock, count: int, symbols: tuple[str, ...] = ("WS30",)) -> list[FeedTick]:
    """Ticks that differ from one another, symbols in turn."""
    start = clock.wall_ms()
    return [
        FeedTick(0, start + n, symbols[n % len(symbols)], 40_000 + n, 40_002 + n)
        for n in range(count)
    ]


class NoHistory:
    def candles(self, *asked: Any) -> list[Candle]:
        return []


class Client:
    """A WebSocket client that speaks JSON."""

    def __init__(self, socket: ClientConnection, apart: "Apart | None" = None) -> None:
        self.socket = socket
        self._apart = apart

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def recv(self) -> Frame:
        frame: Frame = json.loads(await self.socket.recv())
        JUDGE.judge(frame)
        return frame

    async def until(self, *kinds: str) -> Frame:
        """The next frame of one of these types."""
        frame = await self.recv()
        while frame["type"] not in kinds:
            frame = await self.recv()
        return frame

    async def ask(self, **frame: Any) -> Frame:
        """Send a frame and read the next one."""
        await self.send(**frame)
        return await self.recv()

    async def settle(self) -> list[Frame]:
        """Every frame that the server has sent so far."""
        frames = await self._answered()
        if self._apart is not None:
            await self._apart.idle()
            frames += await self._answered()
        return frames

    async def _answered(self) -> list[Frame]:
        await self.send(action="ping", id="settle")
        frames = [await self.recv()]
        while frames[-1].get("id") != "settle":
            frames.append(await self.recv())
        return frames[:-1]

    async def closed(self) -> tuple[int, list[Frame]]:
        """The close code, and every frame before it."""
        frames: list[Frame] = []
        try:
            while True:  # until the server closes
                frames.append(await self.recv())
        except ConnectionClosed as closed:
            # 1006 stands for a connection that ended without a close frame.
            return closed.rcvd.code if closed.rcvd else 1006, frames


class RawClient:
    """A client on a bare socket: it reads when it is told to, and may break every rule."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._unread = b""

    async def write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send(self, **frame: Any) -> None:
        await self.write(masked(0x81, json.dumps(frame).encode()))

    async def _read(self, count: int) -> bytes:
        while len(self._unread) < count:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65_536)
            if not data:
                raise EOFError
            self._unread += data
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    async def head(self) -> bytes:
        """The answer to the upgrade."""
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            text += await self._read(1)
        return text

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        first, size = await self._read(2)
        if size == 126:
            size = int.from_bytes(await self._read(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._read(8), "big")
        return first & 15, await self._read(size)

    async def recv(self) -> Frame:
        """The next text frame."""
        opcode, payload = await self.frame()
        assert opcode == 1, (opcode, payload)
        decoded: Frame = json.loads(payload)
        JUDGE.judge(decoded)
        return decoded

    async def up_to(self, done: Callable[[Frame], bool]) -> list[Frame]:
        """Every frame up to the one that `done` is true of."""
        frames = [await self.recv()]
        while not done(frames[-1]):
            frames.append(await self.recv())
        return frames

    async def rest(self) -> tuple[int | None, list[Frame]]:
        """Read to the end: the close code if one came, and the text frames before it."""
        frames: list[Frame] = []
        try:
            while True:  # until the server closes
                opcode, payload = await self.frame()
                if opcode == 8:
                    return int.from_bytes(payload[:2], "big"), frames
                frames.append(json.loads(payload))
                JUDGE.judge(frames[-1])
        except (EOFError, ConnectionError):
            return None, frames


def masked(first_byte: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        head = bytes((first_byte, 0x80 | size))
    elif size < 65_536:
        head = bytes((first_byte, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first_byte, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


class World:
    """The server, its accounts and keys, and clients of it."""

    def __init__(
        self, folder: Path, bounds: StreamBounds, *, apart: bool = False, **limits: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        self.clock = ManualClock()
        self.timers = ManualTimers(self.clock)
        self.errors: list[Exception] = []
        self.bus = InProcessBus(lambda topic, error: self.errors.append(error))
        self.journal = SqliteJournal(folder / "journal.db", loop)
        ids = IdFactory(SplitMix64(7).bytes, self.clock.wall_ms)
        self.gateway = Gateway(self.journal, self.bus, self.clock, ids, NoHistory())
        self.keyring = Keyring(PEPPER, (), self.clock.wall_ms)
        limiter = limits.get("limiter") or RateLimiter(20_000, 40_000)
        backend = GatewayBackend(
            self.gateway, self.keyring, limiter, RateLimiter(20_000, 40_000),
            structlog.get_logger(),
        )  # fmt: skip
        self.apart = Apart(self, backend, ids, PEPPER) if apart else None
        seen, bus = (backend, self.bus) if self.apart is None else self.apart.end
        self.hub = StreamHub(
            seen, bus, self.clock, structlog.get_logger(), bounds=bounds, timers=self.timers
        )
        if self.apart is None:
            self.gate: FeedGate = self.hub
        else:
            self.gate = self.apart.near.gate
            self.apart.far.serve(self.hub)
        self.server = StreamServer(self.hub, "127.0.0.1", 0)
        self.port = 0

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of all actions that clients can ask for."""
        return tuple(self.hub._actions.by_name)

    async def link(
        self, account_id: str = "acc_1", user_id: str = "usr_1", feed: ManualFeed | None = None
    ) -> Lane:
        """Open an account with 100,000 USD; its feed starts when `start_feed` is called."""
        account = Account(
            id=account_id, user_id=user_id, name=account_id, platform="MT5", kind=AccountKind.SIM,
            broker="Sim", server="Sim-1", login=1, mode="DEMO", margin_mode=MarginMode.HEDGING,
            currency="USD", money_digits=2, leverage=100, stop_out_level=5_000,
            margin_call_level=10_000, profile="standard", seed=1, created_ms=0,
        )  # fmt: skip
        feed = feed or ManualFeed(self.clock)
        state = self.journal.open_account(account_id, user_id, f"epoch-{account_id}")
        terms = PROFILE.terms(currency="USD", leverage=100)
        connector = SimConnector(account_id, terms, PROFILE.symbols, feed, self.gate)
        connector.rebuild(state)
        lane = Lane(
            account, connector, self.journal, self.bus, self.clock, self.gateway.ids, state,
            lambda point: None,
        )  # fmt: skip
        market = MarketData(lane, self.bus, NoHistory(), PROFILE.zone)
        linked = LinkedAccount(account, AccountStatus.CONNECTED, lane, market)
        self.gateway.accounts[account_id] = linked
        now = connector.time_ms()
        await lane.on_facts(connector.broker.deposit(10_000_000, now, "deposit"), now)
        await connector.start(lane)
        if self.apart is not None:
            await self.apart.caught_up()
        return lane

    async def start(self) -> None:
        """Listen for clients."""
        if self.apart is not None:
            await self.apart.start()
        self.port = await self.server.start()

    def key(
        self,
        secret: str,
        *,
        user_id: str = "usr_1",
        scope: Scope = Scope.FULL,
        accounts: tuple[str, ...] | None = None,
        **parts: Any,
    ) -> str:
        """Make a key; its id is `key_` + its secret."""
        made = ApiKey(
            id="key_" + secret, user_id=user_id, name=secret, digest=digest_of(PEPPER, secret),
            scope=scope, account_ids=accounts, default_account_id=None, created_ms=0, **parts,
        )  # fmt: skip
        self.keyring.put(made)
        if self.apart is not None:
            self.apart.far._keyring.put(made)  # as if it had been there when the stream came
        return secret

    def change(self, secret: str, **parts: Any) -> None:
        """Change a key, as another part of the server tells it."""
        key = self.keyring.key("key_" + secret)
        assert key is not None
        self.tell(replace(key, **parts))

    def tell(self, key: ApiKey) -> None:
        """Put a key in force and let the stream hear of it."""
        self.keyring.put(key)
        self.bus.publish("keys." + key.id, KeyMessage(key))

    def revoke(self, secret: str) -> None:
        """Take a key back."""
        self.change(secret, revoked_ms=self.clock.wall_ms())

    @asynccontextmanager
    async def client(
        self, secret: str | None = "full", path: str = "/v1/stream", **headers: str
    ) -> AsyncIterator[Client]:
        """A client with the key in its header; None sends no header."""
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        url = f"ws://127.0.0.1:{self.port}{path}"
        async with connect(
            url, additional_headers=headers, compression=None, proxy=None, max_size=None,
            max_queue=None, ping_interval=None,
        ) as socket:  # fmt: skip
            yield Client(socket, self.apart)

    @asynccontextmanager
    async def raw(
        self, secret: str = "full", receive_bytes: int = 4_096, **headers: str
    ) -> AsyncIterator[RawClient]:
        """An upgraded client on a bare socket with a small receive buffer."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
            client = RawClient(sock)
            key = base64.b64encode(os.urandom(16)).decode()
            fields = {
                "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
                "Authorization": f"Bearer {secret}", **headers,
            }  # fmt: skip
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            await client.write(f"GET /v1/stream HTTP/1.1\r\n{lines}\r\n".encode())
            assert b" 101 " in (await client.head()).partition(b"\r\n")[0]
            yield client
        finally:
            sock.close()

    async def price(
        self, symbol: str, bid: int, ask: int | None = None, account_id: str = "acc_1"
    ) -> None:
        """A tick of a live market."""
        lane = self.lane(account_id)
        await lane.connector.set_price(symbol, bid, bid + 8 if ask is None else ask)
        if self.apart is not None:
            await self.apart.caught_up()

    def lane(self, account_id: str = "acc_1") -> Lane:
        lane = self.gateway.accounts[account_id].lane
        assert lane is not None
        return lane

    async def trade(self, client: Client, *, type_: str = "BUY", **extra: Any) -> Frame:
        """Place a market order and return its result frame, leaving out what comes before."""
        order = {"symbol": "EURUSD", "type": type_, "volume": 0.01}
        await client.send(action="order.place", id="trade", order=order, **extra)
        return await client.until("result", "error")

    async def close(self) -> None:
        await self.server.stop()
        if self.apart is not None:
            await self.apart.stop()
        for linked in self.gateway.accounts.values():
            if linked.lane is not None:
                await linked.lane.connector.stop()
        self.journal.close()


Story = Callable[[World], Awaitable[None]]


# Modules that run again with the stream behind a unix socket, but for tests that look at both ends
# at one moment.
APART_MODULES = ("auth", "events", "isolation", "keys", "orders", "pacing", "ticks")
AT_ONE_MOMENT = ("test_closing_a_reader_from_our_side_releases_the_feed_too",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the main tests run in both forms."""
    if "play" not in metafunc.fixturenames:
        return
    module = metafunc.module.__name__.rpartition("test_stream_")[2]
    forms = ["apart"] if module == "apart" else ["within"]
    if module in APART_MODULES and metafunc.function.__name__ not in AT_ONE_MOMENT:
        forms.append("apart")
    metafunc.parametrize("play", forms, indirect=True)


@pytest.fixture
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Run a story in a world with account acc_1 and keys `full`, `trade`, `read` of its user.

    `account=None` leaves the account out; other keywords are bounds of the stream. Ticks are
    written at once, for time stands still unless a test moves it.
    """

    async def run(story: Story, account: bool, limiter: Any, bounds: StreamBounds) -> None:
        async with asyncio.timeout(WATCHDOG_S):
            world = World(tmp_path, bounds, apart=request.param == "apart", limiter=limiter)
            for scope in Scope:
                world.key(scope.name.lower(), scope=scope)
            if account:
                await world.link()
            await world.start()
            try:
                await story(world)
            finally:
                await world.close()
            assert world.errors == []

    def played(
        story: Story,
        *,
        account: bool = True,
        limiter: Any = None,
        loop: Any = asyncio.new_event_loop,
        **bounds: Any,
    ) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(run(story, account, limiter, StreamBounds(**{"flush_ms": 0, **bounds})))

    return played


@pytest.fixture
def judge() -> FrameJudge:
    """A judge that has seen nothing yet."""
    return FrameJudge()


@pytest.fixture
def make_feed() -> type[ListFeed]:
    """Recorded feeds."""
    return ListFeed


@pytest.fixture
def ticks_of() -> Callable[..., list[FeedTick]]:
    """Made-up ticks for a recorded feed."""
    return walk


@pytest.fixture
def masked_frame() -> Callable[[int, bytes], bytes]:
    """A client's frame from its first byte and payload."""
    return masked


@pytest.fixture
def manual_timers() -> type[ManualTimers]:
    """Timers that a test moves."""
    return ManualTimers
