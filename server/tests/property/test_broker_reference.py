"""The broker against a slow, plain account: loops over positions and exact decimals.

Random ticks and requests go to the broker; the plain account only applies the facts it gets back,
and says by itself what each tick had to set in motion and what every figure must be.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.broker.state import FIRST_DEAL_TICKET, FIRST_ORDER_TICKET, BrokerState
from fxsocket_server.model.enums import (
    Action,
    CalcMode,
    DealEntry,
    DealType,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    SwapMode,
    TimeInForce,
)
from fxsocket_server.model.facts import BalanceFact, DealFact, OrderFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import SUCCESS
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000
PRICES = {
    "EURUSD": 108_340,
    "USDJPY": 151_000,
    "EURJPY": 163_600,
    "XAUUSD": 265_000,
    "BTCUSD": 6_500_000,
}
SYMBOLS = tuple(PRICES)
SPECS = {
    name: replace(PROFILE.symbols[name], swap_mode=SwapMode.DISABLED)  # nights have their own test
    for name in SYMBOLS
}
# Thousandths of a lot leave fractions of a cent, so that rounding shows.
SPECS["EURUSD"] = replace(SPECS["EURUSD"], volume_min=LOT // 1000, volume_step=LOT // 1000)
PENDING = [kind for kind in OrderType if not kind.is_market and kind is not OrderType.CLOSE_BY]
JPY_DIGITS = {"JPY": 0}


# --- the plain account -----------------------------------------------------------------------


@dataclass
class Plain:
    """What an account is, as the facts tell it."""

    currency: str
    quotes: dict = field(default_factory=dict)
    balance: int = 0
    credit: int = 0
    deposits: int = 0
    deals: list = field(default_factory=list)
    orders: dict = field(default_factory=dict)
    positions: dict = field(default_factory=dict)

    def apply(self, fact) -> None:
        match fact:
            case OrderFact():
                self.orders[fact.ticket] = fact
            case DealFact():
                assert fact.ticket == FIRST_DEAL_TICKET + len(self.deals)
                self.deals.append(fact)
            case PositionFact():
                assert fact.volume >= 0
                self.positions[fact.ticket] = fact
            case BalanceFact():
                assert fact.balance != self.balance
                self.balance, self.credit = fact.balance, fact.credit

    def open_positions(self):
        return [fact for fact in self.positions.values() if fact.volume]

    def resting(self):
        return [fact for fact in self.orders.values() if fact.status is OrderStatus.PLACED]

    # Money: every amount is a numerator and a denominator, divided and rounded once.

    @property
    def digits(self) -> int:
        return JPY_DIGITS.get(self.currency, 2)

    def price(self, symbol: str, ask: bool) -> Decimal:
        return Decimal(self.quotes[symbol][ask]).scaleb(-SPECS[symbol].digits)

    def rate(self, source: str, ask: bool) -> tuple[Decimal, Decimal]:
        """The Bid or Ask of source -> deposit; every currency here is one pair away or two."""
        one = Decimal(1)
        if source == self.currency:
            return one, one
        if source + self.currency in SPECS:
            return self.price(source + self.currency, ask), one
        if self.currency + source in SPECS:
            return one, self.price(self.currency + source, not ask)
        raise AssertionError(f"{source} to {self.currency}")

    def profit(self, position: PositionFact, close: Decimal, volume: int) -> int:
        spec = SPECS[position.symbol]
        lots, size = Decimal(volume) / LOT, Decimal(spec.contract_size) / LOT
        opened = Decimal(position.open_price).scaleb(-spec.digits)
        minor = JPY_DIGITS.get(spec.currency_profit, 2)
        if spec.calc_mode is CalcMode.FOREX:
            amount = nearest(close * size * lots, minor) - nearest(opened * size * lots, minor)
        else:
            amount = nearest((close - opened) * size * lots, minor)
        amount = amount if position.side is Side.BUY else -amount
        if spec.currency_profit == self.currency:
            return amount
        forex = spec.calc_mode is CalcMode.FOREX
        ask = position.side is Side.BUY if forex else amount < 0
        times, over = self.rate(spec.currency_profit, ask)
        if self.currency + spec.currency_profit == position.symbol:
            times, over = Decimal(1), close
        return nearest(Decimal(amount).scaleb(-minor) * times / over, self.digits)

    def floating(self) -> int:
        return sum(
            self.profit(fact, self.price(fact.symbol, fact.side is Side.SELL), fact.volume)
            for fact in self.open_positions()
        )

    def margin(self, extra: tuple[str, Side, int] | None = None) -> int:
        held = defaultdict(list)
        for fact in self.open_positions():
            held[fact.symbol].append((fact.side, fact.volume, fact.open_price))
        if extra is not None:
            symbol, side, volume = extra
            held[symbol].append((side, volume, self.quotes[symbol][side is Side.BUY]))
        return sum(self.symbol_margin(symbol, rows) for symbol, rows in held.items())

    def symbol_margin(self, symbol: str, rows) -> int:
        spec = SPECS[symbol]
        legs = {side: [row for row in rows if row[0] is side] for side in Side}
        volumes = {side: sum(row[1] for row in leg) for side, leg in legs.items()}
        bigger = Side.BUY if volumes[Side.BUY] >= volumes[Side.SELL] else Side.SELL
        uncovered = abs(volumes[Side.BUY] - volumes[Side.SELL])
        covered = min(volumes.values())
        rates = {side: self.rate(spec.currency_margin, side is Side.BUY) for side in Side}
        (bid, under), (ask, below) = rates[Side.SELL], rates[Side.BUY]
        middle = bid * below + ask * under, 2 * under * below
        total = self.part_margin(symbol, legs[bigger], uncovered, spec.contract_size, rates[bigger])
        if covered:
            total += self.part_margin(symbol, rows, covered, spec.margin_hedged, middle)
        return total

    def part_margin(self, symbol: str, rows, volume: int, size: int, rate) -> int:
        """A volume at the mean open price of these positions."""
        spec, weight = SPECS[symbol], sum(row[1] for row in rows)
        turnover = Decimal(sum(row[1] * row[2] for row in rows)).scaleb(-spec.digits)
        amount = Decimal(volume) * size * spec.margin_rate / LOT**3
        over = Decimal(1)
        if spec.calc_mode in (CalcMode.FOREX, CalcMode.CFDLEVERAGE):
            over *= PROFILE.leverage
        own = spec.currency_base == spec.currency_margin and (
            spec.currency_profit == self.currency and spec.calc_mode is CalcMode.FOREX
        )
        if own or spec.calc_mode in (CalcMode.CFD, CalcMode.CFDLEVERAGE):
            amount, over = amount * turnover, over * weight
        if not own:
            amount, over = amount * rate[0], over * rate[1]
        return nearest(amount / over, self.digits) if amount else 0

    def affords(self, symbol: str, side: Side, volume: int) -> bool:
        after, before = self.margin((symbol, side, volume)), self.margin()
        equity = self.balance + self.credit + self.floating()
        return after <= before or equity - after >= 0

    # What a tick sets in motion.

    def due(self, symbol: str, time_ms: int) -> list[tuple[str, int]]:
        bid, ask = self.quotes[symbol]
        resting = sorted(self.resting(), key=lambda fact: fact.ticket)
        ended = [
            fact.ticket
            for fact in resting
            if fact.symbol == symbol and fact.expires_ms is not None and time_ms >= fact.expires_ms
        ]
        held = sorted(self.open_positions(), key=lambda fact: fact.ticket)
        mine = [fact for fact in held if fact.symbol == symbol]
        return [
            *(("expired", ticket) for ticket in ended),
            *(("sl", fact.ticket) for fact in mine if sl_hit(fact, bid, ask)),
            *(("tp", fact.ticket) for fact in mine if tp_hit(fact, bid, ask)),
            *(
                ("pending", fact.ticket)
                for fact in resting
                if fact.symbol == symbol and fact.ticket not in ended and order_hit(fact, bid, ask)
            ),
        ]


def nearest(amount: Decimal, digits: int) -> int:
    return int(amount.scaleb(digits).quantize(Decimal(1), ROUND_HALF_UP))


def sl_hit(fact: PositionFact, bid: int, ask: int) -> bool:
    if fact.sl is None:
        return False
    return bid <= fact.sl if fact.side is Side.BUY else ask >= fact.sl


def tp_hit(fact: PositionFact, bid: int, ask: int) -> bool:
    if fact.tp is None:
        return False
    return bid >= fact.tp if fact.side is Side.BUY else ask <= fact.tp


def order_hit(fact: Any, bid: int, ask: int) -> bool:
    if fact.type is OrderType.BUY_LIMIT:
        return ask <= fact.price
    if fact.type is OrderType.SELL_LIMIT:
        return bid >= fact.price
    return ask >= fact.price if fact.type.is_buy else bid <= fact.price


# --- the world they share --------------------------------------------------------------------


class World:
    """Random numbers as inputs; the broker's facts checked against the plain account."""

    def __init__(self, currency: str) -> None:
        terms = PROFILE.terms(currency=currency, sessions_apply=False)
        self.terms = replace(terms, stop_out_level=0)  # stop outs have a test of their own
        self.brokers = [Broker(self.terms, SPECS)]
        self.plain = Plain(currency)
        self.now = NOW
        self.pay(1_000_000 if currency != "JPY" else 1_500_000)
        for symbol, bid in PRICES.items():
            self.tick(symbol, bid, bid + 9)

    @property
    def broker(self) -> Broker:
        return self.brokers[0]

    def each(self, call) -> Any:
        """The same input to every broker; all answer alike."""
        first, *others = [call(broker) for broker in self.brokers]
        for other in others:
            assert other == first
        return first

    def pay(self, amount: int) -> None:
        for fact in self.each(lambda broker: broker.deposit(amount, self.now)):
            self.plain.apply(fact)
        self.plain.deposits += amount

    def tick(self, symbol: str, bid: int, ask: int) -> None:
        facts = self.each(lambda broker: broker.on_tick(symbol, self.now, bid, ask))
        self.plain.quotes[symbol] = (bid, ask)
        expected = self.plain.due(symbol, self.now)
        happened = []
        for fact in facts:
            if isinstance(fact, OrderFact):
                happened.append(self.event(fact, bid, ask))
            self.plain.apply(fact)
        assert happened == expected

    def event(self, fact: Any, bid: int, ask: int) -> tuple[str, int]:
        """What an order's fact tells, once its price and status are what they must be."""
        assert fact.time_ms == self.now
        if fact.status is OrderStatus.EXPIRED:
            return "expired", fact.ticket
        side = Side.BUY if fact.type.is_buy else Side.SELL
        if fact.status is OrderStatus.FILLED:
            assert fact.filled_price == (ask if side is Side.BUY else bid)
        if fact.reason in (Reason.SL, Reason.TP):
            return fact.reason.lower(), fact.position_ticket
        if self.plain.orders[fact.ticket].stop_limit is not None:
            assert fact.status is OrderStatus.PLACED
        else:
            affordable = self.plain.affords(fact.symbol, side, fact.volume)
            assert fact.status is (OrderStatus.FILLED if affordable else OrderStatus.REJECTED)
        return "pending", fact.ticket

    def send(self, action: Action, **fields) -> bool:
        filling = Filling.RETURN if action is Action.PENDING else Filling.IOC
        request = TradeRequest(
            action=action, command_id="c", deadline_ms=0, **({"filling": filling} | fields)
        )
        before = self.broker.snapshot()
        report = self.each(lambda broker: broker.request(request, self.now))
        if report.retcode not in SUCCESS:
            assert report.facts == ()
            assert report.comment
            assert replace(self.broker.snapshot(), time_ms=before.time_ms) == before
        for fact in report.facts:
            self.plain.apply(fact)
        return report.retcode in SUCCESS

    # Steps: `a` and `b` choose.

    def step(self, kind: int, a: int, b: int) -> None:
        symbol = SYMBOLS[a % len(SYMBOLS)]
        if kind < 5:
            self.move(symbol, a, b)
        elif kind == 5:
            self.open(symbol, a, b)
        elif kind == 6:
            self.close(a, b)
        elif kind == 7:
            self.place(symbol, a, b)
        elif kind == 8:
            self.change(a, b)
        else:
            self.pay(b % 20_000 + 1)

    def move(self, symbol: str, a: int, b: int) -> None:
        self.now += (a % 4) * 400_000
        bid = self.plain.quotes[symbol][0] + (b % 401 - 200) * scale(symbol)
        self.tick(symbol, max(bid, 10), max(bid, 10) + b % 13)

    def open(self, symbol: str, a: int, b: int) -> None:
        side = (OrderType.BUY, OrderType.SELL)[b % 2]
        sign, price = (1 if b % 2 == 0 else -1), self.plain.quotes[symbol][0]
        distance = (b % 173 + 16) * scale(symbol)  # beyond any spread
        volume = (a % 60 + 1) * SPECS[symbol].volume_step
        before = self.plain.quotes[symbol]
        affordable = self.plain.affords(symbol, Side(side), volume)
        accepted = self.send(
            Action.DEAL,
            symbol=symbol,
            type=side,
            volume=volume,
            sl=price - sign * distance if a % 3 else None,
            tp=price + sign * distance if a % 5 else None,
        )
        assert accepted == affordable
        if accepted:
            assert self.plain.deals[-1].price == before[b % 2 == 0]

    def close(self, a: int, b: int) -> None:
        held = self.plain.open_positions()
        if not held:
            return
        position = held[a % len(held)]
        step = SPECS[position.symbol].volume_step
        steps = position.volume // step
        volume = position.volume if b % 3 == 0 else (b % steps + 1) * step
        close = self.plain.price(position.symbol, position.side is Side.SELL)
        expected = self.plain.profit(position, close, volume)
        opposite = OrderType(position.side.opposite)
        assert self.send(Action.DEAL, type=opposite, volume=volume, position_ticket=position.ticket)
        assert self.plain.deals[-1].profit == expected

    def place(self, symbol: str, a: int, b: int) -> None:
        order_type = PENDING[a % len(PENDING)]
        above = order_type in (
            OrderType.SELL_LIMIT,
            OrderType.BUY_STOP,
            OrderType.BUY_STOP_LIMIT,
        )
        distance = (b % 97 + 16) * scale(symbol) * (1 if above else -1)
        price = self.plain.quotes[symbol][0] + distance
        two_prices = order_type in (OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT)
        stop_limit = price - distance // 2 if two_prices else None
        sign = 1 if order_type.is_buy else -1
        own = stop_limit or price
        dated = b % 4 == 0
        assert self.send(
            Action.PENDING,
            symbol=symbol,
            type=order_type,
            volume=(a % 40 + 1) * SPECS[symbol].volume_step,
            price=price,
            stop_limit=stop_limit,
            sl=own - sign * 40 * scale(symbol) if b % 3 else None,
            tp=own + sign * 25 * scale(symbol) if b % 5 else None,
            time_in_force=TimeInForce.SPECIFIED if dated else TimeInForce.GTC,
            expires_ms=self.now + (b % 50 + 1) * 60_000 if dated else None,
        )

    def change(self, a: int, b: int) -> None:
        held, resting = self.plain.open_positions(), self.plain.resting()
        if b % 2 and held:
            position = held[a % len(held)]
            price, unit = self.plain.quotes[position.symbol][0], scale(position.symbol)
            self.send(
                Action.SLTP,
                position_ticket=position.ticket,
                sl=price + (a % 300 - 150) * unit if b % 3 else None,
                tp=price + (b % 300 - 150) * unit if b % 5 else None,
            )
        elif resting:
            order = resting[a % len(resting)]
            if b % 4 == 0:
                self.send(Action.REMOVE, order_ticket=order.ticket)
            else:
                price = order.price + (b % 31 - 15) * scale(order.symbol)
                self.send(Action.MODIFY, order_ticket=order.ticket, price=price)

    # Checks.

    def check(self) -> None:
        plain, figures = self.plain, self.broker.account_figures()
        booked = sum(
            deal.profit + deal.swap + deal.commission + deal.fee
            for deal in plain.deals
            if deal.type is not DealType.BALANCE
        )
        assert figures.balance == plain.balance == plain.deposits + booked
        assert figures.profit == plain.floating()
        assert figures.margin == plain.margin()
        assert figures.equity == figures.balance + figures.credit + figures.profit
        assert figures.free_margin == figures.equity - figures.margin
        for position in plain.positions.values():
            assert position.volume == volume_of_deals(plain.deals, position.ticket)
        for position in plain.open_positions():
            close = plain.price(position.symbol, position.side is Side.SELL)
            expected = plain.profit(position, close, position.volume)
            assert self.broker.position_profit(position.ticket) == expected

    def twins(self) -> None:
        """From here on the same account runs three times: on, restored, and rebuilt of facts."""
        state = self.broker.snapshot()
        packed = msgspec.msgpack.encode(state)
        restored = msgspec.msgpack.decode(packed, type=BrokerState)
        self.brokers.append(Broker.restore(self.terms, SPECS, restored))
        plain = self.plain
        numbers = [fact.ticket for fact in plain.orders.values()]
        self.brokers.append(
            Broker.rebuild(
                self.terms,
                SPECS,
                balance=plain.balance,
                credit=plain.credit,
                next_ticket=max(numbers, default=FIRST_ORDER_TICKET - 1) + 1,
                next_deal_ticket=plain.deals[-1].ticket + 1,
                quotes=state.quotes,
                orders=plain.orders.values(),
                positions=plain.positions.values(),
                time_ms=self.now,
            )
        )
        for broker in self.brokers:
            assert broker.snapshot() == state


