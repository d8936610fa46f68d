"""Looks for secrets where none may be: in logs, journals, databases, answers, backups.

API keys and connector tokens are told by their checksums, passwords of tests by the word that they
begin with, peppers and key-encryption keys by their bytes, in plain, hex and base64.
"""

import re
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from fxsocket_server.core.ids import base62

CANARY = "canary-password-"
# Files that are there to hold secrets, and published examples of the bridge's handshake.
_KEPT = re.compile(r"pepper|kek.*|\.kek-draft|password.*|.*\.pem|handshake\.json")
_PASSING = {"journal.reserve", "lock"}
_CHECKED = (rb"fxs_(?:test|live)_[0-9A-Za-z]{38}", rb"fxc_[0-9A-Za-z]{54}")
_CHECK_CHARS = 6


def leaks_in(data: bytes) -> list[str]:
    """The kinds of secrets in some bytes, each once; never the secrets themselves."""
    found = {kind for kind, text in _spellings(CANARY.encode()) if text in data}
    for pattern in _CHECKED:
        for match in re.finditer(pattern, data):
            if _has_checksum(match[0]):
                found.add(match[0][:9].decode() + "...")
    return sorted(found)


def _has_checksum(text: bytes) -> bool:
    body, checksum = text[:-_CHECK_CHARS], text[-_CHECK_CHARS:].decode()
    return base62(zlib.crc32(body)).rjust(_CHECK_CHARS, "0") == checksum


def _spellings(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """A secret as it may be written: as it is, in hex, in base64 at each of three places."""
    yield "as it is", secret
    yield "hex", secret.hex().encode()
    for shift in range(3):
        whole = b64encode(b"\0" * shift + secret)
        # The first and last characters depend on what stands around the secret.
        yield "base64", whole[(8 * shift + 5) // 6 : 4 * ((shift + len(secret)) // 3)]


def leaks_under(folder: Path) -> list[str]:
    """Every file under a folder that holds a secret and should not, with the kind of it."""
    return [leak for path in sorted(folder.rglob("*")) if path.is_file() for leak in _of(path)]


def _of(path: Path) -> Iterator[str]:
    if path.name in _PASSING or _KEPT.fullmatch(path.name):
        return
    if path.name.endswith(".tar.gz"):
        for name, content in _members(path):
            yield from (f"{path}:{name}: {kind}" for kind in leaks_in(content))
        return
    content = path.read_bytes()
    yield from (f"{path}: {kind}" for kind in leaks_in(content))
    for kept in _kept_beside(path):
        for kind, text in _spellings(kept.read_bytes().strip()):
            if text in content:
                yield f"{path}: {kept.name} {kind}"


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None and not _KEPT.fullmatch(member.name):
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError):  # a test has damaged it
        return


def _kept_beside(path: Path) -> Iterator[Path]:
    """Pepper and keys of the data folder that a file lies in, or that it is the log of."""
    for folder in (path.parent, path.with_suffix("")):
        if (folder / "pepper").is_file():
            yield from (p for p in folder.iterdir() if p.name == "pepper" or p.name[:3] == "kek")
