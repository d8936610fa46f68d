"""One client's ticks while it is behind, on a wire that fills when the test says so."""

import json
from typing import Any

import pytest

from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.frames import TickFrame
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.gate import Gate

ACC, STALL_MS = "acc_1", 2_000


class Wire:
    """Takes `room` frames, then it is full."""

    def __init__(self) -> None:
        self.room = 10**9
        self.frames: list[dict] = []
        self.outbox: list[TickFrame] = []
        self.connection: Connection

    @property
    def is_full(self) -> bool:
        return self.room <= 0

    def send(self, frame: bytes) -> None:
        self.frames.append(json.loads(frame))
        self.room -= 1
        if self.room == 0:
            self.connection.filled()

    def flush(self) -> None:
        while self.outbox:
            self.send(self.outbox.pop(0).plain)

    def drain(self, room: int) -> None:
        self.room = room
        self.connection.drained()

    def shown(self) -> list[tuple]:
        """What was sent since the last look."""
        frames, self.frames = self.frames, []
        return [
            (f["symbol"], f["n"]) if f["type"] == "tick" else (f["symbol"], f["from"], f["to"])
            for f in frames
        ]


class NoLog:
    def drained(self) -> None:
        pass


class World:
    def __init__(self, timers) -> None:
        self.clock = ManualClock()
        self.readers: FeedReaders = FeedReaders(STALL_MS)
        self.gate: Gate = Gate(self.readers, self.clock, timers)
        self.wire = Wire()
        parts: Any = (self.wire, NoLog(), self.readers, self.gate, self.clock, None, None)
        self.connection = Connection(*parts)
        self.wire.connection = self.connection
        self.readers.subscribe(self.connection, ACC, ["E", "G", "U"], pace=False)
        self.n = 0

    def tick(self, *symbols: str) -> None:
        for symbol in symbols:
            self.n += 1
            plain = json.dumps({"type": "tick", "symbol": symbol, "n": self.n}).encode()
            self.connection.take(TickFrame(ACC, symbol, self.n, plain=plain))
            self.wire.flush()


@pytest.fixture
def world(manual_timers) -> World:
    return World(manual_timers(ManualClock()))


def test_a_live_feed_s_ticks_wait_conflated_while_the_wire_is_full(world):
    world.wire.room = 1
    world.tick("E", "E", "G", "E")
    assert world.wire.shown() == [("E", 1)]
    world.wire.drain(100)
    assert world.wire.shown() == [("G", 3), ("E", 2, 2), ("E", 4)]
    world.tick("E")
    assert world.wire.shown() == [("E", 5)]


def test_a_lossless_feed_s_ticks_go_out_until_the_reader_has_stalled(world):
    world.gate.held(ACC, lossless=True)
    world.wire.room = 1
    world.tick("E", "E")
    assert world.wire.shown() == [("E", 1), ("E", 2)]
    world.clock.advance(STALL_MS)
    world.tick("E", "E")
    assert world.wire.shown() == []
    world.wire.drain(100)
    assert world.wire.shown() == [("E", 3, 3), ("E", 4)]


def test_late_ticks_that_fill_the_wire_again_keep_their_place(world):
    """Full anew, and not stalled anew: still no tick may overtake an older one of its symbol."""
    world.gate.held(ACC, lossless=True)
    world.wire.room = 1
    world.tick("U")
    world.clock.advance(STALL_MS)
    world.tick("E", "G", "G")
    assert world.wire.shown() == [("U", 1)]
    world.wire.drain(1)
    assert world.wire.shown() == [("E", 2)]
    world.tick("G", "U")
    assert world.wire.shown() == []
    world.wire.drain(100)
    assert world.wire.shown() == [("G", 3, 4), ("G", 5), ("U", 6)]


def test_a_reader_that_is_full_again_is_waited_for_again(world):
    world.wire.room = 1
    world.tick("E")
    world.clock.advance(STALL_MS)
    assert not world.gate.held(ACC, lossless=True)
    world.wire.drain(1)
    assert not world.gate.held(ACC, lossless=True)
    world.tick("E")
    assert world.gate.held(ACC, lossless=True)


def test_paced_ticks_are_never_conflated(world):
    world.readers.subscribe(world.connection, ACC, ["E"], pace=True)
    world.wire.room = 1
    plain = b'{"type":"tick","symbol":"E"}'
    for n in (1, 2, 3):
        world.connection.paced_tick(TickFrame(ACC, "E", n, plain=plain))
    assert world.wire.shown() == [("E", 1), ("E", 2), ("E", 3)]


def test_abandoning_says_what_was_left_out(world):
    world.wire.room = 1
    world.tick("E", "E", "E")
    world.wire.shown()
    world.connection.abandon_late(ACC, "E")
    world.connection.abandon_late(ACC, "G")
    assert world.wire.shown() == [("E", 2, 3)]
    world.wire.drain(100)
    assert world.wire.shown() == []
