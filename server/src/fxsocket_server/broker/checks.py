"""What a broker refuses a request for, one rule a function: symbol, session, volume, limits.

Each rule answers None or a Refusal. The order in which they apply is that of their callers; where
prices may stand is told by `stops`.
"""

from msgspec.structs import replace

from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.ledger import Ledger, day_end_ms
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import Filling, OrderType, Side, TimeInForce, TradeMode
from fxsocket_server.model.facts import OrderFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.server_time import DAY_MS, date_of
from fxsocket_server.model.sessions import is_open, next_open
from fxsocket_server.model.symbol import SymbolSpec
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
    if end_ms > time_ms:
        return None
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
    if not ledger.terms.sessions_apply:
        return None
    server_ms = ledger.terms.zone.to_server_ms(time_ms)
    if is_open(spec.trade_sessions, server_ms):
        return None
    opens = next_open(spec.trade_sessions, server_ms)
    when = f"; it opens at {server_text(opens)} server time" if opens is not None else ""
    return Refusal(Retcode.MARKET_CLOSED, f"the market of {spec.symbol} is closed{when}")


def price_off_refusal(book: Book) -> Refusal | None:
    """No deal without a price, nor without the rates that its profit and margin need."""
    fault = book.fault()
    return Refusal(Retcode.PRICE_OFF, fault) if fault is not None else None


def filling_refusal(spec: SymbolSpec, order_type: OrderType, filling: Filling) -> Refusal | None:
    """Market orders fill by the symbol's flags; a pending order may always be RETURN."""
    if filling is Filling.RETURN:
        allowed = not order_type.is_market
    elif filling is Filling.BOC:
        allowed = order_type in _LIMIT_ENTRIES and filling in spec.filling_modes
    else:
        allowed = filling in spec.filling_modes
    if allowed:
        return None
    choices = [mode for mode in spec.filling_modes if mode is not Filling.BOC]
    if not order_type.is_market:
        choices = [Filling.RETURN]
    text = f"filling {filling} does not fit a {order_type} of {spec.symbol}; send "
    return Refusal(Retcode.INVALID_FILL, text + " or ".join(choices))


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


def margin_refusal(ledger: Ledger, book: Book, side: Side, volume: int) -> Refusal | None:
    """Free margin must cover one more position, unless it does not raise the margin."""
    gap = ledger.margin_gap(book, side, volume)
    if gap is None:
        return None
    terms = ledger.terms
    needed, free = (text_of(amount, terms.money_digits) for amount in gap)
    return Refusal(
        Retcode.NO_MONEY,
        f"{lots_text(volume)} lots of {book.spec.symbol} need {needed} {terms.currency} of margin, "
        f"free margin is {free}; trade less or deposit",
    )


def server_text(server_ms: int) -> str:
    """A server time as MetaTrader writes it: 2025.01.06 00:05."""
    date = date_of(server_ms // DAY_MS)
    hours, minutes = divmod(server_ms % DAY_MS // 60_000, 60)
    return f"{date.year}.{date.month:02d}.{date.day:02d} {hours:02d}:{minutes:02d}"
