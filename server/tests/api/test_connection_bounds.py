"""Slow heads, endless heads, slow readers, floods: each is cut, on a clock that a test moves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from msgspec import Struct, structs
from uvicorn.server import ServerState

from fxsocket_server.api.protocol import ConnectionBounds, GuardedProtocol, House
from fxsocket_server.core import limits
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.security.doorkeeper import Doorkeeper

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"


class _Handle(Struct, eq=False):
    due_ms: float
    then: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


def _finish(steps: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        steps.send(None)


class StillLoop:
    """An event loop whose clock moves when told, and whose tasks never wait."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self._timers: list[_Handle] = []
        self._soon: list[Callable[[], None]] = []

    def call_later(self, delay_s: float, then: Callable[[], None]) -> _Handle:
        self._timers.append(_Handle(self.now_ms + delay_s * 1000, then))
        return self._timers[-1]

    def call_soon(self, then: Callable[[], None]) -> None:
        self._soon.append(then)

    def create_task(self, steps: Coroutine[Any, Any, None]) -> Any:
        self.call_soon(lambda: _finish(steps))
        return asyncio.Future(loop=_NO_LOOP)

    def turn(self) -> None:
        """Run what is due at once, and what that makes due."""
        while self._soon:  # bounded: an answer makes no more than its own end due
            self._soon.pop(0)()

    def advance(self, ms: float) -> None:
        """Move on, ending every timer that is due on the way."""
        end = self.now_ms + ms
        while due := [t for t in self._timers if t.due_ms <= end and not t.is_cancelled]:
            first = min(due, key=lambda timer: timer.due_ms)
            self._timers.remove(first)
            self.now_ms = first.due_ms
            first.then()
        self.now_ms = end


_NO_LOOP = asyncio.new_event_loop()
_NO_LOOP.close()


