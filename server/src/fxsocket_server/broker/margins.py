"""What a symbol costs in margin: its positions and pending orders, and one order more.

The account's margin mode and the symbol's rules choose the arithmetic; sums come from the book.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from fxsocket_server.broker.book import EXTRA, EXTRA_DIGITS, Book, side_of, tick_ratio_of
from fxsocket_server.model import symbol_margin
from fxsocket_server.model.conversion import ONE, Ratio, middle, rounded
from fxsocket_server.model.enums import CalcMode, OrderType, Side
from fxsocket_server.model.leverage import tiered_margin
from fxsocket_server.model.margin import Leg, MarginTerms, leg_amount
from fxsocket_server.model.symbol_margin import Charge
from fxsocket_server.model.units import LOT

_NO_RATE: Ratio = (0, 1)
_STOPS = frozenset(
    (
        OrderType.BUY_STOP,
        OrderType.SELL_STOP,
        OrderType.BUY_STOP_LIMIT,
        OrderType.SELL_STOP_LIMIT,
    )
)


class NewOrder(NamedTuple):
    """An order that is not there yet: its type, volume in 1e-8 lots, and price in points."""

    type: OrderType
    volume: int
    price: int


def margin(book: Book) -> int:
    """Margin of all that stands on a symbol."""
    if book.margin_cache is not None:
        return book.margin_cache
    amount = margin_with(book)
    book.margin_cache = amount if book.margin_is_steady else None
    return amount


def margin_with(book: Book, order: NewOrder | None = None, rate: Ratio | None = None) -> int:
    """Margin as it were with one more order, or with all converted at one rate."""
    if order is None and not book.weighs:
        return 0
    calculate = _hedging if book.terms.hedges else _netting
    return calculate(book, order, rate)


def order_margin(book: Book, order: NewOrder) -> int:
    """What a pending order costs on its own, by the rate of its type."""
    amount = leg_amount(_terms(book), _order_leg(book, order, None), opening=True)
    return rounded(amount, book.terms.money_digits)


# --- parts -----------------------------------------------------------------------------------


def _terms(book: Book) -> MarginTerms:
    """What stays the same as long as the book does, made once."""
    if book.margin_terms is None:
        book.margin_terms = _made_terms(book)
    return book.margin_terms


def _made_terms(book: Book) -> MarginTerms:
    spec, terms = book.spec, book.terms
    return MarginTerms(
        spec.calc_mode,
        spec.contract_size,
        spec.digits + EXTRA_DIGITS,
        terms.leverage,
        spec.margin_initial,
        spec.margin_maintenance,
        spec.margin_hedged,
        tick_ratio=tick_ratio_of(spec),
        face_value=spec.face_value,
        price_converts=book.price_converts,
        mt4=terms.is_mt4,
        money_digits=terms.money_digits,
    )


def _conversion(book: Book, side: Side, rate: Ratio | None) -> Ratio:
    if book.margin_is_steady:
        return ONE
    if rate is not None:
        return rate
    route = book.margin_route
    if book.terms.is_mt4:
        bid, ask = route.rate(at_ask=False), route.rate(at_ask=True)
        return middle(bid, ask) if bid and ask else _NO_RATE
    return route.rate(at_ask=side is Side.BUY) or _NO_RATE


def _open_leg(book: Book, side: Side, rate: Ratio | None) -> Leg:
    exposure = book.exposures[side]
    conversion = _conversion(book, side, rate)
    return Leg(exposure.volume, exposure.turnover, book.margin_rates.of_open[side], conversion)


def _order_leg(book: Book, order: NewOrder, rate: Ratio | None) -> Leg:
    conversion = _conversion(book, side_of(order.type), rate)
    by_last = book.last and book.spec.calc_mode is CalcMode.EXCH_STOCKS
    turnover = order.volume * (book.last if by_last else order.price) * EXTRA
    return Leg(order.volume, turnover, book.margin_rates.of_order[order.type], conversion)


def _plus(leg: Leg, more: Leg) -> Leg:
    volume, turnover, margin_rate, conversion = leg
    return Leg(volume + more.volume, turnover + more.turnover, margin_rate, conversion)


def _charged_orders(book: Book) -> list[NewOrder]:
    """Pending orders whose type has a margin rate."""
    if not book.margin_rates.charge_pending:
        return []
    return [
        NewOrder(order.type, order.volume - order.filled_volume, order.price or 0)
        for order in book.orders.values()
        if book.charges(order)
    ]


# --- hedging ---------------------------------------------------------------------------------


def _hedging(book: Book, order: NewOrder | None, rate: Ratio | None) -> int:
    terms = _terms(book)
    buy, sell = _open_leg(book, Side.BUY, rate), _open_leg(book, Side.SELL, rate)
    waiting = _charged_orders(book)
    if order is not None and not order.type.is_market:
        waiting.append(order)
    elif order is not None:
        leg = _order_leg(book, order, rate)
        if terms.margin_initial and terms.margin_maintenance:
            held = symbol_margin.placing_margin(terms, buy, sell, side_of(order.type), leg)
            return held + symbol_margin.resting_margin(terms, _by_type(book, waiting, rate))
        buy, sell = (_plus(buy, leg), sell) if order.type.is_buy else (buy, _plus(sell, leg))
    return _held(book, terms, buy, sell, waiting, rate)


def _held(
    book: Book, terms: MarginTerms, buy: Leg, sell: Leg, waiting: list[NewOrder], rate: Ratio | None
) -> int:
    if book.spec.margin_larger_leg:
        sides: list[list[NewOrder]] = [[], []]
        for order in waiting:
            sides[not order.type.is_buy].append(order)
        resting = [list(_by_type(book, orders, rate)) for orders in sides]
        return symbol_margin.larger_leg_margin(
            terms, buy, sell, resting_buys=resting[0], resting_sells=resting[1]
        )
    if book.margin_memo[:2] != (buy, sell):
        book.margin_memo = (buy, sell, _basic(book, terms, buy, sell))
    held = book.margin_memo[2]
    if not waiting:
        return held
    return held + symbol_margin.resting_margin(terms, _by_type(book, waiting, rate))


def _basic(book: Book, terms: MarginTerms, buy: Leg, sell: Leg) -> int:
    if not book.spec.leverage_tiers:
        parts = symbol_margin.hedged_amounts(terms, buy, sell)
        return sum(rounded(part, terms.money_digits) for part in parts)
    hedged = symbol_margin.hedged_margin(terms, buy, sell)
    whole = [leg._replace(margin_rate=LOT) for leg in (buy, sell)]
    notional = symbol_margin.hedged_margin(terms._replace(leverage=1), *whole).exact
    exact = tiered_margin(hedged.exact, notional, book.spec.leverage_tiers)
    return rounded(exact, terms.money_digits)


def _by_type(book: Book, orders: Iterable[NewOrder], rate: Ratio | None) -> list[Leg]:
    """One leg per order type."""
    legs: dict[OrderType, Leg] = {}
    for order in orders:
        leg = _order_leg(book, order, rate)
        known = legs.get(order.type)
        legs[order.type] = leg if known is None else _plus(known, leg)
    return list(legs.values())


# --- netting ---------------------------------------------------------------------------------


def _netting(book: Book, order: NewOrder | None, rate: Ratio | None) -> int:
    terms, held = _terms(book), book.net()
    side = held.side if held is not None else Side.BUY
    groups: dict[tuple[bool, bool], list[Charge]] = defaultdict(list)
    for waiting in (*_charged_orders(book), *([order] if order is not None else ())):
        amount = leg_amount(terms, _order_leg(book, waiting, rate), opening=True)
        charge = Charge(waiting.volume, rounded(amount, terms.money_digits))
        groups[side_of(waiting.type) is side, waiting.type in _STOPS].append(charge)
    return symbol_margin.netting_margin(
        _net_charge(book, terms, side, rate),
        same=groups[True, False],
        opposite=groups[False, False],
        same_stops=groups[True, True],
        opposite_stops=groups[False, True],
    )


def _net_charge(book: Book, terms: MarginTerms, side: Side, rate: Ratio | None) -> Charge:
    leg = _open_leg(book, side, rate)
    amount = leg_amount(terms, leg)
    if book.spec.leverage_tiers:
        notional = leg_amount(terms._replace(leverage=1), leg._replace(margin_rate=LOT))
        amount = tiered_margin(amount, notional, book.spec.leverage_tiers)
    return Charge(leg.volume, rounded(amount, terms.money_digits))
