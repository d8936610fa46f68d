"""I7: verify-journal finds every planted corruption of an event log, and none in an honest one."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.storage.journal.audit import AuditReport, audit

from ..api.world import FarConnector
from ..unit.journal_logs import PROFILES, steps

Corrupt = Callable[[sqlite3.Connection, random.Random], None]

TEXTS = ("account_id", "user_id", "type")
INTEGERS = ("seq", "time_ms")
BLOBS = ("payload", "hash")


async def _trade(folder: Path, seed: int, profile: str, kind: type[SimConnector]) -> None:
    async for _ in steps(folder, seed, 40, profile, kind):
        pass


def journal(folder: Path, seed: int, profile: str, kind: type[SimConnector] = SimConnector) -> Path:
    """A journal of random trading, without pages that nothing uses."""
    folder.mkdir(parents=True)
    asyncio.run(_trade(folder, seed, profile, kind))
    path = folder / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("VACUUM")
    return path


def verified(path: Path) -> AuditReport:
    return audit(path, lambda done, total: None)


# --- what is planted -------------------------------------------------------------------------


def _row(db: sqlite3.Connection, rng: random.Random) -> int:
    (last,) = db.execute("SELECT MAX(seq) FROM events").fetchone()
    return rng.randint(1, last)


def flip_text(db: sqlite3.Connection, rng: random.Random) -> None:
    column, seq = rng.choice(TEXTS), _row(db, rng)
    (value,) = db.execute("SELECT " + column + " FROM events WHERE seq = ?", (seq,)).fetchone()
    place = rng.randrange(len(value))
    flipped = value[:place] + chr(ord(value[place]) ^ 1 << rng.randrange(7)) + value[place + 1 :]
    db.execute("UPDATE events SET " + column + " = ? WHERE seq = ?", (flipped, seq))


def flip_integer(db: sqlite3.Connection, rng: random.Random) -> None:
    column = rng.choice(INTEGERS)
    bit = 1 << rng.randrange(20, 40) if column == "seq" else 1 << rng.randrange(40)
    sql = "UPDATE events SET " + column + " = " + column + " + ? WHERE seq = ?"
    db.execute(sql, (bit, _row(db, rng)))


def flip_blob(db: sqlite3.Connection, rng: random.Random) -> None:
    column, seq = rng.choice(BLOBS), _row(db, rng)
    (value,) = db.execute("SELECT " + column + " FROM events WHERE seq = ?", (seq,)).fetchone()
    flipped = bytearray(value)
    flipped[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
    db.execute("UPDATE events SET " + column + " = ? WHERE seq = ?", (bytes(flipped), seq))


def cut_payload(db: sqlite3.Connection, rng: random.Random) -> None:
    cut = rng.randint(1, 5)
    sql = "UPDATE events SET payload = SUBSTR(payload, 1, LENGTH(payload) - ?) WHERE seq = ?"
    db.execute(sql, (cut, _row(db, rng)))


def remove_rows(db: sqlite3.Connection, rng: random.Random) -> None:
    first = _row(db, rng)
    last = first + rng.choice((0, 0, 0, 3))
    db.execute("DELETE FROM events WHERE seq BETWEEN ? AND ?", (first, last))


def cut_the_end(db: sqlite3.Connection, rng: random.Random) -> None:
    db.execute("DELETE FROM events WHERE seq >= ?", (_row(db, rng),))


def swap_rows(db: sqlite3.Connection, rng: random.Random) -> None:
    """Two events change places: whole, or without their hashes."""
    one, other = _row(db, rng), _row(db, rng)
    while other == one:
        other = _row(db, rng)
    columns = rng.choice((("type", "time_ms", "payload"), ("type", "time_ms", "payload", "hash")))
    names = ", ".join(columns)
    read = "SELECT " + names + " FROM events WHERE seq = ?"
    write = "UPDATE events SET " + ", ".join(f"{c} = ?" for c in columns) + " WHERE seq = ?"
    first, second = (db.execute(read, (seq,)).fetchone() for seq in (one, other))
    db.execute(write, (*first, other))
    db.execute(write, (*second, one))


def repeat_row(db: sqlite3.Connection, rng: random.Random) -> None:
    """The last event is there once more, as the next one."""
    db.execute(
        "INSERT INTO events SELECT account_id, seq + 1, user_id, type, time_ms, payload, hash"
        " FROM events ORDER BY seq DESC LIMIT 1"
    )


PLANTED: tuple[Corrupt, ...] = (
    flip_text, flip_integer, flip_blob, cut_payload, remove_rows, cut_the_end, swap_rows,
    repeat_row,
)  # fmt: skip


def flip_in_file(path: Path, rng: random.Random) -> None:
    """One bit of the file flips, somewhere in a payload or a hash of an event."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT payload, hash FROM events").fetchall()
    value = rng.choice(rng.choice(rows))
    place = content.find(value)
    assert place >= 0
    assert content.count(value) == 1 or value == rows[-1][1]  # the last hash is also the head's
    content[place + rng.randrange(len(value))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def plant(path: Path, corrupt: Corrupt, rng: random.Random) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        corrupt(db, rng)


def check_planted(source: Path, rng: random.Random, tries: int) -> None:
    assert verified(source).is_intact
    copy = source.with_name("copy.db")
    for _ in range(tries):
        seed = rng.getrandbits(40)
        shutil.copyfile(source, copy)
        corrupt = rng.choice((*PLANTED, None, None))
        if corrupt is None:
            flip_in_file(copy, random.Random(seed))
        else:
            plant(copy, corrupt, random.Random(seed))
        assert not verified(copy).is_intact, f"{corrupt} with {seed} was not found"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_planted_corruption_is_found(
    profile: str, tmp_path: Path, rng: random.Random
) -> None:
    check_planted(journal(tmp_path / "j", rng.getrandbits(40), profile), rng, 100)


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_10000_planted_corruptions_are_found(
    profile: str, tmp_path: Path, rng: random.Random
) -> None:
    for n in range(34):
        source = journal(tmp_path / str(n), rng.getrandbits(40), profile)
        check_planted(source, rng, 100)
    print(f"{34 * 100} passing, 0 failing corruptions")  # counted by tools/soak.py


@pytest.mark.parametrize("kind", [SimConnector, FarConnector])
@pytest.mark.parametrize("profile", PROFILES)
def test_an_honest_journal_is_intact(
    profile: str, kind: type[SimConnector], tmp_path: Path, rng: random.Random
) -> None:
    """Also the sums: every position is its deals, and the balance all of them."""
    for n in range(6):
        report = verified(journal(tmp_path / str(n), rng.getrandbits(40), profile, kind))
        assert report.findings == []
        [account] = report.accounts
        assert account.events > 30
        assert account.positions > account.partial_positions
