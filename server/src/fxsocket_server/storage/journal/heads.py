"""Where each account's hash chain stands, and the event rows that go on from there."""

import sqlite3
from collections.abc import Iterable, Iterator

from fxsocket_server.gateway.changes import Change, Event
from fxsocket_server.storage.journal.chain import genesis, link

Head = tuple[int, bytes]  # seq and hash of an account's newest event

_INSERT_EVENT = (
    "INSERT INTO events (account_id, seq, user_id, type, time_ms, payload, hash)"
    " VALUES (?,?,?,?,?,?,?)"
)
_MOVE_HEAD = "UPDATE heads SET seq = ?, hash = ? WHERE account_id = ?"
_SELECT_PAGE = (
    "SELECT account_id, seq, type, time_ms, payload, user_id FROM events"
    " WHERE account_id = ? AND seq > ? ORDER BY seq LIMIT ?"
)
_UPDATE_HASH = "UPDATE events SET hash = ? WHERE account_id = ? AND seq = ?"
_PAGE_ROWS = 10_000


class SeqError(Exception):
    """An event does not follow the one before it; it must not enter the log."""


class Heads:
    """Writes events behind the heads of their logs; belongs to the writer's thread.

    `write` runs inside a transaction; the heads move when `committed` tells that it is durable.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._durable: dict[str, Head] = {}
        self._moved: dict[str, Head] = {}

    def write(self, changes: Iterable[Change]) -> None:
        """Insert the events of changes, each chained to the one before it.

        Raises SeqError where a log would get a hole.
        """
        self._moved = {}
        rows = [self._row(change.user_id, e) for change in changes for e in change.events]
        self._connection.executemany(_INSERT_EVENT, rows)
        heads = [(*head, account_id) for account_id, head in self._moved.items()]
        self._connection.executemany(_MOVE_HEAD, heads)

    def committed(self) -> None:
        """What was written last is durable."""
        self._durable |= self._moved

    def _row(self, user_id: str, event: Event) -> tuple[object, ...]:
        seq, before = self._head(event.account_id)
        if event.seq != seq + 1:
            raise SeqError(f"event {event.seq} of {event.account_id} does not follow {seq}")
        hash_ = link(before, user_id, event)
        self._moved[event.account_id] = (event.seq, hash_)
        return (
            event.account_id, event.seq, user_id, event.type, event.time_ms, event.payload, hash_,
        )  # fmt: skip

    def _head(self, account_id: str) -> Head:
        head = self._moved.get(account_id) or self._durable.get(account_id)
        if head is None:
            sql = "SELECT seq, hash FROM heads WHERE account_id = ?"
            head = self._connection.execute(sql, (account_id,)).fetchone()
        if head is None:
            raise SeqError(f"{account_id} has no log: open the account first")
        return head


def chain_log(connection: sqlite3.Connection, account_id: str, epoch: str) -> Iterator[int]:
    """Chain a log from its first event, as a new one of this epoch; yields the rows of each page.

    Belongs into a transaction of its caller.
    """
    seq, hash_, rows = 0, genesis(account_id, epoch), _PAGE_ROWS
    while rows == _PAGE_ROWS:
        hashes = []
        for *parts, user_id in connection.execute(_SELECT_PAGE, (account_id, seq, _PAGE_ROWS)):
            event = Event(*parts)
            hash_ = link(hash_, user_id, event)
            hashes.append((hash_, account_id, event.seq))
        if hashes:
            connection.executemany(_UPDATE_HASH, hashes)
            seq = hashes[-1][2]
        rows = len(hashes)
        yield rows
    connection.execute(_MOVE_HEAD, (seq, hash_, account_id))