class StillTransport:
    """A socket whose peer reads when told."""

    def __init__(self, loop: StillLoop, address: str) -> None:
        self._loop = loop
        self.address = address
        self.protocol: GuardedProtocol
        self.written = b""
        self.unread = 0
        self.state = "open"
        self._high, self._paused = 64 * 1024, False

    def get_extra_info(self, name: str) -> Any:
        names = {"peername": (self.address, 4_000), "sockname": ("127.0.0.1", 8_000)}
        return names.get(name)

    def receive(self, data: bytes) -> None:
        """The peer sends."""
        self.protocol.data_received(data)
        self._loop.turn()

    def write(self, data: bytes) -> None:
        self.written += data
        self.unread += len(data)
        self._look()

    def read(self, size: int) -> None:
        """The peer takes so many bytes."""
        self.unread = max(0, self.unread - size)
        self._look()

    def _look(self) -> None:
        if not self._paused and self.unread > self._high:
            self._paused = True
            self.protocol.pause_writing()
        elif self._paused and self.unread <= self._high // 4:
            self._paused = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_write_buffer_limits(self, high: int = 64 * 1024) -> None:
        self._high = high
        self._look()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.state = "ended"

    def is_closing(self) -> bool:
        return self.state in ("closed", "aborted")

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Desk:
    """Protocols on still sockets, before an application that answers `size` bytes."""

    def __init__(self, *, total: int = 9, strangers: int = 9, **bounds: int) -> None:
        self.loop = StillLoop()
        self.size = 2
        self.served = 0
        self.keys_shown = False
        self.doorkeeper: Doorkeeper[GuardedProtocol] = Doorkeeper(total, strangers)
        self.house = House(
            doorkeeper=self.doorkeeper,
            refusal=lambda problem: problem.kind.code.encode(),
            bounds=ConnectionBounds(**bounds),
        )
        self._config = uvicorn.Config(
            self._app, interface="asgi3", http="httptools", lifespan="off", log_config=None,
            proxy_headers=False, timeout_keep_alive=75,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.served += 1
        if self.keys_shown:
            scope["fxs.trust"]()
        headers = [(b"content-length", b"%d" % self.size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * self.size})

    def connect(self, address: str = "192.0.2.1") -> StillTransport:
        protocol = GuardedProtocol(
            self.house,
            config=self._config,
            server_state=self._state,
            app_state={},
            _loop=self.loop,
        )
        protocol.loop = self.loop  # type: ignore[assignment]
        transport = StillTransport(self.loop, address)
        transport.protocol = protocol
        protocol.connection_made(transport)  # type: ignore[arg-type]
        return transport


# --- heads -----------------------------------------------------------------------------------


def test_a_connection_that_asks_nothing_is_closed_in_time() -> None:
    desk = Desk()
    idle = desk.connect()
    desk.loop.advance(limits.HEADER_READ_MS - 1)
    assert idle.state == "open"
    desk.loop.advance(1)
    assert (idle.state, idle.written) == ("closed", b"")


@pytest.mark.parametrize("drip", [b"a", b"\r\n", b"X: y\r\n"])
def test_dribbling_does_not_reset_the_clock_of_a_head(drip: bytes) -> None:
    desk = Desk()
    slow = desk.connect()
    slow.receive(b"" if drip == b"\r\n" else HALF)  # empty lines would end a head
    for _ in range(9):
        desk.loop.advance(limits.HEADER_READ_MS / 10)
        slow.receive(drip)
        assert slow.state == "open"
    desk.loop.advance(limits.HEADER_READ_MS / 10)
    assert (slow.state, slow.written) == ("ended", b"request_timeout")
    slow.read(1_000)
    slow.receive(b"X: y\r\n\r\n")
    assert desk.served == 0
    desk.loop.advance(limits.CONNECTION_CLOSE_MS)
    assert slow.state == "aborted"


def test_a_later_head_has_its_own_time() -> None:
    desk = Desk()
    slow = desk.connect()
    desk.loop.advance(limits.HEADER_READ_MS - 1)
    slow.receive(REQUEST)
    slow.read(10_000)
    desk.loop.advance(60_000)  # nothing is under way: that may last
    assert slow.state == "open"
    for _ in range(9):
        slow.receive(b"\r\n")  # not even a first line
        desk.loop.advance(limits.HEADER_READ_MS / 10)
        assert slow.state == "open"
    desk.loop.advance(limits.HEADER_READ_MS / 10)
    assert slow.state == "ended"
    assert slow.written.endswith(b"request_timeout")


def test_a_head_in_time_ends_its_clock() -> None:
    desk = Desk()
    line = desk.connect()
    line.receive(HALF)
    desk.loop.advance(limits.HEADER_READ_MS - 1)
    line.receive(b"\r\n")
    line.read(10_000)
    desk.loop.advance(limits.HEADER_READ_MS * 2)
    assert (line.state, desk.served) == ("open", 1)


@pytest.mark.parametrize("start", [b"GET /", HALF, HALF + b"X: "])
def test_an_endless_head_is_refused_at_its_size(start: bytes) -> None:
    desk = Desk()
    line = desk.connect()
    line.receive(start)
    for sent in range(0, limits.HEADER_BYTES - len(start), 1024):
        assert line.state == "open", sent
        line.receive(b"a" * 1024)
    line.receive(b"a" * 1024)
    assert (line.state, line.written) == ("ended", b"headers_too_large")


def test_a_body_that_nobody_reads_has_no_more_time_than_a_head() -> None:
    desk = Desk()
    line = desk.connect()
    line.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
    line.read(10_000)
    assert desk.served == 1
    for _ in range(9):
        desk.loop.advance(limits.HEADER_READ_MS / 10)
        line.receive(b"b" * 4096)
        assert line.state == "open"
    desk.loop.advance(limits.HEADER_READ_MS / 10)
    assert line.state == "closed"
    assert line.written.count(b"HTTP/1.1") == 1  # it had its answer


def test_what_is_not_http_is_told_so() -> None:
    desk = Desk()
    line = desk.connect()
    line.receive(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert (line.state, line.written) == ("ended", b"bad_request")


def test_requests_of_a_connection_are_counted() -> None:
    desk = Desk(requests=3)
    line = desk.connect()
    for served in (1, 2, 3):
        assert line.state == "open"
        line.receive(REQUEST)
        assert desk.served == served
    assert line.state == "ended"
    assert line.written.count(b"connection: close") == 1


# --- readers ---------------------------------------------------------------------------------


def test_a_reader_that_takes_too_little_is_cut() -> None:
    desk = Desk()
    desk.size = 10 * limits.ANSWER_STALL_BYTES
    line = desk.connect()
    line.receive(REQUEST)
    for _ in range(3):
        line.read(limits.ANSWER_STALL_BYTES)
        desk.loop.advance(limits.ANSWER_STALL_MS)
        assert line.state == "open"
    line.read(limits.ANSWER_STALL_BYTES - 1)
    desk.loop.advance(limits.ANSWER_STALL_MS)
    assert line.state == "aborted"


def test_an_answer_left_unread_does_not_keep_the_connection() -> None:
    desk = Desk()
    line = desk.connect()
    line.receive(REQUEST)
    line.protocol.timeout_keep_alive_handler()
    assert line.state == "closed"  # which waits for the last byte to be taken
    desk.loop.advance(limits.ANSWER_STALL_MS)
    assert line.state == "aborted"


def test_a_slow_reader_of_a_last_answer_has_its_time() -> None:
    desk = Desk()
    desk.size = 4 * limits.ANSWER_STALL_BYTES
    line = desk.connect()
    line.receive(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    for _ in range(3):
        line.read(limits.ANSWER_STALL_BYTES)
        desk.loop.advance(limits.ANSWER_STALL_MS)
        assert line.state == "ended"
    line.read(2 * limits.ANSWER_STALL_BYTES)
    assert line.unread == 0
    desk.loop.advance(limits.CONNECTION_CLOSE_MS)
    assert line.state == "aborted"


# --- crowds ----------------------------------------------------------------------------------


def test_of_one_address_the_oldest_stranger_makes_room() -> None:
    desk = Desk(strangers=3)
    lines = [desk.connect("192.0.2.1") for _ in range(3)]
    other = desk.connect("192.0.2.2")
    late = desk.connect("192.0.2.1")
    assert [line.state for line in lines] == ["closed", "open", "open"]
    assert lines[0].written == b"unavailable"
    assert (other.state, late.state) == ("open", "open")


def test_who_has_shown_a_key_is_no_stranger() -> None:
    desk = Desk(strangers=1)
    desk.keys_shown = True
    lines = [desk.connect() for _ in range(1)]
    for _ in range(5):
        lines[-1].receive(REQUEST)
        lines.append(desk.connect())
    assert [line.state for line in lines] == ["open"] * 6


def test_a_full_house_turns_the_next_away() -> None:
    desk = Desk(total=2)
    desk.keys_shown = True
    for _ in range(2):
        desk.connect().receive(REQUEST)
    late = desk.connect()
    assert (late.state, late.written) == ("closed", b"unavailable")
    assert len(desk.doorkeeper) == 2


def test_who_has_gone_makes_room() -> None:
    desk = Desk(total=1)
    desk.keys_shown = True
    first = desk.connect()
    first.receive(REQUEST)
    first.protocol.connection_lost(None)
    assert desk.connect().state == "open"
    assert len(desk.doorkeeper) == 1


# --- many requests, and the last byte ----------------------------------------------------------


def test_the_heads_of_a_connection_are_not_added_up() -> None:
    desk = Desk()
    line = desk.connect()
    for _ in range(2 * limits.HEADER_BYTES // len(REQUEST)):
        line.receive(REQUEST)
        line.read(10_000)
    line.receive(HALF)
    assert line.state == "open"


class Told(Delivery):
    """Remembers that its answer was written."""

    written = False

    def answer_written(self) -> None:
        self.written = True


def test_an_answer_is_written_when_its_last_byte_has_left() -> None:
    desk = Desk()
    desk.size = limits.ANSWER_STALL_BYTES // 4  # less than what makes a writer wait
    told = Told()
    desk.house = structs.replace(desk.house, delivery=lambda: told)
    line = desk.connect()
    line.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    line.read(line.unread - 1)
    assert not told.written
    line.read(1)
    assert told.written


@pytest.mark.parametrize(
    ("unacknowledged", "told"), [(0, "written"), (1, "written"), (500, "lost")]
)
def test_an_end_that_crossed_the_answer_is_told_from_one_after_reading(
    unacknowledged: int, told: str
) -> None:
    desk = Desk()
    fates: list[str] = []
    delivery = Delivery()
    delivery.listen(lambda arrived: fates.append("written" if arrived else "lost"))
    desk.house = structs.replace(
        desk.house, delivery=lambda: delivery, unacknowledged=lambda _: unacknowledged
    )
    line = desk.connect()
    line.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    line.read(10_000)
    assert fates == ["written"]
    assert line.protocol.eof_received() is False
    line.protocol.connection_lost(None)
    assert fates[-1] == told
