"""Tables of journal.db.

`events` is the public log. `orders`, `positions` and `deals` hold the newest version of each record
(msgpack of `model.records`) under the columns that are searched; `commands` holds what was asked
under which key and how it was answered. Every row names its user and account.
"""

import sqlite3
from pathlib import Path

VERSION = 1

_TABLES = """
CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    epoch      TEXT NOT NULL,
    balance    INTEGER NOT NULL DEFAULT 0,
    credit     INTEGER NOT NULL DEFAULT 0,
    checkpoint BLOB
) WITHOUT ROWID;
CREATE TABLE events (
    account_id TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    user_id    TEXT NOT NULL,
    type       TEXT NOT NULL,
    time_ms    INTEGER NOT NULL,
    payload    BLOB NOT NULL,
    PRIMARY KEY (account_id, seq)
) WITHOUT ROWID;
CREATE TABLE orders (
    n               INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    account_id      TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    client_order_id TEXT,
    status          TEXT NOT NULL,
    symbol          TEXT NOT NULL,
    magic           INTEGER NOT NULL,
    created_ms      INTEGER NOT NULL,
    ticket          INTEGER,
    done_ms         INTEGER,
    body            BLOB NOT NULL
);
CREATE INDEX orders_done ON orders (account_id, done_ms) WHERE done_ms IS NOT NULL;
CREATE INDEX orders_live ON orders (account_id, status)
    WHERE status IN ('PENDING', 'PLACED', 'PARTIALLY_FILLED', 'UNKNOWN');
CREATE INDEX orders_ticket ON orders (account_id, ticket);
CREATE INDEX orders_client ON orders (account_id, client_order_id)
    WHERE client_order_id IS NOT NULL;
CREATE TABLE positions (
    n          INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    status     TEXT NOT NULL,
    symbol     TEXT NOT NULL,
    magic      INTEGER NOT NULL,
    opened_ms  INTEGER NOT NULL,
    ticket     INTEGER NOT NULL,
    closed_ms  INTEGER,
    body       BLOB NOT NULL
);
CREATE INDEX positions_closed ON positions (account_id, closed_ms) WHERE closed_ms IS NOT NULL;
CREATE INDEX positions_ticket ON positions (account_id, ticket);
CREATE INDEX positions_open ON positions (account_id) WHERE status = 'OPEN';
CREATE TABLE deals (
    n           INTEGER PRIMARY KEY,
    account_id  TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    ticket      INTEGER NOT NULL,
    position_id TEXT,
    closing     INTEGER NOT NULL,
    symbol      TEXT,
    magic       INTEGER NOT NULL,
    time_ms     INTEGER NOT NULL,
    body        BLOB NOT NULL,
    UNIQUE (account_id, ticket)
);
CREATE INDEX deals_position ON deals (account_id, position_id);
CREATE TABLE commands (
    command_id    TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    key           TEXT,
    kind          TEXT NOT NULL,
    subject_id    TEXT NOT NULL,
    fingerprint   BLOB NOT NULL,
    created_ms    INTEGER NOT NULL,
    answer_status INTEGER,
    answer_body   BLOB
) WITHOUT ROWID;
CREATE UNIQUE INDEX commands_key ON commands (account_id, key) WHERE key IS NOT NULL;
CREATE INDEX commands_open ON commands (account_id) WHERE answer_status IS NULL;
"""


class JournalVersionError(Exception):
    """The journal was written by a newer server."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open journal.db in WAL mode; commits survive a power cut (synchronous=FULL)."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA cache_size=-8192")
    connection.execute("PRAGMA wal_autocheckpoint=8192")
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Create the tables, or check that this server knows their version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise JournalVersionError(
            f"journal.db has version {version}, this server knows {VERSION}: "
            "start the newer server that wrote it"
        )
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute("COMMIT")
