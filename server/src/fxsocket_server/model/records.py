"""The gateway's records: order, deal, position, as the API shows them, in integers.

Prices are points of the record's own `digits`, volumes 1e-8 lots, money minor units of the
account's currency, times UTC milliseconds. Records never change; `msgspec.structs.replace` makes
the next version.
"""

from msgspec import Struct

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


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """An instruction to trade and what has become of it.

    `closes_order_id` is the order whose part of a netted position it is to close.
    """

    id: str
    user_id: str
    account_id: str
    client_order_id: str | None
    symbol: str
    digits: int
    type: OrderType
    status: OrderStatus
    volume: int
    filled_volume: int = 0
    requested_price: int | None = None
    price: int | None = None
    stop_limit_price: int | None = None
    sl: int | None = None
    tp: int | None = None
    deviation: int | None = None
    filling: Filling
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ms: int | None = None
    magic: int = 0
    comment: str = ""
    tag: str = ""
    ticket: int | None = None
    position_id: str | None = None
    closes_order_id: str | None = None
    retcode: int | None = None
    reason: str | None = None
    cancel_requested: bool = False
    created_ms: int
    updated_ms: int


Share = tuple[str, int]  # an order's id, and how much of what it opened is open


class Position(Struct, frozen=True, kw_only=True, gc=False):
    """An entry; `profit`, `close_price` and `closed_swap` are of what was closed so far.

    `open_extra` is what a netted position's mean price has beyond points, in thousandths of one;
    `shares` are the orders that it consists of, oldest first. `continued_id` is the position in
    which the rest of a partly closed one goes on, on MT4.
    """

    id: str
    user_id: str
    account_id: str
    ticket: int
    symbol: str
    digits: int
    side: Side
    status: PositionStatus
    volume: int
    open_price: int
    close_price: int | None = None
    closed_volume: int = 0
    sl: int | None = None
    tp: int | None = None
    swap: int = 0
    closed_swap: int = 0
    commission: int = 0
    profit: int = 0
    magic: int = 0
    comment: str = ""
    order_id: str | None = None
    opened_ms: int
    updated_ms: int
    open_extra: int = 0
    shares: tuple[Share, ...] = ()
    continued_id: str | None = None


class Deal(Struct, frozen=True, kw_only=True, gc=False):
    """An execution or a balance operation; never changes."""

    id: str
    user_id: str
    account_id: str
    ticket: int
    order_id: str | None
    position_id: str | None
    symbol: str | None
    digits: int
    type: DealType
    entry: DealEntry | None
    volume: int
    price: int | None
    profit: int
    swap: int = 0
    commission: int = 0
    fee: int = 0
    magic: int = 0
    comment: str = ""
    reason: Reason | None = None
    time_ms: int
