"""Examples of swap: nights by every mode, lot values, reopening prices."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fxsocket_server.model.conversion import ONE, Ratio, currency_digits, inverse
from fxsocket_server.model.enums import CalcMode, Side, SwapMode
from fxsocket_server.model.mt5_numbers import from_mt5
from fxsocket_server.model.profit import lot_value
from fxsocket_server.model.swap import (
    NO_TRIPLE_DAY,
    accrued,
    converts_at_ask,
    night,
    point_value,
    reopen_price,
    rollover_days,
    swap_currency,
    weekday_multipliers,
    weekday_of,
)
from fxsocket_server.model.units import LOT, decimal_of

from .inputs import DIGITS, Inputs, lots, points, ratio

Answers = dict[str, Any]

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
RATES = {
    "swap_long": Side.BUY,
    "swap_short": Side.SELL,
    "swap_long_points": Side.BUY,
    "swap_short_points": Side.SELL,
}
PERCENTS = ("swap_pct", "rate_pct", "swap_percent", "rate_percent")


def answers(given: Inputs, expected: Answers) -> Answers:
    """Every figure of the example's kind."""
    found: Answers = {"ccy": given.deposit or given.profit_currency or "USD"}
    if given.has("price") and given.has("tick_size"):
        found |= {"futures_value": _value(given, CalcMode.FUTURES)}
        found |= {"cfd_value": _value(given, CalcMode.CFD)}
    if _mode(given) in (SwapMode.REOPEN_CURRENT, SwapMode.REOPEN_BID):
        return found | {"reopen": _reopened(given)}
    return found | (_nights(given, expected) if _has_rate(given) else {})


def _value(given: Inputs, mode: CalcMode) -> float:
    numerator, denominator = lot_value(
        mode,
        ratio(given.first("price")),
        contract_size=given.lots("contract_size", default=1),
        tick_ratio=given.tick_ratio(),
        face_value=given.lots("face_value", default=1),
    )
    return numerator / denominator


def _reopened(given: Inputs) -> float:
    price = points(given.first("close", "bid", "price"))
    numerator, denominator = reopen_price(price, DIGITS, _side(given), _points_of_digits(given))
    return numerator / denominator


def _points_of_digits(given: Inputs) -> int:
    """The rate in points of `DIGITS`, which the price is in."""
    return _rate(given) * points(given.first("point"))


# --- what the example means ------------------------------------------------------------------


def _has_rate(given: Inputs) -> bool:
    return given.has(*RATES, *PERCENTS, "swap", "rate")


def _rate(given: Inputs) -> int:
    own = [name for name, side in RATES.items() if side is _side(given)]
    return given.lots(*own, "swap", "rate", *PERCENTS, *RATES)


def _side(given: Inputs) -> Side:
    """As named, else the direction that the only rate is for."""
    if given.has("side"):
        return given.side
    named = [side for name, side in RATES.items() if given.has(name)]
    return named[0] if len(set(named)) == 1 else Side.BUY


def _mode(given: Inputs) -> SwapMode:
    named = given.first("swap_mode", "mode")
    if named is None:
        return SwapMode.INTEREST_CURRENT if given.has(*PERCENTS) else SwapMode.POINTS
    return from_mt5(SwapMode, named) if isinstance(named, int) else SwapMode(str(named).upper())


def _price(given: Inputs) -> Ratio:
    name = "open" if _mode(given) is SwapMode.INTEREST_OPEN else "price"
    price = given.first(name, "price", "close", "bid", "open")
    return ratio(price) if price is not None else ONE


def _conversion(given: Inputs) -> Ratio:
    mode, side = _mode(given), _side(given)
    base, profit = given.currencies
    source = swap_currency(
        mode,
        given.calc_mode,
        base=base,
        profit=given.profit_currency or profit,
        margin=given.margin_currency,
        deposit=given.deposit,
    )
    if given.converts_itself(source) and given.has("price", "close", "bid"):
        own = ratio(given.first("price", "close", "bid"))
        return own if source == base else inverse(own)
    if given.converts_itself(source):
        return ONE
    if given.is_mt4:
        return given.middle(source)
    return given.conversion(source, converts_at_ask(mode, given.calc_mode, side, _rate(given)))


