"""Profit, margin, swap and commission against slow, exact decimals.

The reference is written from the formulas as people print them, in units of money and lots, and
rounds once at the end of each step that MetaTrader rounds. 2,000 examples each; 100,000 in a soak.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxsocket_server.model.commission import (
    CommissionDeal,
    CommissionRule,
    CommissionTier,
    deal_commission,
    period_commission,
)
from fxsocket_server.model.conversion import converted
from fxsocket_server.model.enums import (
    CalcMode,
    CommissionEntry,
    CommissionPer,
    CommissionRange,
    CommissionUnit,
    DealEntry,
    Side,
    SwapMode,
)
from fxsocket_server.model.leverage import Tier, tiered_margin
from fxsocket_server.model.margin import Leg, MarginTerms, margin
from fxsocket_server.model.profit import lot_value, profit
from fxsocket_server.model.swap import (
    accrued,
    night,
    reopen_price,
    rollover_days,
    weekday_multipliers,
)
from fxsocket_server.model.symbol_margin import hedged_margin, larger_leg_margin
from fxsocket_server.model.units import LOT

QUICK, SOAK = 2_000, 100_000
PRECISION = 150  # digits: no product here is longer, so that only divisions are ever cut
HAIR = Decimal("1e-70")  # no two amounts of these sizes are nearer to each other

FOREX = {"FOREX", "FOREX_NO_LEVERAGE"}
TICKS = {"FUTURES", "EXCH_FUTURES", "EXCH_FUTURES_FORTS", "EXCH_OPTIONS_MARGIN"}
BONDS = {"EXCH_BONDS", "EXCH_BONDS_MOEX"}


def proven(check, cases):
    """A quick test and a soak of the same property."""

    def test(case):
        with localcontext() as context:
            context.prec = PRECISION
            check(case)

    quick = settings(max_examples=QUICK)(given(cases)(test))
    soak = settings(max_examples=SOAK)(given(cases)(test))
    return quick, pytest.mark.soak(soak)


def minor(amount: Decimal, digits: int) -> int:
    """Whole minor units, half away from zero.

    A quotient that is a tie may have come out a hair below it: the last digits are given up first.
    """
    return int(amount.scaleb(digits).quantize(HAIR).to_integral_value(ROUND_HALF_UP))


def real(value: int, digits: int = 8) -> Decimal:
    """An integer of 10**-digits as the number that it stands for."""
    return Decimal(value).scaleb(-digits)


def over(ratio) -> Decimal:
    return Decimal(ratio[0]) / Decimal(ratio[1])


# --- what cases are made of ------------------------------------------------------------------

MODES = st.sampled_from(CalcMode)
SIDES = st.sampled_from(Side)
# Thousandths of lots meet ties more often than arbitrary volumes do.
VOLUMES = st.integers(1, 500_000).map(lambda n: n * LOT // 1000) | st.integers(1, 500 * LOT)
SIZES = st.sampled_from([1, 10, 100, 1_000, 5_000, 100_000]).map(lambda n: n * LOT) | st.integers(
    1, 10**6 * LOT
)
PRICES = st.integers(1, 10**8)
DIGITS = st.integers(0, 8)
MONEY_DIGITS = st.sampled_from([2, 2, 0, 8])
RATIOS = st.tuples(st.integers(1, 10**9), st.integers(1, 10**9))
FACES = st.sampled_from([LOT, 100 * LOT, 1_000 * LOT]) | st.integers(1, 10**4 * LOT)
RATES = st.integers(0, 10 * LOT) | st.just(LOT)
ACCRUED = st.just(0) | st.integers(0, 100 * LOT)


# --- profit ----------------------------------------------------------------------------------

PROFITS = st.fixed_dictionaries(
    {
        "mode": MODES,
        "side": SIDES,
        "volume": VOLUMES,
        "size": SIZES,
        "open": PRICES,
        "close": PRICES,
        "digits": DIGITS,
        "money": MONEY_DIGITS,
        "ratio": RATIOS,
        "face": FACES,
        "accrued": st.tuples(ACCRUED, ACCRUED),
    }
)


def reference_profit(case) -> int:
    opened, closed = real(case["open"], case["digits"]), real(case["close"], case["digits"])
    lots, size, money = real(case["volume"]), real(case["size"]), case["money"]
    if case["mode"] == "SERV_COLLATERAL":
        gain = 0
    elif case["mode"] == "FOREX":
        gain = minor(closed * size * lots, money) - minor(opened * size * lots, money)
    elif case["mode"] in TICKS:
        moved = (closed - opened) * lots * case["ratio"][0]
        gain = minor(moved / case["ratio"][1], money)
    elif case["mode"] in BONDS:
        before, after = (real(value) for value in case["accrued"])
        at_open = opened / 100 * real(case["face"]) * lots * size + before * lots * size
        at_close = closed / 100 * real(case["face"]) * lots * size + after * lots * size
        gain = minor(at_close - at_open, money)
    else:
        gain = minor((closed - opened) * size * lots, money)
    return gain if case["side"] is Side.BUY else -gain


def check_profit(case):
    found = profit(
        case["mode"],
        case["side"],
        case["volume"],
        contract_size=case["size"],
        open_price=case["open"],
        close_price=case["close"],
        digits=case["digits"],
        money_digits=case["money"],
        tick_ratio=case["ratio"],
        face_value=case["face"],
        open_accrued=case["accrued"][0],
        close_accrued=case["accrued"][1],
    )
    assert found == reference_profit(case)


test_profit, test_profit_soak = proven(check_profit, PROFITS)

CONVERSIONS = st.tuples(st.integers(-(10**12), 10**12), RATIOS, MONEY_DIGITS, MONEY_DIGITS)


def check_conversion(case):
    amount, rate, before, after = case
    expected = minor(real(amount, before) * rate[0] / rate[1], after)
    assert converted(amount, rate, before, after) == expected


test_conversion, test_conversion_soak = proven(check_conversion, CONVERSIONS)


# --- margin ----------------------------------------------------------------------------------

MARGINS = st.fixed_dictionaries(
    {
        "mode": MODES,
        "volume": VOLUMES,
        "size": SIZES,
        "price": st.tuples(PRICES, DIGITS),
        "leverage": st.integers(1, 1_000),
        "rate": RATES,
        "initial": st.just(0) | st.integers(1, 10**5 * LOT),
        "conversion": st.just((1, 1)) | RATIOS,
        "ratio": RATIOS,
        "face": FACES,
        "money": MONEY_DIGITS,
    }
)


def reference_margin(mode, lots, size, price, initial, leverage, ratio=1, face=1) -> Decimal:
    """Before conversion and rate, in units of the margin currency."""
    if mode == "SERV_COLLATERAL":
        return Decimal(0)
    if initial or mode in TICKS:
        base = lots * initial
    elif mode in FOREX:
        base = lots * size
    elif mode == "CFDINDEX":
        base = lots * size * price * ratio
    elif mode in BONDS:
        base = lots * size * face * price / 100
    else:
        base = lots * size * price
    return base / leverage if mode in {"FOREX", "CFDLEVERAGE"} else base


def check_margin(case):
    points, digits = case["price"]
    base = reference_margin(
        case["mode"],
        real(case["volume"]),
        real(case["size"]),
        real(points, digits),
        real(case["initial"]),
        case["leverage"],
        over(case["ratio"]),
        real(case["face"]),
    )
    found = margin(
        case["mode"],
        case["volume"],
        contract_size=case["size"],
        price=(points, 10**digits),
        leverage=case["leverage"],
        margin_rate=case["rate"],
        margin_initial=case["initial"],
        conversion=case["conversion"],
        tick_ratio=case["ratio"],
        face_value=case["face"],
        money_digits=case["money"],
    )
    assert found == minor(base * over(case["conversion"]) * real(case["rate"]), case["money"])


test_margin, test_margin_soak = proven(check_margin, MARGINS)

POSITIONS = st.lists(st.tuples(SIDES, VOLUMES, PRICES), min_size=1, max_size=6)
HEDGES = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["FOREX", "CFD", "CFDLEVERAGE", "FOREX_NO_LEVERAGE"]),
        "positions": POSITIONS,
        "size": SIZES,
        "hedged": st.just(0) | SIZES,
        "leverage": st.integers(1, 500),
        "rates": st.tuples(RATES, RATES),
        "converts": st.booleans(),
        "mt4": st.booleans(),
    }
)


def leg(case, side: Side) -> Leg:
    rows = [row for row in case["positions"] if row[0] is side]
    rate = case["rates"][side is Side.SELL]
    return Leg(sum(row[1] for row in rows), sum(row[1] * row[2] for row in rows), rate)


def mean(rows) -> Decimal:
    """The mean open price of positions, weighted by volume, 5 digits."""
    lots = sum((real(row[1]) for row in rows), Decimal(0))
    return sum((real(row[1]) * real(row[2], 5) for row in rows), Decimal(0)) / lots


def check_hedged(case):
    sides = {side: [row for row in case["positions"] if row[0] is side] for side in Side}
    lots = {side: sum(real(row[1]) for row in rows) for side, rows in sides.items()}
    rates = dict(zip(Side, (real(rate) for rate in case["rates"]), strict=True))
    bigger = Side.BUY if lots[Side.BUY] >= lots[Side.SELL] else Side.SELL

    def part(amount, size, price, rate) -> int:
        base = reference_margin(case["mode"], amount, size, price, 0, case["leverage"])
        return minor(base * (price if case["converts"] else 1) * rate, 2)

    uncovered = abs(lots[Side.BUY] - lots[Side.SELL])
    expected = part(uncovered, real(case["size"]), mean(sides[bigger]), rates[bigger])
    covered = min(lots.values())
    if covered:
        price = mean(case["positions"])
        if case["mt4"]:
            price = (mean(sides[Side.BUY]) + mean(sides[Side.SELL])) / 2
        hedged = real(case["hedged"]) * (2 if case["mt4"] else 1)
        expected += part(covered, hedged, price, sum(rates.values()) / 2)
    terms = terms_of(case)
    buy, sell = leg(case, Side.BUY), leg(case, Side.SELL)
    assert hedged_margin(terms, buy, sell).total == expected
    full = [part(lots[s], real(case["size"]), mean(sides[s]), rates[s]) for s in Side if sides[s]]
    assert larger_leg_margin(terms, buy, sell) == max(full)


def terms_of(case) -> MarginTerms:
    return MarginTerms(
        CalcMode(case["mode"]),
        case["size"],
        5,
        case["leverage"],
        margin_hedged=case["hedged"],
        price_converts=case["converts"],
        mt4=case["mt4"],
    )


test_hedged_margin, test_hedged_margin_soak = proven(check_hedged, HEDGES)

TIERED = st.tuples(
    st.integers(0, 10**12),
    st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(1, 10**8), RATES), max_size=5),
)


def check_tiers(case):
    """Slice by slice, as the manual counts it."""
    before, exposure, steps = case
    uppers = [sum(step[0] for step in steps[: n + 1]) for n in range(len(steps))]
    tiers = [
        Tier(None if n == len(steps) - 1 else upper * LOT, step[1])
        for n, (upper, step) in enumerate(zip(uppers, steps, strict=True))
    ]
    expected, left = Decimal(0), Decimal(exposure)
    for n, (width, factor) in enumerate(steps):
        part = left if n == len(steps) - 1 else min(left, Decimal(width))
        if exposure:
            expected += real(before, 2) * (part / exposure) * real(factor)
        left -= part
    if not steps or not exposure:
        expected = real(before, 2)
    found = tiered_margin((before, 100), (exposure, 1), tiers)
    assert minor(over(found), 6) == minor(expected, 6)


test_tiers, test_tiers_soak = proven(check_tiers, TIERED)


# --- swap ------------------------------------------------------------------------------------

START = datetime(2024, 12, 25, tzinfo=UTC)
MINUTES = st.integers(0, 60 * 24 * 30)
SWAPS = st.fixed_dictionaries(
    {
        "swap": st.sampled_from(SwapMode),
        "mode": MODES,
        "side": SIDES,
        "rate": st.integers(-100 * LOT, 100 * LOT),
        "volume": VOLUMES,
        "size": SIZES,
        "digits": st.integers(0, 5),
        "price": PRICES,
        "ratio": RATIOS,
        "face": FACES,
        "days": st.sampled_from([360, 365]),
        "conversion": st.just((1, 1)) | RATIOS,
        "money": MONEY_DIGITS,
        "triple": st.integers(0, 7),
        "opened": MINUTES,
        "held": MINUTES,
    }
)


def reference_lot(case) -> Decimal:
    size, price = real(case["size"]), real(case["price"], case["digits"])
    if case["mode"] in FOREX:
        return size
    if case["mode"] in TICKS:
        return size * price * over(case["ratio"])
    return size * real(case["face"]) * price / 100 if case["mode"] in BONDS else size * price


def reference_night(case, times: int) -> int:
    lots, rate, rates = real(case["volume"]), real(case["rate"]), over(case["conversion"])
    if case["swap"] == "POINTS":
        point = real(1, case["digits"])
        unit = over(case["ratio"]) if case["mode"] in TICKS else real(case["size"])
        value = minor(lots * unit * point * rates, case["money"])
        return minor(real(value, case["money"]) * rate * times, case["money"])
    if case["swap"].startswith("CURRENCY"):
        return minor(lots * rate * times * rates, case["money"])
    if case["swap"].startswith("INTEREST"):
        yearly = reference_lot(case) * lots * rate / 100
        return minor(yearly / case["days"] * times * rates, case["money"])
    return 0


def reference_times(day: datetime, triple: int) -> int:
    """How often the night of a day counts; weekday() is 0 on Mondays, MetaTrader's 0 Sundays."""
    weekday = (day.weekday() + 1) % 7
    return 3 if weekday == triple else int(1 <= weekday <= 5)


