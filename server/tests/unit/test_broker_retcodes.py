"""Every retcode that a server can answer: by a rule of the broker, or else by a fault."""

from collections.abc import Callable
from typing import Any

import pytest

from fxsocket_server.broker.faults import Fault, Faults
from fxsocket_server.model.enums import (
    Action,
    ExecutionMode,
    Filling,
    MarginMode,
    OrderType,
    TimeInForce,
    TradeMode,
)
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT

from .test_broker_execution import ASK, BID, DAY, NOW, SELL, Desk

Script = Callable[[Any], Any]
PENDING, CENT = Action.PENDING, LOT // 100
INSTANT = {"execution_mode": ExecutionMode.INSTANT}
LOW, HIGH = BID - 500, BID + 500


def limit(desk: Any, **fields: Any) -> Any:
    return desk.ask(PENDING, OrderType.BUY_LIMIT, price=LOW, **fields)


def close(desk: Any, ticket: int | None, **fields: Any) -> Any:
    return desk.ask(order_type=SELL, position_ticket=ticket, **fields)


def opened(desk: Any, **fields: Any) -> int:
    return int(desk.open(**fields))


def changed_price(desk: Any) -> Any:
    desk.ask(price=ASK - 90)
    desk.tick(BID + 50)
    desk.now += 60_000
    return desk.ask(price=ASK)


def rest_of(desk: Any, **fields: Any) -> Any:
    """A market order of which the depth leaves a rest; its report."""
    return desk.ask(volume=2 * LOT, filling=Filling.RETURN, **fields)


