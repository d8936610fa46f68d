"""The data folder: one server at a time, and the pepper that key digests depend on."""

import fcntl
import os
from pathlib import Path
from typing import IO

from fxsocket_server.settings import SettingsError

JOURNAL = "journal.db"
RESERVE = "journal.reserve"
APP = "app.db"
LOCK = "lock"
RESTORING = ".restoring"  # what a restore has not finished

_PEPPER_BYTES = 32


class DataFolder:
    """State of one server: journal.db and its reserve, app.db, pepper, lock."""

    def __init__(self, path: Path, *, restoring: bool = False) -> None:
        """Take the folder, made where it is missing; only a restore may have one cut short."""
        self.path = path
        try:
            path.mkdir(0o700, parents=True, exist_ok=True)
            self._lock: IO[bytes] = (path / LOCK).open("ab")
        except OSError as error:
            raise SettingsError(f"--data {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SettingsError(
                f"--data {path}: another server uses this folder; stop it or name another folder"
            ) from None
        if (path / RESTORING).exists() and not restoring:
            self.release()
            raise SettingsError(
                f"--data {path}: a restore into this folder was cut short; empty it and restore "
                "the backup again"
            )

    @property
    def journal_path(self) -> Path:
        """The order journal."""
        return self.path / JOURNAL

    @property
    def reserve_path(self) -> Path:
        """Room that the journal gives up when the disk is full."""
        return self.path / RESERVE

    @property
    def app_url(self) -> str:
        """The relational store, as SQLAlchemy names it."""
        return app_url(self.path)

    def pepper(self) -> bytes:
        """The secret under which key digests are made."""
        return pepper_of(self.path)

    def release(self) -> None:
        """Let another server have the folder."""
        self._lock.close()


def app_url(data: Path) -> str:
    """The relational store of a data folder that somebody else may have open."""
    return f"sqlite:///{data / APP}"


def pepper_of(data: Path) -> bytes:
    """The pepper of a data folder; created once, readable by its owner only."""
    path = data / "pepper"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"{path} is readable by others; run: chmod 600 {path}")
    pepper = path.read_bytes()
    if len(pepper) != _PEPPER_BYTES:
        raise SettingsError(f"{path} is damaged; restore it from a backup: keys depend on it")
    return pepper
