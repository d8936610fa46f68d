"""Events between socket and consumer, bounded in bytes.

Nothing is ever dropped here: a full inbox stops the reading, so that the server notices a slow
reader and decides by its own rules what to leave out.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from fxsocket.events import Heartbeat, StreamEvent


class Arrived(NamedTuple):
    """An event, its size on the wire in bytes, and which connection it came over."""

    event: StreamEvent
    size: int
    connection: int


class Inbox:
    """A queue for one reader and one consumer in the same event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        # tidy: unbounded because the limit is in bytes, and the reader keeps to it
        self._queue: deque[Arrived] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def held_bytes(self) -> int:
        """Bytes of frames that wait for the consumer."""
        return self._held_bytes

    def put(self, arrived: Arrived) -> None:
        """Add one event; a heartbeat replaces a heartbeat that nobody has read yet."""
        latest = self._queue[-1].event if self._queue else None
        if isinstance(latest, Heartbeat) and isinstance(arrived.event, Heartbeat):
            return
        self._queue.append(arrived)
        self._hold(arrived.size)
        self._filled.set()

    async def room(self) -> None:
        """Wait until the consumer took something, or `make_room` was called."""
        self._room.clear()
        await self._room.wait()

    def make_room(self) -> None:
        """Let the reader look again: someone now waits for an answer behind what is queued."""
        self._room.set()

    def is_full(self, times: int = 1) -> bool:
        """Whether `times` the limit is held."""
        return self._held_bytes >= times * self._limit_bytes

    async def take(self, most: int) -> list[Arrived]:
        """Wait for events and take up to `most`; an empty list says that the stream was closed.

        Raises what ended the stream, each time.
        """
        while not self._queue:
            if self._closed:
                return []
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        self._hold(-sum(arrived.size for arrived in taken))
        return taken

    def fail(self, error: BaseException) -> None:
        """End the stream: the consumer gets what is queued, then this error."""
        self._error = error
        self._filled.set()

    def close(self) -> None:
        """End the stream because the consumer wishes it."""
        self._closed = True
        self._queue.clear()
        self._hold(-self._held_bytes)
        self._filled.set()

    def _hold(self, more_bytes: int) -> None:
        self._held_bytes += more_bytes
        if more_bytes < 0:
            self._room.set()
