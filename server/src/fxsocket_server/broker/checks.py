"""What a broker refuses a request for, one rule a function: symbol, session, volume, limits.

Each rule answers None or a Refusal. The order in which they apply is that of their callers; where
prices may stand is told by `stops`.
"""

from msgspec.structs import replace

from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.guard import free_margin_floor
from fxsocket_server.broker.ledger import Ledger, day_end_ms
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.broker.state import AccountTerms
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import (
    ExecutionMode,
    Filling,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TradeMode,
)
from fxsocket_server.model.facts import OrderFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.server_time import DAY_MS, date_of
from fxsocket_server.model.sessions import is_open, next_open
from fxsocket_server.model.symbol import Session, SymbolSpec
from fxsocket_server.model.units import div_half_away, lots_text, text_of

_PENDING = frozenset(OrderType) - {OrderType.BUY, OrderType.SELL, OrderType.CLOSE_BY}
_DATED = frozenset((TimeInForce.SPECIFIED, TimeInForce.SPECIFIED_DAY))
_LIMIT_ENTRIES = frozenset(
    (
        OrderType.BUY_LIMIT,
        OrderType.SELL_LIMIT,
        OrderType.BUY_STOP_LIMIT,
        OrderType.SELL_STOP_LIMIT,
    )
)
_WRONG_WAY = {
    (TradeMode.LONGONLY, Side.SELL): (Retcode.LONG_ONLY, "may only be bought"),
    (TradeMode.SHORTONLY, Side.BUY): (Retcode.SHORT_ONLY, "may only be sold"),
    (TradeMode.CLOSEONLY, Side.BUY): (Retcode.CLOSE_ONLY, "is close-only: close positions"),
    (TradeMode.CLOSEONLY, Side.SELL): (Retcode.CLOSE_ONLY, "is close-only: close positions"),
}


# --- the request itself ----------------------------------------------------------------------


def unknown_symbol(symbol: str) -> Refusal:
    """No such symbol."""
    return Refusal(Retcode.INVALID, f"symbol {symbol!r} is not among the account's symbols")


def trading_refusal(terms: AccountTerms) -> Refusal | None:
    """An account on which trading is off."""
    if terms.trade_allowed:
        return None
    return Refusal(Retcode.TRADE_DISABLED, "trading is disabled on this account")


def type_refusal(spec: SymbolSpec, order_type: OrderType, pending: bool) -> Refusal | None:
    """A market action takes BUY and SELL, a pending action the six pending types."""
    if (order_type in _PENDING) != pending or order_type is OrderType.CLOSE_BY:
        wanted = "a pending order type" if pending else "BUY or SELL"
        return Refusal(Retcode.INVALID_ORDER, f"type {order_type} does not fit; send {wanted}")
    if order_type not in spec.order_types:
        allowed = ", ".join(spec.order_types)
        text = f"{spec.symbol} takes no {order_type} orders; it takes {allowed}"
        return Refusal(Retcode.INVALID_ORDER, text)
    return None


def expiration_refusal(ledger: Ledger, request: TradeRequest, time_ms: int) -> Refusal | None:
    """A dated order needs a moment that is still to come."""
    if request.time_in_force not in _DATED:
        return None
    name = request.time_in_force
    if request.expires_ms is None:
        return Refusal(Retcode.INVALID_EXPIRATION, f"{name} needs an expiration time")
    end_ms = request.expires_ms
    if name is TimeInForce.SPECIFIED_DAY:
        end_ms = day_end_ms(end_ms, ledger.terms.zone)
    if end_ms > time_ms + ledger.terms.expiration_min_ms:
        return None
    if end_ms > time_ms:
        minutes = ledger.terms.expiration_min_ms // 60_000
        text = f"the expiration is too near; orders live at least {minutes} minutes"
        return Refusal(Retcode.INVALID_EXPIRATION, text)
    now = server_text(ledger.terms.zone.to_server_ms(time_ms))
    return Refusal(
        Retcode.INVALID_EXPIRATION, f"the expiration has passed; it is {now} server time"
    )


def stop_limit_refusal(request: TradeRequest) -> Refusal | None:
    """Stop-limit orders need both prices, no other type takes the second one."""
    two_prices = request.type in (OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT)
    if two_prices and request.stop_limit is None:
        text = f"{request.type} needs stop_limit, the price of the limit order that it places"
        return Refusal(Retcode.INVALID_PRICE, text)
    if request.stop_limit is not None and not two_prices:
        return Refusal(Retcode.INVALID, f"{request.type} takes no stop_limit; leave it out")
    return None


