"""What a simulated terminal does with the faults in force: each is obeyed at the connector."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.broker.faults import Fault, scenario
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core import limits
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.model.facts import (
    BalanceFact,
    DealFact,
    Fact,
    OrderFact,
    PositionFact,
    Quote,
    Report,
    TradeRequest,
)
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT

from ..api.world import OpenGate, Spy, StillFeed, on_loop
from .broker_desk import PROFILE, request
from .lane_bench import Bench, bench, shown, turn

TAG = "~0123456789 "


class Sink:
    """Keeps all that a connector tells, in order; refuses while its disk is `full`."""

    def __init__(self) -> None:
        self.quotes: list[tuple[int, int]] = []
        self.told: list[tuple[Fact, ...] | tuple[str, Report]] = []
        self.full = False
        self._heard = asyncio.Condition()

    async def on_tick(self, quote: Quote) -> None:
        self.quotes.append((quote.bid, quote.ask))

    async def on_terminal(self, connected: bool, detail: str) -> None:
        raise AssertionError("a simulated terminal is always there")

    async def on_facts(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        await self._hear(facts)

    async def on_report(self, command_id: str, report: Report) -> None:
        await self._hear((command_id, report))

    async def _hear(self, what: tuple[Fact, ...] | tuple[str, Report]) -> None:
        if self.full:
            raise JournalUnavailable("the disk is full")
        self.told.append(what)
        async with self._heard:
            self._heard.notify_all()

    async def wait_for(self, count: int) -> None:
        """Return once so much was told."""
        async with self._heard:
            await self._heard.wait_for(lambda: len(self.told) >= count)

    @property
    def reports(self) -> list[tuple[str, int]]:
        return [(told[0], told[1].retcode) for told in self.told if isinstance(told[1], Report)]


@asynccontextmanager
async def terminal(
    *faults: Fault, clock: ManualClock | None = None
) -> AsyncIterator[tuple[SimConnector, Sink]]:
    connector = SimConnector(
        "acc_1",
        PROFILE.terms(sessions_apply=False),
        PROFILE.symbols,
        StillFeed(clock or ManualClock()),
        OpenGate(),
    )
    connector.broker.deposit(10_000_000, connector.time_ms())
    sink = Sink()
    await connector.start(sink)
    sink.quotes.clear()
    for fault in faults:
        connector.put_fault(fault)
    try:
        yield connector, sink
    finally:
        await connector.stop()


def order(command_id: str = "c", **fields: object) -> TradeRequest:
    made: TradeRequest = request(**fields)
    return TradeRequest(
        action=made.action, command_id=command_id, deadline_ms=0, symbol=made.symbol,
        type=made.type, volume=made.volume, filling=made.filling, sl=made.sl,
        comment=TAG + "mine", tag=TAG,
    )  # fmt: skip


def taken(connector: SimConnector, request: TradeRequest) -> Report:
    """The report of a command that is answered at once."""
    report = connector.hand_over(request)
    assert report is not None
    return report


def held(connector: SimConnector) -> int:
    return len(connector.broker.snapshot().positions)


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "retcode"),
    [
        (Fault(retcode=Retcode.REQUOTE, times=1), Retcode.REQUOTE),
        (Fault(disconnect=True), Retcode.CONNECTION),
        (Fault(trade_disabled=True), Retcode.TRADE_DISABLED),
        (Fault(off_quotes=True), Retcode.PRICE_OFF),
    ],
)
@on_loop
async def test_a_refusal_does_nothing(fault: Fault, retcode: Retcode) -> None:
    async with terminal(fault) as (connector, _):
        report = taken(connector, order())
        assert (report.retcode, report.facts, held(connector)) == (retcode, (), 0)
        connector.clear_faults()
        assert taken(connector, order()).retcode == Retcode.DONE


@on_loop
async def test_a_part_is_filled_and_the_rest_cancelled() -> None:
    async with terminal(Fault(partial_volume=LOT // 50, times=1)) as (connector, _):
        assert taken(connector, order()).retcode == Retcode.DONE_PARTIAL
        [position] = connector.broker.snapshot().positions
        assert position.volume == LOT // 50


@on_loop
async def test_a_late_report_follows_through_the_sink() -> None:
    async with terminal(Fault(delay_ms=1, times=1)) as (connector, sink):
        assert connector.hand_over(order("late")) is None
        assert held(connector) == 0  # the delay comes before the execution
        assert taken(connector, order("soon")).retcode == Retcode.DONE
        await sink.wait_for(1)
        assert sink.reports == [("late", Retcode.DONE)]
        assert held(connector) == 2


@on_loop
async def test_a_terminal_that_stops_executes_nothing_late() -> None:
    async with terminal(Fault(delay_ms=600_000)) as (connector, sink):
        assert connector.hand_over(order()) is None
        await connector.stop()
        assert (held(connector), sink.told) == (0, [])


@on_loop
async def test_a_lost_reply_executes_and_tells_its_facts() -> None:
    async with terminal(scenario("lost_reply")) as (connector, sink):
        assert connector.hand_over(order("lost")) is None
        await sink.wait_for(1)
        [facts] = sink.told
        assert [type(fact) for fact in facts] == [OrderFact, DealFact, PositionFact]
        assert isinstance(facts[0], OrderFact)
        assert facts[0].comment.startswith(TAG)
        assert sink.reports == []
        assert taken(connector, order("next")).retcode == Retcode.DONE


@on_loop
async def test_a_lost_refusal_tells_nothing() -> None:
    lost = Fault(lose_reply=True, retcode=Retcode.NO_MONEY, times=1)
    async with terminal(lost) as (connector, sink):
        assert connector.hand_over(order("lost")) is None
        connector.put_fault(Fault(delay_ms=1, times=1))
        connector.hand_over(order("next"))
        await sink.wait_for(1)
        assert sink.reports == [("next", Retcode.DONE)]
        assert held(connector) == 1


# --- a terminal that hangs -------------------------------------------------------------------


@on_loop
async def test_a_frozen_terminal_executes_when_it_thaws() -> None:
    async with terminal(Fault(freeze=True)) as (connector, sink):
        assert [connector.hand_over(order(name)) for name in "abc"] == [None] * 3
        await connector.set_price("EURUSD", 108_000, 108_010)
        assert (sink.quotes, sink.told) == ([], [])
        connector.clear_faults()
        await sink.wait_for(3)
        assert sink.reports == [(name, Retcode.DONE) for name in "abc"]


@on_loop
async def test_the_command_after_a_frozen_one_executes_after_it() -> None:
    async with terminal(Fault(freeze=True, times=1)) as (connector, sink):
        assert connector.hand_over(order("held")) is None
        assert connector.hand_over(order("next")) is None
        await sink.wait_for(2)
        assert sink.reports == [("held", Retcode.DONE), ("next", Retcode.DONE)]
        assert taken(connector, order()).retcode == Retcode.DONE


@pytest.mark.parametrize("fault", [Fault(freeze=True), Fault(delay_ms=600_000)])
@on_loop
async def test_what_waits_for_a_fault_is_bounded(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SIM_WAITING_COMMANDS", 2)
    async with terminal(fault) as (connector, _):
        assert [connector.hand_over(order()) for _ in range(2)] == [None, None]
        assert taken(connector, order()).retcode == Retcode.TOO_MANY_REQUESTS


# --- prices ----------------------------------------------------------------------------------


@on_loop
async def test_prices_jump_and_spreads_widen() -> None:
    crash = Fault(price_jump_points=-100, spread_points=5, times=1)
    async with terminal(crash) as (connector, sink):
        await connector.set_price("EURUSD", 108_340, 108_348)
        taken(connector, order())
        await connector.set_price("EURUSD", 108_340, 108_348)
        assert sink.quotes == [(108_240, 108_253), (108_340, 108_348)]


@on_loop
async def test_spreads_widen_around_midnight_and_prices_jump_over_a_weekend() -> None:
    clock = ManualClock()  # two hours into the server's day
    night = Fault(rollover_spread_points=9)
    async with terminal(night, Fault(weekend_gap_points=50, seed=1), clock=clock) as (made, sink):
        for hours in (0, 22, 1, 60):
            clock.advance(hours * 3_600_000)
            await made.set_price("EURUSD", 108_340, 108_348)
        *week, (bid, ask) = sink.quotes
        assert week == [(108_340, 108_348), (108_340, 108_357), (108_340, 108_348)]
        assert 0 < abs(bid - 108_340) <= 50
        assert ask - bid == 8


@pytest.mark.parametrize("fault", [Fault(freeze=True), Fault(disconnect=True)])
@on_loop
async def test_no_prices_come(fault: Fault) -> None:
    async with terminal(fault) as (connector, sink):
        await connector.set_price("EURUSD", 108_000, 108_010)
        assert sink.quotes == []
        connector.clear_faults()
        await connector.set_price("EURUSD", 108_000, 108_010)
        assert sink.quotes == [(108_000, 108_010)]


# --- deliveries ------------------------------------------------------------------------------


def kinds(told: tuple[object, ...]) -> list[type]:
    return [type(fact) for fact in told]


@on_loop
async def test_what_a_tick_did_is_told_twice() -> None:
    async with terminal() as (connector, sink):
        taken(connector, order(sl=108_000))
        connector.put_fault(Fault(duplicate_events=True))
        await connector.set_price("EURUSD", 107_990, 108_000)
        first, again = sink.told
        assert first == again
        assert kinds(first) == [OrderFact, DealFact, PositionFact, BalanceFact]


@on_loop
async def test_what_an_order_did_is_told_again_before_anything_else_happens() -> None:
    async with terminal(Fault(duplicate_events=True)) as (connector, sink):
        report = taken(connector, order("first"))
        moving = asyncio.create_task(connector.set_price("EURUSD", 108_000, 108_010))
        assert connector.hand_over(order("second")) is None
        await moving
        await sink.wait_for(3)
        first, (command_id, second), again = sink.told
        assert first == report.facts
        assert isinstance(second, Report)
        assert (command_id, again) == ("second", second.facts)
        assert sink.quotes == [(108_000, 108_010)]


@on_loop
async def test_facts_come_in_another_order() -> None:
    async with terminal(Fault(reorder_events=True, seed=1)) as (connector, _):
        orders = {tuple(kinds(taken(connector, order(volume=LOT // 100)).facts)) for _ in range(40)}
        assert len(orders) == 6


@on_loop
async def test_what_did_not_become_durable_is_not_told_again() -> None:
    async with terminal() as (connector, sink):
        taken(connector, order(sl=108_000))
        connector.put_fault(Fault(duplicate_events=True))
        sink.full = True
        await connector.set_price("EURUSD", 107_990, 108_000)
        sink.full = False
        assert sink.told == []


# --- with an account's lane ------------------------------------------------------------------


@on_loop
async def test_a_server_that_is_killed_before_a_late_execution_rejects_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(delay_ms=600_000))
        waiting = shown(await b.place(key="k", wait_ms=0))
        assert waiting["status"] == "PENDING"
    async with bench(tmp_path) as b:
        await b.lane.resume()
        [found] = b.orders()
        assert (found.id, found.status, found.reason) == (
            waiting["id"], "REJECTED", "lost_in_restart",
        )  # fmt: skip
        assert (await b.connector.snapshot()).positions == ()


@on_loop
async def test_a_late_report_settles_its_order(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(delay_ms=1, times=1))
        assert shown(await b.place())["status"] == "FILLED"
        assert b.types() == ["order.pending", "order.filled", "deal.added", "position.opened"]


async def looked_up(b: Bench, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer of a command whose reply is lost, once the terminal is asked for it."""
    waiting = asyncio.create_task(work)
    await turn()
    b.clock.advance(limits.LOOKUP_AFTER_MS)
    while not waiting.done():  # bounded by the watchdog: the reply is lost a turn or two later
        await b.lane.terminal.look_after()
        await turn()
    return await waiting


