"""The Journal port on sqlite3: appends go to the writer thread, reads use a second connection."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.changes import (
    AccountState,
    Change,
    EquitySample,
)
from fxsocket_server.storage.journal.chain import genesis
from fxsocket_server.storage.journal.reads import AccountRow, JournalReads
from fxsocket_server.storage.journal.schema import (
    JournalOpenError,
    Progress,
    connect,
    migrate,
    silent,
)
from fxsocket_server.storage.journal.space import NoReserve, Reserve, Space
from fxsocket_server.storage.journal.writer import (
    UPDATE_RISK,
    Checkpoint,
    Delivered,
    Done,
    Equity,
    Probe,
    Queued,
    Statement,
    Work,
    Writer,
)


class _Waiting(msgspec.Struct, frozen=True):
    """A change under way: who waits for it, and who is told first."""

    future: "asyncio.Future[None]"
    change: Change
    committed: Callable[[Change], None]


def _nobody(_change: Change) -> None:
    """Told of a commit that nobody publishes."""


def _open(path: Path, progress: Progress) -> sqlite3.Connection:
    try:
        connection = connect(path)
        migrate(connection, progress)
    except sqlite3.Error as error:
        raise JournalOpenError(str(error)) from None
    return connection


class SqliteJournal(JournalReads):
    """journal.db; must be made and used on the event loop's thread."""

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        progress: Progress = silent,
        reserve: Reserve | None = None,
        make_writer: Callable[[sqlite3.Connection, Done, Space], Writer] = Writer,
    ) -> None:
        writing = _open(path, progress)
        self._read = connect(path, read_only=True)
        self._path = path
        self._writing = writing
        self._loop = loop
        space = Space(reserve or NoReserve(), self._on_space)
        self._writer = make_writer(writing, self._from_writer, space)
        self._shortage: str | None = None
        self._shortage_callbacks: list[Callable[[str | None], None]] = []
        self._pending: dict[int, _Waiting] = {}
        self._unsent: list[Queued] = []
        self._delivered: list[tuple[bool, str]] = []
        self._ticket = 0
        self._generation = 0
        self._failure_callbacks: list[Callable[[], None]] = []
        self._writer.start()

    def close(self) -> None:
        """Commit what is queued and close the file."""
        self._flush()
        self._writer.stop()
        self._read.close()
        self._writing.close()

    # --- writing -----------------------------------------------------------------------------

    def append(
        self, change: Change, committed: Callable[[Change], None] = _nobody
    ) -> "asyncio.Future[None]":
        """Queue a change; the future ends once it is durable, or with JournalUnavailable.

        `committed` hears of it first, in the order of the commits.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._ticket += 1
        self._pending[self._ticket] = _Waiting(future, change, committed)
        self._send(self._ticket, change)
        return future

    def _send(self, ticket: int, work: Work) -> None:
        """Collect the work of one turn of the loop: the writer is woken once for all of it."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append((ticket, self._generation, work))

    def mark_delivered(self, command_id: str, delivered: bool) -> None:
        """Note, with the next commit, whether the answer to a command without a key arrived."""
        self._delivered.append((delivered, command_id))
        if len(self._delivered) >= limits.JOURNAL_DELIVERED_MARKS:
            self._flush()

    def _flush(self) -> None:
        if self._delivered:
            self._unsent.append((0, self._generation, Delivered(self._delivered)))
            self._delivered = []
        if self._unsent:
            self._writer.put(self._unsent)
            self._unsent = []

    def has_room(self) -> bool:
        """Whether the queue takes another command; facts are always taken."""
        return len(self._pending) < limits.JOURNAL_QUEUE_CHANGES

    def shortage(self) -> str | None:
        """Why the disk takes nothing but closes and cancels now, or None."""
        return self._shortage

    def on_shortage(self, callback: Callable[[str | None], None]) -> None:
        """Call back when the disk fills or fails, and with None when it takes everything again."""
        self._shortage_callbacks.append(callback)

    def check_space(self) -> None:
        """See whether a disk that was full or failed takes everything again."""
        if self._shortage is not None:
            self._send(0, Probe())

    def _on_space(self, shortage: str | None) -> None:
        self._loop.call_soon_threadsafe(self._tell_shortage, shortage)

    def _tell_shortage(self, shortage: str | None) -> None:
        self._shortage = shortage
        for callback in self._shortage_callbacks:
            callback(shortage)

    def durable(self) -> "asyncio.Future[None] | None":
        """The newest queued change that is not durable yet, or None."""
        waiting = self._pending.get(self._ticket)
        return None if waiting is None else waiting.future

    def on_failure(self, callback: Callable[[], None]) -> None:
        """Call back after a failed commit, when every queued change was refused."""
        self._failure_callbacks.append(callback)

    def _keep_house(self, work: Work) -> None:
        """Send what may be lost; a disk without room is left to closes and cancels."""
        if self._shortage is None:
            self._send(0, work)

    def save_checkpoint(self, account_id: str, checkpoint: bytes) -> None:
        """Save a connector's checkpoint with the next commit."""
        self._keep_house(Checkpoint(account_id, checkpoint))

    def save_risk(self, account_id: str, risk: bytes) -> None:
        """Save what the risk rules remember of an account with the next commit."""
        self._send(0, Statement(UPDATE_RISK, (risk, account_id)))

    def save_equity(self, samples: Sequence[EquitySample]) -> None:
        """Save samples of equity with the next commit; a minute that is there is overwritten."""
        self._keep_house(Equity(samples))

    def forget_equity(self, account_id: str, retention_ms: int) -> None:
        """Drop an account's samples that are so much older than its newest one."""
        sql = (
            "DELETE FROM equity WHERE account_id = ? AND minute_ms <"
            " (SELECT MAX(minute_ms) FROM equity WHERE account_id = ?) - ?"
        )
        self._keep_house(Statement(sql, (account_id, account_id, retention_ms)))

    def forget_commands(self, before_ms: int) -> None:
        """Drop the oldest stored answers older than a moment: their keys may be used again.

        A plan goes with its legs' answers: without them it would run the legs once more.
        """
        sql = (
            "DELETE FROM commands WHERE command_id IN (SELECT command_id FROM commands"
            " WHERE created_ms < ? AND (answer_status IS NOT NULL OR plan IS NOT NULL)"
            " ORDER BY created_ms LIMIT ?)"
        )
        self._keep_house(Statement(sql, (before_ms, limits.RETENTION_COMMANDS)))

    def _from_writer(
        self, group: list[tuple[int, Work]], failure: str | None, generation: int
    ) -> None:
        tickets = [ticket for ticket, _ in group if ticket]
        self._loop.call_soon_threadsafe(self._resolve, tickets, failure, generation)

    def _resolve(self, tickets: list[int], failure: str | None, generation: int) -> None:
        for ticket in tickets:
            waiting = self._pending.pop(ticket)
            if failure is None:
                waiting.committed(waiting.change)
            if waiting.future.done():
                continue
            if failure is None:
                waiting.future.set_result(None)
            else:
                waiting.future.set_exception(JournalUnavailable(f"nothing was traded: {failure}"))
        if generation != self._generation:
            self._generation = generation
            for callback in self._failure_callbacks:
                callback()

    # --- accounts ----------------------------------------------------------------------------

    def open_account(self, account_id: str, user_id: str, epoch: str) -> AccountState:
        """Load an account's state, creating its log when there is none.

        Called at start and after a failed commit: the writer is idle for this account then.
        """
        epoch, balance, credit, checkpoint, risk = self._account(account_id) or self._begin_log(
            account_id, user_id, epoch
        )
        head_seq = self._head_seq(account_id)
        return AccountState(
            epoch=epoch,
            head_seq=head_seq,
            last_deal_ms=self._last_deal_ms(account_id),
            balance=balance,
            credit=credit,
            last_order_ticket=self._last_ticket("orders", account_id),
            last_position_ticket=self._last_ticket("positions", account_id),
            last_deal_ticket=self._last_ticket("deals", account_id),
            orders=self._live_orders(account_id),
            positions=self._open_positions(account_id),
            checkpoint=checkpoint,
            risk=risk,
        )

    def _begin_log(self, account_id: str, user_id: str, epoch: str) -> AccountRow:
        with closing(connect(self._path)) as writing:
            writing.execute("BEGIN IMMEDIATE")
            writing.execute(
                "INSERT INTO accounts (account_id, user_id, epoch) VALUES (?,?,?)",
                (account_id, user_id, epoch),
            )
            writing.execute(
                "INSERT INTO heads (account_id, user_id, seq, hash) VALUES (?,?,0,?)",
                (account_id, user_id, genesis(account_id, epoch)),
            )
            writing.execute("COMMIT")
        return epoch, 0, 0, None, None
