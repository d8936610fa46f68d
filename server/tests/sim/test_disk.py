"""The simulated disk under the real journal: what a crash leaves, and a disk that is full."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.changes import Change, Event
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.testkit.disk import SimDisk
from fxsocket_server.testkit.loop import SimLoop, SimProcess
from fxsocket_server.testkit.rng import Chance

EVENTS = 5


class Bed:
    """A disk whose journal belongs to a process that may die."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.loop = SimLoop()
        self.disk = SimDisk(folder, self.loop, Chance(seed))
        self.process = SimProcess("server", self.loop, lambda _: self.disk.crash())

    def open_journal(self) -> SqliteJournal:
        """The journal, with the log of an account."""
        journal = self.disk.open_journal()
        journal.open_account("acc_1", "usr_1", "epoch")
        return journal

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(self.process.spawn(work))

    def close(self) -> None:
        self.process.bury()
        self.disk.close()
        self.loop.close()


def change(number: int) -> Change:
    """A change of EVENTS events."""
    first = (number - 1) * EVENTS + 1
    events = [
        Event("acc_1", seq, "order.placed", number, b"x" * 500)
        for seq in range(first, first + EVENTS)
    ]
    return Change(user_id="usr_1", account_id="acc_1", time_ms=number, events=events)


def held(journal: SqliteJournal) -> int:
    """How many events a journal holds; they must be the first ones."""
    events = journal.events("acc_1", 0, 10_000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return len(events)


async def die_in_a_commit(bed: Bed) -> None:
    """Make three changes durable, and die while the fourth is written."""
    journal = bed.open_journal()
    for number in range(1, 4):
        await journal.append(change(number))
    _ = journal.append(change(4))
    await asyncio.sleep(0)
    bed.process.kill()


def test_a_crash_keeps_what_was_committed_and_never_half_a_change(
    tmp_path: Path, seed: int
) -> None:
    left: set[str] = set()
    for number in range(40):
        bed = Bed(tmp_path / str(number), seed + number)
        _ = bed.process.spawn(die_in_a_commit(bed))
        bed.loop.run_until_complete(bed.loop.create_task(bed.loop.elapse(5)))
        [fate] = bed.disk.crashes
        left.add(f"{fate}: {held(bed.open_journal())} events")
        bed.close()
    assert left == {"lost: 15 events", "whole: 20 events", "torn: 15 events"}


@pytest.mark.parametrize("trouble", ["full", "failing"])
def test_a_disk_in_trouble_refuses_and_recovers(tmp_path: Path, seed: int, trouble: str) -> None:
    bed = Bed(tmp_path / "disk", seed)

    async def play() -> None:
        journal = bed.open_journal()
        await journal.append(change(1))
        bed.disk.wear.full = trouble == "full"
        bed.disk.wear.fails = 0.5 if trouble == "failing" else 0
        refused = 0
        for number in range(2, 300):
            try:
                await journal.append(change(number - refused))
            except JournalUnavailable:
                refused += 1
        assert refused
        before = held(journal)
        bed.disk.wear.full, bed.disk.wear.fails = False, 0
        await journal.append(change(before // EVENTS + 1))
        assert held(journal) == before + EVENTS

    bed.run(play())
    bed.close()
