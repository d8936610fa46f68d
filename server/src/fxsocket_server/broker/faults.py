"""Scenario faults: what a simulated broker does wrong, on purpose and by a seed.

A Fault changes the answers to trade commands, the prices, or how events are delivered; several may
be in force. Decisions are made here; who carries commands, ticks and events to and fro obeys them.
The same seed and the same inputs give the same faults.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import log

from msgspec import Struct, field
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.model.facts import Fact
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.server_time import DAY_MS, HOUR_MS

_DELAY_MAX_MS = 600_000
_POINTS_MAX = 10**6
_TIMES_MAX = 10**6
_ROLLOVER_BEFORE_MS = 5 * 60_000  # spreads widen from then on
_ROLLOVER_AFTER_MS = HOUR_MS  # and are as before by then
_WEEKEND_MS = DAY_MS  # no market pauses that long within a week
_CHANCES = 1 << 53
_RANGES = (
    ("delay_ms", 0, _DELAY_MAX_MS),
    ("price_jump_points", -_POINTS_MAX, _POINTS_MAX),
    ("spread_points", 0, _POINTS_MAX),
    ("rollover_spread_points", 0, _POINTS_MAX),
    ("weekend_gap_points", 0, _POINTS_MAX),
    ("seed", -(1 << 63), (1 << 63) - 1),
)
# To a client these are no refusals: there is nothing to refuse with.
_NOT_REFUSING = SUCCESS | {Retcode.NO_CHANGES}


class DelayShape(StrEnum):
    """How delays are distributed: always the same, or random up to or around a mean."""

    FIXED = "FIXED"
    UNIFORM = "UNIFORM"
    EXPONENTIAL = "EXPONENTIAL"


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong; what is left out works as it should. `scenario` says where it comes from.

    `delay_ms` acts after the hand-over: fixed, uniform up to it, or exponential with it as mean.
    `times` is for how many trade commands the fault lasts, None until it is taken away.
    `partial_volume` is 1e-8 lots; `price_jump_points` moves the market for as long as the fault
    lasts, `weekend_gap_points` by up to so much, up or down, after each weekend.
    """

    scenario: str = ""
    delay_ms: int = 0
    delay_shape: DelayShape = DelayShape.FIXED
    retcode: int | None = None
    lose_reply: bool = False
    freeze: bool = False
    disconnect: bool = False
    partial_volume: int | None = None
    price_jump_points: int = 0
    spread_points: int = 0
    trade_disabled: bool = False
    off_quotes: bool = False
    duplicate_events: bool = False
    reorder_events: bool = False
    rollover_spread_points: int = 0
    weekend_gap_points: int = 0
    times: int | None = None
    seed: int = 0


SCENARIOS = {
    "slow_broker": Fault(delay_ms=800, delay_shape=DelayShape.EXPONENTIAL),
    "requotes": Fault(retcode=Retcode.REQUOTE, times=3),
    "price_changed": Fault(retcode=Retcode.PRICE_CHANGED, times=3),
    "no_money": Fault(retcode=Retcode.NO_MONEY, times=1),
    "too_many_requests": Fault(retcode=Retcode.TOO_MANY_REQUESTS, times=5),
    "server_error": Fault(retcode=Retcode.ERROR, times=1),
    "timeout": Fault(delay_ms=60_000, retcode=Retcode.TIMEOUT, times=1),
    "autotrading_off_server": Fault(retcode=Retcode.SERVER_DISABLES_AT),
    "autotrading_off_client": Fault(retcode=Retcode.CLIENT_DISABLES_AT),
    "locked": Fault(retcode=Retcode.LOCKED, times=1),
    "no_connection": Fault(disconnect=True),
    "only_real": Fault(retcode=Retcode.ONLY_REAL),
    "lost_reply": Fault(lose_reply=True, times=1),
    "frozen_terminal": Fault(freeze=True),
    "partial_fills": Fault(partial_volume=1_000_000),
    "flash_crash": Fault(price_jump_points=-2_000, spread_points=150),
    "news_spread": Fault(spread_points=80),
    "off_quotes": Fault(off_quotes=True),
    "trading_halt": Fault(trade_disabled=True),
    "rollover": Fault(rollover_spread_points=120),
    "weekend_gap": Fault(weekend_gap_points=400),
    "duplicated_events": Fault(duplicate_events=True),
    "reordered_events": Fault(reorder_events=True),
}


