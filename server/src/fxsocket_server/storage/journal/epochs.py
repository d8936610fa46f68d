"""Begins every log of a restored journal as a new one: its clients must notice that it is older."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fxsocket_server.storage.journal.heads import chain_log
from fxsocket_server.storage.journal.schema import (
    JournalOpenError,
    JournalVersionError,
    Progress,
    connect,
    migrate,
    silent,
)


def upgrade(path: Path, progress: Progress = silent) -> None:
    """Bring a journal that no server has open to this version; raises JournalOpenError."""
    try:
        with closing(connect(path)) as connection:
            migrate(connection, progress)
    except JournalVersionError:
        raise
    except sqlite3.Error as error:
        raise JournalOpenError(str(error)) from None


def renew_epochs(path: Path, new_epoch: Callable[[], str], progress: Progress = silent) -> None:
    """Give every log another epoch, and a chain that stands on it."""
    with closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        rows = 0
        for (account_id,) in connection.execute("SELECT account_id FROM accounts").fetchall():
            epoch = new_epoch()
            connection.execute(
                "UPDATE accounts SET epoch = ? WHERE account_id = ?", (epoch, account_id)
            )
            for page in chain_log(connection, account_id, epoch):
                rows += page
                progress("journal.db", rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
