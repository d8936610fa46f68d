"""Backups that are taken while bots trade, restored, verified, and served again."""

import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from fxsocket_server.storage.journal.audit import audit
from fxsocket_server.testkit.process import ServerProcess

from ..crash.bots import Bot, Field
from ..unit.journal_logs import log_of, state_of

BACKUPS = 3
SOAK_BACKUPS = 50
BEARER = {"Authorization": "Bearer test-key"}
OF_ONE_RUN = {"lock", "journal.reserve", "journal.db-wal", "journal.db-shm"}


def command(*arguments: str) -> Any:
    """What a command of ours prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "fxsocket_server", *arguments, "--json"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def back_up(server: ServerProcess, archive: Path) -> Any:
    return command("backup", str(archive), "--data", str(server.data))


def restore(archive: Path, data: Path) -> Any:
    return command("restore", str(archive), "--data", str(data))


def take_backups(folder: Path, rng: random.Random, count: int) -> list[Path]:
    """Archives of a server's folder, each taken while bots trade."""
    field, archives = Field(), []
    with ServerProcess(folder / "data", "--balance", "100000000", "--seed", "1") as server:
        field.up(server.addresses.rest)
        bots = [Bot(f"bot{n}", field, random.Random(rng.random()), keyed=n < 2) for n in range(3)]
        for bot in bots:
            bot.start()
        for number in range(count):
            field.wait_for_sent(field.sent + rng.randint(5, 40))
            archives.append(folder / f"{number}.tar.gz")
            files = set(back_up(server, archives[-1])["files"])
            lasting = {path.name for path in server.data.iterdir()} - OF_ONE_RUN
            assert files == lasting
        field.wait_for_sent(field.sent + 5)
        field.stopping = True
        for bot in bots:
            bot.join(60)
            assert bot.failure is None, bot.failure
        assert server.stop() == 0
    return archives


def epoch(journal: Path) -> str:
    with closing(sqlite3.connect(journal)) as db:
        [(found,)] = db.execute("SELECT epoch FROM accounts")
    return str(found)


def check_all(folder: Path, archives: list[Path]) -> int:
    """Each backup is a prefix of the log that was written in the end; how long the last one is."""
    whole, heads = log_of(folder / "data" / "journal.db"), [0]
    for archive in archives:
        journal = folder / archive.name.removesuffix(".tar.gz") / "journal.db"
        told = restore(archive, journal.parent)
        log = log_of(journal)
        assert log == whole[: len(log)]
        assert list(told["events"].values()) == [len(log)]
        assert audit(journal, lambda done, total: None).is_intact
        assert epoch(journal) != epoch(folder / "data" / "journal.db")
        assert state_of(journal)
        heads.append(len(log))
    assert heads == sorted(set(heads)), "bots did not trade between the backups"
    assert heads[-1] < len(whole)
    return heads[-1]


def test_backups_under_load_are_prefixes_of_the_log(tmp_path: Path, rng: random.Random) -> None:
    check_all(tmp_path, take_backups(tmp_path, rng, BACKUPS))


@pytest.mark.soak
def test_many_backups_under_load_are_prefixes_of_the_log(
    tmp_path: Path, rng: random.Random
) -> None:
    head = check_all(tmp_path, take_backups(tmp_path, rng, SOAK_BACKUPS))
    print(f"{SOAK_BACKUPS} backups restored, the last one of {head} events")


def place(server: ServerProcess, key: str) -> requests.Response:
    answer = requests.post(
        server.addresses.rest + "/orders",
        json={"symbol": "EURUSD", "type": "BUY", "volume": 0.01},
        headers={**BEARER, "Idempotency-Key": key},
        timeout=30,
    )
    assert answer.status_code == 200
    return answer


def events(server: ServerProcess) -> Any:
    return requests.get(server.addresses.rest + "/events", headers=BEARER, timeout=30).json()


def resumed(server: ServerProcess, after: int, epoch: str | None) -> Any:
    """What a resume is answered first."""
    with connect(server.addresses.stream, additional_headers=BEARER) as stream:
        asked = {"action": "resume", "id": "r", "after": after}
        stream.send(json.dumps(asked if epoch is None else {**asked, "epoch": epoch}))
        return json.loads(stream.recv(timeout=30))


def test_a_client_that_resumes_after_a_restore_is_told_reset(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--seed", "1") as server:
        kept = place(server, "before the backup").json()
        back_up(server, tmp_path / "a.tar.gz")
        at_backup = events(server)
        place(server, "after the backup")
        seen = events(server)
    restore(tmp_path / "a.tar.gz", tmp_path / "restored")
    with ServerProcess(tmp_path / "restored", command="serve") as server:
        now = events(server)
        assert now["epoch"] != seen["epoch"]
        assert now["data"][: at_backup["head"]] == at_backup["data"]
        for after in (seen["head"], at_backup["head"], 1):
            answer = resumed(server, after, seen["epoch"])
            assert (answer["type"], answer["epoch"]) == ("reset", now["epoch"])
        assert resumed(server, seen["head"] + 100, None)["type"] == "reset"
        again = place(server, "before the backup")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == kept
        place(server, "life goes on")
