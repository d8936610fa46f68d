"""Every retcode that a trade server can answer is reached: by a rule of the broker, or by a fault.

The table names how. Those that only faults reach go through a terminal with the fault in force.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.faults import Faults, scenario
from fxsocket_server.model.enums import (
    Action,
    ExecutionMode,
    Filling,
    OrderType,
    TimeInForce,
    TradeMode,
)
from fxsocket_server.model.facts import OrderFact
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT

from .broker_desk import ASK, BID, DAY, NOW, PROFILE, ask, broker, opened, placed, request

BUY_LIMIT, SELL = OrderType.BUY_LIMIT, OrderType.SELL
LIMIT = {"type": BUY_LIMIT, "price": 108_000}


def deal(made: Broker | None = None, **fields: object) -> int:
    """The retcode of a market order."""
    retcode: int = ask(made or broker(), **fields).retcode
    return retcode


def pending(made: Broker | None = None, **fields: object) -> int:
    """The retcode of a buy limit."""
    retcode: int = ask(made or broker(), Action.PENDING, **(LIMIT | fields)).retcode
    return retcode


def exchange(**rules: object) -> Broker:
    """A market with four lots at its price."""
    modes = (Filling.FOK, Filling.IOC, Filling.BOC, Filling.RETURN)
    base = {"execution_mode": ExecutionMode.EXCHANGE, "filling_modes": modes, "depth": 4 * LOT}
    made: Broker = broker(100_000_000, **(base | rules))
    return made


def price_changed() -> int:
    """A requote that was accepted too late."""
    made = broker(execution_mode=ExecutionMode.INSTANT)
    deal(made, price=ASK - 20)
    made.on_tick("EURUSD", NOW + 1, BID + 50, ASK + 50)
    return deal(made, price=ASK, at=NOW + 60_000)


def order_changed() -> int:
    """A change of an order that is filled in part."""
    made = exchange()
    ticket = ask(made, volume=10 * LOT, filling=Filling.RETURN).order_ticket
    retcode: int = ask(made, Action.MODIFY, order_ticket=ticket, price=100_000).retcode
    return retcode


def close_order_exists() -> int:
    """A second closing order while the first waits for depth."""
    made = exchange()
    first = ask(made, volume=10 * LOT, filling=Filling.RETURN).order_ticket
    for step in (1, 2):
        made.on_tick("EURUSD", NOW + step, BID, ASK)
    close = {"type": SELL, "position_ticket": first, "filling": Filling.RETURN}
    deal(made, **close, volume=10 * LOT)
    return deal(made, **close, volume=6 * LOT)


def rejected_at_trigger() -> int | None:
    """A pending order that fires without money."""
    made = broker(100)
    placed(made, **LIMIT, volume=LOT)
    [fact] = made.on_tick("EURUSD", NOW + 1, 107_980, 107_990)
    assert isinstance(fact, OrderFact)
    return fact.retcode


def frozen() -> int:
    """A close when the market is too near to the stop."""
    made = broker(freeze_level=50)
    ticket = opened(made, sl=BID - 40)
    return deal(made, type=SELL, position_ticket=ticket)


def second_of(terms: dict[str, object], **fields: object) -> int:
    """The retcode of a second order on an account with such terms."""
    made = broker(terms=terms)
    opened(made)
    return deal(made, **fields)


def too_much_closed() -> int:
    """A close of more than is open."""
    made = broker()
    return deal(made, type=SELL, position_ticket=opened(made), volume=LOT)


def younger_closed_first() -> int:
    """A close of another than the oldest position."""
    made = broker(terms={"fifo_close": True})
    opened(made)
    return deal(made, type=SELL, position_ticket=opened(made))


def nothing_changed() -> int:
    """Stops that stand already."""
    made = broker()
    ticket = opened(made, sl=108_000)
    retcode: int = ask(made, Action.SLTP, position_ticket=ticket, sl=108_000).retcode
    return retcode


def second_pending() -> int:
    """One pending order more than the account may have."""
    made = broker(terms={"limit_orders": 1})
    placed(made, **LIMIT)
    return pending(made)


def without_quotes() -> int:
    """An order before the first price."""
    made = Broker(PROFILE.terms(), PROFILE.symbols)
    made.deposit(1_000_000, NOW)
    return made.request(request(), NOW).retcode


RULES: dict[Retcode, Callable[[], int | None]] = {
    Retcode.REQUOTE: lambda: deal(broker(execution_mode=ExecutionMode.INSTANT), price=ASK - 20),
    Retcode.REJECT: lambda: pending(exchange(), price=ASK, filling=Filling.BOC),
    Retcode.CANCEL: lambda: deal(exchange(), volume=5 * LOT),
    Retcode.PLACED: pending,
    Retcode.DONE: deal,
    Retcode.DONE_PARTIAL: lambda: deal(exchange(), volume=5 * LOT, filling=Filling.IOC),
    Retcode.INVALID: lambda: deal(symbol="NOSUCH"),
    Retcode.INVALID_VOLUME: lambda: deal(volume=1),
    Retcode.INVALID_PRICE: lambda: pending(price=ASK + 1),
    Retcode.INVALID_STOPS: lambda: deal(sl=BID),
    Retcode.TRADE_DISABLED: lambda: deal(broker(trade_mode=TradeMode.DISABLED)),
    Retcode.MARKET_CLOSED: lambda: deal(at=NOW + 3 * DAY),
    Retcode.NO_MONEY: lambda: deal(volume=10 * LOT),
    Retcode.PRICE_CHANGED: price_changed,
    Retcode.PRICE_OFF: without_quotes,
    Retcode.INVALID_EXPIRATION: lambda: pending(time_in_force=TimeInForce.SPECIFIED),
    Retcode.ORDER_CHANGED: order_changed,
    Retcode.NO_CHANGES: nothing_changed,
    Retcode.FROZEN: frozen,
    Retcode.INVALID_FILL: lambda: deal(filling=Filling.RETURN),
    Retcode.LIMIT_ORDERS: second_pending,
    Retcode.LIMIT_VOLUME: lambda: deal(broker(volume_limit=LOT // 20)),
    Retcode.INVALID_ORDER: lambda: deal(type=BUY_LIMIT),
    Retcode.POSITION_CLOSED: lambda: deal(type=SELL, position_ticket=99),
    Retcode.INVALID_CLOSE_VOLUME: too_much_closed,
    Retcode.CLOSE_ORDER_EXIST: close_order_exists,
    Retcode.LIMIT_POSITIONS: lambda: second_of({"limit_positions": 1}),
    Retcode.REJECT_CANCEL: rejected_at_trigger,
    Retcode.LONG_ONLY: lambda: deal(broker(trade_mode=TradeMode.LONGONLY), type=SELL),
    Retcode.SHORT_ONLY: lambda: deal(broker(trade_mode=TradeMode.SHORTONLY)),
    Retcode.CLOSE_ONLY: lambda: deal(broker(trade_mode=TradeMode.CLOSEONLY)),
    Retcode.FIFO_CLOSE: younger_closed_first,
    Retcode.HEDGE_PROHIBITED: lambda: second_of({"hedge_prohibited": True}, type=SELL),
}
FAULTS: dict[Retcode, str] = {
    Retcode.ERROR: "server_error",
    Retcode.TIMEOUT: "timeout",
    Retcode.TOO_MANY_REQUESTS: "too_many_requests",
    Retcode.SERVER_DISABLES_AT: "autotrading_off_server",
    Retcode.CLIENT_DISABLES_AT: "autotrading_off_client",
    Retcode.LOCKED: "locked",
    Retcode.CONNECTION: "no_connection",
    Retcode.ONLY_REAL: "only_real",
}


def test_the_table_is_whole() -> None:
    contract = yaml.safe_load((Path(__file__).parents[3] / "spec/retcodes.yaml").read_text())
    assert {row["number"] for row in contract.values()} == set(Retcode)
    assert set(RULES) | set(FAULTS) == set(Retcode)
    assert not set(RULES) & set(FAULTS)


@pytest.mark.parametrize("retcode", RULES, ids=lambda code: code.name)
def test_a_rule_reaches_it(retcode: Retcode) -> None:
    assert RULES[retcode]() == retcode


@pytest.mark.parametrize("retcode", FAULTS, ids=lambda code: code.name)
def test_a_fault_reaches_it(retcode: Retcode) -> None:
    faults = Faults()
    faults.put(scenario(FAULTS[retcode]))
    assert faults.on_command().retcode == retcode
