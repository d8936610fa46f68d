"""Commands of several legs that a crash cuts short: whoever sends them again gets each leg once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.gateway.answers import standing
from fxsocket_server.gateway.commands import Answer, Command, fingerprint_of
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.gateway.several.batch import BatchRequest, batch_of
from fxsocket_server.gateway.several.close_all import CloseAllRequest, close_all
from fxsocket_server.gateway.several.plan import Composite
from fxsocket_server.gateway.several.reverse import ReverseRequest, reverse
from fxsocket_server.gateway.several.run import run_composite
from fxsocket_server.model.enums import OrderType
from fxsocket_server.model.units import LOT

from ..api.world import FarConnector, on_loop
from .lane_bench import Bench, bench, refusing, shown, turn

LEGS = 5


class Crash(Exception):
    """The process ends here."""


def batch_request() -> BatchRequest:
    return BatchRequest(
        orders=[
            OrderRequest(symbol="EURUSD", type=OrderType.BUY, volume=0.1, magic=n)
            for n in range(LEGS)
        ]
    )


async def send(
    b: Bench, kind: str, subject: str, body: object, composite: Composite,
    key: str | None = "k", delivery: Delivery | None = None, wait_ms: float = 30_000,
) -> Answer:  # fmt: skip
    command = Command(
        id=b.ids.make("req_"),
        kind=kind,
        subject_id=subject,
        fingerprint=fingerprint_of(kind, subject, body),
        key=key,
        wait_ms=wait_ms,
        api_key_id="key_1",
        delivery=delivery,
    )
    return await run_composite(b.lane, command, composite)


async def send_batch(b: Bench, **how: Any) -> Answer:
    request = batch_request()
    return await send(b, "order.batch", "", request, batch_of(request), **how)


async def send_close_all(b: Bench, **how: Any) -> Answer:
    request = CloseAllRequest()
    return await send(b, "position.close_all", "", request, close_all(request), **how)


async def send_reverse(b: Bench, position_id: str, **how: Any) -> Answer:
    return await send(b, "position.reverse", position_id, ReverseRequest(), reverse(), **how)


def crash_after(b: Bench, legs: int) -> None:
    """Let the process end when another leg than the first `legs` has decided what it wants."""
    left = [legs]

    def reached() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Crash

    b.on_point["after_intent"] = reached


async def cut_short(b: Bench, legs: int, command: Callable[[], Any]) -> None:
    crash_after(b, legs)
    with pytest.raises(Crash):
        await command()


def magics(b: Bench) -> list[int]:
    return sorted(p.magic for p in b.lane.book.positions.values())


KEYED: dict[str, Any] = {"key": "k"}


def keyless() -> dict[str, Any]:
    return {"key": None, "delivery": Delivery()}


@pytest.mark.parametrize("done", range(LEGS))
@pytest.mark.parametrize("keyed", [True, False], ids=["key", "no key"])
def test_a_batch_goes_on_where_it_was_cut_off(tmp_path: Path, done: int, keyed: bool) -> None:
    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            how = KEYED if keyed else keyless()
            await cut_short(b, done, lambda: send_batch(b, **how))
        async with bench(tmp_path) as b:
            await b.lane.resume()
            assert magics(b) == list(range(done))
            answer = await send_batch(b, **(KEYED if keyed else keyless()))
            assert (answer.status, answer.replayed, answer.inferred) == (200, True, not keyed)
            results = shown(answer)["results"]
            assert [row["order"]["magic"] for row in results] == list(range(LEGS))
            assert magics(b) == list(range(LEGS))
            assert [order.magic for order in b.orders()][::-1] == list(range(LEGS))
            if keyed:
                again = await send_batch(b, key="k")
                assert (again.body, again.replayed) == (answer.body, True)
            assert len(b.orders()) == LEGS

    play()


def test_a_retry_without_a_key_is_served_once(tmp_path: Path) -> None:
    """One lost answer is owed to one retry; the next equal batch is another one."""

    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            await cut_short(b, 2, lambda: send_batch(b, **keyless()))
        async with bench(tmp_path) as b:
            await b.lane.resume()
            delivery = Delivery()
            await send_batch(b, key=None, delivery=delivery)
            assert len(b.orders()) == LEGS
            delivery.answer_written()
            await send_batch(b, **keyless())
            assert len(b.orders()) == 2 * LEGS

    play()


def test_a_retry_whose_answer_is_lost_is_owed_the_answer(tmp_path: Path) -> None:
    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            first = Delivery()
            answer = await send_batch(b, key=None, delivery=first)
            first.connection_lost(reset=True)
            again = await send_batch(b, **keyless())
            assert (again.body, again.inferred) == (answer.body, True)
            assert len(b.orders()) == LEGS

    play()


@pytest.mark.parametrize("done", range(3))
def test_a_close_all_goes_on_and_closes_nothing_newer(tmp_path: Path, done: int) -> None:
    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            for magic in range(3):
                await b.place(magic=magic)
            await cut_short(b, done, lambda: send_close_all(b))
        async with bench(tmp_path) as b:
            await b.lane.resume()
            assert magics(b) == list(range(done, 3))
            await b.place(magic=9)
            rows = shown(await send_close_all(b))["results"]
            assert [row["result"]["status"] for row in rows] == ["CLOSED"] * 3
            assert not any(row["result"]["already"] for row in rows)
            assert magics(b) == [9]

    play()


@pytest.mark.parametrize("done", range(2))
def test_a_reverse_goes_on_with_the_opposite(tmp_path: Path, done: int) -> None:
    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            position = shown(await b.place(volume=0.3))["position_id"]
            await cut_short(b, done, lambda: send_reverse(b, position))
        async with bench(tmp_path) as b:
            await b.lane.resume()
            assert len(b.lane.book.positions) == 1 - done
            answer = shown(await send_reverse(b, position))
            assert (answer["order"]["type"], answer["error"]) == ("SELL", None)
            assert answer["results"][0]["result"]["status"] == "CLOSED"
            [held] = b.lane.book.positions.values()
            assert (held.side, held.volume) == ("SELL", 3 * LOT // 10)

    play()


def test_a_position_that_ended_by_itself_is_not_opened_the_other_way(tmp_path: Path) -> None:
    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            position = shown(await b.place())["position_id"]
            await cut_short(b, 0, lambda: send_reverse(b, position))
        async with bench(tmp_path) as b:
            await b.lane.resume()
            await b.close(position)
            answer = shown(await send_reverse(b, position))
            assert answer["order"] is None
            assert answer["error"]["code"] == "rejected"
            assert "closed before" in answer["error"]["detail"]
            assert b.lane.book.positions == {}

    play()


# --- a terminal that takes its time ----------------------------------------------------------


def test_a_batch_answers_how_its_orders_stand_and_goes_on(tmp_path: Path) -> None:
    @on_loop
    async def play() -> None:
        async with bench(tmp_path, FarConnector) as b:
            b.far.silent = True
            early = shown(await send_batch(b, wait_ms=0))["results"]
            codes = [row["error"]["code"] for row in early if "error" in row]
            assert codes == ["idempotency_in_flight"] * LEGS
            while len(b.far.taken) < LEGS:
                await turn()
            running = b.lane.commands.get(_parent(b))
            assert running is not None
            rows = shown(Answer(200, standing(b.lane, running)))["results"]
            assert [row["order"]["status"] for row in rows] == ["PENDING"] * LEGS
            for number in range(LEGS):
                await b.report(number)
            rows = shown(await send_batch(b))["results"]
            assert [row["order"]["status"] for row in rows] == ["FILLED"] * LEGS
            assert len(b.orders()) == LEGS

    play()


def test_legs_of_a_far_terminal_are_joined_after_a_restart_and_never_sent_again(
    tmp_path: Path,
) -> None:
    """Three of five were handed over; the terminal never began the other two."""

    @on_loop
    async def play() -> None:
        async with bench(tmp_path, FarConnector) as b:
            b.far.silent = True

            def die() -> None:
                if len(b.far.taken) == 3:
                    raise Crash

            b.on_point["before_hand_over"] = die
            await send_batch(b, wait_ms=0)
            while len(b.far.taken) < 3:
                await turn()
            taken = list(b.far.taken)
        async with bench(tmp_path, FarConnector) as b:
            await b.lane.resume()
            for command_id, request in taken:
                await b.lane.on_report(command_id, b.far.execute(request))
            await b.lane.terminal.reconcile()
            answer = await send_batch(b)
            rows = shown(answer)["results"]
            assert [row["order"]["status"] for row in rows[:3]] == ["FILLED"] * 3
            assert [row["error"]["order"]["reason"] for row in rows[3:]] == ["not_executed"] * 2
            assert b.far.taken == []
            assert magics(b) == [0, 1, 2]
            again = await send_batch(b)
            assert (again.body, again.replayed) == (answer.body, True)

    play()


def _parent(b: Bench) -> str:
    [parent] = {command_id.partition(".")[0] for command_id, _ in b.far.taken}
    return parent


def test_a_batch_whose_plan_cannot_be_written_places_nothing(tmp_path: Path) -> None:

    @on_loop
    async def play() -> None:
        async with bench(tmp_path) as b:
            with refusing(tmp_path):
                results = shown(await send_batch(b))["results"]
                assert {row["error"]["code"] for row in results} == {"journal_unavailable"}
            assert b.orders() == []

    play()


@on_loop
async def test_legs_that_the_server_could_not_take_are_run_by_the_same_command_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        told = iter((None, "disk is full"))
        monkeypatch.setattr(b.journal, "shortage", lambda: next(told, None))
        first = shown(await send_batch(b))["results"]
        assert [row.get("error", {}).get("code") for row in first] == [
            None, "journal_full", None, None, None,
        ]  # fmt: skip
        second = shown(await send_batch(b))["results"]
        assert [row["order"]["status"] for row in second] == ["FILLED"] * LEGS
        assert len(b.lane.book.positions) == LEGS
        assert (await send_batch(b)).body == (await send_batch(b)).body
