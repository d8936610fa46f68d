"""Commissions: a group's rules, and what they take of deals and of a day's or month's turnover.

Volumes, rates and turnovers are 1e-8, money is minor units of the deposit currency. A commission is
negative in a deal.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from fxsocket_server.model.conversion import ONE, Ratio, product, rounded
from fxsocket_server.model.enums import (
    CommissionCharge,
    CommissionEntry,
    CommissionPer,
    CommissionRange,
    CommissionUnit,
    DealEntry,
)
from fxsocket_server.model.units import LOT, POWERS

_SHARES = frozenset((CommissionUnit.PERCENT, CommissionUnit.PERCENT_PROFIT))


class CommissionTier(Struct, frozen=True, kw_only=True):
    """A rate and the range (both ends included) of volume or turnover that it holds for.

    `rate` is money, pips or percent, as `unit` says; `minimum` and `maximum` bound the commission
    of one deal, None does not. `upper` None has no end.
    """

    rate: int
    unit: CommissionUnit = CommissionUnit.MONEY_DEPOSIT
    per: CommissionPer = CommissionPer.LOT
    lower: int = 0
    upper: int | None = None
    minimum: int | None = None
    maximum: int | None = None


class CommissionRule(Struct, frozen=True, kw_only=True):
    """When a commission is taken, on which deals, and its tiers; the first that fits counts.

    Instant commissions go by the volume of the deal; `entry` is for them only.
    """

    tiers: tuple[CommissionTier, ...]
    range: CommissionRange = CommissionRange.VOLUME
    charge: CommissionCharge = CommissionCharge.INSTANT
    entry: CommissionEntry = CommissionEntry.ALL


class CommissionDeal(NamedTuple):
    """What a commission needs to know of a deal.

    `closed` is how much of the volume closed (all of an OUT, part of an INOUT). `conversion` leads
    from the unit's currency to the deposit currency, for PERCENT from the currency of `lot_value`
    (the notional value of one lot, from `profit.lot_value`). `pip_value` is one point of one lot in
    the deposit currency.
    """

    entry: DealEntry
    volume: int
    closed: int = 0
    profit: int = 0
    lot_value: Ratio = ONE
    pip_value: Ratio = ONE
    conversion: Ratio = ONE


# --- instant ---------------------------------------------------------------------------------


def deal_commission(rule: CommissionRule, deal: CommissionDeal, money_digits: int = 2) -> int:
    """What an instant rule takes of one deal; 0 where the rule or its tiers leave it out.

    A rule on entries takes the new part of a reversal, one on exits the closed part. Deals of a
    close-by are `close_by_commission`'s.
    """
    volume = charged_volume(rule.entry, deal)
    tier = tier_of(rule.tiers, volume)
    if not volume or tier is None:
        return 0
    return tier_commission(tier, deal._replace(volume=volume), money_digits)


def charged_volume(entry: CommissionEntry, deal: CommissionDeal) -> int:
    """The part of a deal's volume that a rule is about; none of an OUT_BY."""
    if deal.entry is DealEntry.OUT_BY:
        return 0
    closed = {DealEntry.IN: 0, DealEntry.OUT: deal.volume}.get(deal.entry, deal.closed)
    if entry is CommissionEntry.IN:
        return deal.volume - closed
    return closed if entry is CommissionEntry.OUT else deal.volume


def close_by_commission(
    rule: CommissionRule, first: CommissionDeal, second: CommissionDeal, money_digits: int = 2
) -> tuple[int, int]:
    """What an instant rule takes of the two OUT_BY deals of a close-by.

    Both were charged when they were opened, so only a rule on exits takes anything: of both, all of
    it written into the first, which holds the profit.
    """
    if rule.entry is not CommissionEntry.OUT:
        return 0, 0
    exits = (deal._replace(entry=DealEntry.OUT) for deal in (first, second))
    return sum(deal_commission(rule, deal, money_digits) for deal in exits), 0


# --- daily and monthly -----------------------------------------------------------------------


def period_commission(
    rule: CommissionRule, deals: Sequence[CommissionDeal], money_digits: int = 2
) -> int:
    """What a daily or monthly rule takes of the deals of its period.

    The tier follows from each deal's volume, or for all deals from the turnover of the period: once
    the turnover reaches another tier, every deal is charged by that one. Blocked commission is this
    sum while the period lasts.
    """
    if rule.range is CommissionRange.VOLUME:
        tiers = [tier_of(rule.tiers, deal.volume) for deal in deals]
    else:
        tiers = [tier_of(rule.tiers, turnover(rule.range, deals))] * len(deals)
    return sum(
        tier_commission(tier, deal, money_digits)
        for tier, deal in zip(tiers, deals, strict=True)
        if tier is not None
    )


def turnover(range_: CommissionRange, deals: Iterable[CommissionDeal]) -> int:
    """Lots, or notional value in the deposit currency, of deals; 1e-8, fractions cut off."""
    if range_ is not CommissionRange.TURNOVER_MONEY:
        return sum(deal.volume for deal in deals)
    return sum(amount[0] * LOT // amount[1] for amount in map(_notional, deals))


# --- one tier --------------------------------------------------------------------------------


def tier_of(tiers: Iterable[CommissionTier], amount: int) -> CommissionTier | None:
    """The first tier whose range holds a volume or turnover."""
    fitting = (tier for tier in tiers if tier.lower <= amount)
    return next((tier for tier in fitting if tier.upper is None or amount <= tier.upper), None)


def tier_commission(tier: CommissionTier, deal: CommissionDeal, money_digits: int = 2) -> int:
    """A deal's commission by a tier, bounded, rounded and negative.

    A percentage of a loss is paid to the client, unless the tier has a minimum.
    """
    amount = rounded(_tier_amount(tier, deal, money_digits), money_digits)
    if tier.minimum is not None:
        amount = max(amount, tier.minimum)
    if tier.maximum is not None:
        amount = min(amount, tier.maximum)
    return -amount


def _tier_amount(tier: CommissionTier, deal: CommissionDeal, money_digits: int) -> Ratio:
    rate: Ratio = (tier.rate, LOT * 100) if tier.unit in _SHARES else (tier.rate, LOT)
    if tier.unit is CommissionUnit.PERCENT_PROFIT:
        return product(rate, (deal.profit, POWERS[money_digits]))
    if tier.unit is CommissionUnit.PERCENT:
        return product(rate, _notional(deal))
    if tier.per is CommissionPer.LOT:
        rate = product(rate, (deal.volume, LOT))
    return product(rate, deal.pip_value if tier.unit is CommissionUnit.PIPS else deal.conversion)


def _notional(deal: CommissionDeal) -> Ratio:
    return product(product(deal.lot_value, (deal.volume, LOT)), deal.conversion)
