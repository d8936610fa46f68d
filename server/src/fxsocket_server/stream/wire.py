"""One client's socket: whole messages in, frames out, bounds, and a close that says why.

Bytes that the client does not read wait here, in sight, not in the kernel. Past the market limit
the wire is full: market data is conflated until it drains to a quarter of that. Past the event
limit it closes with 4008. Ticks and events are queued in the outbox and leave with its next flush;
any other frame takes what is queued along at once, so that all keep their order.
"""

import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from fxsocket_server.channels import frames
from fxsocket_server.channels.close_codes import CloseCode, may_close
from fxsocket_server.channels.frames import Message, framed
from fxsocket_server.core import limits
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.timers import Timer, Timers
from fxsocket_server.stream.unread import Unread, unread_of

_TEXT = WSMsgType.TEXT
_REASON_BYTES = 123  # what a close frame holds beside its code
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # a dead peer: a minute


class Handler(Protocol):
    """What lives at the end of a wire."""

    def opened(self) -> None:
        """The connection is up."""
        ...

    def received(self, message: bytes) -> None:
        """A whole text message came."""
        ...

    def filled(self) -> None:
        """Unsent bytes are over the market limit."""
        ...

    def drained(self) -> None:
        """There is room again."""
        ...

    def ended(self) -> None:
        """Nothing will be sent or received any more; called once, before the socket is gone."""
        ...

    def gone(self) -> None:
        """The socket is closed."""
        ...


