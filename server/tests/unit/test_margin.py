"""Margin of one volume, of both sides of a symbol, and of orders beside it, by hand."""

from typing import Any

import pytest

from fxsocket_server.model.conversion import price_ratio
from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.leverage import Tier, charged_volume, tiered_margin
from fxsocket_server.model.margin import Leg, MarginTerms, margin, mean_price, once_open
from fxsocket_server.model.symbol_margin import (
    Charge,
    FortsOrder,
    forts_margin,
    hedged_margin,
    joined,
    larger_leg_margin,
    netting_margin,
    placing_margin,
    resting_margin,
    while_started,
)
from fxsocket_server.model.units import LOT, volume_of

EUR = 100_000 * LOT  # contract size of a currency pair
PRICE = price_ratio(108_340, 5)


# --- one volume ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (CalcMode.FOREX, 100_000),  # contract / leverage
        (CalcMode.FOREX_NO_LEVERAGE, 10_000_000),
        (CalcMode.CFD, 10_834_000),  # contract x price
        (CalcMode.CFDLEVERAGE, 108_340),
        (CalcMode.CFDINDEX, 21_668_000),  # x tick value / tick size
        (CalcMode.EXCH_STOCKS, 10_834_000),
        (CalcMode.EXCH_STOCKS_MOEX, 10_834_000),
        (CalcMode.EXCH_OPTIONS, 10_834_000),
        (CalcMode.EXCH_BONDS, 54_170_000),  # percent of a face value of 500
        (CalcMode.EXCH_BONDS_MOEX, 54_170_000),
        (CalcMode.FUTURES, 0),  # nothing but the margin that is set
        (CalcMode.EXCH_FUTURES, 0),
        (CalcMode.EXCH_FUTURES_FORTS, 0),
        (CalcMode.EXCH_OPTIONS_MARGIN, 0),
        (CalcMode.SERV_COLLATERAL, 0),
    ],
)
def test_margin_of_each_mode(mode, expected):
    found = margin(
        mode,
        LOT,
        contract_size=EUR,
        price=PRICE,
        leverage=100,
        tick_ratio=(2, 1),
        face_value=500 * LOT,
    )
    assert found == expected


@pytest.mark.parametrize("mode", CalcMode)
def test_initial_margin_stands_in_place_of_contract_and_price(mode):
    expected = {CalcMode.FOREX: 50, CalcMode.CFDLEVERAGE: 50, CalcMode.SERV_COLLATERAL: 0}
    found = margin(
        mode,
        LOT // 2,
        contract_size=EUR,
        price=PRICE,
        leverage=100,
        margin_initial=100 * LOT,
        tick_ratio=(2, 1),
    )
    assert found == expected.get(mode, 5_000)


def test_margin_rate_and_conversion():
    third = 33 * LOT // 100
    assert margin(CalcMode.CFD, LOT, price=(65_000, 1), margin_rate=third) == 2_145_000
    rate = price_ratio(125_000, 5)
    found = margin(CalcMode.FOREX, LOT, contract_size=EUR, leverage=100, conversion=rate)
    assert found == 125_000


def test_zero_once_open_means_as_initially():
    assert once_open(1_000, 500) == 500
    assert once_open(1_000, 0) == 1_000


# --- hedging ---------------------------------------------------------------------------------

TERMS = MarginTerms(CalcMode.FOREX, EUR, 5, 100, margin_hedged=EUR)
FIXED = MarginTerms(
    CalcMode.FUTURES,
    margin_initial=1_000 * LOT,
    margin_maintenance=500 * LOT,
    margin_hedged=300 * LOT,
)


def leg(lots: float, price: int, **more) -> Leg:
    return Leg(volume_of(lots), volume_of(lots) * price, **more)


def test_one_side_is_all_uncovered():
    result = hedged_margin(TERMS, leg(2, 110_000), Leg())
    assert (result.uncovered, result.covered, result.total) == (200_000, 0, 200_000)
    assert hedged_margin(TERMS, Leg(), leg(2, 110_000)).total == 200_000
    assert hedged_margin(TERMS, Leg(), Leg()).total == 0


