"""Copies an SQLite database as it stands at one moment, beside a server that goes on writing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

Told = Callable[[int, int], None]  # bytes done, bytes in all

_PAGES_A_STEP = 1_024


class DatabaseError(Exception):
    """A database cannot be read, or its copy not be written."""


def copy_database(source: Path, target: Path, told: Told) -> None:
    """Copy a database into a new file; raises DatabaseError."""
    try:
        _copy(source, target, told)
    except sqlite3.Error as error:
        raise DatabaseError(f"{source}: {error}") from None


def _copy(source: Path, target: Path, told: Told) -> None:
    with (
        closing(_open(source)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as writing,
    ):
        (page_bytes,) = reading.execute("PRAGMA page_size").fetchone()
        # A snapshot that is held all along: a step would begin anew after each foreign commit.
        reading.execute("BEGIN")
        reading.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        reading.backup(
            writing,
            pages=_PAGES_A_STEP,
            progress=lambda _, left, total: told((total - left) * page_bytes, total * page_bytes),
        )
        writing.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it


def _open(path: Path) -> sqlite3.Connection:
    # `rw`, for the server may have ended without a checkpoint: its log belongs to the copy.
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw", uri=True, isolation_level=None
    )
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA query_only=ON")
    return connection
