"""Scenario faults: what they decide, and that they are seeded."""

import msgspec
import pytest

from fxsocket_server.broker.faults import (
    SCENARIOS,
    DelayShape,
    Fault,
    FaultError,
    Faults,
    FaultState,
    Verdict,
    scenario,
)
from fxsocket_server.core import limits
from fxsocket_server.model.facts import BalanceFact
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.server_time import DAY_MS, HOUR_MS
from fxsocket_server.model.units import LOT

from .broker_desk import NOW, broker, request

NOON = 20_000 * DAY_MS + 12 * HOUR_MS  # server time
PAID = broker(0)
FACTS = tuple(fact for _ in range(6) for fact in PAID.deposit(100, NOW))


def faults(*given: Fault) -> Faults:
    made = Faults()
    for fault in given:
        made.put(fault)
    return made


# --- decisions -------------------------------------------------------------------------------


def test_without_faults_everything_is_as_it_should_be():
    made = Faults()
    assert made.on_command() == Verdict()
    assert made.on_tick(NOON, 100, 110) == (100, 110)
    assert made.on_facts(FACTS) == [FACTS]


def test_a_fault_lasts_for_its_times():
    made = faults(Fault(retcode=Retcode.REQUOTE, times=2))
    assert [made.on_command().retcode for _ in range(3)] == [10004, 10004, None]
    assert made.in_force() == ()
    lasting = faults(Fault(retcode=Retcode.NO_MONEY))
    assert [lasting.on_command().retcode for _ in range(3)] == [10019] * 3
    lasting.clear()
    assert lasting.on_command().retcode is None


def test_what_is_in_force_says_what_is_left():
    made = faults(Fault(spread_points=3, times=5))
    made.on_command()
    assert made.in_force() == (Fault(spread_points=3, times=4),)


@pytest.mark.parametrize(
    ("fault", "retcode"),
    [
        (Fault(disconnect=True), Retcode.CONNECTION),
        (Fault(trade_disabled=True), Retcode.TRADE_DISABLED),
        (Fault(off_quotes=True), Retcode.PRICE_OFF),
        *((Fault(retcode=code), code) for code in (10011, 10012, 10024, 10026, 10027, 10028)),
        *((Fault(retcode=code), code) for code in (10031, 10032)),
    ],
)
def test_retcodes_that_only_faults_reach(fault, retcode):
    verdict = faults(fault).on_command()
    assert verdict.retcode == retcode
    assert "simulated" in verdict.comment


def test_faults_add_up():
    made = faults(Fault(delay_ms=100), Fault(delay_ms=50, partial_volume=5), Fault(freeze=True))
    verdict = made.on_command()
    assert (verdict.delay_ms, verdict.depth, verdict.held) == (150, 5, True)


@pytest.mark.parametrize("shape", [DelayShape.UNIFORM, DelayShape.EXPONENTIAL])
def test_delays_are_distributed_by_the_seed(shape):
    def delays(seed):
        made = faults(Fault(delay_ms=1_000, delay_shape=shape, seed=seed))
        return [made.on_command().delay_ms for _ in range(4_000)]

    first = delays(1)
    assert first == delays(1) != delays(2)
    mean = 500 if shape is DelayShape.UNIFORM else 1_000
    assert sum(first) / len(first) == pytest.approx(mean, rel=0.08)
    assert min(first) >= 0
    assert (max(first) <= 1_000) == (shape is DelayShape.UNIFORM)


def test_prices_jump_and_spreads_widen_while_a_fault_lasts():
    made = faults(Fault(price_jump_points=-30, spread_points=4, times=1))
    assert made.on_tick(NOON, 100, 110) == (70, 84)
    assert made.on_tick(NOON, 10, 20) == (1, 5)
    made.on_command()
    assert made.on_tick(NOON, 100, 110) == (100, 110)
    assert faults(Fault(freeze=True)).on_tick(NOON, 100, 110) is None
    assert faults(Fault(disconnect=True)).on_tick(NOON, 100, 110) is None


def test_spreads_widen_around_the_rollover():
    made = faults(Fault(rollover_spread_points=9))
    midnight = 20_000 * DAY_MS
    for server_ms, ask in (
        (midnight - 5 * 60_000 - 1, 110),
        (midnight - 5 * 60_000, 119),
        (midnight, 119),
        (midnight + HOUR_MS - 1, 119),
        (midnight + HOUR_MS, 110),
    ):
        assert made.on_tick(server_ms, 100, ask=110) == (100, ask)


