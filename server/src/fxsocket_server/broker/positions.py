"""Requests about positions: open, close, change SL and TP; checked in the server's order."""

from msgspec.structs import replace

from fxsocket_server.broker import checks, deals, quoting, stops
from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import ExecutionMode, OrderStatus, Reason, Side
from fxsocket_server.model.facts import Fact, OrderFact, PositionFact, Report, TradeRequest
from fxsocket_server.model.retcode import Retcode

Answer = Report | Refusal


def deal(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Open a position, or close one (or part of it) when the request names its ticket.

    On a netting account a deal against the position takes from it, ticket or not.
    """
    if request.position_ticket is not None:
        return _close(ledger, request, time_ms)
    book = ledger.books.get(request.symbol)
    if book is None:
        return checks.unknown_symbol(request.symbol)
    held = None if ledger.terms.hedges else book.net()
    against = held is not None and held.side is not side_of(request.type)
    if held is not None and against and request.volume <= held.volume:
        return _close(ledger, replace(request, position_ticket=held.ticket), time_ms)
    return _open(ledger, book, request, time_ms)


def _open(ledger: Ledger, book: Book, request: TradeRequest, time_ms: int) -> Answer:
    refusal = _open_refusal(ledger, book, request, time_ms)
    price = refusal or quoting.deal_price(book, request, time_ms)
    if isinstance(price, Refusal):
        return price
    refusal = _size_refusal(ledger, book, request, price)
    if refusal is not None:
        return refusal
    order = deals.requested_order(ledger, book.spec, request, time_ms)
    return done(deals.fill(ledger, book, order, time_ms, price), time_ms)


def done(facts: tuple[Fact, ...], time_ms: int) -> Report:
    """The report of an execution: done, or done in part."""
    order = facts[0]
    assert isinstance(order, OrderFact)
    whole = order.status is OrderStatus.FILLED
    return Report(
        retcode=Retcode.DONE if whole else Retcode.DONE_PARTIAL,
        facts=facts,
        time_ms=time_ms,
        order_ticket=order.ticket,
    )


def _open_refusal(
    ledger: Ledger, book: Book, request: TradeRequest, time_ms: int
) -> Refusal | None:
    spec, side = book.spec, side_of(request.type)
    return (
        checks.type_refusal(spec, request.type, pending=False)
        or checks.stop_limit_refusal(request)
        or checks.trade_mode_refusal(spec, side)
        or checks.session_refusal(ledger, spec, time_ms)
        or checks.lifetime_refusal(ledger, spec, time_ms)
        or checks.filling_refusal(spec, request.type, request.filling, is_mt4=ledger.terms.is_mt4)
        or checks.trading_refusal(ledger.terms)
        or checks.price_off_refusal(book, time_ms)
        or checks.volume_refusal(spec, request.volume)
    )


def _size_refusal(ledger: Ledger, book: Book, request: TradeRequest, price: int) -> Refusal | None:
    spec, side, sl, tp = book.spec, side_of(request.type), request.sl, request.tp
    return (
        checks.stop_ticks_refusal(spec, sl, tp)
        or _stops_refusal(book, side, sl, tp)
        or (checks.position_count_refusal(ledger) if _adds_one(ledger, book) else None)
        or checks.book_volume_refusal(book, request.type, request.volume)
        or checks.hedge_refusal(ledger, book, side)
        or quoting.depth_refusal(book, request.filling, request.volume)
        or checks.margin_refusal(ledger, book, NewOrder(request.type, request.volume, price))
    )


def _adds_one(ledger: Ledger, book: Book) -> bool:
    return ledger.terms.hedges or not book.positions


# --- closing ---------------------------------------------------------------------------------


def _close(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    position = ledger.position(request)
    if position is None:
        return no_position(request)
    book = ledger.books[position.symbol]
    refusal = _close_refusal(ledger, book, position, request, time_ms)
    price = refusal or quoting.deal_price(book, request, time_ms)
    if isinstance(price, Refusal):
        return price
    order = deals.closing_order(
        ledger,
        position,
        request.volume,
        reason=Reason.EXPERT,
        comment=request.comment,
        magic=request.magic,
        filling=request.filling,
        time_ms=time_ms,
    )
    return done(deals.fill(ledger, book, order, time_ms, price), time_ms)


def _close_refusal(
    ledger: Ledger, book: Book, position: PositionFact, request: TradeRequest, time_ms: int
) -> Refusal | None:
    spec, terms = book.spec, ledger.terms
    return (
        checks.other_symbol_refusal(position, request)
        or _same_direction(position, request)
        or checks.disabled_refusal(spec)
        or checks.session_refusal(ledger, spec, time_ms)
        or checks.filling_refusal(spec, request.type, request.filling, is_mt4=terms.is_mt4)
        or checks.trading_refusal(terms)
        or checks.price_off_refusal(book, time_ms)
        or checks.close_volume_refusal(spec, request.volume, position.volume)
        or checks.close_exists_refusal(ledger, position)
        or position_frozen(book, position)
        or checks.fifo_refusal(ledger, book, position, request.volume)
        or quoting.depth_refusal(book, request.filling, request.volume)
    )


def _same_direction(position: PositionFact, request: TradeRequest) -> Refusal | None:
    opposite = position.side.opposite
    if request.type.value == opposite.value:
        return None
    text = f"a {position.side} position is closed by {opposite}, not {request.type}"
    return Refusal(Retcode.INVALID, text)


# --- SL and TP -------------------------------------------------------------------------------


def sltp(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Set the SL and TP of a position; what the request leaves out is removed."""
    position = ledger.position(request)
    if position is None:
        return no_position(request)
    book = ledger.books[position.symbol]
    changed = replace(position, sl=request.sl, tp=request.tp, time_ms=time_ms)
    refusal = _sltp_refusal(ledger, book, position, changed, request)
    if refusal is not None:
        return refusal
    ledger.enter_position(changed)
    return Report(retcode=Retcode.DONE, facts=(changed,), time_ms=time_ms)


def _sltp_refusal(
    ledger: Ledger,
    book: Book,
    position: PositionFact,
    changed: PositionFact,
    request: TradeRequest,
) -> Refusal | None:
    spec, sl, tp = book.spec, changed.sl, changed.tp
    return (
        checks.other_symbol_refusal(position, request)
        or checks.disabled_refusal(spec)
        or checks.session_refusal(ledger, spec, changed.time_ms)
        or checks.trading_refusal(ledger.terms)
        or checks.price_off_refusal(book, changed.time_ms)
        or checks.unchanged_refusal(position, changed, "sl and tp are what they were")
        or checks.stop_ticks_refusal(spec, sl, tp)
        or _stops_refusal(book, position.side, sl, tp)
        or position_frozen(book, position)
    )


def _stops_refusal(book: Book, side: Side, sl: int | None, tp: int | None) -> Refusal | None:
    """Where SL and TP may stand; an exchange has no stops level."""
    is_exchange = book.spec.execution_mode is ExecutionMode.EXCHANGE
    return stops.position_stops_refusal(
        side,
        bid=book.bid,
        ask=book.ask,
        last=book.last,
        sl=sl,
        tp=tp,
        level=0 if is_exchange else book.spec.stops_level,
        digits=book.spec.digits,
    )


def position_frozen(book: Book, position: PositionFact) -> Refusal | None:
    """A position whose SL or TP the market is about to reach stays as it is."""
    return stops.position_freeze_refusal(
        position.side,
        bid=book.bid,
        ask=book.ask,
        last=book.last,
        sl=position.sl,
        tp=position.tp,
        level=book.spec.freeze_level,
        digits=book.spec.digits,
    )


def no_position(request: TradeRequest) -> Refusal:
    """No such position, at least not any more."""
    text = f"position {request.position_ticket} is closed or was never open"
    return Refusal(Retcode.POSITION_CLOSED, text)
