"""How much each key has done today: counted in memory, written down now and then."""

from collections.abc import Callable

from msgspec import Struct

_DAY_MS = 86_400_000


class Count(Struct):
    """What a key did in one day."""

    user_id: str
    requests: int = 0
    orders: int = 0


class KeyUse:
    """Counts since it was last written down, by UTC day and key."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._day = -1
        self._today: dict[str, Count] = {}
        self._past: dict[tuple[int, str], Count] = {}

    def request(self, user_id: str, key_id: str) -> None:
        """A key has asked for something."""
        self._count(user_id, key_id).requests += 1

    def orders(self, user_id: str, key_id: str, count: int) -> None:
        """A key has asked to place orders."""
        self._count(user_id, key_id).orders += count

    def _count(self, user_id: str, key_id: str) -> Count:
        day = self._wall_ms() // _DAY_MS
        if day != self._day:
            self._turn(day)
        count = self._today.get(key_id)
        if count is None:
            count = self._today[key_id] = Count(user_id)
        return count

    def _turn(self, day: int) -> None:
        for key_id, count in self._today.items():
            self._add((self._day, key_id), count)
        self._today, self._day = {}, day

    def _add(self, of: tuple[int, str], more: Count) -> None:
        count = self._past.setdefault(of, Count(more.user_id))
        count.requests += more.requests
        count.orders += more.orders

    def take(self) -> dict[tuple[int, str], Count]:
        """What was counted, by day since 1970 and key; it begins anew."""
        self._turn(self._day)
        taken, self._past = self._past, {}
        return taken

    def give_back(self, taken: dict[tuple[int, str], Count]) -> None:
        """What could not be written down is counted still."""
        for of, count in taken.items():
            self._add(of, count)
