"""Profit of every calculation mode, and the side of the market that converts it.

Prices are points of the symbol's digits; volumes, contract sizes, face values and accrued interest
are 1e-8; money is minor units of the profit currency. `tick_ratio` is tick value over tick size.
"""

from fxsocket_server.model.conversion import ONE, Ratio
from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.units import LOT, POWERS, div_half_away

FOREX_MODES = frozenset((CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE))
TICK_MODES = frozenset(
    (
        CalcMode.FUTURES,
        CalcMode.EXCH_FUTURES,
        CalcMode.EXCH_FUTURES_FORTS,
        CalcMode.EXCH_OPTIONS_MARGIN,
    )
)
BOND_MODES = frozenset((CalcMode.EXCH_BONDS, CalcMode.EXCH_BONDS_MOEX))


def tick_ratio(tick_value: int, tick_size: int, digits: int) -> Ratio:
    """Money per unit of price: a tick's value (1e-8 money) over its size (points of `digits`)."""
    return tick_value * POWERS[digits], tick_size * LOT


def value(price: int, volume: int, contract_size: int, digits: int, money_digits: int = 2) -> int:
    """What a volume costs at a price (or is worth per price difference), in the profit currency."""
    amount = price * volume * contract_size * POWERS[money_digits]
    return div_half_away(amount, LOT * LOT * POWERS[digits])


def profit(
    calc_mode: CalcMode,
    side: Side,
    volume: int,
    *,
    open_price: int,
    close_price: int,
    digits: int,
    contract_size: int = LOT,
    money_digits: int = 2,
    tick_ratio: Ratio = ONE,
    face_value: int = LOT,
    open_accrued: int = 0,
    close_accrued: int = 0,
) -> int:
    """Profit of a closed volume in minor units of the profit currency.

    FOREX rounds the value at the open and at the close before it subtracts; other modes round the
    difference. `tick_ratio` counts for futures and margined options, in place of the contract size;
    `face_value` and the interest accrued per unit at either end for bonds. Collateral earns none.
    """
    points = close_price - open_price
    if calc_mode is CalcMode.FOREX:
        gain = value(close_price, volume, contract_size, digits, money_digits)
        gain -= value(open_price, volume, contract_size, digits, money_digits)
    elif calc_mode in TICK_MODES:
        gain = div_half_away(
            points * volume * tick_ratio[0] * POWERS[money_digits],
            POWERS[digits] * LOT * tick_ratio[1],
        )
    elif calc_mode in BOND_MODES:
        accrued = (close_accrued - open_accrued) * 100 * POWERS[digits]
        gain = div_half_away(
            (points * face_value + accrued) * volume * contract_size * POWERS[money_digits],
            100 * POWERS[digits] * LOT * LOT * LOT,
        )
    elif calc_mode is CalcMode.SERV_COLLATERAL:
        gain = 0
    else:
        gain = value(points, volume, contract_size, digits, money_digits)
    return gain if side is Side.BUY else -gain


# --- conversion ------------------------------------------------------------------------------


def converts_at_ask(
    calc_mode: CalcMode, side: Side, amount: int, *, by_market: bool = False
) -> bool:
    """Whether a profit is converted at the Ask of the rate profit currency -> deposit currency.

    Forex goes by the deal (closing a buy takes the Ask, closing a sell the Bid); all other modes,
    and Forex symbols set to convert `by_market`, go against the client: Bid for a profit, Ask for
    a loss. A Forex pair that is the rate itself converts at the deal's own close price instead.
    """
    if calc_mode in FOREX_MODES and not by_market:
        return side is Side.BUY
    return amount < 0


def mt4_converts_at_ask(calc_mode: CalcMode, side: Side) -> bool:
    """The same on MT4: Bid for buys and Ask for sells of Forex, Bid for everything else."""
    return calc_mode in FOREX_MODES and side is Side.SELL


# --- what a lot is worth ---------------------------------------------------------------------


def tick_value(tick_size: int, digits: int, contract_size: int, rate: Ratio = ONE) -> Ratio:
    """What one tick of one lot is worth, unrounded, in units of the currency `rate` leads to.

    `rate` is the Bid of profit -> deposit currency for a tick that wins, its Ask for one that
    loses.
    """
    return tick_size * contract_size * rate[0], POWERS[digits] * LOT * rate[1]


def lot_value(
    calc_mode: CalcMode,
    price: Ratio,
    *,
    contract_size: int,
    tick_ratio: Ratio = ONE,
    face_value: int = LOT,
) -> Ratio:
    """The notional value of one lot, which interest swaps and percentages are taken of.

    The contract size for Forex (in base currency), contract size times price otherwise (in profit
    currency): times the tick ratio for futures, as a percentage of the face value for bonds.
    """
    if calc_mode in FOREX_MODES:
        return contract_size, LOT
    amount, unit = contract_size * price[0], LOT * price[1]
    if calc_mode in TICK_MODES:
        return amount * tick_ratio[0], unit * tick_ratio[1]
    if calc_mode in BOND_MODES:
        return amount * face_value, unit * 100 * LOT
    return amount, unit
