"""What ticks set in motion: SL, TP, pending orders, expiries, and the order of all of them."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.model.enums import (
    Action,
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
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC, 14:00 server time
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BID, ASK = 108_340, 108_348
SPREAD = ASK - BID


class Desk:
    """A broker with an account of 10,000 USD, driven by Bid prices a second apart."""

    def __init__(self, sessions_apply=True, **euro):
        specs = dict(PROFILE.symbols)
        specs["EURUSD"] = replace(specs["EURUSD"], **euro)
        self.broker: Any = Broker(PROFILE.terms(sessions_apply=sessions_apply), specs)
        self.broker.deposit(1_000_000, NOW)
        self.now = NOW
        self.tick(BID)

    def tick(self, bid, at=None):
        self.now = self.now + 1_000 if at is None else at
        return self.broker.on_tick("EURUSD", self.now, bid, bid + SPREAD)

    def send(self, action, order_type=OrderType.BUY, **fields):
        filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
        base = {"symbol": "EURUSD", "volume": LOT // 10, "filling": filling, "type": order_type}
        request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
        report = self.broker.request(request, self.now)
        assert report.retcode in SUCCESS, report.comment
        return report.order_ticket

    def open(self, order_type=OrderType.BUY, **fields):
        return self.send(Action.DEAL, order_type, **fields)

    def place(self, order_type, price, **fields):
        return self.send(Action.PENDING, order_type, price=price, **fields)


def kinds(facts):
    return [type(fact).__name__ for fact in facts]


def orders(facts):
    return [fact for fact in facts if isinstance(fact, OrderFact)]


# --- SL and TP -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_type", "stops", "quiet", "firing", "reason"),
    [
        (OrderType.BUY, {"sl": 108_300}, 108_301, 108_300, Reason.SL),
        (OrderType.BUY, {"tp": 108_400}, 108_399, 108_400, Reason.TP),
        (OrderType.SELL, {"sl": 108_400}, 108_391, 108_392, Reason.SL),
        (OrderType.SELL, {"tp": 108_300}, 108_293, 108_292, Reason.TP),
    ],
)
def test_a_stop_fires_when_its_price_is_touched(order_type, stops, quiet, firing, reason):
    desk = Desk()
    ticket = desk.open(order_type, **stops, magic=9, comment="mine")
    assert desk.tick(quiet) == ()
    order, deal, position, balance = desk.tick(firing)
    closed_at = firing if order_type is OrderType.BUY else firing + SPREAD
    opposite = Side(order_type).opposite
    assert (order.type.value, order.reason, order.status) == (opposite, reason, "FILLED")
    assert (order.magic, order.position_ticket) == (9, ticket)
    level = next(iter(stops.values()))
    assert order.comment == deal.comment == f"[{reason.lower()} 1.{level - 100_000:05d}]"
    assert (deal.entry, deal.type.value, deal.price) == (DealEntry.OUT, opposite, closed_at)
    assert (position.ticket, position.volume, position.comment) == (ticket, 0, "mine")
    assert balance.balance == 1_000_000 + deal.profit
    assert desk.tick(firing) == ()


def test_a_gap_fills_at_the_first_price_after_it():
    desk = Desk()
    desk.open(OrderType.BUY, sl=108_300)
    desk.open(OrderType.SELL, tp=108_300)
    worse, better = (fact for fact in desk.tick(107_900) if isinstance(fact, DealFact))
    assert (worse.price, worse.profit) == (107_900, -4_480)
    assert (better.price, better.profit) == (107_908, 4_320)


def test_sl_goes_before_tp_before_pending_orders_each_by_ticket():
    desk = Desk()
    stop = desk.place(OrderType.SELL_STOP, 108_200)
    tp_short = desk.open(OrderType.SELL, tp=108_200)
    sl_second = desk.open(OrderType.BUY, sl=108_250)
    sl_first = desk.open(OrderType.BUY, sl=108_210)
    limit = desk.place(OrderType.BUY_LIMIT, 108_200)
    facts = orders(desk.tick(108_000))
    assert [fact.position_ticket for fact in facts] == [sl_second, sl_first, tp_short, stop, limit]


def test_crossed_stops_end_a_position_once_by_its_sl():
    desk = Desk()
    desk.open(OrderType.BUY)
    state = desk.broker.snapshot()
    crossed = replace(state.positions[0], sl=108_400, tp=108_300)  # no request can set these
    desk.broker = Broker(PROFILE.terms(), PROFILE.symbols, replace(state, positions=(crossed,)))
    facts = desk.tick(108_350)
    assert [fact.reason for fact in orders(facts)] == [Reason.SL]


def test_levels_set_on_a_tick_are_tested_from_the_next():
    desk = Desk()
    ticket = desk.place(OrderType.BUY_STOP, 108_400, sl=108_350, tp=108_401)
    facts = desk.tick(108_402)  # the TP is reached by the very tick that opens the position
    assert [fact.ticket for fact in orders(facts)] == [ticket]
    (order, *_) = desk.tick(108_402)
    assert (order.reason, order.position_ticket) == (Reason.TP, ticket)


def test_changed_stops_count_and_old_ones_do_not():
    desk = Desk()
    ticket = desk.open(OrderType.BUY, sl=108_300)
    desk.send(Action.SLTP, position_ticket=ticket, sl=108_200)
    assert desk.tick(108_300) == ()
    assert desk.tick(108_200) != ()


def test_a_partly_closed_position_keeps_its_stop():
    desk = Desk()
    ticket = desk.open(OrderType.BUY, sl=108_300, volume=LOT // 5)
    desk.open(OrderType.SELL, position_ticket=ticket, volume=LOT // 10)
    order, *_ = desk.tick(108_300)
    assert order.volume == LOT // 10


# --- pending orders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_type", "price", "quiet", "firing", "filled"),
    [
        (OrderType.BUY_LIMIT, 108_300, 108_293, 108_280, 108_288),  # better by the gap
        (OrderType.SELL_LIMIT, 108_400, 108_399, 108_420, 108_420),
        (OrderType.BUY_STOP, 108_400, 108_391, 108_420, 108_428),  # worse by the gap
        (OrderType.SELL_STOP, 108_300, 108_301, 108_280, 108_280),
    ],
)
def test_a_pending_order_fires_at_the_market_price(order_type, price, quiet, firing, filled):
    desk = Desk()
    ticket = desk.place(order_type, price, sl=None, magic=3, comment="~T x")
    assert desk.tick(quiet) == ()
    order, deal, position = desk.tick(firing)
    assert (order.ticket, order.status, order.type) == (ticket, OrderStatus.FILLED, order_type)
    assert (order.price, order.filled_price, order.position_ticket) == (price, filled, ticket)
    assert (order.filled_volume, order.retcode) == (LOT // 10, Retcode.DONE)
    assert (deal.entry, deal.price, deal.reason) == (DealEntry.IN, filled, Reason.EXPERT)
    assert deal.type is (DealType.BUY if order_type.is_buy else DealType.SELL)
    assert (position.ticket, position.open_price, position.magic) == (ticket, filled, 3)
    assert position.opened_ms == desk.now
    assert desk.broker.snapshot().orders == ()


@pytest.mark.parametrize(
    ("order_type", "price", "limit", "first", "then", "filled", "becomes"),
    [
        ("BUY_STOP_LIMIT", 108_400, 108_350, 108_392, 108_342, 108_350, "BUY_LIMIT"),
        ("SELL_STOP_LIMIT", 108_300, 108_320, 108_300, 108_325, 108_325, "SELL_LIMIT"),
    ],
)
def test_a_stop_limit_becomes_a_limit_order(order_type, price, limit, first, then, filled, becomes):
    desk = Desk()
    ticket = desk.place(OrderType(order_type), price, stop_limit=limit)
    (order,) = desk.tick(first)
    assert (order.ticket, order.type, order.status) == (ticket, becomes, OrderStatus.PLACED)
    assert (order.price, order.stop_limit) == (limit, None)
    assert desk.broker.snapshot().orders == (order,)
    fired, _, position = desk.tick(then)
    assert (fired.ticket, fired.status) == (ticket, OrderStatus.FILLED)
    assert position.open_price == filled


def test_a_pending_order_without_margin_is_rejected():
    desk = Desk()
    ticket = desk.place(OrderType.BUY_STOP, 108_400, volume=20 * LOT)
    (order,) = desk.tick(108_400)
    assert (order.ticket, order.status) == (ticket, OrderStatus.REJECTED)
    assert (order.retcode, order.filled_volume) == (Retcode.REJECT_CANCEL, 0)
    assert desk.broker.snapshot().orders == desk.broker.snapshot().positions == ()
    assert desk.tick(108_500) == ()


def test_margin_freed_by_a_stop_serves_a_pending_order_of_the_same_tick():
    desk = Desk()
    desk.open(OrderType.BUY, volume=9 * LOT, sl=108_300)
    ticket = desk.place(OrderType.SELL_STOP, 108_290, volume=5 * LOT)
    facts = orders(desk.tick(108_290))
    assert [fact.status for fact in facts] == [OrderStatus.FILLED, OrderStatus.FILLED]
    assert facts[1].ticket == ticket


# --- expiry ----------------------------------------------------------------------------------


def test_a_dated_order_ends_at_the_first_tick_at_or_after_its_moment():
    desk = Desk()
    end = NOW + HOUR
    ticket = desk.place(
        OrderType.BUY_LIMIT, 108_000, time_in_force=TimeInForce.SPECIFIED, expires_ms=end
    )
    assert desk.tick(BID, at=end - 1) == ()
    (order,) = desk.tick(BID, at=end)
    assert (order.ticket, order.status) == (ticket, OrderStatus.EXPIRED)
    assert (order.time_ms, order.expires_ms, order.retcode) == (end, end, None)
    assert desk.broker.snapshot().orders == ()


def test_an_order_that_has_ended_does_not_fire():
    desk = Desk()
    desk.place(
        OrderType.BUY_LIMIT, 108_000, time_in_force=TimeInForce.SPECIFIED, expires_ms=NOW + HOUR
    )
    (order,) = desk.tick(107_000, at=NOW + 5 * HOUR)
    assert order.status is OrderStatus.EXPIRED


@pytest.mark.parametrize("in_force", [TimeInForce.DAY, TimeInForce.SPECIFIED_DAY])
def test_orders_of_a_day_live_to_server_midnight(in_force):
    desk = Desk()
    midnight = NOW + 10 * HOUR  # 22:00 UTC in winter
    desk.place(OrderType.BUY_LIMIT, 108_000, time_in_force=in_force, expires_ms=NOW + MINUTE)
    assert desk.tick(BID, at=midnight - 1) == ()
    (order,) = desk.tick(BID, at=midnight)
    assert order.status is OrderStatus.EXPIRED


def test_a_day_ends_an_hour_earlier_in_new_york_s_summer():
    desk = Desk()
    july = 1_752_062_400_000  # Wednesday 2025-07-09 12:00 UTC, 15:00 server time
    desk.tick(BID, at=july)
    ticket = desk.place(OrderType.BUY_LIMIT, 108_000, time_in_force=TimeInForce.DAY)
    (resting,) = desk.broker.snapshot().orders
    assert (resting.ticket, resting.expires_ms) == (ticket, july + 9 * HOUR)
    assert desk.tick(BID, at=july + 9 * HOUR - 1) == ()
    assert desk.tick(BID, at=july + 9 * HOUR) != ()


def test_a_new_lifetime_replaces_the_old_one():
    desk = Desk()
    dated = {"time_in_force": TimeInForce.SPECIFIED}
    ticket = desk.place(OrderType.BUY_LIMIT, 108_000, **dated, expires_ms=NOW + HOUR)
    desk.send(Action.MODIFY, order_ticket=ticket, **dated, expires_ms=NOW + 3 * HOUR)
    assert desk.tick(BID, at=NOW + 2 * HOUR) == ()
    desk.send(Action.MODIFY, order_ticket=ticket)  # no lifetime: good till cancelled
    assert desk.tick(BID, at=NOW + 6 * HOUR) == ()


def test_several_orders_end_on_one_tick_by_ticket():
    desk = Desk()
    dated = {"time_in_force": TimeInForce.SPECIFIED}
    tickets = [
        desk.place(OrderType.BUY_LIMIT, 108_000, **dated, expires_ms=NOW + hours * HOUR)
        for hours in (3, 1, 2, 9)
    ]
    facts = desk.tick(BID, at=NOW + 3 * HOUR)
    assert [order.ticket for order in facts] == tickets[:3]


# --- sessions --------------------------------------------------------------------------------


def test_outside_the_session_stops_wait_for_the_first_tick_inside():
    desk = Desk(swap_mode=SwapMode.DISABLED)
    desk.open(OrderType.BUY, sl=108_300)
    desk.place(OrderType.SELL_STOP, 108_200)
    friday_night = NOW + 2 * DAY + 10 * HOUR  # 24:00 server time; the session ended at 23:55
    assert desk.tick(108_000, at=friday_night) == ()
    monday = NOW + 4 * DAY + 10 * HOUR + 5 * MINUTE
    facts = desk.tick(107_900, at=monday)
    closed, opened = (fact for fact in facts if isinstance(fact, DealFact))
    assert (closed.price, opened.price) == (107_900, 107_900)


def test_orders_end_outside_the_session_too():
    desk = Desk()
    desk.place(OrderType.BUY_LIMIT, 108_000, time_in_force=TimeInForce.DAY)
    (order,) = desk.tick(BID, at=NOW + 3 * DAY)
    assert order.status is OrderStatus.EXPIRED


def test_round_the_clock_accounts_trade_on_saturday():
    desk = Desk(sessions_apply=False, swap_mode=SwapMode.DISABLED)
    desk.open(OrderType.BUY, sl=108_300)
    assert kinds(desk.tick(108_000, at=NOW + 3 * DAY)) == [
        OrderFact.__name__,
        DealFact.__name__,
        PositionFact.__name__,
        BalanceFact.__name__,
    ]


# --- other symbols ---------------------------------------------------------------------------


def test_a_tick_concerns_its_own_symbol():
    desk = Desk()
    desk.open(OrderType.BUY, sl=108_300)
    assert desk.broker.on_tick("GBPUSD", desk.now, 108_000, 108_010) == ()
    with pytest.raises(KeyError):
        desk.broker.on_tick("NOPE", desk.now, 1, 2)


def test_what_has_no_rate_yet_waits():
    """After a restart whose conversion price was lost, a stop fires once the rate is back."""
    desk = Desk()
    desk.broker.on_tick("USDJPY", desk.now, 151_000, 151_009)
    desk.broker.on_tick("EURJPY", desk.now, 163_600, 163_614)
    desk.open(OrderType.BUY, symbol="EURJPY", sl=163_500)
    state = desk.broker.snapshot()
    euro_only = tuple(quote for quote in state.quotes if quote.symbol == "EURUSD")
    desk.broker = Broker(PROFILE.terms(), PROFILE.symbols, replace(state, quotes=euro_only))
    assert desk.broker.account_figures().profit == 0
    assert desk.broker.on_tick("EURJPY", desk.now, 163_400, 163_414) == ()
    desk.broker.on_tick("USDJPY", desk.now, 151_000, 151_009)
    facts = desk.broker.on_tick("EURJPY", desk.now, 163_410, 163_424)
    assert facts[1].price == 163_410
