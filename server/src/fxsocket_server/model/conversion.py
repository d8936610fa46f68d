"""Money of several currencies: exact rates, and amounts rounded once, half away from zero.

A `Ratio` is an exact (numerator, denominator) with a positive denominator: a price, a rate, or an
amount in whole units of a currency. Money as an integer is in minor units (cents: 2 digits).
"""

from fxsocket_server.model.units import POWERS, div_half_away

Ratio = tuple[int, int]

ONE: Ratio = (1, 1)

_CURRENCY_DIGITS = {"BTC": 8, "ETH": 8, "CLP": 0, "JPY": 0, "KRW": 0, "VND": 0}


def currency_digits(currency: str) -> int:
    """Decimal places in which money of a currency is kept: 2 unless the currency has others."""
    return _CURRENCY_DIGITS.get(currency, 2)


# --- rates -----------------------------------------------------------------------------------


def price_ratio(price: int, digits: int) -> Ratio:
    """A price in points as an exact number: 108340 with 5 digits is 1.0834."""
    return price, POWERS[digits]


def inverse(rate: Ratio) -> Ratio:
    """The rate of the other direction; the Ask becomes the other direction's Bid."""
    return rate[1], rate[0]


def product(first: Ratio, second: Ratio) -> Ratio:
    """The rate of two conversions in a row."""
    return first[0] * second[0], first[1] * second[1]


def middle(first: Ratio, second: Ratio) -> Ratio:
    """The mean of two rates, at which MT4 converts margin and swap."""
    return first[0] * second[1] + second[0] * first[1], 2 * first[1] * second[1]


def plus(first: Ratio, second: Ratio) -> Ratio:
    """The sum of two exact amounts."""
    return first[0] * second[1] + second[0] * first[1], first[1] * second[1]


# --- money -----------------------------------------------------------------------------------


def rounded(amount: Ratio, money_digits: int = 2) -> int:
    """An exact amount of money in minor units."""
    return div_half_away(amount[0] * POWERS[money_digits], amount[1])


def converted(amount: int, rate: Ratio, from_digits: int = 2, to_digits: int = 2) -> int:
    """Money in minor units of another currency at a rate."""
    return div_half_away(amount * rate[0] * POWERS[to_digits], rate[1] * POWERS[from_digits])
