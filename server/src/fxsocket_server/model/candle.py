"""Candles: made from ticks, and longer ones made from shorter ones, as MetaTrader makes them.

A candle exists only if a tick came in its interval. Prices are Bid in points, `spread` is the
smallest of the interval in points, `time_ms` is the interval's start in UTC.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from fxsocket_server.model.server_time import HOUR_MS, NEW_YORK_CLOSE, ServerZone
from fxsocket_server.model.timeframe import Timeframe


class Candle(Struct, frozen=True, gc=False):
    """Open, high, low and close of an interval, with its volumes and smallest spread."""

    time_ms: int
    open: int
    high: int
    low: int
    close: int
    tick_volume: int
    real_volume: int
    spread: int


def bar_bounds_ms(timeframe: Timeframe, utc_ms: int, zone: ServerZone) -> tuple[int, int]:
    """Start and end (exclusive) in UTC of the interval that holds a UTC instant.

    Intervals up to an hour stay apart when an autumn night repeats an hour of server time; longer
    ones grow by it.
    """
    server_ms = zone.to_server_ms(utc_ms)
    start, end = timeframe.bucket_start(server_ms), timeframe.bucket_end(server_ms)
    if timeframe.seconds * 1000 <= HOUR_MS:
        return start - server_ms + utc_ms, end - server_ms + utc_ms
    return zone.to_utc_ms(start), zone.to_utc_ms(end)


class CandleBuilder:
    """Makes the candles of one timeframe from ticks; `live` is the one not closed yet.

    A candle of an earlier run may be given as `live` to go on with it.
    """

    def __init__(
        self,
        timeframe: Timeframe,
        zone: ServerZone = NEW_YORK_CLOSE,
        live: Candle | None = None,
    ) -> None:
        self.timeframe = timeframe
        self.zone = zone
        self.live = live
        self._end_ms = bar_bounds_ms(timeframe, live.time_ms, zone)[1] if live else 0

    def add(self, time_ms: int, bid: int, ask: int, volume: int = 0) -> Candle | None:
        """Take a tick; returns the candle that it closed, if any.

        A tick older than the live candle counts into it: a closed candle never changes.
        """
        live, spread = self.live, ask - bid
        if live is not None and time_ms < self._end_ms:
            self.live = _with_tick(live, bid, spread, volume)
            return None
        start_ms, self._end_ms = bar_bounds_ms(self.timeframe, time_ms, self.zone)
        self.live = Candle(start_ms, bid, bid, bid, bid, 1, volume, spread)
        return live


def _with_tick(candle: Candle, bid: int, spread: int, volume: int) -> Candle:
    return Candle(
        candle.time_ms,
        candle.open,
        max(candle.high, bid),
        min(candle.low, bid),
        bid,
        candle.tick_volume + 1,
        candle.real_volume + volume,
        min(candle.spread, spread),
    )


def aggregate(
    candles: Iterable[Candle], timeframe: Timeframe, zone: ServerZone = NEW_YORK_CLOSE
) -> list[Candle]:
    """Longer candles from shorter ones in ascending order, those at the edges from what is there.

    Open of the first, highest high, lowest low, close of the last, sums of volumes, smallest
    spread.
    """
    return [_joined(start_ms, group) for start_ms, group in _groups(candles, timeframe, zone)]


def _groups(
    candles: Iterable[Candle], timeframe: Timeframe, zone: ServerZone
) -> Iterator[tuple[int, list[Candle]]]:
    group: list[Candle] = []
    start_ms = end_ms = 0
    for candle in candles:
        if group and candle.time_ms < end_ms:
            group.append(candle)
            continue
        if group:
            yield start_ms, group
        group = [candle]
        start_ms, end_ms = bar_bounds_ms(timeframe, candle.time_ms, zone)
    if group:
        yield start_ms, group


def _joined(start_ms: int, group: list[Candle]) -> Candle:
    return Candle(
        start_ms,
        group[0].open,
        max([candle.high for candle in group]),
        min([candle.low for candle in group]),
        group[-1].close,
        sum([candle.tick_volume for candle in group]),
        sum([candle.real_volume for candle in group]),
        min([candle.spread for candle in group]),
    )
