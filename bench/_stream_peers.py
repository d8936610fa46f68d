"""Python peers that fan ticks out over WebSocket, each by its own idiomatic send.

`python _stream_peers.py websockets|uvicorn` prints one JSON line when it is ready. Lines on
standard input set the pace: ticks a second, `flood` or 0. A tick is 120 bytes and holds the moment
at which it was made. While a reader has more than 64 KiB unread, a flood waits.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

MODULUS = 10**10
UNREAD_BYTES = 64 * 1024
TURN_TICKS = 64


def tick() -> str:
    """A tick of 120 bytes."""
    bid = time.monotonic_ns() // 1_000 % MODULUS / 1e5
    return f'{{"type":"tick","symbol":"GBPUSD","bid":{bid:.5f},"timestamp":"'.ljust(118, "0") + '"}'


class Publisher(Protocol):
    """Sends one tick to every reader; returns when the next may follow."""

    async def __call__(self, text: str, /) -> None:
        """Send it."""
        ...


class Pace:
    """Publishes at the pace that standard input sets."""

    def __init__(self) -> None:
        self._text = "0"
        threading.Thread(target=self._obey, daemon=True).start()

    def _obey(self) -> None:
        for line in sys.stdin:
            self._text = line.strip()

    async def drive(self, publish: Publisher) -> None:
        """Publish until the process ends."""
        text, due_s, count = "0", 0.0, 0
        while True:  # until the process ends
            if text != self._text:
                text, due_s = self._text, time.monotonic()
            if text == "flood":
                count += 1
                if count % TURN_TICKS == 0:
                    await asyncio.sleep(0)
            elif float(text):
                due_s += 1 / float(text)
                if (wait_s := due_s - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
            else:
                await asyncio.sleep(0.02)
                continue
            await publish(tick())


def ready(listener: socket.socket) -> None:
    """Say where it listens."""
    address = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    sys.stdout.write(json.dumps({"rest": address, "stream": address}) + "\n")
    sys.stdout.flush()


def _is_full(connections: Iterable[ServerConnection]) -> bool:
    return any(c.transport.get_write_buffer_size() > UNREAD_BYTES for c in connections)


async def run_websockets() -> None:
    """The `websockets` package and its broadcast()."""
    connections: set[ServerConnection] = set()

    async def handler(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async def publish(text: str) -> None:
        broadcast(connections, text)
        while _is_full(connections):  # noqa: ASYNC110 - until they have read
            await asyncio.sleep(0)

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    async with serve(handler, sock=listener, compression=None, ping_interval=None):
        ready(listener)
        await Pace().drive(publish)


async def run_uvicorn() -> None:
    """uvicorn with its websockets-sansio protocol, as an ASGI application."""
    sends: dict[object, Callable[[Any], Awaitable[None]]] = {}

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        sends[send] = send
        while (await receive())["type"] != "websocket.disconnect":
            continue
        del sends[send]

    async def publish(text: str) -> None:
        for send in list(sends.values()):
            await send({"type": "websocket.send", "text": text})

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app, loop="uvloop", ws="websockets-sansio", ws_per_message_deflate=False,
        ws_ping_interval=None, lifespan="off", access_log=False, log_config=None,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    ready(listener)
    driver = asyncio.create_task(Pace().drive(publish))
    await uvicorn.Server(config).serve([listener])
    driver.cancel()


if __name__ == "__main__":
    try:
        uvloop.run({"websockets": run_websockets, "uvicorn": run_uvicorn}[sys.argv[1]]())
    except KeyboardInterrupt:
        sys.exit(0)
