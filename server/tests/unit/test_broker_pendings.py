"""Requests about pending orders: what an accepted one does, and each reason to refuse one."""

from typing import Any

import pytest

from fxsocket_server.model.enums import (
    Action,
    Filling,
    OrderStatus,
    OrderType,
    TimeInForce,
    TradeMode,
)
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT

from .broker_desk import ASK, BID, DAY, NOW, ask, broker, opened, placed, refused

# --- pending orders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_type", "price", "stop_limit", "sl", "tp"),
    [
        (OrderType.BUY_LIMIT, ASK - 20, None, ASK - 40, ASK),
        (OrderType.SELL_LIMIT, BID + 20, None, BID + 40, BID),
        (OrderType.BUY_STOP, ASK + 20, None, ASK, ASK + 40),
        (OrderType.SELL_STOP, BID - 20, None, BID, BID - 40),
        (OrderType.BUY_STOP_LIMIT, ASK + 20, ASK, ASK - 20, ASK + 20),
        (OrderType.SELL_STOP_LIMIT, BID - 20, BID, BID + 20, BID - 20),
    ],
)
def test_a_pending_order_rests_at_the_nearest_allowed_prices(order_type, price, stop_limit, sl, tp):
    made = broker(stops_level=20)
    fields = {"type": order_type, "price": price, "stop_limit": stop_limit, "sl": sl, "tp": tp}
    report = ask(made, Action.PENDING, **fields)
    (order,) = report.facts
    assert (report.retcode, report.order_ticket) == (Retcode.PLACED, order.ticket)
    assert (order.status, order.type, order.price) == (OrderStatus.PLACED, order_type, price)
    assert (order.stop_limit, order.sl, order.tp) == (stop_limit, sl, tp)
    assert (order.filled_volume, order.filled_price, order.position_ticket) == (0, None, None)
    assert made.snapshot().orders == (order,)
    # One point nearer to the market, and each of its stops one point nearer to it, is refused.
    nearer = 1 if price < BID else -1
    assert ask(made, Action.PENDING, **(fields | {"price": price + nearer})).retcode == 10016
    for name in ("sl", "tp"):
        own = stop_limit or price
        toward = 1 if fields[name] < own else -1
        worse = fields | {name: fields[name] + toward}
        assert ask(made, Action.PENDING, **worse).retcode == Retcode.INVALID_STOPS


