"""Reads: pages and their cursors, times of a query string, the log's body and waiting for it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event, OrderQuery
from fxsocket_server.gateway.ports import STOPPING
from fxsocket_server.gateway.queries import (
    cursor_number,
    events_body,
    list_deals,
    list_orders,
    page_limit,
    time_parameter,
    wait_for_events,
)
from fxsocket_server.gateway.views import time_text
from fxsocket_server.model.enums import DealType, Filling, OrderStatus, OrderType
from fxsocket_server.model.records import Deal, Order

from ..api.world import Spy, on_loop


def refused(code: str, pointer: str, check: Any, *parts: Any) -> None:
    with pytest.raises(Problem) as caught:
        check(*parts)
    assert caught.value.kind.code == code
    assert [error.pointer for error in caught.value.errors] == [pointer]


# --- parameters ------------------------------------------------------------------------------


def test_a_page_has_its_limit_or_the_default() -> None:
    assert page_limit(None, 100) == 100
    assert [page_limit(limit, 100) for limit in (1, 1_000)] == [1, 1_000]
    assert page_limit(10_000, 500, 10_000) == 10_000
    for limit in (0, -1, 1_001):
        refused("validation_error", "?limit", page_limit, limit, 100)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", "1e3", " 1", "٣", "9" * 19])
def test_a_cursor_is_a_number_that_we_gave(cursor: str) -> None:
    refused("cursor_invalid", "?cursor", cursor_number, cursor)
    assert cursor_number(None) is None
    assert cursor_number("9" * 18) == 10**18 - 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T10:00:00", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T10:00:00.123Z", "2026-01-31T10:00:00.123Z"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31T10:00:00 02:00", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31 10:00:00", "2026-01-31T10:00:00.000Z"),
    ],
)
def test_a_time_without_zone_is_utc(text: str, shown: str) -> None:
    time_ms = time_parameter("from", text)
    assert time_ms is not None
    assert time_text(time_ms) == shown


def test_the_ends_of_time_are_times() -> None:
    first = time_parameter("from", "0001-01-01T00:00:00+14:00")
    last = time_parameter("to", "9999-12-31T23:59:59-14:00")
    assert first is not None
    assert last is not None
    assert first < 0 < last
    assert time_parameter("from", None) is None


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-02-30", "1798750800000", "T", "2026-01-31T25:00"]
)
def test_another_time_is_refused(text: str) -> None:
    refused("validation_error", "?from", time_parameter, "from", text)


# --- pages -----------------------------------------------------------------------------------


def order(number: int) -> Order:
    return Order(
        id=f"ord_{number}", user_id="usr_1", account_id="acc_1", client_order_id=None,
        symbol="EURUSD", digits=5, type=OrderType.BUY, status=OrderStatus.FILLED, volume=10**7,
        filling=Filling.FOK, created_ms=number, updated_ms=number,
    )  # fmt: skip


def deal(number: int) -> Deal:
    return Deal(
        id=f"deal_{number}", user_id="usr_1", account_id="acc_1", ticket=number, order_id=None,
        position_id=None, symbol=None, digits=0, type=DealType.BALANCE, entry=None, volume=0,
        price=None, profit=12_345, time_ms=number,
    )  # fmt: skip


class Rows:
    """A journal of so many orders and deals, each with its row number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def orders(self, query: OrderQuery) -> list[tuple[int, Order]]:
        """Newest first."""
        end = self.count + 1 if query.cursor is None else query.cursor
        return [(n, order(n)) for n in range(end - 1, 0, -1)][: query.limit]

    def deals(self, query: OrderQuery) -> list[tuple[int, Deal]]:
        """Oldest first."""
        start = query.cursor or 0
        return [(n, deal(n)) for n in range(start + 1, self.count + 1)][: query.limit]


def lane(count: int) -> Any:
    return SimpleNamespace(journal=Rows(count), account=SimpleNamespace(money_digits=2))


