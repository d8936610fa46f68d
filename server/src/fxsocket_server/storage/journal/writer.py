"""The journal's writer thread: takes waiting changes, commits them as a group, reports back.

Changes commit in the order in which they were queued. After a failed commit every change that was
queued before its owner heard of the failure is refused as well: it was decided on a state that is
not durable.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.gateway.changes import Change, EquitySample
from fxsocket_server.storage.journal.heads import Heads
from fxsocket_server.storage.journal.rows import (
    DEAL_COLUMNS,
    ORDER_COLUMNS,
    POSITION_COLUMNS,
    deal_row,
    order_row,
    position_row,
)
from fxsocket_server.storage.journal.space import Space

_encode_request = msgspec.msgpack.Encoder().encode

_UPSERT_ORDER = (
    "INSERT INTO orders (" + ORDER_COLUMNS + ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, ticket = excluded.ticket,"
    " tag = excluded.tag, done_ms = COALESCE(done_ms, excluded.done_ms), body = excluded.body"
)
_UPSERT_POSITION = (
    "INSERT INTO positions (" + POSITION_COLUMNS + ") VALUES (?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, ticket = excluded.ticket,"
    " closed_ms = COALESCE(closed_ms, excluded.closed_ms), body = excluded.body"
)
_INSERT_DEAL = "INSERT INTO deals (" + DEAL_COLUMNS + ") VALUES (?,?,?,?,?,?,?,?,?,?)"
_UPSERT_COMMAND = (
    "INSERT INTO commands (command_id, account_id, user_id, key, kind, subject_id, fingerprint,"
    " created_ms, answer_status, answer_body, api_key_id, order_id, request, plan, delivered)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (command_id) DO UPDATE SET"
    " answer_status = excluded.answer_status, answer_body = excluded.answer_body,"
    " delivered = excluded.delivered"
)
_MARK_DELIVERED = "UPDATE commands SET delivered = ? WHERE command_id = ? AND key IS NULL"
_UPSERT_EQUITY = (
    "INSERT OR REPLACE INTO equity (account_id, minute_ms, user_id, balance, credit, equity,"
    " margin) VALUES (?,?,?,?,?,?,?)"
)
_UPDATE_BALANCE = "UPDATE accounts SET balance = ?, credit = ? WHERE account_id = ?"
UPDATE_RISK = "UPDATE accounts SET risk = ? WHERE account_id = ?"
_UPDATE_CHECKPOINT = "UPDATE accounts SET checkpoint = ? WHERE account_id = ?"


class Checkpoint(msgspec.Struct, frozen=True):
    """A connector's state to be saved with the next commit."""

    account_id: str
    body: bytes


class Equity(msgspec.Struct, frozen=True):
    """Samples of equity to be saved with the next commit."""

    samples: Sequence[EquitySample]


class Statement(msgspec.Struct, frozen=True):
    """Housekeeping SQL with its parameters (retention)."""

    sql: str
    parameters: tuple[object, ...]


class Delivered(msgspec.Struct, frozen=True):
    """Whether the answers to commands without a key have arrived."""

    marks: list[tuple[bool, str]]


class Probe(msgspec.Struct, frozen=True):
    """A look whether a disk that was full or failed takes writes again."""


Work = Change | Checkpoint | Equity | Statement | Delivered | Probe
Queued = tuple[int, int, Work]  # ticket, generation of the state it was decided on, work
Done = Callable[[list[tuple[int, Work]], str | None, int], None]


class Writer:
    """Owns the writing connection; `done` is called from the writer thread after each group.

    Its arguments are the group as (ticket, work) pairs, the failure or None, and the generation
    from which work is accepted again.
    """

    def __init__(self, connection: sqlite3.Connection, done: Done, space: Space) -> None:
        self._connection = connection
        self._space = space
        self._heads = Heads(connection)
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
        self._space.open()
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
        works = [work for _, work in fresh if type(work) is not Probe]
        failure = self._try(works) if works else None
        if failure is not None and self._space.failed(failure):
            failure = self._try(works)
        if len(works) < len(fresh):
            self._space.probe(self._connection)
        if failure is None:
            self._done(fresh, None, self._generation)
            return
        if any(ticket for ticket, _ in fresh):  # else nothing was decided on what is lost
            self._generation += 1
        self._done(fresh, f"journal.db: {failure}", self._generation)

    def _try(self, works: list[Work]) -> Exception | None:
        """Commit; returns why that failed, after which nothing of it is there."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write(works)
            self._connection.execute("COMMIT")
        # tidy: broad-except because a dead writer would leave every caller waiting for ever
        except Exception as error:
            self._roll_back()
            return error
        self._heads.committed()
        return None

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _write(self, group: list[Work]) -> None:
        """Write a group table by table: one prepared statement each."""
        changes = [work for work in group if type(work) is Change]
        many = self._connection.executemany
        self._heads.write(changes)
        many(_UPSERT_ORDER, [order_row(o) for c in changes for o in c.orders.values()])
        many(_UPSERT_POSITION, [position_row(p) for c in changes for p in c.positions.values()])
        many(_INSERT_DEAL, [deal_row(deal) for change in changes for deal in change.deals])
        many(_UPSERT_COMMAND, [row for change in changes for row in _command_rows(change)])
        balances = {c.account_id: c for c in changes if c.balance is not None}
        many(_UPDATE_BALANCE, [(c.balance, c.credit or 0, c.account_id) for c in balances.values()])
        many(UPDATE_RISK, [(c.risk, c.account_id) for c in changes if c.risk is not None])
        for work in group:
            if type(work) is Checkpoint:
                self._connection.execute(_UPDATE_CHECKPOINT, (work.body, work.account_id))
            elif type(work) is Equity:
                many(_UPSERT_EQUITY, [msgspec.structs.astuple(one) for one in work.samples])
            elif type(work) is Statement:
                self._connection.execute(work.sql, work.parameters)
            elif type(work) is Delivered:
                many(_MARK_DELIVERED, work.marks)


def _command_rows(change: Change) -> list[tuple[object, ...]]:
    c = change.command
    if c is None:
        return []
    return [
        (
            c.command_id, c.account_id, c.user_id, c.key, c.kind, c.subject_id, c.fingerprint,
            c.created_ms, c.answer_status, c.answer_body, c.api_key_id, c.order_id,
            None if c.request is None else _encode_request(c.request), c.plan, c.delivered,
        )
    ]  # fmt: skip
