"""What keeps closes and cancels possible on a disk that fills: a reserve, given up when it does.

The reserve is a file of allocated blocks beside the journal. A commit that finds no room releases
it and is tried once more; from then on opens are refused, until the reserve can be taken again.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from fxsocket_server.core import limits

_DISK_ERRORS = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
# After a failed fsync nobody knows what is on the disk: such a commit is not tried again.
_FSYNC_ERRORS = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})


class Reserve(Protocol):
    """Room that nobody else can take until it is released."""

    def hold(self) -> bool:
        """Take the room, or keep it; False, holding nothing, where there is not enough."""
        ...

    def release(self) -> None:
        """Give the room to whoever writes next."""
        ...


class NoReserve:
    """For a journal whose disk nobody watches."""

    def hold(self) -> bool:
        """Nothing to take."""
        return True

    def release(self) -> None:
        """Nothing to give."""


class FileReserve:
    """Allocated blocks of a file; it is held only where some room is free beside it."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size = size_bytes

    def hold(self) -> bool:
        """Allocate the file's blocks."""
        try:
            if self._free_bytes() >= self._missing_bytes() + limits.JOURNAL_HEADROOM_BYTES:
                self._allocate()
                return True
        except OSError:  # no room after all, or a disk that fails
            pass
        self.release()
        return False

    def release(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _free_bytes(self) -> int:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize

    def _missing_bytes(self) -> int:
        held = self._path.stat().st_blocks * 512 if self._path.exists() else 0
        return max(0, self._size - held)

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if self._size:
                os.posix_fallocate(descriptor, 0, self._size)
        finally:
            os.close(descriptor)


class Space:
    """Whether the disk takes what is written; belongs to the writer's thread.

    `told` is called with what is wrong, or None, whenever that changes.
    """

    def __init__(self, reserve: Reserve, told: Callable[[str | None], None]) -> None:
        self._reserve = reserve
        self._told = told
        self._shortage: str | None = None
        self._is_held = False

    def open(self) -> None:
        """Take the reserve for the first time."""
        self._is_held = self._reserve.hold()
        if not self._is_held:
            self._set("there is no room for its reserve")

    def failed(self, error: Exception) -> bool:
        """Take note of a failed commit; whether it may succeed now that the reserve is free."""
        if not isinstance(error, sqlite3.Error) or _code(error) & 0xFF not in _DISK_ERRORS:
            return False
        self._set(str(error))
        was_held, self._is_held = self._is_held, False
        self._reserve.release()
        return was_held and _code(error) not in _FSYNC_ERRORS

    def probe(self, connection: sqlite3.Connection) -> None:
        """While something is wrong: take the reserve again, and see whether a write succeeds."""
        if self._shortage is None:
            return
        try:
            self._is_held = self._reserve.hold()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            # The smallest commit that there is: it writes what stands there already.
            connection.execute(f"PRAGMA user_version = {version:d}")
        except sqlite3.Error as error:
            self.failed(error)
            return
        if self._is_held:
            self._set(None)

    def _set(self, shortage: str | None) -> None:
        if shortage != self._shortage:
            self._shortage = shortage
            self._told(shortage)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) or 0