@pytest.mark.parametrize(
    ("count", "limit"), [(0, 3), (1, 3), (3, 3), (4, 3), (6, 3), (7, 3), (9, 1)]
)
@pytest.mark.parametrize("listed", [list_orders, list_deals])
def test_pages_join_into_the_whole_list(listed: Any, count: int, limit: int) -> None:
    ids: list[str] = []
    cursor = None
    pages = 0
    while True:
        page = listed(lane(count), OrderQuery(account_id="acc_1", limit=limit, cursor=cursor))
        ids += [row.id for row in page.data]
        pages += 1
        if page.next_cursor is None:
            break
        cursor = cursor_number(page.next_cursor)
    assert pages == max(1, -(-count // limit))
    numbers = [int(name.partition("_")[2]) for name in ids]
    wanted = list(range(1, count + 1))
    assert numbers == (wanted[::-1] if listed is list_orders else wanted)


def test_a_deal_s_money_is_in_units_of_its_currency() -> None:
    [row] = list_deals(lane(1), OrderQuery(account_id="acc_1", limit=5)).data
    assert row.profit == 123.45


# --- the log ---------------------------------------------------------------------------------


class Log:
    """What a lane shows of its account's log."""

    def __init__(self, count: int, published: int | None = None) -> None:
        self.account = SimpleNamespace(id="acc_1")
        self.book = SimpleNamespace(epoch="e1")
        self.published_seq = count if published is None else published
        self.journal = self
        self._rows = [
            Event("acc_1", seq, "order.filled", 1_000 * seq, b'"order":{"n":%d}' % seq)
            for seq in range(1, count + 1)
        ]

    def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Committed events above `after`."""
        return [event for event in self._rows if event.seq > after][:limit]


def page(log: Log, after: int, limit: int) -> Any:
    return msgspec.json.decode(events_body(log, after, limit))  # type: ignore[arg-type]


def test_an_event_is_a_row_with_its_thing() -> None:
    assert page(Log(1), 0, 5) == {
        "epoch": "e1",
        "head": 1,
        "data": [
            {
                "seq": 1,
                "type": "order.filled",
                "time": "1970-01-01T00:00:01.000Z",
                "order": {"n": 1},
            }
        ],
        "next_cursor": None,
    }


def test_the_log_s_pages_end_at_its_head() -> None:
    log = Log(5)
    assert [page(log, after, 2)["next_cursor"] for after in (0, 2, 4, 5)] == ["2", "4", None, None]
    assert page(Log(0), 0, 2) == {"epoch": "e1", "head": 0, "data": [], "next_cursor": None}


def test_the_head_is_not_behind_what_is_shown() -> None:
    """The journal may hold an event that was not published yet."""
    assert page(Log(5, published=3), 0, 10)["head"] == 5


def fail(topic: str, error: Exception) -> None:
    raise error


@pytest.mark.parametrize("topic", ["events.acc_1", STOPPING])
@on_loop
async def test_a_wait_ends_with_an_event_or_the_server(topic: str) -> None:
    bus = InProcessBus(fail)
    waiting = asyncio.create_task(wait_for_events(Log(3), bus, 3, 30_000))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert not waiting.done()
    bus.publish("events.acc_2", [])
    bus.publish(topic, [])
    await waiting


@pytest.mark.parametrize(("after", "wait_ms"), [(2, 30_000), (3, 0), (3, 1)])
@on_loop
async def test_a_wait_ends_at_once_or_in_time(after: int, wait_ms: float) -> None:
    bus = InProcessBus(fail)
    await wait_for_events(Log(3), bus, after, wait_ms)  # type: ignore[arg-type]


@on_loop
async def test_a_wait_leaves_the_bus(tmp_path: Path) -> None:
    bus = InProcessBus(fail)
    with Spy(bus, "subscribe") as joined:
        await wait_for_events(Log(3), bus, 3, 1)  # type: ignore[arg-type]
        assert joined.count == 2
    assert bus._subscriptions == []
