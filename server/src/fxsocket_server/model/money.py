"""Profit, margin and conversion in exact integers: a number is rounded once, half away from zero.

Prices are points of the symbol's digits; volumes, contract sizes, margin rates and initial or
hedged margins are 1e-8; money is minor units of its currency (cents: `money_digits` 2). A `Ratio`
is an exact (numerator, denominator) with a positive denominator.
"""

from typing import NamedTuple

from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.units import LOT, POWERS, div_half_away

Ratio = tuple[int, int]

ONE: Ratio = (1, 1)

FOREX_MODES = frozenset((CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE))
_LEVERAGED = frozenset((CalcMode.FOREX, CalcMode.CFDLEVERAGE))
_PRICED = frozenset((CalcMode.CFD, CalcMode.CFDLEVERAGE))

_CURRENCY_DIGITS = {"BTC": 8, "ETH": 8, "CLP": 0, "JPY": 0, "KRW": 0, "VND": 0}


def currency_digits(currency: str) -> int:
    """Decimal places in which money of a currency is kept: 2 unless the currency has others."""
    return _CURRENCY_DIGITS.get(currency, 2)


# --- rates -----------------------------------------------------------------------------------


def price_ratio(price: int, digits: int) -> Ratio:
    """A price in points as an exact number: 108340 with 5 digits is 1.0834."""
    return price, POWERS[digits]


def inverse(rate: Ratio) -> Ratio:
    """The rate of the other direction."""
    return rate[1], rate[0]


def product(first: Ratio, second: Ratio) -> Ratio:
    """The rate of two conversions in a row."""
    return first[0] * second[0], first[1] * second[1]


def middle(first: Ratio, second: Ratio) -> Ratio:
    """The mean of two rates."""
    return first[0] * second[1] + second[0] * first[1], 2 * first[1] * second[1]


def converted(amount: int, rate: Ratio, from_digits: int = 2, to_digits: int = 2) -> int:
    """Money in minor units of another currency at a rate."""
    return div_half_away(amount * rate[0] * POWERS[to_digits], rate[1] * POWERS[from_digits])


# --- profit ----------------------------------------------------------------------------------


def value(price: int, volume: int, contract_size: int, digits: int, money_digits: int = 2) -> int:
    """What a volume costs at a price (or is worth per price difference), in the profit currency."""
    amount = price * volume * contract_size * POWERS[money_digits]
    return div_half_away(amount, LOT * LOT * POWERS[digits])


def profit(
    calc_mode: CalcMode,
    side: Side,
    volume: int,
    *,
    contract_size: int,
    open_price: int,
    close_price: int,
    digits: int,
    money_digits: int = 2,
) -> int:
    """Profit of a closed volume in minor units of the profit currency.

    FOREX rounds the value at the open and at the close before it subtracts; other modes round the
    difference.
    """
    if calc_mode is CalcMode.FOREX:
        gain = value(close_price, volume, contract_size, digits, money_digits)
        gain -= value(open_price, volume, contract_size, digits, money_digits)
    else:
        gain = value(close_price - open_price, volume, contract_size, digits, money_digits)
    return gain if side is Side.BUY else -gain


def converts_at_ask(calc_mode: CalcMode, side: Side, amount: int) -> bool:
    """Whether a profit is converted at the Ask of the rate profit currency -> deposit currency.

    Forex goes by the deal (closing a buy takes the Ask, closing a sell the Bid), all other modes
    against the client: Bid for a profit, Ask for a loss.
    """
    return side is Side.BUY if calc_mode in FOREX_MODES else amount < 0


def tick_value(tick_size: int, digits: int, contract_size: int, rate: Ratio = ONE) -> Ratio:
    """What one tick of one lot is worth, unrounded, in units of the currency `rate` leads to."""
    return tick_size * contract_size * rate[0], POWERS[digits] * LOT * rate[1]


# --- margin ----------------------------------------------------------------------------------


