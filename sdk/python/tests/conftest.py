"""A scripted server for REST, one for the stream, and rows as the API answers them."""

import asyncio
import inspect
import json
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from fxsocket import AsyncFxSocketClient, FxSocketClient

KEY = "fxs_test_Zq81vXw0"
WATCHDOG_S = 30.0


class Rest:
    """A server that answers a script, with a clock that only moves when the client sleeps.

    A step is a response, an exception to raise, or a function of the request that gives either.
    """

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour
        self.script: deque[Any] = deque()
        self.requests: list[httpx2.Request] = []
        self.slept: list[float] = []
        self.draws: deque[float] = deque()
        self.now = 1000.0
        self._ids = iter(f"id{number}" for number in range(1, 1000))

    def answers(self, *steps: Any) -> "Rest":
        """Add steps to the script."""
        self.script.extend(steps)
        return self

    def client(self, **options: Any) -> Any:
        """A client of this test's flavour that talks to the script."""
        kind: Any = FxSocketClient if self.flavour == "sync" else AsyncFxSocketClient
        return kind(
            **{"api_key": KEY, "transport": httpx2.MockTransport(self._answer)} | options,
            sleep=self._sleep if self.flavour == "sync" else self._async_sleep,
            clock=lambda: self.now,
            rng=lambda: self.draws.popleft() if self.draws else 0.0,
            new_id=lambda: next(self._ids),
        )

    def call(self, use: Callable[[Any], Any], **options: Any) -> Any:
        """What `use(client)` gives, awaited or listed as the flavour needs."""
        client = self.client(**options)
        return use_sync(client, use) if self.flavour == "sync" else run(use_async(client, use))

    def fails(self, error: type[BaseException], use: Callable[[Any], Any], **options: Any) -> Any:
        """The error that `use(client)` raises."""
        with pytest.raises(error) as caught:
            self.call(use, **options)
        return caught.value

    @property
    def sent(self) -> list[str]:
        """Every request so far, as `METHOD path?query`."""
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]

    def bodies(self) -> list[Any]:
        """The decoded bodies of the requests so far."""
        return [json.loads(r.content) if r.content else None for r in self.requests]

    def header(self, name: str) -> list[str | None]:
        """One header of every request so far."""
        return [r.headers.get(name) for r in self.requests]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        step = self.script.popleft()
        step = step(request) if callable(step) else step
        if isinstance(step, Exception):
            raise step
        return step

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def _async_sleep(self, seconds: float) -> None:
        self._sleep(seconds)


def use_sync(client: FxSocketClient, use: Callable[[Any], Any]) -> Any:
    with client:
        result = use(client)
        return list(result) if inspect.isgenerator(result) else result


async def use_async(client: AsyncFxSocketClient, use: Callable[[Any], Any]) -> Any:
    async with client:
        result = use(client)
        if inspect.isasyncgen(result):
            return [row async for row in result]
        return await result


def run(main: Awaitable[Any]) -> Any:
    """Run a coroutine under a watchdog."""

    async def watched() -> Any:
        async with asyncio.timeout(WATCHDOG_S):
            return await main

    return asyncio.run(watched())


class Peer:
    """The server's end of one stream connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        assert socket.request is not None
        self.headers = socket.request.headers
        self.path = socket.request.path

    async def hear(self) -> dict[str, Any]:
        """The next frame but `list`, which every connection begins with and nobody answers here."""
        frame: dict[str, Any] = await self.hear_any()
        while frame["action"] == "list":
            frame = await self.hear_any()
        return frame

    async def hear_any(self) -> dict[str, Any]:
        return json.loads(await self.socket.recv())

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    async def stay(self) -> None:
        """Keep the connection until the client ends it."""
        await self.socket.wait_closed()


class StreamServer:
    """A real WebSocket server; connection after connection is played by the next script.

    A script is a coroutine function of a Peer, or an HTTP status that refuses the upgrade.
    """

    def __init__(self, scripts: tuple[Any, ...]) -> None:
        self.scripts = deque(scripts)
        self.url = ""
        self.slept: list[float] = []
        self.retry_after: str | None = None
        self.failures: list[BaseException] = []
        self.user = asyncio.current_task()

    def refuse(self, socket: ServerConnection, request: Request) -> Response | None:
        if not self.scripts or not isinstance(self.scripts[0], int):
            return None
        response = socket.respond(self.scripts.popleft(), "no\n")
        if self.retry_after is not None:
            response.headers["Retry-After"] = self.retry_after
        return response

    async def play(self, socket: ServerConnection) -> None:
        script = self.scripts.popleft() if self.scripts else Peer.stay
        try:
            await script(Peer(socket))
        except Exception as error:
            self.failures.append(error)
            assert self.user is not None
            self.user.cancel()  # else the client would reconnect until the watchdog barks

    async def sleep(self, seconds: float) -> None:
        """The client's sleep: notes the wish and only yields."""
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def client(self, **options: Any) -> AsyncFxSocketClient:
        defaults: dict[str, Any] = {"api_key": KEY, "sleep": self.sleep, "rng": lambda: 0.5}
        return AsyncFxSocketClient(stream_url=self.url, **defaults | options)


