"""I17: on a disk that is full, read-only or failing opens are refused unsent and the rest goes on.

The disk that fills is a bound on the database's pages, which the writer's own connection keeps.
"""

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.gateway.commands import Command
from fxsocket_server.gateway.several.reverse import reverse
from fxsocket_server.gateway.several.run import run_composite
from fxsocket_server.model.enums import OrderType
from fxsocket_server.storage.journal.audit import audit
from fxsocket_server.storage.journal.schema import JournalOpenError
from fxsocket_server.storage.journal.space import FileReserve, NoReserve, Space
from fxsocket_server.storage.journal.sqlite import SqliteJournal

from ..api.world import FarConnector, on_loop
from .journal_bench import change, deal, event
from .lane_bench import Bench

MUCH = 10**6  # pages


class PageDisk:
    """A disk of so many pages; a reserve of some of them. It is also the Reserve."""

    def __init__(self) -> None:
        self.journal: SqliteJournal | None = None
        self.free = MUCH
        self.reserve = 200
        self.held = False

    def _limit(self) -> None:
        if self.journal is not None:
            db = self.journal._writing
            (used,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {used + self.free}")

    def hold(self) -> bool:
        if not self.held and self.free > self.reserve:
            self.held = True
            self.free -= self.reserve
            self._limit()
        return self.held

    def release(self) -> None:
        if self.held:
            self.free += self.reserve
        self.held = False
        self._limit()

    def fill(self) -> None:
        """Somebody else takes all that is free; the reserve stays."""
        self.free = 0
        self._limit()

    def use_up(self) -> None:
        """The reserve is used up, too."""
        self.held, self.free = False, 0
        self._limit()

    def clear(self) -> None:
        """Somebody else makes room."""
        self.free = MUCH
        self._limit()


@asynccontextmanager
async def world(
    folder: Path, kind: type[SimConnector] = SimConnector
) -> AsyncIterator[tuple[Bench, PageDisk]]:
    disk = PageDisk()
    journal = SqliteJournal(folder / "journal.db", asyncio.get_running_loop(), reserve=disk)
    disk.journal = journal
    try:
        b = Bench(journal, kind)
        await b.open()
        yield b, disk
        await b.connector.stop()
    finally:
        journal.close()


async def fill_until_opens_are_refused(b: Bench, disk: PageDisk) -> int:
    """Open on a full disk until it is noticed; returns how many were opened by then."""
    disk.fill()
    for opened in range(500):
        if b.journal.shortage() is not None:
            return opened
        assert (await b.place(volume=0.01)).status == 200
    raise AssertionError("the disk never filled")


async def told(journal: SqliteJournal) -> None:
    """Return once the writer has done all that was asked of it, and this loop knows."""
    await asyncio.get_running_loop().run_in_executor(None, _drained(journal))
    await asyncio.sleep(0)


def _drained(journal: SqliteJournal) -> Any:
    """Waits for the writer's thread from another one: its next group is the last that was put."""
    seen = threading.Event()
    commit = journal._writer._commit

    def watched(group: list[Any]) -> None:
        commit(group)
        seen.set()

    journal._writer._commit = watched  # type: ignore[method-assign]
    journal.check_space()
    journal._flush()

    def wait() -> None:
        assert seen.wait(30)
        journal._writer._commit = commit  # type: ignore[method-assign]

    return wait


@on_loop
async def test_what_was_decided_when_the_disk_filled_is_not_lost(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        heard: list[str | None] = []
        b.journal.on_shortage(heard.append)
        opened = await fill_until_opens_are_refused(b, disk)
        assert opened > 0
        assert len(b.lane.book.positions) == opened
        assert heard == ["database or disk is full"]
        assert not disk.held
    assert audit(tmp_path / "journal.db", lambda done, total: None).is_intact


@on_loop
async def test_an_open_is_refused_before_it_is_sent_and_stores_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, FarConnector) as (b, disk):
        await fill_until_opens_are_refused(b, disk)
        sent, head = len(b.far.taken), b.lane.book.head_seq
        with pytest.raises(Problem) as refused:
            await b.place("key")
        assert refused.value.kind.code == "journal_full"
        assert refused.value.kind.status == 503
        assert refused.value.kind.retryable
        assert refused.value.retry_after_s
        assert "closing and cancelling are allowed" in refused.value.detail
        assert len(b.far.taken) == sent
        assert b.lane.book.head_seq == head
        assert b.journal.command("acc_1", "key") is None


@on_loop
async def test_closing_cancelling_and_reading_go_on(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        resting = await b.place(type=OrderType.BUY_LIMIT, price=1.05)
        assert resting.status == 200
        await fill_until_opens_are_refused(b, disk)
        for position_id in list(b.lane.book.positions):
            assert (await b.close(position_id, wait_ms=30_000)).status == 200
        assert b.lane.book.positions == {}
        assert b.orders()
        assert b.journal.events("acc_1", 0, 10)


@on_loop
async def test_a_reversal_closes_and_does_not_open(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        await fill_until_opens_are_refused(b, disk)
        before = set(b.lane.book.positions)
        target = min(before)
        command = Command(
            id="req_1", kind="position.reverse", subject_id=target, fingerprint=b"reverse",
            key=None, wait_ms=30_000,
        )  # fmt: skip
        answer = await run_composite(b.lane, command, reverse())
        assert b"journal_full" in answer.body
        assert set(b.lane.book.positions) == before - {target}


@on_loop
async def test_opens_return_when_there_is_room_again(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        heard: list[str | None] = []
        b.journal.on_shortage(heard.append)
        await fill_until_opens_are_refused(b, disk)
        await told(b.journal)
        with pytest.raises(Problem, match="is full"):
            await b.place()
        disk.clear()
        await told(b.journal)
        assert heard == ["database or disk is full", None]
        assert disk.held
        assert (await b.place()).status == 200


@on_loop
async def test_room_that_takes_a_write_but_no_reserve_is_not_enough(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        await fill_until_opens_are_refused(b, disk)
        disk.free = disk.reserve - 1
        disk._limit()
        await told(b.journal)
        assert b.journal.shortage() is not None


async def use(b: Bench) -> None:
    """Close what is open, then pay in again and again."""
    for position_id in list(b.lane.book.positions):
        await b.close(position_id, wait_ms=30_000)
    for _ in range(500):
        now = b.connector.time_ms()
        await b.lane.on_facts(b.connector.broker.deposit(100, now), now)


@on_loop
async def test_a_reserve_that_is_used_up_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        await fill_until_opens_are_refused(b, disk)
        disk.use_up()
        with pytest.raises(JournalUnavailable, match="nothing was traded"):
            await use(b)
        left = len(b.lane.book.positions)
        assert len((await b.connector.snapshot()).positions) == left
        disk.clear()
        await told(b.journal)
        assert (await b.place()).status == 200
        assert len(b.lane.book.positions) == left + 1
    assert audit(tmp_path / "journal.db", lambda done, total: None).is_intact


# --- disks that fail -------------------------------------------------------------------------


class Failing:
    """The writer's connection while a kind of statement fails with an error of SQLite's."""

    def __init__(self, connection: sqlite3.Connection, start: str, code: int, times: int) -> None:
        self._connection = connection
        self._start = start
        self._code = code
        self.times = times
        self.tried = 0

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(self._start) and self.times:
            self.times -= 1
            self.tried += 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def failing(journal: SqliteJournal, code: int, times: int = MUCH) -> Iterator[Failing]:
    """While commits fail; a probe does so, too."""
    real = journal._writer._connection
    disk = Failing(real, "COMMIT", code, times)
    journal._writer._connection = disk  # type: ignore[assignment]
    yield disk
    journal._writer._connection = real


@on_loop
async def test_a_passing_error_is_tried_again(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, _):
        with failing(b.journal, sqlite3.SQLITE_IOERR_WRITE, times=1) as disk:
            assert (await b.place()).status == 200
        assert disk.tried == 1
        assert b.journal.shortage() == "disk I/O error"


@on_loop
async def test_a_failed_fsync_is_not_tried_again(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, _):
        with failing(b.journal, sqlite3.SQLITE_IOERR_FSYNC, times=1) as disk:
            with pytest.raises(JournalUnavailable):
                await b.place()
            assert disk.tried == 1
        await told(b.journal)
        assert b.journal.shortage() is None
        assert (await b.place()).status == 200


@on_loop
async def test_a_disk_that_fails_keeps_reads_up_and_recovers(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, _):
        await b.place()
        before = await b.connector.snapshot()
        with failing(b.journal, sqlite3.SQLITE_IOERR_WRITE):
            with pytest.raises(JournalUnavailable):
                await b.place()
            with pytest.raises(Problem, match="is full or fails"):
                await b.place()
            [position_id] = b.lane.book.positions
            with pytest.raises(JournalUnavailable):
                await b.close(position_id, wait_ms=30_000)
            [kept] = (await b.connector.snapshot()).positions
            assert replace(kept, comment="") == replace(before.positions[0], comment="")
            assert len(b.orders()) == 1
        await told(b.journal)
        assert b.journal.shortage() is None
        assert (await b.close(position_id, wait_ms=30_000)).status == 200


@on_loop
async def test_a_disk_that_becomes_read_only_recovers(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, _):
        b.journal._writing.execute("PRAGMA query_only = ON")
        with pytest.raises(JournalUnavailable, match="readonly"):
            await b.place()
        with pytest.raises(Problem, match="is full or fails"):
            await b.place()
        assert b.journal.events("acc_1", 0, 10)
        await told(b.journal)
        assert b.journal.shortage() is not None
        b.journal._writing.execute("PRAGMA query_only = OFF")
        await told(b.journal)
        assert (await b.place()).status == 200


@on_loop
async def test_a_mistake_is_no_full_disk(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        head = b.lane.book.head_seq
        await b.journal.append(change(event(head + 1), deal(99)))
        with pytest.raises(JournalUnavailable):
            await b.journal.append(change(event(head + 2), deal(99)))
        assert b.journal.shortage() is None
        assert disk.held


# --- what may wait ---------------------------------------------------------------------------


@on_loop
async def test_housekeeping_leaves_the_room_to_closes(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, disk):
        await fill_until_opens_are_refused(b, disk)
        b.journal.save_checkpoint("acc_1", b"state")
        b.journal.forget_commands(0)
        assert b.journal._unsent == []
        disk.clear()
        await told(b.journal)
        b.journal.save_checkpoint("acc_1", b"state")
        assert len(b.journal._unsent) == 1


@on_loop
async def test_housekeeping_that_fails_costs_no_account_its_decisions(tmp_path: Path) -> None:
    async with world(tmp_path) as (b, _):
        heard: list[str] = []
        b.journal.on_failure(lambda: heard.append("failed"))
        with failing(b.journal, sqlite3.SQLITE_IOERR_WRITE, times=2) as disk:
            b.journal.save_checkpoint("acc_1", b"state")
            await asyncio.sleep(0)
            await told(b.journal)
            assert disk.tried == 2
        assert heard == []
        await told(b.journal)
        assert (await b.place()).status == 200


@on_loop
async def test_a_journal_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(bytes(range(256)) * 16)
    with pytest.raises(JournalOpenError, match="file is not a database"):
        SqliteJournal(tmp_path / "journal.db", asyncio.get_running_loop())


# --- the file --------------------------------------------------------------------------------

SIZE = 256 * 1024


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.reserve"


def disk_with(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    found = os.statvfs("/")
    fields = list(found)
    fields[4] = free // found.f_frsize  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))


def test_a_reserve_is_blocks_of_the_disk_and_gives_them_back(file: Path) -> None:
    reserve = FileReserve(file, SIZE)
    assert reserve.hold()
    assert file.stat().st_blocks * 512 >= SIZE
    assert file.stat().st_mode & 0o777 == 0o600
    assert reserve.hold()
    reserve.release()
    assert not file.exists()
    reserve.release()


def test_a_reserve_is_held_only_with_room_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = FileReserve(file, SIZE)
    disk_with(monkeypatch, SIZE + limits.JOURNAL_HEADROOM_BYTES - 8192)
    assert not reserve.hold()
    assert not file.exists()
    disk_with(monkeypatch, SIZE + limits.JOURNAL_HEADROOM_BYTES + 8192)
    assert reserve.hold()


def test_a_reserve_of_the_last_run_is_kept_where_there_is_room_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FileReserve(file, SIZE).hold()
    disk_with(monkeypatch, limits.JOURNAL_HEADROOM_BYTES + 8192)
    assert FileReserve(file, SIZE).hold()
    disk_with(monkeypatch, limits.JOURNAL_HEADROOM_BYTES - 8192)
    assert not FileReserve(file, SIZE).hold()
    assert not file.exists()


def test_a_disk_that_fills_meanwhile_leaves_no_part_of_a_reserve(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not FileReserve(file, SIZE).hold()
    assert not file.exists()


@on_loop
async def test_a_server_that_starts_without_room_begins_with_closes_only(tmp_path: Path) -> None:
    disk = PageDisk()
    disk.free = disk.reserve - 1
    journal = SqliteJournal(tmp_path / "journal.db", asyncio.get_running_loop(), reserve=disk)
    try:
        b = Bench(journal, SimConnector)
        await b.open()
        with pytest.raises(Problem, match="no room for its reserve"):
            await b.place()
        disk.free = MUCH
        await told(journal)
        assert (await b.place()).status == 200
    finally:
        journal.close()


def test_an_error_that_is_not_of_the_disk_takes_nothing() -> None:
    said: list[str | None] = []
    space = Space(NoReserve(), said.append)
    space.open()
    assert not space.failed(sqlite3.OperationalError("has no code"))
    assert not space.failed(ValueError("not of SQLite"))
    assert said == []
