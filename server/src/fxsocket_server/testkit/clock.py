"""The clocks of a simulated world: one time for all, and a wall clock that may be set."""

from fxsocket_server.testkit.loop import SimLoop

MONDAY_MS = 1_767_571_200_000  # 2026-01-05 00:00 UTC


class WallClock:
    """What time the machine believes it is; `jump_ms` is how far somebody has set it."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.jump_ms = 0

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return MONDAY_MS + self.jump_ms + int(self._loop.time() * 1000)


class SimClock:
    """The clocks of one process; its monotonic one starts anywhere, as a machine's does."""

    def __init__(self, loop: SimLoop, wall: WallClock, origin_ms: int) -> None:
        self._loop = loop
        self._wall = wall
        self._origin_ms = origin_ms

    def monotonic_ms(self) -> float:
        """Milliseconds since an arbitrary start; never goes back."""
        return self._origin_ms + self._loop.time() * 1000

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC, as far as the machine knows."""
        return self._wall.now_ms()
