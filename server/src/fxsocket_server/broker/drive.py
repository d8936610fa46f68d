"""Recorded ticks of one symbol through a broker, as fast as what is asked for allows.

    replay(broker, "EURUSD", times, bids, asks, on_tick)          calls on_tick(time_ms, bid, ask)
    replay(..., on_tick=as_ticks(on_tick, digits))                calls on_tick(tick), as on MT5
    replay_blocks(broker, "EURUSD", times, bids, asks, at, ...)   calls it at these indices only

Both put every tick that does something to the broker and give the same facts. `replay_blocks` looks
for the next such tick in blocks of columns instead of asking the broker at each. Columns are UTC
milliseconds that never go backwards and prices in points above 0: lists, arrays, or numpy arrays,
which are searched several times faster; this module needs no numpy for it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from operator import index as whole
from typing import Any, NamedTuple, Protocol

from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.triggers import NEVER
from fxsocket_server.model.facts import Fact

OnTick = Callable[[int, int, int], object]  # time_ms, bid, ask
OnFacts = Callable[[tuple[Fact, ...]], object]
Bounds = tuple[int, int, int, int, int]

_LIST_CHUNK = 4_096  # as many ticks are Python numbers at a time
_FIRST_BLOCK, _LAST_BLOCK = 512, 32_768  # blocks double, so that a near tick is found cheaply
_QUOTED = 2 | 4  # TICK_FLAG_BID | TICK_FLAG_ASK


class Column(Protocol):
    """A list, an array or a numpy array of integers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class Tick(NamedTuple):
    """A tick with the fields of MT5's `symbol_info_tick`; times are UTC."""

    time: int
    bid: float
    ask: float
    last: float
    volume: int
    time_msc: int
    flags: int
    volume_real: float


def as_ticks(on_tick: Callable[[Tick], object], digits: int) -> OnTick:
    """A callback of scalars that hands MT5's tick object to another; a symbol's digits."""
    point, new = 10**digits, tuple.__new__

    def scalars(time_ms: int, bid: int, ask: int) -> None:
        seconds = time_ms // 1000
        on_tick(
            new(Tick, (seconds, bid / point, ask / point, 0.0, 0, time_ms, _QUOTED, 0.0)),
        )

    return scalars


def replay(
    broker: Broker,
    symbol: str,
    times: Column,
    bids: Column,
    asks: Column,
    on_tick: OnTick | None = None,
    on_facts: OnFacts | None = None,
) -> None:
    """Put every tick to the broker, then call `on_tick`; what a tick caused goes to `on_facts`.

    ValueError names a column that is not as long as the others or holds no whole numbers.
    """
    count, put = _checked(times, bids, asks), broker.on_tick
    heard, told = on_tick or _ignore, on_facts or _ignore
    for start in range(0, count, _LIST_CHUNK):
        chunk = (_numbers(column, start) for column in (times, bids, asks))
        for time_ms, bid, ask in zip(*chunk, strict=True):
            if facts := put(symbol, time_ms, bid, ask):
                told(facts)
            heard(time_ms, bid, ask)


def replay_blocks(
    broker: Broker,
    symbol: str,
    times: Column,
    bids: Column,
    asks: Column,
    at: Iterable[int] = (),
    on_tick: OnTick | None = None,
    on_facts: OnFacts | None = None,
) -> None:
    """The same, with `on_tick` called at ascending indices only; ticks that do nothing are skipped.

    Facts and the broker afterwards are those of `replay` with that callback. ValueError as there,
    and for an index that is out of order or beyond the last tick.
    """
    count, search = _checked(times, bids, asks), _searcher(bids, asks)
    schedule = _ascending(at, count)
    heard, told = on_tick or _ignore, on_facts or _ignore
    due, done = next(schedule, count), -1
    while done < count - 1:
        limit = min(due, count - 1)  # the last tick is put, too: it is the price that remains
        found = _next_event(broker.quiet_bounds(symbol), times, search, done + 1, limit)
        # What ends a day values it at the price before.
        for index in range(max(done + 1, found - 1), found + 1):
            tick = int(times[index]), int(bids[index]), int(asks[index])
            if facts := broker.on_tick(symbol, *tick):
                told(facts)
        if found == due:
            heard(*tick)
            due = next(schedule, count)
        done = found


# --- the next tick that does something ---------------------------------------------------------

_Search = Callable[[Bounds, int, int], int]


def _next_event(bounds: Bounds, times: Column, search: _Search, start: int, limit: int) -> int:
    """The first index from start on that is not within the bounds; at the latest the limit."""
    if bounds[1] >= bounds[2]:  # the broker wants to see every tick
        return start
    if times[limit] >= bounds[0]:
        limit = bisect_left(times, bounds[0], start, limit)
    size = _FIRST_BLOCK
    while start < limit:
        stop = min(start + size, limit)
        found = search(bounds, start, stop)
        if found < stop:
            return found
        start, size = stop, min(2 * size, _LAST_BLOCK)
    return limit


def _searcher(bids: Column, asks: Column) -> _Search:
    """The search of these columns: first index of a part that is not within bounds, or its stop."""
    fast = hasattr(bids, "argmax") and hasattr(asks, "argmax")
    return (_search_arrays if fast else _search_lists)(bids, asks)


def _search_lists(bids: Column, asks: Column) -> _Search:
    def search(bounds: Bounds, start: int, stop: int) -> int:
        _, bid_low, bid_high, ask_low, ask_high = bounds
        part = range(start, stop), bids[start:stop], asks[start:stop]
        for index, bid, ask in zip(*part, strict=True):
            if not (bid_low < bid < bid_high and ask_low < ask < ask_high):
                return index
        return stop

    return search


def _search_arrays(bids: Column, asks: Column) -> _Search:
    def search(bounds: Bounds, start: int, stop: int) -> int:
        _, bid_low, bid_high, ask_low, ask_high = bounds
        # Each edge looks only before what another has found; one where nothing waits, not at all.
        for column, low, high in ((bids, bid_low, bid_high), (asks, ask_low, ask_high)):
            if low > -NEVER:
                stop = start + _first(column[start:stop] <= low)
            if high < NEVER:
                stop = start + _first(column[start:stop] >= high)
        return stop

    return search


def _first(reached: Any) -> int:
    """Index of the first true item, or how many items there are."""
    if not len(reached):
        return 0
    index = int(reached.argmax())
    return index if reached[index] else len(reached)


# --- columns -----------------------------------------------------------------------------------


def _numbers(column: Column, start: int) -> Any:
    """A chunk as Python integers: numpy's own are slow, and overflow."""
    part = column[start : start + _LIST_CHUNK]
    return part.tolist() if hasattr(part, "tolist") else part


def _checked(times: Column, bids: Column, asks: Column) -> int:
    """How many ticks there are."""
    count = len(times)
    for name, column in (("times", times), ("bids", bids), ("asks", asks)):
        if len(column) != count:
            raise ValueError(f"{name}: {len(column)} items, but there are {count} times")
        try:
            whole(column[0] if count else 0)
        except TypeError:
            unit = "UTC milliseconds" if column is times else "points, rounded"
            raise ValueError(
                f"{name}: {column[0]!r} is no whole number; give {unit}, as integers"
            ) from None
    return count


def _ascending(at: Iterable[int], count: int) -> Iterator[int]:
    before = -1
    for index in at:
        if not before < index < count:
            raise ValueError(
                f"at: {index} after {before} among {count} ticks; give ascending indices of ticks"
            )
        before = index
        yield int(index)


def _ignore(*_: object) -> None:
    pass
