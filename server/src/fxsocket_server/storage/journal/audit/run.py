"""Audits a whole journal on one snapshot, beside the server that goes on writing it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from fxsocket_server.storage.journal.audit.account import AccountAudit
from fxsocket_server.storage.journal.audit.progress import Progress, Told
from fxsocket_server.storage.journal.audit.report import AccountReport, AuditReport
from fxsocket_server.storage.journal.schema import VERSION

_TABLES = ("heads", "events", "orders", "positions", "deals", "equity")
_COUNT_COMMANDS = "SELECT account_id, COUNT(*) FROM commands GROUP BY account_id"
_ANSWERED_FOR_NOTHING = (
    "SELECT account_id, command_id, subject_id FROM commands WHERE kind = 'order.place'"
    " AND answer_status IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM orders WHERE orders.id = subject_id AND orders.status != 'PENDING')"
)


class Unreadable(Exception):
    """The journal cannot be audited: it is not there, not ours, or of another version."""


def audit(path: Path, progress: Told) -> AuditReport:
    """Verify every account of a journal; raises Unreadable when it cannot be read at all."""
    report = AuditReport()
    if not path.is_file():
        raise Unreadable(f"{path}: no such file")
    try:
        with closing(_open(path)) as connection:
            _check_version(path, connection)
            _audit(connection, report, progress)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB):
            raise Unreadable(f"{path}: {error}") from None
        report.find("file", f"journal.db is damaged: {error}", None)
    return report


def _open(path: Path) -> sqlite3.Connection:
    """A connection that can only read, on a snapshot of now."""
    # A server that runs keeps a -wal file; without one nobody writes, and no lock file is needed.
    is_in_use = path.with_name(path.name + "-wal").exists()
    uri = path.absolute().as_uri() + ("?mode=ro" if is_in_use else "?immutable=1")
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    # A damaged name is compared, and found to differ, where it could not be decoded.
    connection.text_factory = lambda text: text.decode(errors="replace")
    connection.execute("BEGIN")
    return connection


def _check_version(path: Path, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise Unreadable(
            f"{path}: has version {version}, this command reads {VERSION}; "
            "start a server of this version on it once"
        )


def _audit(connection: sqlite3.Connection, report: AuditReport, told: Told) -> None:
    total: int = connection.execute("SELECT COALESCE(SUM(seq), 0) FROM heads").fetchone()[0]
    progress = Progress(told, total)
    rows = connection.execute(
        "SELECT account_id, user_id, epoch, balance, credit FROM accounts ORDER BY account_id"
    ).fetchall()
    accounts = {row[0]: AccountReport(account_id=row[0]) for row in rows}
    report.accounts = list(accounts.values())
    for account_id, user_id, epoch, balance, credit in rows:
        own = accounts[account_id]
        AccountAudit(connection, report, own, progress).run(user_id, epoch, balance, credit)
        progress.tell()
    for table in _TABLES:
        for account_id in _accounts_in(connection, table):
            if account_id not in accounts:
                report.find("row", f"{table} has rows of an account that is not there", account_id)
    _audit_commands(connection, report, accounts)


def _accounts_in(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    """The accounts that a table holds rows of, each found by one step of an index."""
    sql = "SELECT MIN(account_id) FROM " + table + " WHERE account_id > ?"
    account_id = ""
    while True:  # until past the last account
        (account_id,) = connection.execute(sql, (account_id,)).fetchone()
        if account_id is None:
            return
        yield account_id


def _audit_commands(
    connection: sqlite3.Connection, report: AuditReport, accounts: dict[str, AccountReport]
) -> None:
    """An answered command to place an order has an order, and that has an outcome."""
    for account_id, count in connection.execute(_COUNT_COMMANDS):
        if account_id in accounts:
            accounts[account_id].commands = count
        else:
            report.find("row", "commands has rows of an account that is not there", account_id)
    for account_id, command_id, order_id in connection.execute(_ANSWERED_FOR_NOTHING):
        report.find("command", f"{command_id} was answered, {order_id} has no outcome", account_id)
