"""Ticks leave joined, in groups, and never out of order with whatever else a reader is sent."""

import json
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from fxsocket_server.channels import frames
from fxsocket_server.channels.frames import Message, TickFrame
from fxsocket_server.channels.subscriptions import Subscriptions
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.fanout import Fanout
from fxsocket_server.stream.wire import Wire

ACC, SYMBOLS = "acc_1", ("E", "G", "U")


class Timers:
    """Turns of an event loop and a clock, both moved by hand."""

    def __init__(self) -> None:
        self.turns: deque[Any] = deque()
        self.later: list[tuple[float, int, Any]] = []
        self.now_ms = 0.0

    def after(self, ms: float, callback: Any) -> Any:
        if ms <= 0:
            self.turns.append(callback)
        else:
            self.later.append((self.now_ms + ms, len(self.later), callback))
        return SimpleNamespace(cancel=lambda: None)

    def turn(self) -> None:
        """One turn of the loop: what it adds is for the next one."""
        for _ in range(len(self.turns)):
            self.turns.popleft()()

    def advance(self, ms: float) -> None:
        self.now_ms += ms
        due = sorted(call for call in self.later if call[0] <= self.now_ms)
        self.later = [call for call in self.later if call[0] > self.now_ms]
        for _, _, callback in due:
            callback()

    def settle(self) -> None:
        while self.turns or self.later:  # bounded by what was queued
            self.turn()
            self.advance(1)


class Reader:
    """A connection reduced to its wire; `writes` are the pieces that went to the socket."""

    def __init__(self, timers: Timers, bounds: StreamBounds) -> None:
        self.writes: list[bytes] = []
        self.unsent = 0
        self.wire = Wire(bounds, timers)
        handler: Any = SimpleNamespace(opened=lambda: None, ended=lambda: None)
        self.wire.handler = handler
        self.take = self.wire.outbox.append
        sock = SimpleNamespace(setsockopt=lambda *_: None)
        socket = SimpleNamespace(
            write=self.writes.append,
            set_write_buffer_limits=lambda **_: None,
            get_extra_info=lambda _: sock,
            get_write_buffer_size=lambda: self.unsent,
        )
        transport: Any = SimpleNamespace(
            underlying_transport=socket,
            send_close=lambda code, reason: self.writes.append(b"close"),
            disconnect=lambda graceful: None,
        )
        self.wire.on_ws_connected(transport)

    def shown(self) -> list[Any]:
        """The numbers of ticks and names of other frames that were written, in order."""
        found: list[Any] = []
        data = b"".join(self.writes)
        while data:
            size = data[1]
            assert data[0] == 0x81
            assert size < 126
            found.append(json.loads(data[2 : 2 + size])["n"])
            data = data[2 + size :]
        return found


class World:
    def __init__(self, readers: int, symbols: tuple[str, ...] = SYMBOLS, **bounds: Any) -> None:
        self.timers = Timers()
        self.bounds = StreamBounds(**bounds)
        self.fanout = Fanout(self.timers, self.bounds)
        self.subscriptions: Subscriptions[Any] = Subscriptions()
        self.readers = [Reader(self.timers, self.bounds) for _ in range(readers)]
        self.count = 0
        for reader in self.readers:
            for symbol in symbols:
                self.subscriptions.add(reader, ACC, symbol, pace=False)

    def tick(self, symbol: str = "E") -> int:
        self.count += 1
        plain = b'{"n":%d}' % self.count
        watchers = self.subscriptions.watchers(ACC, symbol)
        if watchers is not None:
            self.fanout.tick(TickFrame(ACC, symbol, self.count, plain=plain), watchers)
        return self.count


def test_the_first_tick_after_a_pause_is_written_at_once_the_next_ones_leave_together():
    world = World(1, flush_ms=1)
    (reader,) = world.readers
    world.tick()
    assert reader.shown() == [1]
    world.tick()
    world.tick("G")
    assert len(reader.writes) == 1
    world.timers.advance(1)
    assert (len(reader.writes), reader.shown()) == (2, [1, 2, 3])
    world.timers.advance(1)
    world.tick()
    assert (len(reader.writes), reader.shown()) == (3, [1, 2, 3, 4])


def test_without_a_window_every_tick_is_written_at_once():
    world = World(2, flush_ms=0)
    for n in (1, 2, 3):
        world.tick()
        assert [len(reader.writes) for reader in world.readers] == [n, n]


def test_the_event_loop_turns_between_groups_of_readers():
    world = World(5, flush_ms=1, group_readers=2)
    done = []
    world.tick()
    world.timers.turns.append(lambda: done.append([len(r.writes) for r in world.readers]))
    world.timers.turn()
    world.timers.turn()
    assert done == [[1, 1, 1, 1, 0]], "an order would have waited for the whole fan-out"
    assert [len(r.writes) for r in world.readers] == [1, 1, 1, 1, 1]


def test_a_tick_that_comes_during_a_round_waits_for_the_next():
    world = World(4, flush_ms=0, group_readers=2)
    world.tick()
    world.tick()
    world.timers.settle()
    assert [reader.shown() for reader in world.readers] == [[1, 2]] * 4


