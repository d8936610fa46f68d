"""Archives that are damaged, folders that are not empty, keys that change under a backup."""

import random
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest

from fxsocket_server.bootstrap import backup as backup_module
from fxsocket_server.bootstrap.backup import BackupError, back_up, restore
from fxsocket_server.bootstrap.data_folder import RESTORING, DataFolder
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.backup.archive import ArchiveError, read_archive
from fxsocket_server.storage.backup.database import copy_database
from fxsocket_server.storage.journal.audit import audit

from .journal_logs import log_of, steps

DAMAGES = 300


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a server leaves it, with two accounts' worth of trading in one log."""
    import asyncio

    data = tmp_path_factory.mktemp("made") / "data"
    data.mkdir()

    async def trade() -> None:
        async for _ in steps(data, 7, 40, "standard"):
            pass

    asyncio.run(trade())
    folder = DataFolder(data)
    folder.pepper()
    AppStore(folder.app_url).close()
    folder.release()
    (data / "kek.1").write_bytes(b"a key of a later version")
    (data / "journal.reserve").write_bytes(bytes(100))
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    return back_up(data, tmp_path / "a.tar.gz", "1.0", silent).path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def epoch(data: Path) -> str:
    with closing(sqlite3.connect(data / "journal.db")) as db:
        [(found,)] = db.execute("SELECT epoch FROM accounts")
    return str(found)


def test_everything_that_lasts_comes_back_and_logs_begin_anew(
    data: Path, archive: Path, tmp_path: Path
) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    restored = tmp_path / "new" / "data"
    done = restore(archive, restored, silent)
    assert [member.name for member in done.manifest.files] == [
        "journal.db", "app.db", "kek.1", "pepper",
    ]  # fmt: skip
    assert {p.name for p in restored.iterdir()} == {
        "journal.db",
        "app.db",
        "kek.1",
        "pepper",
        "lock",
    }
    assert all(p.stat().st_mode & 0o077 == 0 for p in restored.iterdir() if p.name != "lock")
    for name in ("pepper", "kek.1"):
        assert (restored / name).read_bytes() == (data / name).read_bytes()
    assert log_of(restored / "journal.db") == log_of(data / "journal.db") != []
    assert audit(restored / "journal.db", lambda done, total: None).is_intact
    assert epoch(restored) != epoch(data)
    again = restore(archive, tmp_path / "again", silent)
    assert again.manifest == done.manifest
    assert epoch(tmp_path / "again") != epoch(restored)


def test_a_folder_with_anything_in_it_is_left_alone(
    data: Path, archive: Path, tmp_path: Path
) -> None:
    before = contents(data)
    with pytest.raises(BackupError, match=r"holds app\.db, .*name a new one"):
        restore(archive, data, silent)
    assert contents(data) == before
    volume = tmp_path / "volume"
    (volume / "lost+found").mkdir(parents=True)
    restore(archive, volume, silent)
    assert (volume / "journal.db").is_file()


def test_a_folder_in_use_is_not_restored_into(archive: Path, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "used")
    with pytest.raises(BackupError, match="another server uses this folder"):
        restore(archive, tmp_path / "used", silent)
    folder.release()
    restore(archive, tmp_path / "used", silent)


