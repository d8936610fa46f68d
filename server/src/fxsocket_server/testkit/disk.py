"""The disk under the real journal: slow, full or failing, and what is left of it after a crash.

A commit takes simulated time. If the process dies within it, the commit is lost, or whole, or torn
in the middle of SQLite's own log; what was committed before stays, as synchronous=FULL promises.
"""

import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.storage.journal.schema import empty_journal
from fxsocket_server.storage.journal.space import Space
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.storage.journal.writer import Done, Queued, Work, Writer
from fxsocket_server.testkit.loop import SimLoop, SimProcess, owner
from fxsocket_server.testkit.rng import Chance

_NO_LIMIT = 1_073_741_823  # SQLite's own bound of pages
_RESERVE_PAGES = 64
_IO_ERROR = 10  # SQLITE_IOERR


class Wear(Struct):
    """What is wrong with a disk."""

    low_ms: float = 0.2
    high_ms: float = 2.0
    slow_ms: float = 0.0  # a stall that every commit suffers
    fails: float = 0.0  # probability that a commit fails with an I/O error
    full: bool = False


@lru_cache(maxsize=1)
def _empty_journal() -> bytes:
    """A journal without an account: making its tables anew for every world would take most time."""
    return empty_journal()


class SimDisk:
    """The folder of one simulated process; every crash moves what is left to a new one."""

    def __init__(self, folder: Path, loop: SimLoop, chance: Chance) -> None:
        self._folder = folder
        self._loop = loop
        self._chance = chance
        self._generation = 0
        self.wear = Wear()
        self._journals: list[SqliteJournal] = []
        self._writer: SimWriter | None = None
        self.crashes: dict[str, int] = {}
        self.on_commit: Callable[[float], None] | None = None  # hears of a commit, and its seconds
        self.reserve_is_held = False
        self._full_pages: int | None = None
        self._here.mkdir(parents=True)
        self.journal_path.write_bytes(_empty_journal())

    @property
    def _here(self) -> Path:
        return self._folder / str(self._generation)

    @property
    def journal_path(self) -> Path:
        """Where the journal of the process that lives now is."""
        return self._here / "journal.db"

    def open_journal(self) -> SqliteJournal:
        """The journal, as its process finds it."""
        journal = SqliteJournal(self.journal_path, self._loop, make_writer=self._make_writer)
        self._journals.append(journal)
        return journal

    def _make_writer(self, connection: Any, done: Done, space: Space) -> Writer:
        self._writer = SimWriter(self, connection, done, space)
        return self._writer

    def commit_s(self) -> float:
        """How long a commit takes."""
        wear = self.wear
        return (wear.slow_ms + self._chance.between(wear.low_ms, wear.high_ms)) / 1000

    def breaks(self) -> bool:
        """Whether this commit fails."""
        return bool(self.wear.fails) and self._chance.happens(self.wear.fails)

    def page_bound(self, pages: int) -> int:
        """How many pages the file may have: a full disk has no room but a reserve given up."""
        if not self.wear.full:
            self._full_pages = None
            return _NO_LIMIT
        if self._full_pages is None:
            self._full_pages = pages
        return self._full_pages + (0 if self.reserve_is_held else _RESERVE_PAGES)

    def later(self, delay_s: float, writer: "SimWriter") -> None:
        """Finish a writer's commit after a while, if its process still lives."""
        if self.on_commit is not None:
            self.on_commit(delay_s)
        self._loop.call_later(delay_s, writer.finish)

    # --- crashes -----------------------------------------------------------------------------

    def crash(self) -> None:
        """The process died: decide what became of the commit under way, and keep the rest."""
        log = self.journal_path.with_name("journal.db-wal")
        synced = log.stat().st_size
        fate = "idle"
        if self._writer is not None and self._writer.under_way:
            fate = self._chance.choice(("lost", "whole", "torn"))
            if fate != "lost":
                self._writer.finish_unheard()
        written = log.stat().st_size
        self.crashes[fate] = self.crashes.get(fate, 0) + 1
        self._move_on()
        if fate == "torn" and written > synced:
            with self.journal_path.with_name(log.name).open("r+b") as left:
                left.truncate(synced + self._chance.below(written - synced))

    def _move_on(self) -> None:
        before = self._here
        self._generation += 1
        self._here.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copyfile(before / name, self._here / name)

    def close(self) -> None:
        """Let go of every file."""
        for journal in self._journals:
            journal.close()


class _SimReserve:
    """The room beside the journal that a full disk leaves to closes and cancels."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def hold(self) -> bool:
        """Take it, unless the disk is full."""
        self._disk.reserve_is_held = self._disk.reserve_is_held or not self._disk.wear.full
        return self._disk.reserve_is_held

    def release(self) -> None:
        """Give it to the journal."""
        self._disk.reserve_is_held = False


class SimWriter(Writer):
    """The journal's writer without its thread: a commit ends when simulated time has passed."""

    def __init__(self, disk: SimDisk, connection: Any, done: Done, space: Space) -> None:
        super().__init__(connection, done, space)
        self._disk = disk
        self._process: SimProcess | None = owner()
        self._waiting: list[Queued] = []
        self.under_way: list[Queued] = []

    def start(self) -> None:
        """Take the reserve; there is no thread to start."""
        self._space.open()

    def put(self, works: list[Queued]) -> None:
        """Queue works, oldest first; a dead process writes nothing."""
        if self._process is None or self._process.step():
            self._waiting += works
            self._begin()

    def _begin(self) -> None:
        lives = self._process is None or self._process.alive
        if lives and self._waiting and not self.under_way:
            size = limits.JOURNAL_GROUP_CHANGES
            self.under_way, self._waiting = self._waiting[:size], self._waiting[size:]
            self._disk.later(self._disk.commit_s(), self)

    def finish(self) -> None:
        """The commit under way ends, one way or the other."""
        group, self.under_way = self.under_way, []
        self._commit(group)
        self._begin()

    def finish_unheard(self) -> None:
        """The process died, but its commit reached the disk."""
        self._done = _nobody
        self.finish()

    def _try(self, works: list[Work]) -> Exception | None:
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        bound = self._disk.page_bound(pages)
        self._connection.execute(f"PRAGMA max_page_count = {bound:d}")
        return super()._try(works)

    def _write(self, group: list[Work]) -> None:
        super()._write(group)
        if self._disk.breaks():
            error = self._connection.OperationalError("disk I/O error")
            error.sqlite_errorcode = _IO_ERROR
            raise error

    def stop(self) -> None:
        """Commit what a living process had queued."""
        if self._process is None or self._process.alive:
            while self.under_way or self._waiting:
                self._begin()
                self.finish()


def _nobody(_group: list[tuple[int, Work]], _failure: str | None, _generation: int) -> None:
    """Hears of the commits of the dead."""
