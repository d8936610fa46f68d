"""Timeframes: MetaTrader's 21 candle lengths and where their buckets begin."""

from enum import StrEnum

from fxsocket_server.model.server_time import DAY_MS, date_of, days_of

_WEEK_MS = 7 * DAY_MS
_FIRST_SUNDAY_MS = 3 * DAY_MS  # 1970-01-04


class Timeframe(StrEnum):
    """The length of a candle, by MetaTrader's name."""

    M1 = "M1"
    M2 = "M2"
    M3 = "M3"
    M4 = "M4"
    M5 = "M5"
    M6 = "M6"
    M10 = "M10"
    M12 = "M12"
    M15 = "M15"
    M20 = "M20"
    M30 = "M30"
    H1 = "H1"
    H2 = "H2"
    H3 = "H3"
    H4 = "H4"
    H6 = "H6"
    H8 = "H8"
    H12 = "H12"
    D1 = "D1"
    W1 = "W1"
    MN1 = "MN1"

    @property
    def seconds(self) -> int:
        """Length in seconds; MN1 counts as 30 days, as in MetaTrader."""
        return _SECONDS[self]

    def bucket_start(self, server_ms: int) -> int:
        """Start of the bucket that holds a server time, in server time.

        Up to D1 buckets are aligned to 1970-01-01, weeks begin on Sunday, months on the 1st.
        """
        if self is Timeframe.MN1:
            date = date_of(server_ms // DAY_MS)
            return days_of(date.year, date.month, 1) * DAY_MS
        if self is Timeframe.W1:
            return server_ms - (server_ms - _FIRST_SUNDAY_MS) % _WEEK_MS
        return server_ms - server_ms % (_SECONDS[self] * 1000)

    def bucket_end(self, server_ms: int) -> int:
        """Start of the bucket after the one that holds a server time, in server time."""
        start = self.bucket_start(server_ms)
        if self is Timeframe.MN1:
            return self.bucket_start(start + 31 * DAY_MS)
        return start + _SECONDS[self] * 1000

    def is_built_from(self, finer: "Timeframe") -> bool:
        """Whether every bucket of this frame is made of whole buckets of a finer one."""
        if finer is Timeframe.W1 or finer is Timeframe.MN1:
            return self is finer
        return _SECONDS[self] % _SECONDS[finer] == 0


_UNIT_SECONDS = {"M": 60, "H": 3600, "D": 86_400, "W": 604_800, "MN": 2_592_000}
_SECONDS = {
    frame: _UNIT_SECONDS[frame.rstrip("0123456789")] * int(frame.lstrip("MNHDW"))
    for frame in Timeframe
}

MT5_TIMEFRAMES = tuple(Timeframe)
MT4_TIMEFRAMES = (
    Timeframe.M1,
    Timeframe.M5,
    Timeframe.M15,
    Timeframe.M30,
    Timeframe.H1,
    Timeframe.H4,
    Timeframe.D1,
    Timeframe.W1,
    Timeframe.MN1,
)


def parse(name: str, choices: tuple[Timeframe, ...] = MT5_TIMEFRAMES) -> Timeframe:
    """The timeframe of a name; ValueError lists the choices, which MT4 has fewer of."""
    for frame in choices:
        if frame == name:
            return frame
    raise ValueError(f"timeframe {name!r} is not one of {' '.join(choices)}")
