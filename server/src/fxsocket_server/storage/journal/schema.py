"""Tables of journal.db, and the steps from one version of them to the next.

`events` is the public log, chained by `hash`; `heads` says where each chain stands. `orders`,
`positions` and `deals` hold the newest version of each record (msgpack of `model.records`) under
the columns that are searched; `commands` holds what was asked under which key and how it was
answered; `equity` one sample per minute. Every row names its user and account.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fxsocket_server.storage.journal.heads import chain_log
from fxsocket_server.storage.journal.rows import (
    closed_ms,
    decode_deal,
    decode_order,
    decode_position,
    done_ms,
)

Progress = Callable[[str, int], None]  # what is worked on, rows so far

VERSION = 2

_VERSION_1 = """
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
    body            BLOB NOT NULL
);
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
    body       BLOB NOT NULL
);
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
CREATE INDEX deals_closing ON deals (account_id, position_id) WHERE closing = 1;
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


# The page indexes end in what lists filter by: a filter reads index entries, not rows.
_VERSION_2 = """
ALTER TABLE events ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
CREATE TABLE heads (
    account_id TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO heads SELECT account_id, user_id, 0, x'' FROM accounts;
ALTER TABLE orders ADD COLUMN done_ms INTEGER;
ALTER TABLE positions ADD COLUMN closed_ms INTEGER;
UPDATE orders SET done_ms = done_ms_of(body);
UPDATE positions SET closed_ms = closed_ms_of(body);
CREATE INDEX commands_age ON commands (created_ms);
CREATE INDEX orders_page ON orders (account_id, created_ms, n, symbol, magic, status);
CREATE INDEX deals_page ON deals (account_id, time_ms, n, symbol, magic);
CREATE INDEX orders_done ON orders (account_id, done_ms, n, symbol, magic)
    WHERE done_ms IS NOT NULL;
CREATE INDEX positions_closed ON positions (account_id, closed_ms, n, symbol, magic)
    WHERE closed_ms IS NOT NULL;
CREATE TABLE equity (
    account_id TEXT NOT NULL,
    minute_ms  INTEGER NOT NULL,
    user_id    TEXT NOT NULL,
    balance    INTEGER NOT NULL,
    credit     INTEGER NOT NULL,
    equity     INTEGER NOT NULL,
    margin     INTEGER NOT NULL,
    PRIMARY KEY (account_id, minute_ms)
) WITHOUT ROWID;
DROP INDEX deals_closing;
CREATE INDEX deals_position ON deals (account_id, position_id);
ALTER TABLE orders ADD COLUMN tag TEXT;
CREATE INDEX orders_tag ON orders (account_id, tag) WHERE tag IS NOT NULL;
ALTER TABLE deals ADD COLUMN order_id TEXT;
UPDATE deals SET order_id = order_id_of(body);
CREATE INDEX deals_order ON deals (account_id, order_id);
ALTER TABLE commands ADD COLUMN api_key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE commands ADD COLUMN order_id TEXT;
ALTER TABLE commands ADD COLUMN request BLOB;
ALTER TABLE commands ADD COLUMN plan BLOB;
ALTER TABLE commands ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
UPDATE commands SET delivered = 1;
ALTER TABLE accounts ADD COLUMN risk BLOB;
CREATE INDEX commands_undelivered ON commands (account_id) WHERE key IS NULL AND delivered = 0;
"""


class JournalOpenError(Exception):
    """The journal cannot be opened: it is damaged, or its disk takes nothing."""


class JournalVersionError(JournalOpenError):
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


def silent(_what: str, _rows: int) -> None:
    """Progress that nobody watches."""


def migrate(connection: sqlite3.Connection, progress: Progress = silent) -> None:
    """Bring the tables to this server's version, each step in one transaction.

    Raises JournalVersionError when a newer server wrote them.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise JournalVersionError(
            f"journal.db has version {version}, this server knows {VERSION}: "
            "start the newer server that wrote it"
        )
    for step, number in ((_to_version_1, 1), (_to_version_2, 2)):
        if version < number:
            connection.execute("BEGIN IMMEDIATE")
            step(connection, progress)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")


def empty_journal() -> bytes:
    """The bytes of a journal without an account, for those who make many."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        return connection.serialize()


def _to_version_1(connection: sqlite3.Connection, _progress: Progress) -> None:
    _run(connection, _VERSION_1)


def _to_version_2(connection: sqlite3.Connection, progress: Progress) -> None:
    connection.create_function("done_ms_of", 1, lambda body: done_ms(decode_order(body)))
    connection.create_function("closed_ms_of", 1, lambda body: closed_ms(decode_position(body)))
    connection.create_function("order_id_of", 1, lambda body: decode_deal(body).order_id)
    _run(connection, _VERSION_2)
    logs = connection.execute("SELECT account_id, epoch FROM accounts").fetchall()
    rows = 0
    for account_id, epoch in logs:
        for page in chain_log(connection, account_id, epoch):
            rows += page
            progress("journal.db", rows)


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        if statement.strip():
            connection.execute(statement)
