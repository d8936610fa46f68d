"""The search for secrets finds them however they are written, and nothing else."""

import os
import shutil
import tarfile
from base64 import b64encode
from pathlib import Path

import pytest

from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.security.connector_tokens import mint_key, token_of
from fxsocket_server.security.key_format import mint_secret
from fxsocket_server.testkit.leaks import CANARY, leaks_in, leaks_under

PASSWORD = (CANARY + "7f3a").encode()


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD,
        PASSWORD.hex().encode(),
        b64encode(PASSWORD),
        b64encode(b"x" + PASSWORD + b"y"),
        b64encode(b"user:" + PASSWORD),
        mint_secret(os.urandom).encode(),
        mint_secret(os.urandom, "live").encode(),
        token_of(b"p" * 32, mint_key(os.urandom)).text.encode(),
    ],
    ids=range(8),
)
def test_a_secret_is_found(written: bytes) -> None:
    assert leaks_in(b"line before\n... " + written + b" ...\n") != []


def test_what_is_no_secret_is_not_found() -> None:
    key = mint_secret(os.urandom)
    for text in (key[:-1], key[:-1] + "_", key[:12] + "***", "fxs_test_wrong", "canary", "fxc_..."):
        assert leaks_in(text.encode()) == []
    typed = key[:20] + ("a" if key[20] != "a" else "b") + key[21:]
    assert leaks_in(typed.encode()) == []


def test_a_folder_is_searched_with_its_archives_and_logs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pepper = os.urandom(32)
    (data / "pepper").write_bytes(pepper)
    (data / "kek1_0123456789ab").write_bytes(b64encode(pepper[::-1]))
    (data / "app.db").write_bytes(b"nothing")
    with tarfile.open(tmp_path / "backup.tar.gz", "w:gz") as tar:
        tar.add(data / "pepper", "pepper")
    assert leaks_under(tmp_path) == []
    (data / "app.db").write_bytes(b"x" + pepper)
    (tmp_path / "data.log").write_text(b64encode(pepper[::-1]).decode())
    (tmp_path / "answer").write_bytes(PASSWORD)
    with tarfile.open(tmp_path / "backup.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "answer", "app.db")
    found = {leak.partition(": ")[0].rpartition("/")[2] for leak in leaks_under(tmp_path)}
    assert found == {"answer", "backup.tar.gz:app.db", "data.log", "app.db"}
    shutil.rmtree(tmp_path)  # the search at the end of the run would find them, too


def test_a_problem_repeats_no_key(tmp_path: Path) -> None:
    key, token = mint_secret(os.urandom), token_of(b"p" * 32, mint_key(os.urandom)).text
    problem = Problem(
        "not_found", f"no account {key!r}, {token}", errors=(FieldError("/" + key, token),)
    )
    assert problem.detail == "no account 'fxs_***', fxc_***"
    assert leaks_in(f"{problem!r} {problem.errors}".encode()) == []
