"""A small WebSocket client on any event loop's `create_connection`, for simulated clients."""

import asyncio
from collections.abc import Callable, Iterator

_TEXT = 0x81
_CLOSE = 0x88
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the nonce of RFC 6455's example: nobody is in between


class WebSocket(asyncio.Protocol):
    """One connection: `on_text` hears of each message; `ended` is done once it is gone."""

    def __init__(self, path: str, headers: dict[str, str], on_text: Callable[[bytes], None]):
        self._head = self._request(path, headers)
        self._on_text = on_text
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._upgraded = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @staticmethod
    def _request(path: str, headers: dict[str, str]) -> bytes:
        fields = {
            "Host": "gateway", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": _KEY, **headers,
        }  # fmt: skip
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    @property
    def is_open(self) -> bool:
        """Whether a message may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, text: bytes) -> None:
        """Send a message; raises ConnectionError when the connection is gone."""
        if self._transport is None or not self.is_open:
            raise ConnectionError("the stream is closed")
        self._transport.write(_masked(_TEXT, text))

    def leave(self) -> None:
        """Say goodbye, and read on until the other end does so too."""
        if self._transport is not None and self.is_open:
            self._transport.write(_masked(_CLOSE, b""))

    def close(self) -> None:
        """Hang up without a word."""
        if self._transport is not None:
            self._transport.close()

    # --- protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """Part of the upgrade's answer, or of frames."""
        self._unread += data
        if not self._upgraded:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.close()
                return
            self._upgraded, self._unread = True, rest
        for opcode, payload in self._frames():
            if opcode == _TEXT:
                self._on_text(payload)
            elif opcode == _CLOSE:
                self.close()

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while len(self._unread) >= 2:
            size, start = self._unread[1], 2
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(self._unread[2:start], "big")
            if len(self._unread) < start + size:
                return
            opcode, payload = self._unread[0], self._unread[start : start + size]
            self._unread = self._unread[start + size :]
            yield opcode, payload

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if not self.ended.done():
            self.ended.set_result(None)


def _masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; a mask of zeros changes nothing."""
    size = len(payload)
    if size < 126:
        head = bytes((opcode, 0x80 | size))
    else:
        head = bytes((opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    return head + bytes(4) + payload
