"""Throttles, topics, channel names, symbol groups, staleness and late values: the rules alone."""

import random

import pytest

from fxsocket_server.channels.conflation import LateValues
from fxsocket_server.channels.names import KINDS, OFFERED, channel_of, families
from fxsocket_server.channels.staleness import (
    BUS_LOST,
    NO_TICK,
    TERMINAL_LOST,
    Condition,
    Staleness,
    is_old,
)
from fxsocket_server.channels.throttle import Throttle
from fxsocket_server.channels.topics import Topic, Topics
from fxsocket_server.model.symbol_group import chosen, in_group, is_in_vain
from fxsocket_server.model.timeframe import MT4_TIMEFRAMES, MT5_TIMEFRAMES

# --- throttle --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", range(50))
def test_no_second_holds_more_than_the_rate(rng: random.Random, case: int):
    rate = rng.choice((1, 3, 4, 10, 50))
    throttle, now, sent = Throttle(rate), 0.0, []
    for _ in range(500):
        now += rng.expovariate(1 / 20)
        if throttle.wait_ms(now) == 0:
            throttle.sent(now)
            sent.append(now)
    assert sent[0] < 1_000
    for first, after in zip(sent, sent[rate:], strict=False):
        assert after - first >= 1_000 - 1e-6


def test_a_throttle_lets_go_at_once_after_a_pause():
    throttle = Throttle(4)
    assert throttle.wait_ms(0) == 0
    throttle.sent(0)
    assert throttle.wait_ms(100) == 150
    assert throttle.wait_ms(250) == 0


# --- topics ----------------------------------------------------------------------------------


def test_topics_are_what_a_plain_set_of_triples_says(rng: random.Random):
    topics: Topics[str] = Topics()
    held: dict[tuple[str, Topic], float] = {}
    names = [Topic("acc", "quotes", s) for s in "ABC"] + [Topic("acc", "account")]
    for _ in range(2_000):
        reader, topic, rate = rng.choice("xyz"), rng.choice(names), rng.choice((1.0, 4.0))
        if rng.random() < 0.5 and (reader, topic) not in held:
            topics.add(reader, topic, rate)
            held[reader, topic] = rate
        elif rng.random() < 0.9:
            rate_left = topics.remove(reader, topic)
            was = held.pop((reader, topic), None)
            others = [r for (_, t), r in held.items() if t == topic]
            assert rate_left == (was if was is not None and was not in others else None)
        for name in names:
            assert sorted(topics.all_readers(name)) == sorted(r for r, t in held if t == name)
            for rate in (1.0, 4.0):
                wanted = sorted(r for (r, t), at in held.items() if t == name and at == rate)
                assert sorted(topics.readers(name, rate)) == wanted
        assert topics.of_reader("x") == {t: at for (r, t), at in held.items() if r == "x"}
    for reader, topic in list(held):
        topics.remove(reader, topic)
    assert not topics._readers
    assert not topics._rates


# --- names -----------------------------------------------------------------------------------


def test_every_channel_has_a_name_that_finds_it():
    for name in OFFERED:
        exact = name.replace("TIMEFRAME", "H4")
        assert channel_of(exact, MT5_TIMEFRAMES).name == exact
    assert len(OFFERED) == len(KINDS) == 8


@pytest.mark.parametrize("name", ["", "tick", "candles", "candles:M2", "ticks:M1", "deal"])
def test_what_is_no_channel_is_refused(name: str):
    with pytest.raises(ValueError, match=r"timeframe|no channel"):
        channel_of(name, MT4_TIMEFRAMES)


def test_logged_channels_carry_their_families():
    channels = [channel_of(name, MT5_TIMEFRAMES) for name in ("deals", "terminal", "quotes")]
    assert families(channels) == {"deal", "terminal"}


# --- groups ----------------------------------------------------------------------------------

NAMES = ("EURUSD", "GBPUSD", "EURJPY", "[SP500]", "!GOLD", "A,B")


