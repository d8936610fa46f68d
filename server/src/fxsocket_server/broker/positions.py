"""Requests about positions: open, close, change SL and TP; checked in the server's order."""

from msgspec.structs import replace

from fxsocket_server.broker import checks, deals, stops
from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import Reason, Side
from fxsocket_server.model.facts import PositionFact, Report, TradeRequest
from fxsocket_server.model.retcode import Retcode

Answer = Report | Refusal


def deal(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Open a position, or close one (or part of it) when the request names its ticket."""
    if request.position_ticket is not None:
        return _close(ledger, request, time_ms)
    book = ledger.books.get(request.symbol)
    if book is None:
        return checks.unknown_symbol(request.symbol)
    refusal = _open_refusal(ledger, book, request, time_ms)
    if refusal is not None:
        return refusal
    order = deals.requested_order(ledger, book.spec, request, time_ms)
    facts = deals.enter_market(ledger, book, order, time_ms)
    return Report(retcode=Retcode.DONE, facts=facts, time_ms=time_ms, order_ticket=order.ticket)


def _open_refusal(
    ledger: Ledger, book: Book, request: TradeRequest, time_ms: int
) -> Refusal | None:
    spec, side, sl, tp = book.spec, side_of(request.type), request.sl, request.tp
    return (
        checks.type_refusal(spec, request.type, pending=False)
        or checks.stop_limit_refusal(request)
        or checks.trade_mode_refusal(spec, side)
        or checks.session_refusal(ledger, spec, time_ms)
        or checks.price_off_refusal(book)
        or checks.filling_refusal(spec, request.type, request.filling)
        or checks.volume_refusal(spec, request.volume)
        or checks.stop_ticks_refusal(spec, sl, tp)
        or _stops_refusal(book, side, sl, tp)
        or checks.book_volume_refusal(book, request.type, request.volume)
        or checks.margin_refusal(ledger, book, side, request.volume)
    )


def _close(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    position = ledger.positions.get(request.position_ticket or 0)
    if position is None:
        return _no_position(request)
    book = ledger.books[position.symbol]
    refusal = _close_refusal(ledger, book, position, request, time_ms)
    if refusal is not None:
        return refusal
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
    facts = deals.leave_market(ledger, book, order, position, time_ms)
    return Report(retcode=Retcode.DONE, facts=facts, time_ms=time_ms, order_ticket=order.ticket)


def _close_refusal(
    ledger: Ledger, book: Book, position: PositionFact, request: TradeRequest, time_ms: int
) -> Refusal | None:
    spec = book.spec
    return (
        checks.other_symbol_refusal(position, request)
        or _same_direction(position, request)
        or checks.disabled_refusal(spec)
        or checks.session_refusal(ledger, spec, time_ms)
        or checks.price_off_refusal(book)
        or checks.filling_refusal(spec, request.type, request.filling)
        or checks.close_volume_refusal(spec, request.volume, position.volume)
        or _position_frozen(book, position)
    )


def _same_direction(position: PositionFact, request: TradeRequest) -> Refusal | None:
    opposite = position.side.opposite
    if request.type.value == opposite.value:
        return None
    text = f"a {position.side} position is closed by {opposite}, not {request.type}"
    return Refusal(Retcode.INVALID, text)


def sltp(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Set the SL and TP of a position; what the request leaves out is removed."""
    position = ledger.positions.get(request.position_ticket or 0)
    if position is None:
        return _no_position(request)
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
        or checks.price_off_refusal(book)
        or checks.unchanged_refusal(position, changed, "sl and tp are what they were")
        or checks.stop_ticks_refusal(spec, sl, tp)
        or _stops_refusal(book, position.side, sl, tp)
        or _position_frozen(book, position)
    )


def _stops_refusal(book: Book, side: Side, sl: int | None, tp: int | None) -> Refusal | None:
    return stops.position_stops_refusal(
        side,
        bid=book.bid,
        ask=book.ask,
        sl=sl,
        tp=tp,
        level=book.spec.stops_level,
        digits=book.spec.digits,
    )


def _position_frozen(book: Book, position: PositionFact) -> Refusal | None:
    return stops.position_freeze_refusal(
        position.side,
        bid=book.bid,
        ask=book.ask,
        sl=position.sl,
        tp=position.tp,
        level=book.spec.freeze_level,
        digits=book.spec.digits,
    )


def _no_position(request: TradeRequest) -> Refusal:
    text = f"position {request.position_ticket} is closed or was never open"
    return Refusal(Retcode.POSITION_CLOSED, text)
