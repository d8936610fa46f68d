"""A seeded market: ticks that look like one, the same on every platform for the same seed.

Each symbol's mid price is a walk that is drawn back to an anchor. Its volatility clusters (a large
move makes the next ones larger), follows the hours of the day and sometimes jumps; the spread
floats and widens with it. All of it is integer arithmetic, so a snapshot is a few integers.
"""

import heapq
import math
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from fxsocket_server.core.rng import SplitMix64

GAP_MIN_MS = 200
GAP_MAX_MS = 1_000  # every symbol has one to five ticks a second

Tick = tuple[int, str, int, int]

_BITS = 16
_ONE = 1 << _BITS  # 1.0 in fixed point; prices and spreads are points times this
_HALF = _ONE // 2
_LN2 = 45_426

# A draw sums four 16-bit numbers: bell-shaped, with this mean and standard deviation.
_DRAW_MEAN = 2 * (_ONE - 1)
_DRAW_DEVIATION = 37_837
_LOW = _ONE - 1  # mask of the lowest 16 bits

_JUMP_ONE_IN = 4_096  # ticks, so every 40 minutes
_JUMP = 5

# The variance h of a move of size 1 follows h' = FLOOR + KEEP h + REACT z^2 h with mean 1, z being
# the move (GARCH(1,1)). It forgets half of a shock in 1,400 ticks, a quarter of an hour.
_VARIANCE = 1 << 2 * _BITS
_FORGET = 33  # of 65,536
_REACT = 1_090
_KEEP = _ONE - _FORGET - _REACT - _REACT * (_JUMP * _JUMP - 1) // _JUMP_ONE_IN
_FLOOR = _VARIANCE * _FORGET // _ONE
_VARIANCE_MAX = 6 * _VARIANCE

# Volatility in each hour of the day, UTC, in percent of its mean: quiet after New York closes,
# busiest while London and New York are both open. The mean of the squares is 1.
_HOURS = (
    *(79, 81, 83, 79, 75, 77, 90, 110, 118, 114, 106, 102),
    *(116, 138, 144, 136, 120, 106, 94, 87, 79, 63, 64, 76),
)

_FAR = 2  # standard deviations from the anchor at which the pull has doubled
_SECONDS_ROOT_OF_DAY = 293.93876913398138  # square root of 86,400


def volatility_of(bid: int, daily_move: int) -> float:
    """Points per square root of a second, from a day's standard deviation in 1e-8 of the price."""
    return bid * daily_move / 1e8 / _SECONDS_ROOT_OF_DAY


