"""The data folder: one server at a time, a pepper for its owner's eyes only."""

from pathlib import Path

import pytest

from fxsocket_server.bootstrap.data_folder import DataFolder
from fxsocket_server.settings import SettingsError


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "b")
    assert folder.journal_path == tmp_path / "a" / "b" / "journal.db"
    assert folder.app_url == f"sqlite:///{tmp_path}/a/b/app.db"
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.release()


def test_only_one_server_uses_a_folder(tmp_path: Path) -> None:
    first = DataFolder(tmp_path)
    with pytest.raises(SettingsError, match="another server uses this folder"):
        DataFolder(tmp_path)
    first.release()
    DataFolder(tmp_path).release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"--data .*file"):
        DataFolder(tmp_path / "file")


def test_the_pepper_is_made_once(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    pepper = folder.pepper()
    assert len(pepper) == 32
    assert (tmp_path / "pepper").stat().st_mode & 0o777 == 0o600
    folder.release()
    again = DataFolder(tmp_path)
    assert again.pepper() == pepper
    again.release()


def test_peppers_differ(tmp_path: Path) -> None:
    folders = [DataFolder(tmp_path / name) for name in ("a", "b")]
    assert folders[0].pepper() != folders[1].pepper()
    for folder in folders:
        folder.release()


def test_a_pepper_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.pepper()
    (tmp_path / "pepper").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        folder.pepper()
    folder.release()


def test_a_damaged_pepper_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.pepper()
    (tmp_path / "pepper").write_bytes(b"short")
    with pytest.raises(SettingsError, match="restore it from a backup"):
        folder.pepper()
    folder.release()
