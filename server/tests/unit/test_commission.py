"""Commission rules on deals, close-bys and turnovers, by hand-made examples."""

import pytest

from fxsocket_server.model.commission import (
    CommissionDeal,
    CommissionRule,
    CommissionTier,
    charged_volume,
    close_by_commission,
    deal_commission,
    period_commission,
    tier_of,
    turnover,
)
from fxsocket_server.model.enums import (
    CommissionCharge,
    CommissionEntry,
    CommissionPer,
    CommissionRange,
    CommissionUnit,
    DealEntry,
)
from fxsocket_server.model.units import LOT, volume_of

FIVE = CommissionTier(rate=5 * LOT)
ALL = CommissionRule(tiers=(FIVE,))
IN = CommissionRule(tiers=(FIVE,), entry=CommissionEntry.IN)
OUT = CommissionRule(tiers=(FIVE,), entry=CommissionEntry.OUT)


def deal(entry: str, lots: float = 1, **more) -> CommissionDeal:
    return CommissionDeal(DealEntry(entry), volume_of(lots), **more)


def rule(**more) -> CommissionRule:
    return CommissionRule(tiers=(CommissionTier(**more),))


@pytest.mark.parametrize(
    ("one", "entry", "expected"),
    [
        (ALL, "IN", -500),
        (ALL, "OUT", -500),
        (ALL, "INOUT", -500),
        (ALL, "OUT_BY", 0),
        (IN, "IN", -500),
        (IN, "OUT", 0),
        (IN, "INOUT", -350),
        (IN, "OUT_BY", 0),
        (OUT, "IN", 0),
        (OUT, "OUT", -500),
        (OUT, "INOUT", -150),
        (OUT, "OUT_BY", 0),
    ],
)
def test_deals_in_and_out(one, entry, expected):
    closed = volume_of(0.3) if entry == "INOUT" else 0
    assert deal_commission(one, deal(entry, closed=closed)) == expected


def test_a_close_by_costs_only_exits_and_all_of_it_in_the_first_deal():
    pair = deal("OUT_BY", 1), deal("OUT_BY", 1)
    assert close_by_commission(ALL, *pair) == (0, 0)
    assert close_by_commission(IN, *pair) == (0, 0)
    assert close_by_commission(OUT, *pair) == (-1_000, 0)


def test_lots_and_deals():
    per_deal = rule(rate=volume_of(1.5), per=CommissionPer.DEAL)
    assert deal_commission(per_deal, deal("IN", 0.01)) == -150
    assert deal_commission(ALL, deal("IN", 0.01)) == -5
    assert deal_commission(rule(rate=volume_of(3.5)), deal("IN", 0.01)) == -4  # half a cent up


def test_units():
    pips = rule(rate=2 * LOT, unit=CommissionUnit.PIPS)
    assert deal_commission(pips, deal("IN", 3, pip_value=(7, 10))) == -420
    share = rule(rate=volume_of(0.0325), unit=CommissionUnit.PERCENT)
    value = {"lot_value": (65_000, 1), "conversion": (11, 10)}
    assert deal_commission(share, deal("IN", 0.2, **value)) == -465
    euros = rule(rate=3 * LOT, unit=CommissionUnit.MONEY_BASE)
    assert deal_commission(euros, deal("IN", 2, conversion=(11, 10))) == -660


def test_a_share_of_a_loss_is_paid_back_unless_there_is_a_minimum():
    share = {"rate": 10 * LOT, "unit": CommissionUnit.PERCENT_PROFIT}
    assert deal_commission(rule(**share), deal("OUT", profit=-5_500)) == 550
    assert deal_commission(rule(**share, minimum=0), deal("OUT", profit=-5_500)) == 0
    assert deal_commission(rule(**share, minimum=0), deal("OUT", profit=54_000)) == -5_400


def test_bounds_are_of_one_deal():
    bounded = rule(rate=4 * LOT, minimum=100, maximum=2_000)
    found = [deal_commission(bounded, deal("IN", lots)) for lots in (0.1, 1, 50)]
    assert found == [-100, -400, -2_000]


def test_the_first_tier_that_holds_the_volume_counts():
    tiers = (
        CommissionTier(rate=5 * LOT, upper=10 * LOT),
        CommissionTier(rate=4 * LOT, lower=12 * LOT, upper=20 * LOT),
        CommissionTier(rate=3 * LOT, lower=20 * LOT),
    )
    rates = {10: 5, 11: 0, 12: 4, 20: 4, 21: 3}
    for lots, rate in rates.items():
        tier = tier_of(tiers, lots * LOT)
        assert (tier.rate if tier else 0) == rate * LOT
        found = deal_commission(CommissionRule(tiers=tiers), deal("IN", lots))
        assert found == -lots * rate * 100


def test_a_reversals_tier_goes_by_the_part_that_is_charged():
    tiers = (CommissionTier(rate=LOT, upper=LOT), CommissionTier(rate=2 * LOT))
    part = CommissionRule(tiers=tiers, entry=CommissionEntry.IN)
    whole = deal("INOUT", 3, closed=2 * LOT)
    assert charged_volume(CommissionEntry.IN, whole) == LOT
    assert deal_commission(part, whole) == -100


def test_a_period_recalculates_all_deals_when_its_turnover_reaches_a_tier():
    tiers = (
        CommissionTier(rate=5 * LOT, upper=10 * LOT),
        CommissionTier(rate=3 * LOT, lower=10 * LOT + 1),
    )
    daily = CommissionRule(
        tiers=tiers, range=CommissionRange.TURNOVER_VOLUME, charge=CommissionCharge.DAILY
    )
    assert period_commission(daily, [deal("IN", 6)]) == -3_000
    assert period_commission(daily, [deal("IN", 6), deal("OUT", 5)]) == -3_300
    assert period_commission(daily, []) == 0


def test_turnover_in_money_and_in_lots():
    deals = [deal("IN", 2, lot_value=(1_000, 3), conversion=(3, 2)), deal("OUT", 1)]
    assert turnover(CommissionRange.TURNOVER_MONEY, deals) == 1_001 * LOT
    assert turnover(CommissionRange.TURNOVER_VOLUME, deals) == 3 * LOT


def test_a_period_by_volume_looks_at_each_deal():
    tiers = (CommissionTier(rate=5 * LOT, upper=LOT), CommissionTier(rate=3 * LOT))
    monthly = CommissionRule(tiers=tiers, charge=CommissionCharge.MONTHLY)
    assert period_commission(monthly, [deal("IN", 1), deal("OUT", 2)]) == -1_100