def closing_twice(desk: Any) -> Any:
    ticket = rest_of(desk).order_ticket
    desk.tick(BID)  # the depth again, twice as much as is closed at once
    close(desk, ticket, volume=LOT // 2, filling=Filling.RETURN)
    return close(desk, ticket, volume=CENT)


def modified_rest(desk: Any) -> Any:
    ticket = rest_of(desk).order_ticket
    return desk.ask(Action.MODIFY, order_ticket=ticket, sl=LOW)


def fired_poor(desk: Any) -> Any:
    desk.ask(PENDING, OrderType.BUY_STOP, price=HIGH, volume=50 * LOT)
    desk.broker.deposit(-99_900_000, desk.now)
    (order, *_) = desk.tick(HIGH)
    return order


def second(desk: Any, **fields: Any) -> Any:
    opened(desk)
    return desk.ask(**fields)


def unchanged(desk: Any) -> Any:
    ticket = opened(desk, sl=LOW)
    return desk.ask(Action.SLTP, position_ticket=ticket, sl=LOW)


def frozen(desk: Any) -> Any:
    ticket = opened(desk, sl=BID - 40)
    return close(desk, ticket)


def closed_again(desk: Any) -> Any:
    ticket = opened(desk)
    close(desk, ticket)
    return close(desk, ticket)


def newest_first(desk: Any) -> Any:
    opened(desk)
    return close(desk, opened(desk))


def on_sunday(desk: Any) -> Any:
    desk.now = NOW + 4 * DAY
    return desk.ask()


def past(desk: Any) -> Any:
    return limit(desk, time_in_force=TimeInForce.SPECIFIED, expires_ms=NOW - 1)


# retcode: what changes the account's terms and EURUSD's rules, and the request that is answered so
RULES: dict[Retcode, tuple[dict[str, Any], dict[str, Any], Script]] = {
    Retcode.REQUOTE: ({}, INSTANT, lambda desk: desk.ask(price=ASK - 90)),
    Retcode.REJECT: (
        {},
        {"execution_mode": ExecutionMode.EXCHANGE, "filling_modes": tuple(Filling)},
        lambda d: d.ask(PENDING, OrderType.BUY_LIMIT, price=ASK, filling=Filling.BOC),
    ),
    Retcode.CANCEL: ({}, {"depth": CENT}, lambda desk: desk.ask()),
    Retcode.PLACED: ({}, {}, limit),
    Retcode.DONE: ({}, {}, lambda desk: desk.ask()),
    Retcode.DONE_PARTIAL: ({}, {"depth": CENT}, lambda desk: desk.ask(filling=Filling.IOC)),
    Retcode.INVALID: ({}, {}, lambda desk: desk.ask(symbol="NONE")),
    Retcode.INVALID_VOLUME: ({}, {}, lambda desk: desk.ask(volume=CENT + 1)),
    Retcode.INVALID_PRICE: (
        {}, {}, lambda desk: desk.ask(PENDING, OrderType.BUY_LIMIT, price=HIGH)
    ),
    Retcode.INVALID_STOPS: ({}, {}, lambda desk: desk.ask(sl=HIGH)),
    Retcode.TRADE_DISABLED: ({}, {"trade_mode": TradeMode.DISABLED}, lambda desk: desk.ask()),
    Retcode.MARKET_CLOSED: ({}, {}, on_sunday),
    Retcode.NO_MONEY: ({}, {"volume_max": 10**4 * LOT}, lambda d: d.ask(volume=10**4 * LOT)),
    Retcode.PRICE_CHANGED: ({}, INSTANT, changed_price),
    Retcode.PRICE_OFF: ({}, {}, lambda desk: desk.ask(symbol="GBPUSD")),
    Retcode.INVALID_EXPIRATION: ({}, {}, past),
    Retcode.ORDER_CHANGED: ({}, {"depth": LOT, **INSTANT}, modified_rest),
    Retcode.NO_CHANGES: ({}, {}, unchanged),
    Retcode.FROZEN: ({}, {"freeze_level": 50, "stops_level": 0}, frozen),
    Retcode.INVALID_FILL: ({}, {}, lambda desk: desk.ask(filling=Filling.RETURN)),
    Retcode.LIMIT_ORDERS: ({"limit_orders": 1}, {}, lambda d: limit(d) and limit(d)),
    Retcode.LIMIT_VOLUME: ({}, {"volume_limit": LOT}, second),
    Retcode.INVALID_ORDER: ({}, {}, lambda desk: desk.ask(Action.REMOVE, order_ticket=7)),
    Retcode.POSITION_CLOSED: ({}, {}, closed_again),
    Retcode.INVALID_CLOSE_VOLUME: ({}, {}, lambda d: close(d, opened(d), volume=2 * LOT)),
    Retcode.CLOSE_ORDER_EXIST: ({}, {"depth": LOT // 4, **INSTANT}, closing_twice),
    Retcode.LIMIT_POSITIONS: ({"limit_positions": 1}, {}, second),
    Retcode.REJECT_CANCEL: ({}, {}, fired_poor),
    Retcode.LONG_ONLY: ({}, {"trade_mode": TradeMode.LONGONLY}, lambda d: d.ask(order_type=SELL)),
    Retcode.SHORT_ONLY: ({}, {"trade_mode": TradeMode.SHORTONLY}, lambda desk: desk.ask()),
    Retcode.CLOSE_ONLY: ({}, {"trade_mode": TradeMode.CLOSEONLY}, lambda desk: desk.ask()),
    Retcode.FIFO_CLOSE: ({"fifo_close": True}, {}, newest_first),
    Retcode.HEDGE_PROHIBITED: (
        {"hedge_prohibited": True}, {}, lambda desk: second(desk, order_type=SELL)
    ),
}  # fmt: skip
FAULTS = set(Retcode) - set(RULES)


@pytest.mark.parametrize("retcode", RULES, ids=lambda retcode: retcode.name)
def test_a_rule_answers(retcode):
    terms, euro, script = RULES[retcode]
    desk = Desk({"margin_mode": MarginMode.HEDGING, **terms}, **euro)
    assert script(desk).retcode == retcode


def test_what_no_rule_answers_a_fault_does():
    assert {code.name for code in FAULTS} == {
        "ERROR", "TIMEOUT", "TOO_MANY_REQUESTS", "SERVER_DISABLES_AT", "CLIENT_DISABLES_AT",
        "LOCKED", "CONNECTION", "ONLY_REAL",
    }  # fmt: skip
    for code in FAULTS:
        faults = Faults()
        faults.put(Fault(retcode=code))
        assert faults.on_command().retcode == code
