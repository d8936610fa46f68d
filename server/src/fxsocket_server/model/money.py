"""The arithmetic of money under one name: rates, profit, margin, account figures.

The parts are `conversion`, `profit`, `margin` with `symbol_margin`, and `account`; swaps,
commissions, floating leverage and stop out have modules of their own.
"""

from fxsocket_server.model import symbol_margin
from fxsocket_server.model.account import account_figures
from fxsocket_server.model.conversion import (
    ONE,
    Ratio,
    converted,
    currency_digits,
    inverse,
    middle,
    price_ratio,
    product,
)
from fxsocket_server.model.enums import CalcMode
from fxsocket_server.model.margin import Leg, MarginTerms, margin, mean_price
from fxsocket_server.model.profit import FOREX_MODES, converts_at_ask, profit, tick_value, value
from fxsocket_server.model.stop_out import margin_level
from fxsocket_server.model.symbol_margin import HedgedMargin

__all__ = [
    "FOREX_MODES",
    "ONE",
    "HedgedMargin",
    "Leg",
    "Ratio",
    "account_figures",
    "converted",
    "converts_at_ask",
    "currency_digits",
    "hedged_margin",
    "inverse",
    "margin",
    "margin_level",
    "mean_price",
    "middle",
    "price_ratio",
    "product",
    "profit",
    "tick_value",
    "value",
]


def hedged_margin(
    calc_mode: CalcMode,
    buy: Leg,
    sell: Leg,
    *,
    contract_size: int,
    margin_hedged: int,
    digits: int,
    leverage: int = 1,
    margin_initial: int = 0,
    price_converts: bool = False,
    money_digits: int = 2,
) -> HedgedMargin:
    """`symbol_margin.hedged_margin` with the terms as arguments."""
    terms = MarginTerms(
        calc_mode,
        contract_size,
        digits,
        leverage,
        margin_initial,
        margin_hedged=margin_hedged,
        price_converts=price_converts,
        money_digits=money_digits,
    )
    return symbol_margin.hedged_margin(terms, buy, sell)
