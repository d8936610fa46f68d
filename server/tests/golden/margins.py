"""Examples of margin: one volume, hedged positions, orders beside a position, floating leverage."""

import re
from collections.abc import Iterable
from typing import Any

from fxsocket_server.model.conversion import ONE, Ratio, plus
from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.leverage import Tier, charged_volume, tiered_margin
from fxsocket_server.model.margin import Leg, MarginTerms, leg_amount, margin, once_open
from fxsocket_server.model.symbol_margin import (
    Charge,
    FortsOrder,
    HedgedMargin,
    forts_margin,
    hedged_margin,
    joined,
    larger_leg_margin,
    netting_margin,
    placing_margin,
    resting_margin,
    while_started,
)
from fxsocket_server.model.units import LOT, decimal_of

from .inputs import DIGITS, SIDES, Inputs, lots, percent, points, ratio

Answers = dict[str, Any]
Row = tuple[str, int, int]  # side or order type, 1e-8 lots, points

_STATE = re.compile(
    r"(?:after|while)_(?P<relation>opposite|same_side)"
    r"(?:_(?:buy|sell)_(?P<lots>\d+(?:_\d+)?))?_(?P<state>filled|started|placed)"
)
SETTLEMENT = ("settlement", "settlement_price", "clearing_price")
STOPS = frozenset(
    (
        OrderType.BUY_STOP,
        OrderType.SELL_STOP,
        OrderType.BUY_STOP_LIMIT,
        OrderType.SELL_STOP_LIMIT,
    )
)


def answers(given: Inputs, expected: Answers) -> Answers:
    """Every figure of the example's kind."""
    if given.has(*SETTLEMENT):
        return _forts(given)
    positions, orders = _positions(given), _orders(given)
    found = _single(given) if not positions else _of_positions(given, positions, orders)
    if positions and (given.has("new_order") or any(map(_STATE.fullmatch, expected))):
        found |= _order_states(given, positions, orders, expected)
    return found | {"margin_ccy": given.margin_currency}


# --- one volume ------------------------------------------------------------------------------


def _single(given: Inputs) -> Answers:
    price = given.price(given.side)
    digits = given.money_digits(given.margin_currency)
    amount = margin(
        given.calc_mode,
        given.lots("volume", default=1),
        contract_size=given.lots("contract_size", default=1),
        price=ratio(price) if price is not None else ONE,
        leverage=given.first("leverage", default=1),
        margin_rate=_rate(given, "margin_rate", given.side),
        margin_initial=_initial(given),
        conversion=_conversion(given, given.side, price),
        tick_ratio=given.tick_ratio(),
        face_value=given.lots("face_value", default=1),
        money_digits=digits,
    )
    return {"margin": decimal_of(amount, digits), "total": decimal_of(amount, digits)}


def _initial(given: Inputs) -> int:
    """The fixed margin: of an open position where the example says that it is one."""
    initial = given.lots("margin_initial", "initial_margin")
    if not given.first("is_open", "open_position", default=False):
        return initial
    return once_open(initial, given.lots("margin_maintenance", "maintenance_margin"))


def _rate(given: Inputs, name: str, side: Side) -> int:
    """A margin rate: a number, MT4's percentage, or a margin in percent of the value."""
    if given.has("margin_pct", "percentage"):
        return percent(given.first("margin_pct", "percentage"))
    return given.lots(name, f"rate_{side.lower()}", default=1)


def _conversion(given: Inputs, side: Side, price: float | None) -> Ratio:
    currency = given.margin_currency
    if given.converts_itself(currency) and price is not None:
        return ratio(price)
    if given.converts_itself(currency):
        return ONE
    return given.middle(currency) if given.is_mt4 else given.conversion(currency, side is Side.BUY)


# --- positions on both sides -----------------------------------------------------------------


def _row(row: list[Any], default_price: float | None) -> Row:
    price = row[2] if len(row) > 2 else default_price
    return str(row[0]).lower(), lots(row[1]), points(price or 0)


def _positions(given: Inputs) -> list[Row]:
    price = given.first("open", "price")
    rows = list(given.first("positions", default=[]))
    rows += [given.first("position")] if given.has("position") else []
    for name, side in (("buys", "buy"), ("sells", "sell")):
        for row in given.first(name, default=[]):
            rows.append([side, *row] if isinstance(row, list) else [side, row])
    if not rows and given.has("tiers"):
        rows = [[given.side.lower(), given.first("volume", default=1)]]
    return [_row(row, price) for row in rows]


def _orders(given: Inputs) -> list[Row]:
    rows = given.first("orders", "pendings", "pending_orders", default=[])
    return [_row(row, given.first("open", "price")) for row in rows]


def _terms(given: Inputs, rows: Iterable[Row]) -> MarginTerms:
    priced = any(price for _, _, price in rows)
    return MarginTerms(
        given.calc_mode,
        contract_size=given.lots("contract_size", default=1),
        digits=DIGITS,
        leverage=given.first("leverage", default=1),
        margin_initial=given.lots("margin_initial", "initial_margin"),
        margin_maintenance=given.lots("margin_maintenance", "maintenance_margin"),
        margin_hedged=given.lots("margin_hedged", "hedged_margin"),
        tick_ratio=given.tick_ratio(),
        face_value=given.lots("face_value", default=1),
        price_converts=priced and given.converts_itself(given.margin_currency),
        mt4=given.is_mt4,
        money_digits=given.money_digits(given.margin_currency),
    )


