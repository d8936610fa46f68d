"""What verify-journal compares: heads, records and columns, commands, sums; and what it leaves."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.payloads import balance_payload, order_payload
from fxsocket_server.gateway.replay import Replay, differing
from fxsocket_server.model.enums import OrderStatus
from fxsocket_server.storage.journal.audit import AuditReport, Finding, Unreadable, audit, progress
from fxsocket_server.storage.journal.heads import chain_log
from fxsocket_server.storage.journal.rows import decode_order, decode_position
from fxsocket_server.storage.journal.schema import connect

from ..api.world import on_loop
from .journal_bench import ACCOUNT, change, event, opened, order
from .journal_logs import steps
from .lane_bench import bench

encode = msgspec.msgpack.encode


def verified(path: Path) -> AuditReport:
    return audit(path, lambda done, total: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of one account: a position that is open in part, one that is closed."""

    async def trade() -> None:
        async with bench(tmp_path) as b:
            for key in ("a", "b"):
                await b.place(key)
            first, second = b.lane.book.positions
            await b.close(first, wait_ms=30_000)
            await b.stops(second, wait_ms=30_000)

    asyncio.run(trade())
    return tmp_path / "journal.db"


def write(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(sql, values).rowcount > 0


def read(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql, values).fetchall()


def found(path: Path) -> list[tuple[str, int | None]]:
    return [(finding.subject, finding.seq) for finding in verified(path).findings]


def rechain(path: Path) -> None:
    """Whoever changes an event and mends its chain too leaves only the records to compare."""
    with closing(connect(path)) as db:
        [(epoch,)] = db.execute("SELECT epoch FROM accounts")
        for _ in chain_log(db, ACCOUNT, epoch):
            pass


def test_an_honest_journal_is_intact_and_counted(path: Path) -> None:
    report = verified(path)
    assert report.is_intact
    [account] = report.accounts
    [(events,)] = read(path, "SELECT COUNT(*) FROM events")
    assert (account.account_id, account.events) == (ACCOUNT, events)
    assert (account.orders, account.positions, account.deals, account.commands) == (3, 2, 4, 4)
    assert account.partial_positions == 0
    assert [(account.head,)] == read(path, "SELECT LOWER(HEX(hash)) FROM heads")


# --- the log ---------------------------------------------------------------------------------


def test_a_changed_event_is_named_and_only_it(path: Path) -> None:
    write(path, "UPDATE events SET time_ms = time_ms + 1 WHERE seq = 4")
    assert found(path) == [("chain", 4)]


def test_a_missing_event_is_named(path: Path) -> None:
    write(path, "DELETE FROM events WHERE seq = 5")
    assert found(path)[:2] == [("seq", 5), ("chain", 6)]


def test_an_end_that_is_cut_off_is_found_by_the_head(path: Path) -> None:
    [(last,)] = read(path, "SELECT MAX(seq) FROM events")
    write(path, "DELETE FROM events WHERE seq = ?", last)
    assert ("seq", last - 1) in found(path)


def test_an_account_whose_log_is_gone_is_found(path: Path) -> None:
    write(path, "DELETE FROM events")
    assert ("seq", 0) in found(path)


def test_another_epoch_is_another_chain(path: Path) -> None:
    write(path, "UPDATE accounts SET epoch = 'another'")
    assert found(path) == [("chain", 1)]


def test_rows_of_no_account_are_found(path: Path) -> None:
    write(path, "DELETE FROM accounts")
    subjects = {finding.detail.split()[0] for finding in verified(path).findings}
    assert subjects == {"heads", "events", "orders", "positions", "deals", "commands"}


# --- replay = state --------------------------------------------------------------------------


def test_a_forged_event_with_a_mended_chain_is_not_the_state(path: Path) -> None:
    [(seq,)] = read(path, "SELECT MAX(seq) FROM events WHERE type = 'order.filled'")
    write(path, "UPDATE events SET payload = REPLACE(payload, '0.1', '0.2') WHERE seq = ?", seq)
    write(path, "UPDATE events SET payload = CAST(payload AS BLOB)")
    rechain(path)
    assert set(found(path)) == {("order", seq)}
    assert "order.volume" in verified(path).findings[0].detail


def test_a_changed_record_is_not_what_its_events_tell(path: Path) -> None:
    [(body,)] = read(path, "SELECT body FROM orders WHERE n = 1")
    changed = replace(decode_order(body), sl=107_000)
    write(path, "UPDATE orders SET body = ? WHERE n = 1", encode(changed))
    [finding] = verified(path).findings
    assert (finding.subject, finding.account_id) == ("order", ACCOUNT)
    assert finding.detail.startswith(f"order.sl of {changed.id} ")


def test_a_column_that_differs_from_its_record_is_found(path: Path) -> None:
    write(path, "UPDATE positions SET status = 'CLOSED' WHERE n = 2")
    [finding] = verified(path).findings
    assert "status of" in finding.detail


@pytest.mark.parametrize("table", ["orders", "positions", "deals"])
def test_a_lost_record_is_found(table: str, path: Path) -> None:
    write(path, "DELETE FROM " + table + " WHERE n = 2")
    assert "no table holds" in " ".join(finding.detail for finding in verified(path).findings)


@pytest.mark.parametrize("table", ["orders", "positions", "deals"])
def test_a_record_that_cannot_be_read_is_found(table: str, path: Path) -> None:
    write(path, "UPDATE " + table + " SET body = x'c1' WHERE n = 2")
    assert "cannot be read" in verified(path).findings[0].detail


def test_an_invented_record_is_found(path: Path) -> None:
    [(body,)] = read(path, "SELECT body FROM orders WHERE n = 1")
    invented = replace(decode_order(body), id="ord_invented")
    write(
        path,
        "INSERT INTO orders (id, account_id, user_id, status, symbol, magic, created_ms, ticket,"
        " body) SELECT 'ord_invented', account_id, user_id, status, symbol, magic, created_ms,"
        " ticket, ? FROM orders WHERE n = 1",
        encode(invented),
    )
    [finding] = verified(path).findings
    assert finding.detail == "no event tells of ord_invented"


def test_another_balance_is_found(path: Path) -> None:
    write(path, "UPDATE accounts SET balance = balance + 1")
    assert [subject for subject, _ in found(path)] == ["balance", "balance"]


# --- sums ------------------------------------------------------------------------------------


def forge(path: Path, table: str, forged: Callable[[bytes], bytes]) -> None:
    """Change a record and let its newest event say the same."""
    [(body,)] = read(path, "SELECT body FROM " + table + " ORDER BY n DESC LIMIT 1")
    write(path, "UPDATE " + table + " SET body = ? WHERE body = ?", forged(body), body)


def test_a_position_is_the_sum_of_its_deals(path: Path) -> None:
    forge(path, "positions", lambda body: encode(replace(decode_position(body), volume=5 * 10**6)))
    details = [finding.detail for finding in verified(path).findings]
    [(id_,)] = read(path, "SELECT id FROM positions WHERE n = 2")
    assert f"the deals of {id_} come to 10000000, it holds 5000000" in details


def test_a_closed_position_made_what_its_deals_made(path: Path) -> None:
    [(id_, body)] = read(path, "SELECT id, body FROM positions WHERE n = 1")
    forged = encode(replace(decode_position(body), profit=12_345))
    write(path, "UPDATE positions SET body = ? WHERE n = 1", forged)
    details = [finding.detail for finding in verified(path).findings]
    assert any(detail.startswith(f"the deals of {id_} made ") for detail in details)


# --- commands --------------------------------------------------------------------------------


def test_an_answered_order_has_an_outcome(path: Path) -> None:
    [(id_, body)] = read(path, "SELECT id, body FROM orders WHERE n = 1")
    pending = encode(replace(decode_order(body), status=OrderStatus.PENDING))
    write(path, "UPDATE orders SET status = 'PENDING', body = ? WHERE n = 1", pending)
    details = [f.detail for f in verified(path).findings if f.subject == "command"]
    assert [detail.endswith(f"was answered, {id_} has no outcome") for detail in details] == [True]


# --- accounts that were there before their journal -------------------------------------------


def payloads(balance: int, credit: int = 0) -> bytes:
    return balance_payload(balance, credit, "USD", 2)


@on_loop
async def test_what_a_terminal_had_before_it_was_linked_is_its_beginning(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        told = Event(ACCOUNT, 1, "balance.changed", 1_000, payloads(5_000_00, 70))
        await journal.append(change(told, balance=5_000_00, credit=70))
        assert verified(tmp_path / "journal.db").is_intact
        later = Event(ACCOUNT, 2, "balance.changed", 1_000, payloads(6_000_00, 70))
        await journal.append(change(later, balance=6_000_00, credit=70))
        [finding] = verified(tmp_path / "journal.db").findings
        assert finding.detail == "its deals come to 500000, the balance is 600000"


# --- versions --------------------------------------------------------------------------------


def test_a_member_that_an_older_server_did_not_write_is_no_difference() -> None:
    now = order_payload(order("ord_1"))
    assert differing(now.replace(b'"magic":0,', b""), now) == []
    assert differing(now.replace(b'"magic":0', b'"magic":7'), now) == ["order.magic"]
    assert differing(now.replace(b'"magic":0', b'"magic":0,"new":1'), now) == ["order.new"]


def test_events_of_other_things_change_no_state() -> None:
    replay = Replay()
    replay.apply(Event(ACCOUNT, 1, "terminal.connected", 1, b'"terminal":{"id":"x"}'))
    assert replay.newest == {}


@pytest.mark.parametrize("version", [1, 99])
def test_a_journal_of_another_version_is_not_read(version: int, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(Unreadable, match=f"has version {version}"):
        verified(path)


# --- reading ---------------------------------------------------------------------------------


def test_findings_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_FINDINGS", 3)
    write(path, "UPDATE events SET time_ms = time_ms + 1")
    [(events,)] = read(path, "SELECT COUNT(*) FROM events")
    report = verified(path)
    assert len(report.findings) == 3
    assert report.findings_left_out == events - 3


def test_a_file_that_is_cut_is_damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert ("file", None) in found(path)


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 1_000])
def test_what_is_no_journal_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable):
        verified(path)


