"""Every bundled profile under random inputs: determinism, snapshots, and a decimal account.

The same inputs give the same event log byte for byte; a broker restored at any moment has the same
future; and what the facts say adds up, by exact decimals, to what the broker shows. 2,000 examples
over all profiles; 100,000 in a soak.
"""

import random
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import Profile, parse_profile
from fxsocket_server.broker.state import BrokerState
from fxsocket_server.model.enums import (
    Action,
    CalcMode,
    DealEntry,
    DealType,
    Filling,
    FreeMarginMode,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from fxsocket_server.model.facts import BalanceFact, DealFact, OrderFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import SUCCESS
from fxsocket_server.model.units import LOT

FOLDER = Path(profile_module.__file__).parent / "profiles"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
NOW = 1_783_080_000_000  # Friday 2026-07-03 12:00 UTC
DEPOSIT = 2_000_000
QUICK, SOAK = 250, 12_500  # per profile, of which there are eight
PENDING = [kind for kind in OrderType if not kind.is_market and kind is not OrderType.CLOSE_BY]
CREDITS = (DealType.CREDIT, DealType.SO_COMPENSATION_CREDIT)
TICKED = (CalcMode.FUTURES, CalcMode.EXCH_FUTURES)
FOREX = (CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE)


@cache
def profile_of(name: str) -> Profile:
    return parse_profile((FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)


def broker_of(name: str, state: BrokerState | None = None) -> Any:
    profile = profile_of(name)
    return Broker(profile.terms(sessions_apply=False), profile.symbols, state)


# --- random inputs ---------------------------------------------------------------------------


class Driver:
    """Makes the next input of a broker from random numbers and what the broker shows."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.profile = profile_of(name)
        self.symbols = self.rng.sample(sorted(self.profile.symbols), 3)
        self.now = NOW

    def opening(self) -> list[tuple]:
        ticks = [
            ("tick", name, self.now, generator.bid, generator.bid + generator.spread)
            for name, generator in self.profile.generators.items()
        ]
        return [("deposit", DEPOSIT, self.now), *ticks]

    def next(self, broker: Any) -> tuple:
        kind = self.rng.random()
        if kind < 0.5:
            return self.tick(broker)
        if kind < 0.52:
            return "deposit", self.rng.randrange(-10_000, 60_000), self.now
        return "request", self.request(broker, kind), self.now

    def tick(self, broker: Any) -> tuple:
        name = self.rng.choice(self.symbols)
        spec, quote = self.profile.symbols[name], broker.quote(name)
        move = self.rng.gauss(0, quote.bid * self.rng.choice((0.0001, 0.001, 0.01)))
        bid = max(quote.bid + int(move), 100) // spec.tick_size * spec.tick_size
        self.now += self.rng.choice((0, 1_000, 400_000, 9_000_000))
        return "tick", name, self.now, bid, bid + self.rng.randrange(20) * spec.tick_size

    def request(self, broker: Any, kind: float) -> TradeRequest:
        state = broker.snapshot()
        if kind < 0.66 or not (state.positions or state.orders):
            return self.deal(broker)
        if kind < 0.78:
            return self.pending(broker)
        if kind < 0.92 and state.positions:
            return self.on_position(self.rng.choice(state.positions), state)
        if state.orders:
            order = self.rng.choice(state.orders)
            action = self.rng.choice((Action.REMOVE, Action.MODIFY))
            price = (order.price or 0) + self.rng.randrange(-40, 40)
            return ask(action, order_ticket=order.ticket, price=max(price, 0))
        return self.deal(broker)

    def lots(self, name: str) -> int:
        spec = self.profile.symbols[name]
        return max(spec.volume_min, self.rng.randrange(1, 60) * spec.volume_step)

    def deal(self, broker: Any) -> TradeRequest:
        name = self.rng.choice(self.symbols)
        side = self.rng.choice((Side.BUY, Side.SELL))
        quote, sign = broker.quote(name), 1 if side is Side.BUY else -1
        far = max(quote.bid // 200, 60)
        return ask(
            Action.DEAL,
            symbol=name,
            type=OrderType(side.value),
            volume=self.lots(name),
            price=(quote.ask if sign > 0 else quote.bid) + self.rng.choice((0, 0, 0, 3)),
            deviation=self.rng.choice((None, 5)),
            sl=self.on_tick(name, quote.bid - sign * far) if self.rng.random() < 0.4 else None,
            tp=self.on_tick(name, quote.bid + sign * far) if self.rng.random() < 0.4 else None,
            filling=self.rng.choice((Filling.FOK, Filling.IOC, Filling.RETURN)),
        )

    def on_tick(self, name: str, price: int) -> int:
        step = self.profile.symbols[name].tick_size
        return price // step * step

    def pending(self, broker: Any) -> TradeRequest:
        name, kind = self.rng.choice(self.symbols), self.rng.choice(PENDING)
        quote = broker.quote(name)
        above = kind in (OrderType.SELL_LIMIT, OrderType.BUY_STOP, OrderType.BUY_STOP_LIMIT)
        far = max(quote.bid // self.rng.choice((100, 1_000)), 60)
        price = self.on_tick(name, quote.bid + (far if above else -far))
        two = "STOP_LIMIT" in kind
        dated = self.rng.random() < 0.3
        return ask(
            Action.PENDING,
            symbol=name,
            type=kind,
            volume=self.lots(name),
            price=price,
            stop_limit=self.on_tick(name, price - far // 2 * (1 if above else -1)) if two else None,
            filling=self.rng.choice((Filling.RETURN, Filling.RETURN, Filling.FOK, Filling.IOC)),
            time_in_force=TimeInForce.SPECIFIED if dated else TimeInForce.GTC,
            expires_ms=self.now + self.rng.randrange(10**8) if dated else None,
        )

    def on_position(self, position: PositionFact, state: BrokerState) -> TradeRequest:
        choice = self.rng.random()
        if choice < 0.2:
            other = self.rng.choice(state.positions)
            return ask(Action.CLOSE_BY, position_ticket=position.ticket, position_by=other.ticket)
        if choice < 0.4:
            level = position.open_price + self.rng.randrange(-900, 900)
            return ask(Action.SLTP, position_ticket=position.ticket, sl=level)
        spec = self.profile.symbols[position.symbol]
        steps = position.volume // spec.volume_step
        part = self.rng.randrange(1, steps + 1) * spec.volume_step if steps else position.volume
        return ask(
            Action.DEAL,
            type=OrderType(position.side.opposite.value),
            position_ticket=position.ticket,
            volume=self.rng.choice((part, position.volume)),
            filling=self.rng.choice((Filling.IOC, Filling.FOK)),
        )


def ask(action: Action, **fields) -> TradeRequest:
    return TradeRequest(action=action, command_id="c", deadline_ms=0, **fields)


def put(broker: Any, step: tuple) -> tuple:
    """The facts of one input, and its retcode if it has one."""
    kind, *args = step
    if kind == "request":
        report = broker.request(*args)
        return report.retcode, report.facts
    return None, broker.on_tick(*args) if kind == "tick" else broker.deposit(*args)


def run(name: str, seed: int, count: int) -> tuple[list[tuple], list[bytes], Any]:
    """Random inputs, the log of what they caused, and the broker afterwards."""
    driver, broker = Driver(name, seed), broker_of(name)
    steps, log = [], []
    for number in range(count):
        opening = driver.opening() if number == 0 else [driver.next(broker)]
        for step in opening:
            steps.append(step)
            log.append(msgspec.json.encode(put(broker, step)))
    return steps, log, broker


# --- the same again --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_same_inputs_give_the_same_log_byte_for_byte(name, seed):
    print("seed", seed)
    _, first, broker = run(name, seed, 1_500)
    _, second, other = run(name, seed, 1_500)
    assert b"\n".join(first) == b"\n".join(second)
    assert broker.snapshot() == other.snapshot()
    assert sum(line.count(b'"fact":"deal"') for line in first) > 100


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_broker_has_the_same_future(name, seed):
    """At 64 random moments of every profile: 512 in all."""
    print("seed", seed)
    rng = random.Random(seed)
    steps, log, _ = run(name, seed, 400)
    moments = set(rng.sample(range(20, len(steps)), 64))
    broker = broker_of(name)
    restored: list[tuple[int, Any]] = []
    for number, step in enumerate(steps):
        line = log[number]
        assert msgspec.json.encode(put(broker, step)) == line
        for until, other in restored:
            if number < until:
                assert msgspec.json.encode(put(other, step)) == line, number
        if number in moments:
            packed = msgspec.msgpack.encode(broker.snapshot())
            state = msgspec.msgpack.decode(packed, type=BrokerState)
            restored.append((number + 60, broker_of(name, state)))
    for until, other in restored:
        if until > len(steps):
            assert other.snapshot() == broker.snapshot()
            assert other.account_figures() == broker.account_figures()


# --- the decimal account ---------------------------------------------------------------------


@dataclass
class Plain:
    """An account made of facts alone."""

    profile: Profile
    balance: int = 0
    credit: int = 0
    booked: int = 0
    quotes: dict = field(default_factory=dict)
    positions: dict = field(default_factory=dict)
    volumes: dict = field(default_factory=dict)
    means: dict = field(default_factory=dict)

    @property
    def terms(self):
        return self.profile.rules

    def apply(self, facts) -> None:
        for fact in facts:
            match fact:
                case OrderFact():
                    assert 0 <= fact.filled_volume <= fact.volume
                    full = fact.filled_volume == fact.volume
                    assert full == (fact.status is OrderStatus.FILLED)
                case DealFact():
                    self.deal(fact)
                case PositionFact():
                    assert fact.volume >= 0
                    self.positions[fact.ticket] = fact
                case BalanceFact():
                    self.balance, self.credit = fact.balance, fact.credit

    def deal(self, deal: DealFact) -> None:
        amount = deal.profit + deal.swap + deal.commission + deal.fee
        if deal.type not in CREDITS:
            self.booked += amount
        if deal.entry is None or self.terms.is_mt4:
            return  # on MT4 a partial close goes on under a ticket that no deal opened
        assert deal.volume > 0
        ticket = deal.position_ticket
        sign = 1 if deal.type is DealType.BUY else -1
        before = self.volumes.get(ticket, 0)
        after = before + sign * deal.volume
        self.volumes[ticket] = after
        opens = {DealEntry.IN: before * sign >= 0, DealEntry.INOUT: before * after < 0}
        assert opens.get(deal.entry, abs(after) < abs(before))
        price = Decimal(deal.price or 0)
        if deal.entry is DealEntry.IN:
            held = self.means.get(ticket, Decimal(0)) * abs(before)
            mean = (held + price * deal.volume) / abs(after)
            self.means[ticket] = mean.quantize(Decimal("0.001"), ROUND_HALF_UP)
        elif deal.entry is DealEntry.INOUT:
            self.means[ticket] = price

    def open_positions(self):
        return [fact for fact in self.positions.values() if fact.volume]

    def rate(self, source: str, suffix: str, ask: bool) -> tuple[Decimal, Decimal]:
        """The Bid or Ask of source -> USD as a fraction."""
        one, target = Decimal(1), self.terms.currency
        if source == target:
            return one, one
        for name, backwards in ((source + target, False), (target + source, True)):
            if name + suffix in self.quotes:
                price = self.price(name + suffix, ask != backwards)
                return (one, price) if backwards else (price, one)
        raise AssertionError(source)

    def price(self, symbol: str, ask: bool) -> Decimal:
        return Decimal(self.quotes[symbol][ask]).scaleb(-self.profile.symbols[symbol].digits)

    def profit(self, fact: PositionFact) -> int:
        spec = self.profile.symbols[fact.symbol]
        close = self.price(fact.symbol, fact.side is Side.SELL)
        opened = (fact.open_price + Decimal(fact.open_extra) / 1_000).scaleb(-spec.digits)
        lots, size = Decimal(fact.volume) / LOT, Decimal(spec.contract_size) / LOT
        minor = 0 if spec.currency_profit == "JPY" else 2
        if spec.calc_mode is CalcMode.FOREX:
            gain = cents(close * size * lots, minor) - cents(opened * size * lots, minor)
        elif spec.calc_mode in TICKED:
            tick = Decimal(spec.tick_size).scaleb(-spec.digits)
            gain = cents((close - opened) * lots * Decimal(spec.tick_value) / LOT / tick, minor)
        else:
            gain = cents((close - opened) * size * lots, minor)
        gain = gain if fact.side is Side.BUY else -gain
        if spec.currency_profit == self.terms.currency:
            return gain
        return self.converted(fact, spec, gain, close, minor)

    def converted(self, fact, spec, gain: int, close: Decimal, minor: int) -> int:
        suffix = fact.symbol.removeprefix(spec.currency_base + spec.currency_profit)
        if spec.currency_base == self.terms.currency:
            return cents(Decimal(gain).scaleb(-minor) / close, 2)
        ask = (fact.side is Side.BUY) != self.terms.is_mt4
        times, over = self.rate(spec.currency_profit, suffix, ask)
        return cents(Decimal(gain).scaleb(-minor) * times / over, 2)

    def check(self, broker: Any) -> None:
        figures, held = broker.account_figures(), self.open_positions()
        assert figures.balance == self.balance == self.booked
        assert figures.credit == self.credit
        profits = {fact.ticket: self.profit(fact) for fact in held}
        assert {ticket: broker.position_profit(ticket) for ticket in profits} == profits
        floating = sum(profits.values()) + sum(fact.swap for fact in held)
        assert figures.profit == floating
        blocked = broker._ledger.blocked
        assert figures.equity == self.balance + self.credit + floating - blocked
        lossy = self.terms.free_margin_mode is FreeMarginMode.LOSS_ONLY
        usable = min(floating, 0) if lossy else floating
        assert figures.free_margin == figures.equity - floating + usable - figures.margin
        assert figures.margin >= 0
        self.check_positions(held)

    def check_positions(self, held) -> None:
        if self.terms.is_mt4:
            return
        signed = {
            fact.ticket: fact.volume if fact.side is Side.BUY else -fact.volume for fact in held
        }
        assert signed == {ticket: volume for ticket, volume in self.volumes.items() if volume}
        for fact in held:
            mean = fact.open_price + Decimal(fact.open_extra) / 1_000
            assert mean == self.means[fact.ticket], fact


def cents(amount: Decimal, digits: int) -> int:
    return int(amount.scaleb(digits).quantize(Decimal(1), ROUND_HALF_UP))


def check_account(name: str, seed: int, count: int) -> None:
    driver, broker = Driver(name, seed), broker_of(name)
    plain = Plain(profile_of(name))
    steps = driver.opening()
    with localcontext() as context:
        context.prec = 60
        for number in range(count):
            for step in steps:
                retcode, facts = put(broker, step)
                if step[0] == "tick":
                    plain.quotes[step[1]] = step[3:]
                assert not facts or retcode is None or retcode in SUCCESS
                close_by_identity(plain, facts)
                plain.apply(facts)
            if number:
                plain.check(broker)
            steps = [driver.next(broker)]


def close_by_identity(plain: Plain, facts) -> None:
    """Both deals of a close-by are as large, each at the other position's price."""
    pair = [fact for fact in facts if getattr(fact, "entry", None) is DealEntry.OUT_BY]
    if not pair:
        return
    first, second = pair
    one, other = (plain.positions[deal.position_ticket] for deal in pair)
    assert first.volume == second.volume == min(one.volume, other.volume)
    assert (first.price, second.price) == (other.open_price, one.open_price)
    assert second.profit == 0
    assert {first.type, second.type} == {DealType.BUY, DealType.SELL}


CASES = st.integers(0, 2**32 - 1), st.integers(2, 60)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=QUICK)
@given(*CASES)
def test_the_account_adds_up(name, case, count):
    check_account(name, case, count)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=SOAK)
@given(*CASES)
def test_the_account_adds_up_soak(name, case, count):
    check_account(name, case, count)
