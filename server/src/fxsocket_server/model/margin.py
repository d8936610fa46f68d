"""Margin of one volume, by every calculation mode's formula.

Volumes, contract sizes, money per lot and margin rates are 1e-8, prices and rates exact ratios;
money is minor units. A Leg is what stands on one side of a symbol, a MarginTerms how its margin is
calculated; `symbol_margin` puts positions and orders together.
"""

from typing import NamedTuple

from fxsocket_server.model.conversion import ONE, Ratio, rounded
from fxsocket_server.model.enums import CalcMode
from fxsocket_server.model.profit import BOND_MODES, TICK_MODES
from fxsocket_server.model.units import LOT, POWERS

_LEVERAGED = frozenset((CalcMode.FOREX, CalcMode.CFDLEVERAGE))
_UNPRICED = frozenset((CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE))


def margin_amount(
    calc_mode: CalcMode,
    volume: int,
    *,
    contract_size: int = LOT,
    price: Ratio = ONE,
    leverage: int = 1,
    margin_rate: int = LOT,
    margin_initial: int = 0,
    conversion: Ratio = ONE,
    tick_ratio: Ratio = ONE,
    face_value: int = LOT,
) -> Ratio:
    """Margin of a volume, exact, in the currency that `conversion` leads to.

    `price` counts in all modes but Forex and futures, `leverage` in FOREX and CFDLEVERAGE,
    `tick_ratio` (tick value over tick size) in CFDINDEX, `face_value` for bonds. `margin_initial`
    (money per lot), when not 0, stands in place of contract size and price; futures and margined
    options have nothing else. Collateral needs no margin.
    """
    if calc_mode is CalcMode.SERV_COLLATERAL:
        return 0, 1
    fixed = margin_initial or calc_mode in TICK_MODES
    amount = volume * (margin_initial if fixed else contract_size) * margin_rate * conversion[0]
    unit = LOT * LOT * LOT * conversion[1]
    if calc_mode in _LEVERAGED:
        unit *= leverage
    if fixed or calc_mode in _UNPRICED:
        return amount, unit
    if calc_mode is CalcMode.CFDINDEX:
        return amount * price[0] * tick_ratio[0], unit * price[1] * tick_ratio[1]
    if calc_mode in BOND_MODES:
        return amount * price[0] * face_value, unit * price[1] * 100 * LOT
    return amount * price[0], unit * price[1]


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
    tick_ratio: Ratio = ONE,
    face_value: int = LOT,
    money_digits: int = 2,
) -> int:
    """The same in minor units, rounded once."""
    amount = margin_amount(
        calc_mode,
        volume,
        contract_size=contract_size,
        price=price,
        leverage=leverage,
        margin_rate=margin_rate,
        margin_initial=margin_initial,
        conversion=conversion,
        tick_ratio=tick_ratio,
        face_value=face_value,
    )
    return rounded(amount, money_digits)


def once_open(initial: int, maintenance: int) -> int:
    """What holds for an open position, of margins per lot and of rates: 0 means as initially."""
    return maintenance or initial


# --- legs ------------------------------------------------------------------------------------


class MarginTerms(NamedTuple):
    """How margin of a symbol is calculated on an account.

    `margin_initial` is 0 or money per lot; `margin_maintenance` its value once open (0: the same).
    `margin_hedged` is what one covered lot is charged as: money per lot beside a `margin_initial`,
    else a contract size. `price_converts` says that the symbol itself leads from the margin
    currency to the deposit currency, so that the mean open price is the conversion. `mt4` doubles
    `margin_hedged`, which MT4 counts per two legs, and takes the mean of both sides' prices.
    """

    calc_mode: CalcMode
    contract_size: int = LOT
    digits: int = 0
    leverage: int = 1
    margin_initial: int = 0
    margin_maintenance: int = 0
    margin_hedged: int = 0
    tick_ratio: Ratio = ONE
    face_value: int = LOT
    price_converts: bool = False
    mt4: bool = False
    money_digits: int = 2


class Leg(NamedTuple):
    """Positions, or orders of one type, on one side of a symbol.

    `turnover` is the sum of volume times price in points; `margin_rate` is 1e-8 (of MT4's
    percentage, percent / 100); `conversion` leads from margin to deposit currency: the Ask for
    buys, the Bid for sells, on MT4 the middle.
    """

    volume: int = 0
    turnover: int = 0
    margin_rate: int = LOT
    conversion: Ratio = ONE


def mean_price(turnover: int, volume: int, digits: int) -> Ratio:
    """The volume-weighted mean of open prices; 0 of no volume."""
    return (turnover, volume * POWERS[digits]) if volume else (0, 1)


def leg_amount(
    terms: MarginTerms, leg: Leg, *, volume: int | None = None, opening: bool = False
) -> Ratio:
    """Margin of a leg (or of part of its volume) at its mean price, exact.

    Fixed margins are those of open positions; `opening` takes the initial one, for orders.
    """
    price = mean_price(leg.turnover, leg.volume, terms.digits)
    initial, maintenance = terms.margin_initial, terms.margin_maintenance
    return margin_amount(
        terms.calc_mode,
        leg.volume if volume is None else volume,
        contract_size=terms.contract_size,
        price=price,
        leverage=terms.leverage,
        margin_rate=leg.margin_rate,
        margin_initial=initial if opening else once_open(initial, maintenance),
        conversion=price if terms.price_converts else leg.conversion,
        tick_ratio=terms.tick_ratio,
        face_value=terms.face_value,
    )
