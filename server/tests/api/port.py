"""A REST port whose answers leave when a test says so, and raw sockets to talk to it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fxsocket_server.api.protocol import ConnectionBounds
from fxsocket_server.api.server import RestServer
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.delivery import Delivery

BIG = 32 * 1024 * 1024  # more than the kernel takes at once


class Watch(Delivery):
    """What the socket told of one answer."""

    def __init__(self, port: "Port") -> None:
        super().__init__()
        self.told: list[str] = []
        self._port = port

    def answer_written(self) -> None:
        self._note("written")

    def connection_lost(self, *, reset: bool) -> None:
        self._note("reset" if reset else "ended")

    def _note(self, what: str) -> None:
        self.told.append(what)
        self._port.changed.set()


class Port:
    """`POST /now` is answered at once, `/wait` when `gate` is set, `/big` with many bytes."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        self.watches: list[Watch] = []
        self.changed = asyncio.Event()
        self.gate = asyncio.Event()
        self.served: list[str] = []
        self.left = 0
        self.server = RestServer(self, "127.0.0.1", 0, delivery=self._watch, bounds=bounds)
        self.lines: list[Line] = []
        self._count_leaving()

    def _watch(self) -> Watch:
        self.watches.append(Watch(self))
        self.changed.set()
        return self.watches[-1]

    def _count_leaving(self) -> None:
        leave = self.server.doorkeeper.leave

        def counted(guest: Any) -> None:
            leave(guest)
            self.left += 1
            self.changed.set()

        self.server.doorkeeper.leave = counted  # type: ignore[method-assign]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        path = scope["path"]
        self.served.append(path)
        self.changed.set()
        if path == "/known":
            scope["fxs.trust"]()
        if path.startswith("/wait"):
            await self.gate.wait()
        size = BIG if path == "/big" else 2
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * size})

    def raw_answer(self, problem: Problem) -> bytes:
        """The code alone."""
        return b"HTTP/1.1 %d -\r\n\r\n%s" % (problem.kind.status, problem.kind.code.encode())

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once something that this port tells of holds."""
        while not condition():  # bounded by the test's watchdog
            self.changed.clear()
            await self.changed.wait()

    async def told(self, *expected: list[str]) -> None:
        """What the watches were told is this, and stays so when the connection has ended."""
        await self.until(lambda: [watch.told for watch in self.watches] == list(expected))

    async def connect(self) -> "Line":
        """A raw connection."""
        connection = socket.create_connection(("127.0.0.1", self.server.port))
        connection.setblocking(False)
        self.lines.append(Line(connection))
        return self.lines[-1]


class Line:
    """The client's end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def post(self, path: str, *more: str) -> None:
        """Send a request without a body."""
        lines = (f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 0", *more, "", "")
        await self.send("\r\n".join(lines).encode())

    async def read(self, size: int) -> bytes:
        """So many bytes, or what came before the end."""
        data = b""
        while len(data) < size:  # bounded by the end of the connection
            got = await self._loop.sock_recv(self.socket, size - len(data))
            if not got:
                break
            data += got
        return data

    async def head(self) -> bytes:
        """The head of an answer, or what came of it before the end."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # bounded by the end of the connection
            byte = await self.read(1)
            if not byte:
                break
            head += byte
        return head

    async def answer(self) -> bytes:
        """A whole answer: its head names how many bytes follow."""
        head = await self.head()
        size = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        return head + await self.read(int(size or 0))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.read(BIG * 2)

    def close(self) -> None:
        """FIN, or RST when something was left unread."""
        self.socket.close()

    def reset(self) -> None:
        """RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self) -> None:
        """FIN, but go on reading."""
        self.socket.shutdown(socket.SHUT_WR)


@asynccontextmanager
async def open_port(**bounds: int) -> AsyncIterator[Port]:
    port = Port(ConnectionBounds(**bounds))
    await port.server.start()
    try:
        yield port
    finally:
        port.gate.set()
        for line in port.lines:
            line.close()
        await port.server.stop()
