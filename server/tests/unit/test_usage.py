"""Usage of keys: counted by day, written down once, and not lost when the store fails."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from fxsocket_server.core.clock import ManualClock
from fxsocket_server.gateway.keys.ports import UsageRow
from fxsocket_server.gateway.keys.records import Records, day_text
from fxsocket_server.security.keys import Keyring
from fxsocket_server.security.usage import KeyUse

DAY_MS = 86_400_000


class Store:
    """Keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.fails = False
        self.used: list[dict[str, int]] = []
        self.rows: list[tuple[str, str, int, int]] = []

    def write_down(self, used_ms: Mapping[str, int], usage: list[UsageRow]) -> None:
        if self.fails:
            raise OSError("the disk is full")
        self.used.append(dict(used_ms))
        self.rows += [(row.key_id, row.day, row.requests, row.orders) for row in usage]


def parts() -> tuple[ManualClock, KeyUse, Keyring, Store, Records]:
    clock, store = ManualClock(), Store()
    use, ring = KeyUse(clock.wall_ms), Keyring(b"p", (), clock.wall_ms)
    fake: Any = store
    return clock, use, ring, store, Records(fake, clock, ring, use)


def test_counts_go_to_the_day_that_they_were_made_in() -> None:
    clock, use, _, store, records = parts()
    today = day_text(clock.wall_ms() // DAY_MS)
    for key_id in ("key_1", "key_1", "key_2"):
        use.request("usr_1", key_id)
    use.orders("usr_1", "key_1", 3)
    clock.advance(DAY_MS)
    use.request("usr_1", "key_1")
    asyncio.run(records.write_down())
    tomorrow = day_text(clock.wall_ms() // DAY_MS)
    assert sorted(store.rows) == [
        ("key_1", today, 2, 3), ("key_1", tomorrow, 1, 0), ("key_2", today, 1, 0),
    ]  # fmt: skip
    asyncio.run(records.write_down())
    assert len(store.rows) == 3


def test_what_could_not_be_written_is_counted_still() -> None:
    _, use, ring, store, records = parts()
    use.request("usr_1", "key_1")
    ring.used_ms["key_1"] = 5
    store.fails = True
    with pytest.raises(OSError, match="full"):
        asyncio.run(records.write_down())
    use.request("usr_1", "key_1")
    store.fails = False
    asyncio.run(records.write_down())
    assert [row[2] for row in store.rows] == [2]
    assert store.used == [{"key_1": 5}]
    asyncio.run(records.write_down())  # nothing is new
    assert store.used == [{"key_1": 5}]
