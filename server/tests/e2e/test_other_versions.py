"""Data of earlier versions is served by this one; of a later one it is refused, and says why.

Old files are made by the product's own migrations, stopped at each version that there was, from
what a server of today has written: rows keep the columns that the old tables had.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from fxsocket_server.storage.app import store as app_store
from fxsocket_server.storage.journal import schema
from fxsocket_server.storage.terminal_ledger import LedgerError, TerminalLedger
from fxsocket_server.testkit.process import ServerProcess

KEY = "test-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
WATCHDOG_S = 60
MIGRATIONS = Path(app_store.__file__).parent / "migrations"


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


REVISIONS = sorted(s.revision for s in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def read(server: ServerProcess, path: str) -> Any:
    answer = requests.get(server.addresses.rest + path, headers=HEADERS, timeout=WATCHDOG_S)
    answer.raise_for_status()
    return answer.json()


def buy(server: ServerProcess, key: str) -> Any:
    answer = requests.post(
        server.addresses.rest + "/orders",
        headers={**HEADERS, "Idempotency-Key": key},
        json={"symbol": "EURUSD", "type": "BUY", "volume": 0.1},
        timeout=WATCHDOG_S,
    )
    answer.raise_for_status()
    return answer.json()


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server of today that has traded."""
    data = tmp_path_factory.mktemp("today") / "data"
    with ServerProcess(data) as server:
        buy(server, "first")
        server.stop()
    return data


def copied(today: Path, old: sqlite3.Connection) -> None:
    """Fill old tables with what they have in common with those of today."""
    old.execute("ATTACH ? AS today", (str(today),))
    for (table,) in old.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'"):
        kept = [c for c in columns(old, "main", table) if c in columns(old, "today", table)]
        if kept and table != "alembic_version":
            names = ", ".join(kept)
            old.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM today.{table}")
    old.commit()


def columns(db: sqlite3.Connection, database: str, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA {database}.table_info({table})")]


def journal_of(version: int, today: Path, path: Path) -> None:
    with closing(schema.connect(path)) as old:
        for number in range(1, version + 1):
            getattr(schema, f"_to_version_{number}")(old, schema.silent)
        old.execute(f"PRAGMA user_version = {version}")
        copied(today, old)


def store_of(revision: str, today: Path, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with closing(sqlite3.connect(path)) as old:
        copied(today, old)


def folder_like(today: Path, folder: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
    """A copy of a data folder with one of its databases made anew."""
    data = folder / "data"
    shutil.copytree(today, data)
    for file in data.glob(f"{name}*"):
        file.unlink()
    make(today / name, data / name)
    return data


OLD = [
    *((f"journal {n}", "journal.db", n, journal_of) for n in range(1, schema.VERSION + 1)),
    *((f"app {r}", "app.db", r, store_of) for r in REVISIONS),
]


@pytest.mark.parametrize(
    ("name", "version", "make"), [row[1:] for row in OLD], ids=[row[0] for row in OLD]
)
def test_data_of_every_earlier_version_is_served(
    today: Path, tmp_path: Path, name: str, version: Any, make: Any
) -> None:
    before = ServerProcess(shutil.copytree(today, tmp_path / "before"))
    with before.ending():
        before.start()
        known = [read(before, path) for path in ("/positions", "/orders", "/history/deals")]
    data = folder_like(today, tmp_path, name, lambda new, old: make(version, new, old))
    with ServerProcess(data) as server:
        head = read(server, "/events?after=0")["head"]
        assert known == [read(server, path) for path in ("/positions", "/orders", "/history/deals")]
        assert buy(server, "first") == known[1]["data"][0], "its key is known"
        assert buy(server, "second")["status"] == "FILLED"
        assert read(server, "/events?after=0")["head"] > head


def numbered(statement: str) -> Callable[[Path, Path], None]:
    """A file of today that says it is of a later version."""

    def make(new: Path, path: Path) -> None:
        with closing(sqlite3.connect(new)) as db, closing(sqlite3.connect(path)) as later:
            db.backup(later)
            later.execute(statement)
            later.commit()

    return make


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("journal.db", "PRAGMA user_version = 99"),
        ("app.db", "UPDATE alembic_version SET version_num = '9999'"),
    ],
)
def test_data_of_a_later_version_is_refused_with_what_to_do(
    today: Path, tmp_path: Path, name: str, statement: str
) -> None:
    data = folder_like(today, tmp_path, name, numbered(statement))
    with pytest.raises(AssertionError, match="start the newer server that wrote it") as refused:
        ServerProcess(data).start()
    assert "Traceback" not in str(refused.value)
    assert "it ended with 2" in str(refused.value)


def test_a_ledger_without_a_number_is_that_of_the_first_terminals(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first = TerminalLedger(path)
    first.keep("id", b"x")
    first.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 0")
    second = TerminalLedger(path)
    assert second.note("id") == b"x"
    second.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="start the newer terminal that wrote it"):
        TerminalLedger(path)
