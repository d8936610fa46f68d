"""Rate limits by GCRA: one timestamp per bucket says how far ahead of its rate a key is."""

from msgspec import Struct

_ROUNDING_MS = 1e-6  # what many small float steps may add up to


class Verdict(Struct, frozen=True, gc=False):
    """Whether a request passes, what is left of the burst, and the waits in seconds.

    `reset_s` is until one more passes (0 when one passed), `full_s` until the burst is whole again.
    """

    allowed: bool
    remaining: int
    reset_s: float
    full_s: float


class RateLimiter:
    """One plan (rate and burst) for many keys, on the monotonic clock."""

    def __init__(self, per_s: float, burst: int) -> None:
        self.per_s = per_s
        self.burst = burst
        self._interval_ms = 1000 / per_s
        self._tolerance_ms = self._interval_ms * burst
        self._arrival_ms: dict[str, float] = {}

    def take(self, key_id: str, now_ms: float) -> Verdict:
        """Count one request of a key at a monotonic time."""
        arrival = max(self._arrival_ms.get(key_id, 0.0), now_ms)
        ahead = arrival + self._interval_ms - now_ms
        if ahead > self._tolerance_ms + _ROUNDING_MS:
            wait_ms = ahead - self._tolerance_ms
            full_ms = ahead - self._interval_ms - _ROUNDING_MS
            return Verdict(False, 0, wait_ms / 1000, full_ms / 1000)
        self._arrival_ms[key_id] = arrival + self._interval_ms
        remaining = int((self._tolerance_ms - ahead + _ROUNDING_MS) / self._interval_ms)
        return Verdict(True, remaining, 0.0, ahead / 1000)