def check_swap(case):
    opened = START + timedelta(minutes=case["opened"])
    closed = opened + timedelta(minutes=case["held"])
    expected, day = 0, opened.replace(hour=0, minute=0)
    while day + timedelta(days=1) <= closed:
        expected += reference_night(case, reference_times(day, case["triple"]))
        day += timedelta(days=1)

    def one(multiplier: int) -> int:
        return night(
            case["swap"],
            case["rate"],
            case["volume"],
            multiplier=multiplier,
            calc_mode=case["mode"],
            contract_size=case["size"],
            digits=case["digits"],
            price=(case["price"], 10 ** case["digits"]),
            tick_ratio=case["ratio"],
            face_value=case["face"],
            days_in_year=case["days"],
            conversion=case["conversion"],
            money_digits=case["money"],
        )

    times = [int(moment.timestamp()) * 1000 for moment in (opened, closed)]
    assert accrued(one, rollover_days(*times), weekday_multipliers(case["triple"])) == expected
    ratio = reopen_price(case["price"], case["digits"], case["side"], case["rate"])
    shift = real(case["rate"]) * real(1, case["digits"]) * (1 if case["side"] is Side.BUY else -1)
    assert over(ratio) == real(case["price"], case["digits"]) + shift


test_swap, test_swap_soak = proven(check_swap, SWAPS)