def margin(
    calc_mode: CalcMode,
    volume: int,
    *,
    contract_size: int = LOT,
    price: Ratio = ONE,
    leverage: int = 1,
    margin_rate: int = LOT,
    margin_initial: int = 0,
    conversion: Ratio = ONE,
    money_digits: int = 2,
) -> int:
    """Margin of a volume in minor units of the currency that `conversion` leads to.

    `price` counts in the CFD modes, `leverage` in FOREX and CFDLEVERAGE; `margin_initial` (money
    per lot), when not 0, stands in place of contract size and price.
    """
    amount = volume * (margin_initial or contract_size) * margin_rate
    amount *= conversion[0] * POWERS[money_digits]
    unit = LOT * LOT * LOT * conversion[1]
    if calc_mode in _LEVERAGED:
        unit *= leverage
    if calc_mode in _PRICED and not margin_initial:
        amount *= price[0]
        unit *= price[1]
    return div_half_away(amount, unit)


class Leg(NamedTuple):
    """All positions of one side of a symbol: `turnover` is the sum of volume times open price."""

    volume: int = 0
    turnover: int = 0
    margin_rate: int = LOT
    conversion: Ratio = ONE


class HedgedMargin(NamedTuple):
    """Margin of a symbol's positions on both sides, and the volumes and prices it was made of."""

    uncovered_volume: int
    uncovered_price: Ratio
    uncovered: int
    covered_volume: int
    covered_price: Ratio
    covered: int

    @property
    def total(self) -> int:
        """What the symbol costs in margin."""
        return self.uncovered + self.covered


def mean_price(turnover: int, volume: int, digits: int) -> Ratio:
    """The volume-weighted mean of open prices; 0 of no volume."""
    return (turnover, volume * POWERS[digits]) if volume else (0, 1)


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
    """Margin of hedged positions by the basic rule: uncovered and covered volume, each rounded.

    The uncovered volume counts at the bigger side's mean price and rates. The covered volume counts
    once, at the means of both sides, with `margin_hedged` in place of the contract size (or of
    `margin_initial`, when that is set). `price_converts` says that the symbol itself leads from the
    margin currency to the deposit currency, so that the mean price is the conversion.
    """
    bigger = buy if buy.volume >= sell.volume else sell
    uncovered = abs(buy.volume - sell.volume)
    covered = min(buy.volume, sell.volume)
    price = mean_price(bigger.turnover, bigger.volume, digits)
    both = mean_price(buy.turnover + sell.turnover, buy.volume + sell.volume, digits)
    uncovered_margin = margin(
        calc_mode,
        uncovered,
        contract_size=contract_size,
        price=price,
        leverage=leverage,
        margin_rate=bigger.margin_rate,
        margin_initial=margin_initial,
        conversion=price if price_converts else bigger.conversion,
        money_digits=money_digits,
    )
    covered_margin = 0
    if covered and margin_hedged:
        conversion = both if price_converts else middle(buy.conversion, sell.conversion)
        covered_margin = margin(
            calc_mode,
            covered,
            contract_size=margin_hedged,
            price=both,
            leverage=leverage,
            # The sum of both rates; the half that makes it their mean stands in the conversion.
            margin_rate=buy.margin_rate + sell.margin_rate,
            margin_initial=margin_hedged if margin_initial else 0,
            conversion=product(conversion, (1, 2)),
            money_digits=money_digits,
        )
    return HedgedMargin(uncovered, price, uncovered_margin, covered, both, covered_margin)


# --- account ---------------------------------------------------------------------------------


def account_figures(balance: int, credit: int, floating: int, used_margin: int) -> AccountFigures:
    """Equity and free margin from their parts; `floating` is open profit with swaps."""
    equity = balance + credit + floating
    return AccountFigures(
        balance=balance,
        credit=credit,
        equity=equity,
        profit=floating,
        margin=used_margin,
        free_margin=equity - used_margin,
    )


def margin_level(equity: int, used_margin: int) -> Ratio | None:
    """Equity as a percentage of margin, exact; None without margin."""
    return (equity * 100, used_margin) if used_margin else None
