"""Backs a data folder up beside the server that uses it, and restores it into an empty one."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from fxsocket_server.bootstrap.data_folder import APP, JOURNAL, LOCK, RESERVE, RESTORING, DataFolder
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.views import time_text
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.backup.archive import (
    ArchiveError,
    Manifest,
    read_archive,
    write_archive,
)
from fxsocket_server.storage.backup.database import DatabaseError, copy_database
from fxsocket_server.storage.folders import sync_folder
from fxsocket_server.storage.journal.audit import AuditReport, Unreadable, audit
from fxsocket_server.storage.journal.epochs import renew_epochs, upgrade
from fxsocket_server.storage.journal.schema import JournalOpenError

Progress = Callable[[str, int, int], None]  # what is done, so far, in all (0: nobody knows)

_OF_ONE_RUN = (LOCK, RESERVE)  # made anew by every server
_SIDE_FILES = ("-wal", "-shm", "-journal")  # of databases; their copies need none
_NOT_OURS = (LOCK, "lost+found")  # may lie in a folder that is as good as empty
_TRIES = 10  # until no file changes while app.db is copied


class BackupError(Exception):
    """The backup or restore cannot be done; nothing is left of it. The text names the fix."""


class Backup(Struct, frozen=True):
    """An archive that was written."""

    path: Path
    manifest: Manifest


class Restored(Struct, frozen=True):
    """What a restored folder holds, and of when it is."""

    manifest: Manifest
    report: AuditReport


# --- backup --------------------------------------------------------------------------------------


def back_up(data: Path, target: Path, version: str, progress: Progress) -> Backup:
    """Write everything that a data folder holds into one archive; the server may run.

    `target` is a new file, or a folder in which a name with the time is chosen. Databases are
    copied as they stand at one moment each, the journal first: what it knows, app.db knows too.
    Raises BackupError.
    """
    for name in (JOURNAL, APP, "pepper"):
        if not (data / name).is_file():
            raise BackupError(f"--data {data}: no {name}; name the data folder of a server")
    now = time_text(SystemClock().wall_ms())
    archive = _archive_path(data, target, now)
    about = Manifest(created_at=now, server_version=version)
    try:
        with tempfile.TemporaryDirectory(prefix=".fxsocket-", dir=archive.parent) as work:
            files = _copied(data, Path(work), progress)
            manifest = write_archive(archive, files, about, _named(progress, archive.name))
    except FileExistsError:
        raise BackupError(f"{archive} exists; name another file, or a folder") from None
    except OSError as error:
        raise BackupError(f"{error.filename or archive}: {error.strerror or error}") from None
    except DatabaseError as error:
        raise BackupError(f"a database cannot be copied: {error}") from None
    return Backup(archive, manifest)


def _archive_path(data: Path, target: Path, now: str) -> Path:
    name = f"fxsocket-{now.partition('.')[0].replace(':', '-')}Z.tar.gz"
    archive = target / name if target.is_dir() else target
    if not archive.parent.is_dir():
        raise BackupError(f"{archive.parent}: no such folder; make it first")
    if data.resolve() in archive.resolve().parents:
        raise BackupError(f"{archive} lies in the data folder; keep backups elsewhere")
    if archive.exists():
        raise BackupError(f"{archive} exists; name another file, or a folder")
    return archive


def _copied(data: Path, work: Path, progress: Progress) -> dict[str, Path]:
    """Copies of every file by its name, which fit together."""
    _copy_database(data, work, JOURNAL, progress)
    for _ in range(_TRIES):
        secrets = _copy_files(data, work)
        databases = [path.name for path in data.glob("*.db") if path.name != JOURNAL]
        for name in databases:
            (work / name).unlink(missing_ok=True)
            _copy_database(data, work, name, progress)
        # A key that was changed meanwhile may be the one that the copy of app.db needs.
        if secrets == {path.name: path.read_bytes() for path in _plain_files(data)}:
            return {name: work / name for name in (JOURNAL, *sorted(databases), *sorted(secrets))}
    raise BackupError(f"--data {data}: its files change all the time; try again in a minute")


def _copy_database(data: Path, work: Path, name: str, progress: Progress) -> None:
    copy_database(data / name, work / name, _named(progress, name))


def _copy_files(data: Path, work: Path) -> dict[str, bytes]:
    copied = {path.name: path.read_bytes() for path in _plain_files(data)}
    for name, content in copied.items():
        (work / name).write_bytes(content)
    return copied


def _plain_files(data: Path) -> Iterator[Path]:
    """Pepper, key files and whatever else is no database and lasts."""
    for path in data.iterdir():
        is_passing = path.name in _OF_ONE_RUN or path.name.endswith((".db", *_SIDE_FILES))
        if path.is_file() and not is_passing:
            yield path


# --- restore -------------------------------------------------------------------------------------


def restore(archive: Path, data: Path, progress: Progress) -> Restored:
    """Unpack a backup into an empty data folder, verify it, and give every log a new epoch.

    A client that resumes is then told `reset`, for events that it saw may be missing here.
    Raises BackupError; the folder is left as empty as it was.
    """
    if not archive.is_file():
        raise BackupError(f"{archive}: no such file")
    with _empty_folder(data) as folder:
        work = folder / RESTORING
        try:
            manifest = read_archive(archive, work, _named(progress, archive.name))
            report = _verified(work / JOURNAL, progress)
        except ArchiveError as error:
            raise BackupError(f"{archive}: {error}") from None
        except (JournalOpenError, Unreadable) as error:
            raise BackupError(f"{archive}: its journal cannot be opened: {error}") from None
        ids = IdFactory(os.urandom, SystemClock().wall_ms)
        renew_epochs(
            work / JOURNAL, lambda: ids.make(""), lambda _, rows: progress("new epochs", rows, 0)
        )
        for path in sorted(work.iterdir()):
            path.rename(folder / path.name)
        sync_folder(folder)  # before the mark goes
        return Restored(manifest, report)


@contextmanager
def _empty_folder(data: Path) -> Iterator[Path]:
    """An empty folder that no server can take while it is filled; emptied again on failure."""
    if data.exists() and not data.is_dir():
        raise BackupError(f"--data {data}: is no folder")
    was_there = data.is_dir()
    try:
        folder = DataFolder(data, restoring=True)
    except SettingsError as error:
        raise BackupError(str(error)) from None
    try:
        strangers = sorted(path.name for path in data.iterdir() if path.name not in _NOT_OURS)
        if strangers:
            raise BackupError(
                f"--data {data}: holds {', '.join(strangers[:5])}; a backup is restored into an "
                "empty folder: name a new one"
            )
        with _filling(data):
            yield data
    except OSError as error:
        raise BackupError(f"--data {data}: {error.strerror or error}") from None
    finally:
        if not was_there and [path.name for path in data.iterdir()] == [LOCK]:
            shutil.rmtree(data, ignore_errors=True)
        folder.release()


@contextmanager
def _filling(folder: Path) -> Iterator[None]:
    """Mark a folder as not whole; what came into it goes again on failure, the mark last."""
    mark = folder / RESTORING
    mark.mkdir(mode=0o700)
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            if path != mark and path.name not in _NOT_OURS:
                path.unlink()
        shutil.rmtree(mark)
        raise
    mark.rmdir()
    sync_folder(folder)


def _verified(journal: Path, progress: Progress) -> AuditReport:
    """Verify before a new chain seals what is there."""
    if not journal.is_file():
        raise ArchiveError(f"holds no {JOURNAL}")
    upgrade(journal, lambda _, rows: progress("upgrading", rows, 0))
    done = 0

    def told(rows: int, total: int) -> None:
        nonlocal done
        done += rows
        progress("verifying", done, total)

    report = audit(journal, told)
    if not report.is_intact:
        first = report.findings[0]
        raise ArchiveError(
            f"its journal was damaged before it was backed up ({len(report.findings)} findings, "
            f"first: {first.account_id or ''} {first.detail}); restore an older backup"
        )
    return report


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)
