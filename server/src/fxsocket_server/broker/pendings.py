"""Requests about pending orders: place, modify, remove; checked in the server's order."""

from msgspec.structs import replace

from fxsocket_server.broker import checks, deals, stops
from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.broker.stops import Refusal, is_stop
from fxsocket_server.model.enums import ExecutionMode, Filling, OrderStatus, TradeMode
from fxsocket_server.model.facts import OrderFact, Report, TradeRequest
from fxsocket_server.model.retcode import Retcode

Answer = Report | Refusal


def place(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Let a pending order rest."""
    book = ledger.books.get(request.symbol)
    if book is None:
        return checks.unknown_symbol(request.symbol)
    refusal = _place_refusal(ledger, book, request, time_ms)
    if refusal is not None:
        return refusal
    order = deals.requested_order(ledger, book.spec, request, time_ms)
    ledger.enter_order(order)
    return Report(
        retcode=Retcode.PLACED, facts=(order,), time_ms=time_ms, order_ticket=order.ticket
    )


def _place_refusal(
    ledger: Ledger, book: Book, request: TradeRequest, time_ms: int
) -> Refusal | None:
    spec, terms = book.spec, ledger.terms
    return (
        checks.type_refusal(spec, request.type, pending=True)
        or _mt4_type_refusal(ledger, request)
        or checks.stop_limit_refusal(request)
        or checks.expiration_refusal(ledger, request, time_ms)
        or _trade_mode_refusal(ledger, book, request)
        or checks.session_refusal(ledger, spec, time_ms)
        or checks.lifetime_refusal(ledger, spec, time_ms)
        or checks.filling_refusal(spec, request.type, request.filling, is_mt4=terms.is_mt4)
        or checks.trading_refusal(terms)
        or checks.price_off_refusal(book, time_ms)
        or checks.volume_refusal(spec, request.volume)
        or _levels_refusal(book, request)
        or _book_or_cancel_refusal(book, request)
        or checks.order_count_refusal(ledger)
        or (checks.position_count_refusal(ledger) if terms.hedges else None)
        or checks.book_volume_refusal(book, request.type, request.volume)
        or checks.hedge_refusal(ledger, book, side_of(request.type))
        or checks.margin_refusal(
            ledger, book, NewOrder(request.type, request.volume, request.price or 0)
        )
    )


def _mt4_type_refusal(ledger: Ledger, request: TradeRequest) -> Refusal | None:
    if not ledger.terms.is_mt4 or request.stop_limit is None:
        return None
    return Refusal(Retcode.INVALID_ORDER, "MT4 has no stop-limit orders; send a stop or a limit")


def _trade_mode_refusal(ledger: Ledger, book: Book, request: TradeRequest) -> Refusal | None:
    """A netting account may let an order rest that would do no more than close."""
    side, held = side_of(request.type), book.net()
    closes = held is not None and held.side is not side and request.volume <= held.volume
    if closes and not ledger.terms.hedges and book.spec.trade_mode is not TradeMode.DISABLED:
        return None
    return checks.trade_mode_refusal(book.spec, side)


def _book_or_cancel_refusal(book: Book, request: TradeRequest) -> Refusal | None:
    """A BOC order must not find the market there already."""
    price = request.price or 0
    if request.filling is not Filling.BOC or is_stop(request.type):
        return None
    crossed = price >= book.ask if request.type.is_buy else price <= book.bid
    if not crossed:
        return None
    text = "a BOC order would execute at once here; move its price away from the market"
    return Refusal(Retcode.REJECT, text)


def _levels_refusal(book: Book, request: TradeRequest) -> Refusal | None:
    """All prices of a pending order: on ticks, and at their distances."""
    spec, price, limit = book.spec, request.price, request.stop_limit
    if price is None:
        return Refusal(Retcode.INVALID_PRICE, f"a {request.type} order needs a price")
    sl, tp, side = request.sl, request.tp, side_of(request.type)
    own_price, digits = limit or price, spec.digits
    is_exchange = spec.execution_mode is ExecutionMode.EXCHANGE
    level = 0 if is_exchange else spec.stops_level
    free = is_exchange and not is_stop(request.type)  # a crossing limit executes at once
    return (
        checks.tick_size_refusal(spec, "price", price, Retcode.INVALID_PRICE)
        or checks.tick_size_refusal(spec, "stop_limit", limit, Retcode.INVALID_PRICE)
        or checks.stop_ticks_refusal(spec, sl, tp)
        or (None if free else _distance_refusal(book, request, price, level))
        or stops.pending_stops_refusal(
            side, price=own_price, sl=sl, tp=tp, level=level, digits=digits
        )
    )


def _distance_refusal(book: Book, request: TradeRequest, price: int, level: int) -> Refusal | None:
    return stops.pending_price_refusal(
        request.type,
        bid=book.bid,
        ask=book.ask,
        last=book.last,
        price=price,
        stop_limit=request.stop_limit,
        level=level,
        digits=book.spec.digits,
    )


def modify(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Change a resting order: SL, TP and lifetime are replaced, prices left out stay."""
    order = ledger.orders.get(request.order_ticket or 0)
    if order is None:
        return _no_order(request)
    book = ledger.books[order.symbol]
    wanted = _completed(request, order)
    changed = replace(
        order,
        price=wanted.price,
        stop_limit=wanted.stop_limit,
        sl=wanted.sl,
        tp=wanted.tp,
        time_in_force=wanted.time_in_force,
        expires_ms=deals.expires_ms(ledger, wanted, time_ms),
        time_ms=time_ms,
    )
    refusal = (
        checks.other_symbol_refusal(order, request)
        or checks.stop_limit_refusal(wanted)
        or checks.expiration_refusal(ledger, wanted, time_ms)
        or _resting_refusal(ledger, book, order, time_ms)
        or checks.partly_filled_refusal(order)
        or checks.unchanged_refusal(order, changed, "the order is what it was")
        or _levels_refusal(book, wanted)
    )
    if refusal is not None:
        return refusal
    ledger.enter_order(changed)
    return Report(
        retcode=Retcode.DONE, facts=(changed,), time_ms=time_ms, order_ticket=order.ticket
    )


def _completed(request: TradeRequest, order: OrderFact) -> TradeRequest:
    """The request as one for the order's own type; prices that it leaves out stay."""
    return replace(
        request,
        type=order.type,
        price=order.price if request.price is None else request.price,
        stop_limit=order.stop_limit if request.stop_limit is None else request.stop_limit,
    )


def remove(ledger: Ledger, request: TradeRequest, time_ms: int) -> Answer:
    """Cancel a resting order."""
    order = ledger.orders.get(request.order_ticket or 0)
    if order is None:
        return _no_order(request)
    book = ledger.books[order.symbol]
    refusal = checks.other_symbol_refusal(order, request) or _resting_refusal(
        ledger, book, order, time_ms
    )
    if refusal is not None:
        return refusal
    canceled = replace(order, status=OrderStatus.CANCELED, retcode=None, time_ms=time_ms)
    ledger.enter_order(canceled)
    return Report(
        retcode=Retcode.DONE, facts=(canceled,), time_ms=time_ms, order_ticket=order.ticket
    )


def _resting_refusal(ledger: Ledger, book: Book, order: OrderFact, time_ms: int) -> Refusal | None:
    """What forbids to touch a pending order now."""
    spec = book.spec
    return (
        checks.disabled_refusal(spec)
        or checks.session_refusal(ledger, spec, time_ms)
        or checks.trading_refusal(ledger.terms)
        or checks.price_off_refusal(book, time_ms)
        or (None if order.type.is_market else _frozen(book, order))
    )


def _frozen(book: Book, order: OrderFact) -> Refusal | None:
    return stops.pending_freeze_refusal(
        order.type,
        bid=book.bid,
        ask=book.ask,
        last=book.last,
        price=order.price or 0,
        level=book.spec.freeze_level,
        digits=book.spec.digits,
    )


def _no_order(request: TradeRequest) -> Refusal:
    text = f"order {request.order_ticket} does not rest: filled, cancelled or never placed"
    return Refusal(Retcode.INVALID_ORDER, text)
