"""Swaps: nights, multipliers, modes and reopening prices, by hand-made examples."""

from typing import Any

import pytest

from fxsocket_server.model.enums import CalcMode, Side, SwapMode
from fxsocket_server.model.server_time import DAY_MS, days_of
from fxsocket_server.model.swap import (
    NO_TRIPLE_DAY,
    accrued,
    converts_at_ask,
    night,
    night_multiplier,
    point_value,
    reopen_price,
    rollover_days,
    swap_currency,
    weekday_multipliers,
    weekday_of,
)
from fxsocket_server.model.units import LOT, volume_of

EUR = 100_000 * LOT
THURSDAY = days_of(2025, 2, 13)
WEDNESDAY = 3


def points(rate: float, lots: float, **more) -> int:
    arguments = {"contract_size": EUR, "digits": 5, **more}
    return night(SwapMode.POINTS, volume_of(rate), volume_of(lots), **arguments)


# --- one night -------------------------------------------------------------------------------


def test_points_are_valued_and_rounded_first():
    lira = (2_274_587, 10_000_000)
    assert point_value(CalcMode.FOREX, 5 * LOT, contract_size=EUR, digits=5, conversion=lira) == 114
    assert points(-11.35, 5, conversion=lira) == -1_294  # not -12.91
    assert points(-13, 0.004) == 0  # a point is worth 0.004


def test_the_multiplier_counts_before_rounding():
    assert points(-13.472, 1, multiplier=3 * LOT) == -4_042
    assert 3 * points(-13.472, 1) == -4_041


def test_points_of_a_future_go_by_its_ticks():
    ratio = (1_250, 25)  # 12.50 per 0.25
    found = night(
        SwapMode.POINTS, -LOT, 2 * LOT, calc_mode=CalcMode.FUTURES, digits=2, tick_ratio=ratio
    )
    assert found == -100


@pytest.mark.parametrize(
    "mode",
    [
        SwapMode.CURRENCY_SYMBOL,
        SwapMode.CURRENCY_MARGIN,
        SwapMode.CURRENCY_PROFIT,
        SwapMode.CURRENCY_DEPOSIT,
    ],
)
def test_money_per_lot(mode):
    found = night(mode, volume_of(-4.21), volume_of(0.3), conversion=(11, 10), multiplier=3 * LOT)
    assert found == -417


@pytest.mark.parametrize("mode", [SwapMode.INTEREST_CURRENT, SwapMode.INTEREST_OPEN])
@pytest.mark.parametrize(
    ("calc_mode", "expected"),
    [(CalcMode.FOREX, -20), (CalcMode.CFD, -660), (CalcMode.FUTURES, -6_600)],
)
def test_interest_is_a_share_of_the_lots_value(mode, calc_mode, expected):
    found = night(
        mode,
        volume_of(-36),
        2 * LOT,
        calc_mode=calc_mode,
        contract_size=100 * LOT,
        price=(33, 1),
        tick_ratio=(10, 1),
    )
    assert found == expected


def test_days_in_the_year():
    arguments: dict[str, Any] = {"calc_mode": CalcMode.CFD, "price": (36_500, 1)}
    rate = volume_of(10)
    assert night(SwapMode.INTEREST_OPEN, rate, LOT, days_in_year=365, **arguments) == 1_000
    assert night(SwapMode.INTEREST_OPEN, rate, LOT, **arguments) == 1_014


@pytest.mark.parametrize("mode", [SwapMode.DISABLED, SwapMode.REOPEN_CURRENT, SwapMode.REOPEN_BID])
def test_modes_that_charge_nothing(mode):
    assert night(mode, LOT, LOT, contract_size=EUR) == 0


def test_reopening_moves_the_price_by_points_and_fractions():
    assert reopen_price(139_805, 5, Side.BUY, 2 * LOT) == (139_807 * LOT, 100_000 * LOT)
    assert reopen_price(139_805, 5, Side.SELL, 2 * LOT) == (139_803 * LOT, 100_000 * LOT)
    fraction = reopen_price(139_805, 5, Side.BUY, volume_of(0.33))
    assert fraction[0] / fraction[1] == pytest.approx(1.3980533, abs=1e-12)