def test_nobody_s_queue_grows_past_its_limit_however_fast_ticks_come():
    world = World(5, flush_ms=1, group_readers=2, queue_messages=10)
    for n in range(1, 101):
        world.tick()
        assert all(len(reader.wire.outbox) <= 10 for reader in world.readers), n
    world.timers.settle()
    assert [reader.shown() for reader in world.readers] == [list(range(1, 101))] * 5
    assert all(len(reader.writes) < 15 for reader in world.readers)


def test_readers_with_equal_ticks_share_the_joined_bytes():
    world = World(3, flush_ms=1)
    world.subscriptions.remove(world.readers[2], ACC, "G")
    world.tick()
    for symbol in ("E", "G", "U"):
        world.tick(symbol)
    world.timers.advance(1)
    first, second, third = (reader.writes[1] for reader in world.readers)
    assert first is second
    assert first != third
    assert [reader.shown() for reader in world.readers] == [[1, 2, 3, 4]] * 2 + [[1, 2, 4]]


@pytest.mark.parametrize("flush_ms", [0, 1])
def test_what_is_flushed_later_leaves_with_the_answer_or_in_the_next_round(flush_ms: int):
    world = World(1, flush_ms=flush_ms)
    reader: Any = world.readers[0]
    for number in (1, 3):
        reader.take(TickFrame(ACC, "E", number, plain=b'{"n":%d}' % number))
        world.fanout.flush_later((reader,))
        assert reader.shown() == list(range(1, number))
        if number == 1:
            reader.wire.send(b'{"n":2}')
        world.timers.settle()
    assert (len(reader.writes), reader.shown()) == (2, [1, 2, 3])


def test_any_other_frame_takes_the_queued_ticks_along():
    world = World(2, flush_ms=1)
    world.tick()
    world.tick()
    world.readers[0].wire.send(b'{"n":"event"}')
    assert world.readers[0].shown() == [1, 2, "event"]
    assert world.readers[1].shown() == [1]
    world.timers.settle()
    assert [r.shown() for r in world.readers] == [[1, 2, "event"], [1, 2]]


def test_events_of_a_commit_leave_joined_behind_the_ticks_before_them_and_in_groups():
    world = World(5, flush_ms=1, group_readers=2)
    world.tick()
    world.timers.settle()
    world.tick()
    world.tick()
    everybody = tuple(world.readers)
    for name in ("filled", "deal"):
        message = Message(plain=b'{"n":"%b"}' % name.encode())
        for reader in everybody:
            reader.wire.queue(message)
    world.fanout.flush(everybody)  # type: ignore[arg-type]
    assert [len(reader.writes) for reader in everybody] == [2, 2, 1, 1, 1]
    world.timers.settle()
    assert [len(reader.writes) for reader in everybody] == [3, 3, 2, 2, 2]
    assert [reader.shown() for reader in everybody] == [[1, 2, 3, "filled", "deal"]] * 5


def test_a_reader_that_is_over_its_limit_at_the_end_is_closed_once():
    world = World(1, flush_ms=1, event_bytes=0)
    (reader,) = world.readers
    reader.unsent = 1
    reader.wire.is_full = True
    reader.wire.queue(Message(plain=b'{"n":"event"}'))
    reader.wire.close(4000, "restart")
    assert reader.writes[1:] == [b"close"]


def test_queued_ticks_leave_before_the_close_frame_and_none_after_it():
    world = World(1, flush_ms=1)
    (reader,) = world.readers
    world.tick()
    world.tick()
    reader.wire.close(4000, "restart")
    world.tick()
    world.timers.settle()
    assert reader.writes.pop() == b"close"
    assert reader.shown() == [1, 2]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_header_says_how_long_its_message_is(size):
    frame = frames.framed(b"x" * size)
    assert frame[0] == 0x81
    header = 2 if size < 126 else 4 if size < 65_536 else 10
    told = frame[1] if header == 2 else int.from_bytes(frame[2:header], "big")
    assert (told, len(frame)) == (size, header + size)
    assert header == 2 or frame[1] == (126 if header == 4 else 127)


@pytest.mark.parametrize("flush_ms", [0, 1, 3])
def test_every_reader_gets_what_is_its_own_once_and_in_order(rng, flush_ms):
    """Ticks, other frames, joins and leaves, turns of the loop and time, all mixed."""
    world = World(9, symbols=(), flush_ms=flush_ms, group_readers=2)
    expected: dict[int, list[Any]] = {number: [] for number in range(9)}
    for step in range(3_000):
        number, symbol = rng.randrange(9), rng.choice(SYMBOLS)
        reader = world.readers[number]
        held = world.subscriptions.symbols(reader, ACC)
        match rng.randrange(8):
            case 0 | 1 | 2 | 3:
                n = world.tick(symbol)
                for other, one in enumerate(world.readers):
                    if symbol in world.subscriptions.symbols(one, ACC):
                        expected[other].append(n)
            case 4:
                reader.wire.send(b'{"n":"f%d"}' % step)
                expected[number].append(f"f{step}")
            case 5 if symbol in held:
                world.subscriptions.remove(reader, ACC, symbol)
            case 5:
                world.subscriptions.add(reader, ACC, symbol, pace=False)
            case 6:
                world.timers.turn()
            case _:
                world.timers.advance(1)
    world.timers.settle()
    assert sum(len(list_) for list_ in expected.values()) > 3_000
    for number, reader in enumerate(world.readers):
        assert reader.shown() == expected[number]
