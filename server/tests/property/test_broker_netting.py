"""A netting account's margin against slow decimals: netted positions and pending orders.

Random inputs go to the broker in three deposit currencies; the plain account knows nothing but the
facts and prices, and says after each input what the margin must be.
"""

from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fxsocket_server.broker.engine import Broker
from fxsocket_server.model.enums import CalcMode, DealEntry, DealType, OrderStatus, OrderType
from fxsocket_server.model.facts import DealFact, OrderFact
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT

from .test_broker_profiles import Driver, profile_of, put

NETTING = profile_of("netting")
# Limit orders that cost more than positions show which of the two is charged.
RATES = (LOT, LOT, 2 * LOT, 3 * LOT, LOT // 2, LOT // 4, LOT // 2, LOT // 4)
SPECS = {
    name: replace(spec, margin_rates=RATES) if spec.calc_mode is CalcMode.FOREX else spec
    for name, spec in NETTING.symbols.items()
}
CURRENCIES = {"USD": 2, "EUR": 2, "JPY": 0}
DEPOSITS = {"USD": 2_000_000, "EUR": 1_800_000, "JPY": 3_000_000}
QUICK, SOAK = 400, 40_000
TYPES: list[OrderType] = [kind for kind in OrderType if kind is not OrderType.CLOSE_BY]
MILLI = Decimal("0.001")

Part = tuple[Decimal, Decimal]  # an amount as numerator and denominator


def times(*parts: Part) -> Part:
    over = under = Decimal(1)
    for part in parts:
        over, under = over * part[0], under * part[1]
    return over, under


class Plain:
    """What is held and what rests on one account, and what that costs in margin."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.quotes: dict[str, tuple[int, int]] = {}
        self.volumes: dict[str, int] = defaultdict(int)  # below 0 when sold
        self.means: dict[str, Decimal] = {}  # points
        self.orders: dict[int, OrderFact] = {}

    def apply(self, fact: Any) -> None:
        if isinstance(fact, OrderFact):
            self.orders[fact.ticket] = fact
        if isinstance(fact, DealFact) and fact.entry is not None:
            self.fold(fact)

    def fold(self, deal: DealFact) -> None:
        name, price = deal.symbol or "", Decimal(deal.price or 0)
        signed = deal.volume if deal.type is DealType.BUY else -deal.volume
        before, after = self.volumes[name], self.volumes[name] + signed
        if deal.entry is DealEntry.IN:
            sum_before = self.means.get(name, Decimal(0)) * abs(before)
            mean = (sum_before + price * deal.volume) / abs(after)
            self.means[name] = mean.quantize(MILLI, ROUND_HALF_UP)
        elif before * after < 0:
            self.means[name] = price
        self.volumes[name] = after
        if not after:
            self.means.pop(name, None)

    def rate(self, source: str, target: str, ask: bool) -> Part:
        one = Decimal(1)
        if source == target:
            return one, one
        if source + target in self.quotes:
            return self.price(source + target, ask), one
        if target + source in self.quotes:
            return one, self.price(target + source, not ask)
        return times(self.rate(source, "USD", ask), self.rate("USD", target, ask))

    def price(self, symbol: str, ask: bool) -> Decimal:
        return Decimal(self.quotes[symbol][ask]).scaleb(-SPECS[symbol].digits)

    def part(self, symbol: str, volume: int, points: Decimal, kind: OrderType) -> int:
        """The margin of one volume at one price, by the rate of an order's type."""
        spec = SPECS[symbol]
        price = points.scaleb(-spec.digits)
        rates = spec.margin_rates or (spec.margin_rate, spec.margin_rate, *(0,) * 6)
        lots, size = Decimal(volume) / LOT, Decimal(spec.contract_size) / LOT
        amount = lots * size * Decimal(rates[TYPES.index(kind)]) / LOT
        by_leverage = spec.calc_mode in (CalcMode.FOREX, CalcMode.CFDLEVERAGE)
        base = amount, Decimal(NETTING.leverage if by_leverage else 1)
        if spec.calc_mode is not CalcMode.FOREX:
            base = times(base, (price, Decimal(1)))
        own = spec.currency_base == spec.currency_margin
        if own and spec.currency_profit == self.currency and spec.calc_mode is CalcMode.FOREX:
            rate = price, Decimal(1)  # the pair is the rate itself: the deal's price
        else:
            rate = self.rate(spec.currency_margin, self.currency, kind.is_buy)
        over, under = times(base, rate)
        exact = (over / under).scaleb(CURRENCIES[self.currency])
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))

    def margin(self) -> int:
        resting = [o for o in self.orders.values() if o.status in RESTING and not o.type.is_market]
        names = {name for name, volume in self.volumes.items() if volume}
        return sum(
            self.symbol_margin(name, resting) for name in names | {o.symbol for o in resting}
        )

    def symbol_margin(self, name: str, resting: list[OrderFact]) -> int:
        volume = self.volumes[name]
        long = volume >= 0
        held = 0
        if volume:
            kind = OrderType.BUY if long else OrderType.SELL
            held = self.part(name, abs(volume), self.means[name], kind)
        along = against = stops = against_volume = counter_stops = 0
        for order in (order for order in resting if order.symbol == name):
            left = order.volume - order.filled_volume
            cost = self.part(name, left, Decimal(order.price or 0), order.type)
            with_it = order.type.is_buy == long
            if "LIMIT" in order.type and "STOP" not in order.type:
                along += cost * with_it
                against += cost * (not with_it)
                against_volume += left * (not with_it)
            elif with_it or not volume:
                stops += cost
            elif left > abs(volume):
                counter_stops += cost
        if volume and against_volume <= abs(volume):
            against = 0  # it would do no more than close
        return max(held + along, against + counter_stops) + stops