def other_symbol_refusal(fact: OrderFact | PositionFact, request: TradeRequest) -> Refusal | None:
    """A request may leave the symbol out, but not name another than its ticket's."""
    if request.symbol in ("", fact.symbol):
        return None
    text = f"ticket {fact.ticket} is of {fact.symbol}, not {request.symbol}"
    return Refusal(Retcode.INVALID, text)


def unchanged_refusal(
    before: OrderFact | PositionFact, after: OrderFact | PositionFact, text: str
) -> Refusal | None:
    """A modification must modify something."""
    if replace(after, time_ms=before.time_ms) != before:
        return None
    return Refusal(Retcode.NO_CHANGES, text)


# --- the symbol ------------------------------------------------------------------------------


def disabled_refusal(spec: SymbolSpec) -> Refusal | None:
    """A symbol on which nothing at all may be done."""
    if spec.trade_mode is TradeMode.DISABLED:
        return Refusal(Retcode.TRADE_DISABLED, f"trading {spec.symbol} is disabled")
    return None


def trade_mode_refusal(spec: SymbolSpec, side: Side) -> Refusal | None:
    """What the trade mode says to an order that opens or increases."""
    wrong = _WRONG_WAY.get((spec.trade_mode, side))
    if wrong is not None:
        return Refusal(wrong[0], f"{spec.symbol} {wrong[1]}")
    return disabled_refusal(spec)


def session_refusal(ledger: Ledger, spec: SymbolSpec, time_ms: int) -> Refusal | None:
    """Outside the trade sessions nothing is traded or changed."""
    terms = ledger.terms
    if market_open(terms, spec, time_ms):
        return None
    server_ms = terms.zone.to_server_ms(time_ms)
    if _in_day_end(terms, server_ms):
        until = server_text(server_ms - server_ms % DAY_MS + terms.day_end_ms)
        text = f"the server is ending its day; trade from {until} server time on"
        return Refusal(Retcode.MARKET_CLOSED, text)
    if server_ms // DAY_MS in spec.holidays:
        text = f"the market of {spec.symbol} is closed: {server_text(server_ms)[:10]} is a holiday"
        return Refusal(Retcode.MARKET_CLOSED, text)
    opens = next_open(spec.trade_sessions, server_ms)
    when = f"; it opens at {server_text(opens)} server time" if opens is not None else ""
    return Refusal(Retcode.MARKET_CLOSED, f"the market of {spec.symbol} is closed{when}")


def market_open(terms: AccountTerms, spec: SymbolSpec, time_ms: int) -> bool:
    """Whether a symbol may be traded at a moment.

    Round the clock but for the end of the server's day, unless the account keeps sessions.
    """
    if not terms.sessions_apply and not terms.day_end_ms:
        return True
    server_ms = terms.zone.to_server_ms(time_ms)
    if _in_day_end(terms, server_ms):
        return False
    return not terms.sessions_apply or _in_session(spec, spec.trade_sessions, server_ms)


def quotes_open(terms: AccountTerms, spec: SymbolSpec, time_ms: int) -> bool:
    """Whether prices of a symbol come at a moment; always, unless the account keeps sessions."""
    if not terms.sessions_apply:
        return True
    return _in_session(spec, spec.quote_sessions, terms.zone.to_server_ms(time_ms))


def _in_session(spec: SymbolSpec, sessions: tuple[Session, ...], server_ms: int) -> bool:
    is_holiday = bool(spec.holidays) and server_ms // DAY_MS in spec.holidays
    return not is_holiday and is_open(sessions, server_ms)


def _in_day_end(terms: AccountTerms, server_ms: int) -> bool:
    return server_ms % DAY_MS < terms.day_end_ms


def lifetime_refusal(ledger: Ledger, spec: SymbolSpec, time_ms: int) -> Refusal | None:
    """Before its first day and after its last a symbol takes nothing that opens."""
    if spec.start_ms is not None and time_ms < spec.start_ms:
        when = server_text(ledger.terms.zone.to_server_ms(spec.start_ms))
        text = f"{spec.symbol} trades from {when} server time on"
    elif spec.expiration_ms is not None and time_ms >= spec.expiration_ms:
        when = server_text(ledger.terms.zone.to_server_ms(spec.expiration_ms))
        text = f"{spec.symbol} expired at {when} server time"
    else:
        return None
    return Refusal(Retcode.MARKET_CLOSED, text)


def price_off_refusal(book: Book, time_ms: int) -> Refusal | None:
    """No deal without a price that is new enough, nor without the rates that its money needs."""
    fault = book.fault() or _age_fault(book, time_ms)
    return Refusal(Retcode.PRICE_OFF, fault) if fault is not None else None


