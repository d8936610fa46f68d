"""Orders and executions: a filled order, its deal, its position and the balance, as facts.

Every execution is entered into the ledger. A deal opens a position, adds to it, takes from it, or
(netting) turns it round; which of these follows from what is held.
"""

from msgspec.structs import replace

from fxsocket_server.broker import commissions
from fxsocket_server.broker.book import EXTRA, Book, open_milli, side_of
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

DEAL_TYPES = {Side.BUY: DealType.BUY, Side.SELL: DealType.SELL}
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


def fill(
    ledger: Ledger, book: Book, order: OrderFact, time_ms: int, price: int | None = None
) -> tuple[Fact, ...]:
    """Execute what is left of an order, as far as the symbol's depth goes, and book the result.

    `price` None is the market's. What the depth leaves of an IOC order is cancelled, of others it
    rests.
    """
    left = order.volume - order.filled_volume
    depth = book.spec.depth
    is_stop = order.reason in (Reason.SL, Reason.TP, Reason.SO)
    volume = left if not depth or is_stop else min(left, depth)
    facts = execute(ledger, book, order, volume, time_ms, price)
    if volume == left or order.filling is not Filling.IOC:
        return facts
    canceled = replace(_order_of(facts), status=OrderStatus.CANCELED)
    ledger.enter_order(canceled)
    return *facts, canceled


def _order_of(facts: tuple[Fact, ...]) -> OrderFact:
    order = facts[0]
    assert isinstance(order, OrderFact)
    return order


def execute(
    ledger: Ledger,
    book: Book,
    order: OrderFact,
    volume: int,
    time_ms: int,
    price: int | None = None,
) -> tuple[Fact, ...]:
    """Execute a volume of an order at a price, the market's if None."""
    side = side_of(order.type)
    price = book.entry_price(side) if price is None else price
    held = _held(ledger, book, order)
    filled = _filled(order, volume, price, order.ticket if held is None else held.ticket, time_ms)
    if held is None or held.side is side:
        return _grow(ledger, book, filled, held, volume, price)
    return _shrink(ledger, book, filled, held, volume, price)


def _held(ledger: Ledger, book: Book, order: OrderFact) -> PositionFact | None:
    """The position that a deal of this order changes; None if it opens one."""
    if not ledger.terms.hedges:
        return book.net()
    if order.position_ticket is not None:
        return ledger.positions.get(order.position_ticket)
    return None


def _filled(
    order: OrderFact, volume: int, price: int, position_ticket: int, time_ms: int
) -> OrderFact:
    total = order.filled_volume + volume
    is_whole = total == order.volume
    if order.filled_price is not None:
        turnover = order.filled_price * order.filled_volume + price * volume
        price = div_half_away(turnover, total)
    return replace(
        order,
        status=OrderStatus.FILLED if is_whole else OrderStatus.PARTIALLY_FILLED,
        filled_volume=total,
        filled_price=price,
        position_ticket=position_ticket,
        retcode=Retcode.DONE if is_whole else Retcode.DONE_PARTIAL,
        time_ms=time_ms,
    )


def _grow(
    ledger: Ledger,
    book: Book,
    order: OrderFact,
    held: PositionFact | None,
    volume: int,
    price: int,
) -> tuple[Fact, ...]:
    """A deal that opens a position or adds to it."""
    commission = commissions.charge(ledger, book, DealEntry.IN, volume, price)
    if held is None:
        position = _opened(order, volume, price, commission)
    else:
        total = held.volume + volume
        turnover = open_milli(held) * held.volume + price * EXTRA * volume
        position = _at_price(held, div_half_away(turnover, total))
        position = replace(
            position,
            volume=total,
            sl=order.sl,
            tp=order.tp,
            commission=held.commission + commission,
            time_ms=order.time_ms,
        )
    ledger.enter_order(order)
    ledger.enter_position(position)
    deal = deal_of(ledger, order, DealEntry.IN, volume=volume, price=price, commission=commission)
    return order, deal, position, *ledger.book_money(commission)


