"""Timeframes: names, lengths and bucket starts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.model.timeframe import MT4_TIMEFRAMES, MT5_TIMEFRAMES, Timeframe, parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SERVER_TIME = st.integers(-2_000_000_000_000, 5_000_000_000_000)
FRAME = st.sampled_from(Timeframe)


def moment(server_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=server_ms)


def test_the_21_frames_of_mt5() -> None:
    minutes = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720]
    minutes += [1440, 10_080, 43_200]
    assert [frame.seconds for frame in MT5_TIMEFRAMES] == [60 * count for count in minutes]


def test_the_nine_of_mt4() -> None:
    minutes = [1, 5, 15, 30, 60, 240, 1440, 10_080, 43_200]
    assert [frame.seconds for frame in MT4_TIMEFRAMES] == [60 * count for count in minutes]


def test_parse() -> None:
    assert parse("H4") is Timeframe.H4
    assert parse("MN1") is Timeframe.MN1


@pytest.mark.parametrize("name", ["", "h4", "M7", "H1 ", "60", "MN", "D"])
def test_parse_lists_the_choices(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not one of M1 M2 .* W1 MN1$") as caught:
        parse(name)
    assert repr(name) in str(caught.value)


def test_parse_for_mt4() -> None:
    with pytest.raises(ValueError, match=r"'H3' is not one of M1 M5 M15 M30 H1 H4 D1 W1 MN1$"):
        parse("H3", MT4_TIMEFRAMES)


@given(frame=FRAME, server_ms=SERVER_TIME)
def test_a_bucket_holds_its_time(frame: Timeframe, server_ms: int) -> None:
    start, end = frame.bucket_start(server_ms), frame.bucket_end(server_ms)
    assert start <= server_ms < end
    assert frame.bucket_start(start) == start
    assert frame.bucket_start(end) == end
    assert frame.bucket_start(end - 1) == start


@given(server_ms=SERVER_TIME)
def test_days_weeks_and_months_begin_by_the_calendar(server_ms: int) -> None:
    now = moment(server_ms)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert moment(Timeframe.D1.bucket_start(server_ms)) == midnight
    sunday = midnight - timedelta(days=(now.weekday() + 1) % 7)
    assert moment(Timeframe.W1.bucket_start(server_ms)) == sunday
    assert moment(Timeframe.MN1.bucket_start(server_ms)) == midnight.replace(day=1)


@given(server_ms=SERVER_TIME)
def test_months_follow_one_another(server_ms: int) -> None:
    start = moment(Timeframe.MN1.bucket_start(server_ms))
    end = moment(Timeframe.MN1.bucket_end(server_ms))
    assert end.day == 1
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == 1


@given(frame=FRAME, finer=FRAME, server_ms=SERVER_TIME)
def test_built_from_means_that_no_finer_bucket_straddles(
    frame: Timeframe, finer: Timeframe, server_ms: int
) -> None:
    if frame.is_built_from(finer):
        start = frame.bucket_start(server_ms)
        assert finer.bucket_start(start) == start


def test_built_from_choices() -> None:
    assert Timeframe.W1.is_built_from(Timeframe.D1)
    assert Timeframe.MN1.is_built_from(Timeframe.H12)
    assert not Timeframe.MN1.is_built_from(Timeframe.W1)
    assert not Timeframe.H12.is_built_from(Timeframe.H8)
    assert not Timeframe.M1.is_built_from(Timeframe.H1)
    assert all(frame.is_built_from(Timeframe.M1) for frame in Timeframe)
