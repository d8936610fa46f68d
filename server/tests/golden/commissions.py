"""Examples of commission."""

from typing import Any

from fxsocket_server.model.commission import (
    CommissionDeal,
    CommissionRule,
    CommissionTier,
    close_by_commission,
    deal_commission,
    period_commission,
)
from fxsocket_server.model.conversion import ONE, Ratio, currency_digits
from fxsocket_server.model.enums import (
    CommissionCharge,
    CommissionEntry,
    CommissionPer,
    CommissionRange,
    CommissionUnit,
    DealEntry,
)
from fxsocket_server.model.profit import lot_value, tick_value
from fxsocket_server.model.units import decimal_of, fixed_of

from .inputs import DIGITS, Inputs, lots, points, ratio

Answers = dict[str, Any]

UNITS = {
    "PERCENT_NOTIONAL": CommissionUnit.PERCENT,
    "PERCENT_TURNOVER": CommissionUnit.PERCENT,
    "PERCENTS": CommissionUnit.PERCENT,
    "POINTS": CommissionUnit.PIPS,
    "MONEY": CommissionUnit.MONEY_DEPOSIT,
}
ENTRIES = {
    "in": DealEntry.IN,
    "out": DealEntry.OUT,
    "inout": DealEntry.INOUT,
    "by": DealEntry.OUT_BY,
}
RATES = ("percent", "per_lot", "per_deal", "pips", "points", "value", "rate", "commission_rate")


def answers(given: Inputs, _expected: Answers) -> Answers:
    """Commission of one deal, of several, or of a close-by, in the deposit currency."""
    rule, digits = _rule(given), currency_digits(given.deposit)
    deals = _deals(given)
    if rule.charge is not CommissionCharge.INSTANT:
        total = period_commission(rule, deals, digits)
        return {"commission": decimal_of(total, digits), "total": decimal_of(total, digits)}
    each = [deal_commission(rule, deal, digits) for deal in deals]
    by = _close_by(given, rule, digits)
    amounts = [decimal_of(amount, digits) for amount in each]
    return {
        "commission": amounts if given.has("volumes") else amounts[0],
        "total": decimal_of(sum(each) + sum(by), digits),
        "first_out_by": decimal_of(by[0], digits),
        "second_out_by": decimal_of(by[1], digits),
    }


# --- the rule --------------------------------------------------------------------------------


def _rule(given: Inputs) -> CommissionRule:
    tiers = given.first("tiers", "levels", default=[[0, None, given.first(*RATES, default=0)]])
    return CommissionRule(
        tiers=tuple(_tier(given, *row) for row in tiers),
        range=CommissionRange(given.first("range", default="VOLUME")),
        charge=CommissionCharge(str(given.first("charge", default="INSTANT")).upper()),
        entry=CommissionEntry(str(given.first("entry_mode", "entry", default="ALL")).upper()),
    )


def _tier(given: Inputs, lower: float, upper: float | None, rate: float) -> CommissionTier:
    digits = currency_digits(given.deposit)
    bounds = (given.first(*names) for names in (("min", "minimum"), ("max", "maximum")))
    minimum, maximum = (None if bound is None else fixed_of(bound, digits) for bound in bounds)
    return CommissionTier(
        rate=lots(rate),
        unit=_unit(given),
        per=CommissionPer.DEAL if _is_per_deal(given) else CommissionPer.LOT,
        lower=lots(lower),
        upper=None if upper is None else lots(upper),
        minimum=minimum,
        maximum=maximum,
    )


def _is_per_deal(given: Inputs) -> bool:
    words = str(given.first("per", "type", default="")).upper()
    return given.has("per_deal") or words in ("DEAL", "PER_DEAL", "TRADE", "PER_TRADE")


def _unit(given: Inputs) -> CommissionUnit:
    named = str(given.first("mode", "unit", default="")).upper()
    if named:
        return UNITS.get(named) or CommissionUnit(named)
    if given.has("percent"):
        return CommissionUnit.PERCENT
    return CommissionUnit.PIPS if given.has("pips", "points") else CommissionUnit.MONEY_DEPOSIT


# --- deals -----------------------------------------------------------------------------------


def _deals(given: Inputs) -> list[CommissionDeal]:
    """One deal per volume, or per word of `deals` that is no close-by; else a single one."""
    words = [str(word).lower().split() for word in given.first("deals", default=[])]
    entries = [ENTRIES[word[-1]] for word in words if word[-1] != "by"]
    if entries:
        return [_deal(given, entry, given.first("volume", default=1)) for entry in entries]
    volumes = given.first("volumes", default=[given.first("volume", default=1)])
    return [_deal(given, DealEntry.IN, volume) for volume in volumes]


def _close_by(given: Inputs, rule: CommissionRule, digits: int) -> tuple[int, int]:
    if "close by" not in (str(word).lower() for word in given.first("deals", default=[])):
        return 0, 0
    deal = _deal(given, DealEntry.OUT_BY, given.first("volume", default=1))
    return close_by_commission(rule, deal, deal, digits)


def _deal(given: Inputs, entry: DealEntry, volume: float) -> CommissionDeal:
    price = given.price(given.side)
    return CommissionDeal(
        entry,
        lots(volume),
        closed=given.lots("closed"),
        profit=fixed_of(given.first("profit", default=0), currency_digits(given.deposit)),
        lot_value=lot_value(
            given.calc_mode,
            ratio(price) if price is not None else ONE,
            contract_size=given.lots("contract_size", default=1),
            tick_ratio=given.tick_ratio(),
        ),
        pip_value=_pip_value(given),
        conversion=_conversion(given, price),
    )


def _conversion(given: Inputs, price: float | None) -> Ratio:
    unit = _unit(given)
    currency = {
        CommissionUnit.MONEY_PROFIT: given.profit_currency,
        CommissionUnit.MONEY_MARGIN: given.margin_currency,
        CommissionUnit.MONEY_BASE: given.currencies[0],
        CommissionUnit.PERCENT: given.margin_currency,
    }.get(unit, given.deposit)
    if given.converts_itself(currency):
        return ratio(price) if price is not None else ONE
    return given.conversion(currency, at_ask=True)


def _pip_value(given: Inputs) -> Ratio:
    if not given.has("point"):
        return ONE
    return tick_value(
        points(given.first("point")),
        DIGITS,
        given.lots("contract_size", default=1),
        given.conversion(given.profit_currency, at_ask=True),
    )