def _opened(order: OrderFact, volume: int, price: int, commission: int) -> PositionFact:
    return PositionFact(
        ticket=order.ticket,
        symbol=order.symbol,
        digits=order.digits,
        side=side_of(order.type),
        volume=volume,
        open_price=price,
        sl=order.sl,
        tp=order.tp,
        swap=0,
        commission=commission,
        magic=order.magic,
        comment=order.comment,
        order_ticket=order.ticket,
        opened_ms=order.time_ms,
        time_ms=order.time_ms,
    )


def _at_price(position: PositionFact, milli: int) -> PositionFact:
    points = div_half_away(milli, EXTRA)
    return replace(position, open_price=points, open_extra=milli - points * EXTRA)


def _shrink(
    ledger: Ledger, book: Book, order: OrderFact, held: PositionFact, volume: int, price: int
) -> tuple[Fact, ...]:
    """A deal against a position: it takes from it, closes it, or turns it round."""
    closed = min(volume, held.volume)
    entry = DealEntry.OUT if closed == volume else DealEntry.INOUT
    profit = book.profit_of(held, closed, price)
    if profit is None:  # callers have asked the book for a fault first
        raise ValueError(f"no rate converts the profit of {order.symbol}")
    swap = div_half_away(held.swap * closed, held.volume)
    commission = commissions.charge(
        ledger, book, entry, volume, price, closed=closed, profit=profit
    )
    rest = reduced(held, closed, swap, order.time_ms, commission)
    if volume > closed:
        rest = replace(_opened(order, volume - closed, price, rest.commission), ticket=held.ticket)
    ledger.enter_order(order)
    deal = deal_of(
        ledger,
        order,
        entry,
        volume=volume,
        price=price,
        profit=profit,
        swap=swap,
        commission=commission,
    )
    changed = enter_rest(ledger, held, rest)
    return order, deal, *changed, *ledger.book_money(profit + swap + commission)


def reduced(
    held: PositionFact, volume: int, swap: int, time_ms: int, commission: int = 0
) -> PositionFact:
    """A position without a volume that was closed and the swap that went with it."""
    return replace(
        held,
        volume=held.volume - volume,
        swap=held.swap - swap,
        commission=held.commission + commission,
        time_ms=time_ms,
    )


def enter_rest(ledger: Ledger, held: PositionFact, rest: PositionFact) -> tuple[PositionFact, ...]:
    """Enter what a deal left of a position.

    On MT4 a part that stays open is a new order of its own, which says where it came from.
    """
    if not ledger.terms.is_mt4 or not 0 < rest.volume < held.volume:
        ledger.enter_position(rest)
        return (rest,)
    ticket = ledger.take_ticket()
    ended = replace(rest, volume=0, swap=0, comment=f"to #{ticket}")
    moved = replace(rest, ticket=ticket, comment=f"from #{held.ticket}")
    ledger.enter_position(ended)
    ledger.enter_position(moved)
    return ended, moved


# --- deals -----------------------------------------------------------------------------------


def deal_of(
    ledger: Ledger,
    order: OrderFact,
    entry: DealEntry,
    *,
    volume: int,
    price: int,
    profit: int = 0,
    swap: int = 0,
    commission: int = 0,
) -> DealFact:
    """The next deal, of an order that it filled."""
    return DealFact(
        ticket=ledger.take_deal_ticket(),
        order_ticket=order.ticket,
        position_ticket=order.position_ticket,
        symbol=order.symbol,
        digits=order.digits,
        type=DEAL_TYPES[side_of(order.type)],
        entry=entry,
        volume=volume,
        price=price,
        profit=profit,
        swap=swap,
        commission=commission,
        fee=0,
        magic=order.magic,
        comment=order.comment,
        reason=order.reason,
        time_ms=order.time_ms,
    )


def money_deal(
    ledger: Ledger, kind: DealType, amount: int, time_ms: int, comment: str
) -> tuple[Fact, ...]:
    """Book money in (or out) as a deal of its own; a CREDIT kind changes the credit instead."""
    deal = DealFact(
        ticket=ledger.take_deal_ticket(),
        order_ticket=None,
        position_ticket=None,
        symbol=None,
        digits=0,
        type=kind,
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
    if kind in (DealType.CREDIT, DealType.SO_COMPENSATION_CREDIT):
        return deal, *ledger.book_money(0, credit=amount)
    return deal, *ledger.book_money(amount)
