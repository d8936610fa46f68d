"""One WebSocket connection: opening it, and the answers that are waited for on it."""

import asyncio
import logging
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fxsocket import _runtime
from fxsocket._config import Config, is_loopback
from fxsocket.errors import ConnectionLost

FRAME_BYTES_MAX: Final = 16 * 2**20
CLOSE_TIMEOUT_S: Final = 2.0


class _NoKeyInLogs(logging.Filter):
    """The WebSocket library writes request headers at DEBUG level, the key among them."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args
        if isinstance(args, tuple) and any(str(a).lower() == "authorization" for a in args):
            record.args = tuple("***" if "bearer" in str(a).lower() else a for a in args)
        return True


_wire_log = logging.getLogger("fxsocket.stream.wire")
_wire_log.addFilter(_NoKeyInLogs())


def open_socket(config: Config) -> connect:
    """Open the stream's WebSocket; the key goes in the Authorization header, never in the URL."""
    return connect(
        config.stream_url,
        additional_headers={"Authorization": config.key.authorization()},
        user_agent_header=_runtime.user_agent(),
        open_timeout=config.connect_timeout,
        ping_interval=None,  # the supervisor pings, and only when it listens in vain
        close_timeout=CLOSE_TIMEOUT_S,
        max_size=FRAME_BYTES_MAX,
        compression=None,
        proxy=None if is_loopback(config.stream_url) else True,
        logger=_wire_log,
    )


class Link:
    """A live connection; `number` tells it from the ones before."""

    def __init__(self, socket: ClientConnection, number: int) -> None:
        self.number = number
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether someone waits for an answer on this connection."""
        return bool(self._waiting)

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame; raises ConnectionLost."""
        try:
            await self._socket.send(msgspec.json.encode(frame).decode())
        except ConnectionClosed as error:
            raise _lost() from error

    async def receive(self) -> bytes:
        """The next frame; raises websockets' ConnectionClosed."""
        return await self._socket.recv(decode=False)

    async def ping(self) -> None:
        """Ask for a sign of life and wait for it; raises websockets' ConnectionClosed."""
        await (await self._socket.ping())

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a frame and wait for the answer with its id; raises ConnectionLost."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[frame["id"]] = future
        try:
            await self.send(frame)
            return await future
        finally:
            self._waiting.pop(frame["id"], None)

    def answer(self, frame_id: str | None, raw: dict[str, Any]) -> bool:
        """Hand a frame to whoever waits for it; False when nobody does."""
        future = self._waiting.get(frame_id) if frame_id is not None else None
        if future is None or future.done():
            return False
        future.set_result(raw)
        return True

    async def close(self) -> None:
        """Close the connection as a client that has finished."""
        await self._socket.close()

    def abort(self) -> None:
        """Cut the connection; a dead server would not answer the closing handshake."""
        self._socket.transport.abort()

    def lost(self) -> None:
        """Tell everyone who waits that no answer will come."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_lost())


def _lost() -> ConnectionLost:
    error = ConnectionLost("the stream's connection broke before the answer came")
    error.maybe_executed = True
    return error
