"""Scenario faults: what they decide, that they are seeded, and what a simulated terminal does."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.faults import (
    SCENARIOS,
    DelayShape,
    Fault,
    FaultError,
    Faults,
    FaultState,
    Verdict,
)
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.connectors.sim.feeds import FeedTick
from fxsocket_server.model.enums import Action, Filling, OrderType
from fxsocket_server.model.facts import BalanceFact, TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.server_time import DAY_MS, HOUR_MS
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000
NOON = 20_000 * DAY_MS + 12 * HOUR_MS  # server time
FACTS = tuple(BalanceFact(balance=number, credit=0) for number in range(6))


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
    assert not made.frozen


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
    assert made.frozen


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
    assert sorted(map(FACTS.index, first)) == list(range(6))
    assert first != second


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
    made = faults(Fault(name=name, seed=5))
    (fault,) = made.in_force()
    assert fault.seed == 5
    assert fault.times == SCENARIOS[name].times
    made.on_command()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(name="doom"), "scenario: must be one of slow_broker"),
        (Fault(delay_ms=-1), "delay_ms: must be 0 to 600000, is -1"),
        (Fault(spread_points=-1), "spread_points: must be 0 to"),
        (Fault(times=0), "times: must be 1 to"),
        (Fault(partial_volume=0), "partial_volume: must be above 0"),
        (Fault(retcode=10009), "retcode: must be one that refuses, such as 10004, is 10009"),
        (Fault(retcode=7), "retcode: must be one that refuses"),
    ],
)
def test_what_a_fault_cannot_be(fault, error):
    with pytest.raises(FaultError) as raised:
        Faults().put(fault)
    assert str(raised.value).startswith(error)


# --- at the broker and its terminal ----------------------------------------------------------


def order(command_id="c", volume=LOT):
    return TradeRequest(
        action=Action.DEAL, command_id=command_id, deadline_ms=0, symbol="EURUSD",
        type=OrderType.BUY, volume=volume, filling=Filling.FOK,
    )  # fmt: skip


def test_a_depth_fills_in_part():
    broker = Broker(PROFILE.terms(), PROFILE.symbols)
    broker.deposit(10_000_000, NOW)
    broker.on_tick("EURUSD", NOW, 108_340, 108_348)
    report = broker.request(order(), NOW, depth=LOT // 4)
    assert report.retcode == Retcode.DONE_PARTIAL
    (position,) = broker.snapshot().positions
    assert position.volume == LOT // 4
    assert broker.request(order(), NOW).retcode == Retcode.DONE


class Still:
    """A feed without ticks of its own."""

    lossless = waits_for_reader = recorded = False

    def opening(self):
        return [("EURUSD", 108_340, 108_348)]

    def next(self):
        return None

    def set_price(self, symbol, bid, ask):
        return True

    def now_ms(self):
        return NOW

    def delivered(self, time_ms):
        pass

    def checkpoint(self):
        return None


class Sink:
    """Keeps what a connector reports, and tells when a report has come."""

    def __init__(self):
        self.quotes, self.reports, self.came = [], [], asyncio.Event()

    async def on_tick(self, quote):
        self.quotes.append((quote.bid, quote.ask))

    async def on_facts(self, facts, time_ms):
        pass

    async def on_terminal(self, connected, detail):
        pass

    async def on_report(self, command_id, report):
        self.reports.append((command_id, report.retcode))
        self.came.set()


async def terminal() -> tuple[Any, Sink]:
    gate: Any = None  # nobody reads, so nothing is held back
    connector = SimConnector(
        "acc_1", PROFILE.terms(sessions_apply=False), PROFILE.symbols, Still(), gate
    )
    connector.broker.deposit(10_000_000, NOW)
    sink = Sink()
    await connector.start(sink)
    return connector, sink


def test_a_late_report_follows_through_the_sink():
    async def scenario():
        connector, sink = await terminal()
        connector.put_fault(Fault(delay_ms=1, times=1))
        assert connector.hand_over(order("late")) is None
        assert connector.broker.snapshot().positions == ()
        assert connector.hand_over(order("soon")).retcode == Retcode.DONE
        await asyncio.wait_for(sink.came.wait(), 10)
        assert sink.reports == [("late", Retcode.DONE)]
        assert len(connector.broker.snapshot().positions) == 2
        await connector.stop()

    asyncio.run(scenario())


def test_a_frozen_terminal_executes_when_it_thaws():
    async def scenario():
        connector, sink = await terminal()
        connector.put_fault(Fault(freeze=True))
        assert connector.hand_over(order("held")) is None
        await connector._deliver(FeedTick(0, NOW, "EURUSD", 1, 2))
        assert sink.quotes == [(108_340, 108_348)]
        connector.clear_faults()
        await asyncio.wait_for(sink.came.wait(), 10)
        assert sink.reports == [("held", Retcode.DONE)]
        await connector.stop()

    asyncio.run(scenario())


def test_refusals_parts_and_prices_at_the_terminal():
    async def scenario():
        connector, sink = await terminal()
        connector.put_fault(Fault(retcode=Retcode.REQUOTE, times=1))
        assert connector.hand_over(order()).retcode == Retcode.REQUOTE
        connector.put_fault(Fault(partial_volume=LOT // 10, times=1))
        assert connector.hand_over(order()).retcode == Retcode.DONE_PARTIAL
        connector.put_fault(Fault(price_jump_points=-100, spread_points=5))
        await connector.set_price("EURUSD", 108_340, 108_348)
        assert sink.quotes[-1] == (108_240, 108_253)
        await connector.stop()

    asyncio.run(scenario())