def test_a_weekend_leaves_a_gap():
    made = faults(Fault(weekend_gap_points=50, seed=4))
    assert made.on_tick(NOON, 1_000, 1_010) == (1_000, 1_010)
    assert made.on_tick(NOON + HOUR_MS, 1_000, 1_010) == (1_000, 1_010)
    gaps = {made.on_tick(NOON + weeks * 3 * DAY_MS, 1_000, 1_010) for weeks in range(1, 60)}
    shifts = {bid - 1_000 for bid, _ in filter(None, gaps)}
    assert len(shifts) > 20
    assert min(shifts) < 0 < max(shifts)
    assert all(-50 <= shift <= 50 for shift in shifts)


def test_events_are_doubled_and_shuffled():
    assert faults(Fault(duplicate_events=True)).on_facts(FACTS) == [FACTS, FACTS]
    shuffling = faults(Fault(reorder_events=True, seed=3))
    (first,), (second,) = shuffling.on_facts(FACTS), shuffling.on_facts(FACTS)
    for told in (first, second):
        assert sorted(map(repr, told)) == sorted(map(repr, FACTS))
    assert first != second


def test_versions_of_one_thing_are_told_in_their_order():
    shuffling = faults(Fault(reorder_events=True, seed=3))
    for _ in range(50):
        (told,) = shuffling.on_facts(FACTS)
        balances = [fact for fact in told if isinstance(fact, BalanceFact)]
        assert balances == [fact for fact in FACTS if isinstance(fact, BalanceFact)]


def test_many_faults_that_double_do_not_multiply():
    made = faults(*[Fault(duplicate_events=True)] * limits.SIM_FAULTS)
    assert len(made.on_facts(FACTS)) == 1 + limits.SIM_FAULTS


def test_no_more_faults_than_the_limit_are_in_force():
    made = faults(*[Fault(spread_points=1)] * limits.SIM_FAULTS)
    with pytest.raises(FaultError, match="faults are in force already; clear them first"):
        made.put(Fault(spread_points=1))
    made.clear()
    assert made.put(Fault(spread_points=1)).spread_points == 1


def test_a_state_goes_on_where_it_was():
    made = faults(
        Fault(delay_ms=500, delay_shape=DelayShape.UNIFORM, times=60),
        Fault(weekend_gap_points=90, seed=8),
    )
    made.on_tick(NOON, 100, 110)
    for _ in range(20):
        made.on_command()
    packed = msgspec.msgpack.encode(made.state())
    again = Faults(msgspec.msgpack.decode(packed, type=FaultState))
    for number in range(50):
        assert again.on_command() == made.on_command()
        later = NOON + number * 2 * DAY_MS
        assert again.on_tick(later, 900, 910) == made.on_tick(later, 900, 910)
    assert again.state() == made.state()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_can_be_put_by_name(name):
    made = faults(scenario(name, seed=5))
    (fault,) = made.in_force()
    assert (fault.scenario, fault.seed) == (name, 5)
    assert fault.times == SCENARIOS[name].times
    made.on_command()


def test_own_settings_replace_those_of_a_scenario():
    assert scenario("requotes", times=None).times is None
    assert scenario("lost_reply", lose_reply=False, freeze=True) == Fault(
        scenario="lost_reply", freeze=True, times=1
    )
    with pytest.raises(FaultError, match="scenario: must be one of slow_broker") as raised:
        scenario("doom")
    assert raised.value.field == "scenario"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(delay_ms=-1), "delay_ms: must be 0 to 600000, is -1"),
        (Fault(spread_points=-1), "spread_points: must be 0 to"),
        (Fault(times=0), "times: must be 1 to"),
        (Fault(partial_volume=0), "partial_volume: must be above 0"),
        (Fault(retcode=10009), "retcode: must be one that refuses, such as 10004, is 10009"),
        (Fault(retcode=7), "retcode: must be one that refuses"),
        (Fault(retcode=10025), "retcode: must be one that refuses"),
        (Fault(times=3, seed=1), "scenario: name a scenario, or set what goes wrong"),
    ],
)
def test_what_a_fault_cannot_be(fault, error):
    with pytest.raises(FaultError) as raised:
        Faults().put(fault)
    assert str(raised.value).startswith(error)


# --- at the broker ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "filled"),
    [(LOT // 40, LOT // 50), (LOT // 4, LOT // 10), (1, LOT // 100)],
)
def test_a_depth_fills_in_part_and_whole_steps(depth, filled):
    made = broker()
    report = made.request(request(volume=LOT // 10), NOW, depth)
    partial = filled < LOT // 10
    assert report.retcode == (Retcode.DONE_PARTIAL if partial else Retcode.DONE)
    (position,) = made.snapshot().positions
    assert position.volume == filled
    assert made.request(request(), NOW).retcode == Retcode.DONE