class FaultError(ValueError):
    """A fault that cannot be: which field is wrong, and the fix."""

    def __init__(self, field: str, fix: str) -> None:
        super().__init__(f"{field}: {fix}")
        self.field = field
        self.fix = fix


class Verdict(Struct, frozen=True):
    """What happens to one trade command.

    A `retcode` is the answer in place of the broker's. `depth` (1e-8 lots) is all that it may fill.
    `held` commands wait until the terminal answers again.
    """

    delay_ms: int = 0
    retcode: int | None = None
    comment: str = ""
    depth: int = 0
    lose_reply: bool = False
    held: bool = False


class _Running(Struct):
    """A fault in force, with what it has left and its random numbers."""

    fault: Fault
    left: int | None
    rng_state: int
    gap: int = 0


class FaultState(Struct, frozen=True):
    """All that decides which faults come next."""

    running: tuple[_Running, ...] = field(default_factory=tuple)
    last_ms: int = 0


def scenario(name: str, **settings: object) -> Fault:
    """A scenario by its name, with settings that replace its own; FaultError if there is none."""
    if name not in SCENARIOS:
        raise FaultError("scenario", f"must be one of {', '.join(SCENARIOS)}, is {name[:64]!r}")
    return replace(SCENARIOS[name], scenario=name, **settings)


def check_fault(fault: Fault) -> Fault:
    """The fault; raises FaultError if it cannot be, or does nothing."""
    for name, low, high in _RANGES:
        if not low <= getattr(fault, name) <= high:
            raise FaultError(name, f"must be {low} to {high}, is {getattr(fault, name)}")
    if fault.times is not None and not 1 <= fault.times <= _TIMES_MAX:
        raise FaultError("times", f"must be 1 to {_TIMES_MAX}, or left out, is {fault.times}")
    if fault.partial_volume is not None and fault.partial_volume <= 0:
        raise FaultError("partial_volume", "must be above 0")
    if fault.retcode is not None and fault.retcode not in set(Retcode) - _NOT_REFUSING:
        raise FaultError("retcode", f"must be one that refuses, such as 10004, is {fault.retcode}")
    if replace(fault, scenario="", delay_shape=DelayShape.FIXED, times=None, seed=0) == Fault():
        raise FaultError("scenario", "name a scenario, or set what goes wrong, such as delay_ms")
    return fault


class Faults:
    """The faults in force on one account."""

    def __init__(self, state: FaultState | None = None) -> None:
        state = state or FaultState()
        self._running = [replace(running) for running in state.running]
        self._last_ms = state.last_ms

    def state(self) -> FaultState:
        """All of it, to go on with later."""
        return FaultState(tuple(replace(running) for running in self._running), self._last_ms)

    def put(self, fault: Fault) -> Fault:
        """Put a fault in force beside those that are; raises FaultError."""
        if len(self._running) == limits.SIM_FAULTS:
            raise FaultError(
                "scenario", f"{limits.SIM_FAULTS} faults are in force already; clear them first"
            )
        fault = check_fault(fault)
        self._running.append(_Running(fault, fault.times, SplitMix64(fault.seed).state))
        return fault

    def clear(self) -> None:
        """Take all faults away."""
        self._running.clear()

    def in_force(self) -> tuple[Fault, ...]:
        """The faults in force, each with the times that it has left."""
        return tuple(replace(running.fault, times=running.left) for running in self._running)

    # --- commands ----------------------------------------------------------------------------

    def on_command(self) -> Verdict:
        """What happens to the next trade command; it uses up one of every fault's times."""
        verdict = Verdict()
        for running in self._running:
            verdict = _joined(verdict, running)
            if running.left is not None:
                running.left -= 1
        self._running = [running for running in self._running if running.left != 0]
        return verdict

    # --- prices ------------------------------------------------------------------------------

    def on_tick(self, server_ms: int, bid: int, ask: int) -> tuple[int, int] | None:
        """Bid and Ask as the faults make them, None when no price comes through."""
        if not self._running:
            self._last_ms = server_ms
            return bid, ask
        weekend = bool(self._last_ms) and server_ms - self._last_ms >= _WEEKEND_MS
        self._last_ms = max(self._last_ms, server_ms)
        for running in self._running:
            fault = running.fault
            if fault.freeze or fault.disconnect:
                return None
            if weekend and fault.weekend_gap_points:
                span = 2 * fault.weekend_gap_points + 1
                running.gap = _draw(running, span) - fault.weekend_gap_points
            bid, ask = _moved(running, server_ms, bid, ask)
        return bid, ask

    # --- events ------------------------------------------------------------------------------

    def on_facts(self, facts: Sequence[Fact]) -> list[tuple[Fact, ...]]:
        """The deliveries that facts come in: once and in order, unless a fault says otherwise."""
        deliveries = [tuple(facts)]
        for running in self._running:
            if running.fault.reorder_events:
                deliveries = [_shuffled(running, delivery) for delivery in deliveries]
            if running.fault.duplicate_events:
                deliveries.append(deliveries[0])
        return deliveries


