"""Rates that a file names (USDJPY: 147.9) as quoted symbols which conversions go through."""

from collections.abc import Iterable, Mapping

from fxsocket_server.broker.rates import find_route
from fxsocket_server.model.conversion import Ratio, product
from fxsocket_server.model.enums import CalcMode
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import DIGITS_MAX, LOT, fixed_of

Price = float | list[float] | Mapping[str, float]

# Codes that are no currencies although they are quoted like ones: metals, coins.
_GOODS = ("XAU", "XAG", "XPT", "XPD", "XBR", "XTI", "XNG", "BTC", "ETH", "LTC", "XRP")


def codes(symbol: str) -> tuple[str, str] | None:
    """Base and quote currency of a symbol such as EURUSD or eurusd.ecn; None of another."""
    name = symbol[:6].upper()
    return (name[:3], name[3:]) if len(name) == 6 and name.isascii() and name.isalpha() else None


def is_currency_pair(symbol: str) -> bool:
    """Whether a symbol trades one currency for another."""
    pair = codes(symbol)
    return pair is not None and pair[0] not in _GOODS


class NamedRate:
    """A currency pair with the Bid and Ask that a file gives, or one price for both."""

    def __init__(self, name: str, price: Price | None = None) -> None:
        self.spec = _spec(name)
        self.bid, self.ask = (0, 0) if price is None else _bid_ask(price)
        self.box = (0, 0, 0, 0)


def _bid_ask(price: Price) -> tuple[int, int]:
    if isinstance(price, Mapping):
        both = [price["bid"], price["ask"]]
    else:
        both = [price[0], price[-1]] if isinstance(price, list) else [price, price]
    bid, ask = (fixed_of(float(value), DIGITS_MAX) for value in both)
    return bid, ask


def _spec(name: str) -> SymbolSpec:
    """A currency pair of which only name and currencies matter."""
    base, quote = codes(name) or ("", "")
    return SymbolSpec(
        symbol=name,
        description=name,
        digits=DIGITS_MAX,
        contract_size=LOT,
        currency_base=base,
        currency_profit=quote,
        currency_margin=base,
        tick_size=1,
        volume_min=1,
        volume_max=1,
        volume_step=1,
        order_types=(),
        calc_mode=CalcMode.FOREX,
    )


def cross_rate(
    rates: Iterable[NamedRate], source: str, target: str, *, at_ask: bool, traded: str = ""
) -> Ratio | None:
    """The Bid or Ask from one currency to another, by the broker's own search.

    Where that finds nothing, two of the named rates may lead there by way of a third currency.
    """
    known = list(rates)
    spec = _spec(traded or source + target)

    def direct(start: str, end: str) -> Ratio | None:
        return find_route(known, start, end, spec).rate(at_ask)

    if (rate := direct(source, target)) is not None:
        return rate
    for via in {code: None for rate in known for code in codes(rate.spec.symbol) or ()}:
        first, second = direct(source, via), direct(via, target)
        if first is not None and second is not None:
            return product(first, second)
    return None
