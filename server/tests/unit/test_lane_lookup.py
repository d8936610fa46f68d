"""Commands whose reply was lost: looked up, never sent again, UNKNOWN when nobody can tell."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import OrderQuery
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.orders.resolve import Outcome, ResolveRequest, resolve
from fxsocket_server.gateway.ports import Unreachable
from fxsocket_server.model.enums import (
    DONE_STATUSES,
    Action,
    OrderStatus,
    OrderType,
    PositionStatus,
    Side,
)
from fxsocket_server.model.facts import (
    DealFact,
    Fact,
    OrderFact,
    TerminalHistory,
    TerminalSnapshot,
    TradeRequest,
)

from ..api.world import FarConnector, on_loop
from .lane_bench import Bench, bench, shown, turn


class Living(FarConnector):
    """A terminal at which things happen while nobody looks, and which remembers them."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.past: list[Fact] = []

    async def snapshot(self) -> TerminalSnapshot:
        """All that it holds."""
        if self.away:
            raise Unreachable("a test's terminal is away")
        return await super().snapshot()

    async def history(self, from_ms: int) -> TerminalHistory:
        """What has happened."""
        orders = [f for f in self.past if isinstance(f, OrderFact) and f.status in DONE_STATUSES]
        deals = [f for f in self.past if isinstance(f, DealFact)]
        return TerminalHistory(
            orders=tuple(f for f in orders if f.time_ms >= from_ms),
            deals=tuple(f for f in deals if f.time_ms >= from_ms),
        )

    def by_hand(self, **request: Any) -> None:
        """A trade at the terminal itself."""
        asked = TradeRequest(command_id="", deadline_ms=0, **{"symbol": "EURUSD", **request})
        report = self.broker.request(asked, self.time_ms())
        assert report.facts, report
        self.past += report.facts


def live_on_alone(b: Bench, resting: int, held: int) -> list[int]:
    """SL, a partial close, a removal, and a position that comes and goes; the deals' tickets."""
    terminal = b.connector
    assert isinstance(terminal, Living)
    b.clock.advance(1_000)
    terminal.past += terminal.broker.on_tick("EURUSD", terminal.time_ms(), 107_990, 108_000)
    terminal.by_hand(action=Action.REMOVE, order_ticket=resting)
    terminal.by_hand(action=Action.DEAL, type=OrderType.SELL, volume=10**7, position_ticket=held)
    terminal.by_hand(action=Action.DEAL, type=OrderType.SELL, volume=3 * 10**6)
    passing = terminal.broker.terminal_snapshot().positions[-1].ticket
    terminal.by_hand(
        action=Action.DEAL, type=OrderType.BUY, volume=3 * 10**6, position_ticket=passing
    )
    return [fact.ticket for fact in terminal.past if isinstance(fact, DealFact)]


async def lost(b: Bench, **order: Any) -> tuple[str, TradeRequest]:
    """An order whose terminal took it and never replied; its id and the request."""
    b.far.silent = True
    placed = shown(await b.place(wait_ms=0, **order))
    b.far.silent = False
    return placed["id"], b.far.taken[-1][1]


def status(b: Bench, order_id: str) -> OrderStatus:
    [order] = [order for order in b.orders() if order.id == order_id]
    return order.status


async def later(b: Bench, ms: float) -> None:
    """Time goes by, and the lane is looked after."""
    b.clock.advance(ms)
    await b.lane.look_after()


