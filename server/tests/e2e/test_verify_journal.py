"""`fxsocket-server verify-journal`, beside a server that runs and on what it left behind."""

import json
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from fxsocket_server.testkit.process import ServerProcess


def verify(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fxsocket_server", "verify-journal", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def place(server: ServerProcess) -> None:
    request = urllib.request.Request(
        server.addresses.rest + "/orders",
        data=b'{"symbol":"EURUSD","type":"BUY","volume":0.1}',
        headers={"Authorization": "Bearer test-key", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a server that traded and was killed."""
    with ServerProcess(tmp_path / "data") as server:
        place(server)
    return tmp_path / "data"


def test_a_running_server_is_verified(server: ServerProcess) -> None:
    place(server)
    done = verify("--data", str(server.data))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 positions" in done.stdout
    assert done.stdout.endswith("intact\n")


def test_damage_is_named_and_exits_1(data: Path) -> None:
    assert verify("--data", str(data)).returncode == 0
    with closing(sqlite3.connect(data / "journal.db")) as db, db:
        db.execute("UPDATE events SET time_ms = time_ms + 1 WHERE seq = 3")
        [(account_id,)] = db.execute("SELECT account_id FROM accounts")
    done = verify("--data", str(data))
    assert done.returncode == 1
    assert f"damaged {account_id} event 3 chain: " in done.stdout
    done = verify("--data", str(data), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["intact"]) == (1, False)
    [finding] = report["findings"]
    assert (finding["account_id"], finding["seq"]) == (account_id, 3)
    assert [account["account_id"] for account in report["accounts"]] == [account_id]


def test_a_copy_of_the_file_is_enough(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with (
        closing(sqlite3.connect(data / "journal.db")) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    assert verify("--data", str(copy)).returncode == 0


def test_what_cannot_be_read_exits_2(tmp_path: Path) -> None:
    done = verify("--data", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path / 'journal.db'}: no such file" in done.stderr.replace("\n", "")