def test_names_come_in_the_order_asked_and_groups_in_that_of_the_account():
    assert chosen(NAMES, ["GBPUSD", "EURUSD", "GBPUSD", "NONE"]) == ["GBPUSD", "EURUSD"]
    assert chosen(NAMES, ["*USD", "!EUR*"]) == ["GBPUSD"]
    assert chosen(NAMES, ["*USD,!EUR*", "EURJPY"]) == ["GBPUSD", "EURJPY"]
    assert chosen(NAMES, []) == list(NAMES)


def test_a_symbol_whose_name_looks_like_a_mask_is_itself():
    for name in NAMES[3:]:
        assert chosen(NAMES, [name]) == [name]
        assert not is_in_vain(name, NAMES)
        assert chosen(NAMES, ["EUR*", name]) == ["EURUSD", "EURJPY", name]


def test_what_holds_nothing_is_in_vain_unless_it_takes_out():
    assert is_in_vain("NONE", NAMES)
    assert is_in_vain("XYZ*", NAMES)
    assert not is_in_vain("!XYZ*", NAMES)
    assert not is_in_vain("EUR*", NAMES)


def test_the_last_mask_that_fits_decides():
    assert in_group("EURUSD", ("*", "!EUR*", "EURUSD"))
    assert not in_group("EURJPY", ("*", "!EUR*", "EURUSD"))
    assert in_group("ANY", None)


# --- staleness -------------------------------------------------------------------------------


def test_each_reason_begins_and_ends_once_and_on_its_own():
    staleness = Staleness()
    quiet = Condition("acc", "EURUSD", NO_TICK)
    lost = Condition("acc", None, TERMINAL_LOST)
    assert not staleness
    assert staleness.begins(quiet, 5)
    assert not staleness.begins(quiet, 9)
    assert staleness.begins(lost, None)
    assert staleness.since_ms(quiet) == 5
    assert staleness.holding("acc", ["EURUSD"]) == [lost, quiet]
    assert staleness.holding("acc", ["GBPUSD"]) == [lost]
    assert staleness.holding("other", ["EURUSD"]) == []
    assert staleness.quiet() == [quiet]
    assert staleness.ends(lost)
    assert not staleness.ends(lost)
    assert not staleness.ends(Condition("acc", None, BUS_LOST))
    assert staleness.holding("acc", ["EURUSD"]) == [quiet]


def test_a_price_is_old_past_its_limit_not_at_it():
    assert not is_old(10_000, 10_000)
    assert is_old(10_001, 10_000)


# --- late values -----------------------------------------------------------------------------

CANDLES = Topic("acc", "candles:M1", "EURUSD")


@pytest.mark.parametrize("case", range(30))
def test_every_closed_candle_is_sent_or_counted(rng: random.Random, case: int):
    late, told, n = LateValues(), [], 0
    for _ in range(rng.randint(1, 40)):
        n += 1
        closed = f"{n:04}" if rng.random() < 0.5 else None
        late.put(CANDLES, b"%d" % n, closed)
        told.append(closed)
    topic, value = late.oldest()
    assert topic == CANDLES
    assert value.frame == b"%d" % n
    lost = [time for time in told[:-1] if time is not None]
    assert value.lost == len(lost)
    assert (value.first_lost, value.last_lost) == ((lost[0], lost[-1]) if lost else (None, None))
    assert not late


def test_what_is_abandoned_counts_the_candle_that_waited():
    late = LateValues()
    assert late.abandon(CANDLES) is None
    late.put(CANDLES, b"live", None)
    assert late.abandon(CANDLES) is None
    late.put(CANDLES, b"one", "1")
    late.put(CANDLES, b"two", "2")
    left = late.abandon(CANDLES)
    assert left is not None
    assert (left.first_lost, left.last_lost, left.lost) == ("1", "2", 2)


def test_values_leave_in_the_order_of_their_last_put():
    late = LateValues()
    other = Topic("acc", "account")
    late.put(CANDLES, b"1", None)
    late.put(other, b"2", None)
    late.put(CANDLES, b"3", None)
    assert [late.oldest()[0] for _ in range(2)] == [other, CANDLES]
