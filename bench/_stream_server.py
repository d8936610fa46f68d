"""Our own server under a market that runs as fast as it is told; all but the feed is real.

The price of each tick is the moment at which the feed gives it out (microseconds of the monotonic
clock modulo 10^10, in points), so that whoever receives it knows how long it took. Lines on
standard input set the pace: ticks a second, `flood` (as many as the readers take) or 0. Arguments
are those of `fxsocket-server`.
"""

import sys
import threading
import time

from fxsocket_server.bootstrap import accounts
from fxsocket_server.cli.app import main
from fxsocket_server.core.clock import Clock

SYMBOL = "GBPUSD"  # EURUSD stands still and can be traded meanwhile
MODULUS = 10**10
PAUSE_S = 0.1


class StampedTick:
    """A tick that is priced when it acts, not when it is asked for."""

    symbol = SYMBOL
    last = 0

    def __init__(self, wait_ms: float, time_ms: int) -> None:
        self.wait_ms = wait_ms
        self.time_ms = time_ms

    @property
    def bid(self) -> int:
        """The moment of being asked."""
        return time.monotonic_ns() // 1_000 % MODULUS + 1

    @property
    def ask(self) -> int:
        """A little more."""
        return self.bid + 8


class StampedFeed:
    """A feed at a pace that standard input sets; while it floods it waits for its readers."""

    waits_for_reader = False
    recorded = True

    def __init__(self, _generator: object, clock: Clock) -> None:
        self._clock = clock
        self.lossless = False
        self._per_s = 0.0
        self._due_s = time.monotonic()
        threading.Thread(target=self._obey, daemon=True).start()

    def _obey(self) -> None:
        for line in sys.stdin:
            self.lossless = line.strip() == "flood"
            self._due_s = time.monotonic()
            self._per_s = 0.0 if self.lossless else float(line)

    def opening(self) -> list[tuple[str, int, int]]:
        """Prices to trade at."""
        return [("EURUSD", 108_340, 108_348)]

    def next(self) -> StampedTick:
        """The next tick, due by the pace; one that is late already is due at once."""
        now_ms = self._clock.wall_ms()
        if self.lossless:
            return StampedTick(0, now_ms)
        if not self._per_s:
            return StampedTick(PAUSE_S * 1_000, now_ms)
        self._due_s += 1 / self._per_s
        return StampedTick(max(0.0, self._due_s - time.monotonic()) * 1_000, now_ms)

    def set_price(self, symbol: str, bid: int, ask: int) -> bool:
        """It cannot be steered otherwise."""
        return False

    def now_ms(self) -> int:
        """The wall clock."""
        return self._clock.wall_ms()

    def delivered(self, time_ms: int) -> None:
        """Nothing to do."""

    def checkpoint(self) -> bytes | None:
        """Nothing to keep."""
        return None


if __name__ == "__main__":
    accounts.LiveFeed = StampedFeed  # type: ignore[attr-defined,assignment]
    main()
