"""Rates, conversion, and an account's figures, by hand-made examples."""

import pytest

from fxsocket_server.model.account import account_figures
from fxsocket_server.model.conversion import (
    converted,
    currency_digits,
    inverse,
    middle,
    plus,
    price_ratio,
    product,
    rounded,
)
from fxsocket_server.model.enums import Action, CalcMode, DealType, FreeMarginMode, MarginMode
from fxsocket_server.model.mt5_numbers import from_mt5, mt5_number

# --- rates -----------------------------------------------------------------------------------


def test_a_currency_without_cents():
    assert currency_digits("JPY") == 0
    assert currency_digits("USD") == 2
    assert currency_digits("BTC") == 8


def test_conversion_rounds_half_away_and_changes_digits():
    two = (2, 1)
    assert converted(101, inverse(two)) == 51
    assert converted(-101, inverse(two)) == -51
    assert converted(15_000, (1, 150), from_digits=0, to_digits=2) == 10_000
    assert converted(10_000, (150, 1), from_digits=2, to_digits=0) == 15_000


def test_amounts_are_rounded_once():
    third = (1, 3)
    assert plus(plus(third, third), third) in ((27, 27), (1, 1))
    assert rounded((2_005, 1_000)) == 201
    assert rounded((-2_005, 1_000)) == -201
    assert rounded((5, 2), 0) == 3


def test_rates_are_exact():
    rate = price_ratio(150_123, 3)
    back = product(rate, inverse(rate))
    assert back[0] == back[1]
    assert middle((1, 2), (1, 3)) == (5, 12)


# --- account ---------------------------------------------------------------------------------


def test_figures():
    figures = account_figures(1_000_000, 50_000, -7_876, 100_000)
    assert (figures.equity, figures.free_margin) == (1_042_124, 942_124)
    assert (figures.profit, figures.margin) == (-7_876, 100_000)


@pytest.mark.parametrize(
    ("mode", "winning", "losing"),
    [
        (FreeMarginMode.NO_PROFIT, 900, 900),
        (FreeMarginMode.ALL_PROFIT, 950, 850),
        (FreeMarginMode.PROFIT_ONLY, 950, 900),
        (FreeMarginMode.LOSS_ONLY, 900, 850),
    ],
)
def test_free_margin_may_leave_out_floating_profit_or_loss(mode, winning, losing):
    for floating, free in ((50, winning), (-50, losing)):
        figures = account_figures(1_000, 0, floating, 100, mode=mode)
        assert figures.free_margin == free
        assert figures.equity == 1_000 + floating


def test_blocked_commission_is_no_equity_and_collateral_is():
    figures = account_figures(1_000, 0, 0, 100, blocked=30, assets=500, liabilities=20)
    assert (figures.equity, figures.free_margin) == (1_450, 1_350)


# --- MetaTrader's numbers --------------------------------------------------------------------


def test_numbers_of_enumerations():
    assert [mt5_number(mode) for mode in CalcMode] == [*range(6), *range(32, 40), 64]
    assert [mt5_number(action) for action in Action] == [1, 5, 6, 7, 8, 10]
    assert mt5_number(DealType.SO_COMPENSATION) == 19
    assert mt5_number(MarginMode.HEDGING) == 2
    assert from_mt5(Action, 8) is Action.REMOVE
    for kind in (Action, CalcMode, DealType, MarginMode):
        assert [from_mt5(kind, mt5_number(member)) for member in kind] == list(kind)


def test_an_unknown_number_lists_those_there_are():
    with pytest.raises(ValueError, match="2 is no Action; known are 1 DEAL, 5 PENDING"):
        from_mt5(Action, 2)