RESTING = (OrderStatus.PLACED, OrderStatus.PARTIALLY_FILLED)


class Netting(Driver):
    """Random inputs of a netting account: many pending orders, often as large as what is held."""

    def __init__(self, seed: int, volumes: dict[str, int]) -> None:
        super().__init__("netting", seed)
        self.volumes = volumes

    def lots(self, name: str) -> int:
        held = abs(self.volumes[name])
        return held if held and self.rng.random() < 0.3 else super().lots(name)

    def request(self, broker: Any, kind: float) -> Any:
        return super().request(broker, kind + 0.1 if 0.55 < kind < 0.66 else kind)


def run(seed: int, currency: str, count: int) -> tuple[int, int]:
    """How often margin stood on a position, and how often on pending orders."""
    plain = Plain(currency)
    driver = Netting(seed, plain.volumes)
    terms = NETTING.terms(currency=currency, sessions_apply=False)
    broker: Any = Broker(replace(terms, stop_out_level=0), SPECS)
    _, *ticks = driver.opening()
    steps = [("deposit", DEPOSITS[currency], driver.now), *ticks]
    seen = [0, 0]
    for _ in range(count):
        for step in steps:
            if step[0] == "tick":
                plain.quotes[step[1]] = step[3:]
            before = broker.account_figures()
            retcode, facts = put(broker, step)
            for fact in facts:
                plain.apply(fact)
            figures = broker.account_figures()
            assert figures.margin == plain.margin()
            assert figures.free_margin == figures.equity - figures.margin
            if retcode == Retcode.NO_MONEY:
                assert figures == before
        seen[0] += any(plain.volumes.values())
        seen[1] += bool(broker.snapshot().orders)
        steps = [driver.next(broker)]
    return seen[0], seen[1]


CASES = st.integers(0, 2**40), st.sampled_from(sorted(CURRENCIES)), st.integers(2, 60)


def check(seed: int, currency: str, count: int) -> None:
    with localcontext() as context:
        context.prec = 80
        run(seed, currency, count)


@settings(max_examples=QUICK)
@given(*CASES)
def test_margin_is_what_the_facts_cost(seed, currency, count):
    check(seed, currency, count)


@pytest.mark.soak
@settings(max_examples=SOAK)
@given(*CASES)
def test_margin_is_what_the_facts_cost_in_many_accounts(seed, currency, count):
    check(seed, currency, count)


def test_such_accounts_have_positions_and_charged_orders(seed):
    print("seed", seed)
    seen = [run(seed + number, "USD", 60) for number in range(10)]
    assert sum(held for held, _ in seen) > 100
    assert sum(resting for _, resting in seen) > 100
