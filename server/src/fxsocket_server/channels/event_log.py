"""Where one connection stands in one account's log of events: once, in order, without a hole.

A cursor is live, and then passes each published event on; or it is behind, and then reads the log
page by page until a short page shows that it has all that is committed. Publication may lag behind
the log, so a live cursor passes over what it has read already. What was published while a page was
on its way is remembered: the cursor stays behind until it has read that too, so the seam has no
hole.
"""

from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar


class LoggedEvent(Protocol):
    """What a cursor needs of an event; its type is `family.what`, such as `order.filled`."""

    @property
    def seq(self) -> int:
        """Position in the account's log: 1, 2, 3..."""
        ...

    @property
    def type(self) -> str:
        """What happened."""
        ...


E = TypeVar("E", bound=LoggedEvent)


class LogHole(Exception):
    """The log no longer holds the event after `after`."""

    def __init__(self, after: int) -> None:
        super().__init__(f"the log does not hold event {after + 1}")
        self.after = after


class EventCursor(Generic[E]):
    """`position` is the last event passed, sent or not; `prev_seq` the last one that was sent.

    `heard` is the last one that was published.
    """

    def __init__(self, position: int, *, live: bool) -> None:
        self.position = position
        self.heard = 0
        self.prev_seq = position
        self.live = live

    def rewind(self, after: int) -> None:
        """Go back to an event that the client names; what follows is read from the log."""
        self.position = self.prev_seq = after
        self.live = False

    def publish(self, events: Sequence[E], families: Collection[str]) -> list[tuple[E, int]]:
        """What to send of events just published, each with its `prev_seq`.

        Nothing while behind. A hole (publications lost) leaves the cursor behind.
        """
        passed: list[tuple[E, int]] = []
        for event in events:
            self.heard = event.seq
            if self.live and event.seq > self.position + 1:
                self.live = False
            if self.live and event.seq == self.position + 1:
                self._pass(event, families, passed)
        return passed

    def read(
        self, page: Sequence[E], limit: int, heard: int, families: Collection[str]
    ) -> list[tuple[E, int]]:
        """What to send of a page of the log, read above `position` with `limit` rows.

        Live after a short page, unless more was published meanwhile. `heard` is what had been
        published when the page was asked for. Raises LogHole when the page does not begin where it
        must, or does not hold what was published.
        """
        if not page and heard > self.position:
            raise LogHole(self.position)
        passed: list[tuple[E, int]] = []
        for event in page:
            if event.seq != self.position + 1:
                raise LogHole(self.position)
            self._pass(event, families, passed)
        self.live = len(page) < limit and self.position >= self.heard
        return passed

    def _pass(self, event: E, families: Collection[str], passed: list[tuple[E, int]]) -> None:
        self.position = event.seq
        if event.type.partition(".")[0] in families:
            passed.append((event, self.prev_seq))
            self.prev_seq = event.seq
