"""Verifies an account's log: every hash, every number, and where it ends."""

import sqlite3

from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.replay import BadPayload, Replay
from fxsocket_server.storage.journal.audit.progress import Progress
from fxsocket_server.storage.journal.audit.report import AccountReport, AuditReport, Subject
from fxsocket_server.storage.journal.chain import genesis, link

_SELECT_EVENTS = (
    "SELECT account_id, seq, type, time_ms, payload, user_id, hash FROM events"
    " WHERE account_id = ? ORDER BY seq"
)


class LogAudit:
    """Walks one log once; `replay` is the state that it tells of afterwards."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        report: AuditReport,
        account: AccountReport,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._report = report
        self._account = account
        self._progress = progress
        self._seq = 0
        self._hash = b""
        self.replay = Replay()
        self.opened_by_deposit = False

    def walk(self, user_id: str, epoch: str) -> None:
        """Verify every event of the log and its head."""
        self._hash = genesis(self._account.account_id, epoch)
        rows = self._connection.execute(_SELECT_EVENTS, (self._account.account_id,))
        for *parts, event_user, hash_ in rows:
            event = Event(*parts)
            self._check_seq(event)
            self._check_hash(event, event_user, hash_)
            if event_user != user_id:
                self._find("row", f"its user is {event_user!r}, the account's {user_id!r}")
            self._apply(event)
            self._account.events += 1
            self._progress.row()
        self._check_head()

    def _check_seq(self, event: Event) -> None:
        if event.seq != self._seq + 1:
            self._report.find(
                "seq",
                f"event {event.seq} follows {self._seq}: what was between them is missing",
                self._account.account_id,
                self._seq + 1,
            )
        self._seq = event.seq

    def _check_hash(self, event: Event, user_id: str, stored: bytes) -> None:
        if link(self._hash, user_id, event) != stored:
            self._find("chain", "the event is not what was written, or not after what it followed")
        # Go on from what is stored: one changed event breaks the chain there and nowhere else.
        self._hash = stored

    def _apply(self, event: Event) -> None:
        if event.seq == 1:
            self.opened_by_deposit = event.type == "balance.deposit"
        try:
            self.replay.apply(event)
        except BadPayload:
            self._find("chain", "its payload cannot be read")

    def _find(self, subject: Subject, detail: str) -> None:
        self._report.find(subject, detail, self._account.account_id, self._seq)

    def _check_head(self) -> None:
        sql = "SELECT seq, hash FROM heads WHERE account_id = ?"
        head = self._connection.execute(sql, (self._account.account_id,)).fetchone()
        self._account.head = self._hash.hex()
        if head == (self._seq, self._hash):
            return
        seq = "nowhere" if head is None else f"at event {head[0]}"
        self._report.find(
            "seq",
            f"the log ends at event {self._seq}, its head stands {seq} or has another hash",
            self._account.account_id,
            self._seq,
        )
