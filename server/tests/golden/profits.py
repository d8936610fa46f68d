"""Examples of profit and of tick values."""

from typing import Any

from fxsocket_server.model.conversion import Ratio, converted, currency_digits, inverse
from fxsocket_server.model.enums import Side
from fxsocket_server.model.profit import (
    converts_at_ask,
    mt4_converts_at_ask,
    profit,
    tick_value,
)
from fxsocket_server.model.units import decimal_of, fixed_of

from .inputs import DIGITS, Inputs, points

Answers = dict[str, Any]


def answers(given: Inputs, _expected: Answers) -> Answers:
    """Profit of a trade, or of the same move both ways."""
    found: Answers = {"profit_ccy": given.profit_currency}
    if given.has("move_points"):
        step = fixed_of(given.first("move_points"), 0) * points(given.first("point"))
        ask = points(given.first("ask", "open", "price", default=0))
        bid = points(given.first("bid", "open", "price", default=0))
        found["buy"] = profit_of(given, Side.BUY, ask, ask + step)
        found["sell"] = profit_of(given, Side.SELL, bid, bid - step)
        found["profit"] = found[given.side.lower()]
    else:
        opened, closed = points(given.first("open")), points(given.first("close"))
        found["profit"] = profit_of(given, given.side, opened, closed)
    return found


def profit_of(given: Inputs, side: Side, opened: int, closed: int) -> float:
    """Profit in the deposit currency, or in its own where nothing converts it."""
    source = given.profit_currency or given.deposit
    target = given.deposit or source
    digits = currency_digits(source)
    amount = profit(
        given.calc_mode,
        side,
        given.lots("volume", default=1),
        contract_size=given.lots("contract_size", default=1),
        open_price=opened,
        close_price=closed,
        digits=DIGITS,
        money_digits=digits,
        tick_ratio=given.tick_ratio(),
        face_value=given.lots("face_value", default=1),
        open_accrued=given.lots("open_accrued", "accrued_open"),
        close_accrued=given.lots("close_accrued", "accrued_close", "accrued_interest"),
    )
    if source == target:
        return decimal_of(amount, digits)
    rate = profit_rate(given, side, amount, closed)
    return decimal_of(
        converted(amount, rate, digits, currency_digits(target)), currency_digits(target)
    )


def profit_rate(given: Inputs, side: Side, amount: int, closed: int) -> Ratio:
    """The rate that a profit is converted at: the deal's own price, Bid or Ask."""
    if given.converts_itself(given.profit_currency):
        return inverse((closed, 10**DIGITS))
    at_ask = (
        mt4_converts_at_ask(given.calc_mode, side)
        if given.is_mt4
        else converts_at_ask(
            given.calc_mode, side, amount, by_market=bool(given.first("by_market"))
        )
    )
    return given.conversion(given.profit_currency, at_ask)


def tick_values(given: Inputs, _expected: Answers) -> Answers:
    """What a tick wins, at the Bid of the rate, and loses, at its Ask."""
    names = {"tick_value_profit": False, "tick_value_loss": True, "tick_value": False}
    return {name: _tick_value(given, at_ask) for name, at_ask in names.items()}


def _tick_value(given: Inputs, at_ask: bool) -> float:
    numerator, denominator = tick_value(
        points(given.first("tick_size", "point")),
        DIGITS,
        given.lots("contract_size", default=1),
        _tick_rate(given, at_ask),
    )
    return numerator / denominator


def _tick_rate(given: Inputs, at_ask: bool) -> Ratio:
    """As for any profit; a pair that is the rate itself has its Ask for winners."""
    if given.converts_itself(given.profit_currency):
        price = given.first("bid", "price") if at_ask else given.first("ask", "price")
        return inverse((points(price), 10**DIGITS))
    return given.conversion(given.profit_currency, at_ask)
