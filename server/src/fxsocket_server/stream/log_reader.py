"""One connection's way through the logs of its accounts: held, resumed, caught up, live."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from fxsocket_server.channels import frames
from fxsocket_server.channels.close_codes import CloseCode
from fxsocket_server.channels.event_log import EventCursor, LogHole
from fxsocket_server.channels.frames import EventFrame, FrameId
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.views import time_text
from fxsocket_server.stream.timers import Timers

_UNASKED = frozenset(("order",))


class LogUnreadable(Exception):
    """The journal could not be read now; a client that comes again may have more luck."""


class Logs(Protocol):
    """The accounts' logs as the gateway has them."""

    def epoch(self, account_id: str) -> str:
        """The log's epoch."""
        ...

    def head(self, account_id: str) -> int:
        """The last published event."""
        ...

    def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Committed events above `after`, in order; raises LogUnreadable."""
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

    def frame(self, event: Event, prev_seq: int) -> bytes:
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


class _Resume(Struct, frozen=True):
    """A resume whose seam is not reached yet."""

    after: int
    frame_id: FrameId


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
        """Events were published: send them if this connection is live."""
        account_id = batch.account_id
        cursor = self._cursors.get(account_id)
        if cursor is None:
            # Nothing was published since the connection began, or there would be a cursor.
            before = batch.events[0].seq - 1
            cursor = EventCursor(before, live=not self._is_holding)
            self._cursors[account_id] = cursor
        self._send(batch, cursor.publish(batch.events, self.families(account_id)))
        if not self._is_holding:
            self._catch_up_if_behind(account_id)

    def _send(self, batch: EventBatch, passed: list[tuple[Event, int]]) -> None:
        for event, prev_seq in passed:
            self._outlet.send(batch.frame(event, prev_seq))

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
        try:
            self._read_page(account_id)
        except LogHole as hole:
            self.reset(account_id, self._taken_resume(account_id).frame_id, str(hole))
        except LogUnreadable:
            self._give_up()
        if self._cursors[account_id].live:
            self._catching_up.discard(account_id)
        else:
            self._timers.after(0, lambda: self._catch_up(account_id))

    def _read_page(self, account_id: str) -> None:
        cursor = self._cursors[account_id]
        page = self._logs.events(account_id, cursor.position, self._page_events)
        batch = EventBatch(account_id, self._logs.epoch(account_id), page)
        self._send(batch, cursor.read(page, self._page_events, self.families(account_id)))
        if cursor.live and account_id in self._resumes:
            resume = self._taken_resume(account_id)
            epoch = self._logs.epoch(account_id)
            self._outlet.send(
                frames.resumed(account_id, resume.frame_id, resume.after, cursor.position, epoch)
            )

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
        try:
            reason = self._why_not(account_id, after, epoch)
        except LogUnreadable:
            self._give_up()
            return
        if reason is not None:
            self.reset(account_id, frame_id, reason)
            return
        cursor = self._cursors.setdefault(account_id, EventCursor(after, live=False))
        cursor.rewind(after)
        self._resumes[account_id] = _Resume(after, frame_id)
        self._catch_up_if_behind(account_id)

    def _why_not(self, account_id: str, after: int, epoch: str | None) -> str | None:
        current = self._logs.epoch(account_id)
        if epoch is not None and epoch != current:
            return f"the log's epoch is {current}, not {epoch[:64]}"
        if not self._is_logged(account_id, after):
            return f"event {after} is beyond the head, {self._logs.head(account_id)}"
        return None

    def _is_logged(self, account_id: str, seq: int) -> bool:
        # A committed event can be read over REST a moment before it is published.
        if seq <= self._logs.head(account_id):
            return True
        return bool(self._logs.events(account_id, seq - 1, 1))

    def reset(self, account_id: str, frame_id: FrameId, reason: str) -> None:
        """Tell that nothing can be resumed, and go on live from the head."""
        head = self._logs.head(account_id)
        self._cursors[account_id] = EventCursor(head, live=True)
        self._resumes.pop(account_id, None)
        self._outlet.send(
            frames.reset(account_id, frame_id, reason, head, self._logs.epoch(account_id))
        )