def scale(symbol: str) -> int:
    """Points that a small move of a symbol has."""
    return 100 if symbol == "BTCUSD" else 1


def volume_of_deals(deals, ticket: int) -> int:
    mine = [deal for deal in deals if deal.position_ticket == ticket]
    return sum(deal.volume if deal.entry is DealEntry.IN else -deal.volume for deal in mine)


KINDS = (0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 5, 5, 6, 7, 7, 7, 8, 8, 9)


CASES: dict[str, Any] = {
    "currency": st.sampled_from(["USD", "EUR", "JPY"]),
    "seed": st.integers(0, 2**32 - 1),
    "count": st.integers(1, 80),
    "twins_at": st.integers(0, 79),
}


@settings(max_examples=200)
@given(**CASES)
def test_the_broker_is_the_plain_account(currency, seed, count, twins_at):
    check_plain(currency, seed, count, twins_at)


@pytest.mark.soak
@settings(max_examples=10_000)
@given(**CASES)
def test_the_broker_is_the_plain_account_soak(currency, seed, count, twins_at):
    check_plain(currency, seed, count, twins_at)


def check_plain(currency: str, seed: int, count: int, twins_at: int) -> None:
    rng = random.Random(seed)
    with localcontext() as context:
        context.prec = 60
        world = World(currency)
        for number in range(count):
            if number == twins_at:
                world.twins()
            world.step(rng.choice(KINDS), rng.randrange(10_000), rng.randrange(10_000))
            world.check()
        world.each(lambda broker: broker.snapshot())
        world.each(lambda broker: broker.account_figures())
