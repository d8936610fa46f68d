"""Serves the REST application with uvicorn inside a loop that somebody else owns."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable, Iterator
from typing import Protocol, cast

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from fxsocket_server.api.protocol import ConnectionBounds, GuardedProtocol, House
from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.security.doorkeeper import Doorkeeper


class App(Protocol):
    """What answers requests, and what never became one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        ...

    def raw_answer(self, problem: Problem) -> bytes:
        """A whole HTTP answer to what never became a request."""
        ...


def _config(app: App, house: House, tls: tuple[str, str] | None = None) -> uvicorn.Config:
    protocol = functools.partial(GuardedProtocol, house)
    certificate, key = tls or (None, None)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=cast(type[asyncio.Protocol], protocol),  # uvicorn calls it, no more
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=None,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


def http_protocols(
    app: App, unacknowledged: Callable[[asyncio.Transport], int]
) -> Callable[[], asyncio.Protocol]:
    """Makes the protocol of each connection of the REST port, for transports without sockets."""
    house = House(
        doorkeeper=Doorkeeper(limits.CONNECTIONS, limits.CONNECTIONS_UNKNOWN),
        refusal=app.raw_answer,
        unacknowledged=unacknowledged,
    )
    config = _config(app, house)
    config.load()
    return functools.partial(
        GuardedProtocol, house, config=config, server_state=ServerState(), app_state={}
    )


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: Ctrl-C belongs to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class RestServer:
    """The REST port."""

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        tls: tuple[str, str] | None = None,
        *,
        delivery: Callable[[], Delivery] = Delivery,
        bounds: ConnectionBounds | None = None,
    ) -> None:
        self.doorkeeper: Doorkeeper[GuardedProtocol] = Doorkeeper(
            limits.CONNECTIONS, limits.CONNECTIONS_UNKNOWN
        )
        house = House(
            doorkeeper=self.doorkeeper,
            refusal=app.raw_answer,
            delivery=delivery,
            bounds=bounds or ConnectionBounds(),
        )
        self._socket = socket.create_server((host, port), backlog=2048)
        self._server = _Server(_config(app, house, tls))
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Serve; returns once connections are accepted."""
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="rest")
        while not self._server.started:  # until startup has run, or has failed
            if self._task.done():
                self._task.result()
                raise RuntimeError("the REST server ended at start")
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """Answer what is under way, then close."""
        if self._task is None:
            return
        self._server.should_exit = True
        try:
            await asyncio.wait_for(self._task, limits.SHUTDOWN_MS / 1000)
        except TimeoutError:
            self._server.force_exit = True
