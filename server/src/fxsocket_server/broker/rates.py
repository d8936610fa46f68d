"""How money of one currency becomes money of another: the symbols that a rate is read from."""

from collections.abc import Iterable
from typing import Protocol

from fxsocket_server.model.conversion import ONE, Ratio, inverse, price_ratio, product
from fxsocket_server.model.profit import FOREX_MODES
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import POWERS

_VIA = "USD"

Box = tuple[int, int, int, int]  # the lowest and highest Bid and Ask that are reckoned with


class Quoted(Protocol):
    """A symbol with its newest price in points; a Bid of 0 says that there is none yet."""

    spec: SymbolSpec
    bid: int
    ask: int
    box: "Box"


class Step:
    """One symbol on the way, read forwards (base to profit currency) or backwards."""

    __slots__ = ("backwards", "symbol")

    def __init__(self, symbol: Quoted, backwards: bool) -> None:
        self.symbol = symbol
        self.backwards = backwards

    def span(self) -> tuple[float, float]:
        """The lowest and highest rate within the symbol's box."""
        bid_low, _, _, ask_high = self.symbol.box
        unit = POWERS[self.symbol.spec.digits]
        if self.backwards:
            return unit / ask_high, unit / max(bid_low, 1)
        return bid_low / unit, ask_high / unit

    def rate(self, at_ask: bool) -> Ratio:
        """The rate's Ask or Bid; read backwards, its Ask is one over the symbol's Bid."""
        symbol = self.symbol
        price = symbol.ask if at_ask != self.backwards else symbol.bid
        rate = price_ratio(price, symbol.spec.digits)
        return inverse(rate) if self.backwards else rate


class Route:
    """The conversion between two currencies: no step when they are the same, else one or two."""

    __slots__ = ("is_identity", "source", "steps", "target")

    def __init__(self, source: str, target: str, steps: tuple[Step, ...] | None) -> None:
        self.source = source
        self.target = target
        self.steps = steps
        self.is_identity = steps == ()

    def fault(self) -> str | None:
        """Why nothing can be converted now, None if it can."""
        if self.steps is None:
            return f"no symbol converts {self.source} to {self.target}"
        for step in self.steps:
            if not step.symbol.bid:
                name = step.symbol.spec.symbol
                return f"no price of {name} yet, which converts {self.source} to {self.target}"
        return None

    def rate(self, at_ask: bool) -> Ratio | None:
        """The rate's Ask or Bid; None when it cannot be had now."""
        if self.steps is None:
            return None
        rate = ONE
        for step in self.steps:
            if not step.symbol.bid:
                return None
            rate = product(rate, step.rate(at_ask))
        return rate

    def span(self) -> tuple[float, float]:
        """The lowest and highest rate within the boxes of its symbols; it must have no fault."""
        low = high = 1.0
        for step in self.steps or ():
            lowest, highest = step.span()
            low, high = low * lowest, high * highest
        return low, high

    def step_of(self, symbol: Quoted) -> Step | None:
        """The only step, when a symbol itself is the rate."""
        if self.steps and len(self.steps) == 1 and self.steps[0].symbol is symbol:
            return self.steps[0]
        return None


def find_route(symbols: Iterable[Quoted], source: str, target: str, traded: SymbolSpec) -> Route:
    """The conversion by MetaTrader's search: direct, inverse, then in two steps through USD.

    Of several candidates one with the traded symbol's suffix goes first, then the alphabet decides.
    """
    suffix = _suffix(traded)

    def preference(quoted: Quoted) -> tuple[bool, str]:
        return _suffix(quoted.spec) != suffix, quoted.spec.symbol

    pairs = [quoted for quoted in symbols if quoted.spec.calc_mode in FOREX_MODES]
    return Route(source, target, _steps(sorted(pairs, key=preference), source, target))


def _steps(pairs: list[Quoted], source: str, target: str) -> tuple[Step, ...] | None:
    if source == target:
        return ()
    if step := _step(pairs, source, target):
        return (step,)
    first, second = _step(pairs, source, _VIA), _step(pairs, _VIA, target)
    return (first, second) if first and second else None


def _step(pairs: list[Quoted], source: str, target: str) -> Step | None:
    for wanted, backwards in (((source, target), False), ((target, source), True)):
        for pair in pairs:
            if (pair.spec.currency_base, pair.spec.currency_profit) == wanted:
                return Step(pair, backwards)
    return None


def _suffix(spec: SymbolSpec) -> str:
    return spec.symbol.removeprefix(spec.currency_base + spec.currency_profit)
