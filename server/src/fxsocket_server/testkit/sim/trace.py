"""What happened in a world, in order: its hash tells whether two runs were the same."""

import hashlib
from collections import deque
from collections.abc import Callable

from msgspec import Struct

_LINES_KEPT = 4_000


class Trace:
    """Every event of a run goes into the hash; the last ones are kept to be read."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._hash = hashlib.blake2b(digest_size=16)
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self.marks: dict[str, int] = {}

    def note(self, what: str) -> None:
        """Something happened now."""
        line = f"{self._now_s():10.4f} {what}"
        self._hash.update(line.encode())
        self.lines.append(line)

    def mark(self, name: str) -> None:
        """A path that the tests must have come along was taken."""
        self.marks[name] = self.marks.get(name, 0) + 1

    def digest(self) -> str:
        """The hash of all that happened."""
        return self._hash.hexdigest()


class Violation(Struct, frozen=True):
    """A promise that was broken: which (I1, I2...) and how."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"
