"""Orders and executions: a filled order, its deal, its position and the balance, as facts.

Every execution is at the market price of the newest tick, whole, and is entered into the ledger.
"""

from msgspec.structs import replace

from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.ledger import Ledger, day_end_ms
from fxsocket_server.model.enums import (
    DealEntry,
    DealType,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from fxsocket_server.model.facts import DealFact, Fact, OrderFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import div_half_away

COMMENT_CHARS = 31

_DEAL_TYPES = {Side.BUY: DealType.BUY, Side.SELL: DealType.SELL}
_ORDER_TYPES = {Side.BUY: OrderType.BUY, Side.SELL: OrderType.SELL}


# --- orders ----------------------------------------------------------------------------------


def requested_order(
    ledger: Ledger, spec: SymbolSpec, request: TradeRequest, time_ms: int
) -> OrderFact:
    """An accepted request as an order that rests; market orders are filled the same moment."""
    return OrderFact(
        ticket=ledger.take_ticket(),
        symbol=request.symbol,
        digits=spec.digits,
        type=request.type,
        status=OrderStatus.PLACED,
        volume=request.volume,
        filled_volume=0,
        price=request.price,
        filled_price=None,
        stop_limit=request.stop_limit,
        sl=request.sl,
        tp=request.tp,
        filling=request.filling,
        time_in_force=request.time_in_force,
        expires_ms=expires_ms(ledger, request, time_ms),
        magic=request.magic,
        comment=request.comment[:COMMENT_CHARS],
        position_ticket=None,
        reason=Reason.EXPERT,
        retcode=Retcode.PLACED,
        placed_ms=time_ms,
        time_ms=time_ms,
    )


def expires_ms(ledger: Ledger, request: TradeRequest, time_ms: int) -> int | None:
    """When the order says it ends: a DAY order at the end of the server's day."""
    if request.time_in_force is TimeInForce.GTC:
        return None
    if request.time_in_force is TimeInForce.DAY:
        return day_end_ms(time_ms, ledger.terms.zone)
    return request.expires_ms


def closing_order(
    ledger: Ledger,
    position: PositionFact,
    volume: int,
    *,
    reason: Reason,
    comment: str,
    magic: int,
    filling: Filling,
    time_ms: int,
) -> OrderFact:
    """The order of opposite type that closes a position; not filled yet."""
    return OrderFact(
        ticket=ledger.take_ticket(),
        symbol=position.symbol,
        digits=position.digits,
        type=_ORDER_TYPES[position.side.opposite],
        status=OrderStatus.PENDING,
        volume=volume,
        filled_volume=0,
        price=None,
        filled_price=None,
        stop_limit=None,
        sl=None,
        tp=None,
        filling=filling,
        time_in_force=TimeInForce.GTC,
        expires_ms=None,
        magic=magic,
        comment=comment[:COMMENT_CHARS],
        position_ticket=position.ticket,
        reason=reason,
        retcode=None,
        placed_ms=time_ms,
        time_ms=time_ms,
    )


# --- executions ------------------------------------------------------------------------------


def enter_market(ledger: Ledger, book: Book, order: OrderFact, time_ms: int) -> tuple[Fact, ...]:
    """Fill an order that opens a position; its ticket becomes the position's."""
    price = book.entry_price(side_of(order.type))
    filled = _filled(order, price, order.ticket, time_ms)
    position = PositionFact(
        ticket=order.ticket,
        symbol=order.symbol,
        digits=order.digits,
        side=side_of(order.type),
        volume=order.volume,
        open_price=price,
        sl=order.sl,
        tp=order.tp,
        swap=0,
        commission=0,
        magic=order.magic,
        comment=order.comment,
        order_ticket=order.ticket,
        opened_ms=time_ms,
        time_ms=time_ms,
    )
    ledger.enter_order(filled)
    ledger.enter_position(position)
    return filled, _deal(ledger, filled, DealEntry.IN), position


def leave_market(
    ledger: Ledger, book: Book, order: OrderFact, position: PositionFact, time_ms: int
) -> tuple[Fact, ...]:
    """Fill an order that closes a position or part of it, and book the result."""
    price = book.exit_price(position.side)
    filled = _filled(order, price, position.ticket, time_ms)
    profit = book.profit(position.side, order.volume, position.open_price, price)
    if profit is None:  # callers have asked the book for a fault first
        raise ValueError(f"no rate converts the profit of {order.symbol}")
    swap = div_half_away(position.swap * order.volume, position.volume)
    rest = replace(
        position,
        volume=position.volume - order.volume,
        swap=position.swap - swap,
        time_ms=time_ms,
    )
    ledger.enter_order(filled)
    ledger.enter_position(rest)
    deal = _deal(ledger, filled, DealEntry.OUT, profit, swap)
    return filled, deal, rest, *ledger.book_money(profit + swap)


def deposit(ledger: Ledger, amount: int, time_ms: int, comment: str) -> tuple[Fact, ...]:
    """Book money in (or out) as a balance deal."""
    deal = DealFact(
        ticket=ledger.take_deal_ticket(),
        order_ticket=None,
        position_ticket=None,
        symbol=None,
        digits=0,
        type=DealType.BALANCE,
        entry=None,
        volume=0,
        price=None,
        profit=amount,
        swap=0,
        commission=0,
        fee=0,
        magic=0,
        comment=comment[:COMMENT_CHARS],
        reason=None,
        time_ms=time_ms,
    )
    return deal, *ledger.book_money(amount)


def _filled(order: OrderFact, price: int, position_ticket: int, time_ms: int) -> OrderFact:
    return replace(
        order,
        status=OrderStatus.FILLED,
        filled_volume=order.volume,
        filled_price=price,
        position_ticket=position_ticket,
        retcode=Retcode.DONE,
        time_ms=time_ms,
    )


def _deal(
    ledger: Ledger, order: OrderFact, entry: DealEntry, profit: int = 0, swap: int = 0
) -> DealFact:
    return DealFact(
        ticket=ledger.take_deal_ticket(),
        order_ticket=order.ticket,
        position_ticket=order.position_ticket,
        symbol=order.symbol,
        digits=order.digits,
        type=_DEAL_TYPES[side_of(order.type)],
        entry=entry,
        volume=order.volume,
        price=order.filled_price,
        profit=profit,
        swap=swap,
        commission=0,
        fee=0,
        magic=order.magic,
        comment=order.comment,
        reason=order.reason,
        time_ms=order.time_ms,
    )
