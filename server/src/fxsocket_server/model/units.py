"""Fixed-point numbers: prices in points, volumes in 1e-8 lots, money in minor units.

A price of a symbol with 5 digits is an integer of 1e-5; `point` is the smallest step. Floats exist
only on the wire: they come in through `points_of` and `volume_of`, and go out through `decimal_of`.
"""

from decimal import ROUND_HALF_UP, Decimal

VOLUME_DIGITS = 8
LOT = 100_000_000
DIGITS_MAX = 8

POWERS: tuple[int, ...] = tuple(int(10**n) for n in range(19))


def div_half_away(numerator: int, denominator: int) -> int:
    """Divide integers, rounding half away from zero, as MetaTrader rounds money."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    if numerator < 0:
        return -((-2 * numerator + denominator) // (2 * denominator))
    return (2 * numerator + denominator) // (2 * denominator)


def fixed_of(value: float, digits: int) -> int:
    """The integer of `10**-digits` nearest to a finite float, half away from zero.

    The decimal that a person wrote counts, not its binary neighbour: 1.000005 with 5 digits is
    100001.
    """
    scaled = value * POWERS[digits]
    nearest = round(scaled)
    if abs(scaled - nearest) < 0.25:
        return nearest
    exact = Decimal(repr(value)).scaleb(digits)
    return int(exact.to_integral_value(rounding=ROUND_HALF_UP))


def volume_of(lots: float) -> int:
    """A volume in lots as an integer of 1e-8 lots."""
    return fixed_of(lots, VOLUME_DIGITS)


def decimal_of(value: int, digits: int) -> float:
    """The float nearest to `value * 10**-digits`, for the wire."""
    return value / POWERS[digits]


def lots_of(volume: int) -> float:
    """A volume of 1e-8 lots in lots, for the wire."""
    return volume / LOT


def text_of(value: int, digits: int) -> str:
    """A fixed-point number as people write it, for messages: `text_of(150, 2)` is `1.50`."""
    sign = "-" if value < 0 else ""
    whole, part = divmod(abs(value), POWERS[digits])
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def lots_text(volume: int) -> str:
    """A volume in lots without trailing zeros, for messages: `0.01`."""
    text = text_of(volume, VOLUME_DIGITS).rstrip("0")
    return text.rstrip(".")
