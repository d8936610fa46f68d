"""Profit of every mode and the rate it is converted at, by hand-made examples."""

from typing import Any

import pytest

from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.profit import (
    converts_at_ask,
    lot_value,
    mt4_converts_at_ask,
    profit,
    tick_ratio,
    tick_value,
)
from fxsocket_server.model.units import LOT, volume_of

EUR = 100_000 * LOT  # contract size of a currency pair


def forex(side: Side, lots: float, open_price: int, close_price: int, **more) -> int:
    return profit(
        CalcMode.FOREX,
        side,
        volume_of(lots),
        contract_size=EUR,
        open_price=open_price,
        close_price=close_price,
        digits=5,
        **more,
    )


def test_forex_profit_of_both_sides():
    assert forex(Side.BUY, 0.1, 108_340, 109_500) == 11_600
    assert forex(Side.SELL, 0.1, 108_340, 109_500) == -11_600


def test_forex_rounds_each_leg_before_it_subtracts():
    # 0.001 lot: 108.345 and 108.340 are rounded to 108.35 and 108.34, a cent for half a cent.
    assert forex(Side.BUY, 0.001, 108_340, 108_345) == 1
    assert forex(Side.SELL, 0.001, 108_340, 108_345) == -1
    # 108.344 and 108.340 both round to 108.34.
    assert forex(Side.BUY, 0.001, 108_340, 108_344) == 0


def test_other_modes_round_the_difference():
    arguments: dict[str, Any] = {
        "contract_size": EUR,
        "open_price": 108_341,
        "close_price": 108_345,
        "digits": 5,
    }
    legs = profit(CalcMode.FOREX, Side.BUY, volume_of(0.001), **arguments)
    difference = profit(CalcMode.CFD, Side.BUY, volume_of(0.001), **arguments)
    assert (legs, difference) == (1, 0)


DIFFERENCES = (
    CalcMode.CFD,
    CalcMode.CFDINDEX,
    CalcMode.CFDLEVERAGE,
    CalcMode.FOREX_NO_LEVERAGE,
    CalcMode.EXCH_STOCKS,
    CalcMode.EXCH_STOCKS_MOEX,
    CalcMode.EXCH_OPTIONS,
)


@pytest.mark.parametrize("mode", DIFFERENCES)
def test_a_difference_of_half_a_cent_rounds_away_from_zero(mode):
    arguments: dict[str, Any] = {"contract_size": EUR, "digits": 5, "open_price": 100_000}
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        assert profit(mode, side, volume_of(0.001), close_price=100_005, **arguments) == sign
        assert profit(mode, side, volume_of(0.001), close_price=99_995, **arguments) == -sign


def test_a_currency_without_cents():
    assert forex(Side.BUY, 0.1, 108_340, 109_500, money_digits=0) == 116


FUTURES = (
    CalcMode.FUTURES,
    CalcMode.EXCH_FUTURES,
    CalcMode.EXCH_FUTURES_FORTS,
    CalcMode.EXCH_OPTIONS_MARGIN,
)


@pytest.mark.parametrize("mode", FUTURES)
def test_futures_count_ticks_and_no_contract(mode):
    ratio = tick_ratio(volume_of(12.5), 25, 2)  # 12.50 per tick of 0.25
    arguments: dict[str, Any] = {
        "open_price": 450_000,
        "close_price": 449_025,
        "digits": 2,
        "tick_ratio": ratio,
    }
    assert profit(mode, Side.SELL, 3 * LOT, **arguments) == 146_250
    assert profit(mode, Side.SELL, 3 * LOT, contract_size=EUR, **arguments) == 146_250


@pytest.mark.parametrize("mode", [CalcMode.EXCH_BONDS, CalcMode.EXCH_BONDS_MOEX])
def test_bonds_are_percentages_of_their_face_with_interest(mode):
    arguments: dict[str, Any] = {
        "open_price": 9_850,
        "close_price": 9_910,
        "digits": 2,
        "face_value": 1_000 * LOT,
    }
    assert profit(mode, Side.BUY, 10 * LOT, **arguments) == 6_000
    interest: dict[str, Any] = {"open_accrued": volume_of(1.2), "close_accrued": volume_of(4.7)}
    assert profit(mode, Side.BUY, 10 * LOT, **arguments, **interest) == 9_500
    assert profit(mode, Side.SELL, 10 * LOT, **arguments, **interest) == -9_500


def test_collateral_earns_nothing():
    mode = CalcMode.SERV_COLLATERAL
    assert profit(mode, Side.BUY, LOT, open_price=1, close_price=100, digits=0) == 0


# --- conversion ------------------------------------------------------------------------------


def test_forex_converts_by_the_deal_and_others_against_the_client():
    for amount in (5, -5):
        for mode in (CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE):
            assert converts_at_ask(mode, Side.BUY, amount)
            assert not converts_at_ask(mode, Side.SELL, amount)
        for side in Side:
            assert converts_at_ask(CalcMode.CFD, side, amount) == (amount < 0)
            assert converts_at_ask(CalcMode.FOREX, side, amount, by_market=True) == (amount < 0)


def test_mt4_takes_the_bid_but_for_sold_pairs():
    assert mt4_converts_at_ask(CalcMode.FOREX, Side.SELL)
    assert not mt4_converts_at_ask(CalcMode.FOREX, Side.BUY)
    assert not any(mt4_converts_at_ask(CalcMode.CFD, side) for side in Side)


# --- what a lot is worth ---------------------------------------------------------------------


def test_tick_value_is_not_rounded():
    numerator, denominator = tick_value(1, 3, EUR, (1_000, 111_387))
    assert numerator / denominator == pytest.approx(0.8977708350166538, abs=1e-15)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (CalcMode.FOREX, 100),
        (CalcMode.CFD, 3_300),
        (CalcMode.CFDINDEX, 3_300),
        (CalcMode.FUTURES, 33_000),
        (CalcMode.EXCH_BONDS, 33_000),
    ],
)
def test_the_value_of_a_lot(mode, expected):
    found = lot_value(
        mode,
        (33, 1),
        contract_size=100 * LOT,
        tick_ratio=tick_ratio(LOT, 1, 1),
        face_value=1_000 * LOT,
    )
    assert found[0] / found[1] == expected
