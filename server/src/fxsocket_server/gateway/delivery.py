"""Answers that never reached their sender, and the retries that they serve.

A client without a key that times out sends its command again, and must not trade twice. An answer
is *undelivered* when its connection ended before the whole answer was written, or was reset after.
An equal command of the same API key then gets that answer, for a while: each undelivered answer
serves one retry, the oldest first. An answer that was delivered protects nothing, for two equal
honest commands are two commands.
"""

from collections.abc import Callable
from enum import Enum
from itertools import count

from msgspec import Struct

from fxsocket_server.core import limits

Asked = tuple[str, bytes]  # who asked what: API key and fingerprint


class _Fate(Enum):
    OPEN = 0  # the answer is not written yet
    WRITTEN = 1
    LOST = 2


class Delivery:
    """The way of one answer to its sender; told by the socket, heard by the guard."""

    __slots__ = ("_fate", "_listener")

    def __init__(self) -> None:
        self._fate = _Fate.OPEN
        self._listener: Callable[[bool], None] | None = None

    def answer_written(self) -> None:
        """The last byte of the answer has left for the client."""
        if self._fate is _Fate.OPEN:
            self._fate = _Fate.WRITTEN
            self._tell(delivered=True)

    def connection_lost(self, *, reset: bool) -> None:
        """The connection ended: before the whole answer was written, or with a reset after it."""
        if self._fate is _Fate.OPEN or (reset and self._fate is _Fate.WRITTEN):
            self._fate = _Fate.LOST
            self._tell(delivered=False)

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Be told of `True` when the answer was written, of `False` when it was lost."""
        self._listener = listener
        if self._fate is not _Fate.OPEN:
            listener(self._fate is _Fate.WRITTEN)

    def _tell(self, *, delivered: bool) -> None:
        if self._listener is not None:
            self._listener(delivered)


class Undelivered(Struct, eq=False, gc=False):
    """A command whose answer may have been lost; `number` tells the older from the newer.

    `lost_ms` and `settled_ms` (monotonic) are when its connection ended and when it had an
    outcome; `claimed` is the way to the retry that has it, `marked` says that the journal takes it
    as arrived, `void` that the command left no trace.
    """

    number: int
    command_id: str
    asked: Asked
    lost_ms: float | None = None
    settled_ms: float | None = None
    claimed: Delivery | None = None
    marked: bool = False
    void: bool = False

    def is_over(self, now_ms: float) -> bool:
        """Whether it is too late for a retry."""
        if self.lost_ms is None or self.settled_ms is None:
            return False
        return now_ms - max(self.lost_ms, self.settled_ms) > limits.UNDELIVERED_MS


class DeliveryGuard:
    """The undelivered answers of one account; decides only, on the monotonic clock it is given."""

    def __init__(self, now_ms: Callable[[], float], mark: Callable[[str, bool], None]) -> None:
        """`mark` is told of each command whether its answer has arrived, and if that changes."""
        self._now_ms = now_ms
        self._mark = mark
        self._lost: dict[Asked, list[Undelivered]] = {}
        self._open: dict[str, Undelivered] = {}  # by command id, until it is settled
        self._numbers = count(1)

    @property
    def size(self) -> int:
        """How many answers are watched or owed."""
        return len(self._open) + sum(map(len, self._lost.values()))

    def claim(self, asked: Asked, delivery: Delivery) -> Undelivered | None:
        """The oldest answer that an equal command lost, for this one retry.

        Only when it arrives there is it used up; a retry whose connection ends while it still waits
        leaves it to the next.
        """
        entry = self.oldest(asked)
        if entry is not None:
            entry.claimed = delivery
            delivery.listen(lambda delivered: self._heard_retry(entry, delivery, delivered))
        return entry

    def oldest(self, asked: Asked) -> Undelivered | None:
        """The answer that `claim` would give, left where it is."""
        self.forget_old(asked)
        return next((entry for entry in self._lost.get(asked, ()) if not entry.claimed), None)

    def release(self, entry: Undelivered, delivery: Delivery) -> None:
        """Give a claim back: the retry was not served."""
        if entry.claimed is delivery:
            entry.claimed = None

    def begin(self, command_id: str, asked: Asked, delivery: Delivery) -> None:
        """Watch a new command's answer."""
        entry = self._open[command_id] = Undelivered(next(self._numbers), command_id, asked)
        delivery.listen(lambda delivered: self._heard(entry, delivered=delivered))

    def settled(self, command_id: str) -> None:
        """A command has its outcome: from now on it runs out."""
        entry = self._open.pop(command_id, None)
        if entry is not None:
            entry.settled_ms = self._now_ms()

    def restore(self, command_id: str, asked: Asked, *, lost_ms: float, is_settled: bool) -> None:
        """An answer of before a restart, which nobody knows to have arrived."""
        settled_ms = lost_ms if is_settled else None
        entry = Undelivered(next(self._numbers), command_id, asked, lost_ms, settled_ms)
        if not is_settled:
            self._open[command_id] = entry
        self._lost.setdefault(asked, []).append(entry)

    def discard(self, command_id: str) -> None:
        """A command left no trace: it protects nothing, whatever becomes of its answer."""
        entry = self._open.pop(command_id, None)
        if entry is not None:
            entry.void = True
            self._drop(entry)

    def forget_old(self, asked: Asked | None = None) -> None:
        """Drop what runs out: of one question, or all of it."""
        now = self._now_ms()
        for key in [asked] if asked is not None else list(self._lost):
            entries = [e for e in self._lost.get(key, ()) if e.claimed or not e.is_over(now)]
            self._put(key, entries)

    def _heard_retry(self, entry: Undelivered, delivery: Delivery, delivered: bool) -> None:
        if entry.claimed is delivery:
            self._heard(entry, delivered=delivered)

    def _heard(self, entry: Undelivered, *, delivered: bool) -> None:
        if entry.void:
            return
        if delivered:
            self._drop(entry)
            self._mark(entry.command_id, True)
            entry.marked = True
            return
        if entry.marked:
            self._mark(entry.command_id, False)
            entry.marked = False
        entry.lost_ms = self._now_ms()
        entry.claimed = None
        entries = self._lost.setdefault(entry.asked, [])
        if entry not in entries:
            entries.append(entry)
            entries.sort(key=lambda entry: entry.number)

    def _drop(self, entry: Undelivered) -> None:
        entries = self._lost.get(entry.asked)
        if entries is not None:
            self._put(entry.asked, [other for other in entries if other is not entry])

    def _put(self, asked: Asked, entries: list[Undelivered]) -> None:
        if entries:
            self._lost[asked] = entries
        else:
            self._lost.pop(asked, None)
