"""A small HTTP/1.1 client on any event loop's `create_connection`, for simulated clients."""

import asyncio

import httptools
from msgspec import Struct


class Reply(Struct, frozen=True):
    """An answer that arrived whole."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpConnection(asyncio.Protocol):
    """One connection, one request at a time; any request may raise ConnectionError."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> Reply:
        """Send a request and wait for the whole answer."""
        if self._error is not None or self._transport is None:
            raise ConnectionError(self._error)
        self._reply = asyncio.get_running_loop().create_future()
        lines = [f"{method} {path} HTTP/1.1", "host: gateway", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        return await self._reply

    def close(self) -> None:
        """Hang up, with or without an answer."""
        if self._transport is not None:
            self._transport.close()

    # --- protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; whoever waits for an answer will not get it."""
        self._error = exc or ConnectionResetError("the server closed the connection")
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionError(self._error))

    # --- parser ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._headers, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        reply = Reply(status, self._headers, b"".join(self._body))
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)