# --- currencies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "calc_mode", "expected"),
    [
        (SwapMode.POINTS, CalcMode.FOREX, "profit"),
        (SwapMode.CURRENCY_SYMBOL, CalcMode.FOREX, "base"),
        (SwapMode.CURRENCY_MARGIN, CalcMode.FOREX, "margin"),
        (SwapMode.CURRENCY_PROFIT, CalcMode.FOREX, "profit"),
        (SwapMode.CURRENCY_DEPOSIT, CalcMode.FOREX, "deposit"),
        (SwapMode.INTEREST_CURRENT, CalcMode.FOREX, "base"),
        (SwapMode.INTEREST_OPEN, CalcMode.CFD, "profit"),
    ],
)
def test_currency_of_each_mode(mode, calc_mode, expected):
    names = {"base": "base", "profit": "profit", "margin": "margin", "deposit": "deposit"}
    assert swap_currency(mode, calc_mode, **names) == expected


def test_sides_of_the_rate():
    for side in Side:
        money = SwapMode.CURRENCY_SYMBOL
        assert converts_at_ask(money, CalcMode.FOREX, side, -1)
        assert not converts_at_ask(money, CalcMode.FOREX, side, 1)
        selling = side is Side.SELL
        assert converts_at_ask(SwapMode.INTEREST_OPEN, CalcMode.CFD, side, -1) == selling
        assert converts_at_ask(SwapMode.POINTS, CalcMode.FOREX, side, -1) != selling
        assert not converts_at_ask(SwapMode.POINTS, CalcMode.CFD, side, -1)


# --- nights ----------------------------------------------------------------------------------


def test_weekdays():
    assert weekday_of(THURSDAY) == 4
    assert weekday_of(0) == 4
    assert weekday_of(days_of(2025, 2, 16)) == 0


def test_a_night_is_lived_through_at_midnight():
    midnight = (THURSDAY + 1) * DAY_MS
    assert list(rollover_days(midnight - 1, midnight)) == [THURSDAY]
    assert not rollover_days(midnight, midnight + DAY_MS - 1)
    assert not rollover_days(midnight - 1, midnight - 1)
    assert len(rollover_days(midnight - 1, midnight + 6 * DAY_MS)) == 7


def test_multipliers_of_a_week():
    ones = weekday_multipliers(NO_TRIPLE_DAY)
    assert ones == tuple(LOT * n for n in (0, 1, 1, 1, 1, 1, 0))
    assert weekday_multipliers(WEDNESDAY) == tuple(LOT * n for n in (0, 1, 1, 3, 1, 1, 0))


def test_a_holiday_counts_on_the_working_day_before():
    week = weekday_multipliers(WEDNESDAY)
    tuesday = days_of(2025, 2, 11)
    wednesday, friday, monday = tuesday + 1, tuesday + 3, tuesday + 6
    assert night_multiplier(tuesday, week) == LOT
    assert night_multiplier(tuesday, week, {wednesday}) == 4 * LOT
    assert night_multiplier(wednesday, week, {wednesday}) == 0
    assert night_multiplier(tuesday, week, {wednesday, wednesday + 1}) == 5 * LOT
    assert night_multiplier(friday, week, {monday}) == 2 * LOT
    assert night_multiplier(friday + 1, week, {monday}) == 0


def test_holidays_charge_as_much_in_all():
    week = weekday_multipliers(WEDNESDAY)
    days = range(THURSDAY, THURSDAY + 21)
    holidays = {THURSDAY + 1, THURSDAY + 4, THURSDAY + 12, THURSDAY + 13}
    plain = sum(night_multiplier(day, week) for day in days)
    assert sum(night_multiplier(day, week, holidays) for day in days) == plain


def test_each_night_is_rounded_on_its_own():
    def one(multiplier: int) -> int:
        return points(-13.472, 1, multiplier=multiplier)

    tuesday = days_of(2025, 2, 11)
    assert accrued(one, (tuesday, tuesday + 1), weekday_multipliers(WEDNESDAY)) == -5_389