# --- commission ------------------------------------------------------------------------------

DEALS = st.fixed_dictionaries(
    {
        "entry": st.sampled_from(DealEntry),
        "volume": VOLUMES,
        "closed": st.integers(0, 1000),  # thousandths of the volume
        "profit": st.integers(-(10**7), 10**7),
        "size": SIZES,
        "price": PRICES,
        "pip": RATIOS,
        "conversion": st.just((1, 1)) | RATIOS,
    }
)
TIERS = st.fixed_dictionaries(
    {
        "rate": st.integers(0, 50 * LOT),
        "unit": st.sampled_from(CommissionUnit),
        "per": st.sampled_from(CommissionPer),
        "bounds": st.none() | st.tuples(st.integers(0, 100), st.integers(100, 10**6)),
        "upper": st.sampled_from([LOT, 10 * LOT, 100 * LOT, None]),
    }
)
COMMISSIONS = st.fixed_dictionaries(
    {
        "deals": st.lists(DEALS, min_size=1, max_size=4),
        "tiers": st.lists(TIERS, min_size=1, max_size=3),
        "entry": st.sampled_from(CommissionEntry),
        "turnover": st.booleans(),
        "money": MONEY_DIGITS,
    }
)


def reference_commission(tier, deal, lots: Decimal, money: int) -> int:
    rate, unit = real(tier["rate"]), tier["unit"]
    count = lots if tier["per"] is CommissionPer.LOT else 1
    if unit == "PERCENT":
        value = real(deal["size"]) * real(deal["price"], 5) * lots * over(deal["conversion"])
        amount = value * rate / 100
    elif unit == "PERCENT_PROFIT":
        amount = real(deal["profit"], money) * rate / 100
    else:
        amount = rate * count * over(deal["pip"] if unit == "PIPS" else deal["conversion"])
    charged = minor(amount, money)
    if tier["bounds"]:
        charged = min(max(charged, tier["bounds"][0]), tier["bounds"][1])
    return -charged


