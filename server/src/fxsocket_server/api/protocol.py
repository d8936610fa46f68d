"""What bare uvicorn lacks: bounds on connections, request heads and readers, and what became of
each answer.

A head must be complete within its time, whatever dribbles in meanwhile; bodies are timed by
`api.front`, and a reader that takes nothing of its answer is cut. The transport tells when an
answer has left and how the connection ended: `scope["fxs.delivery"]` hears it.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fxsocket_server.api.deliveries import Deliveries
from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.security.doorkeeper import Doorkeeper

_UNWATCHED = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_FIN_BYTES = 1  # our own end of the stream, which may still be on its way


class ConnectionBounds(Struct, frozen=True, kw_only=True):
    """What `core.limits` says of one connection; units last."""

    head_bytes: int = limits.HEADER_BYTES
    head_read_ms: int = limits.HEADER_READ_MS
    requests: int = limits.CONNECTION_REQUESTS
    stall_ms: int = limits.ANSWER_STALL_MS
    stall_bytes: int = limits.ANSWER_STALL_BYTES
    close_ms: int = limits.CONNECTION_CLOSE_MS


def unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """What the other end's kernel has not confirmed; 0 where this system does not tell."""
    try:
        told = fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    (count,) = struct.unpack("i", told)
    return int(count)


class House(Struct, frozen=True, kw_only=True):
    """What the connections of one port share.

    `refusal` makes a whole HTTP answer of a problem; `delivery` makes who watches an answer;
    `unacknowledged` counts the bytes that the other end has not confirmed.
    """

    doorkeeper: "Doorkeeper[GuardedProtocol]"
    refusal: Callable[[Problem], bytes]
    delivery: Callable[[], Delivery] = Delivery
    bounds: ConnectionBounds = ConnectionBounds()
    unacknowledged: Callable[[asyncio.Transport], int] = unacknowledged_bytes


class _Timer:
    """One deadline that only its end or `stop` ends: starting it again changes nothing."""

    __slots__ = ("_handle", "_loop", "_then")

    def __init__(self, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        self._loop = loop
        self._then = then
        self._handle: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self, ms: float) -> None:
        if self._handle is None:
            self._handle = self._loop.call_later(ms / 1000, self._end)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _end(self) -> None:
        self._handle = None
        self._then()


