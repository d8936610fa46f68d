"""Ticks that a full reader was not sent: the newest of each symbol, and how many went before it."""

from msgspec import Struct

Key = tuple[str, str]  # account id, symbol


class LateTick(Struct, gc=False):
    """The newest tick of a symbol, and which ones before it were left out (`skipped` of them)."""

    n: int
    frame: bytes
    first_skipped: int = 0
    last_skipped: int = 0
    skipped: int = 0


class LateTicks:
    """One reader's conflated ticks; at most one per symbol that it has subscribed."""

    def __init__(self) -> None:
        self._ticks: dict[Key, LateTick] = {}

    def __bool__(self) -> bool:
        return bool(self._ticks)

    def put(self, key: Key, n: int, frame: bytes) -> None:
        """Keep a tick instead of the one before it, which is skipped."""
        before = self._ticks.pop(key, None)
        if before is None:
            self._ticks[key] = LateTick(n, frame)
            return
        self._ticks[key] = LateTick(
            n, frame, before.first_skipped or before.n, before.n, before.skipped + 1
        )

    def oldest(self) -> tuple[Key, LateTick]:
        """Take the tick that has waited longest since it was put."""
        key = next(iter(self._ticks))
        return key, self._ticks.pop(key)

    def abandon(self, key: Key) -> LateTick | None:
        """Take a symbol's tick as one more that was skipped; None when nothing of it is late."""
        late = self._ticks.pop(key, None)
        if late is None:
            return None
        first = late.first_skipped or late.n
        return LateTick(late.n, late.frame, first, late.n, late.skipped + 1)