def reference_tier(case, lots: Decimal):
    fitting = (t for t in case["tiers"] if t["upper"] is None or lots <= real(t["upper"]))
    return next(fitting, None)


def closed_of(deal) -> int:
    whole = {"IN": 0, "OUT": deal["volume"]}.get(deal["entry"])
    return deal["volume"] * deal["closed"] // 1000 if whole is None else whole


def check_commission(case):
    tiers = tuple(
        CommissionTier(
            rate=tier["rate"],
            unit=tier["unit"],
            per=tier["per"],
            upper=tier["upper"],
            minimum=tier["bounds"][0] if tier["bounds"] else None,
            maximum=tier["bounds"][1] if tier["bounds"] else None,
        )
        for tier in case["tiers"]
    )
    deals = [
        CommissionDeal(
            deal["entry"],
            deal["volume"],
            closed_of(deal),
            deal["profit"],
            lot_value(CalcMode.CFD, (deal["price"], 10**5), contract_size=deal["size"]),
            deal["pip"],
            deal["conversion"],
        )
        for deal in case["deals"]
    ]
    rule = CommissionRule(tiers=tiers, entry=case["entry"])
    for deal, given_deal in zip(deals, case["deals"], strict=True):
        part = {"ALL": deal.volume, "IN": deal.volume - deal.closed, "OUT": deal.closed}
        lots = real(0 if deal.entry == "OUT_BY" else part[case["entry"]])
        tier = reference_tier(case, lots)
        expected = reference_commission(tier, given_deal, lots, case["money"]) if tier else 0
        assert deal_commission(rule, deal, case["money"]) == (expected if lots else 0)
    check_period(case, tiers, deals)


def check_period(case, tiers, deals):
    kind = CommissionRange.TURNOVER_VOLUME if case["turnover"] else CommissionRange.VOLUME
    total = sum((real(deal["volume"]) for deal in case["deals"]), Decimal(0))
    expected = 0
    for deal in case["deals"]:
        lots = real(deal["volume"])
        tier = reference_tier(case, total if case["turnover"] else lots)
        expected += reference_commission(tier, deal, lots, case["money"]) if tier else 0
    rule = CommissionRule(tiers=tiers, range=kind)
    assert period_commission(rule, deals, case["money"]) == expected


test_commission, test_commission_soak = proven(check_commission, COMMISSIONS)
