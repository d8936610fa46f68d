"""Swaps: what a position is charged (or paid) for each night, by every mode.

Rates, volumes and multipliers are 1e-8; prices exact ratios; money is minor units of the deposit
currency. Server times are milliseconds of the server's wall clock, whose midnights are the
rollovers; a night belongs to the day that it ends.
"""

from collections.abc import Callable, Container, Iterable, Sequence

from fxsocket_server.model.conversion import ONE, Ratio, product, rounded
from fxsocket_server.model.enums import CalcMode, Side, SwapMode
from fxsocket_server.model.profit import FOREX_MODES, TICK_MODES, lot_value
from fxsocket_server.model.profit import converts_at_ask as profit_converts_at_ask
from fxsocket_server.model.server_time import DAY_MS
from fxsocket_server.model.units import LOT, POWERS, div_half_away

WEEK = 7
NO_TRIPLE_DAY = 7
FRIDAY = 5
_FIRST_WEEKDAY = 4  # 1970-01-01 was a Thursday

_INTEREST = frozenset((SwapMode.INTEREST_CURRENT, SwapMode.INTEREST_OPEN))
_REOPENED = frozenset((SwapMode.REOPEN_CURRENT, SwapMode.REOPEN_BID))


# --- one night -------------------------------------------------------------------------------


def night(
    swap_mode: SwapMode,
    rate: int,
    volume: int,
    *,
    multiplier: int = LOT,
    calc_mode: CalcMode = CalcMode.FOREX,
    contract_size: int = LOT,
    digits: int = 0,
    price: Ratio = ONE,
    tick_ratio: Ratio = ONE,
    face_value: int = LOT,
    days_in_year: int = 360,
    conversion: Ratio = ONE,
    money_digits: int = 2,
) -> int:
    """Swap of one night, rounded to minor units; negative is charged.

    `rate` is points, money per lot or percent a year, for the position's direction. POINTS values
    one point of the whole volume first, rounded to minor units. INTEREST takes its share of the
    value of the lots at `price`: the current one or the position's open, as the mode says.
    `conversion` leads from `swap_currency` to the deposit currency. A mode that reopens the
    position instead charges nothing here.
    """
    if swap_mode is SwapMode.DISABLED or swap_mode in _REOPENED:
        return 0
    if swap_mode is SwapMode.POINTS:
        point = point_value(
            calc_mode,
            volume,
            contract_size=contract_size,
            digits=digits,
            tick_ratio=tick_ratio,
            conversion=conversion,
            money_digits=money_digits,
        )
        return div_half_away(point * rate * multiplier, LOT * LOT)
    amount = rate * volume * multiplier * conversion[0], LOT * LOT * LOT * conversion[1]
    if swap_mode in _INTEREST:
        lot = lot_value(
            calc_mode,
            price,
            contract_size=contract_size,
            tick_ratio=tick_ratio,
            face_value=face_value,
        )
        amount = product(amount, (lot[0], lot[1] * 100 * days_in_year))
    return rounded(amount, money_digits)


def point_value(
    calc_mode: CalcMode,
    volume: int,
    *,
    contract_size: int,
    digits: int,
    tick_ratio: Ratio = ONE,
    conversion: Ratio = ONE,
    money_digits: int = 2,
) -> int:
    """What one point of a whole volume is worth, in minor units of the deposit currency."""
    amount = volume * conversion[0], LOT * POWERS[digits] * conversion[1]
    size = tick_ratio if calc_mode in TICK_MODES else (contract_size, LOT)
    return rounded(product(amount, size), money_digits)


def reopen_price(price: int, digits: int, side: Side, points: int) -> Ratio:
    """The open price that a REOPEN mode gives a position, exact: a fraction of a point counts.

    `price` is what it was closed at, or the Bid; `points` (1e-8) are added for a buy and taken off
    for a sell.
    """
    shift = points if side is Side.BUY else -points
    return price * LOT + shift, POWERS[digits] * LOT


# --- currencies ------------------------------------------------------------------------------


def swap_currency(
    swap_mode: SwapMode,
    calc_mode: CalcMode,
    *,
    base: str,
    profit: str,
    margin: str,
    deposit: str,
) -> str:
    """The currency in which a swap is calculated before it is converted."""
    if swap_mode in _INTEREST:
        return base if calc_mode in FOREX_MODES else profit
    return {
        SwapMode.CURRENCY_SYMBOL: base,
        SwapMode.CURRENCY_MARGIN: margin,
        SwapMode.CURRENCY_DEPOSIT: deposit,
    }.get(swap_mode, profit)


def converts_at_ask(swap_mode: SwapMode, calc_mode: CalcMode, side: Side, rate: int) -> bool:
    """Whether a swap is converted at the Ask of the rate swap currency -> deposit currency.

    Points go as a profit of the position would, interest by the Bid for buys and the Ask for sells,
    money against the client. MT4 converts all of them at the middle.
    """
    if swap_mode is SwapMode.POINTS:
        return profit_converts_at_ask(calc_mode, side, 1)
    if swap_mode in _INTEREST:
        return side is Side.SELL
    return rate < 0


# --- nights ----------------------------------------------------------------------------------


def rollover_days(opened_ms: int, closed_ms: int) -> range:
    """The days (since 1970-01-01) whose midnights a position lived through, in server time."""
    return range(opened_ms // DAY_MS, closed_ms // DAY_MS)


def weekday_of(day: int) -> int:
    """The weekday of a day since 1970-01-01: 0 is Sunday."""
    return (day + _FIRST_WEEKDAY) % WEEK


def weekday_multipliers(triple_day: int) -> tuple[int, ...]:
    """One multiplier per weekday from Sunday on: 1 from Monday to Friday, 3 on the triple day.

    NO_TRIPLE_DAY has none; a triple day at the weekend has its own night counted.
    """
    return tuple(
        3 * LOT if day == triple_day else LOT * (1 <= day <= FRIDAY) for day in range(WEEK)
    )


def night_multiplier(
    day: int, multipliers: Sequence[int], holidays: Container[int] = frozenset()
) -> int:
    """How often the night of a day is charged (1e-8).

    A holiday is charged on the working day before it; days that count 0 lie between without harm.
    """
    if day in holidays:
        return 0
    total = multipliers[weekday_of(day)]
    if not total:
        return 0
    for later in range(day + 1, day + 1 + 2 * WEEK):
        more = multipliers[weekday_of(later)]
        if later in holidays:
            total += more
        elif more:
            break
    return total


def accrued(
    nightly: Callable[[int], int],
    days: Iterable[int],
    multipliers: Sequence[int],
    holidays: Container[int] = frozenset(),
) -> int:
    """Swap of several nights: each one's, rounded on its own, from its multiplier."""
    return sum(nightly(night_multiplier(day, multipliers, holidays)) for day in days)
