"""A mirror that is told facts and prices shows the figures of the broker that made them."""

import random
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.mirror import Mirror
from fxsocket_server.model.enums import Action, Filling, OrderType
from fxsocket_server.model.facts import BalanceFact, Fact, OrderFact, Quote, TradeRequest

from ..api.world import MONDAY_MS

LOT = 10**8
PRICES = {"EURUSD": 108_340, "GBPUSD": 127_000, "USDJPY": 151_000, "XAUUSD": 265_000}


class Life:
    """A broker that lives a random life, and tells of it."""

    def __init__(self, rng: random.Random, profile: str) -> None:
        self._rng = rng
        made = load_profile(profile)
        self.terms = made.terms(currency="USD", leverage=100, sessions_apply=False)
        self.specs = {name: s for name, s in made.symbols.items() if name[:6] in PRICES}
        self.broker = Broker(self.terms, self.specs)
        self.now = MONDAY_MS
        self._bids = {name: PRICES[name[:6]] for name in self.specs}

    def begin(self) -> list[Quote]:
        self.broker.deposit(10_000_000, self.now)
        return [self._tick(name)[1] for name in self.specs]

    def steps(self, count: int) -> Iterator[tuple[tuple[Fact, ...], Quote | None]]:
        for _ in range(count):
            self.now += self._rng.randint(1, 3_600_000)
            if self._rng.random() < 0.6:
                yield self._tick(self._rng.choice(list(self.specs)))
            else:
                yield self._trade(), None

    def _tick(self, name: str) -> tuple[tuple[Fact, ...], Quote]:
        bid = self._bids[name] = self._bids[name] + self._rng.randint(-60, 60)
        quote = Quote(name, self.now, bid, bid + self._rng.randint(0, 20))
        facts = self.broker.on_tick(name, self.now, quote.bid, quote.ask)
        return facts, quote

    def _trade(self) -> tuple[Fact, ...]:
        name = self._rng.choice(list(self.specs))
        quote = self.broker.quote(name)
        assert quote is not None
        request = TradeRequest(
            action=Action.DEAL,
            command_id="c",
            deadline_ms=0,
            symbol=name,
            type=self._rng.choice((OrderType.BUY, OrderType.SELL)),
            volume=self._rng.randint(1, 30) * LOT // 100,
            filling=self._rng.choice(self.specs[name].filling_modes),
        )
        held = self.broker.terminal_snapshot()
        if held.positions and self._rng.random() < 0.4:
            position = self._rng.choice(held.positions)
            opposite = OrderType(position.side.opposite.value)
            request = replace(
                request, symbol=position.symbol, type=opposite, volume=position.volume,
                position_ticket=position.ticket,
            )  # fmt: skip
        elif self._rng.random() < 0.3:
            request = replace(
                request, action=Action.PENDING, type=OrderType.BUY_LIMIT,
                price=quote.bid - self._rng.randint(20, 200), filling=Filling.RETURN,
            )  # fmt: skip
        return self.broker.request(request, self.now).facts


def check_life(rng: random.Random, profile: str, steps: int) -> None:
    life = Life(rng, profile)
    quotes = life.begin()
    mirror = Mirror(life.terms, life.specs, quotes, life.broker.terminal_snapshot())
    traded = 0
    for facts, quote in life.steps(steps):
        mirror.apply(facts)
        if rng.random() < 0.2:
            mirror.apply(facts)  # told twice
        if quote is not None:
            assert mirror.price(quote)
        traded += bool(facts)
        assert mirror.figures() == life.broker.account_figures()
        for position in life.broker.terminal_snapshot().positions:
            profit = life.broker.position_profit(position.ticket)
            assert mirror.position_profit(position.ticket) == profit
    assert traded > steps // 10


@pytest.mark.parametrize("profile", ["standard", "netting", "ecn"])
def test_a_mirror_shows_what_its_broker_shows(profile: str, rng: random.Random) -> None:
    for _ in range(5):
        check_life(rng, profile, 200)


@pytest.mark.soak
@pytest.mark.parametrize("profile", ["standard", "netting", "ecn", "mt4"])
def test_a_mirror_shows_what_its_broker_shows_for_long(profile: str, rng: random.Random) -> None:
    for _ in range(50):
        check_life(rng, profile, 300)


def test_what_is_on_symbols_that_are_not_listed_has_no_figures(rng: random.Random) -> None:
    life = Life(rng, "standard")
    mirror = Mirror(life.terms, life.specs, life.begin(), life.broker.terminal_snapshot())
    before = mirror.figures()
    order = next(f for f in _bought(life) if isinstance(f, OrderFact))
    mirror.apply((replace(order, symbol="NOWHERE"), replace(order, digits=3)))
    assert mirror.figures() == before
    assert not mirror.price(Quote("NOWHERE", life.now, 1, 2))
    mirror.apply((BalanceFact(balance=5, credit=1),))
    assert mirror.figures().equity == 6


def _bought(life: Life) -> tuple[Fact, ...]:
    request = TradeRequest(
        action=Action.DEAL, command_id="c", deadline_ms=0, symbol="EURUSD", volume=LOT,
    )  # fmt: skip
    return life.broker.request(request, life.now).facts
