"""Key-encryption keys in files beside the data: the provider that needs nothing set up."""

import fcntl
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fxsocket_server.security.vault import (
    KEY_BYTES,
    LocalKey,
    RandomBytes,
    VaultError,
    fingerprint,
)
from fxsocket_server.storage.folders import sync_folder

_NAME = re.compile(r"kek([0-9]{1,9})_[0-9a-f]{12}")
_DRAFT = ".kek-draft"


class KeyFiles:
    """A file (0600) per key in the data folder; that with the highest number is the key of now.

    To put a key there is to make it the one of now: there is no moment between the two.
    """

    def __init__(self, folder: Path, random_bytes: RandomBytes) -> None:
        self._folder = folder
        self._random_bytes = random_bytes

    def check(self) -> None:
        """Raise VaultError unless every key that is here is whole and its owner's alone."""
        for path in self._paths():
            _read(path)

    # --- KeyProvider -------------------------------------------------------------------------

    def current(self) -> str:
        """The id of the newest key; the first one is made when there is none."""
        return self._newest().id

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """Wrap with the newest key."""
        newest = self._newest()
        return newest.id, newest.wrap(data_key, context, self._random_bytes)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap with the key of this id; VaultError when it is not here."""
        path = self._folder / key_id
        if _NAME.fullmatch(path.name) is None or not path.is_file():
            raise VaultError(
                f"key {key_id} is not in {self._folder}; bring it back from a backup of the folder"
            )
        return _read(path).unwrap(wrapped, context)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the keys as they are meanwhile, in all processes."""
        self._newest()  # a first one is made before: no two locks are held
        with self._locked(fcntl.LOCK_SH):
            yield

    # --- RotatingKeys ------------------------------------------------------------------------

    @property
    def is_rotating(self) -> bool:
        """Whether an older key is still kept."""
        return len(self._paths()) > 1

    def begin(self) -> None:
        """Make a new key."""
        self._newest()
        with self._locked(fcntl.LOCK_EX):
            self._make(_number(self._paths()[-1]) + 1)

    def retire(self) -> None:
        """Delete every key but the newest."""
        with self._locked(fcntl.LOCK_EX):
            for path in self._paths()[:-1]:
                path.unlink()
            sync_folder(self._folder)

    # --- files -------------------------------------------------------------------------------

    def _newest(self) -> LocalKey:
        if not self._paths():
            with self._locked(fcntl.LOCK_EX):
                if not self._paths():
                    self._make(1)
        return _read(self._paths()[-1])

    def _paths(self) -> list[Path]:
        """The key files, oldest first."""
        found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=_number)

    def _make(self, number: int) -> None:
        """Write a key whole, then let it appear under its name."""
        key = self._random_bytes(KEY_BYTES)
        draft = self._folder / _DRAFT
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._folder / f"kek{number}_{fingerprint(key)}")
        sync_folder(self._folder)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, how)
            yield
        finally:
            os.close(folder)


def _number(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def _read(path: Path) -> LocalKey:
    if path.stat().st_mode & 0o077:
        raise VaultError(f"{path} is readable by others; run: chmod 600 {path}")
    key = key_of(path.read_text(), str(path))
    if not path.name.endswith(fingerprint(key)):
        raise VaultError(f"{path} is damaged; restore it from a backup")
    return LocalKey(path.name, key)


def key_of(text: str, source: str) -> bytes:
    """The key in a text; VaultError names where it came from, never what it is."""
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise VaultError(
            f"{source} must be {KEY_BYTES} random bytes in base64; make one with: "
            f"openssl rand -base64 {KEY_BYTES}"
        )
    return key