def test_covered_volume_counts_once_by_the_hedged_size():
    buy, sell = leg(3, 110_000), leg(1, 110_000)
    result = hedged_margin(TERMS, buy, sell)
    assert (result.uncovered, result.covered) == (200_000, 100_000)
    half = TERMS._replace(margin_hedged=EUR // 2)
    assert hedged_margin(half, buy, sell).covered == 50_000
    assert hedged_margin(TERMS._replace(margin_hedged=0), buy, sell).total == 200_000


def test_mt4_counts_the_hedged_size_per_two_legs():
    half = TERMS._replace(margin_hedged=EUR // 2, mt4=True)
    assert hedged_margin(half, leg(3, 110_000), leg(1, 110_000)).covered == 100_000


def test_mt4_takes_the_mean_of_both_sides_prices():
    terms = MarginTerms(CalcMode.CFD, LOT, 0, margin_hedged=LOT, mt4=True)
    buy, sell = leg(3, 100), leg(1, 200)
    price = hedged_margin(terms, buy, sell).covered_price
    assert price[0] / price[1] == 150
    assert hedged_margin(terms, buy, sell).covered == 2 * 15_000
    assert hedged_margin(terms._replace(mt4=False), buy, sell).covered == 12_500


def test_hedged_size_is_money_per_lot_with_an_initial_margin():
    buy, sell = leg(3, 110_000), leg(1, 110_000)
    terms = TERMS._replace(margin_initial=1_000 * LOT, margin_hedged=500 * LOT)
    result = hedged_margin(terms, buy, sell)
    assert (result.uncovered, result.covered) == (2_000, 500)


def test_open_positions_cost_the_maintenance_margin():
    assert hedged_margin(FIXED, leg(2, 1), Leg()).total == 100_000
    assert resting_margin(FIXED, [leg(2, 1)]) == 200_000


def test_the_mean_open_price_converts_when_the_symbol_is_the_rate():
    buy = Leg(4 * LOT, LOT * (110_000 + 3 * 120_000))
    result = hedged_margin(TERMS._replace(price_converts=True), buy, leg(2, 100_000))
    assert result.uncovered_price == (470_000 * LOT, 400_000 * LOT)
    assert result.uncovered == 235_000  # 2 lots at 1.175
    assert result.covered == 223_333  # 2 lots at 6.7 / 6
    assert result.exact[0] / result.exact[1] == pytest.approx(2_350 + 2_000 * 6.7 / 6)


def test_rates_of_each_side():
    buy = leg(1, 110_000, margin_rate=2 * LOT, conversion=(12, 10))
    sell = leg(2, 110_000, margin_rate=4 * LOT, conversion=(11, 10))
    result = hedged_margin(TERMS, buy, sell)
    assert result.uncovered == 440_000  # the bigger side's rates: 1,000 x 4 x 1.1
    assert result.covered == 345_000  # both means: 1,000 x 3 x 1.15


def test_the_larger_leg_counts_in_full_with_its_orders():
    buy, sell = leg(3, 110_000), leg(2, 110_000)
    assert larger_leg_margin(TERMS, buy, sell) == 300_000
    more = [leg(1, 120_000), leg(0.5, 120_000)]
    assert larger_leg_margin(TERMS, buy, sell, resting_sells=more) == 350_000
    assert larger_leg_margin(TERMS, buy, sell, resting_buys=more) == 450_000


def test_each_type_of_pending_order_is_rounded_on_its_own():
    third = MarginTerms(CalcMode.CFD, LOT, 2)
    assert resting_margin(third, [leg(0.001, 450), leg(0.001, 450)]) == 0
    assert resting_margin(third, [leg(0.002, 450)]) == 1


def test_placing_an_order_counts_it_as_filled_but_never_lowers_the_margin():
    buy = leg(2, 110_000)
    free = TERMS._replace(margin_hedged=0)
    assert placing_margin(free, buy, Leg(), Side.BUY, leg(1, 110_000)) == 300_000
    assert placing_margin(free, buy, Leg(), Side.SELL, leg(1, 110_000)) == 200_000
    assert placing_margin(free, buy, Leg(), Side.SELL, leg(5, 110_000)) == 300_000
    assert while_started(200_000, 100_000) == 200_000


def test_placing_an_order_with_fixed_margins():
    sells = leg(3, 1)  # 1,500 held
    placing = placing_margin(FIXED, Leg(), sells, Side.BUY, leg(5, 1))
    assert placing == 150_000 + 3 * 30_000 + 2 * 100_000
    same = placing_margin(FIXED, Leg(), sells, Side.SELL, leg(1, 1))
    assert same == 150_000 + 100_000
    hedged = placing_margin(FIXED, leg(1, 1), sells, Side.BUY, leg(3, 1))
    assert hedged == 30_000 + 100_000 + 2 * 30_000 + 100_000  # 2 of the 3 are still uncovered


def test_without_a_maintenance_margin_an_order_counts_as_filled():
    terms = FIXED._replace(margin_maintenance=0)
    assert placing_margin(terms, Leg(), leg(3, 1), Side.BUY, leg(5, 1)) == 300_000
    assert placing_margin(terms, Leg(), leg(3, 1), Side.SELL, leg(1, 1)) == 400_000


def test_joined_legs():
    whole = joined(leg(1, 100), leg(3, 200))
    assert mean_price(whole.turnover, whole.volume, 0) == (700 * LOT, 4 * LOT)
    assert joined(Leg(), leg(1, 100, margin_rate=7)).margin_rate == 7


# --- netting ---------------------------------------------------------------------------------


def charge(lots: int, per_lot: int = 1_000) -> Charge:
    return Charge(lots * LOT, lots * per_lot)


def test_an_opposite_order_counts_only_if_it_is_larger():
    held = charge(2)
    assert netting_margin(held) == 2_000
    assert netting_margin(held, opposite=[charge(2)]) == 2_000
    assert netting_margin(held, opposite=[charge(3)]) == 3_000
    assert netting_margin(held, opposite=[charge(1), charge(2)]) == 3_000
    assert netting_margin(charge(2, 5_000), opposite=[charge(3)]) == 10_000
    assert netting_margin(held, opposite=[charge(2, 5_000)]) == 2_000
    assert netting_margin(held, opposite_stops=[charge(2, 5_000)]) == 2_000
    assert netting_margin(held, opposite_stops=[charge(3)]) == 3_000


def test_orders_of_the_same_direction_add_up():
    assert netting_margin(charge(2), same=[charge(1)], same_stops=[charge(4)]) == 7_000
    assert netting_margin(charge(1), same=[charge(1)], opposite=[charge(3)]) == 3_000


def test_without_a_position_the_costlier_side_counts_and_every_stop():
    found = netting_margin(
        Charge(),
        same=[charge(1), charge(1)],
        opposite=[charge(3)],
        same_stops=[charge(1)],
        opposite_stops=[charge(2)],
    )
    assert found == 3_000 + 1_000 + 2_000


# --- FORTS -----------------------------------------------------------------------------------

SESSION: dict[str, Any] = {
    "initial_buy": 7_000 * LOT,
    "initial_sell": 8_000 * LOT,
    "settlement": 100,
    "digits": 0,
    "tick_ratio": (10, 1),
}


def test_a_future_beyond_its_settlement_price_costs_more():
    assert forts_margin(0, 0, [FortsOrder(Side.BUY, LOT, 90)], **SESSION).total == 690_000
    assert forts_margin(0, 0, [FortsOrder(Side.BUY, LOT, 110)], **SESSION).total == 710_000
    assert forts_margin(0, 0, [FortsOrder(Side.SELL, LOT, 110)], **SESSION).total == 790_000
    doubled = {**SESSION, "currency_rate": 100 * LOT}
    assert forts_margin(0, 0, [FortsOrder(Side.SELL, LOT, 90)], **doubled).total == 820_000


def test_a_position_is_collateral_for_opposite_orders():
    assert forts_margin(LOT, 100, **SESSION).total == 700_000
    assert forts_margin(-LOT, 100, **SESSION).total == 800_000
    orders = [FortsOrder(Side.SELL, 3 * LOT, 100)]
    assert forts_margin(LOT, 100, orders, **SESSION).total == 1_600_000


# --- floating leverage -----------------------------------------------------------------------

TIERS = (Tier(10 * LOT, LOT), Tier(20 * LOT, 2 * LOT), Tier(None, 3 * LOT))


@pytest.mark.parametrize(
    ("lots", "expected"), [(0, 0), (5, 5), (10, 10), (15, 20), (20, 30), (22, 36)]
)
def test_each_slice_takes_its_factor(lots, expected):
    found = tiered_margin((lots * 1_000, 1), (lots, 1), TIERS)
    assert found[0] / found[1] == expected * 1_000


def test_the_last_factor_holds_beyond_its_end():
    found = tiered_margin((30, 1), (30, 1), TIERS[:2])
    assert found[0] / found[1] == 10 + 2 * 20
    found = tiered_margin((30, 1), (30, 1), (*TIERS[:2], Tier(25 * LOT, 5 * LOT)))
    assert found[0] / found[1] == 10 + 2 * 10 + 5 * 10
    assert tiered_margin((30, 1), (30, 1), ()) == (30, 1)


def test_covered_volume_is_charged_by_its_share():
    lots = charged_volume(25 * LOT, 15 * LOT, EUR // 2, EUR)
    assert lots[0] / lots[1] == 32.5