def test_a_restore_that_was_cut_short_is_no_data_folder(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "cut"
    moved: list[Path] = []

    def stop(path: Path, to: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(to)
        path.replace(to)
        return to

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            restore(archive, target, silent)
    assert not target.exists()
    (target / RESTORING).mkdir(parents=True)  # as a kill leaves it
    with pytest.raises(SettingsError, match="cut short; empty it and restore"):
        DataFolder(target)
    with pytest.raises(BackupError, match=r"holds \.restoring"):
        restore(archive, target, silent)


def test_damage_is_noticed_or_harmless(archive: Path, tmp_path: Path, rng: random.Random) -> None:
    whole, work = archive.read_bytes(), tmp_path / "whole"
    work.mkdir()
    read_archive(archive, work, lambda done, total: None)
    expected, refused = contents(work), 0
    for number in range(DAMAGES):
        damaged = bytearray(whole)
        if number % 3:
            at = rng.randrange(len(damaged))
            damaged[at] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(len(damaged)) :]
        (tmp_path / "damaged").write_bytes(damaged)
        shutil.rmtree(work)
        work.mkdir()
        try:
            read_archive(tmp_path / "damaged", work, lambda done, total: None)
        except ArchiveError:
            refused += 1
        else:
            assert contents(work) == expected
    assert refused > DAMAGES * 0.9


def members(archive: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as tar:
        return [(entry, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]


def rewritten(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for entry, body in entries:
            entry.size = len(body)
            tar.addfile(entry, BytesIO(body))
    return path


def _changes(archive: Path) -> Iterator[tuple[str, list[tuple[tarfile.TarInfo, bytes]]]]:
    whole = members(archive)
    for name in ("../evil", "/etc/evil", "sub/evil", ".."):
        yield "is no file name", [(tarfile.TarInfo(name), b"x"), *whole]
    link = tarfile.TarInfo("pepper2")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    yield "is no plain file", [(link, b""), *whole]
    yield "holds 'journal.db' twice", [whole[0], *whole]
    yield "differ from its manifest", [(tarfile.TarInfo("more"), b"x"), *whole]
    yield "pepper differ from its manifest", [e for e in whole if e[0].name != "pepper"]
    yield "manifest is missing", whole[:-1]
    yield "manifest cannot be read", [*whole[:-1], (whole[-1][0], b"[]")]
    newer = whole[-1][1].replace(b'"format": 1', b'"format": 2')
    yield "the server that wrote it", [*whole[:-1], (whole[-1][0], newer)]


def test_an_archive_that_was_made_up_is_refused_whole(archive: Path, tmp_path: Path) -> None:
    for why, entries in _changes(archive):
        made_up = rewritten(tmp_path / "made-up.tar.gz", entries)
        with pytest.raises(BackupError, match=why):
            restore(made_up, tmp_path / "target", silent)
        assert not (tmp_path / "target").exists()
    assert not (tmp_path.parent / "evil").exists()


def test_a_journal_that_was_damaged_before_is_not_sealed_by_a_new_chain(
    data: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(data / "journal.db")) as db, db:
        db.execute("UPDATE events SET time_ms = time_ms + 1 WHERE seq = 3")
    archive = back_up(data, tmp_path, "1.0", silent).path
    with pytest.raises(BackupError, match="was damaged before it was backed up"):
        restore(archive, tmp_path / "target", silent)


def test_a_journal_of_a_newer_server_is_left_to_that_server(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "journal.db")) as db, db:
        db.execute("PRAGMA user_version = 99")
    archive = back_up(data, tmp_path, "9.0", silent).path
    with pytest.raises(BackupError, match=r"version 99.* start the newer server"):
        restore(archive, tmp_path / "target", silent)
    assert not (tmp_path / "target").exists()


def test_backups_go_to_new_files_outside_the_data_folder(data: Path, tmp_path: Path) -> None:
    for target, why in (
        (data, "keep backups elsewhere"),
        (data / "b.tar.gz", "keep backups elsewhere"),
        (tmp_path / "no" / "b.tar.gz", "no such folder"),
    ):
        with pytest.raises(BackupError, match=why):
            back_up(data, target, "1.0", silent)
    (tmp_path / "b.tar.gz").write_bytes(b"kept")
    with pytest.raises(BackupError, match="exists"):
        back_up(data, tmp_path / "b.tar.gz", "1.0", silent)
    assert (tmp_path / "b.tar.gz").read_bytes() == b"kept"
    with pytest.raises(BackupError, match=r"no journal\.db; name the data folder"):
        back_up(tmp_path, tmp_path / "c.tar.gz", "1.0", silent)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "b.tar.gz"}


def test_a_key_that_is_changed_meanwhile_goes_with_the_app_db_that_needs_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = 0

    def copy_slowly(source: Path, target: Path, told: object) -> None:
        nonlocal changes
        if source.name == "app.db" and changes < 3:
            changes += 1
            (data / "kek.1").write_bytes(b"key %d" % changes)
        copy_database(source, target, lambda done, total: None)

    monkeypatch.setattr(backup_module, "copy_database", copy_slowly)
    archive = back_up(data, tmp_path / "a.tar.gz", "1.0", silent).path
    assert {e.name: body for e, body in members(archive)}["kek.1"] == b"key 3"
    monkeypatch.setattr(backup_module, "_TRIES", 2)
    changes = 0
    with pytest.raises(BackupError, match="change all the time"):
        back_up(data, tmp_path / "b.tar.gz", "1.0", silent)
