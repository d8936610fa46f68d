"""The inputs of worked examples as the product takes them: integers, exact rates, enumerations.

Examples write decimals and leave out what goes without saying; here alone floats become integers,
and here alone it is guessed which symbol, currencies and calculation mode an example means.
"""

import re
from decimal import Decimal
from functools import cached_property
from typing import Any

from fxsocket_server.model.conversion import ONE, Ratio, currency_digits, middle
from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.mt5_numbers import from_mt5
from fxsocket_server.model.profit import tick_ratio
from fxsocket_server.model.units import fixed_of
from quotes import NamedRate, cross_rate

DIGITS = 8  # of prices, enough for all that examples print
_CODES = """
AUD BRL CAD CHF CLP CNH CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR
NOK NZD PHP PLN RON RUB RUR SAR SEK SGD THB TRY TWD UAH USD VND ZAR
"""
CURRENCIES = frozenset(_CODES.split())
SIDES = {"buy": Side.BUY, "long": Side.BUY, "sell": Side.SELL, "short": Side.SELL}
PRICES = ("price", "last", "open", "close")

_RATE = re.compile(r"([A-Z]{6})(?:_(bid|ask))?")
_ACCOUNT = re.compile(r"\b([A-Z]{3}) account\b|\b(?:to|in) ([A-Z]{3})\b")


def ratio(value: float) -> Ratio:
    """The decimal that a person wrote, exactly."""
    numerator, denominator = Decimal(repr(value)).as_integer_ratio()
    return numerator, denominator


def lots(value: float) -> int:
    """1e-8 units: volumes, contract sizes, money per lot, rates."""
    return fixed_of(value, 8)


def points(value: float) -> int:
    """A price in points of `DIGITS`."""
    return fixed_of(value, DIGITS)


def percent(value: float) -> int:
    """A percentage as a rate of 1e-8."""
    return fixed_of(value, 6)