@on_loop
async def test_a_lost_reply_is_settled_by_its_facts(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(lose_reply=True))
        held = shown(await b.place(key="k"))
        assert (held["status"], held["price"]) == ("FILLED", 1.0835)
        assert shown(await b.place(key="k")) == held
        moved = shown(await looked_up(b, b.stops(held["position_id"], wait_ms=30_000)))
        assert moved["sl"] == 1.07
        closed = shown(await looked_up(b, b.close(held["position_id"], wait_ms=30_000)))
        assert closed["status"] == "CLOSED"
        assert b.types() == [
            "order.pending", "order.filled", "deal.added", "position.opened",
            "position.changed",
            "order.pending", "order.filled", "deal.added", "position.closed", "balance.changed",
        ]  # fmt: skip


@on_loop
async def test_a_lost_refusal_is_found_out(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(lose_reply=True, retcode=Retcode.NO_MONEY, times=1))
        answer = await looked_up(b, b.place())
        assert (answer.status, shown(answer)["retcode_name"]) == (422, "NO_MONEY")


@on_loop
async def test_no_more_lost_replies_are_kept_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SIM_LOST_REPLIES", 3)
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(lose_reply=True))
        for _ in range(5):
            assert shown(await b.place(volume=0.01))["status"] == "FILLED"
        assert len(b.connector._lost) == 3


@on_loop
async def test_a_frozen_order_is_unknown_until_it_thaws(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(freeze=True))
        frozen = shown(await b.place(key="k", wait_ms=0))
        b.clock.advance(limits.UNKNOWN_AFTER_MS)
        await b.lane.terminal.look_after()
        assert shown(await b.place(key="k"))["status"] == "UNKNOWN"
        b.connector.clear_faults()
        running = b.lane.commands.outstanding[0]
        await running.outcome
        assert shown(await b.place(key="k"))["status"] == "FILLED"
        assert len(b.orders()) == 1
        assert b.orders()[0].id == frozen["id"]


@on_loop
async def test_what_is_new_is_booked_without_asking_the_disk(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with Spy(b.journal, "is_booked") as asked:
            await b.place(sl=1.08)
            await b.connector.set_price("EURUSD", 107_990, 108_000)
            assert asked.count == 0
            b.connector.put_fault(Fault(duplicate_events=True))
            await b.place(sl=1.07)
            await b.connector.set_price("EURUSD", 106_990, 107_000)
            assert asked.count > 0
