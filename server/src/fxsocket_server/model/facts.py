"""What gateway and terminals say to each other: trade requests, reports and facts.

A fact is the full state of one thing at the broker, keyed by the broker's own number (ticket), so
that applying it twice changes nothing. Units as in `model.records`.
"""

from enum import StrEnum

from msgspec import Struct

from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import (
    Action,
    DealEntry,
    DealType,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)


class TradeRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One request to the broker (MqlTradeRequest).

    `tag` finds its command again at the terminal; a `comment` begins with it.
    """

    action: Action
    command_id: str
    tag: str = ""
    deadline_ms: float
    symbol: str = ""
    type: OrderType = OrderType.BUY
    volume: int = 0
    price: int | None = None
    stop_limit: int | None = None
    sl: int | None = None
    tp: int | None = None
    deviation: int | None = None
    filling: Filling = Filling.FOK
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ms: int | None = None
    magic: int = 0
    comment: str = ""
    order_ticket: int | None = None
    position_ticket: int | None = None
    position_by: int | None = None


class OrderFact(Struct, frozen=True, kw_only=True, tag_field="fact", tag="order", gc=False):
    """An order at the broker; `filled_price` is the volume-weighted price of its deals."""

    ticket: int
    symbol: str
    digits: int
    type: OrderType
    status: OrderStatus
    volume: int
    filled_volume: int
    price: int | None
    filled_price: int | None
    stop_limit: int | None
    sl: int | None
    tp: int | None
    filling: Filling
    time_in_force: TimeInForce
    expires_ms: int | None
    magic: int
    comment: str
    position_ticket: int | None
    reason: Reason
    retcode: int | None
    placed_ms: int
    time_ms: int


class DealFact(Struct, frozen=True, kw_only=True, tag_field="fact", tag="deal", gc=False):
    """An execution or balance operation at the broker."""

    ticket: int
    order_ticket: int | None
    position_ticket: int | None
    symbol: str | None
    digits: int
    type: DealType
    entry: DealEntry | None
    volume: int
    price: int | None
    profit: int
    swap: int
    commission: int
    fee: int
    magic: int
    comment: str
    reason: Reason | None
    time_ms: int


class PositionFact(Struct, frozen=True, kw_only=True, tag_field="fact", tag="position", gc=False):
    """A position at the broker; `volume` 0 says that it is closed.

    The mean price of a netted position is `open_price` and `open_extra` thousandths of a point.
    """

    ticket: int
    symbol: str
    digits: int
    side: Side
    volume: int
    open_price: int
    sl: int | None
    tp: int | None
    swap: int
    commission: int
    magic: int
    comment: str
    order_ticket: int
    opened_ms: int
    time_ms: int
    open_extra: int = 0


class BalanceFact(Struct, frozen=True, kw_only=True, tag_field="fact", tag="balance", gc=False):
    """The account's balance and credit after the facts before it."""

    balance: int
    credit: int


Fact = OrderFact | DealFact | PositionFact | BalanceFact


class Report(Struct, frozen=True, kw_only=True, gc=False):
    """The broker's answer to one trade request: its retcode and the facts it caused."""

    retcode: int
    facts: tuple[Fact, ...]
    time_ms: int
    order_ticket: int | None = None
    comment: str = ""


class CheckResult(Struct, frozen=True, kw_only=True, gc=False):
    """What a trade request would lead to (MqlTradeCheckResult): retcode 0 says that it may be sent.

    `figures` are the account's money after it; of a refused request, as it stands now.
    """

    retcode: int
    comment: str
    figures: AccountFigures
    margin_needed: int = 0


class LookupState(StrEnum):
    """What a terminal knows of a tag."""

    DONE = "DONE"  # carried out or refused: the report says which
    STARTED = "STARTED"  # begun; what came of it is not known there either
    NONE = "NONE"  # not begun, and from now on it never will be


class Lookup(Struct, frozen=True, kw_only=True, gc=False):
    """A terminal's answer to the question what became of a command."""

    state: LookupState
    report: Report | None = None


class TerminalHistory(Struct, frozen=True, kw_only=True):
    """Orders that are done and deals, oldest first."""

    orders: tuple[OrderFact, ...] = ()
    deals: tuple[DealFact, ...] = ()


class TerminalSnapshot(Struct, frozen=True, kw_only=True):
    """All that a terminal holds now: what reconciliation compares against."""

    time_ms: int
    balance: int
    credit: int
    orders: tuple[OrderFact, ...]
    positions: tuple[PositionFact, ...]


class Quote(Struct, frozen=True, gc=False):
    """The newest price of a symbol, in points, at a broker time in UTC milliseconds.

    `last` is the price of the last trade, 0 where none is known.
    """

    symbol: str
    time_ms: int
    bid: int
    ask: int
    last: int = 0
