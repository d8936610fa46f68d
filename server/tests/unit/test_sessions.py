"""Sessions: open or not, and the next edge, against a walk minute by minute."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fxsocket_server.model.server_time import days_of
from fxsocket_server.model.sessions import MINUTE_MS, is_open, next_close, next_open
from fxsocket_server.model.symbol import Session

DAY = 1_440
MONDAY = days_of(2025, 1, 6) * DAY  # in minutes
FOREX = (
    Session(1, 5, DAY),
    *(Session(day, 0, DAY) for day in (2, 3, 4)),
    Session(5, 0, 1_435),
)
ALWAYS = tuple(Session(day, 0, DAY) for day in range(7))


def at(day: int, hour: int, minute: int = 0) -> int:
    """Server time of a weekday (0 = Monday) of that week."""
    return (MONDAY + day * DAY + hour * 60 + minute) * MINUTE_MS


def test_a_session_begins_with_its_first_minute_and_ends_before_its_last():
    assert not is_open(FOREX, at(0, 0, 4))
    assert is_open(FOREX, at(0, 0, 5))
    assert not is_open(FOREX, at(0, 0, 5) - 1)
    assert is_open(FOREX, at(4, 23, 55) - 1)
    assert not is_open(FOREX, at(4, 23, 55))
    assert not is_open(FOREX, at(5, 12))


def test_touching_sessions_are_one():
    assert is_open(FOREX, at(1, 0))
    assert next_close(FOREX, at(1, 0)) == at(4, 23, 55)
    assert next_open(FOREX, at(1, 0)) == at(7, 0, 5)


def test_edges_are_strictly_later():
    assert next_open(FOREX, at(0, 0, 4)) == at(0, 0, 5)
    assert next_open(FOREX, at(0, 0, 5)) == at(7, 0, 5)
    assert next_close(FOREX, at(4, 23, 55)) == at(11, 23, 55)


def test_a_market_that_never_closes():
    for sessions in (ALWAYS, ()):
        assert is_open(sessions, at(5, 3))
        assert next_open(sessions, at(5, 3)) is None
        assert next_close(sessions, at(5, 3)) is None


def test_a_session_over_the_end_of_the_week():
    over = (Session(6, 1_200, DAY), Session(0, 0, 60))
    assert is_open(over, at(5, 23))
    assert is_open(over, at(6, 0, 30))
    assert next_close(over, at(5, 23)) == at(6, 1)
    assert next_open(over, at(6, 0, 30)) == at(12, 20)


def test_overlapping_sessions_are_one():
    overlapping = (Session(1, 0, 100), Session(1, 50, 80), Session(1, 90, 200))
    assert next_close(overlapping, at(0, 0)) == at(0, 3, 20)
    assert next_open(overlapping, at(0, 0)) == at(7, 0)


spans = st.tuples(st.integers(0, 6), st.integers(0, 23), st.integers(1, 24)).filter(
    lambda span: span[1] < span[2]
)


@settings(max_examples=60)
@given(st.lists(spans, min_size=1, max_size=6), st.integers(0, 7 * 24 - 1))
def test_edges_against_a_walk(spans, start_hour):
    sessions = tuple(Session(day, low * 60, high * 60) for day, low, high in spans)
    start = (MONDAY + start_hour * 60) * MINUTE_MS
    hours = [start + hour * 60 * MINUTE_MS for hour in range(1, 8 * 24)]
    state = [is_open(sessions, hour - 1) for hour in hours]  # of the hour before each edge
    later = [is_open(sessions, hour) for hour in hours]
    flips = list(zip(hours, state, later, strict=True))
    opens = [hour for hour, before, after in flips if not before and after]
    closes = [hour for hour, before, after in flips if before and not after]
    assert next_open(sessions, start) == (opens[0] if opens else None)
    assert next_close(sessions, start) == (closes[0] if closes else None)