def test_progress_comes_to_all_events_and_records(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY_ROWS", 7)
    told: list[tuple[int, int]] = []
    [account] = audit(path, lambda done, total: told.append((done, total))).accounts
    rows = account.events + account.orders + account.deals + account.positions
    assert sum(done for done, _ in told) == rows
    assert [done for done, _ in told[:-1]] == [7] * (rows // 7)
    assert told[0][1] == account.events
    assert told[-1][1] == rows + 1  # and the balance, which is no row


def test_nothing_is_written(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    verified(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


# --- I24: copies that are taken during load --------------------------------------------------


def _copies(path: Path, folder: Path, count: int, stop: threading.Event) -> Iterator[Path]:
    """Copies by SQLite's online backup, some pages at a time, while another thread writes."""
    for number in range(count):
        copy = folder / f"copy-{number}.db"
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target, pages=8)
        yield copy
    stop.set()


def check_copies(folder: Path, seed: int, count: int) -> None:
    """Each copy is intact, and an equal prefix of the log that goes on."""
    stop, started = threading.Event(), threading.Event()

    async def trade() -> None:
        async for head, _ in steps(folder, seed, 100_000, "standard"):
            if head > 20:
                started.set()
            if stop.is_set():
                return

    trading = threading.Thread(target=lambda: asyncio.run(trade()))
    trading.start()
    assert started.wait(60)
    heads = []
    for copy in _copies(folder / "journal.db", folder, count, stop):
        report = verified(copy)
        assert report.findings == []
        heads.append((report.accounts[0].events, report.accounts[0].head))
    trading.join(60)
    assert verified(folder / "journal.db").is_intact
    for events, head in heads:
        sql = "SELECT LOWER(HEX(hash)) FROM events WHERE seq = ?"
        assert read(folder / "journal.db", sql, events) == [(head,)]


def test_a_copy_taken_during_load_is_a_prefix(tmp_path: Path, seed: int) -> None:
    check_copies(tmp_path, seed, 10)


@pytest.mark.soak
def test_50_copies_taken_during_load_are_prefixes(tmp_path: Path, seed: int) -> None:
    check_copies(tmp_path, seed, 50)


@on_loop
async def test_a_journal_in_use_is_verified_on_a_snapshot(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await journal.append(change(event(1)))
        report = verified(tmp_path / "journal.db")
        assert [account.events for account in report.accounts] == [1]
        await journal.append(change(event(2)))
        assert report.findings == [_unreadable()]


def _unreadable() -> Finding:
    """The tests' own events carry an order that no table holds."""
    return Finding(account_id=ACCOUNT, seq=1, subject="chain", detail="its payload cannot be read")
