"""The lane with a terminal elsewhere, which reports when it is told to; and what a crash leaves."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.orders.modify import ModifyOrder
from fxsocket_server.gateway.requests import OrderPatch
from fxsocket_server.model.enums import Action, OrderStatus, OrderType, TimeInForce
from fxsocket_server.model.facts import Lookup, LookupState, Report, TradeRequest

from ..api.world import FarConnector, Spy, on_loop
from .lane_bench import bench, refusing, shown, snapshot, turn

STOP_LIMIT: dict[str, Any] = {"stop_limit_price": 1.089, "sl": 1.08, "tp": 1.098}

# --- a terminal outside the process ----------------------------------------------------------


class Watching(FarConnector):
    """Calls back before it takes a request."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.before: Callable[[TradeRequest], None] = lambda _: None

    def hand_over(self, request: TradeRequest) -> Report | None:
        """Take a request."""
        self.before(request)
        return super().hand_over(request)


@on_loop
async def test_an_intent_is_durable_before_it_leaves_the_process(tmp_path: Path) -> None:
    async with bench(tmp_path, Watching) as b:
        seen: list[TradeRequest] = []

        def before(request: TradeRequest) -> None:
            assert [order.status for order in b.orders()] == [OrderStatus.PENDING]
            [order] = b.orders()
            assert request.comment == order.tag + order.comment
            assert request.tag == order.tag
            command = b.journal.command("acc_1", "k")
            assert command is not None
            assert (command.subject_id, command.answer_status) == (order.id, None)
            assert b.journal.open_commands("acc_1") == [command]
            assert b.types() == ["order.pending"]
            assert b.published[-1].type == "order.pending"
            seen.append(request)

        assert isinstance(b.connector, Watching)
        b.connector.before = before
        with Spy(b.journal, "append") as commits:
            order = shown(await b.place(key="k", comment="mine"))
            assert commits.count == 2
        assert order["status"] == "FILLED"
        assert len(seen) == 1
        assert seen[0].deadline_ms == b.clock.monotonic_ms() + limits.MARKET_DEADLINE_MS
        assert b.journal.open_commands("acc_1") == []
        assert b.points == [
            "after_intent", "before_hand_over", "after_hand_over", "after_broker", "after_commit",
        ]  # fmt: skip


