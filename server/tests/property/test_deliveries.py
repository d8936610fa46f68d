"""However a terminal tells its facts, twice or in disorder, an account's records are the same."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.broker.faults import Fault, Faults
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event, OrderQuery
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.model.enums import OrderType

from ..api.world import WATCHDOG_S
from ..unit.lane_bench import Bench, bench
from ..unit.test_recorder import STEPS, Books, Driven, Step, driven

SEEDS = st.integers(0, 2**32)
FAULTS = st.lists(
    st.builds(Fault, duplicate_events=st.booleans(), reorder_events=st.booleans(), seed=SEEDS),
    max_size=3,
).map(lambda found: [f for f in found if f.duplicate_events or f.reorder_events])
QUICK, SOAK = 60, 20_000


def told_by(run: Driven, faults: list[Fault]) -> tuple[Any, list[tuple[str, bytes]]]:
    """All that is known of an account, and its events, when its facts were told under faults."""
    books, disorder, events = Books(), Faults(), list[Event]()
    for fault in faults:
        disorder.put(fault)
    for group in run.groups:
        for delivery in disorder.on_facts(group):
            events += books.fold(delivery).events
    return books.now(), [(event.type, event.payload) for event in events]


def check(profile: str, steps: list[Step], deposit: int, faults: list[Fault]) -> None:
    run = driven(steps, load_profile(profile), deposit)
    assert told_by(run, faults) == told_by(run, [])


# A small deposit is stopped out: many facts of many things in one delivery.
_GIVEN = (STEPS, st.sampled_from((1_000_000, 30_000)), FAULTS)


@pytest.mark.parametrize("profile", ["standard", "netting", "mt4"])
@settings(max_examples=QUICK)
@given(*_GIVEN)
def test_disorder_leaves_the_same_records(
    profile: str, steps: list[Step], deposit: int, faults: list[Fault]
) -> None:
    check(profile, steps, deposit, faults)


@pytest.mark.soak
@pytest.mark.parametrize("profile", ["standard", "netting", "mt4"])
@settings(max_examples=SOAK)
@given(*_GIVEN)
def test_disorder_leaves_the_same_records_many_times(
    profile: str, steps: list[Step], deposit: int, faults: list[Fault]
) -> None:
    check(profile, steps, deposit, faults)


# --- with the connector, the lane and the journal --------------------------------------------

_COMMANDS = ("buy", "sell", "limit", "close", "part", "stops", "drop", "tick")
_LANE_STEPS = st.lists(
    st.tuples(st.sampled_from(_COMMANDS), st.integers(0, 5), st.integers(-400, 400)), max_size=25
)


async def _step(b: Bench, what: str, which: int, move: int) -> None:
    """One command, and a price that comes while it is under way."""
    held, resting = list(b.lane.book.positions), list(b.lane.book.orders)
    bid = b.connector.quote("EURUSD").bid  # type: ignore[union-attr]
    price = b.connector.set_price("EURUSD", bid + move, bid + move + 10)
    match what:
        case "buy" | "sell":
            stop = bid - 200 if what == "buy" else bid + 210
            work = b.place(type=OrderType(what.upper()), volume=0.02, sl=stop / 100_000)
        case "limit":
            work = b.place(type=OrderType.BUY_LIMIT, price=(bid - 50) / 100_000)
        case "close" if held:
            work = b.close(held[which % len(held)], wait_ms=30_000)
        case "part" if held:
            verb = ClosePosition(0.01, None)
            position = held[which % len(held)]
            work = b.run("position.close", position, "part", verb, None, 30_000)
        case "stops" if held:
            work = b.stops(held[which % len(held)], wait_ms=30_000)
        case "drop" if resting:
            order = resting[which % len(resting)]
            work = b.run("order.cancel", order, None, CancelOrder(None), None, 30_000)
        case _:
            await price
            return
    answers = await asyncio.gather(work, price, return_exceptions=True)
    for answer in answers:  # a command may be refused; nothing may go wrong
        if isinstance(answer, BaseException) and not isinstance(answer, Problem):
            raise answer


def _all_of(b: Bench) -> Any:
    """The account's records and events as the journal has them, and what the terminal holds."""
    query = OrderQuery(account_id="acc_1", limit=1_000)
    events = b.journal.events("acc_1", 0, 10_000)
    return (
        [order for _, order in b.journal.orders(query)],
        [deal for _, deal in b.journal.deals(query)],
        list(b.lane.book.positions.values()),
        b.lane.book.balance,
        [(event.seq, event.type, event.payload) for event in events],
        b.connector.broker.terminal_snapshot(),
    )


async def _lived(steps: list[Step], faults: list[Fault]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder)) as b:
            for fault in faults:
                b.connector.put_fault(fault)
            failures: list[int] = []
            b.journal.on_failure(lambda: failures.append(b.lane.published_seq))
            for step in steps:
                b.clock.advance(1_000)
                await _step(b, *step)
            await b.connector.stop()
            assert failures == []
            return _all_of(b)


def lived(steps: list[Step], faults: list[Fault]) -> Any:
    """An account whose commands and prices came while faults were in force."""
    return asyncio.run(asyncio.wait_for(_lived(steps, faults), WATCHDOG_S))


@settings(max_examples=25)
@given(_LANE_STEPS, FAULTS)
def test_an_account_lives_the_same_life(steps: list[Step], faults: list[Fault]) -> None:
    assert lived(steps, faults) == lived(steps, [])


@pytest.mark.soak
@settings(max_examples=1_000)
@given(_LANE_STEPS, FAULTS)
def test_an_account_lives_the_same_life_many_times(steps: list[Step], faults: list[Fault]) -> None:
    assert lived(steps, faults) == lived(steps, [])