def decimals(step: float) -> int:
    """The digits of a point: 5 of 0.00001."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return max(-int(exponent), 0)


def pair(name: str) -> tuple[str, str] | None:
    """Base and quote of a currency pair, whatever suffix it has."""
    base, quote = name[:3], name[3:6]
    return (base, quote) if base in CURRENCIES and quote in CURRENCIES else None


class Inputs:
    """One example's inputs, with what they imply."""

    def __init__(self, example: dict[str, Any]) -> None:
        self.values: dict[str, Any] = example["inputs"]
        self.title: str = example.get("title", "")
        self.is_mt4 = example.get("platform") == "mt4"

    def has(self, *names: str) -> bool:
        """Whether any of these is given."""
        return any(self.values.get(name) is not None for name in names)

    def first(self, *names: str, default: Any = None) -> Any:
        """The first of these that is given."""
        given = (self.values[name] for name in names if self.values.get(name) is not None)
        return next(given, default)

    def lots(self, *names: str, default: float = 0) -> int:
        """The first of these as 1e-8."""
        return lots(self.first(*names, default=default))

    def digits(self) -> int:
        """The digits that the example counts points in."""
        if self.has("digits"):
            return int(self.values["digits"])
        return decimals(self.first("point", "tick_size", default=10**-DIGITS))

    # --- symbol ------------------------------------------------------------------------------

    @cached_property
    def symbol(self) -> str:
        """The traded symbol: named, in the title, or the only or first named rate."""
        if self.has("symbol"):
            return str(self.values["symbol"])
        titled = [word for word in re.findall(r"\b[A-Z]{6}\b", self.title) if pair(word)]
        own_price = self.has(*PRICES, "ask", "bid")
        rates = [] if own_price else list(self.quotes)
        return next(iter(titled + rates), "")

    @cached_property
    def currencies(self) -> tuple[str, str]:
        """Base and quote of the traded symbol, "" where nothing tells."""
        codes = pair(self.symbol)
        if codes:
            return codes
        quoted = self.symbol[3:6] if self.symbol[3:6] in CURRENCIES else ""
        others = [code for name in self.quotes for code in pair(name) or () if code != self.deposit]
        return quoted, quoted or next(iter(others), "")

    @cached_property
    def calc_mode(self) -> CalcMode:
        """As named or numbered; else Forex for currency pairs, a CFD for what has a price."""
        named = self.first("calc_mode")
        if isinstance(named, int):
            return from_mt5(CalcMode, named)
        if named is not None:
            return CalcMode(str(named).upper().removeprefix("SYMBOL_CALC_MODE_"))
        if pair(self.symbol) or not self.has(*PRICES, "ask", "bid"):
            return CalcMode.FOREX
        return CalcMode.CFDLEVERAGE if self.has("leverage") else CalcMode.CFD

    @property
    def is_forex(self) -> bool:
        """Whether the symbol's amounts start from its base currency."""
        return self.calc_mode in (CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE)

    @property
    def side(self) -> Side:
        """Buy unless said otherwise, by a direction or an order type."""
        named = str(self.first("side", "direction", "order_type", "type", default="buy")).lower()
        return Side.SELL if re.match(r"(order_type_)?(sell|short)", named) else Side.BUY

    def price(self, side: Side) -> float | None:
        """What the side deals at: Ask for a buy, Bid for a sell, or the only price there is."""
        own = ("ask", "bid") if side is Side.BUY else ("bid", "ask")
        price: float | None = self.first(own[0], *PRICES, own[1])
        return price

    def tick_ratio(self) -> Ratio:
        """Tick value over tick size; 1 where the example has none."""
        if not self.has("tick_value", "tick_price"):
            return ONE
        size = points(self.first("tick_size", default=1))
        return tick_ratio(self.lots("tick_value", "tick_price"), size, DIGITS)

    # --- currencies --------------------------------------------------------------------------

    @cached_property
    def quotes(self) -> dict[str, NamedRate]:
        """The rates that are named: USDJPY, USDJPY_bid and _ask, or in a table `rates`."""
        prices: dict[str, dict[str, float]] = {}
        rates: dict[str, NamedRate] = {}
        for key, value in {**self.values, **self.first("rates", default={})}.items():
            named = _RATE.fullmatch(key)
            if named and pair(named[1]) and named[2]:
                prices.setdefault(named[1], {})[named[2]] = value
            elif named and pair(named[1]):
                rates[named[1]] = NamedRate(named[1], value)
        for name, both in prices.items():
            (only, *_) = both.values()
            rates[name] = NamedRate(name, {"bid": only, "ask": only, **both})
        return rates

    @cached_property
    def deposit(self) -> str:
        """The account's currency: named, in the title, or USD where rates lead to it.

        "" where nothing is converted.
        """
        named = self.first("deposit_ccy", "deposit_currency", "account_currency", "account_ccy")
        if named:
            return str(named)
        titled = _ACCOUNT.search(self.title)
        if titled and self.quotes:
            return titled[1] or titled[2]
        return "USD" if any("USD" in (pair(name) or ()) for name in self.quotes) else ""

    @property
    def profit_currency(self) -> str:
        """What profits are made in."""
        return str(self.first("profit_ccy", "currency_profit", default=self.currencies[1]))

    @property
    def margin_currency(self) -> str:
        """What margin is calculated in: the base currency, or what the price is in."""
        default = self.currencies[0 if self.is_forex else 1]
        return str(self.first("margin_ccy", "currency_margin", default=default))

    def money_digits(self, currency: str) -> int:
        """Digits of an amount in the deposit currency, or in its own where nothing converts it."""
        return currency_digits(self.deposit or currency)

    def converts_itself(self, source: str) -> bool:
        """Whether the traded symbol is the rate from a currency to the deposit currency."""
        named = [set(pair(name) or ()) for name in self.quotes]
        given = self.has("conversion_rate", "conversion")
        if given or not self.deposit or source == self.deposit or {source, self.deposit} in named:
            return False
        if pair(self.symbol):
            return {source, self.deposit} == set(self.currencies)
        return not self.quotes and not source and self.is_forex

    def conversion(self, source: str, at_ask: bool) -> Ratio:
        """The rate from a currency to the deposit currency; MT4 may ask for the `middle`."""
        if self.has("conversion_rate", "conversion"):
            return ratio(self.first("conversion_rate", "conversion"))
        if not source or not self.deposit:
            return ONE
        traded = self.symbol if pair(self.symbol) else ""
        rates = self.quotes.values()
        rate = cross_rate(rates, source, self.deposit, at_ask=at_ask, traded=traded)
        if rate is None:
            known = ", ".join(self.quotes) or "no rates"
            raise LookupError(f"no rate from {source} to {self.deposit} among {known}")
        return rate

    def middle(self, source: str) -> Ratio:
        """MT4's rate: halfway between Bid and Ask."""
        bid, ask = self.conversion(source, at_ask=False), self.conversion(source, at_ask=True)
        return bid if bid == ask else middle(bid, ask)