@pytest.mark.parametrize(
    ("retcode", "comment", "fields"),
    [
        (
            Retcode.INVALID_ORDER,
            "type BUY does not fit; send a pending order type",
            {"type": OrderType.BUY},
        ),
        (Retcode.INVALID_PRICE, "a BUY_LIMIT order needs a price", {"price": None}),
        (Retcode.INVALID_PRICE, "price -0.00001 must be above 0", {"price": -1}),
        (
            Retcode.INVALID_PRICE,
            "price 1.08349 must be below ask 1.08348; at most 1.08347",
            {"price": ASK + 1},
        ),
        (
            Retcode.INVALID_PRICE,
            "price 1.08339 must be above bid 1.08340; at least 1.08341",
            {"type": OrderType.SELL_LIMIT, "price": BID - 1},
        ),
        (
            Retcode.INVALID_PRICE,
            "price 1.08347 must be above ask 1.08348; at least 1.08349",
            {"type": OrderType.BUY_STOP, "price": ASK - 1},
        ),
        (
            Retcode.INVALID_PRICE,
            "price 1.08341 must be below bid 1.08340; at most 1.08339",
            {"type": OrderType.SELL_STOP, "price": BID + 1},
        ),
        (
            Retcode.INVALID_PRICE,
            "BUY_STOP_LIMIT needs stop_limit, the price of the limit order that it places",
            {"type": OrderType.BUY_STOP_LIMIT, "price": ASK + 100},
        ),
        (
            Retcode.INVALID_PRICE,
            "stop_limit 1.08500 must be below price 1.08448; at most 1.08447",
            {"type": OrderType.BUY_STOP_LIMIT, "price": ASK + 100, "stop_limit": 108_500},
        ),
        (
            Retcode.INVALID_PRICE,
            "stop_limit 1.08000 must be above price 1.08240; at least 1.08241",
            {"type": OrderType.SELL_STOP_LIMIT, "price": BID - 100, "stop_limit": 108_000},
        ),
        (Retcode.INVALID, "BUY_LIMIT takes no stop_limit; leave it out", {"stop_limit": 107_000}),
        (
            Retcode.INVALID_STOPS,
            "sl 1.08001 must be below the order's price 1.08000; at most 1.07999",
            {"sl": 108_001},
        ),
        (
            Retcode.INVALID_STOPS,
            "tp 1.08000 must be above the order's price 1.08000; at least 1.08001",
            {"tp": 108_000},
        ),
        (
            Retcode.INVALID_FILL,
            "filling BOC does not fit a BUY_LIMIT of EURUSD; send RETURN",
            {"filling": Filling.BOC},
        ),
        (Retcode.INVALID_VOLUME, "volume 0.001 is below the minimum of 0.01", {"volume": 10**5}),
        (
            Retcode.INVALID_EXPIRATION,
            "SPECIFIED needs an expiration time",
            {"time_in_force": TimeInForce.SPECIFIED},
        ),
        (
            Retcode.INVALID_EXPIRATION,
            "the expiration has passed; it is 2025.01.08 14:00 server time",
            {"time_in_force": TimeInForce.SPECIFIED, "expires_ms": NOW},
        ),
        (
            Retcode.INVALID_EXPIRATION,
            "the expiration has passed; it is 2025.01.08 14:00 server time",
            {"time_in_force": TimeInForce.SPECIFIED_DAY, "expires_ms": NOW - DAY},
        ),
    ],
)
def test_what_a_pending_order_is_refused_for(retcode, comment, fields):
    base = {"type": OrderType.BUY_LIMIT, "price": 108_000}
    refused(broker(), retcode, comment, Action.PENDING, **(base | fields))


def test_a_boc_limit_order_where_the_symbol_allows_it():
    made = broker(filling_modes=(Filling.FOK, Filling.BOC))
    limit = {"type": OrderType.BUY_LIMIT, "price": 108_000, "filling": Filling.BOC}
    assert placed(made, **limit)
    stop = limit | {"type": OrderType.BUY_STOP, "price": 109_000}
    assert ask(made, Action.PENDING, **stop).retcode == Retcode.INVALID_FILL


def test_prices_off_the_tick_size():
    made = broker(tick_size=5)
    comment = "price 1.08003 is not a multiple of 0.00005; nearest 1.08005"
    limit = {"type": OrderType.BUY_LIMIT, "price": 108_003}
    refused(made, Retcode.INVALID_PRICE, comment, Action.PENDING, **limit)


def test_only_so_many_pending_orders_rest():
    made = broker(terms={"limit_orders": 2})
    first = placed(made, type=OrderType.BUY_LIMIT, price=108_000)
    placed(made, type=OrderType.BUY_LIMIT, price=108_000)
    comment = "2 pending orders rest, the most this account allows; cancel one first"
    limit = {"type": OrderType.BUY_LIMIT, "price": 108_000}
    refused(made, Retcode.LIMIT_ORDERS, comment, Action.PENDING, **limit)
    opened(made, type=OrderType.BUY)  # market orders do not rest
    assert ask(made, Action.REMOVE, order_ticket=first).retcode == Retcode.DONE
    placed(made, **limit)


def test_pending_orders_are_not_charged_margin():
    made = broker()
    placed(made, type=OrderType.BUY_LIMIT, price=108_000, volume=100 * LOT)
    assert made.account_figures().margin == 0


# --- modifying and removing ------------------------------------------------------------------


def test_a_modified_order_keeps_what_is_left_out_of_its_prices():
    made = broker()
    ticket = placed(
        made,
        type=OrderType.BUY_STOP_LIMIT,
        price=108_500,
        stop_limit=108_400,
        sl=108_000,
        tp=109_000,
    )
    report = ask(made, Action.MODIFY, order_ticket=ticket, tp=109_100, at=NOW + 9)
    (order,) = report.facts
    assert (report.retcode, report.order_ticket) == (Retcode.DONE, ticket)
    assert (order.price, order.stop_limit, order.sl, order.tp) == (108_500, 108_400, None, 109_100)
    assert (order.placed_ms, order.time_ms) == (NOW, NOW + 9)
    again = ask(made, Action.MODIFY, order_ticket=ticket, price=108_600, stop_limit=108_550)
    assert (again.facts[0].price, again.facts[0].stop_limit) == (108_600, 108_550)