def _age_fault(book: Book, time_ms: int) -> str | None:
    limit_ms, age_ms = book.terms.quote_age_ms, time_ms - book.time_ms
    if not limit_ms or age_ms <= limit_ms:
        return None
    return (
        f"the newest price of {book.spec.symbol} is {age_ms // 1000} s old, at most "
        f"{limit_ms // 1000} s are allowed; wait for the next one"
    )


def filling_refusal(
    spec: SymbolSpec, order_type: OrderType, filling: Filling, *, is_mt4: bool = False
) -> Refusal | None:
    """Which filling an order may ask for; RETURN is always right for a pending one.

    FOK and IOC go by the symbol's flags, but INSTANT and REQUEST take them whatever the flags; a
    market order under MARKET execution may not be RETURN. MT4 knows no filling.
    """
    if is_mt4 or filling in _fillings(spec, order_type):
        return None
    choices = [mode for mode in spec.filling_modes if mode is not Filling.BOC]
    if not order_type.is_market:
        choices = [Filling.RETURN]
    text = f"filling {filling} does not fit a {order_type} of {spec.symbol}; send "
    return Refusal(Retcode.INVALID_FILL, text + " or ".join(choices))


def _fillings(spec: SymbolSpec, order_type: OrderType) -> set[Filling]:
    mode = spec.execution_mode
    allowed = set(spec.filling_modes) - {Filling.BOC, Filling.RETURN}
    if mode in (ExecutionMode.REQUEST, ExecutionMode.INSTANT):
        allowed |= {Filling.FOK, Filling.IOC}
    elif order_type in _LIMIT_ENTRIES and Filling.BOC in spec.filling_modes:
        allowed.add(Filling.BOC)
    if mode is not ExecutionMode.MARKET or not order_type.is_market:
        allowed.add(Filling.RETURN)
    return allowed


# --- volume and price ------------------------------------------------------------------------


def volume_refusal(spec: SymbolSpec, volume: int) -> Refusal | None:
    """An order's volume lies between minimum and maximum, on a multiple of the step."""
    text = lots_text(volume)
    if volume < spec.volume_min:
        text = f"volume {text} is below the minimum of {lots_text(spec.volume_min)}"
    elif volume > spec.volume_max:
        text = f"volume {text} is above the maximum of {lots_text(spec.volume_max)}"
    elif volume % spec.volume_step:
        below = volume - volume % spec.volume_step
        above = below + spec.volume_step
        text = (
            f"volume {text} is not a multiple of {lots_text(spec.volume_step)}; nearest "
            f"{lots_text(below)} or {lots_text(above)}"
        )
    else:
        return None
    return Refusal(Retcode.INVALID_VOLUME, text)


def close_volume_refusal(spec: SymbolSpec, volume: int, open_volume: int) -> Refusal | None:
    """No more than is open; the whole rest may be below the minimum."""
    if volume > open_volume:
        text = f"volume {lots_text(volume)} is more than the {lots_text(open_volume)} that are open"
        return Refusal(Retcode.INVALID_CLOSE_VOLUME, text)
    if volume == open_volume <= spec.volume_max:
        return None
    return volume_refusal(spec, volume)


def tick_size_refusal(
    spec: SymbolSpec, name: str, price: int | None, retcode: Retcode
) -> Refusal | None:
    """A price is positive and a multiple of the tick size."""
    if price is None or (price > 0 and price % spec.tick_size == 0):
        return None
    text, step = text_of(price, spec.digits), text_of(spec.tick_size, spec.digits)
    if price <= 0:
        return Refusal(retcode, f"{name} {text} must be above 0")
    nearest = div_half_away(price, spec.tick_size) * spec.tick_size
    fix = text_of(max(nearest, spec.tick_size), spec.digits)
    return Refusal(retcode, f"{name} {text} is not a multiple of {step}; nearest {fix}")


def stop_ticks_refusal(spec: SymbolSpec, sl: int | None, tp: int | None) -> Refusal | None:
    """SL and TP stand on the tick size."""
    return tick_size_refusal(spec, "sl", sl, Retcode.INVALID_STOPS) or tick_size_refusal(
        spec, "tp", tp, Retcode.INVALID_STOPS
    )


# --- limits and money ------------------------------------------------------------------------


def order_count_refusal(ledger: Ledger) -> Refusal | None:
    """Only so many pending orders may rest on one account."""
    limit = ledger.terms.limit_orders
    if not limit or len(ledger.orders) < limit:
        return None
    text = f"{limit} pending orders rest, the most this account allows; cancel one first"
    return Refusal(Retcode.LIMIT_ORDERS, text)