@on_loop
async def test_a_lost_reply_is_looked_up_and_nothing_is_sent_again(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        order_id, request = await lost(b, key="k")
        b.far.execute(request)  # and its reply is lost
        await later(b, limits.LOOKUP_AFTER_MS - 1)
        assert status(b, order_id) is OrderStatus.PENDING
        await later(b, 1)
        assert status(b, order_id) is OrderStatus.FILLED
        assert len(b.far.taken) == 1
        again = await b.place(key="k")
        assert (again.replayed, shown(again)["id"], shown(again)["status"]) == (
            True, order_id, "FILLED",
        )  # fmt: skip
        assert b.types() == ["order.pending", "order.filled", "deal.added", "position.opened"]


@on_loop
async def test_what_the_terminal_never_began_was_not_executed(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        order_id, _ = await lost(b, key="k")
        b.far.taken.clear()  # it never arrived
        await later(b, limits.LOOKUP_AFTER_MS)
        [order] = b.orders()
        assert (order.status, order.reason, order.retcode) == (
            OrderStatus.REJECTED, "not_executed", None,
        )  # fmt: skip
        problem = await b.place(key="k")
        assert (problem.status, shown(problem)["order"]["id"]) == (422, order_id)
        assert "never began" in shown(problem)["detail"]
        assert b.far.taken == []


@on_loop
async def test_what_has_begun_without_a_result_becomes_unknown(tmp_path: Path) -> None:
    alarms: list[str] = []
    async with bench(tmp_path, FarConnector) as b:
        b.lane.alarm = lambda text, **_: alarms.append(text)
        order_id, request = await lost(b, key="k")
        await later(b, limits.UNKNOWN_AFTER_MS - 1)
        assert status(b, order_id) is OrderStatus.PENDING
        await later(b, 1)
        assert status(b, order_id) is OrderStatus.UNKNOWN
        assert alarms == ["an order's outcome is unknown"]
        await later(b, 60_000)
        assert b.types() == ["order.pending", "order.unknown"]

        shown_now = await b.place(key="k", wait_ms=60_000)  # at once: waiting would tell no more
        assert (shown_now.status, shown_now.replayed) == (200, True)
        assert shown(shown_now)["status"] == "UNKNOWN"

        b.far.execute(request)
        await later(b, 1)
        assert status(b, order_id) is OrderStatus.FILLED
        assert shown(await b.place(key="k"))["status"] == "FILLED"
        assert len(b.far.taken) == 1


@on_loop
async def test_a_terminal_that_is_away_leaves_the_outcome_open(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        order_id, request = await lost(b)
        b.far.away = True
        await b.lane.on_terminal(False, "gone")
        await later(b, limits.UNKNOWN_AFTER_MS)
        assert status(b, order_id) is OrderStatus.UNKNOWN
        with pytest.raises(Problem, match="not connected") as caught:
            await b.place()
        assert caught.value.kind.code == "unavailable"
        b.far.execute(request)
        b.far.away = False
        await b.lane.on_terminal(True, "back")
        assert status(b, order_id) is OrderStatus.FILLED
        types = [event.type for event in b.journal.events("acc_1", 0, 100)]
        assert types.count("terminal.disconnected") == 1
        assert types.count("terminal.connected") == 2


@on_loop
async def test_facts_with_the_tag_settle_a_command_whose_reply_is_lost(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        placing = asyncio.create_task(b.place(key="k"))
        while not b.far.taken:
            await turn()
        report = b.far.execute(b.far.taken[0][1])
        await b.lane.on_facts(report.facts, report.time_ms)
        answer = await placing  # no clock has moved
        assert shown(answer)["status"] == "FILLED"
        assert b.types() == ["order.pending", "order.filled", "deal.added", "position.opened"]
        assert b.journal.open_commands("acc_1") == []


@on_loop
async def test_a_late_deal_corrects_what_was_given_up(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        order_id, request = await lost(b)
        b.far.taken.clear()
        await later(b, limits.LOOKUP_AFTER_MS)
        assert status(b, order_id) is OrderStatus.REJECTED
        report = b.far.execute(request)
        await b.lane.on_facts(report.facts, report.time_ms)
        [order] = b.orders()
        assert (order.id, order.status, order.reason) == (order_id, OrderStatus.FILLED, None)
        assert b.types()[-3:] == ["order.corrected", "deal.added", "position.opened"]
        [deal] = b.journal.deals_of_order("acc_1", order_id)
        assert deal.position_id == order.position_id


@on_loop
async def test_an_order_of_somebody_else_is_no_correction(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        await lost(b)
        b.far.taken.clear()
        await later(b, limits.LOOKUP_AFTER_MS)
        by_hand = TradeRequest(
            action=Action.DEAL, command_id="", deadline_ms=0, symbol="EURUSD", volume=10**7,
            comment="~aaaaaaaaaa of another server",
        )  # fmt: skip
        report = b.far.execute(by_hand)
        await b.lane.on_facts(report.facts, report.time_ms)
        assert [order.status for order in b.orders()] == [
            OrderStatus.FILLED,
            OrderStatus.REJECTED,
        ]
        assert "order.corrected" not in b.types()


# --- every kind of command ---------------------------------------------------------------------


@on_loop
async def test_every_command_is_settled_by_a_lookup(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        position_id = shown(await b.place())["position_id"]
        resting = shown(await b.place(type=OrderType.BUY_LIMIT, price=1.08))
        b.far.silent = True
        calls: list[tuple[str, Any]] = [
            ("s", lambda wait_ms: b.stops(position_id, key="s", wait_ms=wait_ms)),
            ("x", lambda wait_ms: cancelled(b, resting["id"], "x", wait_ms)),
            ("c", lambda wait_ms: b.close(position_id, key="c", wait_ms=wait_ms)),
        ]
        for _, call in calls:
            assert (await call(0)).status == 200
        for _, request in b.far.taken[2:]:
            b.far.execute(request)
        await later(b, limits.LOOKUP_AFTER_MS)
        stopped, canceled, closed = [shown(await call(0)) for _, call in calls]
        assert stopped["sl"] == 1.07
        assert (canceled["id"], canceled["status"]) == (resting["id"], "CANCELED")
        assert (closed["id"], closed["status"], closed["closed_volume"]) == (
            position_id, "CLOSED", 0.1,
        )  # fmt: skip
        assert len(b.far.taken) == 5
        assert b.lane.book.positions == {}
        assert b.lane.book.orders == {}


def cancelled(b: Bench, order_id: str, key: str, wait_ms: float) -> Coroutine[Any, Any, Any]:
    return b.run("order.cancel", order_id, None, CancelOrder(None), key, wait_ms)


@on_loop
async def test_a_cancel_wish_is_carried_out_once_the_order_rests(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        order_id, _ = await lost(b, type=OrderType.BUY_LIMIT, price=1.08)
        answer = shown(await cancelled(b, order_id, "x", 0))
        assert (answer["status"], answer["cancel_requested"]) == ("PENDING", True)
        await b.report()
        assert len(b.lane.terminal._tasks) == 1  # the wish is on its way
        while b.lane.terminal._tasks:
            await turn()
        assert status(b, order_id) is OrderStatus.CANCELED
        assert b.types()[-1] == "order.canceled"
        assert len(b.far.taken) == 2


# --- what happened while nobody looked -----------------------------------------------------------


@on_loop
async def test_a_terminal_that_comes_back_is_reconciled(tmp_path: Path) -> None:
    async with bench(tmp_path, Living) as b:
        held = shown(await b.place(sl=1.08))
        other = shown(await b.place(volume=0.2))
        resting = shown(await b.place(type=OrderType.BUY_LIMIT, price=1.07))
        await b.lane.on_terminal(False, "gone")
        deals = live_on_alone(b, resting["ticket"], other["ticket"])
        assert len(b.lane.book.positions) == 2
        await b.lane.on_terminal(True, "back")
        assert not b.lane.terminal.fault
        by_id = {order.id: order for order in b.orders()}
        assert by_id[resting["id"]].status is OrderStatus.CANCELED
        positions = {p.id: p for p in b.lane.book.positions.values()}
        assert held["position_id"] not in positions
        assert positions[other["position_id"]].volume == 10**7
        closed = b.journal.position("acc_1", held["position_id"])
        assert closed is not None
        assert closed.close_price == 107_990
        everything = OrderQuery(account_id="acc_1", limit=100)
        booked = [deal for _, deal in b.journal.deals(everything)]
        assert [deal.ticket for deal in booked[-len(deals) :]] == deals
        passing = b.journal.position("acc_1", booked[-1].position_id or "")
        assert passing is not None
        assert (passing.status, passing.volume, passing.side) == (
            PositionStatus.CLOSED,
            0,
            Side.SELL,
        )
        assert passing.profit == booked[-1].profit
        snapshot = b.far.broker.terminal_snapshot()
        assert b.lane.book.balance == snapshot.balance
        head = b.lane.book.head_seq
        await b.lane.terminal.reconcile()
        assert b.lane.book.head_seq == head  # a second look finds nothing new


@on_loop
async def test_a_deal_that_is_told_late_is_found(tmp_path: Path) -> None:
    async with bench(tmp_path, Living) as b:
        position_id = shown(await b.place(volume=0.2))["position_id"]
        ticket = b.lane.book.positions[position_id].ticket
        await b.lane.on_terminal(False, "gone")
        b.clock.set_back(limits.RECONCILE_OVERLAP_MS - 1)  # it happened before what is known
        terminal = b.connector
        assert isinstance(terminal, Living)
        terminal.by_hand(
            action=Action.DEAL, type=OrderType.SELL, volume=10**7, position_ticket=ticket
        )
        await b.lane.on_terminal(True, "back")
        everything = OrderQuery(account_id="acc_1", limit=100)
        booked = {deal.ticket for _, deal in b.journal.deals(everything)}
        assert {fact.ticket for fact in terminal.past if isinstance(fact, DealFact)} <= booked


@on_loop
@pytest.mark.parametrize("hours", [-1, 2])
async def test_what_happened_is_read_whatever_was_told_since_and_whichever_way_a_clock_was_set(
    tmp_path: Path, hours: int
) -> None:
    async with bench(tmp_path, Living) as b:
        assert isinstance(b.connector, Living)
        await b.place()
        await b.lane.on_terminal(False, "gone")
        b.connector.by_hand(action=Action.DEAL, type=OrderType.SELL, volume=10**7)
        deal = next(fact for fact in b.connector.past if isinstance(fact, DealFact))
        b.connector.past = [replace(deal, time_ms=deal.time_ms + hours * 3_600_000)]
        b.clock.advance(3 * 3_600_000)
        await b.lane.on_terminal(True, "")
        booked = [d for _, d in b.journal.deals(OrderQuery(account_id="acc_1", limit=9))]
        assert deal.ticket in [d.ticket for d in booked]


async def vanish_long_ago(b: Bench) -> tuple[str, Living]:
    """A resting order that the terminal removed unheard, long before the deals that came since."""
    assert isinstance(b.connector, Living)
    resting = shown(await b.place(type=OrderType.BUY_LIMIT, price=1.07))
    b.connector.by_hand(action=Action.REMOVE, order_ticket=resting["ticket"])
    b.clock.advance(3 * limits.RECONCILE_OVERLAP_MS)
    await b.place()  # what is told after it moves the overlap on
    await b.lane.on_terminal(False, "gone")
    return resting["id"], b.connector


@on_loop
async def test_an_order_that_vanished_long_ago_is_looked_for_since_it_was_placed(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, Living) as b:
        order_id, _ = await vanish_long_ago(b)
        await b.lane.on_terminal(True, "back")
        assert status(b, order_id) is OrderStatus.CANCELED


@on_loop
async def test_an_order_that_the_terminal_knows_no_more_is_unknown_and_counts(
    tmp_path: Path,
) -> None:
    alarms: list[str] = []
    async with bench(tmp_path, Living) as b:
        b.lane.alarm = lambda text, **_: alarms.append(text)
        order_id, terminal = await vanish_long_ago(b)
        past, terminal.past = terminal.past, []
        await b.lane.on_terminal(True, "back")
        [order] = [order for order in b.orders() if order.id == order_id]
        assert (order.status, order.reason) == (OrderStatus.UNKNOWN, "vanished_at_terminal")
        assert (alarms, b.types()[-1]) == (["an order has vanished"], "order.unknown")
        head = b.lane.book.head_seq
        await b.lane.terminal.reconcile()
        assert b.lane.book.head_seq == head, "said once"
        terminal.past = past  # its history is back
        await b.lane.terminal.reconcile()
        [order] = [order for order in b.orders() if order.id == order_id]
        assert (order.status, order.reason) == (OrderStatus.CANCELED, None)


@on_loop
async def test_a_vanished_order_is_settled_by_hand_as_canceled(tmp_path: Path) -> None:
    async with bench(tmp_path, Living) as b:
        order_id, terminal = await vanish_long_ago(b)
        terminal.past = []
        await b.lane.on_terminal(True, "back")
        ticket = b.lane.book.orders[order_id].ticket
        itself = ResolveRequest(outcome=Outcome.EXECUTED, reason="-", ticket=ticket)
        with pytest.raises(Problem, match="no BUY_LIMIT order"):
            await resolve(b.lane, order_id, itself)
        await resolve(b.lane, order_id, ResolveRequest(outcome=Outcome.NOT_EXECUTED, reason="-"))
        assert status(b, order_id) is OrderStatus.CANCELED
        await b.lane.terminal.reconcile()
        assert b.types()[-1] == "order.canceled"


@on_loop
async def test_opens_wait_until_the_account_is_reconciled(tmp_path: Path) -> None:
    async with bench(tmp_path, Living) as b:
        position_id = shown(await b.place())["position_id"]
        b.far.away = True  # it answers no question, but takes commands
        await b.lane.on_terminal(False, "gone")
        await b.lane.on_terminal(True, "back")
        with pytest.raises(Problem, match="not reconciled") as caught:
            await b.place()
        assert caught.value.kind.code == "unavailable"
        assert len(b.far.taken) == 1
        assert shown(await b.close(position_id))["status"] == "CLOSED"
        b.far.away = False
        await later(b, 0)
        assert shown(await b.place())["status"] == "FILLED"


# --- by hand -----------------------------------------------------------------------------------


@on_loop
async def test_only_an_unknown_order_is_settled_by_hand(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        request = ResolveRequest(outcome=Outcome.NOT_EXECUTED, reason="looked")
        order_id, _ = await lost(b, key="k")
        with pytest.raises(Problem) as caught:
            await resolve(b.lane, order_id, request)
        assert caught.value.kind.code == "order_not_unknown"
        await later(b, limits.UNKNOWN_AFTER_MS)
        await resolve(b.lane, order_id, request)
        [order] = b.orders()
        assert (order.status, order.reason) == (OrderStatus.REJECTED, "resolved: looked")
        assert (await b.place(key="k")).status == 422
        assert b.lane.commands.outstanding == []


@on_loop
async def test_an_unknown_order_takes_the_fate_of_the_order_it_is_named_to_be(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, FarConnector) as b:
        order_id, request = await lost(b, key="k")
        await later(b, limits.UNKNOWN_AFTER_MS)
        report = b.far.execute(replace(request, tag="", comment="the broker's own words"))
        await b.lane.on_facts(report.facts, report.time_ms)
        [fact] = [fact for fact in report.facts if isinstance(fact, OrderFact)]
        wrong = ResolveRequest(outcome=Outcome.EXECUTED, reason="seen", ticket=fact.ticket + 1)
        for asked in (wrong, replace(wrong, ticket=None)):
            with pytest.raises(Problem) as caught:
                await resolve(b.lane, order_id, asked)
            assert caught.value.errors[0].pointer == "/ticket"
        await resolve(b.lane, order_id, replace(wrong, ticket=fact.ticket))
        [order] = [order for order in b.orders() if order.id == order_id]
        assert (order.status, order.reason) == (OrderStatus.FILLED, "resolved: seen")
        assert order.position_id in b.lane.book.positions
        assert shown(await b.place(key="k"))["id"] == order_id
