"""At most so many a second of what only its newest value matters: at once after a pause, then late.

A throttle decides when the next value may go; whoever has one reads the value at that moment.
"""


class Throttle:
    """One value's; times are monotonic milliseconds."""

    def __init__(self, per_s: float) -> None:
        self._interval_ms = 1000 / per_s
        self._free_ms = 0.0

    def wait_ms(self, now_ms: float) -> float:
        """How long the next value must wait; 0 when it may go now."""
        return max(0.0, self._free_ms - now_ms)

    def sent(self, now_ms: float) -> None:
        """A value goes out now."""
        self._free_ms = now_ms + self._interval_ms
