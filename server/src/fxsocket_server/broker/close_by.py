"""Close by: two opposite positions of one symbol close each other, without the market."""

from msgspec.structs import replace

from fxsocket_server.broker import checks, commissions, deals
from fxsocket_server.broker.book import Book
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.positions import no_position, position_frozen
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import (
    DealEntry,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
)
from fxsocket_server.model.facts import (
    DealFact,
    Fact,
    OrderFact,
    PositionFact,
    Report,
    TradeRequest,
)
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import div_half_away


def close_by(ledger: Ledger, request: TradeRequest, time_ms: int) -> Report | Refusal:
    """Close a position by another one: the smaller volume of both, each at the other's price."""
    position = ledger.positions.get(request.position_ticket or 0)
    if position is None:
        return no_position(request)
    other = ledger.positions.get(request.position_by or 0)
    if other is None:
        return no_position(replace(request, position_ticket=request.position_by))
    book = ledger.books[position.symbol]
    refusal = _refusal(ledger, book, position, other, time_ms)
    if refusal is not None:
        return refusal
    return _closed(ledger, book, position, other, request, time_ms)


def _refusal(
    ledger: Ledger, book: Book, position: PositionFact, other: PositionFact, time_ms: int
) -> Refusal | None:
    return (
        _pair_refusal(ledger, position, other)
        or checks.disabled_refusal(book.spec)
        or checks.session_refusal(ledger, book.spec, time_ms)
        or checks.trading_refusal(ledger.terms)
        or checks.price_off_refusal(book, time_ms)
        or checks.close_exists_refusal(ledger, position)
        or checks.close_exists_refusal(ledger, other)
        or position_frozen(book, position)
        or position_frozen(book, other)
    )


def _pair_refusal(ledger: Ledger, position: PositionFact, other: PositionFact) -> Refusal | None:
    book = ledger.books[position.symbol]
    if not ledger.terms.hedges or not book.spec.close_by:
        text = f"{position.symbol} positions cannot be closed by one another; close each of them"
    elif position.symbol != other.symbol:
        text = f"positions of {position.symbol} and {other.symbol} cannot close each other"
    elif position.side is other.side:
        text = f"both positions are {position.side}; name two of opposite direction"
    elif ledger.terms.fifo_close and min(book.positions) not in (position.ticket, other.ticket):
        text = f"by the FIFO rule position {min(book.positions)} is to be closed first"
        return Refusal(Retcode.FIFO_CLOSE, text)
    else:
        return None
    return Refusal(Retcode.INVALID, text)


def _closed(
    ledger: Ledger,
    book: Book,
    position: PositionFact,
    other: PositionFact,
    request: TradeRequest,
    time_ms: int,
) -> Report:
    volume = min(position.volume, other.volume)
    order = _order(ledger, position, other, volume, request, time_ms)
    profit = book.profit_of(position, volume, other.open_price) or 0
    commission = commissions.charge_close_by(
        ledger, book, volume, (other.open_price, position.open_price), profit
    )
    swaps = [div_half_away(held.swap * volume, held.volume) for held in (position, other)]
    ledger.enter_order(order)
    first = replace(
        _deal(ledger, order, position, volume, other.open_price),
        profit=profit, swap=swaps[0], commission=commission,
    )  # fmt: skip
    second = replace(_deal(ledger, order, other, volume, position.open_price), swap=swaps[1])
    rests = (
        *deals.enter_rest(
            ledger, position, deals.reduced(position, volume, swaps[0], time_ms, commission)
        ),
        *deals.enter_rest(ledger, other, deals.reduced(other, volume, swaps[1], time_ms)),
    )
    facts: tuple[Fact, ...] = (
        order,
        first,
        second,
        *rests,
        *ledger.book_money(profit + sum(swaps) + commission),
    )
    return Report(retcode=Retcode.DONE, facts=facts, time_ms=time_ms, order_ticket=order.ticket)


def _order(
    ledger: Ledger,
    position: PositionFact,
    other: PositionFact,
    volume: int,
    request: TradeRequest,
    time_ms: int,
) -> OrderFact:
    comment = request.comment or f"close #{position.ticket} by #{other.ticket}"
    order = deals.closing_order(
        ledger,
        position,
        volume,
        reason=Reason.EXPERT,
        comment=comment,
        magic=request.magic,
        filling=Filling.FOK,
        time_ms=time_ms,
    )
    return replace(
        order,
        type=OrderType.CLOSE_BY,
        status=OrderStatus.FILLED,
        filled_volume=volume,
        filled_price=other.open_price,
        retcode=Retcode.DONE,
    )


def _deal(
    ledger: Ledger, order: OrderFact, position: PositionFact, volume: int, price: int
) -> DealFact:
    deal = deals.deal_of(ledger, order, DealEntry.OUT_BY, volume=volume, price=price)
    side: Side = position.side.opposite
    return replace(deal, type=deals.DEAL_TYPES[side], position_ticket=position.ticket)
