"""The stream's port: WebSocket upgrades on /v1/stream, nothing else."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs

from msgspec import Struct
from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)
from structlog.typing import FilteringBoundLogger

from fxsocket_server.core import limits
from fxsocket_server.security.origins import may_open
from fxsocket_server.stream.hub import StreamHub

PATH = "/v1/stream"
_FOREIGN = (
    "a page of this origin may not open a stream here; start the server with --allowed-origin, or "
    "send the Authorization header"
)
_READ_BUFFER_BYTES = 4 * 1024  # grows as needed; most clients send little
_STOP_SHARE = 2 / 3  # of the shutdown time; the rest is for what stops after the stream


class Upgrade(Struct, frozen=True):
    """What an upgrade request says of who is asking."""

    authorization: str | None
    ticket: str | None
    forwarded: tuple[str, ...] = ()


class StreamServer:
    """Listens for clients of a hub; `ssl_context` None serves plain ws://.

    A `listener` that is bound already takes the place of host and port. `own_net` says that the
    event loop's own servers are to be used, for one that has no sockets.
    `origins` are web pages that may open a stream beside those of its own host.
    """

    def __init__(
        self,
        hub: StreamHub,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None = None,
        *,
        listener: socket.socket | None = None,
        own_net: bool = False,
        origins: Collection[str] = (),
    ) -> None:
        self._listener = listener
        self._hub = hub
        self._origins = frozenset(origin.lower() for origin in origins)
        self._host = host
        self._port = port
        self._ssl = ssl_context
        self._own_net = own_net
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port, which was chosen by the system when 0 was asked for."""
        where: dict[str, Any] = {"host": self._host, "port": self._port}
        self._server = await ws_create_server(
            self._upgrade,
            **(where if self._listener is None else {"sock": self._listener}),
            ssl=self._ssl,
            max_frame_size=limits.STREAM_RAW_FRAME_BYTES,
            enable_auto_pong=False,  # it would answer pings with reserved bits, too
            read_buffer_init_size=_READ_BUFFER_BYTES,
            use_aiofastnet=False if self._own_net else None,
            websocket_handshake_timeout=limits.STREAM_AUTH_MS / 1000,
            logger_name=cast("logging.Logger", _SocketLog(self._hub.log)),
        )
        self._hub.start()
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no new clients, and part from the others within the shutdown time."""
        if self._server is None:
            return
        self._server.close()
        await self._hub.stop(limits.SHUTDOWN_MS * _STOP_SHARE)

    def _upgrade(
        self, request: WSUpgradeRequest
    ) -> WSListener | WSUpgradeResponseWithListener | None:
        path, _, query = request.path.decode("latin-1").partition("?")
        if path != PATH:
            return _refusal(HTTPStatus.NOT_FOUND, f"the stream is at {PATH}")
        if self._hub.is_crowded:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; come later")
        _mend_connection_header(request)
        authorization = request.headers.get("Authorization")
        origin = request.headers.get("Origin")
        if authorization is None and origin is not None:
            host = request.headers.get("Host", "")
            if not may_open(origin, host, self._origins):
                return _refusal(HTTPStatus.FORBIDDEN, _FOREIGN)
        tickets = parse_qs(query, keep_blank_values=True).get("ticket", [None])
        forwarded = tuple(request.headers.getall("X-Forwarded-For", ()))
        return self._hub.accept(Upgrade(_utf8(authorization), tickets[0], forwarded))


def _refusal(status: HTTPStatus, detail: str) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_error_response(status, detail.encode())
    return WSUpgradeResponseWithListener(response, None)


def _mend_connection_header(request: WSUpgradeRequest) -> None:
    """Accept `Connection: keep-alive, Upgrade`, which browsers send and picows refuses."""
    tokens = request.headers.get("Connection", "").lower().split(",")
    if "upgrade" in [token.strip() for token in tokens]:
        request.headers["Connection"] = "upgrade"


def _utf8(header: str | None) -> str | None:
    """A header as the UTF-8 that it was sent in; picows keeps other bytes as surrogates."""
    if header is None:
        return None
    with contextlib.suppress(UnicodeError):
        return header.encode("ascii", "surrogateescape").decode()
    return header


class _SocketLog:
    """What picows logs, in our log: a client's mistakes are no errors of the server's."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        self._log = logger

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (logging's own name)
        """Whether picows may spend time on a message of this level."""
        return level >= logging.WARNING

    def log(self, level: int, message: str, *args: object) -> None:
        """Debugging of single frames: left out."""

    def debug(self, message: str, *args: object) -> None:
        """Left out."""

    def info(self, message: str, *args: object) -> None:
        """One line per connection: left out."""

    def warning(self, message: str, *args: object) -> None:
        """A client or its network misbehaves."""
        self._log.debug("stream client", message=message % args)

    def error(self, message: str, *args: object) -> None:
        """A client breaks the protocol; picows has closed it with the RFC's code."""
        self._log.debug("stream client", message=message % args)

    def exception(self, message: str, *args: object) -> None:
        """The server itself failed on a message."""
        self._log.error("stream failed", message=message % args, exc_info=True)
