"""Writes to many connections: at once when the stream was quiet, else joined within a window.

A system call per connection and message is what a stream costs; joined messages share one. The
first after a pause is written at once (the leading edge), those that follow within `flush_ms` wait
for its end and leave together. Connections are written to in groups, and the event loop turns
between two of them, so that an order never waits for a whole fan-out.
"""

from collections.abc import Iterator
from itertools import chain, islice

from fxsocket_server.channels.frames import TickFrame
from fxsocket_server.channels.subscriptions import Watchers
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.timers import Timers
from fxsocket_server.stream.wire import Joiner


class Fanout:
    """Flushes connections round by round; with `flush_ms` 0 a round never waits."""

    def __init__(self, timers: Timers, bounds: StreamBounds) -> None:
        self._timers = timers
        self._flush_ms = bounds.flush_ms
        self._group = bounds.group_readers
        self._queue_messages = bounds.queue_messages
        self._queued = 0  # messages since the last round began
        self._joiner = Joiner()
        # By identity, as they were when a message came: who unsubscribes meanwhile still has it.
        self._waiting: dict[int, tuple[Connection, ...]] = {}
        self._round: Iterator[Connection] = iter(())
        self._is_writing = False
        self._is_cooling = False

    def tick(self, tick: TickFrame, watchers: Watchers[Connection]) -> None:
        """Queue a tick at everybody who reads it without pacing."""
        readers = watchers.free
        for connection in readers:
            connection.take(tick)
        self.flush(readers)

    def flush(self, connections: tuple[Connection, ...]) -> None:
        """Write what these have queued, in this round or the next.

        Nobody's queue grows past its limit: whoever publishes that fast waits for the writes.
        """
        self._take_in(connections)
        self._go_on()

    def flush_later(self, connections: tuple[Connection, ...]) -> None:
        """The same in the next round only: these are about to be written to anyway."""
        self._take_in(connections)
        if self._waiting and not self._is_cooling:
            self._is_cooling = True
            self._timers.after(self._flush_ms, self._cooled)

    def _take_in(self, connections: tuple[Connection, ...]) -> None:
        if not connections:
            return
        self._waiting[id(connections)] = connections
        self._queued += 1
        if self._queued >= self._queue_messages:
            self._write_all()

    def _go_on(self) -> None:
        """Begin a round if one is due."""
        if self._waiting and not self._is_writing and not self._is_cooling:
            self._begin()

    def _write_all(self) -> None:
        """Finish the round under way, and the next one too."""
        rest, self._round = self._round, self._next_round()
        for connection in chain(rest, self._round):
            connection.wire.flush(self._joiner)

    def _next_round(self) -> Iterator[Connection]:
        waiting, self._waiting = self._waiting, {}
        self._queued = 0
        return chain.from_iterable(waiting.values())

    def _begin(self) -> None:
        self._round = self._next_round()
        self._is_writing = True
        if self._flush_ms > 0:
            self._is_cooling = True
            self._timers.after(self._flush_ms, self._cooled)
        self._write_group()

    def _cooled(self) -> None:
        self._is_cooling = False
        self._go_on()

    def _write_group(self) -> None:
        """Flush the next group; who is reached a second time has nothing left to write."""
        count = 0
        for connection in islice(self._round, self._group):
            connection.wire.flush(self._joiner)
            count += 1
        if count == self._group:
            self._timers.after(0, self._write_group)
            return
        self._is_writing = False
        self._joiner.forget()
        self._go_on()
