"""One connection's way through the logs of its accounts: held, resumed, caught up, live."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from fxsocket_server.channels import frames
from fxsocket_server.channels.close_codes import CloseCode
from fxsocket_server.channels.event_log import EventCursor, LogHole
from fxsocket_server.channels.frames import EventFrame, FrameId, Message
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.views import time_text
from fxsocket_server.stream.timers import Timers

_UNASKED = frozenset(("order",))


class LogState(Protocol):
    """Where an account's log stands."""

    @property
    def epoch(self) -> str | None:
        """The log's epoch."""
        ...

    @property
    def head(self) -> int | None:
        """The last published event."""
        ...


class Logs(Protocol):
    """The part of `stream.backend.Backend` that tells of the accounts' logs."""

    def account(self, account_id: str) -> LogState:
        """Where the log stands."""
        ...

    def read_events(
        self, account_id: str, after: int, limit: int, then: Callable[[list[Event] | None], None]
    ) -> None:
        """Give `then` the committed events above `after`, in order; None if unreadable."""
        ...


class Outlet(Protocol):
    """Where the frames go."""

    @property
    def is_full(self) -> bool:
        """Whether the client is behind with reading."""
        ...

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    def queue(self, message: Message) -> None:
        """Let a message leave with the next flush, or with the next frame that is sent."""
        ...

    def flush(self) -> None:
        """Send what is queued."""
        ...

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        ...


class EventBatch:
    """Events of one account, each made into a frame once for all connections."""

    def __init__(self, account_id: str, epoch: str, events: Sequence[Event]) -> None:
        self.account_id = account_id
        self.events = events
        self._epoch = epoch
        self._frames: dict[int, EventFrame] = {}

    def frame(self, event: Event, prev_seq: int) -> Message:
        """The frame of one of the events, for a connection that last had `prev_seq`."""
        frame = self._frames.get(event.seq)
        if frame is None:
            frame = self._frames[event.seq] = EventFrame(
                event.account_id,
                self._epoch,
                event.seq,
                event.type,
                time_text(event.time_ms),
                event.payload,
            )
        return frame.after(prev_seq)


class _Resume(Struct, eq=False):
    """A resume whose seam is not reached yet.

    A committed event can be read over REST a moment before it is published: an `after` beyond the
    head is proven by reading it too.
    """

    after: int
    frame_id: FrameId
    is_proven: bool = True


