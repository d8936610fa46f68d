"""Server time: the broker's wall clock, computed by rule, without a time zone database.

Most brokers run on "New York close + 7 h", so that a trading day ends at 00:00 server time: UTC+2,
and UTC+3 while New York saves daylight. Server times are milliseconds of the wall clock written as
if it were UTC, as MetaTrader gives them.
"""

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_MS_OF_400_YEARS = 146_097 * DAY_MS
_DAYS_FROM_MARCH_0000 = 719_468  # days from 0000-03-01 to 1970-01-01


class Date(Struct, frozen=True, gc=False):
    """A day of the calendar."""

    year: int
    month: int
    day: int


def days_of(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar.

    Years are counted from March, so that a leap day is the last one of its year.
    """
    since_march = (month - 3) % 12
    if month < 3:
        year -= 1
    leap_days = year // 4 - year // 100 + year // 400
    day_of_year = (153 * since_march + 2) // 5 + day - 1
    return 365 * year + leap_days + day_of_year - _DAYS_FROM_MARCH_0000


def date_of(days: int) -> Date:
    """The date that is a number of days after 1970-01-01."""
    era, day = divmod(days + _DAYS_FROM_MARCH_0000, 146_097)  # eras of 400 years
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    since_march = (5 * day_of_year + 2) // 153
    month = (since_march + 2) % 12 + 1
    return Date(
        year + 400 * era + (month < 3), month, day_of_year - (153 * since_march + 2) // 5 + 1
    )


def sunday_on_or_after(days: int) -> int:
    """The first Sunday at or after a day (1970-01-01 was a Thursday)."""
    return days + (3 - days) % 7


class Summer(Struct, frozen=True, gc=False):
    """Daylight saving of one year: from `start_ms` up to `end_ms`, both UTC."""

    start_ms: int
    end_ms: int


@lru_cache(maxsize=512)
def us_summer(year: int) -> Summer:
    """Second Sunday of March to first Sunday of November, 02:00 in New York (since 2007)."""
    start = sunday_on_or_after(days_of(year, 3, 8)) * DAY_MS + 7 * HOUR_MS
    end = sunday_on_or_after(days_of(year, 11, 1)) * DAY_MS + 6 * HOUR_MS
    return Summer(start, end)


@lru_cache(maxsize=512)
def european_summer(year: int) -> Summer:
    """Last Sunday of March to last Sunday of October, 01:00 UTC (since 1996)."""
    start = sunday_on_or_after(days_of(year, 3, 25)) * DAY_MS + HOUR_MS
    end = sunday_on_or_after(days_of(year, 10, 25)) * DAY_MS + HOUR_MS
    return Summer(start, end)


class ServerZone(Struct, frozen=True):
    """A broker's wall clock: a fixed offset, one hour more in the summers of a rule."""

    name: str
    standard_s: int
    summer: Callable[[int], Summer] | None = None

    def offset_s(self, utc_ms: int) -> int:
        """Seconds that server time is ahead of UTC at a UTC instant."""
        if self.summer is None:
            return self.standard_s
        # A day wrong around New Year, where no summer is near: dividing is enough for the year.
        summer = self.summer(1970 + utc_ms * 400 // _MS_OF_400_YEARS)
        return self.standard_s + 3600 * (summer.start_ms <= utc_ms < summer.end_ms)

    def to_server_ms(self, utc_ms: int) -> int:
        """The wall clock at a UTC instant."""
        return utc_ms + self.offset_s(utc_ms) * 1000

    def to_utc_ms(self, server_ms: int) -> int:
        """The UTC instant of a wall clock time.

        An hour that comes twice in autumn means its first pass; an hour left out in spring is read
        with the offset before the change.
        """
        in_summer = server_ms - (self.standard_s + 3600) * 1000
        if self.summer is not None and self.offset_s(in_summer) != self.standard_s:
            return in_summer
        return server_ms - self.standard_s * 1000


def fixed_zone(offset_s: int) -> ServerZone:
    """A wall clock that is always `offset_s` seconds ahead of UTC."""
    hours, seconds = divmod(abs(offset_s), 3600)
    sign = "-" if offset_s < 0 else "+"
    return ServerZone(f"UTC{sign}{hours:02d}:{seconds // 60:02d}", offset_s)


UTC = ServerZone("UTC", 0)
NEW_YORK_CLOSE = ServerZone("New York close + 7 h", 7200, us_summer)
CET = ServerZone("CET", 3600, european_summer)
EET = ServerZone("EET", 7200, european_summer)

ZONES = {zone.name: zone for zone in (UTC, NEW_YORK_CLOSE, CET, EET)}
