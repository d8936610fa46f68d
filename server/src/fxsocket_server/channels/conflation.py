"""What a full reader was not sent: the newest of each kind, and how much went before it."""

from msgspec import Struct

from fxsocket_server.channels.topics import Topic

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


class LateValue(Struct, gc=False):
    """The newest frame of a topic, and which closed candles before it were left out.

    `closed` is the time of the closed candle that the frame tells, None of anything else.
    """

    frame: bytes
    closed: str | None
    first_lost: str | None = None
    last_lost: str | None = None
    lost: int = 0


class LateValues:
    """One reader's conflated values; at most one per topic that it has subscribed."""

    def __init__(self) -> None:
        self._values: dict[Topic, LateValue] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def put(self, topic: Topic, frame: bytes, closed: str | None) -> None:
        """Keep a frame instead of the one before it; a closed candle that goes is counted."""
        before = _without_frame(self._values.pop(topic, None))
        self._values[topic] = LateValue(
            frame, closed, before.first_lost, before.last_lost, before.lost
        )

    def oldest(self) -> tuple[Topic, LateValue]:
        """Take the value that has waited longest since it was put."""
        topic = next(iter(self._values))
        return topic, self._values.pop(topic)

    def abandon(self, topic: Topic) -> LateValue | None:
        """Take a topic's value as left out; None when no closed candle is lost by it."""
        left = _without_frame(self._values.pop(topic, None))
        return left if left.lost else None


def _without_frame(late: LateValue | None) -> LateValue:
    """What is lost if a value's frame is not sent."""
    if late is None or late.closed is None:
        return late or LateValue(b"", None)
    first = late.first_lost or late.closed
    return LateValue(b"", None, first, late.closed, late.lost + 1)
