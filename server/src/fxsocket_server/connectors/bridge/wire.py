"""One FXB/1 connection, at either end: frames of one read decoded together, answers joined."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from fxsocket_server.core import limits
from fxsocket_server.fxb.codec import Decoder, pack
from fxsocket_server.fxb.frames import FrameError
from fxsocket_server.fxb.messages import Bye, ToGateway, ToTerminal

M = TypeVar("M")


class Wire(asyncio.Protocol, Generic[M]):
    """A socket that speaks messages; `on_message` and `on_lost` may be replaced at any time."""

    def __init__(self, decoder: Decoder[M], on_made: Callable[["Wire[M]"], None]) -> None:
        self.decoder = decoder
        self.on_message: Callable[[M], None] = _ignore
        self.on_lost: Callable[[str], None] = _ignore
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._why = ""
        self.over = False

    # --- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no such class
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        if self.over:
            return
        try:
            for message in self.decoder.feed(data):
                if not self.over:  # a message before it may have ended the session
                    self.on_message(message)
        except FrameError as error:
            self.end("protocol", str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        self.on_lost(self._why or (f"the connection broke: {exc}" if exc else "it hung up"))

    # --- sending -----------------------------------------------------------------------------

    def send(self, message: ToGateway | ToTerminal) -> None:
        """Write a message, together with all others of this turn of the loop."""
        if self.over:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(pack(message))

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    @property
    def unsent_bytes(self) -> int:
        """What the other end has not taken yet."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return waiting + sum(map(len, self._out))

    def end(self, code: str, detail: str, retry_ms: int = 0) -> None:
        """Say why, and close; what was sent before still goes out."""
        if self.over:
            return
        self.send(Bye(code=code, detail=detail, retry_ms=retry_ms))
        self._flush()
        self._close(detail)
        if self._transport is not None:  # an end that does not read would keep it open for ever
            seconds = limits.BRIDGE_HELLO_MS / 1000
            asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def cut(self, why: str) -> None:
        """Close at once, for an end that does not answer any more."""
        self._close(why)
        if self._transport is not None:
            self._transport.abort()

    def _close(self, why: str) -> None:
        self.over = True
        self._why = self._why or why
        if self._transport is not None:
            self._transport.close()

    def gone(self, why: str) -> None:
        """The other end said goodbye."""
        self._close(why)


def _ignore(_: Any) -> None:
    pass
