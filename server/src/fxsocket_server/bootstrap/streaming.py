"""Where the stream runs: in the server's own process, or in one beside it that is kept running."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.core import limits
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.security.ip_rules import TrustedProxies, ip_rule
from fxsocket_server.stream.apart.far import FarBackend
from fxsocket_server.stream.apart.near import NearEnd
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.hub import StreamHub
from fxsocket_server.stream.server import StreamServer


class StreamOptions(Struct, frozen=True, kw_only=True):
    """What a stream needs to know, in whatever process it runs."""

    host: str
    port: int
    flush_ms: float
    trusted_proxy: tuple[str, ...] = ()
    allowed_origin: tuple[str, ...] = ()
    tls: tuple[str, str] | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context of its TLS, if it speaks TLS itself."""
        if self.tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        return context


class ProcessOptions(Struct, frozen=True, kw_only=True):
    """How a stream process finds the server that started it, and the port that it was given."""

    stream: StreamOptions
    link: str
    listener_fd: int
    parent_pid: int


class StreamProcess:
    """The stream as a process of its own: one that ends is followed by another.

    The server itself holds the port, so clients that come meanwhile wait instead of being refused.
    """

    def __init__(self, near: NearEnd, options: StreamOptions, log: FilteringBoundLogger) -> None:
        self._near = near
        self._options = options
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def start(self) -> int:
        """Take the port and return it once the process listens on it."""
        self._listener = socket.create_server(
            (self._options.host, self._options.port),
            family=socket.AF_INET6 if ":" in self._options.host else socket.AF_INET,
            backlog=limits.STREAM_BACKLOG,
        )
        # A folder of its own: the path of a unix socket is short, that of the data may not be.
        self._folder = Path(tempfile.mkdtemp(prefix="fxsocket-"))
        path = self._folder / "bus"
        await self._near.start(path)
        self._keeper = asyncio.create_task(self._keep_running(path), name="stream process")
        return await self._near.listening

    async def _keep_running(self, path: Path) -> None:
        options = ProcessOptions(
            stream=self._options, link=str(path), listener_fd=self._listener.fileno(),
            parent_pid=os.getpid(),
        )  # fmt: skip
        while not self._is_stopping:  # until the server stops
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fxsocket_server", "stream-process",
                msgspec.json.encode(options).decode(),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=(options.listener_fd,),
            )  # fmt: skip
            code = await self._process.wait()
            if not self._is_stopping:
                self._log.error("the stream process ended; another follows", code=code)
                await asyncio.sleep(limits.STREAM_PROCESS_RETRY_MS / 1000)

    async def stop(self) -> None:
        """Let it part from its clients, within the shutdown time."""
        if self._keeper is None:
            return
        self._is_stopping = True
        await self._near.stop()
        done, _ = await asyncio.wait((self._keeper,), timeout=limits.SHUTDOWN_MS / 1000)
        if not done and self._process is not None:
            self._process.kill()
            await self._keeper
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)


async def run_stream_process(options: ProcessOptions) -> None:
    """Be the stream of the server that started this process, until it says stop or is gone."""
    log, clock = structlog.get_logger(), SystemClock()
    bus = InProcessBus(
        lambda topic, error: log.error("a subscriber failed", topic=topic, exc_info=error)
    )
    backend = FarBackend(bus, clock, IdFactory(os.urandom, clock.wall_ms))
    hub = StreamHub(
        backend, bus, clock, log,
        bounds=StreamBounds(flush_ms=options.stream.flush_ms),
        proxies=TrustedProxies([ip_rule(text) for text in options.stream.trusted_proxy]),
    )  # fmt: skip
    backend.serve(hub)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, backend.stopped.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the server tells when to stop

    def is_orphan() -> bool:
        return os.getppid() != options.parent_pid

    linked = asyncio.create_task(backend.keep_linked(options.link, is_orphan))
    await backend.greeted.wait()
    listener = socket.socket(fileno=options.listener_fd)
    server = StreamServer(
        hub, "", 0, options.stream.ssl_context(),
        listener=listener, origins=options.stream.allowed_origin,
    )  # fmt: skip
    backend.listens(await server.start())
    await backend.stopped.wait()
    await server.stop()
    backend.close()
    linked.cancel()
    if is_orphan():
        shutil.rmtree(Path(options.link).parent, ignore_errors=True)
