"""A real disk that fills under a real server: a tmpfs that only its process sees."""

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.storage.journal.audit import audit
from fxsocket_server.testkit.process import ServerProcess

DISK_BYTES = 32 * 1024 * 1024
MOUNT = f'mount -t tmpfs -o size={DISK_BYTES} disk "$0" && exec "$@"'
TRIES = 5_000  # requests until the disk must have filled, or be free again


def own_mounts() -> tuple[str, ...]:
    """A command with mounts of its own; needs root, or a kernel that lets users have namespaces."""
    for command in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        try:
            done = subprocess.run([*command, "mount", "-t", "tmpfs", "disk", "/mnt"], check=False)
        except OSError:
            break
        if done.returncode == 0:
            return command
    pytest.skip("needs mount namespaces: run as root, or allow user namespaces")


class Disk:
    """The server's own disk, as seen from outside."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.path = Path(f"/proc/{server.pid}/root") / folder.relative_to("/")
        self._filler = self.path / "filler"

    def fill(self) -> None:
        """Take every byte that is left."""
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT)
        try:
            while True:  # until the disk is full
                os.write(descriptor, bytes(4096))
        except OSError:
            pass
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Give it back."""
        self._filler.unlink()

    def copy(self, server: ServerProcess, folder: Path) -> Path:
        """The journal as it stands now, while its server does nothing."""
        os.kill(server.pid, signal.SIGSTOP)
        for name in ("journal.db", "journal.db-wal"):
            shutil.copyfile(self.path / "data" / name, folder / name)
        os.kill(server.pid, signal.SIGCONT)
        return folder / "journal.db"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose data folder lies on a small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    prefix = (*own_mounts(), "sh", "-c", MOUNT, str(folder))
    environment = {"FXSOCKET_JOURNAL_RESERVE_MB": "8"}
    with ServerProcess(folder / "data", prefix=prefix, environment=environment) as running:
        yield running


def call(server: ServerProcess, method: str, path: str, body: object = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        server.addresses.rest + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer test-key", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def order(server: ServerProcess) -> tuple[int, Any]:
    return call(server, "POST", "/orders", {"symbol": "EURUSD", "type": "BUY", "volume": 0.01})


def until(server: ServerProcess, wanted: int) -> tuple[list[str], Any]:
    """Open until the answer is the wanted one; the positions that were opened, and that answer."""
    opened = []
    for _ in range(TRIES):
        status, answer = order(server)
        if status == 200:
            opened.append(answer["position_id"])
        if status == wanted:
            return opened, answer
    raise AssertionError(f"no {wanted} in {TRIES} orders")


def test_a_disk_that_fills_costs_nothing_that_was_answered(
    server: ServerProcess, tmp_path: Path
) -> None:
    status, first = order(server)
    assert status == 200
    disk = Disk(server, tmp_path / "disk")
    disk.fill()
    opened, refusal = until(server, 503)
    assert refusal["code"] == "journal_full"
    opened.insert(0, first["position_id"])
    status, positions = call(server, "GET", "/positions")
    assert status == 200
    assert {position["id"] for position in positions} == set(opened)
    for position_id in opened[:50]:
        status, _ = call(server, "DELETE", f"/positions/{position_id}")
        assert status == 200
    assert order(server)[0] == 503
    disk.clear()
    again, _ = until(server, 200)
    assert len(again) == 1
    status, positions = call(server, "GET", "/positions")
    assert {position["id"] for position in positions} == {*opened[50:], *again}
    journal = disk.copy(server, tmp_path)
    assert audit(journal, lambda done, total: None).findings == []
    log = server.log_path.read_text()
    assert log.count("closed, not opened") == 1
    assert log.count("takes everything again") == 1