class GeneratorSymbol(Struct, frozen=True, kw_only=True):
    """How a symbol moves: prices in points, `volatility` in points per square root of a second.

    Mid prices lie around their anchor with a standard deviation of a little less than
    `volatility * sqrt(half_life_s / (2 ln 2))`: 72 times the volatility at two hours. Beyond
    two of them the pull back grows fast: in 48 simulated weeks no price came to five.
    """

    symbol: str
    digits: int
    bid: int
    spread: int
    spread_min: int = 1
    spread_floating: bool = True
    tick_size: int = 1
    volatility: float
    half_life_s: int = 2 * 3600

    def __post_init__(self) -> None:
        """Refuse what no market can have."""
        for name, least in (("bid", 1), ("spread", 0), ("tick_size", 1), ("half_life_s", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{self.symbol}: {name} must be at least {least}")
        if not 0 <= self.volatility < _ONE * _ONE:
            raise ValueError(f"{self.symbol}: volatility must be a number from 0 up")


class _State(Struct, array_like=True, gc=False):
    """What changes with every tick of a symbol; prices and spread in fixed point."""

    random: int
    last_ms: int
    next_ms: int
    anchor: int
    mid: int
    spread: int
    variance: int


class _Market:
    """One symbol's market."""

    def __init__(self, spec: GeneratorSymbol, seed: int, start_ms: int) -> None:
        self.spec = spec
        self._rng = SplitMix64(seed)
        self._volatility = int(spec.volatility * _ONE)
        self._pull_below = spec.half_life_s * 1000 * _ONE
        deviation_squared = self._volatility**2 * spec.half_life_s * _HALF // _LN2
        self._far_squared = max(1, _FAR * _FAR * deviation_squared)
        self.state = _State(0, start_ms, start_ms, 0, 0, 0, _VARIANCE)
        self.put(spec.bid, spec.bid + spec.spread)
        self._wait(self._rng.next_u64())

    def put(self, bid: int, ask: int) -> None:
        """Set the price there and make it the anchor."""
        self.state.anchor = self.state.mid = (bid + ask) * _HALF
        self.state.spread = (ask - bid) * _ONE

    def next(self) -> Tick:
        """Move to the next tick."""
        state, time_ms = self.state, self.state.next_ms
        bits = self._rng.next_u64()
        deviation = math.isqrt(state.variance) * _HOURS[time_ms // 3_600_000 % 24] // 100
        self._move(deviation, jumps=bits & (_JUMP_ONE_IN - 1) == 0)
        if self.spec.spread_floating:
            self._float_spread(deviation, bits >> _BITS & _LOW)
        self._wait(bits >> 2 * _BITS)
        bid, ask = self.quote()
        return time_ms, self.spec.symbol, bid, ask

    def _move(self, deviation: int, *, jumps: bool) -> None:
        state = self.state
        elapsed_ms = state.next_ms - state.last_ms
        root_of_seconds = math.isqrt((elapsed_ms << 2 * _BITS) // 1000)
        size = self._draw() * (_JUMP if jumps else 1)
        away = state.mid - state.anchor
        pull = away * elapsed_ms * _LN2 * (self._far_squared + away * away)
        state.mid += size * deviation * self._volatility * root_of_seconds >> 3 * _BITS
        state.mid -= pull // (self._far_squared * self._pull_below)
        reaction = size * size * _REACT >> 2 * _BITS
        state.variance = min(_VARIANCE_MAX, _FLOOR + ((_KEEP + reaction) * state.variance >> _BITS))

    def _draw(self) -> int:
        """A number around 0 with standard deviation 1, in fixed point."""
        bits = self._rng.next_u64()
        total = (bits & _LOW) + (bits >> 16 & _LOW) + (bits >> 32 & _LOW) + (bits >> 48)
        return (total - _DRAW_MEAN) * _ONE // _DRAW_DEVIATION

    def _float_spread(self, deviation: int, noise: int) -> None:
        """An eighth of the way towards a spread that widens with volatility, and some noise."""
        state, usual = self.state, self.spec.spread
        target = usual * (_ONE + deviation) // 2
        state.spread += (target - state.spread) // 8 + (noise - _HALF) * usual // 4
        state.spread = max(state.spread, self.spec.spread_min * _ONE)

    def _wait(self, bits: int) -> None:
        """Choose when the next tick comes."""
        state = self.state
        gap_ms = GAP_MIN_MS + ((bits & _LOW) * (GAP_MAX_MS - GAP_MIN_MS + 1) >> _BITS)
        state.last_ms, state.next_ms = state.next_ms, state.next_ms + gap_ms
        state.random = self._rng.state

    def quote(self) -> tuple[int, int]:
        """Bid and Ask on the symbol's grid of prices."""
        state, tick = self.state, self.spec.tick_size
        grid = tick * _ONE
        bid = max(1, (state.mid - state.spread // 2 + grid // 2) // grid) * tick
        return bid, bid + (state.spread + grid // 2) // grid * tick

    def resume(self, state: _State) -> None:
        """Go on from a state."""
        self.state = state
        self._rng.state = state.random


class PriceGenerator:
    """The ticks of several symbols in time order, from a seed."""

    def __init__(self, specs: Iterable[GeneratorSymbol], seed: int, start_ms: int) -> None:
        root = SplitMix64(seed).next_u64()
        self._markets = {
            spec.symbol: _Market(spec, root ^ _name_hash(spec.symbol), start_ms) for spec in specs
        }
        if not self._markets:
            raise ValueError("a generator needs at least one symbol")
        self._schedule()

    def next_tick(self) -> Tick:
        """(time_ms, symbol, bid, ask) of the next tick of any symbol, prices in points."""
        _, symbol = self._due[0]
        market = self._markets[symbol]
        tick = market.next()
        heapq.heapreplace(self._due, (market.state.next_ms, symbol))
        return tick

    def quotes(self) -> list[tuple[str, int, int]]:
        """(symbol, bid, ask) as the markets stand between two ticks, in points."""
        return [(name, *market.quote()) for name, market in self._markets.items()]

    def set_price(self, symbol: str, bid: int, ask: int) -> None:
        """Put a symbol's market there, in points; it stays around that price from now on."""
        if symbol not in self._markets:
            raise ValueError(f"no symbol {symbol}; there are {', '.join(self._markets)}")
        if not 0 < bid <= ask:
            raise ValueError(f"bid {bid} must be above 0 and not above ask {ask}")
        self._markets[symbol].put(bid, ask)

    def snapshot(self) -> bytes:
        """The state from which `restore` goes on with exactly the same ticks."""
        return msgspec.json.encode({name: market.state for name, market in self._markets.items()})

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot; symbols that it does not hold stay, others' states are dropped.

        ValueError if it is none.
        """
        try:
            states = msgspec.json.decode(snapshot, type=dict[str, _State])
        except msgspec.DecodeError as error:
            raise ValueError(f"not a snapshot of generated prices: {error}") from None
        for name, state in states.items():
            if name in self._markets:
                self._markets[name].resume(state)
        self._schedule()

    def _schedule(self) -> None:
        self._due = [(market.state.next_ms, name) for name, market in self._markets.items()]
        heapq.heapify(self._due)


def _name_hash(name: str) -> int:
    """64-bit FNV-1a, so that a symbol's prices do not depend on what else is traded."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value
