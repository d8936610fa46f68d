"""The bridge's door: FXB/1 frames in, a clear refusal out while no account expects a terminal.

A frame is a 4-byte big-endian length and a JSON object. A terminal that says hello is answered
`bye` with the reason and when to try again; anything else is cut off.
"""

import asyncio
import struct

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode

_LENGTH = struct.Struct(">I")


class Hello(msgspec.Struct, tag_field="t", tag="hello"):
    """What a terminal says first; more members may come."""

    login: int = 0
    server: str = ""
    impl: str = ""


class Bye(msgspec.Struct, tag_field="t", tag="bye"):
    """The end of a session: why, and when another try makes sense."""

    code: str
    detail: str
    retry_ms: int


_decode_hello = msgspec.json.Decoder(Hello).decode


class _Session(asyncio.Protocol):
    """One terminal's connection."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        seconds = limits.BRIDGE_HELLO_MS / 1000
        self._deadline = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) < _LENGTH.size:
            return
        (length,) = _LENGTH.unpack_from(self._received)
        if length > limits.BRIDGE_FRAME_BYTES:
            self._end("version", f"a frame holds at most {limits.BRIDGE_FRAME_BYTES} bytes")
        elif len(self._received) >= _LENGTH.size + length:
            self._answer(self._received[_LENGTH.size : _LENGTH.size + length])

    def _answer(self, body: bytes) -> None:
        try:
            hello = _decode_hello(body)
        except (msgspec.DecodeError, RecursionError):
            self._end("version", 'the first frame must be FXB/1 JSON with "t":"hello"')
            return
        self._end(
            "policy",
            f"no account of this server expects a terminal with login {hello.login}"
            f" on {hello.server!r}; it runs simulated accounts only",
        )

    def _end(self, code: str, detail: str) -> None:
        assert self._transport is not None
        body = encode(Bye(code, detail, limits.BRIDGE_RETRY_MS))
        self._transport.write(_LENGTH.pack(len(body)) + body)
        self._transport.close()


class BridgeListener:
    """Listens for terminals."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(_Session, self._host, self._port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
