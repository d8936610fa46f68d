"""journal.db: changes commit in order and in groups, a failed commit takes what stands on it along.

Writing stops while another connection holds the database, so that tests choose what is queued.
"""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.changes import Change
from fxsocket_server.model.enums import (
    DealEntry,
    DealType,
    OrderStatus,
    PositionStatus,
)
from fxsocket_server.storage.journal.schema import JournalVersionError, connect, migrate
from fxsocket_server.storage.journal.sqlite import SqliteJournal

from ..api.world import Spy, on_loop
from .journal_bench import (
    ACCOUNT,
    USER,
    change,
    command,
    deal,
    event,
    held,
    opened,
    order,
    position,
    query,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


class Groups:
    """The sizes of the groups that the writer commits."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.sizes: list[int] = []
        self.started = threading.Event()
        commit = journal._writer._commit

        def watched(group: list[Any]) -> None:
            self.sizes.append(len(group))
            self.started.set()
            commit(group)

        journal._writer._commit = watched  # type: ignore[method-assign]


async def turn() -> None:
    """Let the loop turn once: what was queued goes to the writer."""
    await asyncio.sleep(0)


async def queue_behind_one(
    journal: SqliteJournal, path: Path, first: Change, rest: list[Change]
) -> tuple[list["asyncio.Future[None]"], Groups]:
    """The first change is under way alone while the rest is queued; then writing goes on."""
    groups = Groups(journal)
    with held(path):
        futures = [journal.append(first)]
        await turn()
        assert groups.started.wait(30)
        for one in rest:
            futures.append(journal.append(one))
            await turn()
        assert not futures[0].done()
    return futures, groups


# --- order and groups ------------------------------------------------------------------------


@on_loop
async def test_what_was_queued_while_a_commit_ran_commits_together(path: Path) -> None:
    async with opened(path) as journal:
        rest = [change(event(seq)) for seq in range(2, 51)]
        futures, groups = await queue_behind_one(journal, path, change(event(1)), rest)
        await asyncio.gather(*futures)
        assert groups.sizes == [1, 49]
        assert [row.seq for row in journal.events(ACCOUNT, 0, 100)] == list(range(1, 51))


@on_loop
async def test_a_group_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_GROUP_CHANGES", 10)
    async with opened(path) as journal:
        rest = [change(event(seq)) for seq in range(2, 27)]
        futures, groups = await queue_behind_one(journal, path, change(event(1)), rest)
        await asyncio.gather(*futures)
        assert groups.sizes == [1, 10, 10, 5]


@on_loop
async def test_changes_become_durable_in_the_order_in_which_they_were_queued(path: Path) -> None:
    async with opened(path) as journal:
        ended: list[asyncio.Future[None]] = []
        futures = [journal.append(change(event(seq))) for seq in range(1, 101)]
        for future in futures:
            future.add_done_callback(ended.append)
        await asyncio.gather(*futures)
        assert ended == futures


@on_loop
async def test_durable_is_the_newest_change_under_way(path: Path) -> None:
    async with opened(path) as journal:
        assert journal.durable() is None
        with held(path):
            futures = [journal.append(change(event(seq))) for seq in (1, 2)]
            assert journal.durable() is futures[1]
        await futures[1]
        assert journal.durable() is None
        assert futures[0].done()


@on_loop
async def test_a_version_of_a_record_replaces_the_one_before_in_one_group(path: Path) -> None:
    async with opened(path) as journal:
        versions = [order("ord_1", status=status) for status in (
            OrderStatus.PENDING, OrderStatus.PLACED, OrderStatus.FILLED,
        )]  # fmt: skip
        futures, groups = await queue_behind_one(
            journal, path, change(event(1)), [change(version) for version in versions]
        )
        await asyncio.gather(*futures)
        assert groups.sizes == [1, 3]
        assert journal.order(ACCOUNT, "ord_1") == versions[-1]


@on_loop
async def test_a_full_queue_has_no_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_QUEUE_CHANGES", 2)
    async with opened(path) as journal:
        with held(path):
            taken = [journal.append(change(event(1)))]
            assert journal.has_room()
            taken.append(journal.append(change(event(2))))
            assert not journal.has_room()
        await asyncio.gather(*taken)
        assert journal.has_room()


@on_loop
async def test_a_commit_is_told_before_its_waiters_and_in_order(path: Path) -> None:
    async with opened(path) as journal:
        told: list[int] = []
        changes = [change(event(seq)) for seq in range(1, 6)]
        futures = [
            journal.append(one, lambda done: told.append(done.events[0].seq)) for one in changes
        ]
        futures[0].add_done_callback(lambda _: told.append(0))
        await asyncio.gather(*futures)
        assert [seq for seq in told if seq] == [1, 2, 3, 4, 5]
        assert told.index(1) < told.index(0)
        lost = journal.append(change(event(1)), lambda _: told.append(99))
        with pytest.raises(JournalUnavailable):
            await lost
        assert 99 not in told


# --- failure ---------------------------------------------------------------------------------


def failures(journal: SqliteJournal) -> list[str]:
    """Filled with a word each time that the journal says it failed."""
    heard: list[str] = []
    journal.on_failure(lambda: heard.append("failed"))
    return heard


@on_loop
async def test_a_commit_that_fails_takes_its_group_along(path: Path) -> None:
    async with opened(path) as journal:
        heard = failures(journal)
        futures, groups = await queue_behind_one(
            journal,
            path,
            change(event(1), deal(7)),
            [change(event(2)), change(event(3), deal(7)), change(event(4))],
        )
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert groups.sizes == [1, 3]
        assert results[0] is None
        assert all(isinstance(result, JournalUnavailable) for result in results[1:])
        assert "deals.account_id, deals.ticket" in str(results[1])
        assert heard == ["failed"]
        assert [row.seq for row in journal.events(ACCOUNT, 0, 10)] == [1]
        await journal.append(change(event(2), deal(8)))
        assert [row.seq for row in journal.events(ACCOUNT, 0, 10)] == [1, 2]
        assert heard == ["failed"]


@on_loop
async def test_what_stands_on_a_lost_change_is_lost_with_it(path: Path) -> None:
    """Changes that were queued after the failure, before their owner could hear of it."""
    async with opened(path) as journal:
        heard = failures(journal)
        await journal.append(change(event(1)))
        with Spy(journal._writer, "_done") as told:
            lost = journal.append(change(event(1)))
            await turn()
            told.wait_for(1)  # the writer has failed; this loop has not turned since
            assert heard == []
            stale = journal.append(change(event(2)))
        results = await asyncio.gather(lost, stale, return_exceptions=True)
        assert all(isinstance(result, JournalUnavailable) for result in results)
        assert "did not become durable" in str(results[1])
        assert heard == ["failed"]
        await journal.append(change(event(2)))
        assert [row.seq for row in journal.events(ACCOUNT, 0, 10)] == [1, 2]


@on_loop
async def test_each_failure_is_told_and_writing_goes_on(path: Path) -> None:
    async with opened(path) as journal:
        heard = failures(journal)
        for round_ in range(1, 4):
            await journal.append(change(event(round_)))
            with pytest.raises(JournalUnavailable):
                await journal.append(change(event(round_)))
            assert heard == ["failed"] * round_


@on_loop
async def test_a_full_disk_is_a_failure_like_any_other(path: Path) -> None:
    async with opened(path) as journal:
        with connect(path) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON events BEGIN"
                " SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        with pytest.raises(JournalUnavailable, match="disk is full"):
            await journal.append(change(event(1), order("ord_1")))
        assert journal.order(ACCOUNT, "ord_1") is None
        with connect(path) as other:
            other.execute("DROP TRIGGER full")
        await journal.append(change(event(1), order("ord_1")))
        assert journal.order(ACCOUNT, "ord_1") == order("ord_1")
        other.close()


# --- accounts --------------------------------------------------------------------------------


@on_loop
async def test_an_account_is_found_again_as_it_was(path: Path) -> None:
    live = [order("ord_1", ticket=11), order("ord_2", status=OrderStatus.PENDING)]
    done = [order("ord_3", ticket=12, status=OrderStatus.FILLED)]
    held_ = [position("pos_1", 12)]
    closed = [position("pos_2", 13, status=PositionStatus.CLOSED, volume=0)]
    async with opened(path) as journal:
        _ = journal.append(change(event(1), *live, *done, deal(21)))
        await journal.append(change(event(2), *held_, *closed, deal(22), balance=99_000, credit=5))
    async with opened(path) as journal:
        state = journal.open_account(ACCOUNT, USER, "epoch-2")
        assert state.epoch == "epoch-1"
        assert (state.head_seq, state.balance, state.credit) == (2, 99_000, 5)
        assert (state.last_order_ticket, state.last_deal_ticket) == (12, 22)
        assert (state.orders, state.positions) == (live, held_)
        assert state.checkpoint is None


@on_loop
async def test_accounts_do_not_mix(path: Path) -> None:
    async with opened(path) as journal:
        journal.open_account("acc_2", USER, "epoch-2")
        _ = journal.append(
            change(event(1), order("ord_1", ticket=5), deal(7), command("c1", "key"))
        )
        await journal.append(
            change(
                event(1, "acc_2"),
                replace(order("ord_2"), account_id="acc_2"),
                replace(deal(7), account_id="acc_2"),
                replace(command("c2", "key"), account_id="acc_2"),
                account="acc_2",
                balance=1,
                credit=0,
            )
        )
        state = journal.open_account("acc_2", USER, "-")
        assert (state.epoch, state.head_seq, state.balance) == ("epoch-2", 1, 1)
        assert [one.id for one in state.orders] == ["ord_2"]
        assert journal.order("acc_2", "ord_1") is None
        assert journal.command("acc_2", "key").command_id == "c2"  # type: ignore[union-attr]
        assert not journal.is_booked("acc_2", "orders", 5)
        assert journal.open_account(ACCOUNT, USER, "-").balance == 0


@on_loop
async def test_the_last_balance_of_a_group_stands(path: Path) -> None:
    async with opened(path) as journal:
        futures, _ = await queue_behind_one(
            journal,
            path,
            change(event(1), balance=1, credit=0),
            [change(event(2), balance=2, credit=0), change(event(3)),
             change(event(4), balance=3, credit=7)],
        )  # fmt: skip
        await asyncio.gather(*futures)
        state = journal.open_account(ACCOUNT, USER, "-")
        assert (state.balance, state.credit) == (3, 7)


@on_loop
async def test_a_checkpoint_is_saved_with_the_next_commit(path: Path) -> None:
    async with opened(path) as journal:
        journal.save_checkpoint(ACCOUNT, b"one")
        journal.save_checkpoint(ACCOUNT, b"two")
        await journal.append(change(event(1)))
        assert journal.open_account(ACCOUNT, USER, "-").checkpoint == b"two"
        journal.save_checkpoint(ACCOUNT, b"three")
    async with opened(path) as journal:  # closing has committed what was queued
        assert journal.open_account(ACCOUNT, USER, "-").checkpoint == b"three"


# --- reads -----------------------------------------------------------------------------------


@on_loop
async def test_orders_are_searched(path: Path) -> None:
    rows = [
        order("ord_1", symbol="EURUSD", magic=1, created_ms=10, client_order_id="mine"),
        order("ord_2", symbol="XAUUSD", magic=2, created_ms=20, status=OrderStatus.FILLED),
        order("ord_3", symbol="EURUSD", magic=2**63 - 1, created_ms=30, client_order_id="mine"),
    ]
    async with opened(path) as journal:
        await journal.append(change(*rows))

        def names(**parts: Any) -> list[str]:
            return [one.id for _, one in journal.orders(query(**parts))]

        assert names() == ["ord_3", "ord_2", "ord_1"]
        assert names(limit=2) == ["ord_3", "ord_2"]
        assert names(symbol="EURUSD") == ["ord_3", "ord_1"]
        assert names(magic=2**63 - 1) == ["ord_3"]
        assert names(statuses=("FILLED",)) == ["ord_2"]
        assert names(statuses=("FILLED", "PLACED"), symbol="XAUUSD") == ["ord_2"]
        assert names(from_ms=20) == ["ord_3", "ord_2"]
        assert names(to_ms=20) == ["ord_1"]
        assert names(symbol="' OR 1=1 --") == []
        [_, (cursor, _), _] = journal.orders(query())
        assert names(cursor=cursor) == ["ord_1"]
        assert journal.order_by_client_id(ACCOUNT, "mine") == rows[2]
        assert journal.order_by_client_id(ACCOUNT, "other") is None


@on_loop
async def test_an_order_keeps_its_place_when_it_changes(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(change(order("ord_1"), order("ord_2")))
        before = [number for number, _ in journal.orders(query())]
        await journal.append(change(order("ord_1", status=OrderStatus.FILLED, ticket=4)))
        assert [number for number, _ in journal.orders(query())] == before
        assert journal.orders(query())[1][1].status is OrderStatus.FILLED
        assert journal.is_booked(ACCOUNT, "orders", 4)


@on_loop
async def test_deals_are_searched_oldest_first(path: Path) -> None:
    rows = [
        deal(1, time_ms=10, position_id="pos_1"),
        deal(2, time_ms=20, position_id="pos_1", entry=DealEntry.OUT, magic=5),
        deal(3, time_ms=30, entry=None, type=DealType.BALANCE, symbol=None, price=None),
        deal(4, time_ms=40, position_id="pos_1", entry=DealEntry.OUT_BY),
    ]
    async with opened(path) as journal:
        await journal.append(change(*rows))

        def tickets(**parts: Any) -> list[int]:
            return [one.ticket for _, one in journal.deals(query(**parts))]

        assert tickets() == [1, 2, 3, 4]
        assert tickets(magic=5) == [2]
        assert tickets(symbol="EURUSD", limit=2) == [1, 2]
        assert tickets(from_ms=20, to_ms=40) == [2, 3]
        [(cursor, _), *_] = journal.deals(query())
        assert tickets(cursor=cursor) == [2, 3, 4]
        assert journal.closing_deals(ACCOUNT, "pos_1") == [rows[1], rows[3]]
        assert [journal.is_booked(ACCOUNT, "deals", ticket) for ticket in (4, 5)] == [True, False]


@on_loop
async def test_positions_and_events_are_read_back_whole(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(change(position("pos_1", 9), event(1), event(2), event(3)))
        assert journal.position(ACCOUNT, "pos_1") == position("pos_1", 9)
        assert journal.position(ACCOUNT, "pos_2") is None
        assert journal.position("acc_2", "pos_1") is None
        assert journal.is_booked(ACCOUNT, "positions", 9)
        assert journal.events(ACCOUNT, 1, 1) == [event(2)]
        assert journal.events(ACCOUNT, 3, 10) == []


# --- commands --------------------------------------------------------------------------------


@on_loop
async def test_a_command_is_found_by_its_key_and_gets_its_answer(path: Path) -> None:
    asked = command("c1", "key")
    answered = replace(asked, answer_status=200, answer_body=b"{}")
    async with opened(path) as journal:
        await journal.append(change(asked))
        assert journal.command(ACCOUNT, "key") == asked
        assert journal.open_commands(ACCOUNT) == [asked]
        await journal.append(change(answered))
        assert journal.command(ACCOUNT, "key") == answered
        assert journal.open_commands(ACCOUNT) == []
        assert journal.command(ACCOUNT, "other") is None


@on_loop
async def test_one_key_is_one_command(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(change(command("c1", "key"), event(1)))
        with pytest.raises(JournalUnavailable):
            await journal.append(change(command("c2", "key"), event(2)))
        await journal.append(change(command("c3"), event(2)))
        await journal.append(change(command("c4"), event(3)))  # many may have none


@on_loop
async def test_only_old_answers_are_forgotten(path: Path) -> None:
    answer = {"answer_status": 200, "answer_body": b"{}"}
    async with opened(path) as journal:
        _ = journal.append(change(command("c1", "old", created_ms=10, **answer)))
        _ = journal.append(change(command("c2", "open", created_ms=10)))
        _ = journal.append(change(command("c3", "new", created_ms=20, **answer)))
        _ = journal.append(change(command("c4", "plan", created_ms=10, plan=b"legs")))
        journal.forget_commands(20)
        await journal.append(change(event(1)))
        kept = [k for k in ("old", "open", "new", "plan") if journal.command(ACCOUNT, k)]
        assert kept == ["open", "new"]


@on_loop
async def test_few_answers_are_forgotten_at_once_the_oldest_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETENTION_COMMANDS", 2)
    answer = {"answer_status": 200, "answer_body": b"{}"}
    async with opened(path) as journal:
        for age in (5, 3, 1, 4, 2):
            _ = journal.append(change(command(f"c{age}", str(age), created_ms=age, **answer)))
        for kept in (["3", "4", "5"], ["5"], []):
            journal.forget_commands(100)
            await journal.append(change())
            assert [k for k in "12345" if journal.command(ACCOUNT, k)] == kept


# --- the file --------------------------------------------------------------------------------


def test_commits_survive_a_power_cut(path: Path) -> None:
    connection = connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    connection.close()


def test_readers_cannot_write(path: Path) -> None:
    writing = connect(path)
    migrate(writing)
    reading = connect(path, read_only=True)
    with pytest.raises(sqlite3.OperationalError):
        reading.execute("DELETE FROM events")
    reading.close()
    writing.close()


def test_a_newer_journal_is_left_alone(path: Path) -> None:
    connection = connect(path)
    migrate(connection)
    migrate(connection)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalVersionError, match="start the newer server"):
        migrate(connection)
    connection.close()


def test_every_row_names_its_user_and_account(path: Path) -> None:
    connection = connect(path)
    migrate(connection)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert len(tables) == 8
    for (table,) in tables:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        assert {"user_id", "account_id"} <= columns, table
    connection.close()
