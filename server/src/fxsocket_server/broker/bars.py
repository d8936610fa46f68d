"""Bars as the ticks that may have made them: MetaTrader's path "1 minute OHLC", for any timeframe.

A bar becomes four ticks at its open, its extremes and its close. A bar that closes below its open
has its high first, any other its low. They come at the start of the bar, after one and two thirds
of it, and in its last millisecond.
"""

from array import array
from collections.abc import Iterable
from typing import NamedTuple

TICKS_A_BAR = 4


class Bar(NamedTuple):
    """Bid prices and spread in points, and when the bar starts in UTC milliseconds.

    A spread of 0 says that it is not known.
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    spread: int = 0


class TickColumns(NamedTuple):
    """Ticks in time order: UTC milliseconds, Bid and Ask in points."""

    times_ms: "array[int]"
    bids: "array[int]"
    asks: "array[int]"


def path_of(bar: Bar) -> tuple[int, int, int, int]:
    """The Bids of a bar in the order in which they come."""
    if bar.close < bar.open:
        return bar.open, bar.high, bar.low, bar.close
    return bar.open, bar.low, bar.high, bar.close


def ticks_of_bars(bars: Iterable[Bar], period_ms: int, spread: int) -> TickColumns:
    """The ticks of ascending bars that last `period_ms` each.

    Where a bar's spread is not known, it is that of the newest bar whose spread is, before any such
    bar `spread`.
    """
    columns = TickColumns(array("q"), array("q"), array("q"))
    moments = 0, period_ms // 3, 2 * period_ms // 3, max(period_ms - 1, 0)
    for bar in bars:
        spread = bar.spread or spread
        path = path_of(bar)
        columns.times_ms.extend(bar.start_ms + moment for moment in moments)
        columns.bids.extend(path)
        columns.asks.extend(bid + spread for bid in path)
    return columns
