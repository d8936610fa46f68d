"""A trade is written once and carried out once, whatever becomes of its reply."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from fxsocket_server.bootstrap.crash import never
from fxsocket_server.broker.faults import Fault
from fxsocket_server.core import limits
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.fxb import messages
from fxsocket_server.fxb.codec import raw, trade_arguments, unpack
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.enums import Action, OrderStatus, OrderType
from fxsocket_server.model.facts import (
    LookupState,
    OrderFact,
    PositionFact,
    Report,
    TradeRequest,
)
from fxsocket_server.model.retcode import Retcode

from ..api.world import MONDAY_MS, on_loop
from .rig import Booth
from .test_sessions import Guest, both, guest

LOT = 10**8
TAG = "~0000000001 "


class Killed(Exception):
    """The process ended at a named point."""


def killing(wanted: str) -> Reach:
    def reach(point: str) -> None:
        if point == wanted:
            raise Killed(point)

    return reach


def buy(tag: str = TAG, **parts: object) -> TradeRequest:
    return TradeRequest(
        action=Action.DEAL,
        command_id=tag,
        tag=tag,
        deadline_ms=5_000,
        symbol="EURUSD",
        type=OrderType.BUY,
        volume=LOT // 10,
        comment=tag,
        **parts,  # type: ignore[arg-type]
    )


def asked(booth: Booth, request: TradeRequest, *, expired: bool = False) -> list[messages.Res]:
    """What the terminal answers at once, its outbox included."""
    told: list[messages.Res] = []
    terminal = booth.terminal

    def send(message: messages.Ev | messages.Res | messages.Tk) -> None:
        if isinstance(message, messages.Res):
            told.append(message)

    terminal.send = send
    terminal.outbox.open(send, terminal.outbox.head_q, 100)
    message = messages.Req(id=1, op="trade", ep=1, a=trade_arguments(request), exp=5_000)
    told += terminal.answer(message, expired=expired)
    return told


def booth_in(folder: Path, reach: Reach = never) -> Booth:
    return Booth(folder / "terminal", ManualClock(MONDAY_MS), reach=reach)


# --- the terminal's journal ------------------------------------------------------------------


@on_loop
async def test_a_known_tag_is_answered_and_not_carried_out_again(tmp_path: Path) -> None:
    booth = booth_in(tmp_path)
    await booth.open()
    [first] = asked(booth, buy())
    [again] = asked(booth, buy())
    assert (first.dup, again.dup) == (False, True)
    report, told = unpack(first.r, Report), unpack(again.r, Report)
    assert (told.retcode, told.order_ticket) == (Retcode.DONE, report.order_ticket)
    assert len(booth.ledger.positions()) == 1
    await booth.kill()


@on_loop
async def test_a_refusal_is_remembered_too(tmp_path: Path) -> None:
    booth = booth_in(tmp_path)
    await booth.open()
    [first] = asked(booth, buy(sl=200_000))
    [again] = asked(booth, buy(sl=200_000))
    assert unpack(first.r, Report) == unpack(again.r, Report)
    assert unpack(first.r, Report).retcode == Retcode.INVALID_STOPS
    assert booth.terminal.lookup(TAG, MONDAY_MS).state is LookupState.DONE
    await booth.kill()


@on_loop
async def test_a_trade_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    booth = booth_in(tmp_path)
    await booth.open()
    [late] = asked(booth, buy(), expired=True)
    assert late.e is not None
    assert late.e.c == "EXPIRED"
    assert booth.ledger.orders() == ()
    assert booth.terminal.lookup(TAG, MONDAY_MS).state is LookupState.NONE
    await booth.kill()


@on_loop
async def test_what_was_ruled_out_is_never_begun(tmp_path: Path) -> None:
    booth = booth_in(tmp_path)
    await booth.open()
    assert booth.terminal.lookup(TAG, MONDAY_MS).state is LookupState.NONE
    [late] = asked(booth, buy())
    assert late.e is not None
    assert late.e.c == "EXPIRED"
    assert booth.ledger.orders() == ()
    await booth.kill()


@pytest.mark.parametrize(
    ("point", "state", "positions"),
    [
        ("before_start", LookupState.NONE, 0),
        ("after_start", LookupState.STARTED, 0),
        ("after_execute", LookupState.DONE, 1),
        ("after_done", LookupState.DONE, 1),
        ("after_reply", LookupState.DONE, 1),
    ],
)
def test_a_terminal_killed_at_a_point_knows_afterwards_what_it_did(
    point: str, state: LookupState, positions: int, tmp_path: Path
) -> None:
    @on_loop
    async def run() -> None:
        booth = booth_in(tmp_path, killing(point))
        await booth.open()
        with pytest.raises(Killed):
            asked(booth, buy())
        await booth.kill()
        booth = booth_in(tmp_path)
        await booth.open()
        lookup = booth.terminal.lookup(TAG, MONDAY_MS)
        assert lookup.state is state
        held = booth.connector.broker.terminal_snapshot().positions
        assert len(held) == len(booth.ledger.positions()) == positions
        if state is LookupState.DONE:
            assert lookup.report is not None
            assert lookup.report.retcode == Retcode.DONE
            [order] = [fact for fact in lookup.report.facts if isinstance(fact, OrderFact)]
            assert (order.status, order.comment) == (OrderStatus.FILLED, TAG)
        [again] = asked(booth, buy())
        assert len(booth.ledger.positions()) == positions  # it is not carried out a second time
        assert again.dup or again.e is not None
        await booth.kill()

    run()


@on_loop
async def test_a_lookup_tells_facts_as_they_stand(tmp_path: Path) -> None:
    booth = booth_in(tmp_path)
    await booth.open()
    asked(booth, buy())
    [position] = booth.ledger.positions()
    close = replace(
        buy("~0000000002 "), type=OrderType.SELL, position_ticket=position.ticket, volume=LOT // 20
    )
    asked(booth, close)
    report = booth.terminal.lookup(TAG, MONDAY_MS).report
    assert report is not None
    [told] = [fact for fact in report.facts if isinstance(fact, PositionFact)]
    assert told.volume == LOT // 20
    await booth.kill()


@on_loop
async def test_what_the_journal_has_forgotten_is_not_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TERMINAL_JOURNAL_COMMANDS", 2)
    booth = booth_in(tmp_path)
    await booth.open()
    resting = replace(
        buy(), action=Action.PENDING, type=OrderType.BUY_LIMIT, price=108_000, comment=""
    )
    for number in range(1, 5):
        asked(booth, replace(resting, tag=f"~{number:010} "))
    assert booth.terminal.lookup(TAG, MONDAY_MS).state is LookupState.STARTED
    later_ms = MONDAY_MS + 120_000
    assert booth.terminal.lookup("~9999999999 ", later_ms).state is LookupState.NONE
    assert booth.terminal.lookup("~0000000004 ", MONDAY_MS).state is LookupState.DONE
    await booth.kill()


# --- over the wire ---------------------------------------------------------------------------


@on_loop
async def test_a_reply_that_is_lost_is_told_as_facts_and_looked_up(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        b.booth.connector.put_fault(Fault(lose_reply=True, times=1))
        words = len(b.sink.words.seen)
        assert b.door.connector.hand_over(b.buy()) is None
        await b.sink.words.count(words + 1)
        assert b.sink.reports == {}
        [order] = [fact for fact in b.sink.facts if isinstance(fact, OrderFact)]
        assert order.comment == TAG
        lookup = await b.door.connector.lookup(TAG, b.clock.wall_ms())
        assert lookup.state is LookupState.DONE
        assert lookup.report is not None
        assert lookup.report.order_ticket == order.ticket


@on_loop
async def test_a_trade_without_an_outcome_yet_is_started(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        b.booth.connector.put_fault(Fault(freeze=True))
        assert b.door.connector.hand_over(b.buy()) is None
        lookup = await b.door.connector.lookup(TAG, b.clock.wall_ms())
        assert (lookup.state, lookup.report) == (LookupState.STARTED, None)
        words = len(b.sink.words.seen)
        b.booth.connector.clear_faults()
        await b.sink.words.count(words + 1)
        assert b.sink.reports["cmd_1"][0].retcode == Retcode.DONE


@on_loop
async def test_a_reply_of_a_session_that_is_over_settles_its_own_trade(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        b.booth.connector.put_fault(Fault(freeze=True))
        assert b.door.connector.hand_over(b.buy(1)) is None
        await b.door.connector.snapshot()  # there and back: the terminal has it
        await b.booth.hang_up()
        await b.connected(2)
        b.booth.dial(b.door.port)
        await b.connected(3)
        assert b.door.connector.hand_over(b.buy(2)) is None
        await b.door.connector.snapshot()
        words = len(b.sink.words.seen)
        b.booth.connector.clear_faults()
        await b.sink.words.count(words + 2)
        tickets = {name: reports[0].order_ticket for name, reports in b.sink.reports.items()}
        by_tag = {order.comment: order.ticket for order in b.booth.ledger.orders()}
        assert tickets == {"cmd_1": by_tag[TAG], "cmd_2": by_tag["~0000000002 "]}


@on_loop
async def test_the_answer_to_an_old_session_s_question_is_dropped(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        caller = await guest(b.door.port)
        ready = await caller.greet()
        assert isinstance(ready, messages.Ready)
        asked_for = asyncio.create_task(b.door.connector.snapshot())
        number = await _question(caller, "state.snapshot")
        wrong = messages.Res(id=number, ep=ready.epoch - 1, r=raw({"time_ms": 1}))
        caller.say(wrong)
        held = {"time_ms": 7, "balance": 1, "credit": 0, "orders": [], "positions": []}
        caller.say(messages.Res(id=number, ep=ready.epoch, r=raw(held)))
        assert (await asked_for).time_ms == 7
        caller.writer.close()


async def _question(caller: Guest, op: str) -> int:
    """The number of a question, once it is asked."""
    while not (isinstance(word := await caller.hear(), messages.Req) and word.op == op):
        assert word is not None
    return word.id


@on_loop
async def test_an_answer_in_parts_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BRIDGE_PART_ROWS", 3)
    async with both(tmp_path) as b:
        for number in range(1, 9):
            await b.trade(number)
        held = await b.door.connector.snapshot()
        assert held.positions == b.booth.ledger.positions(only_open=True)
        history = await b.door.connector.history(0)
        assert len(history.deals) == 9
        assert len(history.orders) == 8
        assert [order.ticket for order in history.orders] == list(range(1_000_001, 1_000_009))


@on_loop
async def test_a_trade_whose_deadline_passed_on_the_way_is_not_carried_out(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        words = len(b.sink.words.seen)
        late = replace(b.buy(), deadline_ms=b.clock.monotonic_ms() - 1)
        assert b.door.connector.hand_over(late) is None
        await b.sink.words.count(words + 1)
        [report] = b.sink.reports["cmd_1"]
        assert (report.retcode, report.comment, report.facts) == (0, "deadline_passed", ())
        assert b.booth.ledger.orders() == ()


@on_loop
async def test_checks_and_calculations_are_the_terminal_s(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        mine, theirs = b.door.connector, b.booth.connector
        request = b.buy()
        assert await mine.check(request) == theirs.broker.check(request, theirs.time_ms())
        margin = await mine.order_margin("EURUSD", OrderType.BUY, LOT, 108_350)
        assert margin == await theirs.order_margin("EURUSD", OrderType.BUY, LOT, 108_350) == 108_350


@on_loop
async def test_figures_are_the_terminal_s_own(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        for number in range(1, 4):
            await b.trade(number)
        words = len(b.sink.words.seen)
        await b.booth.connector.set_price("EURUSD", 108_777, 108_790)
        await b.sink.words.count(words + 1)
        assert b.door.connector.figures() == b.booth.connector.figures()
        for position in b.booth.ledger.positions():
            profit = b.booth.connector.position_profit(position.ticket)
            assert b.door.connector.position_profit(position.ticket) == profit
        value = b.booth.connector.tick_value("USDJPY")
        assert b.door.connector.tick_value("USDJPY") == value
