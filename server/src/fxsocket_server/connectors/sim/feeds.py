"""Price feeds: where a simulated account's ticks come from, and when each is due."""

from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.core.clock import Clock

_LATE_MS = 5_000  # a feed that fell behind this far goes on from now instead of rushing


class FeedTick(Struct, frozen=True, gc=False):
    """A tick and how long to wait before it is due (0: at once)."""

    wait_ms: float
    time_ms: int
    symbol: str
    bid: int
    ask: int
    last: int = 0


class Feed(Protocol):
    """A source of ticks in time order; `lossless` feeds wait for their readers."""

    lossless: bool
    waits_for_reader: bool
    recorded: bool

    def opening(self) -> list[tuple[str, int, int]]:
        """(symbol, bid, ask) that are known before the first tick."""
        ...

    def next(self) -> FeedTick | None:
        """The next tick, or None at the end."""
        ...

    def set_price(self, symbol: str, bid: int, ask: int) -> bool:
        """Put the market there; False when the feed cannot be steered."""
        ...

    def now_ms(self) -> int:
        """The feed's clock: UTC milliseconds of the account's broker time."""
        ...

    def delivered(self, time_ms: int) -> None:
        """The tick of this time has acted: a recorded feed's clock stands there now."""
        ...

    def checkpoint(self) -> bytes | None:
        """State from which the feed goes on after a restart."""
        ...


class LiveFeed:
    """The seeded generator, at the pace of the wall clock."""

    lossless = False
    waits_for_reader = False
    recorded = False

    def __init__(self, generator: PriceGenerator, clock: Clock) -> None:
        self._generator = generator
        self._clock = clock
        self._offset_ms: int | None = None

    def opening(self) -> list[tuple[str, int, int]]:
        """Where the generator's markets stand."""
        return self._generator.quotes()

    def next(self) -> FeedTick | None:
        """The next tick of the generator, in wall-clock time."""
        time_ms, symbol, bid, ask = self._generator.next_tick()
        now = self._clock.wall_ms()
        if self._offset_ms is None or time_ms + self._offset_ms < now - _LATE_MS:
            self._offset_ms = now - time_ms
        due = time_ms + self._offset_ms
        return FeedTick(max(0, due - now), due, symbol, bid, ask)

    def set_price(self, symbol: str, bid: int, ask: int) -> bool:
        """Move the generator's market there."""
        self._generator.set_price(symbol, bid, ask)
        return True

    def now_ms(self) -> int:
        """The wall clock."""
        return self._clock.wall_ms()

    def delivered(self, time_ms: int) -> None:
        """Nothing to do: the wall clock goes on by itself."""

    def checkpoint(self) -> bytes | None:
        """The generator's state."""
        return self._generator.snapshot()


class ReplayFeed:
    """Recorded ticks at a multiple of their own pace, or as fast as readers take them (speed 0)."""

    recorded = True

    def __init__(
        self,
        ticks: Callable[[], Iterator[tuple[int, str, int, int, int]]],
        first_ms: int,
        speed: float,
        clock: Clock,
    ) -> None:
        self._ticks = ticks()
        self._speed = speed
        self._clock = clock
        self._first_ms = first_ms
        self._last_ms = first_ms
        self._started_ms: float | None = None
        self.lossless = speed == 0
        self.waits_for_reader = speed == 0

    def opening(self) -> list[tuple[str, int, int]]:
        """Nothing is known before the first recorded tick."""
        return []

    def next(self) -> FeedTick | None:
        """The next recorded tick."""
        tick = next(self._ticks, None)
        if tick is None:
            return None
        return FeedTick(self._wait_ms(tick[0]), *tick)

    def _wait_ms(self, time_ms: int) -> float:
        if not self._speed:
            return 0
        now = self._clock.monotonic_ms()
        if self._started_ms is None:
            self._started_ms = now
        due = self._started_ms + (time_ms - self._first_ms) / self._speed
        return max(0.0, due - now)

    def set_price(self, symbol: str, bid: int, ask: int) -> bool:
        """A recording cannot be steered."""
        return False

    def now_ms(self) -> int:
        """The time of the last tick that acted: a replay's clock stands between ticks."""
        return self._last_ms

    def delivered(self, time_ms: int) -> None:
        """Move the clock to a tick."""
        self._last_ms = time_ms

    def checkpoint(self) -> bytes | None:
        """Replays start anew."""
        return None