# --- nights ----------------------------------------------------------------------------------


def _nights(given: Inputs, expected: Answers) -> Answers:
    digits = currency_digits(given.deposit or given.profit_currency)

    def one(multiplier: int) -> int:
        return night(
            _mode(given),
            _rate(given),
            given.lots("volume", default=1),
            multiplier=multiplier,
            calc_mode=given.calc_mode,
            contract_size=given.lots("contract_size", default=1),
            digits=given.digits(),
            price=_price(given),
            tick_ratio=given.tick_ratio(),
            face_value=given.lots("face_value", default=1),
            days_in_year=given.first("days_in_year", default=360),
            conversion=_conversion(given),
            money_digits=digits,
        )

    if given.has("days", "multiplier"):  # charged at once, as articles count
        amount = one(given.lots("days", "multiplier"))
    else:
        amount = accrued(one, _days(given), _multipliers(given))
    total = decimal_of(amount, digits)
    found: Answers = {"swap": total, "by_mt5_multipliers": total}
    found |= {"financing": decimal_of(one(LOT), digits)} | _point_values(given, digits)
    if "published_days" in expected:  # an article's own count of days, charged at once
        days = expected["published_days"]
        found |= {"published_days": days, "published": decimal_of(one(lots(days)), digits)}
    return found


def _point_values(given: Inputs, digits: int) -> Answers:
    if _mode(given) is not SwapMode.POINTS:
        return {}
    values = [
        point_value(
            given.calc_mode,
            given.lots("volume", default=1),
            contract_size=given.lots("contract_size", default=1),
            digits=given.digits(),
            tick_ratio=given.tick_ratio(),
            conversion=rate,
            money_digits=digits,
        )
        for rate in (ONE, _conversion(given))
    ]
    return {
        "point_price_ccy": decimal_of(values[0], digits),
        "point_price": decimal_of(values[1], digits),
    }


def _multipliers(given: Inputs) -> Sequence[int]:
    """By weekday from Sunday on: as listed, or single with a triple day."""
    listed = given.first("multipliers", "swap_days", "swap_multipliers")
    if isinstance(listed, dict):
        return [lots(_of_day(listed, day)) for day in WEEKDAYS]
    if listed is not None:
        return [lots(value) for value in listed]
    if not given.has("nights", "trip", "opened"):
        return [LOT] * len(WEEKDAYS)  # a plain count of nights
    triple = str(given.first("triple_day", "swap_triple_day", default="Wed")).lower()
    return weekday_multipliers(
        WEEKDAYS.index(triple[:3]) if triple[:3] in WEEKDAYS else NO_TRIPLE_DAY
    )


def _of_day(listed: dict[str, float], day: str) -> float:
    return next((value for name, value in listed.items() if name.lower().startswith(day)), 0)


def _days(given: Inputs) -> Sequence[int]:
    """The days whose nights count; without any a single night."""
    if given.has("trip"):
        opened, closed = (_server_ms(text) for text in given.first("trip"))
        return rollover_days(opened, closed)
    if given.has("opened", "open_time"):
        opened, closed = given.first("opened", "open_time"), given.first("closed", "close_time")
        return rollover_days(_server_ms(opened), _server_ms(closed))
    nights = given.first("nights", default=1)
    if isinstance(nights, list):
        by_weekday = {weekday_of(day): day for day in range(len(WEEKDAYS))}
        return [by_weekday[WEEKDAYS.index(str(name).lower()[:3])] for name in nights]
    return range(int(nights))


def _server_ms(text: str) -> int:
    """2025.02.13 21:04:21 as milliseconds of the server's clock."""
    for form in ("%Y.%m.%d %H:%M:%S", "%Y.%m.%d %H:%M", "%Y.%m.%d"):
        try:
            moment = datetime.strptime(text.replace("-", "."), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return int(moment.timestamp()) * 1000
    raise ValueError(f"{text!r} is no server time such as 2025.02.13 21:04:21")
