"""Trading sessions: when a market is open, when it opens and closes next, in server time.

Sessions are weekly. Spans that touch, also across midnight and the end of the week, are one. A
symbol without sessions is open round the clock.
"""

from functools import lru_cache

from fxsocket_server.model.symbol import Session

MINUTE_MS = 60_000
_DAY_MINUTES = 1_440
_WEEK_MINUTES = 7 * _DAY_MINUTES
_WEEK_MS = _WEEK_MINUTES * MINUTE_MS
_FIRST_SUNDAY_MS = 3 * _DAY_MINUTES * MINUTE_MS  # 1970-01-04, 00:00

Span = tuple[int, int]


@lru_cache(maxsize=1024)
def _spans(sessions: tuple[Session, ...]) -> tuple[Span, ...]:
    """Open spans as milliseconds of the week, ascending, none touching the next."""
    ends: dict[int, int] = {}
    last = -1
    for start, end in sorted(_span(session) for session in sessions):
        if last >= 0 and start <= ends[last]:
            ends[last] = max(ends[last], end)
        else:
            ends[start] = end
            last = start
    return tuple(ends.items())


def _span(session: Session) -> Span:
    day = session.weekday * _DAY_MINUTES
    return (day + session.from_minute) * MINUTE_MS, (day + session.to_minute) * MINUTE_MS


def _week(server_ms: int) -> Span:
    """Start of the week that holds a server time, and the milliseconds into it."""
    into = (server_ms - _FIRST_SUNDAY_MS) % _WEEK_MS
    return server_ms - into, into


def is_open(sessions: tuple[Session, ...], server_ms: int) -> bool:
    """Whether a server time lies in a session; its end does not belong to it."""
    into = _week(server_ms)[1]
    return not sessions or any(start <= into < end for start, end in _spans(sessions))


def next_open(sessions: tuple[Session, ...], server_ms: int) -> int | None:
    """The first server time after this one at which a closed market opens; None if never."""
    return _next(server_ms, _edges(_spans(sessions))[0])


def next_close(sessions: tuple[Session, ...], server_ms: int) -> int | None:
    """The first server time after this one at which an open market closes; None if never."""
    return _next(server_ms, _edges(_spans(sessions))[1])


def _edges(spans: tuple[Span, ...]) -> tuple[list[int], list[int]]:
    """Where spans open and close; one that runs over the end of the week does neither there."""
    opens = [start for start, _ in spans]
    closes = [end for _, end in spans]
    if spans and opens[0] == 0 and closes[-1] == _WEEK_MS:
        return opens[1:], closes[:-1]
    return opens, closes


def _next(server_ms: int, edges: list[int]) -> int | None:
    week, into = _week(server_ms)
    for edge in edges:
        if edge > into:
            return week + edge
    return week + _WEEK_MS + edges[0] if edges else None
