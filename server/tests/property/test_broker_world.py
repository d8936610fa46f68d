"""A broker with its faults on a feed of bars: twice the same log, and the same future restored.

Commands are delayed, refused, filled in part or told twice by the faults in force; ticks come from
random bars, on an exchange with the Last, and pass through the faults. All that decides what comes
next is the broker's state, the faults' state and the commands that are still under way.
"""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.bars import Bar, ticks_of_bars
from fxsocket_server.broker.faults import SCENARIOS, Fault, Faults, FaultState, scenario
from fxsocket_server.broker.state import BrokerState
from fxsocket_server.model.facts import TradeRequest

from .test_broker_profiles import DEPOSIT, NAMES, NOW, Driver, broker_of, profile_of

MINUTE_MS = 60_000
# What is delivered, however often and in whatever order, is logged; the rest keeps commands away.
CALM = [name for name in SCENARIOS if name not in ("no_connection", "frozen_terminal")]

LATE = b'"retcode":null,"comment":"","depth"'  # a verdict that lets the broker answer later

Tick = tuple[str, int, int, int, int]


class Underway(Struct, frozen=True):
    """A command that the broker sees later, and how much of it may then be filled."""

    due_ms: int
    request: TradeRequest
    depth: int


class Saved(Struct, frozen=True):
    """All that decides a world's future but its inputs."""

    broker: BrokerState
    faults: FaultState
    underway: tuple[Underway, ...]


class World:
    """One account; what happens to each input is told as bytes."""

    def __init__(self, name: str, saved: Saved | None = None) -> None:
        self.zone = profile_of(name).zone
        self.broker: Any = broker_of(name, saved.broker if saved else None)
        self.faults = Faults(saved.faults if saved else None)
        self.underway = list(saved.underway) if saved else []

    def saved(self) -> Saved:
        state = Saved(self.broker.snapshot(), self.faults.state(), tuple(self.underway))
        return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Saved)

    def put(self, step: Any) -> bytes:
        if isinstance(step, Fault):
            self.faults.clear() if step == Fault() else self.faults.put(step)
            return b""
        told = self.command(*step) if isinstance(step[0], TradeRequest) else self.tick(*step)
        return msgspec.json.encode(told)

    def command(self, request: TradeRequest, time_ms: int) -> Any:
        verdict = self.faults.on_command()
        if verdict.retcode is not None:
            return verdict
        if verdict.delay_ms:
            self.underway.append(Underway(time_ms + verdict.delay_ms, request, verdict.depth))
            return verdict
        report = self.broker.request(request, time_ms, verdict.depth)
        return report, self.faults.on_facts(report.facts)

    def tick(self, symbol: str, time_ms: int, bid: int, ask: int, last: int) -> Any:
        due = [late for late in self.underway if late.due_ms <= time_ms]
        self.underway = [late for late in self.underway if late.due_ms > time_ms]
        reports = [self.broker.request(late.request, late.due_ms, late.depth) for late in due]
        price = self.faults.on_tick(self.zone.to_server_ms(time_ms), bid, ask)
        facts = () if price is None else self.broker.on_tick(symbol, time_ms, *price, last)
        return reports, self.faults.on_facts(facts)


class Script(Driver):
    """Bars, commands and faults at random, from what the broker shows."""

    def steps(self, broker: Any, bars: int) -> Iterator[Any]:
        for symbol, generator in self.profile.generators.items():
            yield symbol, NOW, generator.bid, generator.bid + generator.spread, 0
        for number in range(1, bars + 1):
            yield from self.around_bar(broker, NOW + number * 40 * MINUTE_MS)

    def around_bar(self, broker: Any, start_ms: int) -> Iterator[Any]:
        symbol = self.rng.choice(self.symbols)
        for tick in self.bar(broker, symbol, start_ms):
            yield tick
            self.now = tick[1]
            for _ in range(self.rng.randrange(3)):
                yield self.request(broker, self.rng.uniform(0.52, 1)), self.now
        if self.rng.random() < 0.3:
            yield self.fault()

    def fault(self) -> Fault:
        """A scenario, a delay, or the one that takes all away."""
        chosen = self.rng.choice((self.rng.choice(CALM), "slow_broker", ""))
        return scenario(chosen, seed=self.rng.randrange(2**40)) if chosen else Fault()

    def bar(self, broker: Any, symbol: str, start_ms: int) -> list[Tick]:
        spec, opened = self.profile.symbols[symbol], broker.quote(symbol).bid
        step = spec.tick_size

        def near(price: int) -> int:
            move = int(self.rng.gauss(0, price * self.rng.choice((0.0005, 0.004))))
            return max(price + move, 100 * step) // step * step

        closed = near(opened)
        high, low = near(max(opened, closed)), near(min(opened, closed))
        bar = Bar(start_ms, opened, max(high, opened, closed), min(low, opened, closed), closed)
        columns = ticks_of_bars([bar], MINUTE_MS, self.rng.randrange(1, 9) * step)
        return [
            (symbol, at, bid, ask, self.rng.choice((0, bid, ask)))
            for at, bid, ask in zip(*columns, strict=True)
        ]


def run(name: str, seed: int, bars: int) -> tuple[list[Any], list[bytes], World]:
    """A script's inputs, the log of what they caused, and the world afterwards."""
    world, steps, log = World(name), [], []
    world.broker.deposit(DEPOSIT, NOW)
    for step in Script(name, seed).steps(world.broker, bars):
        steps.append(step)
        log.append(world.put(step))
    return steps, log, world


@pytest.mark.parametrize("name", NAMES)
def test_the_same_world_twice(name, seed):
    print("seed", seed)
    steps, log, world = run(name, seed, 120)
    other_steps, other_log, other = run(name, seed, 120)
    assert b"\n".join(other_log) == b"\n".join(log)
    assert other_steps == steps
    assert other.saved() == world.saved()
    assert sum(line.count(b'"fact":"deal"') for line in log) > 10
    assert sum(LATE in line for line in log) > 3


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_world_has_the_same_future(name, seed):
    """At 64 random moments of every profile, 512 in all; faults in force and commands underway."""
    print("seed", seed)
    rng = random.Random(seed)
    steps, log, _ = run(name, seed, 120)
    world = World(name)
    world.broker.deposit(DEPOSIT, NOW)
    moments = set(rng.sample(range(20, len(steps)), 64))
    restored: list[tuple[int, World]] = []
    faulty = 0
    for number, step in enumerate(steps):
        assert world.put(step) == log[number]
        for until, other in restored:
            if number < until:
                assert other.put(step) == log[number], number
        if number in moments:
            saved = world.saved()
            faulty += bool(saved.faults.running)
            restored.append((number + 80, World(name, saved)))
    assert faulty > 8
    for until, other in restored:
        if until > len(steps):
            assert other.saved() == world.saved()


def test_a_state_that_forgets_what_is_underway_has_another_future():
    """What is saved is needed: without it the check above would not hold."""
    steps, log, _ = run("standard", 12, 120)
    world = World("standard")
    world.broker.deposit(DEPOSIT, NOW)
    done = 0
    while not world.underway:  # the same script always comes to a delay
        world.put(steps[done])
        done += 1
    forgetful = World("standard", replace(world.saved(), underway=()))
    assert [forgetful.put(step) for step in steps[done:]] != log[done:]
