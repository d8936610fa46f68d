"""One end of the socket between gateway and stream: whole messages in and out, in order."""

import asyncio
from collections.abc import Callable
from typing import cast

from fxsocket_server.core import limits
from fxsocket_server.stream.apart.messages import LENGTH_BYTES, Message, framed


class Link(asyncio.Protocol):
    """Hands each whole message on, still encoded; `lost` is called once, at the end.

    An end that takes nothing any more is cut off: the other goes on without it.
    """

    def __init__(
        self,
        opened: Callable[["Link"], None],
        received: Callable[[bytes], None],
        lost: Callable[["Link"], None],
    ) -> None:
        self._opened = opened
        self._received = received
        self._lost = lost
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None

    @property
    def is_up(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: Message) -> None:
        """Send a message; into a link that is down it goes nowhere."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(framed(message))
        if self._transport.get_write_buffer_size() > limits.STREAM_LINK_BYTES:
            self._transport.abort()

    def cut(self) -> None:
        """End the link at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The other end is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Take the whole messages off the front."""
        unread, at = self._unread, 0
        unread += data
        while len(unread) - at >= LENGTH_BYTES:
            end = at + LENGTH_BYTES + int.from_bytes(unread[at : at + LENGTH_BYTES], "big")
            if len(unread) < end:
                break
            body = bytes(unread[at + LENGTH_BYTES : end])
            at = end
            self._received(body)
        del unread[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._lost(self)
