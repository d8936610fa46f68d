"""Reads of journal.db find their rows by an index: their cost does not grow with the journal."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.gateway.changes import HistoryQuery
from fxsocket_server.model.enums import OrderStatus, PositionStatus
from fxsocket_server.storage.journal.schema import connect
from fxsocket_server.storage.journal.sqlite import SqliteJournal

from ..api.world import on_loop
from .journal_bench import (
    ACCOUNT,
    USER,
    change,
    command,
    deal,
    event,
    opened,
    order,
    position,
    query,
)

Read = Callable[[SqliteJournal], object]

PAGE = 10
PAGES: dict[str, Read] = {
    "open_account": lambda j: j.open_account(ACCOUNT, USER, "-"),
    "command": lambda j: j.command(ACCOUNT, "key-1"),
    "open_commands": lambda j: j.open_commands(ACCOUNT),
    "command_by_id": lambda j: j.command_by_id(ACCOUNT, "cmd_1"),
    "undelivered": lambda j: j.undelivered(ACCOUNT, 1_000),
    "order_by_ticket": lambda j: j.order_by_ticket(ACCOUNT, 7),
    "order_by_tag": lambda j: j.order_by_tag(ACCOUNT, "~tag"),
    "deals_of_order": lambda j: j.deals_of_order(ACCOUNT, "ord_1"),
    "order": lambda j: j.order(ACCOUNT, "ord_1"),
    "order_by_client_id": lambda j: j.order_by_client_id(ACCOUNT, "mine"),
    "orders": lambda j: j.orders(query(limit=PAGE)),
    "orders after": lambda j: j.orders(query(limit=PAGE, cursor=45)),
    "orders of a time": lambda j: j.orders(query(limit=PAGE, from_ms=1_010, to_ms=1_030)),
    "orders that are done": lambda j: j.orders(query(limit=PAGE, statuses=("FILLED",))),
    "orders that rest": lambda j: j.orders(query(limit=PAGE, statuses=("PLACED", "PENDING"))),
    "deals": lambda j: j.deals(query(limit=PAGE)),
    "deals after": lambda j: j.deals(query(limit=PAGE, cursor=5)),
    "deals of a time": lambda j: j.deals(query(limit=PAGE, from_ms=1_010, to_ms=1_030)),
    "done_orders": lambda j: j.done_orders(history(limit=PAGE)),
    "done_orders after": lambda j: j.done_orders(history(limit=PAGE, after=(1_020, 20))),
    "closed_positions": lambda j: j.closed_positions(history(limit=PAGE, from_ms=1_000)),
    "deals_of": lambda j: j.deals_of(ACCOUNT, ["pos_1", "pos_2"]),
    "closing_deals": lambda j: j.closing_deals(ACCOUNT, "pos_1"),
    "position": lambda j: j.position(ACCOUNT, "pos_1"),
    "is_booked order": lambda j: j.is_booked(ACCOUNT, "orders", 1),
    "is_booked position": lambda j: j.is_booked(ACCOUNT, "positions", 1),
    "is_booked deal": lambda j: j.is_booked(ACCOUNT, "deals", 1),
    "equity_samples": lambda j: j.equity_samples(ACCOUNT, 60_000, 600_000, PAGE),
    "events": lambda j: j.events(ACCOUNT, 5, PAGE),
}
FILTERS: dict[str, Read] = {
    "orders of a symbol": lambda j: j.orders(query(symbol="XAUUSD")),
    "orders of a magic": lambda j: j.orders(query(magic=7, cursor=900)),
    "orders of a status": lambda j: j.orders(query(statuses=("CANCELED", "EXPIRED"))),
    "done orders of a symbol": lambda j: j.done_orders(history(symbol="XAUUSD")),
    "closed positions of a magic": lambda j: j.closed_positions(history(magic=7, after=(5, 5))),
    "deals of a symbol": lambda j: j.deals(query(symbol="XAUUSD")),
    "deals of a magic": lambda j: j.deals(query(magic=7, cursor=5)),
}


def history(**parts: Any) -> HistoryQuery:
    return HistoryQuery(**{"account_id": ACCOUNT, "limit": 100, **parts})


async def fill(journal: SqliteJournal, first: int, last: int) -> None:
    """Add so many done orders with their deals, positions, events and commands."""
    for n in range(first, last + 1):
        time_ms = 1_000 + n
        last_one = journal.append(
            change(
                event(n),
                order(f"ord_{n}", ticket=n, status=OrderStatus.FILLED, created_ms=time_ms),
                position(f"pos_{n}", n, status=PositionStatus.CLOSED, volume=0),
                deal(n, time_ms=time_ms),
                command(f"cmd_{n}", f"key-{n}", answer_status=200, answer_body=b"{}"),
            )
        )
    await last_one


def instructions(journal: SqliteJournal, read: Read) -> int:
    """How many instructions of SQLite's machine a read takes."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    journal._read.set_progress_handler(tick, 1)
    read(journal)
    journal._read.set_progress_handler(None, 0)
    return count


@contextmanager
def statements(journal: SqliteJournal) -> Iterator[list[str]]:
    """The SQL that is executed meanwhile."""
    asked: list[str] = []
    journal._read.set_trace_callback(asked.append)
    yield asked
    journal._read.set_trace_callback(None)


def plan_of(path: Path, asked: list[str]) -> list[str]:
    connection = connect(path, read_only=True)
    steps = [step[3] for sql in asked for step in connection.execute("EXPLAIN QUERY PLAN " + sql)]
    connection.close()
    return steps


@on_loop
async def test_a_page_costs_the_same_however_long_the_journal_is(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await fill(journal, 1, 50)
        before = {name: instructions(journal, read) for name, read in PAGES.items()}
        await fill(journal, 51, 500)
        after = {name: instructions(journal, read) for name, read in PAGES.items()}
        grown = {name: (before[name], after[name]) for name in PAGES if after[name] != before[name]}
        assert not grown


@pytest.mark.parametrize("name", PAGES | FILTERS)
@on_loop
async def test_a_read_scans_no_table(name: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        with statements(journal) as asked:
            (PAGES | FILTERS)[name](journal)
        steps = plan_of(path, asked)
        assert steps
        assert not [step for step in steps if "SCAN" in step]


@on_loop
async def test_forgetting_costs_the_same_however_long_the_journal_is(tmp_path: Path) -> None:
    """Also while nothing is old enough: the writer must not be kept from committing."""
    async with opened(tmp_path / "journal.db") as journal:
        asked: list[str] = []
        journal._writing.set_trace_callback(asked.append)
        journal.forget_commands(1_000)
        journal.forget_equity(ACCOUNT, 1_000)
        await journal.append(change(event(1)))
        journal._writing.set_trace_callback(None)
        steps = plan_of(tmp_path / "journal.db", [s for s in asked if s.startswith("DELETE")])
        assert len(steps) > 2
        assert not [step for step in steps if "SCAN" in step]


@pytest.mark.parametrize("name", FILTERS)
@on_loop
async def test_a_filter_that_finds_nothing_walks_the_page_index(name: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        await fill(journal, 1, 50)
        before = instructions(journal, FILTERS[name])
        await fill(journal, 51, 500)
        each = (instructions(journal, FILTERS[name]) - before) / 450
        assert each <= 16
        with statements(journal) as asked:
            assert FILTERS[name](journal) == []
        plan = " ".join(plan_of(path, asked))
        assert re.search("(orders|deals)_page|(orders_done|positions_closed)", plan)
        assert "B-TREE" not in plan
