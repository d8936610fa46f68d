"""`fxsocket-server keys` beside a running server, and how soon the server takes it over."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 30


def keys(data: Path, *words: str) -> tuple[int, str]:
    """Run `keys`; its exit code and all that it says, on one line."""
    return fxsocket(data, "keys", *words)


def fxsocket(data: Path, *words: str) -> tuple[int, str]:
    """The same of any command."""
    done = subprocess.run(
        [sys.executable, "-m", "fxsocket_server", *words, "--data", str(data)],
        capture_output=True, text=True, timeout=WATCHDOG_S, check=False,
        env={"COLUMNS": "400", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def status(server: ServerProcess, secret: str) -> int:
    """What the account is answered under a key."""
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"{server.addresses.rest}/account"
    return httpx2.get(url, headers=headers, timeout=WATCHDOG_S).status_code


def close_code(stream: ClientConnection) -> int | None:
    """Read on until the server closes."""
    try:
        while True:  # bounded by the test's watchdog
            stream.recv(WATCHDOG_S)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


@pytest.mark.parametrize("options", [(), ("--stream-process",)], ids=["whole", "apart"])
def test_keys_of_the_command_line_work_in_a_running_server(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    with ServerProcess(data, *options) as server:
        account = str(server.addresses.account_id)
        code, said = keys(
            data, "create", "--name", "bot", "--scope", "full", "--account", account,
            "--ip", "127.0.0.0/8", "--limit", "max_open_volume=2", "--json",
        )  # fmt: skip
        assert code == 0, said
        made = json.loads(said)
        assert made["limits"]["max_open_volume"] == 2
        while status(server, made["secret"]) != 200:
            continue  # bounded by the second that the server may take, and the test's watchdog
        headers = {"Authorization": f"Bearer {made['secret']}"}
        with connect(server.addresses.stream, additional_headers=headers) as stream:
            assert keys(data, "revoke", made["id"]) == (0, f"{made['id']} (bot) is revoked.")
            assert close_code(stream) == 4501
        assert status(server, made["secret"]) == 401
        assert made["id"] not in keys(data, "list")[1]
        trail = httpx2.get(
            f"{server.addresses.rest}/audit", headers={"Authorization": "Bearer test-key"},
            timeout=WATCHDOG_S,
        ).json()["data"]  # fmt: skip
        assert [(row["action"], row["key_id"]) for row in trail[:2]] == [
            ("key.revoked", None), ("key.created", None),
        ]  # fmt: skip
        assert fxsocket(data, "verify-audit") == (0, "2 entries, intact")
    with sqlite3.connect(data / "app.db") as store:
        store.execute("DROP TRIGGER audit_no_delete")
        store.execute("DELETE FROM audit WHERE seq = 1")
    code, said = fxsocket(data, "verify-audit")
    assert (code, said) == (1, "damaged: usr_local: 2 follows 0 1 entries, not intact")


def test_a_rotation_of_the_command_line_overlaps(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        made = json.loads(keys(data, "create", "--name", "bot", "--json")[1])
        code, said = keys(data, "rotate", made["id"], "--overlap-s", "3600", "--json")
        assert code == 0, said
        rotated = json.loads(said)
        while status(server, rotated["secret"]) != 200:
            continue  # as above
        assert status(server, made["secret"]) == 200
        server.stop()
        server.start()
        assert status(server, rotated["secret"]) == status(server, made["secret"]) == 200
        listed = json.loads(keys(data, "list", "--json")[1])
        [row] = [row for row in listed if row["id"] == made["id"]]
        assert row["last_used_at"] is not None  # written down when the server stopped
        assert "secret" not in row


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("create", "--name", ""), "name must be 1 to 64"),
        (("create", "--name", "x", "--ip", "10.0.0.1/8"), "write 10.0.0.0/8"),
        (("create", "--name", "x", "--limit", "lots=1"), "unknown field"),
        (("create", "--name", "x", "--account", "acc_none"), "no account 'acc_none'"),
        (("revoke", "key_none"), "no key 'key_none'"),
        (("rotate", "key_none"), "no key 'key_none'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_fix(
    tmp_path_factory: pytest.TempPathFactory, words: tuple[str, ...], fix: str
) -> None:
    data = tmp_path_factory.getbasetemp() / "keys-data"
    if not data.exists():
        with ServerProcess(data):
            pass
    code, said = keys(data, *words)
    assert code == 2
    assert fix in said


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    code, said = keys(tmp_path / "nothing", "list")
    assert code == 2
    assert "start a server on it first" in said