class _LastTransport:
    """The transport as the last answer of a connection sees it: its close waits for the sender."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class GuardedProtocol(HttpToolsProtocol):
    """One HTTP connection within bounds."""

    def __init__(self, house: House, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._house = house
        self._bounds = house.bounds
        self._deliveries = Deliveries()
        self._head = _Timer(self.loop, self._on_slow_head)
        self._stall = _Timer(self.loop, self._on_stall)
        self._closing = _Timer(self.loop, self._on_close_time)
        self._head_bytes = 0
        self._unread_bytes = 0
        self._requests = 0
        self._in_body = False
        self._sender_ended = False
        self._lingers = False
        self._aborted = False

    # --- the connection ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a client in, or turn it or an older stranger away."""
        super().connection_made(cast(asyncio.Transport, transport))
        address = self.client[0] if self.client else ""
        goes = self._house.doorkeeper.enter(self, address)
        if goes is not self:
            self._head.start(self._bounds.head_read_ms)
        if goes is not None:
            goes.turn_away()

    def turn_away(self) -> None:
        """Make room for somebody else."""
        self._say(
            Problem(
                "unavailable",
                "too many connections without a key; connect again in a moment",
                retry_after_s=1,
            )
        )
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the watchers of answers, then let uvicorn tidy up."""
        for timer in (self._head, self._stall, self._closing):
            timer.stop()
        self._house.doorkeeper.leave(self)
        if exc is None and not self._aborted:  # a close first writes what is left
            self._deliveries.flushed()
        self._deliveries.lost(reset=exc is not None)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A sender that asks and then only listens still gets the answer; any other is done.

        Nothing tells it from one that gave up, so its answers count as undelivered from now on.
        """
        self._sender_ended = True
        self._look_whether_it_left()
        # A close after reading confirms what was read; one that crossed the answer does not.
        unread = self._house.unacknowledged(self.transport) > _FIN_BYTES
        self._deliveries.sender_ended(unread=unread)
        if self._lingers or self.scheme == "https":  # TLS cannot be closed by halves
            return False
        return self._is_answering() and not self.cycle.more_body

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_between(self) -> bool:
        """Whether nothing is under way but, perhaps, a head."""
        return not self._in_body and not self._is_answering()

    # --- what comes in -----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse; a head that is not complete afterwards has its time and size."""
        if self._lingers:
            return
        self._look_whether_it_left()
        if self._is_between():
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_answering() or self.transport.is_closing():
            return
        self._head.start(self._bounds.head_read_ms)
        if self._head_bytes > self._bounds.head_bytes:
            self._refuse(
                Problem("headers_too_large", f"a head may hold {self._bounds.head_bytes} bytes")
            )

    def on_message_begin(self) -> None:
        """The first byte of a request: whatever was answered before was read."""
        super().on_message_begin()
        self._deliveries.sender_goes_on()

    def on_headers_complete(self) -> None:
        """A whole head: start serving it."""
        self._head.stop()
        self._head_bytes = 0
        self._in_body = True
        self._requests += 1
        watcher = None
        if self.parser.get_method() not in _UNWATCHED:
            watcher = self._house.delivery()
            self.scope["fxs.delivery"] = watcher  # type: ignore[typeddict-unknown-key]
        self._deliveries.asked(watcher)
        self.scope["fxs.trust"] = self._trust  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        if self._requests >= self._bounds.requests:
            self.cycle.keep_alive = False
        if not self.cycle.keep_alive:
            last = _LastTransport(self.transport, self._linger)
            self.cycle.transport = cast(asyncio.Transport, last)

    def _trust(self) -> None:
        self._house.doorkeeper.trust(self)

    def on_message_complete(self) -> None:
        """The end of a body."""
        self._in_body = False
        super().on_message_complete()

    # --- what goes out -----------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Watch the answer leave; a sender that has ended has nothing more to ask."""
        self._deliveries.answered()
        if not self._lingers:
            super().on_response_complete()
        if self._in_body and not self._is_answering():  # answered before it was read
            self._head.start(self._bounds.head_read_ms)
        if self._deliveries.are_leaving and not self.transport.is_closing():
            self.loop.call_soon(self._look_whether_it_left)
        if self._sender_ended and not self._is_answering():
            self._close()

    def _look_whether_it_left(self) -> None:
        """The loop writes once a turn; what the kernel did not take then, it announces."""
        if not self._deliveries.are_leaving or self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            self.transport.set_write_buffer_limits(high=0)
        else:
            self._deliveries.flushed()

    def pause_writing(self) -> None:
        """The client reads slower than it is answered."""
        super().pause_writing()
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._stall.start(self._bounds.stall_ms)

    def resume_writing(self) -> None:
        """The client has read."""
        self._stall.stop()
        super().resume_writing()
        if not self._closing.runs:
            self.transport.set_write_buffer_limits()
        self._look_whether_it_left()

    # --- cutting off -------------------------------------------------------------------------

    def _on_slow_head(self) -> None:
        if self._in_body or not self._head_bytes:  # answered already, or never asked anything
            self._close()
            return
        self._refuse(
            Problem(
                "request_timeout",
                f"the request's head did not arrive within {self._bounds.head_read_ms} ms",
            )
        )

    def _on_stall(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread > self._unread_bytes - self._bounds.stall_bytes:
            self._abort()
            return
        self._unread_bytes = unread
        self._stall.start(self._bounds.stall_ms)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for long; whoever is still reading is judged by what it takes."""
        if self.flow.write_paused:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif not self.transport.is_closing():  # a reset may have come before the answer ended
            self._close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(Problem("bad_request", "this is not an HTTP/1.1 request that can be read"))

    def _refuse(self, problem: Problem) -> None:
        """Say why, and take no more of this connection."""
        self._say(problem)
        self._linger()

    def _say(self, problem: Problem) -> None:
        """Answer what never became a request; in the middle of an answer, say nothing."""
        if not self._is_answering():
            self.transport.write(self._house.refusal(problem))

    def _linger(self) -> None:
        """End our side and listen for a while: only so is the last answer read, or known lost."""
        self._lingers = True
        self.flow.resume_reading()  # what came behind is dropped
        self._begin_to_close()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _close(self) -> None:
        """Close once all is written, and in any case."""
        self._begin_to_close()
        self.transport.close()

    def _begin_to_close(self) -> None:
        self._head.stop()
        self._closing.start(self._bounds.close_ms)
        self.transport.set_write_buffer_limits(high=0)  # so that the last byte is waited for

    def _on_close_time(self) -> None:
        if self.flow.write_paused:  # it still reads, or will be cut as stalled
            self._closing.start(self._bounds.close_ms)
        else:
            self._abort()

    def _abort(self) -> None:
        self._aborted = True
        self.transport.abort()
