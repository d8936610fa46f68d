"""Replay by blocks against replay tick by tick: the same facts, answers and account, always."""

import random
from array import array
from collections import Counter
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.drive import Tick, as_ticks, replay, replay_blocks
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import Profile, parse_profile
from fxsocket_server.model.enums import (
    Action,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    SwapMode,
    TimeInForce,
)
from fxsocket_server.model.facts import DealFact, OrderFact, TradeRequest
from fxsocket_server.model.units import LOT

FOLDER = Path(profile_module.__file__).parent / "profiles"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
NOW = 1_783_080_000_000  # Friday 2026-07-03 12:00 UTC
QUICK, SOAK = 400, 40_000
PENDING = [kind for kind in OrderType if not kind.is_market and kind is not OrderType.CLOSE_BY]


class Vector(list):
    """As much of a numpy array as a search uses, so that it is tested where numpy is not."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return Vector(part) if isinstance(index, slice) else part

    def __le__(self, level: Any) -> Any:
        return Vector(item <= level for item in self)

    def __ge__(self, level: Any) -> Any:
        return Vector(item >= level for item in self)

    def argmax(self) -> int:
        return self.index(max(self))


KINDS: dict[str, Any] = {"list": list, "array": lambda items: array("q", items), "vector": Vector}
if find_spec("numpy"):
    KINDS["numpy"] = lambda items: import_module("numpy").array(items)


def made(kind: str, times: Any, bids: Any, asks: Any) -> tuple[Any, Any, Any]:
    """The columns as one of the kinds."""
    make = KINDS[kind]
    return make(times), make(bids), make(asks)


@cache
def profile_of(name: str) -> Profile:
    return parse_profile((FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)


# --- random accounts, ticks and schedules ----------------------------------------------------


class Plan:
    """An account, the ticks of one symbol, and a callback that trades at random."""

    def __init__(self, seed: int, name: str) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.profile = profile_of(name)
        self.sessions = self.rng.random() < 0.2
        known = sorted(self.profile.generators)
        self.symbol = self.rng.choice(known)
        self.traded = [self.symbol] * 4 + self.rng.sample(known, 1)
        self.deposit = self.rng.choice((30_000, 300_000, 20_000_000))
        count = self.rng.choice((1, 2, 60, 700, 3_000))
        self.times, self.bids, self.asks = self.columns(count)
        actions = self.rng.choice((0, 3, 20, 200))
        self.at = sorted(self.rng.sample(range(count), min(actions, count)))

    def columns(self, count: int) -> tuple[list[int], list[int], list[int]]:
        rng, generator = self.rng, self.profile.generators[self.symbol]
        step = self.profile.symbols[self.symbol].tick_size
        time_ms, bid, rows = NOW, generator.bid, []
        wild = rng.choice((0.00001, 0.0001, 0.002))
        pause = rng.choice((50, 2_000, 200_000))
        for _ in range(count):
            jump = 40 if rng.random() < 0.003 else 1
            bid = max(bid + int(rng.gauss(0, bid * wild * jump)), 100) // step * step
            time_ms += rng.choice((0, 1, pause))
            rows.append((time_ms, bid, bid + rng.randrange(20) * step))
        times, bids, asks = zip(*rows, strict=True)
        return list(times), list(bids), list(asks)

    def broker(self) -> Broker:
        terms = self.profile.terms(sessions_apply=self.sessions)
        broker = Broker(terms, self.profile.symbols)
        broker.deposit(self.deposit, NOW)
        for name, generator in self.profile.generators.items():
            if name != self.symbol:  # whose first price is the first tick's
                broker.on_tick(name, NOW, generator.bid, generator.bid + generator.spread)
        return broker

    def request(self, broker: Broker, rng: random.Random, time_ms: int) -> TradeRequest:
        state, choice = broker.snapshot(), rng.random()
        if choice < 0.3 and state.positions:
            held = rng.choice(state.positions)
            away = max(held.open_price // rng.choice((200, 2_000)), 40)
            if rng.random() < 0.5:
                levels = {"sl": held.open_price - away, "tp": held.open_price + away}
                if held.side is Side.SELL:
                    levels = {"sl": levels["tp"], "tp": levels["sl"]}
                return ask(Action.SLTP, position_ticket=held.ticket, **levels)
            kind = OrderType(held.side.opposite.value)
            ticket = held.ticket
            return ask(Action.DEAL, type=kind, position_ticket=ticket, volume=held.volume)
        if choice < 0.4 and state.orders:
            order = rng.choice(state.orders)
            action = rng.choice((Action.REMOVE, Action.MODIFY))
            price = (order.price or 0) + rng.randrange(-40, 40)
            return ask(action, order_ticket=order.ticket, price=max(price, 0))
        return (self.pending if choice < 0.7 else self.deal)(broker, rng, time_ms)

    def deal(self, broker: Broker, rng: random.Random, time_ms: int) -> TradeRequest:
        name = rng.choice(self.traded)
        quote, side = broker.quote(name), rng.choice((Side.BUY, Side.SELL))
        assert quote is not None
        sign = 1 if side is Side.BUY else -1
        far = max(quote.bid // rng.choice((100, 1_000)), 60)
        step = self.profile.symbols[name].tick_size
        return ask(
            Action.DEAL,
            symbol=name,
            type=OrderType(side.value),
            volume=self.lots(name, rng),
            price=quote.ask if sign > 0 else quote.bid,
            sl=(quote.bid - sign * far) // step * step if rng.random() < 0.4 else None,
            tp=(quote.bid + sign * far) // step * step if rng.random() < 0.4 else None,
            filling=rng.choice((Filling.FOK, Filling.IOC, Filling.RETURN)),
        )

    def pending(self, broker: Broker, rng: random.Random, time_ms: int) -> TradeRequest:
        name, kind = rng.choice(self.traded), rng.choice(PENDING)
        quote, step = broker.quote(name), self.profile.symbols[name].tick_size
        assert quote is not None
        above = kind in (OrderType.SELL_LIMIT, OrderType.BUY_STOP, OrderType.BUY_STOP_LIMIT)
        far = max(quote.bid // rng.choice((300, 3_000)), 60)
        price = (quote.bid + (far if above else -far)) // step * step
        back = (price - far // 2 * (1 if above else -1)) // step * step
        dated = rng.random() < 0.5
        return ask(
            Action.PENDING,
            symbol=name,
            type=kind,
            volume=self.lots(name, rng),
            price=price,
            stop_limit=back if "STOP_LIMIT" in kind else None,
            filling=Filling.RETURN,
            time_in_force=TimeInForce.SPECIFIED if dated else TimeInForce.GTC,
            expires_ms=time_ms + rng.randrange(1, 10**7) if dated else None,
        )

    def lots(self, name: str, rng: random.Random) -> int:
        spec = self.profile.symbols[name]
        return max(spec.volume_min, rng.randrange(1, 100) * spec.volume_step)

    def run(self, kind: str | None) -> tuple[list[Any], Broker]:
        """The log of a run by blocks of this kind of column, or tick by tick."""
        broker, rng = self.broker(), random.Random(self.seed)
        log: list[Any] = []
        chosen, number = set(self.at), iter(range(len(self.times)))

        def act(time_ms: int, bid: int, ask_price: int) -> None:
            assert broker.quote(self.symbol) is not None
            request = self.request(broker, rng, time_ms)
            log.append((time_ms, bid, ask_price, request, broker.request(request, time_ms)))

        def each(time_ms: int, bid: int, ask_price: int) -> None:
            if next(number) in chosen:
                act(time_ms, bid, ask_price)

        columns = self.times, self.bids, self.asks
        if kind is None:
            replay(broker, self.symbol, *columns, each, log.append)
        else:
            replay_blocks(broker, self.symbol, *made(kind, *columns), self.at, act, log.append)
        return log, broker


def ask(action: Action, **fields: Any) -> TradeRequest:
    return TradeRequest(action=action, command_id="c", deadline_ms=0, **fields)


def assert_same(seed: int, name: str, kind: str) -> list[Any]:
    plan = Plan(seed, name)
    log, broker = plan.run(None)
    other_log, other = plan.run(kind)
    assert other_log == log
    assert other.snapshot() == broker.snapshot()
    assert other.account_figures() == broker.account_figures()
    return log


# --- the same, by blocks ---------------------------------------------------------------------

plans = st.tuples(st.integers(0, 2**40), st.sampled_from(NAMES), st.sampled_from(sorted(KINDS)))


@settings(max_examples=QUICK)
@given(plans)
def test_blocks_give_what_every_tick_gives(plan):
    assert_same(*plan)


@pytest.mark.soak
@settings(max_examples=SOAK)
@given(plans)
def test_blocks_give_what_every_tick_gives_in_many_runs(plan):
    assert_same(*plan)


def test_random_schedules_meet_everything_that_a_tick_can_do(seed):
    print("seed", seed)
    seen: Counter = Counter()
    for number in range(120):
        for entry in assert_same(seed + number, NAMES[number % len(NAMES)], "list"):
            facts = entry if isinstance(entry[0], OrderFact | DealFact) else ()
            for fact in facts:
                if isinstance(fact, OrderFact):
                    seen[fact.status, fact.reason] += 1
                    seen[fact.status, fact.type] += 1
    for reason in (Reason.SL, Reason.TP, Reason.SO):
        assert seen[OrderStatus.FILLED, reason], reason
    assert any(status is OrderStatus.EXPIRED for status, _ in seen)
    for kind in PENDING:
        ended = OrderStatus.PLACED if "STOP_LIMIT" in kind else OrderStatus.FILLED
        fired = LIMITS[kind] if "STOP_LIMIT" in kind else kind
        assert seen[ended, fired], kind


LIMITS = {
    OrderType.BUY_STOP_LIMIT: OrderType.BUY_LIMIT,
    OrderType.SELL_STOP_LIMIT: OrderType.SELL_LIMIT,
}


# --- where a tick is found, and what is skipped ----------------------------------------------


class Counting(Broker):
    """A broker that counts the ticks put to it."""

    ticks = 0

    def on_tick(self, symbol: str, time_ms: int, bid: int, ask: int, last: int = 0) -> Any:
        self.ticks += 1
        return super().on_tick(symbol, time_ms, bid, ask, last)


BID, COUNT = 108_340, 70_000


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("hit", [1, 2, 511, 512, 513, 1_535, 1_536, 1_537, 34_000, COUNT - 1])
def test_the_hit_is_found_wherever_it_lies_and_the_rest_is_skipped(kind, hit):
    standard = profile_of("standard")
    broker = Counting(standard.terms(sessions_apply=False), standard.symbols)
    broker.deposit(1_000_000, NOW)
    bids = [BID] * COUNT
    bids[hit] = BID - 500
    columns = [NOW + number for number in range(COUNT)], bids, [bid + 8 for bid in bids]

    def buy(time_ms, bid, ask_price):
        fields = {"type": OrderType.BUY, "volume": LOT // 100, "sl": BID - 400}
        assert broker.request(ask(Action.DEAL, symbol="EURUSD", **fields), time_ms).facts

    told: list = []
    replay_blocks(broker, "EURUSD", *made(kind, *columns), [0], buy, told.append)
    (facts,) = told
    assert facts[0].reason is Reason.SL
    assert facts[0].time_ms == NOW + hit
    assert broker.ticks < 12
    quote = broker.quote("EURUSD")
    assert quote is not None
    assert (quote.time_ms, quote.bid) == (NOW + COUNT - 1, bids[-1])
    assert type(quote.bid) is int


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_end_of_a_day_values_it_at_the_price_before_though_that_was_skipped(kind):
    standard = profile_of("standard")
    interest = SwapMode.INTEREST_CURRENT  # a share of what the position is worth at midnight
    euro = replace(standard.symbols["EURUSD"], swap_mode=interest, swap_long=-LOT)
    count = 2_000
    times = [NOW + 60_000 * number for number in range(count)]  # the day ends among them
    bids = [BID + 20 * number for number in range(count)]
    columns = times, bids, [bid + 8 for bid in bids]
    logs: list = []
    for drive in (partial(replay_blocks, at=[0]), replay):
        broker = Broker(standard.terms(sessions_apply=False), {"EURUSD": euro})
        broker.deposit(1_000_000_000, NOW)
        logs.append([])

        def buy(time_ms, bid, ask_price, broker=broker):
            if time_ms == NOW:
                fields = {"symbol": "EURUSD", "type": OrderType.BUY, "volume": 10 * LOT}
                assert broker.request(ask(Action.DEAL, **fields), time_ms).facts

        drive(broker, "EURUSD", *made(kind, *columns), on_tick=buy, on_facts=logs[-1].append)
    by_blocks, by_ticks = logs
    assert by_blocks == by_ticks
    assert by_ticks[0][0].swap


def test_the_bounds_are_those_of_the_positions_and_orders():
    standard = profile_of("standard")
    euro = replace(standard.symbols["EURUSD"], stops_level=0, freeze_level=0)
    broker = Broker(standard.terms(sessions_apply=False), {"EURUSD": euro})
    broker.deposit(100_000_000, NOW)
    assert broker.quiet_bounds("EURUSD")[0] == 0  # the first price is always put
    broker.on_tick("EURUSD", NOW, BID, BID + 8)
    fields: dict = {"symbol": "EURUSD", "volume": LOT // 100}
    requests = [
        ask(Action.DEAL, type=OrderType.BUY, sl=BID - 100, tp=BID + 100, **fields),
        ask(Action.DEAL, type=OrderType.SELL, sl=BID + 90, tp=BID - 90, **fields),
    ]
    for request in requests:
        assert broker.request(request, NOW).facts
    broker.on_tick("EURUSD", NOW + 1, BID, BID + 8)
    deadline_ms, *levels = broker.quiet_bounds("EURUSD")
    assert deadline_ms == broker.rollover_ms
    assert levels == [BID - 100, BID + 100, BID - 90, BID + 90]


# --- callbacks and columns -------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_tick_is_called_with_python_integers_after_the_broker_has_it(kind):
    plan = Plan(5, "standard")
    broker, heard = plan.broker(), []

    def on_tick(time_ms, bid, ask_price):
        quote = broker.quote(plan.symbol)
        assert quote is not None
        assert (quote.time_ms, quote.bid, quote.ask) == (time_ms, bid, ask_price)
        assert type(time_ms) is type(bid) is type(ask_price) is int
        heard.append((time_ms, bid, ask_price))

    replay(broker, plan.symbol, *made(kind, plan.times, plan.bids, plan.asks), on_tick)
    assert heard == list(zip(plan.times, plan.bids, plan.asks, strict=True))


def test_a_tick_object_has_mt5s_fields():
    heard: list[Tick] = []
    as_ticks(heard.append, 5)(NOW + 7, 108_340, 108_348)
    (tick,) = heard
    assert tick == (NOW // 1000, 1.0834, 1.08348, 0.0, 0, NOW + 7, 6, 0.0)
    fields = "time", "bid", "ask", "last", "volume", "time_msc", "flags", "volume_real"
    assert tick._fields == fields
    assert tick.time_msc == NOW + 7


@pytest.mark.parametrize("drive", [replay, replay_blocks])
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([NOW], [1, 2], [3]), "bids: 2 items, but there are 1 times"),
        (([NOW], [1], []), "asks: 0 items, but there are 1 times"),
        (([NOW], [1.1], [2]), "bids: 1.1 is no whole number; give points"),
        (([NOW + 0.5], [1], [2]), "times: .* give UTC milliseconds"),
    ],
)
def test_unfit_columns_are_refused_by_name(drive, columns, words):
    with pytest.raises(ValueError, match=words):
        drive(Plan(1, "standard").broker(), "EURUSD", *columns)


@pytest.mark.parametrize(
    ("at", "words"),
    [([2, 1], "at: 1 after 2"), ([3], "among 3 ticks"), ([0, 0], "0 after 0")],
)
def test_a_schedule_out_of_order_or_beyond_the_ticks_is_refused(at, words):
    columns = [NOW, NOW + 1, NOW + 2], [BID] * 3, [BID + 8] * 3
    with pytest.raises(ValueError, match=words):
        replay_blocks(Plan(1, "standard").broker(), "EURUSD", *columns, at)


@pytest.mark.parametrize("drive", [replay, replay_blocks])
def test_no_ticks_do_nothing(drive):
    broker = Plan(1, "standard").broker()
    before = broker.snapshot()
    drive(broker, "EURUSD", [], [], [])
    assert broker.snapshot() == before
