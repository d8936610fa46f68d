"""Risk decisions against a slow reference that simulates every order that could still fill."""

import random
from itertools import combinations

import pytest
from msgspec.structs import replace

from fxsocket_server.gateway.risk.exposure import added_volume, open_volume
from fxsocket_server.model.enums import (
    Filling,
    MarginMode,
    OrderStatus,
    OrderType,
    PositionStatus,
    Side,
)
from fxsocket_server.model.records import Order, Position

SYMBOLS = ("EURUSD", "USDJPY")
LIVE = (OrderStatus.PENDING, OrderStatus.UNKNOWN, OrderStatus.PLACED, OrderStatus.PARTIALLY_FILLED)
DONE = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
MARKET = (OrderType.BUY, OrderType.SELL)


def order_of(symbol: str, type_: OrderType, volume: int) -> Order:
    return Order(
        id="", user_id="", account_id="", client_order_id=None, symbol=symbol, digits=5,
        type=type_, status=OrderStatus.PENDING, volume=volume, filling=Filling.FOK,
        created_ms=0, updated_ms=0,
    )  # fmt: skip


def position_of(symbol: str, side: Side, volume: int) -> Position:
    return Position(
        id="pos", user_id="", account_id="", ticket=1, symbol=symbol, digits=5, side=side,
        status=PositionStatus.OPEN, volume=volume, open_price=1, opened_ms=0, updated_ms=0,
    )  # fmt: skip


def random_order(rng: random.Random) -> Order:
    type_ = rng.choice((*MARKET, *MARKET, OrderType.BUY_LIMIT, OrderType.SELL_STOP))
    order = order_of(rng.choice(SYMBOLS), type_, rng.randint(1, 9))
    if not type_.is_market:
        return replace(order, status=rng.choice((OrderStatus.PENDING, OrderStatus.PLACED)))
    closes = rng.random() < 0.2
    return replace(
        order,
        status=rng.choice((OrderStatus.PENDING, OrderStatus.UNKNOWN)),
        position_id="pos" if closes else None,
    )


def worst_hedging(positions: list[Position], orders: list[Order]) -> int:
    """Every order that opens has filled."""
    closing = [o for o in orders if o.position_id is not None]
    return sum(p.volume for p in positions) + sum(o.volume for o in orders if o not in closing)


def worst_netting(positions: list[Position], orders: list[Order]) -> int:
    """The most that any set of market orders on their way can leave open, plus what rests."""
    worst = 0
    market = [o for o in orders if o.type.is_market]
    for count in range(len(market) + 1):
        for filled in combinations(market, count):
            total = 0
            for symbol in SYMBOLS:
                net = sum(p.volume if p.side is Side.BUY else -p.volume
                          for p in positions if p.symbol == symbol)  # fmt: skip
                net += sum(o.volume if o.type.is_buy else -o.volume
                           for o in filled if o.symbol == symbol)  # fmt: skip
                total += abs(net)
            worst = max(worst, total)
    return worst + sum(o.volume for o in orders if not o.type.is_market)


def test_hedging_counts_what_every_order_would_open(rng: random.Random) -> None:
    for _ in range(500):
        positions = [
            position_of(rng.choice(SYMBOLS), rng.choice(list(Side)), rng.randint(1, 9))
            for _ in range(rng.randint(0, 5))
        ]
        orders = [random_order(rng) for _ in range(rng.randint(0, 5))]
        assert open_volume(MarginMode.HEDGING, positions, orders) == (
            worst_hedging(positions, orders)
        )


@pytest.mark.parametrize("mode", [MarginMode.NETTING, MarginMode.EXCHANGE])
def test_netting_never_counts_less_than_can_be_open(rng: random.Random, mode: MarginMode) -> None:
    for _ in range(500):
        positions = [
            position_of(symbol, rng.choice(list(Side)), rng.randint(1, 9))
            for symbol in SYMBOLS
            if rng.random() < 0.7
        ]
        orders = [random_order(rng) for _ in range(rng.randint(0, 5))]
        counted = open_volume(mode, positions, orders)
        assert counted >= worst_netting(positions, orders)
        order = replace(random_order(rng), position_id=None, status=OrderStatus.PENDING)
        added = added_volume(mode, positions, orders, order)
        assert added == open_volume(mode, positions, [*orders, order]) - counted
        assert 0 <= added <= order.volume


@pytest.mark.parametrize("mode", list(MarginMode))
def test_what_is_done_or_closed_counts_nothing(rng: random.Random, mode: MarginMode) -> None:
    orders = [replace(random_order(rng), status=status) for status in DONE]
    closed = replace(position_of("EURUSD", Side.BUY, 3), status=PositionStatus.CLOSED)
    assert open_volume(mode, [closed], orders) == 0


def test_a_reversal_counts_only_beyond_what_it_closes() -> None:
    long = [position_of("EURUSD", Side.BUY, 5)]
    sell = order_of("EURUSD", OrderType.SELL, 7)
    assert added_volume(MarginMode.NETTING, long, [], sell) == 2
    assert added_volume(MarginMode.NETTING, long, [sell], sell) == 7
    assert added_volume(MarginMode.NETTING, long, [], replace(sell, volume=5)) == 0
    assert added_volume(MarginMode.NETTING, long, [], replace(sell, type=OrderType.SELL_LIMIT)) == 7
    assert added_volume(MarginMode.HEDGING, long, [], sell) == 7


@pytest.mark.parametrize("status", LIVE)
def test_the_filled_part_of_an_order_is_a_position_already(status: OrderStatus) -> None:
    order = replace(order_of("EURUSD", OrderType.BUY_LIMIT, 9), status=status, filled_volume=4)
    position = position_of("EURUSD", Side.BUY, 4)
    assert open_volume(MarginMode.HEDGING, [position], [order]) == 9
