"""The lane with a terminal inside the process: barriers, keys, failed commits, settled reads."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from fxsocket_server.broker.faults import Fault
from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.gateway.commands import fingerprint_of, wait_of
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.model.enums import OrderStatus, OrderType

from ..api.world import Spy, on_loop
from .lane_bench import again, bench, refusing, shown, snapshot, turn

# --- a terminal inside the process -----------------------------------------------------------


@on_loop
async def test_one_commit_serves_both_barriers(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with Spy(b.journal, "append") as commits:
            order = shown(await b.place(key="k"))
            assert commits.count == 1
        assert (order["status"], order["price"]) == ("FILLED", 1.0835)
        assert b.points == ["after_intent", "after_broker", "after_commit"]
        assert b.types() == ["order.pending", "order.filled", "deal.added", "position.opened"]
        assert b.published == b.journal.events("acc_1", 0, 100)


@on_loop
async def test_an_answer_waits_for_its_commit(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with Spy(b.journal._writer, "_commit") as committing:
            placing = asyncio.create_task(b.place())
            await turn()  # it is decided
            await turn()  # and sent to the writer
            committing.wait_for(1)
            assert b.lane.book.positions  # decided
            assert not placing.done()
            assert b.points == ["after_intent", "after_broker"]
            assert b.published[-1].seq == 2
            other.execute("ROLLBACK")
            other.close()
            await placing
        assert b.published[-1].seq == 6


@on_loop
async def test_commands_are_decided_and_committed_one_after_another(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        answers = await asyncio.gather(*(b.place(volume=0.01) for _ in range(50)))
        tickets = [shown(answer)["ticket"] for answer in answers]
        assert tickets == list(range(tickets[0], tickets[0] + 50))
        assert [event.seq for event in b.published] == list(range(1, 3 + 50 * 4))


@on_loop
async def test_a_refusal_of_the_broker_is_journalled(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        answer = await b.place(key="k", volume=90.0)
        assert (answer.status, shown(answer)["code"]) == (422, "not_enough_money")
        assert b.types() == ["order.pending", "order.rejected"]
        assert b.lane.book.orders == {}
        again = await b.place(key="k", volume=90.0)
        assert (again.replayed, again.body) == (True, answer.body)


@on_loop
async def test_a_failed_commit_leaves_nothing_and_the_lane_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        held = shown(await b.place())
        before = (snapshot(b), b.lane.book.head_seq)
        with refusing(tmp_path):
            for attempt in (
                b.place(key="k"),
                b.close(held["position_id"], key="c"),
                b.stops(held["position_id"]),
            ):
                with pytest.raises(JournalUnavailable, match="disk is full"):
                    await attempt
        assert (snapshot(b), b.lane.book.head_seq) == before
        assert b.journal.command("acc_1", "k") is None
        again = await b.place(key="k")
        assert (again.status, again.replayed) == (200, False)
        assert [event.seq for event in b.published] == list(range(1, 11))


@on_loop
async def test_an_error_in_the_middle_of_a_decision_leaves_nothing(tmp_path: Path) -> None:
    """The broker has acted and events are numbered when it strikes; others are under way."""

    def strike() -> None:
        raise RuntimeError("a bug")

    async with bench(tmp_path) as b:
        b.on_point["after_broker"] = lambda: None
        earlier = asyncio.ensure_future(b.place())
        await turn()
        b.on_point["after_broker"] = strike
        with pytest.raises(RuntimeError, match="a bug"):
            await b.place(key="k")
        b.on_point.clear()
        held = shown(await earlier)
        assert list(b.lane.book.positions) == [held["position_id"]]
        assert len(b.connector.broker.terminal_snapshot().positions) == 1
        again = await b.place(key="k")
        assert (again.status, again.replayed) == (200, False)
        events = b.journal.events("acc_1", 0, 100)
        assert [event.seq for event in events] == list(range(1, 3 + 2 * 4))


@on_loop
async def test_a_failed_commit_takes_the_commands_behind_it_along(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with refusing(tmp_path):
            answers = await asyncio.gather(
                *(b.place(key=f"k{number}") for number in range(5)), return_exceptions=True
            )
        assert all(isinstance(answer, JournalUnavailable) for answer in answers)
        assert b.connector.broker.terminal_snapshot().positions == ()
        assert shown(await b.place(key="k0"))["ticket"] == 1_000_001


@on_loop
async def test_duplicates_of_a_failed_command_hear_of_it_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with refusing(tmp_path):
            answers = await asyncio.gather(
                *(b.place(key="k") for _ in range(4)), return_exceptions=True
            )
        assert all(isinstance(answer, JournalUnavailable) for answer in answers)
        assert not (await b.place(key="k")).replayed


@on_loop
async def test_a_full_queue_refuses_before_anything_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        monkeypatch.setattr(limits, "JOURNAL_QUEUE_CHANGES", 0)
        with pytest.raises(JournalUnavailable):
            await b.place(key="k")
        assert b.connector.broker.terminal_snapshot().positions == ()
        monkeypatch.undo()
        assert (await b.place(key="k")).status == 200


@on_loop
async def test_facts_of_a_tick_are_durable_before_it_is_shown(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.place(sl=1.08)
        b.published.clear()
        await b.connector.set_price("EURUSD", 107_990, 108_000)
        assert [event.type for event in b.published] == [
            "order.filled", "deal.added", "position.closed", "balance.changed",
        ]  # fmt: skip
        assert b.lane.book.positions == {}


@on_loop
async def test_a_tick_whose_facts_were_not_durable_fires_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.place(sl=1.08)
        with refusing(tmp_path):
            await b.connector.set_price("EURUSD", 107_990, 108_000)
        assert len(b.lane.book.positions) == 1
        await b.connector.set_price("EURUSD", 107_980, 107_990)
        assert b.lane.book.positions == {}
        assert b.types(6)[-1] == "balance.changed"


# --- keys ------------------------------------------------------------------------------------


@on_loop
async def test_a_key_is_replayed_from_the_journal(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.place(key="k")
        again = await b.place(key="k")
        assert (first.replayed, again.replayed) == (False, True)
        assert again.body == first.body
        with pytest.raises(Problem) as caught:
            await b.place(key="k", volume=0.2)
        assert caught.value.kind.code == "idempotency_key_reused"
        assert len(b.orders()) == 1


@on_loop
async def test_what_is_refused_before_the_journal_stores_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with Spy(b.journal, "append") as commits:
            for wrong in ({"volume": 0.015}, {"symbol": "X"}, {"price": -1.0}):
                with pytest.raises(Problem):
                    await b.place(key="k", **wrong)
            assert commits.count == 0
        assert (await b.place(key="k")).status == 200


@on_loop
async def test_what_needs_no_broker_is_answered_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        position_id = shown(await b.place())["position_id"]
        await b.close(position_id)
        with Spy(b.journal, "append") as commits:
            again = shown(await b.close(position_id, key="k"))
            assert commits.count == 0
        assert again["already"] is True
        assert b.journal.command("acc_1", "k") is None


@on_loop
async def test_what_was_just_closed_is_told_once_it_is_durable(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        position_id = shown(await b.place())["position_id"]
        first, again = await asyncio.gather(b.close(position_id), b.close(position_id))
        assert shown(again) == {**shown(first), "already": True}
        position_id = shown(await b.place())["position_id"]
        with refusing(tmp_path):
            lost, told = await asyncio.gather(
                b.close(position_id), b.close(position_id), return_exceptions=True
            )
        assert isinstance(lost, JournalUnavailable)
        assert isinstance(told, Problem)
        assert told.kind.code == "unavailable"
        assert shown(await b.close(position_id))["already"] is False


@on_loop
async def test_without_a_key_the_answer_is_not_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.place()
        await b.place(key="k")
        with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
            rows = other.execute(
                "SELECT key, answer_status, answer_body IS NULL FROM commands ORDER BY key"
            ).fetchall()
        assert rows == [(None, 200, 1), ("k", 200, 0)]


# --- settled reads ---------------------------------------------------------------------------


@on_loop
async def test_nothing_to_settle_returns_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.lane.settled()


@on_loop
async def test_a_reader_of_what_was_lost_reads_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with refusing(tmp_path):
            placing = asyncio.create_task(b.place())
            await turn()
            assert b.lane.book.positions
            with pytest.raises(Problem) as caught:
                await b.lane.settled()
            with pytest.raises(JournalUnavailable):
                await placing
        assert (caught.value.kind.code, caught.value.retry_after_s) == ("unavailable", 1)
        assert b.lane.book.positions == {}


# --- restarts ----------------------------------------------------------------------------------


@on_loop
async def test_what_facts_have_told_is_no_intent_lost_in_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        b.connector.put_fault(Fault(lose_reply=True, times=1))
        # The server dies before it asks.
        monkeypatch.setattr(b.lane.terminal, "look_up_soon", lambda running: None)
        pending = shown(await b.place(key="k", wait_ms=0))
        while "order.filled" not in b.types():  # the facts are durable
            await turn()
        b.lane = again(b)
        await b.lane.resume()
        answer = await b.place(key="k")
        assert (answer.status, answer.replayed) == (200, True)
        assert (shown(answer)["id"], shown(answer)["status"]) == (pending["id"], "FILLED")


@on_loop
async def test_a_lost_reply_that_is_looked_up_late_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        monkeypatch.setattr(b.lane.terminal, "look_up_soon", lambda running: None)
        b.connector.put_fault(Fault(lose_reply=True, times=1))
        lost = shown(await b.place(volume=0.2, wait_ms=0))
        while "order.filled" not in b.types():
            await turn()
        position_id = next(iter(b.lane.book.positions))
        part = ClosePosition(0.1, None)
        await b.run("position.close", position_id, None, part, None, 0)
        balance, held = b.lane.book.balance, b.lane.book.positions[position_id]
        for running in b.lane.commands.outstanding:
            await b.lane.terminal.look_up(running)
        await b.lane.settled()
        assert (b.lane.book.balance, b.lane.book.positions[position_id]) == (balance, held)
        assert b.lane.commands.outstanding == []
        [order] = [order for order in b.orders() if order.id == lost["id"]]
        assert order.status is OrderStatus.FILLED


@on_loop
async def test_the_number_of_a_rest_is_given_out_once(tmp_path: Path) -> None:
    """On MT4 what is left of a partial close has a number of its own, and no order."""
    async with bench(tmp_path, profile_name="mt4") as b:
        position_id = shown(await b.place(volume=0.2))["position_id"]
        part = ClosePosition(0.1, None)
        await b.run("position.close", position_id, None, part, None, 0)
        [rest] = b.lane.book.positions.values()
        b.lane.rebuild()  # the broker begins anew, as after a restart
        assert shown(await b.place())["ticket"] > rest.ticket


# --- small things ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(None, 8_000), (0, 0), (-5, 0), (250, 250), (8_000, 8_000), (60_000, 8_000)],
)
def test_a_sender_waits_no_longer_than_the_server(asked: float | None, waits: float) -> None:
    assert wait_of(asked) == waits


def test_a_fingerprint_is_of_all_that_was_asked() -> None:
    request = OrderRequest(symbol="EURUSD", type=OrderType.BUY, volume=0.1)
    same = fingerprint_of("order.place", "", replace(request))
    assert fingerprint_of("order.place", "", request) == same
    assert fingerprint_of("order.place", "", replace(request, volume=0.2)) != same
    assert fingerprint_of("order.place", "x", request) != same
    assert fingerprint_of("order.modify", "", request) != same
