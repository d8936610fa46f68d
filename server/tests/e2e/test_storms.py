"""I15: everybody comes back at once after a restart, and nobody is refused beyond one retry."""

import asyncio
import base64
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.bridge.listener import Peer
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.security.connector_tokens import token_of
from fxsocket_server.testkit.process import ServerProcess

from ..api.world import MONDAY_MS, on_loop
from ..bridge.rig import LOGIN, SERVER, Booth, Door

KEY = "test-key"
CLIENTS, TERMINALS = 1_000, 50
WATCHDOG_S = 60


def free_port() -> int:
    """A port that a server can have again after it was killed."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def many_files(count: int) -> Iterator[None]:
    """Let this process hold so many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Client:
    """A stream client that counts how often it had to dial."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.attempts = 0

    async def connect(self) -> None:
        """Dial until the stream answers."""
        self.attempts = 0
        while True:  # bounded by the watchdog of the test
            self.attempts += 1
            try:
                await self._dial()
                return
            except (ConnectionError, EOFError):
                await asyncio.sleep(0)

    async def _dial(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        nonce = base64.b64encode(b"0123456789abcdef").decode()
        head = (
            "GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
            f"Authorization: Bearer {KEY}\r\n\r\n"
        )
        self._writer.write(head.encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            raise ConnectionError(answer)

    async def ping(self) -> None:
        """Be answered."""
        text = b'{"action":"ping","id":"1"}'
        self._writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
        _, size = await self._reader.readexactly(2)
        assert json.loads(await self._reader.readexactly(size))["type"] == "pong"

    async def ended(self) -> None:
        """Return once the server is gone."""
        try:
            while await self._reader.read(65_536):
                pass
        except ConnectionError:
            pass
        self._writer.close()


async def everybody(clients: list[Client]) -> None:
    """Dial at once, and be served."""
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.ping() for client in clients))


async def nobody(clients: list[Client]) -> None:
    """Hear the end of the server."""
    await asyncio.gather(*(client.ended() for client in clients))


def test_a_thousand_stream_clients_come_back_at_once(tmp_path: Path) -> None:
    port = free_port()
    server = ServerProcess(tmp_path / "data", "--stream-port", str(port))
    clients = [Client(port) for _ in range(CLIENTS)]
    with server.ending(), many_files(2 * CLIENTS), closing(asyncio.new_event_loop()) as loop:
        server.start()
        loop.run_until_complete(asyncio.wait_for(everybody(clients), WATCHDOG_S))
        server.kill()
        loop.run_until_complete(nobody(clients))
        server.start()
        loop.run_until_complete(asyncio.wait_for(everybody(clients), WATCHDOG_S))
        assert max(client.attempts for client in clients) <= 2
        server.kill()
        loop.run_until_complete(nobody(clients))


@on_loop
async def test_fifty_terminals_come_back_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(MONDAY_MS)
    door, booths = Door(clock), []
    await door.start()
    for number in range(TERMINALS):
        token = token_of(b"p" * 32, f"{number:016d}")
        connector = BridgeConnector(f"acc_{number}", clock, door._opened, door._log)
        door.listener.peers[token.key] = Peer(token, LOGIN + number, SERVER, connector)
        booth = Booth(tmp_path / str(number), clock, seed=number)
        await booth.open()
        booth.dial(door.port, token=token, login=LOGIN + number)
        booths.append(booth)
    for booth in booths:
        await booth.sessions.count(1)
    await door.listener.stop()
    await door.start(door.port)
    for booth in booths:
        while not isinstance(booth.sessions.seen[-1], int):  # until it is back
            await booth.sessions.count(len(booth.sessions.seen) + 1)
        ends = [why for why in booth.sessions.seen if isinstance(why, str)]
        assert len(ends) <= 2, "its session ended, and at most once it was not let in"
        await booth.kill()
    await door.stop()