def _leg(given: Inputs, rows: Iterable[Row], side: Side, rate: int | None = None) -> Leg:
    """Rows of one side as a leg; a conversion by the symbol's own price is the terms' affair."""
    mine = list(rows)
    itself = given.converts_itself(given.margin_currency)
    return Leg(
        sum(volume for _, volume, _ in mine),
        sum(volume * price for _, volume, price in mine),
        _rate(given, f"rate_{side.lower()}", side) if rate is None else rate,
        ONE if itself else _conversion(given, side, None),
    )


def _legs(given: Inputs, positions: list[Row]) -> tuple[Leg, Leg]:
    buys = [row for row in positions if SIDES[row[0]] is Side.BUY]
    sells = [row for row in positions if SIDES[row[0]] is Side.SELL]
    return _leg(given, buys, Side.BUY), _leg(given, sells, Side.SELL)


def _resting(given: Inputs, orders: list[Row], side: Side) -> list[Leg]:
    """Pending orders of one side, one leg per type."""
    kinds = dict.fromkeys(row[0] for row in orders)
    return [
        _leg(
            given,
            [row for row in orders if row[0] == kind],
            side,
            _rate(given, f"rate_{kind}", side),
        )
        for kind in kinds
        if OrderType(kind.upper()).is_buy == (side is Side.BUY)
    ]


def _of_positions(given: Inputs, positions: list[Row], orders: list[Row]) -> Answers:
    terms = _terms(given, positions)
    buy, sell = _legs(given, positions)
    hedged = hedged_margin(terms, buy, sell)
    resting = {side: _resting(given, orders, side) for side in Side}
    found = _parts(hedged, terms)
    if given.first("use_larger_leg", "larger_leg", default=False):
        found |= _larger_leg(terms, buy, sell, resting)
    elif given.first("margin_mode", default="HEDGING") == "NETTING":
        found |= {"total": decimal_of(_netting(terms, buy, sell, orders, given), _digits(terms))}
    else:
        pending = [leg for legs in resting.values() for leg in legs]
        total = hedged.total + resting_margin(terms, pending)
        waiting = decimal_of(resting_margin(terms, pending), _digits(terms))
        found |= {"total": decimal_of(total, _digits(terms)), "pending_margin": waiting}
        found |= _floating(given, terms, hedged, pending) if given.has("tiers") else {}
    return found | {"margin": found["total"]}


def _digits(terms: MarginTerms) -> int:
    return terms.money_digits


def _parts(hedged: HedgedMargin, terms: MarginTerms) -> Answers:
    digits = terms.money_digits
    return {
        "uncovered_volume": decimal_of(hedged.uncovered_volume, 8),
        "covered_volume": decimal_of(hedged.covered_volume, 8),
        "uncovered_avg_open": _number(hedged.uncovered_price),
        "covered_avg_open": _number(hedged.covered_price),
        "uncovered_margin": decimal_of(hedged.uncovered, digits),
        "covered_margin": decimal_of(hedged.covered, digits),
    }


def _number(value: Ratio) -> float:
    return value[0] / value[1]


def _larger_leg(terms: MarginTerms, buy: Leg, sell: Leg, resting: dict[Side, list[Leg]]) -> Answers:
    digits, buys, sells = terms.money_digits, resting[Side.BUY], resting[Side.SELL]
    total = larger_leg_margin(terms, buy, sell, resting_buys=buys, resting_sells=sells)
    long = larger_leg_margin(terms, buy, Leg(), resting_buys=buys)
    short = larger_leg_margin(terms, Leg(), sell, resting_sells=sells)
    return {
        "total": decimal_of(total, digits),
        "long_leg": decimal_of(long, digits),
        "short_leg": decimal_of(short, digits),
    }


# --- floating leverage -----------------------------------------------------------------------


def _floating(
    given: Inputs, terms: MarginTerms, hedged: HedgedMargin, pending: list[Leg]
) -> Answers:
    before = hedged.exact
    for leg in pending:
        before = plus(before, leg_amount(terms, leg, opening=True))
    notional = _notional(given, terms)
    volume = charged_volume(
        hedged.uncovered_volume, hedged.covered_volume, terms.margin_hedged, terms.contract_size
    )
    for leg in pending:
        volume = plus(volume, (leg.volume, LOT))
    titled = "volume" if "volume" in given.title.lower() else "notional"
    basis = str(given.first("by", "basis", "range", default=titled)).lower()
    exposure = {"volume": volume, "margin": before}.get(basis, notional)
    after = _number(tiered_margin(before, exposure, _tiers(given)))
    return {
        "before_rule": _number(before),
        "notional": _number(notional),
        "after_rule": after,
        "total": after,
    }