class Joiner:
    """Joins the messages of an outbox; connections with equal ones share the joined bytes."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._joined = b""

    def joined(self, messages: list[Message]) -> bytes:
        """The frames of these messages in one piece."""
        if messages != self._messages:
            self._messages = messages.copy()
            self._joined = _joined(messages)
        return self._joined

    def forget(self) -> None:
        """Keep nothing of the last round."""
        self._messages, self._joined = [], b""


def _joined(messages: list[Message]) -> bytes:
    return b"".join([message.framed for message in messages])


def _unconnected(_data: bytes) -> None:
    """What is written before the upgrade goes nowhere."""


class Wire(WSListener):
    """A WebSocket connection; after `close` began it is deaf and mute."""

    handler: Handler

    def __init__(
        self,
        bounds: StreamBounds,
        timers: Timers,
        unread_of: Callable[[Any], Unread] = unread_of,
    ) -> None:
        super().__init__()
        self._bounds = bounds
        self._timers = timers
        self._unread_of = unread_of
        self._transport: WSTransport | None = None
        self._write: Callable[[bytes], None] = _unconnected
        self.outbox: list[Message] = []
        self._message = bytearray()
        self._is_fragmented = False
        self._linger: Timer | None = None
        self._silent_scans = 0
        self.is_full = False
        self.is_closing = False
        self.sent_bytes = 0
        self.unread = Unread()  # once it ends

    @property
    def peer(self) -> str:
        """The address of the socket's other end."""
        assert self._transport is not None
        name = self._transport.underlying_transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    # --- sending -----------------------------------------------------------------------------

    def queue(self, message: Message) -> None:
        """Let a message leave with the next flush, or with the next frame that is sent."""
        self.outbox.append(message)

    def flush(self, joiner: Joiner | None = None) -> None:
        """Send what is queued in one piece."""
        if self.outbox:
            data = joiner.joined(self.outbox) if joiner is not None else _joined(self.outbox)
            self.outbox.clear()
            self._send_now(data)

    def send(self, frame: bytes) -> None:
        """Send a frame at once, behind what is queued."""
        data = framed(frame)
        if self.outbox:
            data = _joined(self.outbox) + data
            self.outbox.clear()
        self._send_now(data)

    def _send_now(self, data: bytes) -> None:
        """Write bytes, or keep them until the client reads; too much unread closes with 4008."""
        if self.is_closing:
            return
        self._silent_scans = 0
        self.sent_bytes += len(data)
        self._write(data)
        if self.is_full and self.unsent_bytes() > self._bounds.event_bytes:
            self.close(
                CloseCode.SLOW_READER,
                f"over {self._bounds.event_bytes} bytes unread; reconnect and resume",
            )

    def unsent_bytes(self) -> int:
        """What was written here and is not yet with the kernel; the outbox does not count."""
        assert self._transport is not None
        return self._transport.underlying_transport.get_write_buffer_size()

    def scan(self, heartbeat: bytes) -> None:
        """Send the heartbeat when nothing was sent for as many scans as one heartbeat has."""
        self._silent_scans += 1
        if self._silent_scans >= limits.STREAM_HEARTBEAT_SCANS and not self.is_full:
            self.send(heartbeat)

    # --- closing -----------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what is unsent, and wait a while for the client's own."""
        if self._transport is not None:
            self.flush()  # which may find that too much is unread, and close
        if self.is_closing or self._transport is None:
            return
        self.is_closing = True
        self._send_close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))
        self.handler.ended()

    def _send_close(self, code: int, reason: str) -> None:
        assert self._transport is not None
        # Typed as an enumeration of the RFC's codes, but any code may stand in a close frame.
        self._transport.send_close(cast("WSCloseCode", code), reason)
        # The client may send on until it reads the close; resetting it now could lose the reason.
        self._linger = self._timers.after(self._bounds.close_ms, self.abort)

    def abort(self) -> None:
        """Drop the socket without another word."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def refuse(self, code: str, detail: str) -> None:
        """Close with 4506 on a message that this protocol has no place for."""
        self.send(frames.error(code, detail))
        self.close(CloseCode.PROTOCOL_ERROR, detail)

    # --- what picows calls -------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport
        self._write = transport.underlying_transport.write
        high = self._bounds.market_bytes
        transport.underlying_transport.set_write_buffer_limits(high=high, low=high // 4)
        _tune(transport.underlying_transport.get_extra_info("socket"))
        self.handler.opened()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        has_reserved_bits = frame.rsv1 or frame.rsv2 or frame.rsv3
        if has_reserved_bits and not self.is_closing:
            self.refuse("bad_request", "reserved bits are set, but no extension was agreed on")
        elif frame.msg_type is WSMsgType.CLOSE:
            self._on_close(frame)
        elif self.is_closing or frame.msg_type is WSMsgType.PONG:
            return
        elif frame.msg_type is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.BINARY:
            self.refuse("unsupported_media_type", "binary frame; send JSON in text frames")
        elif (frame.msg_type is _TEXT) == self._is_fragmented:
            self.refuse("bad_request", "the fragments of two messages are mixed")
        else:
            self._on_text(frame)

    def _on_text(self, frame: WSFrame) -> None:
        if len(self._message) + frame.payload_size > self._bounds.frame_bytes:
            limit = f"a frame may hold {self._bounds.frame_bytes} bytes"
            self.refuse("payload_too_large", f"{limit}; send smaller ones")
            return
        self._message += frame.get_payload_as_memoryview()
        self._is_fragmented = not frame.fin
        if frame.fin:
            message = bytes(self._message)
            self._message.clear()
            self.handler.received(message)

    def _on_close(self, frame: WSFrame) -> None:
        assert self._transport is not None
        if not self.is_closing:
            self.is_closing = True
            self.unread = self._unread_of(self._transport.underlying_transport)
            self._send_close(_answer_to(frame), "")
            self.handler.ended()
        self._transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone, whoever ended it."""
        if self._linger is not None:
            self._linger.cancel()
        if not self.is_closing:
            self.is_closing = True
            self.unread = self._unread_of(transport.underlying_transport)
            self.handler.ended()
        self.handler.gone()

    def pause_writing(self) -> None:
        """Unsent bytes went over the high mark."""
        self.is_full = True
        if not self.is_closing:
            self.handler.filled()

    def resume_writing(self) -> None:
        """Unsent bytes sank to the low mark."""
        self.is_full = False
        if not self.is_closing:
            self.handler.drained()


def _answer_to(close: WSFrame) -> int:
    """The code that answers a client's close: its own, if that may stand in a frame."""
    if not close.payload_size:
        return WSCloseCode.OK.value
    may_stand = close.payload_size > 1 and may_close(close.get_close_code().value)
    return close.get_close_code().value if may_stand else WSCloseCode.PROTOCOL_ERROR.value


def _tune(sock: socket.socket) -> None:
    """Leave little unsent to the kernel, and let it notice a peer that vanished."""
    # Windows has none of the first, and names the others otherwise.
    lowat = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if lowat is not None:
        sock.setsockopt(socket.IPPROTO_TCP, lowat, limits.STREAM_KERNEL_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
