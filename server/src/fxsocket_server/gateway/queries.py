"""Reads of orders, deals and events: pages with cursors, and the long-poll of events."""

import asyncio
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event, HistoryQuery, Mark, OrderQuery
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.ports import STOPPING, Bus
from fxsocket_server.gateway.reads import open_position_view
from fxsocket_server.gateway.requests import utc_ms
from fxsocket_server.gateway.views import (
    DealView,
    OrderView,
    PositionView,
    deal_view,
    order_view,
    time_text,
)

T = TypeVar("T")
M = TypeVar("M", int, Mark)


class OrderPage(Struct, frozen=True):
    """Orders, newest first."""

    data: list[OrderView]
    next_cursor: str | None


class DealPage(Struct, frozen=True):
    """Deals, oldest first."""

    data: list[DealView]
    next_cursor: str | None


class PositionPage(Struct, frozen=True):
    """Closed positions, oldest first."""

    data: list[PositionView]
    next_cursor: str | None


def page_limit(limit: int | None, default: int, most: int = limits.PAGE_ROWS) -> int:
    """The rows of a page; raises `validation_error` outside 1..most."""
    if limit is None:
        return default
    if not 1 <= limit <= most:
        raise Problem("validation_error", f"limit must be 1 to {most}", pointer="?limit")
    return limit


def cursor_number(cursor: str | None) -> int | None:
    """The row number in a cursor; raises `cursor_invalid`."""
    return None if cursor is None else _number_of(cursor)


def cursor_mark(cursor: str | None) -> Mark | None:
    """The place in a history that a cursor names; raises `cursor_invalid`."""
    if cursor is None:
        return None
    time_ms, _, row = cursor.partition(".")
    return _number_of(time_ms), _number_of(row)


def _number_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem("cursor_invalid", "send next_cursor as it came, or none", pointer="?cursor")
    return int(text)


def time_parameter(name: str, text: str | None) -> int | None:
    """A time of the query string in UTC milliseconds: ISO 8601, without zone it is UTC."""
    if text is None:
        return None
    try:
        # A '+' of a zone arrives as a space when it was not escaped.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
    except ValueError:
        raise Problem(
            "validation_error",
            f"{name} must be an ISO 8601 time such as 2026-01-31T00:00:00Z",
            pointer="?" + name,
        ) from None
    return utc_ms(moment)


def list_orders(lane: Lane, query: OrderQuery) -> OrderPage:
    """A page of orders; the caller has waited for `lane.settled`."""
    rows, cursor = _page(lane.journal.orders(_one_more(query)), query.limit)
    return OrderPage([order_view(order) for order in rows], cursor)


def list_deals(lane: Lane, query: OrderQuery) -> DealPage:
    """A page of deals; the caller has waited for `lane.settled`."""
    rows, cursor = _page(lane.journal.deals(_one_more(query)), query.limit)
    digits = lane.account.money_digits
    return DealPage([deal_view(deal, digits) for deal in rows], cursor)


def list_done_orders(lane: Lane, query: HistoryQuery) -> OrderPage:
    """A page of done orders; the caller has waited for `lane.settled`."""
    found = lane.journal.done_orders(replace(query, limit=query.limit + 1))
    orders, cursor = _page(found, query.limit)
    return OrderPage([order_view(order) for order in orders], cursor)


def list_closed_positions(lane: Lane, query: HistoryQuery) -> PositionPage:
    """A page of closed positions; the caller has waited for `lane.settled`."""
    found = lane.journal.closed_positions(replace(query, limit=query.limit + 1))
    positions, cursor = _page(found, query.limit)
    return PositionPage([open_position_view(lane, position) for position in positions], cursor)


def _one_more(query: OrderQuery) -> OrderQuery:
    """A row past the page tells whether another page follows."""
    return replace(query, limit=query.limit + 1)


def _page(rows: list[tuple[M, T]], limit: int) -> tuple[list[T], str | None]:
    cursor = _cursor_text(rows[limit - 1][0]) if len(rows) > limit else None
    return [row for _, row in rows[:limit]], cursor


def _cursor_text(mark: int | Mark) -> str:
    return str(mark) if isinstance(mark, int) else f"{mark[0]}.{mark[1]}"


def event_row(event: Event) -> bytes:
    """An event as a JSON object of GET /events."""
    head = f'{{"seq":{event.seq},"type":"{event.type}","time":"{time_text(event.time_ms)}",'
    return head.encode() + event.payload + b"}"


async def wait_for_events(lane: Lane, bus: Bus, after: int, wait_ms: float) -> None:
    """Return once the log holds an event above `after`, the wait is over or the server stops."""
    if lane.published_seq > after or wait_ms <= 0:
        return
    arrived = asyncio.Event()
    topics = ("events." + lane.account.id, STOPPING)
    leaves = [bus.subscribe(topic, lambda _: arrived.set()) for topic in topics]
    try:
        await asyncio.wait_for(arrived.wait(), wait_ms / 1000)
    except TimeoutError:
        return
    finally:
        for leave in leaves:
            leave()


def events_body(lane: Lane, after: int, limit: int) -> bytes:
    """The answer of GET /events: the log's epoch and head, and the events above `after`."""
    events = lane.journal.events(lane.account.id, after, limit)
    head = max(lane.published_seq, events[-1].seq if events else 0)
    more = bool(events) and events[-1].seq < head
    cursor = f'"{events[-1].seq}"' if more else "null"
    rows = b",".join(event_row(event) for event in events)
    start = f'{{"epoch":"{lane.book.epoch}","head":{head},"data":['
    return start.encode() + rows + f'],"next_cursor":{cursor}}}'.encode()
