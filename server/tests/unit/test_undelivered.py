"""Clients without a key: a lost answer serves one equal retry, a delivered one protects nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.delivery import Delivery, DeliveryGuard
from fxsocket_server.gateway.positions.close import ClosePosition

from ..api.world import FarConnector, Spy, on_loop
from .lane_bench import Bench, bench, refusing, shown, turn


def lost() -> Delivery:
    """A connection that ended before the answer was written."""
    delivery = Delivery()
    delivery.connection_lost(reset=False)
    return delivery


async def delivered(b: Bench, **order: Any) -> Answer:
    """An order whose answer arrives."""
    delivery = Delivery()
    answer = await b.send(delivery, **order)
    delivery.answer_written()
    return answer


def ids(*answers: Answer) -> list[str]:
    return [shown(answer)["id"] for answer in answers]


@on_loop
async def test_a_lost_answer_is_given_to_an_equal_retry(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.send(lost())
        retry = await delivered(b)
        assert (retry.replayed, retry.inferred, retry.body) == (True, True, first.body)
        assert len(b.orders()) == 1


@on_loop
async def test_a_command_that_left_no_trace_protects_nothing_when_its_answer_is_lost(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        delivery = Delivery()
        with refusing(tmp_path), pytest.raises(JournalUnavailable):
            await b.send(delivery)
        delivery.connection_lost(reset=True)
        retry = await delivered(b)
        assert (retry.inferred, len(b.orders())) == (False, 1)


@on_loop
async def test_a_retry_that_leaves_while_it_waits_leaves_the_answer_to_the_next(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        await b.send(lost(), wait_ms=0)
        impatient = Delivery()
        waiting = asyncio.create_task(b.send(impatient))
        await turn()
        impatient.connection_lost(reset=False)
        last = asyncio.create_task(delivered(b))
        await turn()
        await b.report()
        answers = [await waiting, await last]
        assert [answer.inferred for answer in answers] == [True, True]
        assert len(b.orders()) == 1
        b.far.silent = False
        assert not (await delivered(b)).inferred, "the last answer arrived: nothing is owed"


@on_loop
async def test_delivered_answers_protect_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first, second = await delivered(b), await delivered(b)
        assert (first.inferred, second.inferred) == (False, False)
        assert len(b.orders()) == len(set(ids(first, second))) == 2


@on_loop
async def test_one_lost_answer_serves_one_retry(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.send(lost())
        retry, another = await delivered(b), await delivered(b)
        assert (retry.inferred, another.inferred) == (True, False)
        assert len(b.orders()) == 2


@on_loop
async def test_a_retry_whose_answer_is_lost_too_may_be_retried_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.send(lost())
        second, third = await b.send(lost()), await delivered(b)
        assert ids(first) == ids(second) == ids(third)
        assert not (await delivered(b)).inferred
        assert len(b.orders()) == 2


@on_loop
async def test_three_lost_answers_serve_three_retries_oldest_first(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        firsts = []
        for _ in range(3):
            delivery = Delivery()
            firsts.append((await b.send(delivery), delivery))
        for _, delivery in firsts:
            delivery.connection_lost(reset=False)
        retries = [await delivered(b) for _ in range(3)]
        assert ids(*retries) == ids(*[answer for answer, _ in firsts])
        assert len(b.orders()) == 3


@on_loop
async def test_a_reset_after_the_answer_was_written_loses_it_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        delivery = Delivery()
        first = await b.send(delivery)
        delivery.answer_written()
        await b.place(key="k")  # the mark that it has arrived is committed along
        delivery.connection_lost(reset=True)
        assert [c.command_id for c in b.journal.undelivered("acc_1", 0)] == []
        await b.place(key="l")
        assert len(b.journal.undelivered("acc_1", 0)) == 1
        assert ids(await delivered(b)) == ids(first)


@on_loop
async def test_a_connection_that_ends_well_has_delivered(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        delivery = Delivery()
        await b.send(delivery)
        delivery.answer_written()
        delivery.connection_lost(reset=False)
        assert not (await delivered(b)).inferred


@pytest.mark.parametrize(
    "changed",
    [{"volume": 0.2}, {"sl": 1.07}, {"symbol": "GBPUSD"}, {"comment": "x"}, {"api_key_id": "k2"}],
    ids=str,
)
def test_only_an_equal_command_of_the_same_key_is_a_retry(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    @on_loop
    async def test(folder: Path) -> None:
        async with bench(folder) as b:
            await b.send(lost())
            other = await delivered(b, **changed)
            assert not other.inferred
            assert len(b.orders()) == 2
            assert (await delivered(b)).inferred  # what was lost is still owed

    test(tmp_path)


@on_loop
async def test_the_guard_runs_out(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        delivery = Delivery()
        first = await b.send(delivery)
        b.clock.advance(500_000)
        delivery.connection_lost(reset=False)  # counted from the later of the two
        b.clock.advance(limits.UNDELIVERED_MS)
        assert ids(await b.send(lost())) == ids(first)
        b.clock.advance(limits.UNDELIVERED_MS + 1)
        assert not (await delivered(b)).inferred


@on_loop
async def test_a_retry_joins_a_command_that_still_runs(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        gone = Delivery()
        placing = asyncio.create_task(b.send(gone))
        while not b.far.taken:
            await turn()
        gone.connection_lost(reset=False)
        with Spy(b.lane, "outcome_or_standing") as joined:
            waiting = Delivery()
            retry = asyncio.create_task(b.send(waiting))
            while not joined.count:
                await turn()
        await b.report()
        first, second = await placing, await retry
        assert (second.inferred, second.body) == (True, first.body)
        waiting.answer_written()
        assert len(b.far.taken) == 1


@on_loop
async def test_a_retry_that_will_not_wait_sees_things_as_they_stand(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        first = await b.send(lost(), wait_ms=0)
        retry = await b.send(lost(), wait_ms=0)  # never 409: it knows no key to ask with
        assert (retry.status, retry.inferred) == (200, True)
        assert (shown(retry)["id"], shown(retry)["status"]) == (shown(first)["id"], "PENDING")
        b.clock.advance(limits.UNDELIVERED_MS * 10)  # no outcome yet: nothing has run out
        await b.report()
        last = await delivered(b)
        assert (shown(last)["id"], shown(last)["status"]) == (shown(first)["id"], "FILLED")
        assert len(b.far.taken) == 1


@on_loop
async def test_a_refusal_that_was_lost_is_told_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.send(lost(), volume=90.0)
        again = await delivered(b, volume=90.0)
        assert (again.status, again.body) == (422, first.body)
        assert len(b.orders()) == 1


@on_loop
async def test_closing_is_guarded_as_well(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        position_id = shown(await delivered(b, volume=0.3))["position_id"]

        async def close(delivery: Delivery) -> Answer:
            body, verb = (0.1, None), ClosePosition(0.1, None)
            return await b.run("position.close", position_id, body, verb, None, 30_000, delivery)

        first, retry = await close(lost()), await close(Delivery())
        assert (retry.inferred, retry.body) == (True, first.body)
        assert shown(retry)["remaining_volume"] == 0.2


# --- over a restart --------------------------------------------------------------------------


@on_loop
async def test_an_answer_of_before_a_crash_counts_as_lost(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.send(Delivery())
        answered = Delivery()
        await b.send(answered, volume=0.2)
        answered.answer_written()
        await b.place(key="k")  # marks are written lazily, with the next commit
        b.journal._flush()
    async with bench(tmp_path) as b:
        await b.lane.resume()
        assert not (await delivered(b, volume=0.2)).inferred
        retry = await delivered(b)
        assert (retry.inferred, retry.body) == (True, first.body)
        assert not (await delivered(b)).inferred


@on_loop
async def test_an_old_answer_of_before_a_crash_protects_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.send(Delivery())
    async with bench(tmp_path) as b:
        b.clock.advance(limits.UNDELIVERED_MS + limits.ORDER_WAIT_MS + 1)
        await b.lane.resume()
        assert not (await delivered(b)).inferred


@on_loop
async def test_what_was_lost_in_a_restart_protects_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        await b.send(Delivery(), wait_ms=0)
    async with bench(tmp_path) as b:  # now inside the process: it never happened
        await b.lane.resume()
        again = await delivered(b)
        assert (again.inferred, shown(again)["status"]) == (False, "FILLED")


@on_loop
async def test_a_command_that_a_terminal_may_have_done_is_joined_after_a_restart(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        first = shown(await b.send(Delivery(), wait_ms=0))
        request = b.far.taken[0][1]
    async with bench(tmp_path, FarConnector) as b:
        b.far.taken.append((request.command_id, request))  # its journal survives
        await b.lane.resume()
        retry = shown(await b.send(lost(), wait_ms=0))
        assert (retry["id"], retry["status"]) == (first["id"], "PENDING")
        b.far.execute(request)
        await b.lane.terminal.reconcile()
        again = await delivered(b)
        assert (again.inferred, shown(again)["id"]) == (True, first["id"])
        assert shown(again)["status"] == "FILLED"
        assert len(b.far.taken) == 1


# --- the guard alone -------------------------------------------------------------------------


def test_a_claimed_answer_serves_nobody_else() -> None:
    guard = DeliveryGuard(lambda: 0.0, lambda *_: None)
    guard.begin("req_1", ("key", b"same"), lost())
    guard.settled("req_1")
    first, second = Delivery(), Delivery()
    entry = guard.claim(("key", b"same"), first)
    assert entry is not None
    assert guard.claim(("key", b"same"), second) is None
    guard.release(entry, first)
    assert guard.claim(("key", b"same"), second) is entry


def test_nothing_is_kept_of_what_was_delivered() -> None:
    arrived: list[str] = []
    guard = DeliveryGuard(lambda: 0.0, lambda command_id, _: arrived.append(command_id))
    for number in range(1_000):
        delivery = Delivery()
        guard.begin(f"req_{number}", ("key", b"same"), delivery)
        guard.settled(f"req_{number}")
        delivery.answer_written()
    assert len(arrived) == 1_000
    assert guard.size == 0


def test_what_runs_out_is_forgotten() -> None:
    now = [0.0]
    guard = DeliveryGuard(lambda: now[0], lambda *_: None)
    for number in range(100):
        delivery = Delivery()
        guard.begin(f"req_{number}", ("key", bytes([number])), delivery)
        guard.settled(f"req_{number}")
        delivery.connection_lost(reset=True)
    assert guard.size == 100
    now[0] = limits.UNDELIVERED_MS + 1.0
    guard.forget_old()
    assert guard.size == 0
