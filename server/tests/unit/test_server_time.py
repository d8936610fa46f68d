"""Server time against the time zone database."""

from datetime import UTC as PY_UTC
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.model import server_time
from fxsocket_server.model.server_time import CET, EET, NEW_YORK_CLOSE, UTC, ServerZone, fixed_zone

EPOCH = datetime(1970, 1, 1, tzinfo=PY_UTC)
HOUR = 3_600_000


def ms(text: str) -> int:
    """Milliseconds of a wall clock time written as if it were UTC."""
    return (datetime.fromisoformat(text + "+00:00") - EPOCH) // timedelta(milliseconds=1)


FROM_2007 = st.integers(ms("2007-01-01 00:00"), ms("2037-12-31 23:59"))
ANY_TIME = st.integers(ms("1900-01-01 00:00"), ms("2200-01-01 00:00"))

DATABASE = [
    (NEW_YORK_CLOSE, "America/New_York", 7 * 3600),
    (CET, "Europe/Berlin", 0),
    (EET, "Europe/Athens", 0),
]


def database_offset_s(name: str, utc_ms: int) -> int:
    offset = (EPOCH + timedelta(milliseconds=utc_ms)).astimezone(ZoneInfo(name)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@pytest.mark.parametrize(("zone", "name", "ahead_s"), DATABASE, ids=lambda v: str(v))
class TestAgainstTheDatabase:
    @given(utc_ms=FROM_2007)
    def test_any_instant(self, zone: ServerZone, name: str, ahead_s: int, utc_ms: int) -> None:
        assert zone.offset_s(utc_ms) == database_offset_s(name, utc_ms) + ahead_s

    def test_every_hour_of_changes(self, zone: ServerZone, name: str, ahead_s: int) -> None:
        for year in range(2007, 2038):
            assert zone.summer is not None
            summer = zone.summer(year)
            for change in (summer.start_ms, summer.end_ms):
                for instant in (change - HOUR, change - 1, change, change + 1, change + HOUR):
                    expected = database_offset_s(name, instant) + ahead_s
                    assert zone.offset_s(instant) == expected, (year, instant)


@pytest.mark.parametrize("zone", [NEW_YORK_CLOSE, CET, EET, UTC, fixed_zone(-12_600)])
@given(utc_ms=ANY_TIME)
def test_round_trip(zone: ServerZone, utc_ms: int) -> None:
    """Back and forth is the same instant, or the first pass of an hour that came twice."""
    back = zone.to_utc_ms(zone.to_server_ms(utc_ms))
    assert back in (utc_ms, utc_ms - HOUR)
    assert zone.to_server_ms(back) == zone.to_server_ms(utc_ms)


def test_new_york_closes_at_midnight() -> None:
    for day in ("2025-01-15 22:00", "2025-03-10 21:00", "2025-07-15 21:00", "2025-11-03 22:00"):
        assert NEW_YORK_CLOSE.to_server_ms(ms(day)) % (24 * HOUR) == 0


def test_the_two_rules_differ_in_spring_and_autumn() -> None:
    between = ms("2025-03-20 12:00")
    assert (NEW_YORK_CLOSE.offset_s(between), EET.offset_s(between)) == (10_800, 7_200)
    between = ms("2025-10-28 12:00")
    assert (NEW_YORK_CLOSE.offset_s(between), EET.offset_s(between)) == (10_800, 7_200)


def test_hour_that_comes_twice_means_its_first_pass() -> None:
    assert NEW_YORK_CLOSE.to_utc_ms(ms("2025-11-02 08:30")) == ms("2025-11-02 05:30")
    assert NEW_YORK_CLOSE.to_server_ms(ms("2025-11-02 06:30")) == ms("2025-11-02 08:30")


def test_hour_left_out_is_read_with_the_offset_before() -> None:
    assert NEW_YORK_CLOSE.to_utc_ms(ms("2025-03-09 09:30")) == ms("2025-03-09 07:30")


def test_fixed_offsets() -> None:
    india = fixed_zone(19_800)
    assert india.name == "UTC+05:30"
    assert india.to_server_ms(0) == 19_800_000
    assert india.to_utc_ms(19_800_000) == 0
    assert fixed_zone(-3600).name == "UTC-01:00"
    assert fixed_zone(0).name == "UTC+00:00"
    assert UTC.offset_s(123) == 0


@given(days=st.integers(-300_000, 300_000))
def test_calendar(days: int) -> None:
    date = (EPOCH + timedelta(days=days)).date()
    ours = server_time.date_of(days)
    assert (ours.year, ours.month, ours.day) == (date.year, date.month, date.day)
    assert server_time.days_of(date.year, date.month, date.day) == days