def _joined(verdict: Verdict, running: _Running) -> Verdict:
    fault = running.fault
    retcode, comment = _answer(fault)
    depth = fault.partial_volume or 0
    return Verdict(
        delay_ms=verdict.delay_ms + _delay(running),
        retcode=verdict.retcode or retcode,
        comment=verdict.comment or comment,
        depth=min(filter(None, (verdict.depth, depth)), default=0),
        lose_reply=verdict.lose_reply or fault.lose_reply,
        held=verdict.held or fault.freeze,
    )


def _answer(fault: Fault) -> tuple[int | None, str]:
    """The retcode that a fault answers with, and what the answer says."""
    if fault.disconnect:
        return Retcode.CONNECTION, "the simulated terminal is disconnected"
    if fault.trade_disabled:
        return Retcode.TRADE_DISABLED, "trading is halted by a simulated fault"
    if fault.off_quotes:
        return Retcode.PRICE_OFF, "there are no quotes by a simulated fault"
    if fault.retcode is not None:
        return fault.retcode, f"a simulated fault answers {Retcode(fault.retcode).name}"
    return None, ""


def _delay(running: _Running) -> int:
    fault = running.fault
    if not fault.delay_ms or fault.delay_shape is DelayShape.FIXED:
        return fault.delay_ms
    if fault.delay_shape is DelayShape.UNIFORM:
        return _draw(running, fault.delay_ms + 1)
    share = (_draw(running, _CHANCES) + 1) / _CHANCES
    return min(int(-log(share) * fault.delay_ms), _DELAY_MAX_MS)


def _draw(running: _Running, bound: int) -> int:
    rng = SplitMix64(running.rng_state)
    number = rng.below(bound)
    running.rng_state = rng.state
    return number


def _moved(running: _Running, server_ms: int, bid: int, ask: int) -> tuple[int, int]:
    fault = running.fault
    shift = fault.price_jump_points + running.gap
    into = server_ms % DAY_MS
    is_night = into < _ROLLOVER_AFTER_MS or into >= DAY_MS - _ROLLOVER_BEFORE_MS
    spread = fault.spread_points + (fault.rollover_spread_points if is_night else 0)
    bid = max(bid + shift, 1)
    return bid, max(ask + shift, bid) + spread


def _shuffled(running: _Running, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Facts in a random order (Fisher and Yates), but for those of one thing.

    A later version of an order is told after an earlier one: nothing in them says which is newer.
    """
    things = [_thing(fact) for fact in facts]
    told: dict[object, Iterator[Fact]] = {
        thing: iter([fact for fact in facts if _thing(fact) == thing]) for thing in things
    }
    for last in range(len(things) - 1, 0, -1):
        other = _draw(running, last + 1)
        things[last], things[other] = things[other], things[last]
    return tuple(next(told[thing]) for thing in things)


def _thing(fact: Fact) -> tuple[object, ...]:
    """What a fact is about."""
    return type(fact), getattr(fact, "ticket", None)
