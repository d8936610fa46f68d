"""The journal's writer thread: takes waiting changes, commits them as a group, reports back.

Changes commit in the order in which they were queued. After a failed commit every change that was
queued before its owner heard of the failure is refused as well: it was decided on a state that is
not durable.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.gateway.changes import Change
from fxsocket_server.model.enums import DONE_STATUSES, DealEntry, PositionStatus

_encode = msgspec.msgpack.Encoder().encode

_INSERT_EVENT = (
    "INSERT INTO events (account_id, seq, user_id, type, time_ms, payload) VALUES (?,?,?,?,?,?)"
)
_UPSERT_ORDER = (
    "INSERT INTO orders (id, account_id, user_id, client_order_id, status, symbol, magic,"
    " created_ms, ticket, done_ms, body) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, ticket = excluded.ticket,"
    " done_ms = COALESCE(done_ms, excluded.done_ms), body = excluded.body"
)
_UPSERT_POSITION = (
    "INSERT INTO positions (id, account_id, user_id, status, symbol, magic, opened_ms, ticket,"
    " closed_ms, body) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET"
    " status = excluded.status, ticket = excluded.ticket,"
    " closed_ms = COALESCE(closed_ms, excluded.closed_ms), body = excluded.body"
)
_INSERT_DEAL = (
    "INSERT INTO deals (account_id, user_id, ticket, position_id, closing, symbol, magic, time_ms,"
    " body) VALUES (?,?,?,?,?,?,?,?,?)"
)
_UPSERT_COMMAND = (
    "INSERT INTO commands (command_id, account_id, user_id, key, kind, subject_id, fingerprint,"
    " created_ms, answer_status, answer_body) VALUES (?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (command_id) DO UPDATE SET"
    " answer_status = excluded.answer_status, answer_body = excluded.answer_body"
)
_UPDATE_BALANCE = "UPDATE accounts SET balance = ?, credit = ? WHERE account_id = ?"
_UPDATE_CHECKPOINT = "UPDATE accounts SET checkpoint = ? WHERE account_id = ?"


class Checkpoint(msgspec.Struct, frozen=True):
    """A connector's state to be saved with the next commit."""

    account_id: str
    body: bytes


class Statement(msgspec.Struct, frozen=True):
    """Housekeeping SQL with its parameters (retention)."""

    sql: str
    parameters: tuple[object, ...]


Work = Change | Checkpoint | Statement
Queued = tuple[int, int, Work]  # ticket, generation of the state it was decided on, work
Done = Callable[[list[tuple[int, Work]], str | None, int], None]


class Writer:
    """Owns the writing connection; `done` is called from the writer thread after each group.

    Its arguments are the group as (ticket, work) pairs, the failure or None, and the generation
    from which work is accepted again.
    """

    def __init__(self, connection: sqlite3.Connection, done: Done) -> None:
        self._connection = connection
        self._done = done
        self._queue: queue.SimpleQueue[list[Queued] | None] = (
            queue.SimpleQueue()  # tidy: unbounded because SqliteJournal.append bounds it
        )
        self._generation = 0
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, works: list[Queued]) -> None:
        """Queue works, oldest first."""
        self._queue.put(works)

    def stop(self) -> None:
        """Commit what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._take_group()
            if group:
                self._commit(group)

    def _take_group(self) -> tuple[list[Queued], bool]:
        group: list[Queued] = []
        item = self._queue.get()
        while item is not None:
            group += item
            if len(group) >= limits.JOURNAL_GROUP_CHANGES:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[Queued]) -> None:
        stale = [(ticket, work) for ticket, gen, work in group if gen != self._generation]
        fresh = [(ticket, work) for ticket, gen, work in group if gen == self._generation]
        if stale:
            self._done(
                stale, "it was decided on a state that did not become durable", self._generation
            )
        if not fresh:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write([work for _, work in fresh])
            self._connection.execute("COMMIT")
        # tidy: broad-except because a dead writer would leave every caller waiting for ever
        except Exception as error:
            self._roll_back()
            self._generation += 1
            self._done(fresh, f"journal.db: {error}", self._generation)
            return
        self._done(fresh, None, self._generation)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _write(self, group: list[Work]) -> None:
        """Write a group table by table: one prepared statement each."""
        changes = [work for work in group if type(work) is Change]
        many = self._connection.executemany
        many(_INSERT_EVENT, [row for change in changes for row in _event_rows(change)])
        many(_UPSERT_ORDER, [row for change in changes for row in _order_rows(change)])
        many(_UPSERT_POSITION, [row for change in changes for row in _position_rows(change)])
        many(_INSERT_DEAL, [row for change in changes for row in _deal_rows(change)])
        many(_UPSERT_COMMAND, [row for change in changes for row in _command_rows(change)])
        balances = {c.account_id: c for c in changes if c.balance is not None}
        many(_UPDATE_BALANCE, [(c.balance, c.credit or 0, c.account_id) for c in balances.values()])
        for work in group:
            if type(work) is Checkpoint:
                self._connection.execute(_UPDATE_CHECKPOINT, (work.body, work.account_id))
            elif type(work) is Statement:
                self._connection.execute(work.sql, work.parameters)


def _event_rows(change: Change) -> list[tuple[object, ...]]:
    user_id = change.user_id
    return [(e.account_id, e.seq, user_id, e.type, e.time_ms, e.payload) for e in change.events]


def _order_rows(change: Change) -> list[tuple[object, ...]]:
    return [
        (
            o.id, o.account_id, o.user_id, o.client_order_id, o.status.value, o.symbol, o.magic,
            o.created_ms, o.ticket, o.updated_ms if o.status in DONE_STATUSES else None, _encode(o),
        )
        for o in change.orders.values()
    ]  # fmt: skip


def _position_rows(change: Change) -> list[tuple[object, ...]]:
    return [
        (
            p.id, p.account_id, p.user_id, p.status.value, p.symbol, p.magic, p.opened_ms,
            p.ticket, p.updated_ms if p.status is PositionStatus.CLOSED else None, _encode(p),
        )
        for p in change.positions.values()
    ]  # fmt: skip


def _deal_rows(change: Change) -> list[tuple[object, ...]]:
    return [
        (
            d.account_id, d.user_id, d.ticket, d.position_id,
            d.entry not in (None, DealEntry.IN), d.symbol, d.magic, d.time_ms, _encode(d),
        )
        for d in change.deals
    ]  # fmt: skip


def _command_rows(change: Change) -> list[tuple[object, ...]]:
    c = change.command
    if c is None:
        return []
    return [
        (
            c.command_id, c.account_id, c.user_id, c.key, c.kind, c.subject_id, c.fingerprint,
            c.created_ms, c.answer_status, c.answer_body,
        )
    ]  # fmt: skip