class LogReader:
    """Sends one connection the events that it is entitled to; at first it holds them all back."""

    def __init__(self, outlet: Outlet, logs: Logs, timers: Timers, page_events: int) -> None:
        self._outlet = outlet
        self._logs = logs
        self._timers = timers
        self._page_events = page_events
        self._is_holding = True
        self._families: dict[str, frozenset[str]] = {}
        self._cursors: dict[str, EventCursor[Event]] = {}
        self._resumes: dict[str, _Resume] = {}
        self._catching_up: set[str] = set()
        self._waiting_for_room: set[str] = set()

    # --- what it is entitled to --------------------------------------------------------------

    def families(self, account_id: str) -> frozenset[str]:
        """The families of events that go out: `order` always, `deal` and `position` if asked."""
        return self._families.get(account_id, _UNASKED)

    def follow(self, account_id: str, families: frozenset[str]) -> None:
        """Send these families from now on too."""
        self._families[account_id] = self.families(account_id) | families

    def unfollow(self, account_id: str, families: frozenset[str]) -> None:
        """Send these families no more."""
        self._families[account_id] = self.families(account_id) - families

    def followed(self) -> list[str]:
        """The accounts of which more than orders go out."""
        return [a for a, families in self._families.items() if families > _UNASKED]

    # --- live --------------------------------------------------------------------------------

    def publish(self, batch: EventBatch) -> None:
        """Events were published: queue them if this connection is live; whoever calls flushes."""
        account_id = batch.account_id
        cursor = self._cursors.get(account_id)
        if cursor is None:
            # Nothing was published since the connection began, or there would be a cursor.
            before = batch.events[0].seq - 1
            cursor = EventCursor(before, live=not self._is_holding)
            self._cursors[account_id] = cursor
        self._queue(batch, cursor.publish(batch.events, self.families(account_id)))
        if not self._is_holding:
            self._catch_up_if_behind(account_id)

    def _queue(self, batch: EventBatch, passed: list[tuple[Event, int]]) -> None:
        for event, prev_seq in passed:
            self._outlet.queue(batch.frame(event, prev_seq))

    def release(self) -> None:
        """Send what was held back: the client has had its chance to resume first."""
        if self._is_holding:
            self._is_holding = False
            for account_id in list(self._cursors):
                self._catch_up_if_behind(account_id)

    # --- catching up -------------------------------------------------------------------------

    def _catch_up_if_behind(self, account_id: str) -> None:
        if not self._cursors[account_id].live and account_id not in self._catching_up:
            self._catching_up.add(account_id)
            self._catch_up(account_id)

    def _catch_up(self, account_id: str) -> None:
        """Read and send one page; the rest follows in later turns, as the client reads."""
        if self._outlet.is_closing:
            return
        if self._outlet.is_full:
            self._waiting_for_room.add(account_id)
            return
        cursor, resume = self._cursors[account_id], self._resumes.get(account_id)
        asked_at, heard = cursor.position, cursor.heard
        overlap = int(resume is not None and not resume.is_proven)

        def take(page: list[Event] | None) -> None:
            # A page that was asked for before a resume or a reset has come too late.
            if cursor.position == asked_at and self._stands(account_id, cursor, resume):
                self._take_page(account_id, page, overlap, heard)
            self._go_on(account_id)

        self._logs.read_events(account_id, asked_at - overlap, self._page_events + overlap, take)

    def _stands(
        self, account_id: str, cursor: EventCursor[Event], resume: "_Resume | None"
    ) -> bool:
        return self._cursors[account_id] is cursor and self._resumes.get(account_id) is resume

    def _take_page(
        self, account_id: str, page: list[Event] | None, overlap: int, heard: int
    ) -> None:
        try:
            if page is None:
                self._give_up()
            elif overlap and not page:
                self._reset_beyond_the_head(account_id)
            else:
                self._send_page(account_id, page[overlap:], heard)
        except LogHole as hole:
            self.reset(account_id, self._taken_resume(account_id).frame_id, str(hole))

    def _go_on(self, account_id: str) -> None:
        if self._cursors[account_id].live:
            self._catching_up.discard(account_id)
        elif not self._outlet.is_closing:
            self._timers.after(0, lambda: self._catch_up(account_id))

    def _send_page(self, account_id: str, page: list[Event], heard: int) -> None:
        cursor, epoch = self._cursors[account_id], self._epoch(account_id)
        batch = EventBatch(account_id, epoch, page)
        passed = cursor.read(page, self._page_events, heard, self.families(account_id))
        self._queue(batch, passed)
        self._outlet.flush()
        resume = self._resumes.get(account_id)
        if resume is not None:
            resume.is_proven = True
        if cursor.live and resume is not None:
            del self._resumes[account_id]
            self._outlet.send(
                frames.resumed(account_id, resume.frame_id, resume.after, cursor.position, epoch)
            )

    def _epoch(self, account_id: str) -> str:
        return self._logs.account(account_id).epoch or ""

    def _head(self, account_id: str) -> int:
        return self._logs.account(account_id).head or 0

    def _give_up(self) -> None:
        self._outlet.close(CloseCode.RESTART, "the event log cannot be read now; reconnect")

    def _taken_resume(self, account_id: str) -> _Resume:
        return self._resumes.pop(account_id, _Resume(0, None))

    def drained(self) -> None:
        """There is room again: go on where reading the log had stopped."""
        waiting, self._waiting_for_room = self._waiting_for_room, set()
        for account_id in sorted(waiting):
            self._catch_up(account_id)

    # --- resume ------------------------------------------------------------------------------

    def resume(self, account_id: str, after: int, epoch: str | None, frame_id: FrameId) -> None:
        """Send every event above `after`, then `resumed`, then live ones; or `reset`."""
        current = self._epoch(account_id)
        if epoch is not None and epoch != current:
            self.reset(account_id, frame_id, f"the log's epoch is {current}, not {epoch[:64]}")
        else:
            cursor = self._cursors.setdefault(account_id, EventCursor(after, live=False))
            cursor.rewind(after)
            is_proven = after <= self._head(account_id)
            self._resumes[account_id] = _Resume(after, frame_id, is_proven)
            self._catch_up_if_behind(account_id)

    def _reset_beyond_the_head(self, account_id: str) -> None:
        resume, head = self._taken_resume(account_id), self._head(account_id)
        self.reset(account_id, resume.frame_id, f"event {resume.after} is beyond the head, {head}")

    def reset(self, account_id: str, frame_id: FrameId, reason: str) -> None:
        """Tell that nothing can be resumed, and go on live from the head."""
        head = self._head(account_id)
        self._cursors[account_id] = EventCursor(head, live=True)
        self._resumes.pop(account_id, None)
        self._outlet.send(frames.reset(account_id, frame_id, reason, head, self._epoch(account_id)))
