"""Examples of account figures, levels, stop out and compensation."""

from typing import Any

from fxsocket_server.model.account import account_figures
from fxsocket_server.model.conversion import currency_digits
from fxsocket_server.model.enums import FreeMarginMode, StopOutMode
from fxsocket_server.model.stop_out import (
    compensation,
    credit_write_off,
    is_below,
    liquidation_order,
    margin_level,
    mt4_stop_out_comment,
    next_order,
    stop_out_comment,
)
from fxsocket_server.model.units import decimal_of, fixed_of

from .inputs import Inputs

Answers = dict[str, Any]

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def answers(given: Inputs, _expected: Answers) -> Answers:
    """Every figure of the example's kind."""
    found: Answers = {}
    if given.has("balance", "equity"):
        found |= _figures(given)
    if given.has("balance_after_stop_out"):
        found |= _compensated(given)
    if given.has("positions", "orders"):
        found |= dict(zip(ORDINALS, _liquidated(given), strict=False))
    return found


def _money(given: Inputs, *names: str) -> int:
    return fixed_of(given.first(*names, default=0), currency_digits(given.deposit))


def _shown(given: Inputs, amount: int) -> float:
    return decimal_of(amount, currency_digits(given.deposit))


def _figures(given: Inputs) -> Answers:
    whole = given.has("equity")  # of which the parts need not be told
    figures = account_figures(
        _money(given, "equity", "balance"),
        0 if whole else _money(given, "credit"),
        0 if whole else _money(given, "profit", "floating"),
        _money(given, "margin"),
        mode=FreeMarginMode(given.first("free_margin_mode", default="ALL_PROFIT")),
        blocked=_money(given, "commission_blocked", "blocked"),
        assets=_money(given, "assets"),
        liabilities=_money(given, "liabilities"),
    )
    found = {
        "equity": _shown(given, figures.equity),
        "free_margin": _shown(given, figures.free_margin),
        "margin_free": _shown(given, figures.free_margin),
    }
    return found | _levels(given, figures.equity, figures.margin)


def _levels(given: Inputs, equity: int, used_margin: int) -> Answers:
    exact = margin_level(equity, used_margin)
    level = exact[0] / exact[1] if exact else 0.0
    comment = mt4_stop_out_comment if given.is_mt4 else stop_out_comment
    digits = currency_digits(given.deposit)
    found: Answers = {
        "level": level,
        "margin_level": level,
        "comment": comment(equity, used_margin, digits),
    }
    for name, keys in (
        ("stop_out", ("stop_out_pct", "stop_out_level")),
        ("margin_call", ("margin_call_pct", "margin_call_level")),
    ):
        if given.has(*keys):
            found[name] = is_below(fixed_of(given.first(*keys), 2), equity, used_margin)
    if given.has("stop_out_money"):
        threshold = _money(given, "stop_out_money")
        found["stop_out"] = is_below(threshold, equity, used_margin, StopOutMode.MONEY)
    return found


def _compensated(given: Inputs) -> Answers:
    balance, credit = _money(given, "balance_after_stop_out"), _money(given, "credit")
    paid = compensation(balance) if given.first("compensate", default=True) else 0
    return {
        "so_compensation": _shown(given, paid),
        "so_compensation_credit": _shown(given, credit_write_off(balance, credit)),
        "balance": _shown(given, account_figures(balance, 0, paid, 0).equity),
    }


def _liquidated(given: Inputs) -> list[str]:
    """Pending orders first, then positions, until nothing is left."""
    orders = {name: fixed_of(amount, 2) for name, amount in given.first("orders", default=[])}
    gone: list[str] = []
    while (name := next_order(orders.items())) is not None:
        gone.append(name)
        del orders[name]
    positions = given.first("positions", default=[])
    return gone + liquidation_order((name, fixed_of(amount, 2)) for name, amount in positions)