def _notional(given: Inputs, terms: MarginTerms) -> Ratio:
    """What stands open, by the same formulas without leverage and rates."""
    plain = terms._replace(leverage=1, margin_initial=0, margin_maintenance=0)
    buy, sell = (leg._replace(margin_rate=LOT) for leg in _legs(given, _positions(given)))
    return hedged_margin(plain, buy, sell).exact


def _tiers(given: Inputs) -> list[Tier]:
    return [
        Tier(None if upper is None else lots(upper), lots(factor))
        for upper, factor in given.first("tiers")
    ]


# --- orders beside a position ----------------------------------------------------------------


def _order_states(
    given: Inputs, positions: list[Row], orders: list[Row], expected: Answers
) -> Answers:
    """Margin now, while an order is under way, and once it is filled."""
    terms = _terms(given, positions)
    buy, sell = _legs(given, positions)
    held = hedged_margin(terms, buy, sell).total
    found: dict[str, int] = {"margin_now": held}
    if given.has("new_order"):
        found |= _new_order(given, terms, buy, sell, _row(given.first("new_order"), None))
    for name, state, side, volume in _states(positions, expected):
        order = _leg(given, [(side.lower(), volume, 0)], side)
        filled = hedged_margin(terms, *_with(buy, sell, side, order)).total
        found[name] = while_started(held, filled) if state == "started" else filled
    return {name: decimal_of(amount, terms.money_digits) for name, amount in found.items()}


def _new_order(given: Inputs, terms: MarginTerms, buy: Leg, sell: Leg, row: Row) -> dict[str, int]:
    kind, volume, price = row
    side = SIDES.get(kind) or (Side.BUY if OrderType(kind.upper()).is_buy else Side.SELL)
    order = _leg(given, [(kind, volume, price)], side)
    netting = given.first("margin_mode", default="HEDGING") == "NETTING"
    filled = hedged_margin(
        terms._replace(margin_hedged=0) if netting else terms, *_with(buy, sell, side, order)
    ).total
    if netting:
        placing = _netting(terms, buy, sell, [row], given)
    else:
        placing = placing_margin(terms, buy, sell, side, order)
    return {"required_when_placing": placing, "after_open": filled, "after_filled": filled}


def _with(buy: Leg, sell: Leg, side: Side, order: Leg) -> tuple[Leg, Leg]:
    return (joined(buy, order), sell) if side is Side.BUY else (buy, joined(sell, order))


def _states(positions: list[Row], expected: Answers) -> Iterable[tuple[str, str, Side, int]]:
    """The cases that expected names tell of; one without a volume means the other's."""
    held = SIDES[positions[0][0]]
    named = [(name, match) for name in expected if (match := _STATE.fullmatch(name))]
    known = {match["relation"]: match["lots"] for _, match in named if match["lots"]}
    for name, match in named:
        side = held if match["relation"] == "same_side" else held.opposite
        written = match["lots"] or known[match["relation"]]
        yield name, match["state"], side, lots(float(written.replace("_", ".", 1)))


def _netting(terms: MarginTerms, buy: Leg, sell: Leg, orders: list[Row], given: Inputs) -> int:
    held_side = Side.BUY if buy.volume >= sell.volume else Side.SELL
    held = _charge(given, terms, max(buy, sell), opening=False)
    groups: dict[str, list[Charge]] = {
        name: [] for name in ("same", "opposite", "same_stops", "opposite_stops")
    }
    for row in orders:
        kind = OrderType(row[0].upper())
        side = Side.BUY if kind.is_buy else Side.SELL
        name = ("same" if side is held_side else "opposite") + ("_stops" if kind in STOPS else "")
        leg = _leg(given, [row], side, _rate(given, f"rate_{row[0]}", side))
        groups[name].append(_charge(given, terms, leg, opening=True))
    return netting_margin(held, **groups)


def _charge(given: Inputs, terms: MarginTerms, leg: Leg, *, opening: bool) -> Charge:
    from fxsocket_server.model.conversion import rounded

    return Charge(leg.volume, rounded(leg_amount(terms, leg, opening=opening), terms.money_digits))


# --- FORTS -----------------------------------------------------------------------------------


def _forts(given: Inputs) -> Answers:
    positions = _positions(given)
    side, volume, price = positions[0] if positions else ("buy", 0, 0)
    orders = [
        FortsOrder(Side.BUY if OrderType(kind.upper()).is_buy else Side.SELL, lots_, at)
        for kind, lots_, at in _orders(given)
    ]
    amount = forts_margin(
        volume if SIDES[side] is Side.BUY else -volume,
        price,
        orders,
        initial_buy=given.lots("initial_buy", "margin_initial_buy", "margin_initial"),
        initial_sell=given.lots("initial_sell", "margin_initial_sell", "margin_maintenance"),
        settlement=points(given.first(*SETTLEMENT)),
        digits=DIGITS,
        tick_ratio=given.tick_ratio(),
        currency_rate=given.lots("currency_rate", "margin_currency_rate"),
    )
    names = {"margin": amount.total, "margin_buy": amount.buy, "margin_sell": amount.sell}
    return {name: decimal_of(value, 2) for name, value in names.items()}
