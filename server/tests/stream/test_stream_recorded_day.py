"""A recorded day at `max` to 45 readers that keep up and 5 that read 1 KB a second.

Time is the test's own: one millisecond passes in each turn of the event loop.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import pairwise

from fxsocket_server.connectors.sim.feeds import FeedTick
from fxsocket_server.core import limits
from fxsocket_server.storage.tick_files import load_ticks

FAST, SLOW = 45, 5
SLOW_BYTES_PER_S = 1_024
TICK_BYTES = 200  # at most, with its header
# The feed notices that a reader is full when a round has been written to it.
HELD_BYTES = limits.STREAM_MARKET_BYTES + limits.STREAM_QUEUE_MESSAGES * TICK_BYTES


def payloads(data: bytearray) -> Iterator[bytes]:
    """Take the whole frames off the front of what was received."""
    at = 0
    while len(data) - at >= 4:
        size, head = data[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        if len(data) - at < head + size:
            break
        yield bytes(data[at + head : at + head + size])
        at += head + size
    del data[:at]


class Reader:
    """Receives on a bare socket; keeps the ticks' prices, and the gaps that it was told."""

    def __init__(self, client) -> None:
        self._sock = client.sock
        self._unread = bytearray()
        self.bids: list[float] = []
        self.gaps: list[dict] = []

    async def read(self) -> None:
        self._take(await asyncio.get_running_loop().sock_recv(self._sock, 1 << 18))

    def read_now(self, size: int) -> None:
        """What has arrived, if anything: the kernel is slow with windows as small as these."""
        with contextlib.suppress(BlockingIOError):
            self._take(self._sock.recv(size))

    def _take(self, data: bytes) -> None:
        if not data:
            raise EOFError(bytes(self._unread))
        self._unread += data
        for payload in payloads(self._unread):
            if payload.startswith(b'{"type":"tick"'):
                begin = payload.index(b'"bid":') + 6
                self.bids.append(float(payload[begin : payload.index(b",", begin)]))
            elif payload.startswith(b'{"type":"gap"'):
                self.gaps.append(json.loads(payload))

    async def read_ticks(self, count: int) -> None:
        while len(self.bids) < count:
            await self.read()

    @property
    def accounted(self) -> int:
        """Ticks that came, and ticks that were announced as left out."""
        return len(self.bids) + sum(gap["count"] for gap in self.gaps)


async def subscribed(world, stack: AsyncExitStack, **options: int) -> Reader:
    client = await stack.enter_async_context(world.raw(**options))
    await client.send(action="subscribe", symbols=["WS30"])
    assert (await client.recv())["type"] == "subscribed"
    return Reader(client)


def test_the_fast_get_every_tick_in_order_and_the_slow_hold_no_more_than_the_limit(
    play, make_feed, shared_path
):
    day = load_ticks(shared_path("data", "darwinex_ticks_WS30_2018-10-01.csv.gz"), "WS30", 0)
    ticks = [FeedTick(0, ms, symbol, bid, ask) for ms, symbol, bid, ask, _ in day.rows()]

    async def story(world):
        feed = make_feed(world.clock, ticks, lossless=True)
        async with AsyncExitStack() as stack:
            await world.link(feed=feed)
            gate = world.hub._gate
            gate.shut()  # until everybody is there, for the first subscription starts the feed
            slow = [await subscribed(world, stack, receive_bytes=4_096) for _ in range(SLOW)]
            fast = [await subscribed(world, stack, receive_bytes=1 << 18) for _ in range(FAST)]
            wires = [connection.wire for connection in world.hub._connections][:SLOW]
            gate._is_shut = False
            gate.release(("acc_1",))
            reading = [asyncio.create_task(reader.read_ticks(len(ticks))) for reader in fast]
            held = now_ms = 0
            while not all(task.done() for task in reading):
                await asyncio.sleep(0)
                world.timers.advance(1)
                now_ms += 1
                if now_ms % 1_000 == 0:
                    for reader in slow:
                        reader.read_now(SLOW_BYTES_PER_S)
                held = max(held, *(wire.unsent_bytes() for wire in wires))
            prices = [float(tick.bid) for tick in ticks]
            assert all(reader.bids == prices for reader in fast)
            assert not any(reader.gaps for reader in fast)
            assert limits.STREAM_MARKET_BYTES < held <= HELD_BYTES
            for reader in slow:
                while reader.accounted < len(ticks):
                    await reader.read()
                assert reader.gaps
                assert all(after["from"] > before["to"] for before, after in pairwise(reader.gaps))
                assert reader.bids[-1] == prices[-1]

    play(story, account=False, flush_ms=1)
