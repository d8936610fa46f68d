"""A TCP proxy between a client and a server, whose connections break at a chosen byte."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: drop what is unsent, and say so with a reset


class Cut:
    """Where a connection breaks: after so many bytes `down` to the client, or `up` from it.

    With `reset` the ends see a reset, else an end. None never breaks.
    """

    def __init__(
        self, *, down: int | None = None, up: int | None = None, reset: bool = False
    ) -> None:
        self.left = {"down": down, "up": up}
        self.reset = reset

    def passed(self, way: str, data: bytes) -> bytes:
        """What of these bytes still passes."""
        left = self.left[way]
        if left is None:
            return data
        self.left[way] = left - min(left, len(data))
        return data[:left]

    def now(self) -> None:
        """Let no further byte pass."""
        self.left = dict.fromkeys(self.left, 0)

    @property
    def is_due(self) -> bool:
        """Whether the connection is to break now."""
        return 0 in self.left.values()


class CuttingProxy:
    """Passes connections on to a server; `plan` says of each where it breaks."""

    def __init__(self, host: str, port: int, plan: Callable[[], Cut]) -> None:
        self._address = (host, port)
        self._plan = plan
        self._server: asyncio.Server | None = None
        self._open: dict[Cut, asyncio.StreamWriter] = {}
        self.broken = 0

    async def start(self) -> int:
        """Listen on a free port of this machine and return it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no more connections."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def break_all(self) -> None:
        """Break every connection that there is."""
        for cut, to_client in self._open.items():
            cut.now()
            to_client.transport.abort()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        cut, writers = self._plan(), [to_client]
        with suppress(OSError):
            server, to_server = await asyncio.open_connection(*self._address)
            writers.append(to_server)
            self._open[cut] = to_client
            ways = (
                asyncio.ensure_future(self._pass_on("up", cut, client, to_server)),
                asyncio.ensure_future(self._pass_on("down", cut, server, to_client)),
            )
            _, others = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                other.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        self._open.pop(cut, None)
        self.broken += cut.is_due
        for writer in writers:
            _end(writer, reset=cut.is_due and cut.reset)

    async def _pass_on(
        self, way: str, cut: Cut, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(_CHUNK_BYTES):
            target.write(cut.passed(way, data))
            await target.drain()
            if cut.is_due:
                return


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    else:
        writer.close()
