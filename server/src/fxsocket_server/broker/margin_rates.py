"""The margin rates of one symbol on one account, looked up once instead of at every order."""

from typing import NamedTuple

from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.margin import once_open
from fxsocket_server.model.symbol import SymbolSpec

_TYPES = tuple(OrderType)
_RESTING = _TYPES[2:8]


class MarginRates(NamedTuple):
    """A rate (1e-8) per order type, one per side once open, and whether any order that rests costs.

    A rate of 0 charges and checks nothing.
    """

    of_order: dict[OrderType, int]
    of_open: dict[Side, int]
    charge_pending: bool


def rates_of(spec: SymbolSpec, *, is_mt4: bool) -> MarginRates:
    """What a symbol's rules say; on MT4 pending orders need no margin."""
    of_order = {kind: _order_rate(spec, kind, is_mt4) for kind in OrderType}
    maintenance = spec.maintenance_rates or (0, 0)
    of_open = {
        side: once_open(of_order[OrderType(side.value)], rate)
        for side, rate in zip((Side.BUY, Side.SELL), maintenance, strict=True)
    }
    return MarginRates(of_order, of_open, any(of_order[kind] for kind in _RESTING))


def _order_rate(spec: SymbolSpec, kind: OrderType, is_mt4: bool) -> int:
    if not kind.is_market and (is_mt4 or kind is OrderType.CLOSE_BY):
        return 0
    if spec.margin_rates:
        return spec.margin_rates[_TYPES.index(kind)]
    return spec.margin_rate if kind.is_market else 0
