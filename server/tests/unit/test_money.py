"""Profit, margin and conversion by hand-made examples, and against exact decimals."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.model import money
from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.money import Leg
from fxsocket_server.model.units import LOT, volume_of

EUR = 100_000 * LOT  # contract size of a currency pair
CENT = Decimal("0.01")


def cents(amount: Decimal) -> int:
    return int(amount.quantize(CENT, ROUND_HALF_UP) * 100)


def forex(side: Side, lots: float, open_price: int, close_price: int, **more) -> int:
    return money.profit(
        CalcMode.FOREX,
        side,
        volume_of(lots),
        contract_size=EUR,
        open_price=open_price,
        close_price=close_price,
        digits=5,
        **more,
    )


# --- profit ----------------------------------------------------------------------------------


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
    arguments = {"contract_size": EUR, "open_price": 108_341, "close_price": 108_345, "digits": 5}
    legs = money.profit(CalcMode.FOREX, Side.BUY, volume_of(0.001), **arguments)
    difference = money.profit(CalcMode.CFD, Side.BUY, volume_of(0.001), **arguments)
    assert (legs, difference) == (1, 0)


@pytest.mark.parametrize("mode", [CalcMode.CFD, CalcMode.CFDLEVERAGE, CalcMode.FOREX_NO_LEVERAGE])
def test_a_difference_of_half_a_cent_rounds_away_from_zero(mode):
    arguments = {"contract_size": EUR, "digits": 5, "open_price": 100_000}
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        assert money.profit(mode, side, volume_of(0.001), close_price=100_005, **arguments) == sign
        assert money.profit(mode, side, volume_of(0.001), close_price=99_995, **arguments) == -sign


def test_a_currency_without_cents():
    assert money.currency_digits("JPY") == 0
    assert money.currency_digits("USD") == 2
    assert forex(Side.BUY, 0.1, 108_340, 109_500, money_digits=0) == 116


@given(
    mode=st.sampled_from(CalcMode),
    side=st.sampled_from(Side),
    volume=st.integers(1, 500 * LOT),
    contract=st.integers(1, 10**6),
    prices=st.tuples(st.integers(1, 10**8), st.integers(1, 10**8)),
    digits=st.integers(0, 8),
)
def test_profit_against_decimals(mode, side, volume, contract, prices, digits):
    lots, units = Decimal(volume) / LOT, Decimal(contract)
    opened, closed = (Decimal(price).scaleb(-digits) * units * lots for price in prices)
    expected = cents(closed) - cents(opened) if mode is CalcMode.FOREX else cents(closed - opened)
    got = money.profit(
        mode,
        side,
        volume,
        contract_size=contract * LOT,
        open_price=prices[0],
        close_price=prices[1],
        digits=digits,
    )
    assert got == (expected if side is Side.BUY else -expected)


# --- conversion ------------------------------------------------------------------------------


def test_forex_converts_by_the_deal_and_others_against_the_client():
    for amount in (5, -5):
        assert money.converts_at_ask(CalcMode.FOREX, Side.BUY, amount)
        assert not money.converts_at_ask(CalcMode.FOREX, Side.SELL, amount)
        for side in Side:
            assert money.converts_at_ask(CalcMode.CFD, side, amount) == (amount < 0)


def test_conversion_rounds_half_away_and_changes_digits():
    two = (2, 1)
    assert money.converted(101, money.inverse(two)) == 51
    assert money.converted(-101, money.inverse(two)) == -51
    assert money.converted(15_000, (1, 150), from_digits=0, to_digits=2) == 10_000
    assert money.converted(10_000, (150, 1), from_digits=2, to_digits=0) == 15_000


def test_rates_are_exact():
    rate = money.price_ratio(150_123, 3)
    assert (
        money.product(rate, money.inverse(rate))[0] == money.product(rate, money.inverse(rate))[1]
    )
    assert money.middle((1, 2), (1, 3)) == (5, 12)


def test_tick_value_is_not_rounded():
    numerator, denominator = money.tick_value(1, 3, EUR, money.inverse((111_387, 1_000)))
    assert numerator / denominator == pytest.approx(0.8977708350166538, abs=1e-15)


# --- margin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (CalcMode.FOREX, 100_000),  # contract / leverage
        (CalcMode.FOREX_NO_LEVERAGE, 10_000_000),
        (CalcMode.CFD, 10_834_000),  # contract x price
        (CalcMode.CFDLEVERAGE, 108_340),
    ],
)
def test_margin_of_each_mode(mode, expected):
    price = money.price_ratio(108_340, 5)
    assert money.margin(mode, LOT, contract_size=EUR, price=price, leverage=100) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(CalcMode.FOREX, 50), (CalcMode.CFD, 5_000), (CalcMode.CFDLEVERAGE, 50)],
)
def test_initial_margin_stands_in_place_of_contract_and_price(mode, expected):
    price = money.price_ratio(108_340, 5)
    got = money.margin(
        mode, LOT // 2, contract_size=EUR, price=price, leverage=100, margin_initial=100 * LOT
    )
    assert got == expected


def test_margin_rate_and_conversion():
    third = 33 * LOT // 100
    assert money.margin(CalcMode.CFD, LOT, price=(65_000, 1), margin_rate=third) == 2_145_000
    rate = money.price_ratio(125_000, 5)
    assert (
        money.margin(CalcMode.FOREX, LOT, contract_size=EUR, leverage=100, conversion=rate)
        == 125_000
    )


def hedged(buy: Leg, sell: Leg, **more):
    arguments = {"contract_size": EUR, "margin_hedged": EUR, "digits": 5, "leverage": 100}
    return money.hedged_margin(CalcMode.FOREX, buy, sell, **(arguments | more))


def leg(lots: float, price: int, **more) -> Leg:
    return Leg(volume_of(lots), volume_of(lots) * price, **more)


def test_one_side_is_all_uncovered():
    result = hedged(leg(2, 110_000), Leg())
    assert (result.uncovered, result.covered, result.total) == (200_000, 0, 200_000)
    assert hedged(Leg(), leg(2, 110_000)).total == 200_000
    assert hedged(Leg(), Leg()).total == 0


def test_covered_volume_counts_once_by_the_hedged_size():
    buy, sell = leg(3, 110_000), leg(1, 110_000)
    assert hedged(buy, sell)[2::3] == (200_000, 100_000)
    assert hedged(buy, sell, margin_hedged=EUR // 2).covered == 50_000
    assert hedged(buy, sell, margin_hedged=0).total == 200_000


def test_hedged_size_is_money_per_lot_with_an_initial_margin():
    buy, sell = leg(3, 110_000), leg(1, 110_000)
    result = hedged(buy, sell, margin_initial=1_000 * LOT, margin_hedged=500 * LOT)
    assert (result.uncovered, result.covered) == (2_000, 500)


def test_the_mean_open_price_converts_when_the_symbol_is_the_rate():
    buy = Leg(4 * LOT, LOT * (110_000 + 3 * 120_000))
    result = hedged(buy, leg(2, 100_000), price_converts=True)
    assert result.uncovered_price == (470_000 * LOT, 400_000 * LOT)
    assert result.uncovered == 235_000  # 2 lots at 1.175
    assert result.covered == 223_333  # 2 lots at 6.7 / 6


def test_rates_of_each_side():
    buy = leg(1, 110_000, margin_rate=2 * LOT, conversion=(12, 10))
    sell = leg(2, 110_000, margin_rate=4 * LOT, conversion=(11, 10))
    result = hedged(buy, sell)
    assert result.uncovered == 440_000  # the bigger side's rates: 1,000 x 4 x 1.1
    assert result.covered == 345_000  # both means: 1,000 x 3 x 1.15


# --- account ---------------------------------------------------------------------------------


def test_figures_and_level():
    figures = money.account_figures(1_000_000, 50_000, -7_876, 100_000)
    assert (figures.equity, figures.free_margin) == (1_042_124, 942_124)
    assert money.margin_level(figures.equity, figures.margin) == (104_212_400, 100_000)
    assert money.margin_level(figures.equity, 0) is None
