"""The stop-out guard against a broker without a memory: no trade leaves a stop out unseen.

After every trade the boxes that were drawn before may be kept. Whether they still hold is asked of
a broker that was made that moment, and so has to look at every price.
"""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fxsocket_server.broker.engine import Broker
from fxsocket_server.model.enums import Action, Filling, MarginMode, OrderType, Reason, Side
from fxsocket_server.model.facts import DealFact, TradeRequest
from fxsocket_server.model.units import LOT

from .test_broker_profiles import NOW, profile_of

PROFILE = profile_of("standard")
SYMBOLS = ("EURUSD", "EURJPY", "USDJPY", "XAUUSD")
# Some pending orders are charged, so that placing and removing them moves the level, too.
RATES = (LOT, LOT, LOT // 2, LOT // 2, 0, 0, 0, 0)
SPECS = {name: replace(PROFILE.symbols[name], margin_rates=RATES) for name in SYMBOLS}
QUICK, SOAK = 250, 20_000


class Near:
    """An account near its stop-out level that trades at random."""

    def __init__(self, seed: int, currency: str, mode: MarginMode) -> None:
        self.rng = random.Random(seed)
        terms = PROFILE.terms(currency=currency, leverage=30, sessions_apply=False)
        self.terms = replace(terms, margin_mode=mode, stop_out_level=10_000)
        self.broker: Any = Broker(self.terms, SPECS)
        self.broker.deposit(500_000 if currency == "JPY" else 300_000, NOW)
        for name in SYMBOLS:
            generator = PROFILE.generators[name]
            self.broker.on_tick(name, NOW, generator.bid, generator.bid + generator.spread)
        self.outs = self.quiet = 0

    def step(self) -> None:
        choice = self.rng.random()
        if choice < 0.5:
            self.tick()
        elif choice < 0.58:
            free = max(self.broker.account_figures().free_margin, 0)
            self.broker.deposit(self.rng.randrange(-free, 1_000), NOW)
        else:
            self.broker.request(self.request(choice), NOW)

    def request(self, choice: float) -> TradeRequest:
        state = self.broker.snapshot()
        if choice < 0.68 and state.positions:
            held = self.rng.choice(state.positions)
            kind = OrderType(held.side.opposite.value)
            ticket, volume = held.ticket, held.volume
            return ask(Action.DEAL, type=kind, position_ticket=ticket, volume=volume)
        if choice < 0.71 and state.orders:
            return ask(Action.REMOVE, order_ticket=self.rng.choice(state.orders).ticket)
        symbol, lots = self.rng.choice(SYMBOLS), self.rng.randrange(1, 60) * LOT // 100
        quote = self.broker.quote(symbol)
        if choice < 0.78:
            price = quote.bid - quote.bid // 100
            kind = OrderType.BUY_LIMIT
            return ask(Action.PENDING, symbol=symbol, type=kind, volume=lots, price=price)
        side = OrderType(self.rng.choice((Side.BUY, Side.SELL)).value)
        return ask(Action.DEAL, symbol=symbol, type=side, volume=lots)

    def tick(self) -> None:
        symbol = self.rng.choice(SYMBOLS)
        quote = self.broker.quote(symbol)
        spread = quote.ask - quote.bid
        bid = quote.bid + int(self.rng.gauss(0, quote.bid * self.rng.choice((0.0001, 0.003, 0.03))))
        fresh: Any = Broker(self.terms, SPECS, self.broker.snapshot())
        bounds = self.broker.quiet_bounds(symbol) if self.rng.random() < 0.5 else None
        facts = self.broker.on_tick(symbol, NOW, bid, bid + spread)
        assert facts == fresh.on_tick(symbol, NOW, bid, bid + spread)
        if bounds and bounds[1] < bid < bounds[2] and bounds[3] < bid + spread < bounds[4]:
            assert facts == ()
            self.quiet += 1
        self.outs += sum(isinstance(f, DealFact) and f.reason is Reason.SO for f in facts)


def ask(action: Action, **fields: Any) -> TradeRequest:
    filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
    fields = {"filling": filling, **fields}
    return TradeRequest(action=action, command_id="c", deadline_ms=0, **fields)


def run(seed: int, currency: str, mode: MarginMode, steps: int) -> Near:
    near = Near(seed, currency, mode)
    for _ in range(steps):
        near.step()
    return near


modes = st.sampled_from((MarginMode.HEDGING, MarginMode.NETTING))
cases = (st.integers(0, 2**40), st.sampled_from(("USD", "EUR", "JPY")), modes)


@settings(max_examples=QUICK)
@given(*cases)
def test_no_trade_leaves_a_stop_out_unseen(seed, currency, mode):
    run(seed, currency, mode, 60)


@pytest.mark.soak
@settings(max_examples=SOAK)
@given(*cases)
def test_no_trade_leaves_a_stop_out_unseen_in_many_accounts(seed, currency, mode):
    run(seed, currency, mode, 60)


@pytest.mark.parametrize("mode", [MarginMode.HEDGING, MarginMode.NETTING])
def test_such_accounts_are_stopped_out_and_have_quiet_ticks(mode, seed):
    print("seed", seed)
    ran = [run(seed + number, "USD", mode, 150) for number in range(40)]
    assert sum(near.outs for near in ran) > 3
    assert sum(near.quiet for near in ran) > 100
