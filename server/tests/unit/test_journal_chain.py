"""The hash chain of an account's log, as it is written; and journals of version 1 get one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.changes import Event, HistoryQuery
from fxsocket_server.model.enums import OrderStatus, PositionStatus
from fxsocket_server.storage.journal import heads, schema
from fxsocket_server.storage.journal.chain import HASH_BYTES, genesis, link

from ..api.world import on_loop
from .journal_bench import ACCOUNT, USER, change, event, opened, order, position, query

encode = msgspec.msgpack.encode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def chained(account: str, epoch: str, events: list[Event]) -> Iterator[bytes]:
    """The hashes that a log must have."""
    hash_ = genesis(account, epoch)
    for one in events:
        hash_ = link(hash_, USER, one)
        yield hash_


def hashes(path: Path, account: str = ACCOUNT) -> list[bytes]:
    """The hashes in a log, and then the one in its head."""
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT hash FROM events WHERE account_id = ? ORDER BY seq"
        rows = connection.execute(sql, (account,)).fetchall()
        rows += connection.execute("SELECT hash FROM heads WHERE account_id = ?", (account,))
        return [hash_ for (hash_,) in rows]


@on_loop
async def test_each_event_is_chained_to_the_one_before_it(path: Path) -> None:
    events = [event(seq) for seq in range(1, 6)]
    async with opened(path) as journal:
        await journal.append(change(*events[:2]))
        _ = journal.append(change(events[2]))
        await journal.append(change(events[3]))
    async with opened(path) as journal:  # the chain goes on after a restart
        await journal.append(change(events[4]))
    expected = list(chained(ACCOUNT, "epoch-1", events))
    assert hashes(path) == [*expected, expected[-1]]
    assert len(set(expected)) == 5
    assert all(len(hash_) == HASH_BYTES for hash_ in expected)


@on_loop
async def test_a_log_without_events_stands_on_account_and_epoch(path: Path) -> None:
    async with opened(path):
        assert hashes(path) == [genesis(ACCOUNT, "epoch-1")]
    assert genesis(ACCOUNT, "epoch-1") != genesis(ACCOUNT, "epoch-2")
    assert genesis("acc_1", "e") != genesis("acc_2", "e")


def test_every_part_of_an_event_is_in_its_hash() -> None:
    before = genesis(ACCOUNT, "epoch-1")
    own = Event("acc_1", 1, "order.filled", 5, b'"order":{}')
    others = [
        Event("acc_2", 1, "order.filled", 5, b'"order":{}'),
        Event("acc_1", 2, "order.filled", 5, b'"order":{}'),
        Event("acc_1", 1, "order.fille", 5, b'd"order":{}'),
        Event("acc_1", 1, "order.filled", 6, b'"order":{}'),
        Event("acc_1", 1, "order.filled", 5, b'"order":{} '),
    ]
    found = [link(before, "usr_1", one) for one in (own, *others)]
    found += [link(before, "usr_2", own), link(genesis(ACCOUNT, "epoch-2"), "usr_1", own)]
    assert len(set(found)) == len(found)


@on_loop
async def test_a_failed_commit_leaves_the_chain_where_it_was(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(change(event(1)))
        with pytest.raises(JournalUnavailable):
            await journal.append(change(event(2), event(2)))
        await journal.append(change(event(2)))
    expected = list(chained(ACCOUNT, "epoch-1", [event(1), event(2)]))
    assert hashes(path) == [*expected, expected[-1]]


@on_loop
async def test_a_log_gets_no_hole(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(change(event(1)))
        with pytest.raises(JournalUnavailable, match="event 3 of acc_1 does not follow 1"):
            await journal.append(change(event(3)))
        with pytest.raises(JournalUnavailable, match="acc_9 has no log"):
            await journal.append(change(event(1, "acc_9"), account="acc_9"))
        assert [row.seq for row in journal.events(ACCOUNT, 0, 10)] == [1]


# --- version 1 -------------------------------------------------------------------------------


def journal_of_version_1(path: Path, logs: dict[str, list[Event]]) -> None:
    """A journal as the first server wrote it."""
    with closing(schema.connect(path)) as connection:
        schema._to_version_1(connection, schema.silent)
        connection.execute("PRAGMA user_version = 1")
        for account, events in logs.items():
            connection.execute(
                "INSERT INTO accounts (account_id, user_id, epoch) VALUES (?,?,?)",
                (account, USER, "epoch-1"),
            )
            connection.executemany(
                "INSERT INTO events VALUES (?,?,?,?,?,?)",
                [(e.account_id, e.seq, USER, e.type, e.time_ms, e.payload) for e in events],
            )


@on_loop
async def test_a_journal_of_version_1_is_chained_when_it_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "_PAGE_ROWS", 4)
    logs = {
        ACCOUNT: [event(seq) for seq in range(1, 11)],
        "acc_2": [event(seq, "acc_2") for seq in range(1, 5)],
        "acc_3": [],
    }
    journal_of_version_1(path, logs)
    with closing(schema.connect(path)) as connection:
        told: list[int] = []
        schema.migrate(connection, lambda what, rows: told.append(rows))
        assert told == [4, 8, 10, 14, 14, 14]
    for account, events in logs.items():
        expected = list(chained(account, "epoch-1", events))
        assert hashes(path, account) == [
            *expected, expected[-1] if expected else genesis(account, "epoch-1"),
        ]  # fmt: skip
    async with opened(path) as journal:
        await journal.append(change(event(11)))
        assert journal.orders(query()) == []
    assert hashes(path)[10] == link(hashes(path)[9], USER, event(11))


@on_loop
async def test_a_journal_of_version_1_gets_its_history(path: Path) -> None:
    journal_of_version_1(path, {ACCOUNT: []})
    done = order("ord_1", status=OrderStatus.FILLED, updated_ms=2_000)
    closed = position("pos_1", 5, status=PositionStatus.CLOSED, updated_ms=3_000)
    with closing(schema.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO orders (id, account_id, user_id, status, symbol, magic, created_ms, body)"
            " VALUES (?,?,?,?,?,?,?,?)",
            [
                (o.id, ACCOUNT, USER, o.status, o.symbol, 0, o.created_ms, encode(o))
                for o in (done, order("ord_2"))
            ],
        )
        connection.execute(
            "INSERT INTO positions (id, account_id, user_id, status, symbol, magic, opened_ms,"
            " ticket, body) VALUES (?,?,?,?,?,?,?,?,?)",
            (closed.id, ACCOUNT, USER, closed.status, closed.symbol, 0, 1_000, 5, encode(closed)),
        )
    async with opened(path) as journal:
        everything = HistoryQuery(account_id=ACCOUNT, limit=10)
        assert journal.done_orders(everything) == [((2_000, 1), done)]
        assert journal.closed_positions(everything) == [((3_000, 1), closed)]


def test_a_migration_that_is_cut_short_leaves_version_1(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal_of_version_1(path, {ACCOUNT: [event(1)]})

    def killed(_what: str, _rows: int) -> None:
        raise KeyboardInterrupt

    with closing(schema.connect(path)) as connection, pytest.raises(KeyboardInterrupt):
        schema.migrate(connection, killed)
    with closing(schema.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        schema.migrate(connection)
    assert hashes(path)[0] == link(genesis(ACCOUNT, "epoch-1"), USER, event(1))
