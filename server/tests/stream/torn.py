"""Connections of a stream hub without sockets, that break at a chosen byte, and a client on them.

The client keeps its place in the logs as the Python SDK does, by the SDK's own session.
"""

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct
from picows import WSMsgType

from fxsocket._stream.session import Session
from fxsocket.events import StreamEvent, read_event
from fxsocket_server.stream.hub import StreamHub
from fxsocket_server.stream.server import Upgrade
from fxsocket_server.stream.unread import Unread

CLOSE = 8
MASK_BYTES = 6  # what a client's short frame has beside its payload


class Frame(Struct, frozen=True):
    """A client's whole text frame, as picows gives it."""

    payload: bytes
    msg_type: WSMsgType = WSMsgType.TEXT
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False

    @property
    def payload_size(self) -> int:
        return len(self.payload)

    def get_payload_as_memoryview(self) -> memoryview:
        return memoryview(self.payload)


class TornSocket:
    """What the server tunes."""

    def setsockopt(self, *_option: object) -> None:
        pass


class TornTransport:
    """The server's end; `down` bytes get through to the client, `up` bytes of the client's."""

    def __init__(self, wire: Any, heard: Callable[[bytes], None], down: int, up: int) -> None:
        self._wire = wire
        self._heard = heard
        self._down = down
        self._up = up
        self._unread = bytearray()
        self._high = self._low = 0
        self._is_paused = False
        self.is_reading = True
        self.is_dead = False
        self.underlying_transport = self

    # --- what the server calls ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self.is_dead:
            self._unread += data
            self.pass_on()

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._high, self._low = high, low

    def get_write_buffer_size(self) -> int:
        return len(self._unread)

    def get_extra_info(self, name: str) -> object:
        return TornSocket() if name == "socket" else ("127.0.0.1", 1)

    def send_close(self, code: int, _reason: str) -> None:
        self.write(b"\x88\x02" + code.to_bytes(2, "big"))

    def disconnect(self, graceful: bool = True) -> None:
        self.cut()

    # --- the net -----------------------------------------------------------------------------

    def pass_on(self) -> None:
        """Let the client read what it may; then tell the server whether there is room."""
        if self.is_reading and not self.is_dead:
            passed = bytes(self._unread[: self._down])
            del self._unread[: len(passed)]
            self._down -= len(passed)
            self._heard(passed)
            if not self._down:
                self.cut()
        if self.is_dead:
            return
        if not self._is_paused and len(self._unread) > self._high:
            self._is_paused = True
            self._wire.pause_writing()
        elif self._is_paused and len(self._unread) <= self._low:
            self._is_paused = False
            self._wire.resume_writing()

    def send(self, payload: bytes) -> None:
        """A client's frame arrives whole, or the connection breaks within it."""
        self._up -= len(payload) + MASK_BYTES
        if self._up < 0:
            self.cut()
        elif not self.is_dead:
            self._wire.on_ws_frame(self, Frame(payload))

    def cut(self) -> None:
        """Break: nothing passes any more, and the server hears of it in a later turn."""
        if not self.is_dead:
            self.is_dead = True
            self._unread.clear()
            asyncio.get_running_loop().call_soon(self._wire.on_ws_disconnected, self)


class TornClient:
    """A client that comes again whenever its connection has broken; `hears` gets every event."""

    def __init__(
        self, hub: StreamHub, secret: str, rng: Random, hears: Callable[[StreamEvent], None]
    ) -> None:
        self._hub = hub
        self._secret = secret
        self._rng = rng
        self._hears = hears
        self._link: TornTransport | None = None
        self._bytes = b""
        self.session = Session(None)
        self.connections = 0
        self.codes: list[int] = []

    @property
    def is_up(self) -> bool:
        """Whether it has a connection."""
        return self._link is not None and not self._link.is_dead

    def connect(self, down: int, up: int) -> None:
        """Connect, and say what the last connection had come to; it breaks now if it has not."""
        if self._link is not None:
            self._link.cut()
        wire = self._hub.accept(Upgrade(f"Bearer {self._secret}", ticket=None))
        wire._unread_of = lambda _transport: Unread(reset=True)
        self._bytes = b""
        self.connections += 1
        self._link = link = TornTransport(wire, self._feed, down, up)
        wire.on_ws_connected(link)  # type: ignore[arg-type]
        for frame in self.session.greeting():
            self.send(frame)

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame, if there is a connection."""
        if self._link is not None:
            self._link.send(json.dumps(frame).encode())

    def read(self, *, is_reading: bool) -> None:
        """Go on reading, or stop to."""
        if self._link is not None:
            self._link.is_reading = is_reading
            self._link.pass_on()

    def _feed(self, data: bytes) -> None:
        self._bytes += data
        while (whole := _cut_frame(self._bytes)) is not None:
            opcode, payload, self._bytes = whole
            if opcode == CLOSE:
                self.codes.append(int.from_bytes(payload[:2], "big"))
                assert self._link is not None
                self._link.cut()
            else:
                for event in self.session.admit(read_event(payload)):
                    self._hears(event)


def _cut_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first whole frame of a server's: opcode, payload, and what follows it."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return data[0] & 15, data[start : start + size], data[start + size :]
