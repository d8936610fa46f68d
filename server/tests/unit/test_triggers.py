"""Trigger heaps: which edge fires what, what is forgotten, and against a plain loop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxsocket_server.broker.triggers import (
    ASK_FALLS,
    ASK_RISES,
    BID_FALLS,
    BID_RISES,
    Levels,
    Triggers,
)


def edges(triggers: Triggers) -> tuple[int, int, int, int]:
    return triggers.bid_low, triggers.bid_high, triggers.ask_low, triggers.ask_high


def fires(triggers: Triggers, bid: int, ask: int) -> bool:
    """The test that every tick makes."""
    low, high = triggers.bid_low, triggers.bid_high
    return not (low < bid < high and triggers.ask_low < ask < triggers.ask_high)


def test_nothing_waits_at_first():
    triggers = Triggers()
    assert not fires(triggers, 1, 2)
    assert not fires(triggers, 10**15, 10**15)
    assert triggers.hits(1, 2) == []


@pytest.mark.parametrize(
    ("edge", "levels", "at", "beyond"),
    [
        (BID_FALLS, (100, None, None, None), (100, 200), (99, 200)),
        (BID_RISES, (None, 100, None, None), (100, 200), (101, 200)),
        (ASK_FALLS, (None, None, 100, None), (50, 100), (50, 99)),
        (ASK_RISES, (None, None, None, 100), (50, 100), (50, 101)),
    ],
)
def test_each_edge_fires_at_equality_and_beyond(edge, levels, at, beyond):
    for prices in (at, beyond):
        triggers = Triggers()
        triggers.watch(7, levels)
        assert fires(triggers, *prices)
        assert triggers.hits(*prices) == [(edge, 7)]
        assert not fires(triggers, *prices)


def test_the_nearest_level_is_the_threshold():
    triggers = Triggers()
    triggers.watch(1, (90, 120, None, None))
    triggers.watch(2, (95, 110, None, None))
    triggers.watch(3, (None, None, 80, 130))
    assert edges(triggers) == (95, 110, 80, 130)
    triggers.forget(2)
    assert edges(triggers)[:2] == (90, 120)


def test_a_level_set_anew_replaces_the_old_one():
    triggers = Triggers()
    triggers.watch(1, (90, None, None, None))
    triggers.watch(1, (80, None, None, None))
    assert triggers.hits(85, 86) == []
    triggers.watch(1, (90, None, None, None))  # back again: its old key must not fire twice
    assert triggers.hits(70, 71) == [(BID_FALLS, 1)]


def test_watching_nothing_is_forgetting():
    triggers = Triggers()
    triggers.watch(1, (90, None, None, None))
    triggers.watch(1, (None, None, None, None))
    assert len(triggers) == 0
    assert triggers.hits(1, 1) == []


def test_stale_keys_do_not_pile_up():
    triggers = Triggers()
    for step in range(10_000):
        triggers.watch(1, (step, 20_000 + step, None, None))
    held = sum(len(keys) for keys in triggers._heaps)
    assert held < 300
    assert edges(triggers)[:2] == (9_999, 29_999)


level = st.none() | st.integers(90, 110)
watching = st.tuples(st.integers(1, 8), st.tuples(level, level, level, level))
tick = st.tuples(st.integers(88, 112), st.integers(0, 4))


@settings(max_examples=400)
@given(st.lists(watching | tick | st.integers(1, 8), max_size=40))
def test_against_a_plain_loop(steps):
    triggers = Triggers()
    waiting: dict[int, Levels] = {}
    for step in steps:
        if isinstance(step, int):
            triggers.forget(step)
            waiting.pop(step, None)
        elif isinstance(step[1], tuple):
            triggers.watch(*step)
            waiting[step[0]] = step[1]
        else:
            bid, ask = step[0], step[0] + step[1]
            expected = {
                (edge, ticket)
                for ticket, levels in waiting.items()
                for edge, hit in enumerate(
                    (
                        levels[0] is not None and bid <= levels[0],
                        levels[1] is not None and bid >= levels[1],
                        levels[2] is not None and ask <= levels[2],
                        levels[3] is not None and ask >= levels[3],
                    )
                )
                if hit
            }
            assert fires(triggers, bid, ask) == bool(expected)
            assert set(triggers.hits(bid, ask)) == expected
            for _, ticket in expected:
                waiting.pop(ticket, None)
