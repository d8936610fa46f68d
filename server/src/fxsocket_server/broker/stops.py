"""Where SL, TP and pending prices may stand: sides, stops level, freeze level.

Prices and levels are points; `last` is that of an exchange symbol, 0 elsewhere. Each rule answers
None or a Refusal, whose comment gives the figures and the nearest price that would pass. A distance
equal to the stops level passes; one equal to the freeze level does not.
"""

from msgspec import Struct

from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import text_of

_Named = tuple[str, int]  # a price and what it is called

_LIMITS = frozenset((OrderType.BUY_LIMIT, OrderType.SELL_LIMIT))


class Refusal(Struct, frozen=True, gc=False):
    """Why the broker refuses a request: its retcode and a comment that names the fix."""

    retcode: Retcode
    comment: str


def is_stop(order_type: OrderType) -> bool:
    """Whether a pending order waits for the market to run its way: stop and stop-limit orders."""
    return order_type not in _LIMITS


def _market(at_ask: bool, bid: int, ask: int, last: int) -> _Named:
    """The price that fires a level: the Last where there is one, else that of its side."""
    if last:
        return "last", last
    return ("ask", ask) if at_ask else ("bid", bid)


class _Bound(Struct, frozen=True, gc=False):
    """A named price, the reference that it must keep its distance from, and on which side."""

    name: str
    price: int
    above: bool
    reference_name: str
    reference: int
    digits: int

    def gap(self) -> int:
        """Points between the two, negative on the wrong side."""
        return self.price - self.reference if self.above else self.reference - self.price

    def text(self, distance: int) -> str:
        """What is wrong, and the nearest price at a distance that passes."""
        side, most, sign = ("above", "at least", 1) if self.above else ("below", "at most", -1)
        price, reference = text_of(self.price, self.digits), text_of(self.reference, self.digits)
        fix = text_of(self.reference + sign * distance, self.digits)
        if self.gap() < min(distance, 1):
            wrong = f"must be {side} {self.reference_name} {reference}"
        else:
            wrong = f"is nearer than {distance} points to {self.reference_name} {reference}"
        return f"{self.name} {price} {wrong}; {most} {fix}"


# --- SL and TP -------------------------------------------------------------------------------


def position_stops_refusal(
    side: Side,
    *,
    bid: int,
    ask: int,
    sl: int | None,
    tp: int | None,
    level: int,
    digits: int,
    last: int = 0,
) -> Refusal | None:
    """SL and TP of a market order or position, measured from the price that fires them."""
    market = _market(side is Side.SELL, bid, ask, last)
    return _stops_refusal(side, market, (sl, tp), level, digits)


def pending_stops_refusal(
    side: Side, *, price: int, sl: int | None, tp: int | None, level: int, digits: int
) -> Refusal | None:
    """SL and TP of a pending order, measured from its own price (a stop-limit's limit price)."""
    return _stops_refusal(side, ("the order's price", price), (sl, tp), level, digits)


def _stops_refusal(
    side: Side,
    reference: _Named,
    stops: tuple[int | None, int | None],
    level: int,
    digits: int,
) -> Refusal | None:
    distance = max(level, 1)
    sides = ("sl", stops[0], side is Side.SELL), ("tp", stops[1], side is Side.BUY)
    for word, price, above in sides:
        if price is not None:
            bound = _Bound(word, price, above, *reference, digits)
            if bound.gap() < distance:
                return Refusal(Retcode.INVALID_STOPS, bound.text(distance))
    return None


# --- pending orders --------------------------------------------------------------------------


def pending_price_refusal(
    order_type: OrderType,
    *,
    bid: int,
    ask: int,
    price: int,
    stop_limit: int | None,
    level: int,
    digits: int,
    last: int = 0,
) -> Refusal | None:
    """The price of a pending order against the market, a stop-limit's limit against its stop.

    10015 on the wrong side, 10016 nearer than the stops level.
    """
    above = is_stop(order_type) == order_type.is_buy
    name, market = _market(order_type.is_buy, bid, ask, last)
    refusal = _distance_refusal(_Bound("price", price, above, name, market, digits), level)
    if refusal is None and stop_limit is not None:
        limit = _Bound("stop_limit", stop_limit, not above, "price", price, digits)
        refusal = _distance_refusal(limit, max(level, 1))
    return refusal


def _distance_refusal(bound: _Bound, distance: int) -> Refusal | None:
    gap = bound.gap()
    if gap >= distance:
        return None
    retcode = Retcode.INVALID_PRICE if gap < min(distance, 1) else Retcode.INVALID_STOPS
    return Refusal(retcode, bound.text(distance))


# --- freeze level ----------------------------------------------------------------------------


def pending_freeze_refusal(
    order_type: OrderType, *, bid: int, ask: int, price: int, level: int, digits: int, last: int = 0
) -> Refusal | None:
    """A pending order that the market is about to reach may not be changed or removed."""
    market = _market(order_type.is_buy, bid, ask, last)
    return _freeze_refusal(("price", price), market, level, digits)


def position_freeze_refusal(
    side: Side,
    *,
    bid: int,
    ask: int,
    sl: int | None,
    tp: int | None,
    level: int,
    digits: int,
    last: int = 0,
) -> Refusal | None:
    """A position whose SL or TP the market is about to reach may not be modified or closed."""
    market = _market(side is Side.SELL, bid, ask, last)
    for word, price in (("sl", sl), ("tp", tp)):
        if price is not None and (refusal := _freeze_refusal((word, price), market, level, digits)):
            return refusal
    return None


def _freeze_refusal(price: _Named, market: _Named, level: int, digits: int) -> Refusal | None:
    if not level or abs(market[1] - price[1]) > level:
        return None
    near, far = (f"{name} {text_of(points, digits)}" for name, points in (price, market))
    return Refusal(
        Retcode.FROZEN,
        f"{near} is within the freeze level of {level} points of {far}; wait until the market "
        "moves away",
    )
