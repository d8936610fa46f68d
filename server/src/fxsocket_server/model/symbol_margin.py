"""Margin of all that stands on one symbol: positions and orders, hedging, netting and FORTS.

A part's margin is rounded to minor units before parts are added, as MetaTrader prints it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fxsocket_server.model.conversion import Ratio, middle, plus, product, rounded
from fxsocket_server.model.enums import Side
from fxsocket_server.model.margin import (
    Leg,
    MarginTerms,
    leg_amount,
    margin_amount,
    mean_price,
)
from fxsocket_server.model.units import LOT, POWERS

_NOTHING: Ratio = (0, 1)

# --- hedging ---------------------------------------------------------------------------------


class HedgedMargin(NamedTuple):
    """Margin of a symbol's positions on both sides, and the volumes and prices it was made of."""

    uncovered_volume: int
    uncovered_price: Ratio
    uncovered_amount: Ratio
    covered_volume: int
    covered_price: Ratio
    covered_amount: Ratio
    money_digits: int

    @property
    def uncovered(self) -> int:
        """Margin of the volume that no opposite position covers, in minor units."""
        return rounded(self.uncovered_amount, self.money_digits)

    @property
    def covered(self) -> int:
        """Margin of the volume held on both sides, in minor units."""
        return rounded(self.covered_amount, self.money_digits)

    @property
    def total(self) -> int:
        """What the positions cost in margin: both parts, each rounded."""
        return self.uncovered + self.covered

    @property
    def exact(self) -> Ratio:
        """The same unrounded, which floating leverage starts from."""
        return plus(self.uncovered_amount, self.covered_amount)


def hedged_margin(terms: MarginTerms, buy: Leg, sell: Leg) -> HedgedMargin:
    """Margin of hedged positions by the basic rule.

    The uncovered volume counts at the bigger side's mean price and rates. The covered volume counts
    once, at the means of both sides, with `margin_hedged` in place of the contract size (or of the
    fixed margin, when that is set).
    """
    bigger = _bigger(buy, sell)
    uncovered_amount, covered_amount = hedged_amounts(terms, buy, sell)
    return HedgedMargin(
        abs(buy.volume - sell.volume),
        mean_price(bigger.turnover, bigger.volume, terms.digits),
        uncovered_amount,
        min(buy.volume, sell.volume),
        _covered_price(terms, buy, sell),
        covered_amount,
        terms.money_digits,
    )


def hedged_amounts(terms: MarginTerms, buy: Leg, sell: Leg) -> tuple[Ratio, Ratio]:
    """What the uncovered and the covered volume cost by the same rule, exact."""
    covered = min(buy.volume, sell.volume)
    uncovered = leg_amount(terms, _bigger(buy, sell), volume=abs(buy.volume - sell.volume))
    if not covered:
        return uncovered, _NOTHING
    price = _covered_price(terms, buy, sell)
    return uncovered, _covered_amount(terms, buy, sell, covered, price)


def _bigger(buy: Leg, sell: Leg) -> Leg:
    return buy if buy.volume >= sell.volume else sell


def _covered_price(terms: MarginTerms, buy: Leg, sell: Leg) -> Ratio:
    if terms.mt4 and buy.volume and sell.volume:
        return middle(*(mean_price(leg.turnover, leg.volume, terms.digits) for leg in (buy, sell)))
    return mean_price(buy.turnover + sell.turnover, buy.volume + sell.volume, terms.digits)


def _covered_amount(terms: MarginTerms, buy: Leg, sell: Leg, volume: int, price: Ratio) -> Ratio:
    if not terms.margin_hedged:
        return _NOTHING
    hedged = terms.margin_hedged * (2 if terms.mt4 else 1)
    conversion = price if terms.price_converts else middle(buy.conversion, sell.conversion)
    return margin_amount(
        terms.calc_mode,
        volume,
        contract_size=hedged,
        price=price,
        leverage=terms.leverage,
        # The sum of both rates; the half that makes it their mean stands in the conversion.
        margin_rate=buy.margin_rate + sell.margin_rate,
        margin_initial=hedged if terms.margin_initial else 0,
        conversion=product(conversion, (1, 2)),
        tick_ratio=terms.tick_ratio,
        face_value=terms.face_value,
    )


def larger_leg_margin(
    terms: MarginTerms,
    buy: Leg,
    sell: Leg,
    *,
    resting_buys: Iterable[Leg] = (),
    resting_sells: Iterable[Leg] = (),
) -> int:
    """Margin by the rule "larger leg": both sides in full, and the larger of the two.

    Pending orders, one Leg per order type, count on their side.
    """
    sides = (
        (buy, resting_buys),
        (sell, resting_sells),
    )
    return max(_held(terms, leg) + resting_margin(terms, resting) for leg, resting in sides)


def _held(terms: MarginTerms, leg: Leg) -> int:
    return rounded(leg_amount(terms, leg), terms.money_digits)