@asynccontextmanager
async def stream_server(*scripts: Any):
    """Serve the scripts on a free loopback port."""
    server = StreamServer(scripts)
    options: dict[str, Any] = {
        "process_request": server.refuse,
        "close_timeout": 0.1,
        "ping_interval": None,
    }
    async with serve(server.play, "127.0.0.1", 0, **options) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/v1/stream"
        try:
            yield server
        except asyncio.CancelledError:
            if not server.failures:
                raise
    if server.failures:
        raise server.failures[0]


@pytest.fixture(params=["sync", "async"])
def rest(request: pytest.FixtureRequest) -> Rest:
    """A scripted REST server; each test runs with the blocking and the asyncio client."""
    return Rest(request.param)


@pytest.fixture
def streaming() -> Callable[..., Any]:
    """`streaming(*scripts)` serves a stream; see `stream_server`."""
    return stream_server


@pytest.fixture
def go() -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine under a watchdog."""
    return run


@pytest.fixture
def key() -> str:
    """The API key that every test client holds."""
    return KEY


@pytest.fixture
def reply() -> Callable[..., httpx2.Response]:
    """`reply(json, status, **headers)` makes a JSON answer."""

    def make(value: Any, status: int = 200, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return httpx2.Response(status, json=value, headers=named)

    return make


@pytest.fixture
def problem() -> Callable[..., httpx2.Response]:
    """`problem(status, code, **fields)` makes an error answer."""

    def make(status: int, code: str = "some_code", **fields: Any) -> httpx2.Response:
        headers = {"Content-Type": "application/problem+json", "X-Request-Id": "req_1"}
        headers |= {n.replace("_", "-"): v for n, v in fields.pop("headers", {}).items()}
        body = {"type": "about:blank", "title": code, "status": status, "code": code,
                "detail": "what is wrong", "retryable": False, **fields}  # fmt: skip
        return httpx2.Response(status, content=json.dumps(body).encode(), headers=headers)

    return make


@pytest.fixture
def order_row() -> Callable[..., dict[str, Any]]:
    """`order_row(**changes)` is an order as the API answers it."""
    row = {
        "id": "ord_1",
        "account_id": "acc_1",
        "client_order_id": "mine",
        "symbol": "EURUSD",
        "type": "BUY",
        "status": "FILLED",
        "volume": 0.1,
        "filled_volume": 0.1,
        "requested_price": None,
        "price": 1.0834,
        "stop_limit_price": None,
        "sl": 1.072,
        "tp": 1.095,
        "deviation": None,
        "filling": "IOC",
        "time_in_force": "GTC",
        "expires_at": None,
        "magic": 0,
        "comment": "",
        "ticket": 9007199254740993,
        "position_id": "pos_1",
        "retcode": 10009,
        "retcode_name": "DONE",
        "reason": None,
        "cancel_requested": False,
        "created_at": "2026-11-22T10:00:00.000Z",
        "updated_at": "2026-11-22T10:00:00.125Z",
    }
    return lambda **changes: row | changes


@pytest.fixture
def tick() -> Callable[..., dict[str, Any]]:
    """`tick(n, **changes)` is a tick's frame; with `n`, that of a paced subscription."""
    frame = {
        "type": "tick",
        "account_id": "acc_1",
        "symbol": "EURUSD",
        "bid": 1.0834,
        "ask": 1.08343,
        "last": None,
        "volume": 0,
        "flags": 6,
        "timestamp": "2026-11-22T10:00:00.250Z",
    }
    return lambda n=None, **changes: frame | ({} if n is None else {"n": n}) | changes


@pytest.fixture
def update(order_row: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """`update(seq, prev_seq)` is the frame of an order's event."""

    def make(seq: int, prev_seq: int) -> dict[str, Any]:
        return {
            "type": "order_update",
            "account_id": "acc_1",
            "seq": seq,
            "prev_seq": prev_seq,
            "epoch": "e1",
            "event": "order.filled",
            "time": "2026-11-22T10:00:00.125Z",
            "order": order_row(),
        }

    return make