@on_loop
async def test_what_could_not_be_journalled_is_never_handed_over(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        with refusing(tmp_path), pytest.raises(JournalUnavailable):
            await b.place(key="k")
        assert b.far.taken == []
        assert b.lane.book.orders == {}
        assert shown(await b.place(key="k"))["status"] == "FILLED"


@on_loop
async def test_an_outcome_that_did_not_become_durable_is_asked_for(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        assert shown(await b.place(key="k", wait_ms=0))["status"] == "PENDING"
        with refusing(tmp_path), pytest.raises(JournalUnavailable):
            await b.report()
        b.clock.advance(limits.LOOKUP_AFTER_MS)
        await b.lane.terminal.look_after()
        assert shown(await b.place(key="k"))["status"] == "FILLED"
        assert b.lane.commands.outstanding == []


@on_loop
async def test_a_report_that_did_not_become_durable_at_once_is_asked_for(tmp_path: Path) -> None:
    async with bench(tmp_path, Watching) as b:
        assert isinstance(b.connector, Watching)
        full = refusing(tmp_path)
        b.connector.before = lambda _: full.__enter__()
        assert shown(await b.place(key="k", wait_ms=0))["status"] == "PENDING"
        full.__exit__(None, None, None)
        b.clock.advance(limits.LOOKUP_AFTER_MS)
        await b.lane.terminal.look_after()
        assert shown(await b.place(key="k"))["status"] == "FILLED"


@on_loop
async def test_a_close_whose_deals_came_before_its_report_tells_what_they_closed(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, FarConnector) as b:
        position_id = shown(await b.place())["position_id"]
        b.far.silent = True
        closing = asyncio.create_task(b.close(position_id, key="k", wait_ms=30_000))
        while len(b.far.taken) < 2:
            await turn()
        command_id, request = b.far.taken[1]
        report = b.far.execute(request)
        told = asyncio.create_task(b.lane.on_facts(report.facts, report.time_ms))
        await turn()
        await b.lane.on_report(command_id, report)
        await told
        assert shown(await closing)["closed_volume"] == 0.1
        assert (await b.close(position_id, key="k")).body == closing.result().body


class Forgetful(FarConnector):
    """A terminal that began everything, and knows the end of nothing."""

    async def lookup(self, tag: str, since_ms: int) -> Lookup:
        """Begun."""
        return Lookup(state=LookupState.STARTED)


@on_loop
async def test_a_modification_that_nobody_knows_the_end_of_is_answered_as_it_stands(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, Forgetful) as b:
        position_id = shown(await b.place())["position_id"]
        b.far.silent = True
        assert (await b.stops(position_id, key="k")).status == 200
        b.clock.advance(limits.UNKNOWN_AFTER_MS - 1)
        await b.lane.terminal.look_after()
        with pytest.raises(Problem, match="still running"):
            await b.stops(position_id, key="k")
        b.clock.advance(1)
        await b.lane.terminal.look_after()
        answer = await b.stops(position_id, key="k")
        assert (answer.status, answer.replayed, shown(answer)["sl"]) == (200, True, None)
        assert len(b.far.taken) == 2, "it was not sent again"


@on_loop
async def test_a_deadline_that_passed_is_never_handed_over(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        late = limits.MARKET_DEADLINE_MS + 1
        b.on_point["after_intent"] = lambda: b.clock.advance(late)
        answer = await b.place(key="k")
        assert b.far.taken == []
        problem = shown(answer)
        assert (answer.status, problem["code"]) == (422, "rejected")
        assert (problem["order"]["status"], problem["order"]["reason"]) == (
            "REJECTED",
            "deadline_passed",
        )
        assert problem["order"]["retcode"] is None
        assert "was not sent" in problem["detail"]
        assert b.types() == ["order.pending", "order.rejected"]
        b.on_point.clear()
        again = await b.place(key="k")
        assert (again.replayed, again.body) == (True, answer.body)


@on_loop
async def test_a_deadline_is_met_at_its_last_moment(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.on_point["after_intent"] = lambda: b.clock.advance(limits.MARKET_DEADLINE_MS)
        assert shown(await b.place())["status"] == "FILLED"
        b.on_point["after_intent"] = lambda: b.clock.advance(limits.COMMAND_DEADLINE_MS)
        resting = shown(await b.place(type=OrderType.BUY_LIMIT, price=1.08))
        assert resting["status"] == "PLACED"


@on_loop
async def test_a_late_report_is_pending_first_and_filled_then(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        pending = shown(await b.place(key="k", wait_ms=0))
        assert (pending["status"], pending["ticket"]) == ("PENDING", None)
        with pytest.raises(Problem) as caught:
            await b.place(key="k", wait_ms=0)
        assert caught.value.kind.code == "idempotency_in_flight"
        assert caught.value.retry_after_s == 1
        await b.report()
        assert b.types() == ["order.pending", "order.filled", "deal.added", "position.opened"]
        assert b.published[-3].type == "order.filled"
        again = await b.place(key="k")
        assert again.replayed
        assert (shown(again)["id"], shown(again)["status"]) == (pending["id"], "FILLED")
        assert len(b.far.taken) == 1


@on_loop
async def test_a_report_in_time_is_the_answer(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        with Spy(b.far, "hand_over") as handed_over:
            placing = asyncio.create_task(b.place(key="k"))
            while not handed_over.count:
                await turn()
        await b.report()
        assert shown(await placing)["status"] == "FILLED"


@on_loop
async def test_duplicates_join_a_command_under_way(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        with Spy(b.far, "hand_over") as handed_over, Spy(b.lane.retries, "_join") as joined:
            tasks = [asyncio.create_task(b.place(key="k")) for _ in range(5)]
            while not (handed_over.count and joined.count == 4):
                await turn()
        with pytest.raises(Problem) as caught:
            await b.place(key="k", volume=0.2)
        assert caught.value.kind.code == "idempotency_key_reused"
        await b.report()
        answers = await asyncio.gather(*tasks)
        assert [answer.replayed for answer in answers] == [False] + [True] * 4
        assert len({answer.body for answer in answers}) == 1
        assert len(b.far.taken) == len(b.orders()) == 1


@on_loop
async def test_a_late_refusal_is_the_order_s_end(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        await b.place(key="k", volume=90.0, wait_ms=0)
        await b.report()
        assert b.types() == ["order.pending", "order.rejected"]
        again = await b.place(key="k", volume=90.0)
        assert (again.status, shown(again)["retcode_name"]) == (422, "NO_MONEY")


@on_loop
async def test_a_change_that_is_not_answered_yet_shows_things_as_they_stand(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        position_id = shown(await b.place())["position_id"]
        b.far.silent = True
        stands = shown(await b.stops(position_id, key="s"))
        assert (stands["id"], stands["sl"]) == (position_id, None)
        stands = shown(await b.close(position_id, key="c"))
        assert (stands["status"], stands["closed_volume"], stands["remaining_volume"]) == (
            "OPEN",
            0,
            0.1,
        )
        [closing] = [o for o in b.lane.book.orders.values() if o.status is OrderStatus.PENDING]
        assert stands["close_order_id"] == closing.id
        for attempt in (b.stops(position_id, key="s"), b.close(position_id, key="c")):
            with pytest.raises(Problem) as caught:
                await attempt
            assert caught.value.kind.code == "idempotency_in_flight"
        await b.report(1)
        await b.report(2)
        assert shown(await b.stops(position_id, key="s"))["sl"] == 1.07
        closed = await b.close(position_id, key="c")
        assert (closed.replayed, shown(closed)["status"]) == (True, "CLOSED")


@on_loop
async def test_cancelling_what_is_pending_marks_the_wish(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        order_id = shown(await b.place(wait_ms=0))["id"]
        answer = await b.run("order.cancel", order_id, None, CancelOrder(None), None, 0)
        marked = shown(answer)
        assert (marked["status"], marked["cancel_requested"]) == ("PENDING", True)
        await b.report()
        [order] = b.orders()
        assert (order.status, order.cancel_requested) == (OrderStatus.FILLED, True)
        assert "order.cancel_requested" in b.types()


@on_loop
async def test_a_terminal_is_asked_for_a_change_in_full(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        placed = shown(await b.place(type=OrderType.BUY_STOP_LIMIT, price=1.09, **STOP_LIMIT))
        patch = OrderPatch(price=1.091, tp=1.099, expires_at=None)
        await b.run("order.modify", placed["id"], patch, ModifyOrder(patch), None, 30_000)
        request = b.far.taken[-1][1]
        assert replace(request, command_id="", tag="", deadline_ms=0) == TradeRequest(
            action=Action.MODIFY,
            command_id="",
            tag="",
            deadline_ms=0,
            symbol="EURUSD",
            type=OrderType.BUY_STOP_LIMIT,
            price=109_100,
            stop_limit=108_900,
            sl=108_000,
            tp=109_900,
            time_in_force=TimeInForce.GTC,
            expires_ms=None,
            order_ticket=placed["ticket"],
        )
        assert request.deadline_ms == b.clock.monotonic_ms() + limits.COMMAND_DEADLINE_MS


@on_loop
async def test_a_report_of_a_command_that_nobody_knows_is_booked(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        request = TradeRequest(
            action=Action.DEAL, command_id="req_gone", deadline_ms=0, symbol="EURUSD", volume=10**7
        )
        await b.lane.on_report("req_gone", b.far.execute(request))
        [order] = b.orders()
        assert (order.status, order.reason) == (OrderStatus.FILLED, "expert")
        assert len(b.lane.book.positions) == 1


@on_loop
async def test_a_report_that_comes_twice_is_booked_once(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        await b.place(wait_ms=0)
        [(command_id, request)] = b.far.taken
        report = b.far.execute(request)
        await b.lane.on_report(command_id, report)
        head, orders = b.lane.book.head_seq, b.orders()
        await b.lane.on_report(command_id, report)
        await b.lane.on_facts(report.facts, report.time_ms)
        assert (b.lane.book.head_seq, b.orders()) == (head, orders)


# --- after a crash ---------------------------------------------------------------------------


async def crashed(folder: Path) -> dict[str, Any]:
    """What a process leaves that died between its intents and their outcomes."""
    async with bench(folder, FarConnector) as b:
        position_id = shown(await b.place())["position_id"]
        b.far.silent = True
        placed = shown(await b.place(key="place", wait_ms=0))
        await b.close(position_id, key="close")
        await b.stops(position_id, key="stops")
        return {"position_id": position_id, "order_id": placed["id"]}


@on_loop
async def test_intents_that_were_lost_are_rejected_and_replayed(tmp_path: Path) -> None:
    left = await crashed(tmp_path)
    async with bench(tmp_path) as b:
        statuses = {order.id: order.status for order in b.orders()}
        assert statuses[left["order_id"]] is OrderStatus.PENDING
        await b.lane.resume()
        assert b.journal.open_commands("acc_1") == []
        lost = [order for order in b.orders() if order.reason == "lost_in_restart"]
        assert len(lost) == 2  # the order, and the order that should have closed the position
        assert {order.status for order in lost} == {OrderStatus.REJECTED}
        assert b.types()[-2:] == ["order.rejected"] * 2

        again = await b.place(key="place")
        problem = shown(again)
        assert (again.replayed, again.status, problem["code"]) == (True, 422, "rejected")
        assert problem["order"]["id"] == left["order_id"]
        assert problem["order"]["reason"] == "lost_in_restart"
        for answer in (
            await b.close(left["position_id"], key="close"),
            await b.stops(left["position_id"], key="stops"),
        ):
            assert (answer.replayed, answer.status) == (True, 422)
        assert len(b.connector.broker.terminal_snapshot().positions) == 1
        assert shown(await b.place(key="new"))["status"] == "FILLED"
        seqs = [event.seq for event in b.journal.events("acc_1", 0, 1_000)]
        assert seqs == list(range(1, len(seqs) + 1))


@on_loop
async def test_nothing_is_settled_twice(tmp_path: Path) -> None:
    await crashed(tmp_path)
    async with bench(tmp_path) as b:
        await b.lane.resume()
        with Spy(b.journal, "append") as commits:
            await b.lane.resume()
            assert commits.count == 0


@on_loop
async def test_a_terminal_outside_may_still_have_executed_it(tmp_path: Path) -> None:
    left = await crashed(tmp_path)
    async with bench(tmp_path, FarConnector) as b:
        await b.lane.resume()
        order = b.lane.book.orders[left["order_id"]]
        assert order.status is OrderStatus.PENDING
        with pytest.raises(Problem) as caught:
            await b.place(key="place", wait_ms=0)
        assert caught.value.kind.code == "idempotency_in_flight"
        assert len(b.lane.commands.outstanding) == 3


@on_loop
async def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.place(sl=1.07, comment="first")
        await b.place(type=OrderType.BUY_LIMIT, price=1.08, comment="second")
        await b.place(volume=90.0)
        before = (snapshot(b), b.lane.book.head_seq, b.lane.book.epoch)
    async with bench(tmp_path) as b:
        assert (snapshot(b), b.lane.book.head_seq, b.lane.book.epoch) == before
        assert shown(await b.place())["ticket"] == 1_000_003
