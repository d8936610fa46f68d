"""Candles: from ticks, from other candles, and against a broker's own bars."""

import csv
import gzip
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.model.candle import Candle, CandleBuilder, aggregate, bar_bounds_ms
from fxsocket_server.model.server_time import EET, NEW_YORK_CLOSE, UTC, ServerZone, fixed_zone
from fxsocket_server.model.timeframe import Timeframe

MINUTE = 60_000
HOUR = 60 * MINUTE
ZONES = [UTC, NEW_YORK_CLOSE, EET, fixed_zone(19_800)]
SPRING = 1_741_496_400_000  # 2025-03-09 05:00 UTC, two hours before New York's change
AUTUMN = 1_762_056_000_000  # 2025-11-02 04:00 UTC, two hours before New York's change back


def ticks(rng: random.Random, start_ms: int, count: int) -> list[tuple[int, int, int]]:
    """(time, bid, ask) with gaps from nothing to 40 minutes."""
    out, time_ms, bid = [], start_ms, 108_340
    for _ in range(count):
        time_ms += rng.choice((0, 300, 900, 20_000, 2_400_000))
        bid += rng.randint(-9, 9)
        out.append((time_ms, bid, bid + rng.randint(0, 12)))
    return out


def candles_of(feed: list[tuple[int, int, int]], frame: Timeframe, zone: ServerZone):
    builder = CandleBuilder(frame, zone)
    closed = [candle for tick in feed if (candle := builder.add(*tick))]
    return closed + ([builder.live] if builder.live else [])


class TestBuilder:
    def test_one_candle(self) -> None:
        builder = CandleBuilder(Timeframe.M1)
        assert builder.live is None
        for tick in ((0, 100, 105), (10, 104, 106), (59_000, 97, 101), (59_999, 99, 104)):
            assert builder.add(*tick) is None
        assert builder.live == Candle(0, 100, 104, 97, 99, 4, 0, 2)

    def test_a_tick_of_the_next_interval_closes(self) -> None:
        builder = CandleBuilder(Timeframe.M1)
        builder.add(30_000, 100, 101)
        assert builder.add(60_000, 120, 125, volume=3) == Candle(0, 100, 100, 100, 100, 1, 0, 1)
        assert builder.live == Candle(60_000, 120, 120, 120, 120, 1, 3, 5)

    def test_no_candle_without_a_tick(self) -> None:
        feed = [(0, 1, 2), (10 * MINUTE, 1, 2)]
        assert [c.time_ms for c in candles_of(feed, Timeframe.M1, UTC)] == [0, 10 * MINUTE]

    def test_a_late_tick_never_changes_a_closed_candle(self) -> None:
        builder = CandleBuilder(Timeframe.M1)
        builder.add(0, 100, 101)
        builder.add(60_000, 102, 103)
        assert builder.add(59_000, 90, 91) is None
        assert builder.live == Candle(60_000, 102, 102, 90, 90, 2, 0, 1)

    def test_goes_on_with_a_candle_of_an_earlier_run(self, rng: random.Random) -> None:
        feed = ticks(rng, SPRING, 400)
        cut = rng.randrange(1, 400)
        whole, first = CandleBuilder(Timeframe.H4), CandleBuilder(Timeframe.H4)
        for tick in feed[:cut]:
            whole.add(*tick)
            first.add(*tick)
        second = CandleBuilder(Timeframe.H4, live=first.live)
        rest = feed[cut:]
        assert [second.add(*tick) for tick in rest] == [whole.add(*tick) for tick in rest]
        assert second.live == whole.live


@pytest.mark.parametrize("frame", Timeframe)
@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.name)
@pytest.mark.parametrize("start_ms", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_from_minutes_is_the_same_as_from_ticks(
    frame: Timeframe, zone: ServerZone, start_ms: int, rng: random.Random
) -> None:
    feed = ticks(rng, start_ms, 300)
    minutes = candles_of(feed, Timeframe.M1, zone)
    assert aggregate(minutes, frame, zone) == candles_of(feed, frame, zone)


@given(
    frame=st.sampled_from(Timeframe),
    zone=st.sampled_from(ZONES),
    utc_ms=st.integers(SPRING, AUTUMN + 9 * HOUR)
    | st.integers(SPRING, SPRING + 9 * HOUR)
    | st.integers(AUTUMN, AUTUMN + 9 * HOUR),
)
def test_intervals_tile_time(frame: Timeframe, zone: ServerZone, utc_ms: int) -> None:
    """Each instant lies in one interval, and the next begins where it ends, at changes too."""
    start, end = bar_bounds_ms(frame, utc_ms, zone)
    assert start <= utc_ms < end
    assert bar_bounds_ms(frame, start, zone) == (start, end)
    assert bar_bounds_ms(frame, end - 1, zone) == (start, end)
    assert bar_bounds_ms(frame, end, zone)[0] == end


def test_minutes_of_an_hour_that_comes_twice_stay_apart() -> None:
    first, second = AUTUMN + HOUR, AUTUMN + 2 * HOUR  # both 08:00 server time
    assert NEW_YORK_CLOSE.to_server_ms(first) == NEW_YORK_CLOSE.to_server_ms(second)
    starts = [bar_bounds_ms(Timeframe.H1, ms, NEW_YORK_CLOSE)[0] for ms in (first, second)]
    assert starts == [first, second]


def test_aggregate_of_nothing() -> None:
    assert aggregate([], Timeframe.H1) == []


@cache
def read_bars(path: Path) -> list[Candle]:
    """A broker's bars as candles; times stay server time."""
    with gzip.open(path, "rt") as file:
        next(file)
        return [
            Candle(
                int(time_s) * 1000,
                *[round(float(price) * 100_000) for price in prices],
                *[int(tick_volume), int(real_volume), int(spread)],
            )
            for time_s, *prices, tick_volume, spread, real_volume in csv.reader(file)
        ]


@pytest.mark.parametrize("frame", [frame for frame in Timeframe if frame is not Timeframe.M1])
def test_a_brokers_own_bars(frame: Timeframe, shared_path: Callable[..., Path]) -> None:
    """All columns of half a year of EURUSD; only the weeks cut by its ends are left out."""
    bars = shared_path("data", "mt5_bars")
    minutes = read_bars(bars / "icm_EURUSD_M1_2025H1.csv.gz")
    end_ms = minutes[-1].time_ms + 2 * MINUTE  # the broker pauses in the day's last minute
    expected = read_bars(bars / f"icm_EURUSD_{frame}_2025H1.csv.gz")
    whole = [bar for bar in expected if frame.bucket_end(bar.time_ms) <= end_ms]
    built = [bar for bar in aggregate(minutes, frame, UTC) if bar.time_ms >= whole[0].time_ms]
    assert len(expected) - len(whole) == (frame is Timeframe.W1)
    assert built[: len(whole)] == whole
    assert len(built) == len(expected)