def resting_margin(terms: MarginTerms, legs: Iterable[Leg]) -> int:
    """Margin of pending orders on a hedging account: one Leg per order type, each rounded."""
    amounts = (leg_amount(terms, leg, opening=True) for leg in legs)
    return sum(rounded(amount, terms.money_digits) for amount in amounts)


def placing_margin(terms: MarginTerms, buy: Leg, sell: Leg, side: Side, order: Leg) -> int:
    """Margin of a hedging account's symbol while a market order is being placed.

    The order counts as if it were filled, but never lowers the margin. With an initial and a
    maintenance margin what is held stays charged as it is; of the order, the volume that an
    opposite position covers costs `margin_hedged` per lot, the rest the initial margin.
    """
    held = hedged_margin(terms, buy, sell).total
    if not (terms.margin_initial and terms.margin_maintenance):
        legs = (joined(buy, order), sell) if side is Side.BUY else (buy, joined(sell, order))
        return while_started(held, hedged_margin(terms, *legs).total)
    same, opposite = (buy, sell) if side is Side.BUY else (sell, buy)
    covered = min(order.volume, max(opposite.volume - same.volume, 0))
    price = mean_price(order.turnover, order.volume, terms.digits)
    hedged = _covered_amount(terms, order, order, covered, price)
    rest = leg_amount(terms, order, volume=order.volume - covered, opening=True)
    return held + rounded(hedged, terms.money_digits) + rounded(rest, terms.money_digits)


def joined(leg: Leg, more: Leg) -> Leg:
    """Two legs as one, at the rates of the first that has a volume."""
    first = leg if leg.volume else more
    return first._replace(volume=leg.volume + more.volume, turnover=leg.turnover + more.turnover)


def while_started(before: int, filled: int) -> int:
    """Margin while a market order is under way: it may raise the margin, never lower it."""
    return max(before, filled)


# --- netting ---------------------------------------------------------------------------------


class Charge(NamedTuple):
    """A volume (1e-8 lots) and the margin it costs on its own (minor units)."""

    volume: int = 0
    margin: int = 0


def netting_margin(
    position: Charge,
    *,
    same: Iterable[Charge] = (),
    opposite: Iterable[Charge] = (),
    same_stops: Iterable[Charge] = (),
    opposite_stops: Iterable[Charge] = (),
) -> int:
    """Margin of a netting account's symbol with the orders that rest on it.

    `same` and `opposite` are market and limit orders in the position's direction and against it,
    the other two stop and stop-limit orders. What goes with the position is added to it; what goes
    against it counts only if it is larger than the position, and then the costlier of the two is
    charged. Without a position the costlier side counts (take any side as `same`), and every stop
    order is added.
    """
    held = position.margin + _sum(same)
    added = _sum(same_stops)
    if not position.volume:
        return max(held, _sum(opposite)) + added + _sum(opposite_stops)
    against = list(opposite)
    larger = sum(charge.volume for charge in against) > position.volume
    stops = (charge for charge in opposite_stops if charge.volume > position.volume)
    return max(held, _sum(against if larger else ()) + _sum(stops)) + added


def _sum(charges: Iterable[Charge]) -> int:
    return sum(charge.margin for charge in charges)


# --- FORTS -----------------------------------------------------------------------------------


class FortsOrder(NamedTuple):
    """An order of the derivatives market: the side, 1e-8 lots, and the price it counts at.

    Limit orders count at their price, stop-limit orders at their limit; market and stop orders at
    the session's highest price when they buy and its lowest when they sell.
    """

    side: Side
    volume: int
    price: int


class FortsMargin(NamedTuple):
    """What the position costs with all buy orders, and with all sell orders, in minor units."""

    buy: int
    sell: int

    @property
    def total(self) -> int:
        """What is charged: the larger of the two."""
        return max(self)


def forts_margin(
    volume: int,
    open_price: int,
    orders: Iterable[FortsOrder] = (),
    *,
    initial_buy: int,
    initial_sell: int,
    settlement: int,
    digits: int,
    tick_ratio: Ratio,
    currency_rate: int = 0,
    money_digits: int = 2,
) -> FortsMargin:
    """Margin of a Moscow Exchange future's position and orders.

    `volume` is negative for a short position. A lot costs the initial margin of its side, more or
    less by how far its price is beyond the settlement price (a buy below it gets a discount).
    Initial margins are 1e-8 money per lot, prices points, `currency_rate` 1e-8 percent.
    """
    scale = tick_ratio[0] * (100 * LOT + currency_rate), tick_ratio[1] * 100 * LOT

    def cost(side: Side, lots: int, price: int) -> Ratio:
        beyond = price - settlement if side is Side.BUY else settlement - price
        initial = initial_buy if side is Side.BUY else initial_sell
        more = beyond * lots * scale[0], POWERS[digits] * LOT * scale[1]
        return plus((initial * lots, LOT * LOT), more)

    sums = {
        Side.BUY: cost(Side.BUY, volume, open_price),
        Side.SELL: cost(Side.SELL, -volume, open_price),
    }
    for order in orders:
        sums[order.side] = plus(sums[order.side], cost(*order))
    return FortsMargin(*(rounded(sums[side], money_digits) for side in Side))
