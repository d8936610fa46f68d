"""The one door to time: a monotonic clock for deadlines and a wall clock for records.

Decisions (deadlines, limits, time to live) use `monotonic_ms`, which never jumps. `wall_ms` is UTC
and only ever written down or shown. An account's own broker clock belongs to its connector.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """The process's two clocks, in milliseconds."""

    def monotonic_ms(self) -> float:
        """Milliseconds since an arbitrary start; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_ms(self) -> float:
        """Milliseconds since an arbitrary start; never goes back."""
        return time.monotonic() * 1000

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until `advance` is called, for seeded worlds and tests."""

    def __init__(self, wall_ms: int = 1_767_571_200_000) -> None:
        self._wall_ms = wall_ms
        self._elapsed_ms = 0.0

    def monotonic_ms(self) -> float:
        """Milliseconds advanced so far."""
        return self._elapsed_ms

    def wall_ms(self) -> int:
        """The start plus what was advanced, as UTC milliseconds."""
        return self._wall_ms + int(self._elapsed_ms)

    def advance(self, ms: float) -> None:
        """Move both clocks forward by `ms` (never backwards)."""
        if ms < 0:
            raise ValueError("a clock only goes forward")
        self._elapsed_ms += ms

    def set_back(self, ms: float) -> None:
        """Set the wall clock back, or forward by less than 0, as its owner may at any time."""
        self._wall_ms -= int(ms)