def test_what_a_modification_is_refused_for():
    made = broker(stops_level=20, freeze_level=5)
    ticket = placed(made, type=OrderType.BUY_LIMIT, price=108_300, sl=108_000)
    same = {"order_ticket": ticket, "sl": 108_000}
    action = Action.MODIFY
    refused(made, Retcode.NO_CHANGES, "the order is what it was", action, **same)
    comment = "price 1.08340 is nearer than 20 points to ask 1.08348; at most 1.08328"
    refused(made, Retcode.INVALID_STOPS, comment, action, **same, price=108_340)
    comment = "order 5 does not rest: filled, cancelled or never placed"
    refused(made, Retcode.INVALID_ORDER, comment, action, order_ticket=5)
    refused(
        made,
        Retcode.INVALID,
        "BUY_LIMIT takes no stop_limit; leave it out",
        action,
        **same,
        stop_limit=108_100,
    )
    expired = {"time_in_force": TimeInForce.SPECIFIED, "expires_ms": NOW - 1}
    comment = "the expiration has passed; it is 2025.01.08 14:00 server time"
    refused(made, Retcode.INVALID_EXPIRATION, comment, action, **same, **expired)
    made.on_tick("EURUSD", NOW + 1, 108_297, 108_305)
    frozen = (
        "price 1.08300 is within the freeze level of 5 points of ask 1.08305; wait until the "
        "market moves away"
    )
    refused(made, Retcode.FROZEN, frozen, action, **same, price=108_200)
    refused(made, Retcode.FROZEN, frozen, Action.REMOVE, order_ticket=ticket)


def test_a_removed_order_is_cancelled():
    made = broker()
    ticket = placed(made, type=OrderType.SELL_STOP, price=108_000)
    report = ask(made, Action.REMOVE, order_ticket=ticket, at=NOW + 3)
    (order,) = report.facts
    assert (report.retcode, order.status, order.time_ms) == (10009, OrderStatus.CANCELED, NOW + 3)
    assert made.snapshot().orders == ()
    assert made.on_tick("EURUSD", NOW + 4, 107_000, 107_008) == ()
    comment = f"order {ticket} does not rest: filled, cancelled or never placed"
    refused(made, Retcode.INVALID_ORDER, comment, Action.REMOVE, order_ticket=ticket)


# --- the order of checks ---------------------------------------------------------------------


def test_the_first_rule_that_is_broken_answers():
    """Each fix uncovers the next refusal, in the server's order."""
    made = broker(trade_mode=TradeMode.LONGONLY, stops_level=20, volume_limit=LOT)
    wrong = {
        "type": OrderType.SELL_LIMIT,
        "price": 108_345,
        "volume": 200 * LOT,
        "filling": Filling.BOC,
        "time_in_force": TimeInForce.SPECIFIED,
        "sl": 108_340,
        "at": NOW + 3 * DAY,
    }
    fixes: list[tuple[Retcode, dict[str, Any]]] = [
        (Retcode.INVALID_EXPIRATION, {"expires_ms": NOW + 9 * DAY}),
        (Retcode.LONG_ONLY, {"type": OrderType.BUY_LIMIT}),
        (Retcode.MARKET_CLOSED, {"at": NOW}),
        (Retcode.INVALID_FILL, {"filling": Filling.RETURN}),
        (Retcode.INVALID_VOLUME, {"volume": 10 * LOT}),
        (Retcode.INVALID_STOPS, {"price": 108_320}),
        (Retcode.INVALID_STOPS, {"sl": 108_300}),
        (Retcode.LIMIT_VOLUME, {"volume": LOT}),
    ]
    for retcode, fix in fixes:
        assert ask(made, Action.PENDING, **wrong).retcode == retcode
        wrong |= fix
    assert ask(made, Action.PENDING, **wrong).retcode == Retcode.PLACED