def volume_limit_refusal(
    limit: int, side: Side, open_volume: int, resting: int, volume: int
) -> Refusal | None:
    """Positions and pending orders of one direction stay within the symbol's limit (0: none)."""
    if not limit or open_volume + resting + volume <= limit:
        return None
    used, room = open_volume + resting, max(limit - open_volume - resting, 0)
    return Refusal(
        Retcode.LIMIT_VOLUME,
        f"volume {lots_text(volume)} with {lots_text(used)} already in {side} direction exceeds "
        f"the limit of {lots_text(limit)} lots; at most {lots_text(room)}",
    )


def book_volume_refusal(book: Book, order_type: OrderType, volume: int) -> Refusal | None:
    """The volume limit for one more order on a book."""
    side = side_of(order_type)
    exposure = book.exposures[side]
    limit = book.spec.volume_limit
    return volume_limit_refusal(limit, side, exposure.volume, exposure.resting, volume)


def position_count_refusal(ledger: Ledger) -> Refusal | None:
    """Only so many positions; on a hedging account pending orders count as well."""
    limit = ledger.terms.limit_positions
    used = len(ledger.positions) + (len(ledger.orders) if ledger.terms.hedges else 0)
    if not limit or used < limit:
        return None
    text = f"{used} of {limit} positions are open, the most this account allows; close one first"
    return Refusal(Retcode.LIMIT_POSITIONS, text)


def hedge_refusal(ledger: Ledger, book: Book, side: Side) -> Refusal | None:
    """Where hedging is prohibited, no entry against an open position of the symbol."""
    if not ledger.terms.hedge_prohibited or not ledger.terms.hedges:
        return None
    if not book.exposures[side.opposite].volume:
        return None
    text = f"hedging is prohibited: close the {side.opposite} positions of {book.spec.symbol}"
    return Refusal(Retcode.HEDGE_PROHIBITED, text)


def fifo_refusal(ledger: Ledger, book: Book, position: PositionFact, volume: int) -> Refusal | None:
    """By FIFO the oldest position of a symbol is closed first, and whole."""
    if not ledger.terms.fifo_close or not ledger.terms.hedges:
        return None
    oldest = min(book.positions)
    if position.ticket != oldest:
        text = f"by the FIFO rule position {oldest} of {book.spec.symbol} is to be closed first"
        return Refusal(Retcode.FIFO_CLOSE, text)
    if volume != position.volume:
        text = f"by the FIFO rule all {lots_text(position.volume)} lots are to be closed at once"
        return Refusal(Retcode.FIFO_CLOSE, text)
    return None


def close_exists_refusal(ledger: Ledger, position: PositionFact) -> Refusal | None:
    """One closing order per position at a time."""
    ticket = ledger.closing.get(position.ticket)
    if ticket is None:
        return None
    text = f"order {ticket} is closing position {position.ticket} already"
    return Refusal(Retcode.CLOSE_ORDER_EXIST, text)


def partly_filled_refusal(order: OrderFact) -> Refusal | None:
    """An order that has begun to fill is no longer what was placed, and cannot be modified."""
    if order.status is not OrderStatus.PARTIALLY_FILLED:
        return None
    text = f"order {order.ticket} has been filled in part; it can only be removed"
    return Refusal(Retcode.ORDER_CHANGED, text)


def margin_refusal(ledger: Ledger, book: Book, order: NewOrder) -> Refusal | None:
    """Free margin must cover one more order, unless it does not raise the margin.

    A type whose margin rate is 0 is not checked.
    """
    if not book.margin_rates.of_order[order.type]:
        return None
    needed = ledger.margin_needed(book, order)
    if needed <= 0 or free_margin_floor(ledger) >= needed + 1:
        return None
    free = ledger.figures().free_margin
    if needed <= free:
        return None
    terms = ledger.terms
    need, have = (text_of(amount, terms.money_digits) for amount in (needed, free))
    return Refusal(
        Retcode.NO_MONEY,
        f"{lots_text(order.volume)} lots of {book.spec.symbol} need {need} {terms.currency} of "
        f"margin, free margin is {have}; trade less or deposit",
    )


def server_text(server_ms: int) -> str:
    """A server time as MetaTrader writes it: 2025.01.06 00:05."""
    date = date_of(server_ms // DAY_MS)
    hours, minutes = divmod(server_ms % DAY_MS // 60_000, 60)
    return f"{date.year}.{date.month:02d}.{date.day:02d} {hours:02d}:{minutes:02d}"
