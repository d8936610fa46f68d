"""Records as the API shows them: the JSON shapes of design and spec, made from integers.

Prices leave as the nearest double of points / 10**digits, volumes in lots, money in currency units,
times as ISO 8601 UTC with milliseconds.
"""

from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.model.enums import (
    DealEntry,
    DealType,
    Filling,
    OrderStatus,
    OrderType,
    PositionStatus,
    Reason,
    Side,
    TimeInForce,
)
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT, POWERS


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    # strftime would write a year before 1000 with fewer than four digits.
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat() + "."


@lru_cache(maxsize=1024)
def time_text(ms: int) -> str:
    """UTC milliseconds as `2026-11-22T21:30:00.123Z`."""
    second, part = divmod(ms, 1000)
    return f"{_second_text(second)}{part:03d}Z"


def time_or_none(ms: int | None) -> str | None:
    """The same, None where there is no time."""
    return None if ms is None else time_text(ms)


def price_number(points: int | None, digits: int) -> float | None:
    """A price in points as the nearest double, None where there is none."""
    return None if points is None else points / POWERS[digits]


class OrderView(Struct, frozen=True, gc=False):
    """Order object of API v1."""

    id: str
    account_id: str
    client_order_id: str | None
    symbol: str
    type: OrderType
    status: OrderStatus
    volume: float
    filled_volume: float
    requested_price: float | None
    price: float | None
    stop_limit_price: float | None
    sl: float | None
    tp: float | None
    deviation: int | None
    filling: Filling
    time_in_force: TimeInForce
    expires_at: str | None
    magic: int
    comment: str
    ticket: int | None
    position_id: str | None
    retcode: int | None
    retcode_name: str | None
    reason: str | None
    cancel_requested: bool
    created_at: str
    updated_at: str


_RETCODE_NAMES = {int(code): code.name for code in Retcode}


def order_view(order: Order) -> OrderView:
    """The public form of an order."""
    scale = POWERS[order.digits]
    price = order.price if order.price is not None else order.requested_price
    return OrderView(
        order.id,
        order.account_id,
        order.client_order_id,
        order.symbol,
        order.type,
        order.status,
        order.volume / LOT,
        order.filled_volume / LOT,
        None if order.requested_price is None else order.requested_price / scale,
        None if price is None else price / scale,
        None if order.stop_limit_price is None else order.stop_limit_price / scale,
        None if order.sl is None else order.sl / scale,
        None if order.tp is None else order.tp / scale,
        order.deviation,
        order.filling,
        order.time_in_force,
        None if order.expires_ms is None else time_text(order.expires_ms),
        order.magic,
        order.comment,
        order.ticket,
        order.position_id,
        order.retcode,
        None if order.retcode is None else _RETCODE_NAMES.get(order.retcode, "UNKNOWN"),
        order.reason,
        order.cancel_requested,
        time_text(order.created_ms),
        time_text(order.updated_ms),
    )


class PositionView(Struct, frozen=True, gc=False):
    """Position object of API v1."""

    id: str
    ticket: int
    account_id: str
    symbol: str
    type: Side
    volume: float
    open_price: float
    current_price: float | None
    sl: float | None
    tp: float | None
    swap: float
    profit: float
    commission: float
    magic: int
    comment: str
    opened_at: str
    order_id: str | None
    status: PositionStatus
    closed_volume: float
    closed_at: str | None


def position_view(
    position: Position, current: int | None, profit: int, money_digits: int
) -> PositionView:
    """The public form of a position at a current price (points) and profit (minor units)."""
    money = POWERS[money_digits]
    return PositionView(
        position.id,
        position.ticket,
        position.account_id,
        position.symbol,
        position.side,
        position.volume / LOT,
        position.open_price / POWERS[position.digits],
        price_number(current, position.digits),
        price_number(position.sl, position.digits),
        price_number(position.tp, position.digits),
        (position.swap + position.closed_swap) / money,
        profit / money,
        position.commission / money,
        position.magic,
        position.comment,
        time_text(position.opened_ms),
        position.order_id,
        position.status,
        position.closed_volume / LOT,
        time_text(position.updated_ms) if position.status is PositionStatus.CLOSED else None,
    )


class DealView(Struct, frozen=True, gc=False):
    """Deal object of API v1."""

    id: str
    ticket: int
    account_id: str
    order_id: str | None
    position_id: str | None
    symbol: str | None
    type: DealType
    entry: DealEntry | None
    volume: float
    price: float | None
    profit: float
    swap: float
    commission: float
    fee: float
    magic: int
    comment: str
    reason: Reason | None
    time: str


def deal_view(deal: Deal, money_digits: int) -> DealView:
    """The public form of a deal."""
    money = POWERS[money_digits]
    return DealView(
        deal.id,
        deal.ticket,
        deal.account_id,
        deal.order_id,
        deal.position_id,
        deal.symbol,
        deal.type,
        deal.entry,
        deal.volume / LOT,
        price_number(deal.price, deal.digits),
        deal.profit / money,
        deal.swap / money,
        deal.commission / money,
        deal.fee / money,
        deal.magic,
        deal.comment,
        deal.reason,
        time_text(deal.time_ms),
    )


class CloseResultView(Struct, frozen=True, gc=False):
    """What closing a position (or part of it) did; `close_order_id` is the closing order.

    `remaining_position_id` holds what is still open: on MT4 that is a new position.
    """

    id: str
    order_id: str | None
    status: PositionStatus
    closed_volume: float
    remaining_volume: float
    close_price: float | None
    profit: float
    swap: float
    commission: float
    already: bool
    close_order_id: str | None
    remaining_position_id: str | None


class BalanceView(Struct, frozen=True, gc=False):
    """Balance and credit after a balance operation or a closing deal."""

    balance: float
    credit: float
    currency: str


class ProblemView(Struct, frozen=True, omit_defaults=True, gc=False):
    """RFC 9457 problem with the members of API v1."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    retryable: bool | None = None
    errors: tuple[FieldError, ...] = ()
    retcode: int | None = None
    retcode_name: str | None = None
    order: OrderView | None = None


def problem_view(
    problem: Problem, instance: str, *, retcode: int | None = None, order: Order | None = None
) -> ProblemView:
    """The public form of a problem; a broker's refusal names its retcode and order."""
    kind = problem.kind
    return ProblemView(
        "urn:fxsocket:error:" + kind.code,
        kind.title,
        kind.status,
        kind.code,
        problem.detail,
        instance,
        kind.retryable,
        problem.errors,
        retcode,
        None if retcode is None else _RETCODE_NAMES.get(retcode, "UNKNOWN"),
        None if order is None else order_view(order),
    )
