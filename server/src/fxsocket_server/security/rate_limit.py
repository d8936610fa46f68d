"""Rate limits by GCRA: one timestamp per bucket says how far ahead of its rate a key is."""

from itertools import islice
from math import ceil

from msgspec import Struct

from fxsocket_server.core import limits

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
    """One plan (rate and burst) for many keys, on the monotonic clock.

    At most `keys_max` are remembered: a bucket that is whole again is like one never used, and the
    least recently used makes room for a new one.
    """

    def __init__(self, per_s: float, burst: int, keys_max: int = limits.RATE_KEYS) -> None:
        self.per_s = per_s
        self.burst = burst
        self._interval_ms = 1000 / per_s
        self._tolerance_ms = self._interval_ms * burst
        self._keys_max = keys_max
        self._arrival_ms: dict[str, float] = {}  # least recently used first

    @property
    def known(self) -> int:
        """How many keys are remembered."""
        return len(self._arrival_ms)

    @property
    def window_s(self) -> int:
        """Seconds in which an empty bucket fills."""
        return ceil(self.burst / self.per_s)

    def take(self, key_id: str, now_ms: float) -> Verdict:
        """Count one request of a key at a monotonic time."""
        known = self._arrival_ms.pop(key_id, None)
        if known is None:
            self._make_room(now_ms)
        arrival = now_ms if known is None or known < now_ms else known
        ahead = arrival + self._interval_ms - now_ms
        if ahead > self._tolerance_ms + _ROUNDING_MS:
            self._arrival_ms[key_id] = arrival
            wait_ms = ahead - self._tolerance_ms
            full_ms = ahead - self._interval_ms - _ROUNDING_MS
            return Verdict(False, 0, wait_ms / 1000, full_ms / 1000)
        self._arrival_ms[key_id] = arrival + self._interval_ms
        remaining = int((self._tolerance_ms - ahead + _ROUNDING_MS) / self._interval_ms)
        return Verdict(True, remaining, 0.0, ahead / 1000)

    def _make_room(self, now_ms: float) -> None:
        """Forget the two least recently used, if whole again; at the bound in any case."""
        for oldest in list(islice(self._arrival_ms, 2)):
            if self._arrival_ms[oldest] <= now_ms or self.known >= self._keys_max:
                del self._arrival_ms[oldest]
