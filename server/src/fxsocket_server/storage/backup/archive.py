"""One archive of many files: a gzipped tar whose last member is a manifest with their digests."""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, cast

import msgspec
from msgspec import Struct

from fxsocket_server.storage.folders import sync_folder

Told = Callable[[int, int], None]  # bytes done, bytes in all

FORMAT = 1
MANIFEST = "manifest.json"
_CHUNK_BYTES = 1024 * 1024
_COMPRESSION = 1  # halves a journal already; 9 takes ten times as long for a little more


class ArchiveError(Exception):
    """The archive cannot be read, or is not what was written; the text says why."""


class Member(Struct, frozen=True):
    """One file of an archive."""

    name: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What an archive holds; `format` says how."""

    format: int = FORMAT
    created_at: str
    server_version: str
    files: tuple[Member, ...] = ()


def write_archive(archive: Path, files: dict[str, Path], about: Manifest, told: Told) -> Manifest:
    """Write a new archive that only its owner can read; its manifest is returned.

    It is there under its name once it is whole and with the disk. Raises FileExistsError.
    """
    partial = archive.with_name(f".{archive.name}.partial")
    total = sum(path.stat().st_size for path in files.values())
    try:
        with _create(partial) as raw:
            manifest = _fill(raw, files, about, lambda done: told(done, total))
            raw.flush()
            os.fsync(raw.fileno())
        os.link(partial, archive)  # where a rename would replace what has come there meanwhile
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(archive.parent)
    return manifest


def _fill(
    raw: IO[bytes], files: dict[str, Path], about: Manifest, told: Callable[[int], None]
) -> Manifest:
    done, members = 0, []
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=_COMPRESSION) as tar:
        for name, path in files.items():
            with path.open("rb") as source:
                entry = _entry(name, path.stat().st_size)
                tee = _Tee(source, lambda read, done=done: told(done + read))  # type: ignore[misc]
                tar.addfile(entry, cast("IO[bytes]", tee))
            members.append(Member(name, entry.size, tee.hexdigest()))
            done += entry.size
        manifest = msgspec.structs.replace(about, files=tuple(members))
        body = msgspec.json.format(msgspec.json.encode(manifest))
        tar.addfile(_entry(MANIFEST, len(body)), BytesIO(body))
    return manifest


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


class _Tee:
    """A file that is hashed and counted while it is read."""

    def __init__(self, source: IO[bytes], told: Callable[[int], None]) -> None:
        self._source = source
        self._told = told
        self._digest = hashlib.sha256()
        self._done = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        chunk = self._source.read(size)
        self._digest.update(chunk)
        self._done += len(chunk)
        self._told(self._done)
        return chunk

    def hexdigest(self) -> str:
        """The SHA-256 of what was read."""
        return self._digest.hexdigest()


def read_archive(archive: Path, folder: Path, told: Told) -> Manifest:
    """Unpack an archive into an empty folder and compare every file with its manifest.

    Raises ArchiveError where anything is missing, added or changed.
    """
    try:
        return _unpack(archive, folder, told)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ArchiveError(f"damaged or cut short ({error})") from None


def _unpack(archive: Path, folder: Path, told: Told) -> Manifest:
    found, body, total = [], None, archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as tar:
        for entry in tar:
            source = tar.extractfile(entry) if entry.isfile() else None
            if source is None:
                raise ArchiveError(f"{entry.name[:200]!r} is no plain file")
            if entry.name == MANIFEST:
                body = source.read()
            else:
                found.append(_extract(source, entry.name, folder))
            told(raw.tell(), total)
    if body is None:
        raise ArchiveError("cut short: its manifest is missing")
    return _compared(body, found)


def _extract(source: IO[bytes], name: str, folder: Path) -> Member:
    parts = PurePosixPath(name).parts
    if len(parts) != 1 or parts[0] in ("..", "/"):
        raise ArchiveError(f"{name[:200]!r} is no file name")
    digest, size = hashlib.sha256(), 0
    try:
        with _create(folder / name) as target:
            while chunk := source.read(_CHUNK_BYTES):
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            target.flush()
            os.fsync(target.fileno())
    except FileExistsError:
        raise ArchiveError(f"holds {name!r} twice") from None
    return Member(name, size, digest.hexdigest())


def _compared(body: bytes, found: list[Member]) -> Manifest:
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"its manifest cannot be read ({error})") from None
    if manifest.format > FORMAT:
        newer = f"has format {manifest.format}, this server knows {FORMAT}"
        raise ArchiveError(f"{newer}: restore it with the server that wrote it")
    if changed := sorted({m.name for m in set(found) ^ set(manifest.files)}):
        raise ArchiveError(f"damaged: {', '.join(changed)} differ from its manifest")
    return manifest


def _create(path: Path) -> IO[bytes]:
    """A new file of its owner's own; raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb")
