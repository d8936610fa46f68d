"""Execution modes and requotes, filling and depth, limits, FIFO and hedging rules, lifetimes."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.mt4 import ERROR_OF_RETCODE, Mt4Error, mt4_error
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.model.enums import (
    Action,
    DealEntry,
    ExecutionMode,
    Filling,
    MarginMode,
    OrderStatus,
    OrderType,
    Platform,
    TimeInForce,
    TradeMode,
)
from fxsocket_server.model.facts import DealFact, OrderFact, TradeRequest
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC, 14:00 server time
DAY = 86_400_000
BID, ASK = 108_340, 108_348
BUY, SELL = OrderType.BUY, OrderType.SELL
ALL = (Filling.FOK, Filling.IOC, Filling.BOC)


class Desk:
    """An account trading EURUSD; `terms` and `euro` change the rules."""

    def __init__(self, terms=None, **euro):
        specs = dict(PROFILE.symbols)
        specs["EURUSD"] = replace(specs["EURUSD"], **euro)
        self.terms = replace(PROFILE.terms(), **(terms or {}))
        self.specs = specs
        self.broker: Any = Broker(self.terms, specs)
        self.broker.deposit(100_000_000, NOW)
        self.now = NOW
        self.tick(BID)

    def tick(self, bid, ask=None):
        self.now += 100
        return self.broker.on_tick("EURUSD", self.now, bid, bid + 8 if ask is None else ask)

    def ask(self, action=Action.DEAL, order_type=BUY, **fields):
        filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
        base = {"symbol": "EURUSD", "volume": LOT, "filling": filling, "type": order_type}
        request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
        return self.broker.request(request, self.now)

    def code(self, action=Action.DEAL, order_type=BUY, **fields):
        return self.ask(action, order_type, **fields).retcode

    def open(self, order_type=BUY, **fields):
        report = self.ask(Action.DEAL, order_type, **fields)
        assert report.retcode in SUCCESS, report.comment
        return report.order_ticket

    def place(self, order_type, price, **fields):
        report = self.ask(Action.PENDING, order_type, price=price, **fields)
        assert report.retcode == Retcode.PLACED, report.comment
        return report.order_ticket


def orders(facts):
    return [fact for fact in facts if isinstance(fact, OrderFact)]


def deals(facts):
    return [fact for fact in facts if isinstance(fact, DealFact)]


# --- execution modes -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [ExecutionMode.MARKET, ExecutionMode.EXCHANGE])
def test_market_execution_ignores_the_price(mode):
    report = Desk(execution_mode=mode).ask(price=90_000, deviation=0)
    assert report.facts[0].filled_price == ASK


def test_instant_execution_takes_the_market_within_the_deviation():
    desk = Desk(execution_mode=ExecutionMode.INSTANT)
    for asked, deviation, retcode in (
        (ASK, None, Retcode.DONE),
        (ASK - 5, 5, Retcode.DONE),
        (ASK + 5, 5, Retcode.DONE),
        (ASK - 6, 5, Retcode.REQUOTE),
        (ASK + 6, 5, Retcode.REQUOTE),
        (None, None, Retcode.DONE),
    ):
        report = desk.ask(price=asked, deviation=deviation)
        assert report.retcode == retcode
        if retcode is Retcode.DONE:
            assert report.facts[0].filled_price == ASK
        else:
            assert report.facts == ()
            assert "1.08340 / 1.08348" in report.comment


def test_a_requoted_price_holds_for_a_while_then_it_has_changed():
    desk = Desk(execution_mode=ExecutionMode.INSTANT)
    assert desk.code(price=ASK - 20) == Retcode.REQUOTE
    desk.tick(BID + 50)
    again = Broker(desk.terms, desk.specs, desk.broker.snapshot())
    report = desk.ask(price=ASK)  # what the requote named
    assert (report.retcode, report.facts[0].filled_price) == (Retcode.DONE, ASK)
    assert desk.code(price=ASK) == Retcode.REQUOTE  # an offer is taken once
    desk.broker, desk.now = again, desk.now + 3_000
    assert desk.code(price=ASK) == Retcode.PRICE_CHANGED
    assert desk.code(price=ASK) == Retcode.REQUOTE


def test_a_close_is_requoted_like_an_open():
    desk = Desk(execution_mode=ExecutionMode.INSTANT)
    ticket = desk.open()
    assert desk.code(Action.DEAL, SELL, position_ticket=ticket, price=ASK) == Retcode.REQUOTE
    assert desk.code(Action.DEAL, SELL, position_ticket=ticket, price=BID) == Retcode.DONE


def test_request_execution_wants_the_very_price():
    desk = Desk(execution_mode=ExecutionMode.REQUEST)
    assert desk.code(price=ASK - 1, deviation=100) == Retcode.REQUOTE
    assert desk.code(price=ASK, deviation=100) == Retcode.DONE


def test_large_instant_volumes_are_asked_of_the_dealer():
    desk = Desk(execution_mode=ExecutionMode.INSTANT, instant_volume_max=5 * LOT)
    assert desk.code(price=ASK - 1, deviation=9, volume=5 * LOT) == Retcode.DONE
    assert desk.code(price=ASK - 1, deviation=9, volume=6 * LOT) == Retcode.REQUOTE


# --- filling ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "flags", "market", "pending"),
    [
        ("MARKET", ("FOK",), {"FOK"}, {"FOK", "RETURN"}),
        ("MARKET", ("IOC", "BOC"), {"IOC"}, {"IOC", "RETURN", "BOC"}),
        ("INSTANT", ("FOK",), {"FOK", "IOC", "RETURN"}, {"FOK", "IOC", "RETURN"}),
        ("REQUEST", ("IOC",), {"FOK", "IOC", "RETURN"}, {"FOK", "IOC", "RETURN"}),
        ("EXCHANGE", ("IOC", "BOC"), {"IOC", "RETURN"}, {"IOC", "RETURN", "BOC"}),
    ],
)
def test_which_filling_is_taken(mode, flags, market, pending):
    desk = Desk(
        execution_mode=ExecutionMode(mode), filling_modes=tuple(Filling(flag) for flag in flags)
    )
    taken = {f.value for f in Filling if desk.code(filling=f) != Retcode.INVALID_FILL}
    resting = {
        f.value
        for f in Filling
        if desk.code(Action.PENDING, OrderType.BUY_LIMIT, price=100_000, filling=f)
        != Retcode.INVALID_FILL
    }
    assert (taken, resting) == (market, pending)


def exchange(**euro):
    base = {
        "execution_mode": ExecutionMode.EXCHANGE, "filling_modes": ALL, "depth": 4 * LOT,
        "freeze_level": 0,
    }  # fmt: skip
    return Desk(**(base | euro))


def test_fok_is_all_or_nothing():
    desk = exchange()
    report = desk.ask(volume=5 * LOT, filling=Filling.FOK)
    assert (report.retcode, report.facts) == (Retcode.CANCEL, ())
    assert "only 4 lots" in report.comment
    assert desk.code(volume=4 * LOT, filling=Filling.FOK) == Retcode.DONE


def test_ioc_fills_what_is_there_and_cancels_the_rest():
    desk = exchange()
    report = desk.ask(volume=10 * LOT, filling=Filling.IOC)
    first, deal, position, last = report.facts
    assert report.retcode == Retcode.DONE_PARTIAL
    assert (first.status, first.filled_volume) == (OrderStatus.PARTIALLY_FILLED, 4 * LOT)
    assert (deal.volume, position.volume) == (4 * LOT, 4 * LOT)
    assert (last.ticket, last.status, last.filled_volume) == (
        first.ticket, OrderStatus.CANCELED, 4 * LOT,
    )  # fmt: skip
    assert desk.broker.snapshot().orders == ()


def test_return_leaves_the_rest_resting_until_ticks_fill_it():
    desk = exchange()
    report = desk.ask(volume=10 * LOT, filling=Filling.RETURN)
    assert report.retcode == Retcode.DONE_PARTIAL
    assert len(desk.broker.snapshot().orders) == 1
    again = Broker(desk.terms, desk.specs, desk.broker.snapshot())
    second = desk.tick(BID + 10)
    assert second == again.on_tick("EURUSD", desk.now, BID + 10, ASK + 10)
    assert orders(second)[0].status is OrderStatus.PARTIALLY_FILLED
    third = desk.tick(BID + 20)
    assert orders(third)[0].status is OrderStatus.FILLED
    assert orders(third)[0].filled_price == ASK + 8  # (4 x 48 + 4 x 58 + 2 x 68) / 10
    (position,) = desk.broker.snapshot().positions
    assert (position.volume, position.ticket) == (10 * LOT, report.order_ticket)
    assert desk.tick(BID + 30) == ()
    assert desk.broker.snapshot().orders == ()


def test_a_resting_rest_may_be_removed_but_not_modified():
    desk = exchange()
    ticket = desk.open(volume=10 * LOT, filling=Filling.RETURN)
    assert desk.code(Action.MODIFY, order_ticket=ticket, price=100_000) == Retcode.ORDER_CHANGED
    assert desk.code(Action.REMOVE, order_ticket=ticket) == Retcode.DONE
    assert desk.tick(BID + 1) == ()


def test_a_second_closing_order_is_refused_while_one_is_at_work():
    desk = exchange(depth=0)
    ticket = desk.open(volume=10 * LOT)
    state = desk.broker.snapshot()
    desk.specs["EURUSD"] = replace(desk.specs["EURUSD"], depth=4 * LOT)
    desk.broker = Broker(desk.terms, desk.specs, state)
    close = {"position_ticket": ticket, "filling": Filling.RETURN, "volume": 10 * LOT}
    assert desk.code(Action.DEAL, SELL, **close) == Retcode.DONE_PARTIAL
    rest = close | {"volume": 6 * LOT}
    assert desk.code(Action.DEAL, SELL, **rest) == Retcode.CLOSE_ORDER_EXIST
    facts = desk.tick(BID)
    assert [deal.entry for deal in deals(facts)] == [DealEntry.OUT]
    desk.tick(BID)
    assert desk.broker.snapshot().positions == ()
    assert desk.tick(BID) == ()


def test_the_rest_of_a_closing_order_ends_with_its_position():
    desk = exchange(depth=4 * LOT)
    ticket = desk.open(volume=4 * LOT, sl=108_000)
    desk.tick(BID)
    desk.specs["EURUSD"] = replace(desk.specs["EURUSD"], depth=LOT)
    desk.broker = Broker(desk.terms, desk.specs, desk.broker.snapshot())
    desk.open(SELL, position_ticket=ticket, volume=3 * LOT, filling=Filling.RETURN)
    facts = desk.tick(107_900)
    assert [fact.status for fact in orders(facts)] == [OrderStatus.FILLED, OrderStatus.CANCELED]
    assert desk.broker.snapshot().positions == desk.broker.snapshot().orders == ()


def test_a_pending_order_fills_in_parts():
    desk = exchange()
    ticket = desk.place(OrderType.BUY_LIMIT, 108_300, volume=6 * LOT)
    facts = desk.tick(108_290)
    assert orders(facts)[0].status is OrderStatus.PARTIALLY_FILLED
    assert desk.tick(108_320) == ()  # the limit does not follow the market
    facts = desk.tick(108_280)
    assert orders(facts)[0].status is OrderStatus.FILLED
    (position,) = desk.broker.snapshot().positions
    assert (position.ticket, position.volume) == (ticket, 6 * LOT)


def test_a_fok_pending_order_without_depth_is_cancelled():
    desk = exchange()
    desk.place(OrderType.BUY_STOP, 108_400, volume=6 * LOT, filling=Filling.FOK)
    (order,) = desk.tick(108_400)
    assert (order.status, order.retcode) == (OrderStatus.CANCELED, Retcode.CANCEL)


def test_boc_never_crosses():
    desk = exchange()
    cross = {"price": ASK, "filling": Filling.BOC}
    assert desk.code(Action.PENDING, OrderType.BUY_LIMIT, **cross) == Retcode.REJECT
    assert desk.code(Action.PENDING, OrderType.BUY_LIMIT, **(cross | {"price": BID})) == 10008
    assert desk.code(Action.PENDING, OrderType.BUY_STOP, **cross) == Retcode.INVALID_FILL


def test_an_exchange_has_no_stops_level_and_lets_limits_cross():
    desk = exchange(stops_level=50)
    desk.place(OrderType.BUY_LIMIT, ASK + 5, sl=ASK + 1, volume=LOT)
    (order, *_) = desk.tick(BID)
    assert (order.status, order.filled_price) == (OrderStatus.FILLED, ASK)


# --- limits and flags ------------------------------------------------------------------------


def test_position_limit_counts_pending_orders_when_hedging():
    desk = Desk(terms={"limit_positions": 3})
    desk.open()
    desk.open()
    desk.place(OrderType.BUY_LIMIT, 100_000)
    assert desk.code() == Retcode.LIMIT_POSITIONS
    assert desk.code(Action.PENDING, OrderType.BUY_LIMIT, price=100_000) == Retcode.LIMIT_POSITIONS
    netting = Desk(terms={"limit_positions": 1, "margin_mode": MarginMode.NETTING})
    netting.open()
    netting.open()
    netting.broker.on_tick("GBPUSD", NOW + 999, 127_000, 127_010)
    assert netting.code(symbol="GBPUSD") == Retcode.LIMIT_POSITIONS


def test_fifo_closes_the_oldest_whole():
    desk = Desk(terms={"fifo_close": True})
    first, second = desk.open(), desk.open()
    sell = {"action": Action.DEAL, "order_type": SELL}
    assert desk.code(**sell, position_ticket=second) == Retcode.FIFO_CLOSE
    assert desk.code(**sell, position_ticket=first, volume=LOT // 2) == Retcode.FIFO_CLOSE
    assert desk.code(**sell, position_ticket=first) == Retcode.DONE
    assert desk.code(**sell, position_ticket=second) == Retcode.DONE


def test_hedging_may_be_prohibited():
    desk = Desk(terms={"hedge_prohibited": True})
    waiting = desk.place(OrderType.SELL_STOP, 108_000)
    ticket = desk.open()
    assert desk.code(Action.DEAL, SELL) == Retcode.HEDGE_PROHIBITED
    limit = desk.code(Action.PENDING, OrderType.SELL_LIMIT, price=109_000)
    assert limit == Retcode.HEDGE_PROHIBITED
    (order,) = desk.tick(107_999)
    assert (order.ticket, order.status) == (waiting, OrderStatus.REJECTED)
    assert desk.code(Action.DEAL, SELL, position_ticket=ticket) == Retcode.DONE


def test_an_account_on_which_trading_is_off():
    desk = Desk(terms={"trade_allowed": False})
    assert desk.code() == Retcode.TRADE_DISABLED
    assert desk.code(Action.PENDING, OrderType.BUY_LIMIT, price=1) == Retcode.TRADE_DISABLED


def test_holidays_and_the_life_of_a_symbol():
    today = NOW // DAY
    holiday = Desk(holidays=(today,))
    report = holiday.ask()
    assert (report.retcode, report.comment) == (
        Retcode.MARKET_CLOSED, "the market of EURUSD is closed: 2025.01.08 is a holiday",
    )  # fmt: skip
    early = Desk(start_ms=NOW + DAY).ask()
    assert "trades from 2025.01.09 14:00 server time" in early.comment
    late = Desk(expiration_ms=NOW)
    assert late.code() == Retcode.MARKET_CLOSED
    assert "expired at" in late.ask(Action.PENDING, OrderType.BUY_LIMIT, price=1).comment
    before = Desk()
    ticket = before.open()
    late.broker = Broker(late.terms, late.specs, before.broker.snapshot())
    assert late.code(Action.DEAL, SELL, position_ticket=ticket) == Retcode.DONE


def test_an_expired_symbol_ends_what_is_left_on_it():
    end = NOW + 5_000
    desk = Desk(expiration_ms=end)
    desk.place(OrderType.BUY_LIMIT, 100_000)
    ticket = desk.open(volume=2 * LOT)
    assert desk.tick(BID + 10) == ()
    again = Broker(desk.terms, desk.specs, desk.broker.snapshot())
    facts = desk.broker.on_tick("EURUSD", end, BID + 20, ASK + 20)
    assert facts == again.on_tick("EURUSD", end, BID + 20, ASK + 20)
    expired, closing, deal, position, _ = facts
    assert (expired.status, closing.comment) == (OrderStatus.EXPIRED, "expired")
    assert (deal.price, position.ticket, position.volume) == (BID + 20, ticket, 0)
    for later in range(3):
        assert desk.broker.on_tick("EURUSD", end + later, BID + 20, ASK + 20) == ()
    assert desk.broker._books["EURUSD"].deadline_ms == desk.broker.rollover_ms


def test_orders_may_have_to_live_a_while():
    desk = Desk(terms={"expiration_min_ms": 600_000})
    limit = {"action": Action.PENDING, "order_type": OrderType.BUY_LIMIT, "price": 100_000}
    dated = {"time_in_force": TimeInForce.SPECIFIED}
    near = desk.ask(**limit, **dated, expires_ms=desk.now + 600_000)
    assert near.retcode == Retcode.INVALID_EXPIRATION
    assert near.comment == "the expiration is too near; orders live at least 10 minutes"
    assert desk.code(**limit, **dated, expires_ms=desk.now + 600_001) == Retcode.PLACED


@pytest.mark.parametrize(
    ("mode", "sell", "limit"),
    [
        (TradeMode.CLOSEONLY, Retcode.DONE, Retcode.PLACED),
        (TradeMode.LONGONLY, Retcode.DONE, Retcode.PLACED),
        (TradeMode.DISABLED, Retcode.TRADE_DISABLED, Retcode.TRADE_DISABLED),
    ],
)
def test_close_only_on_a_netting_account(mode, sell, limit):
    before = Desk(terms={"margin_mode": MarginMode.NETTING})
    before.open()
    desk = Desk(terms={"margin_mode": MarginMode.NETTING}, trade_mode=mode)
    desk.broker = Broker(desk.terms, desk.specs, before.broker.snapshot())
    against = {"action": Action.PENDING, "order_type": OrderType.SELL_LIMIT, "price": 109_000}
    assert desk.code(**against) == limit
    assert desk.code(**(against | {"volume": LOT + LOT // 100})) != Retcode.PLACED
    assert desk.code(Action.DEAL, SELL, volume=2 * LOT) not in SUCCESS
    assert desk.code(Action.DEAL, SELL, volume=LOT // 2) == sell


# --- MT4 -------------------------------------------------------------------------------------


def test_mt4_error_codes():
    expected = {
        10015: 129, 10016: 130, 10014: 131, 10018: 132, 10017: 133, 10019: 134, 10020: 135,
        10021: 136, 10004: 138, 10029: 145, 10022: 147, 10033: 148, 10046: 149, 10045: 150,
        10012: 128, 10042: 140, 10025: 1, 10009: 0, 10013: 3,
    }  # fmt: skip
    assert {code: int(mt4_error(code)) for code in expected} == expected
    assert mt4_error(10011) is mt4_error(99) is Mt4Error.COMMON_ERROR
    assert set(ERROR_OF_RETCODE) <= set(Retcode)


def test_mt4_knows_no_filling_and_no_stop_limit():
    desk = Desk(terms={"platform": Platform.MT4})
    assert desk.code(filling=Filling.RETURN) == Retcode.DONE
    stop = {"price": 108_400, "stop_limit": 108_350}
    answer = desk.ask(Action.PENDING, OrderType.BUY_STOP_LIMIT, **stop)
    assert (answer.retcode, "no stop-limit" in answer.comment) == (Retcode.INVALID_ORDER, True)
    assert desk.ask(volume=1).comment.endswith("(MT4 error 131 INVALID_TRADE_VOLUME)")


def test_a_partial_close_on_mt4_goes_on_as_a_new_order():
    desk = Desk(terms={"platform": Platform.MT4})
    ticket = desk.open(sl=108_000, volume=LOT)
    desk.tick(108_400)
    report = desk.ask(Action.DEAL, SELL, position_ticket=ticket, volume=LOT // 4)
    _, deal, ended, moved, balance = report.facts
    assert (deal.position_ticket, deal.volume, deal.profit) == (ticket, LOT // 4, 1_300)
    assert (ended.ticket, ended.volume) == (ticket, 0)
    assert ended.comment == f"to #{moved.ticket}"
    assert (moved.volume, moved.sl, moved.open_price) == (LOT * 3 // 4, 108_000, ASK)
    assert moved.comment == f"from #{ticket}"
    assert balance.balance == 100_001_300
    (order, *_) = desk.tick(107_990)
    assert order.position_ticket == moved.ticket


def test_an_mt4_pending_order_needs_no_margin_until_it_fires():
    desk = Desk(terms={"platform": Platform.MT4}, margin_rates=(LOT,) * 8, volume_max=10_000 * LOT)
    desk.place(OrderType.BUY_STOP, 108_400, volume=5_000 * LOT)
    assert desk.broker.account_figures().margin == 0
    (order,) = desk.tick(108_400)
    assert (order.status, order.comment) == (OrderStatus.CANCELED, "deleted [no money]")


# --- old prices and the end of the day -------------------------------------------------------


def test_a_price_that_is_too_old_is_none():
    desk = Desk(terms={"quote_age_ms": 60_000})
    ticket = desk.ask().order_ticket
    desk.now += 60_000
    assert desk.ask().retcode == Retcode.DONE
    desk.now += 1
    for report in (
        desk.ask(),
        desk.ask(Action.PENDING, OrderType.BUY_LIMIT, price=BID - 500),
        desk.ask(Action.SLTP, position_ticket=ticket, sl=BID - 500),
        desk.ask(order_type=SELL, position_ticket=ticket),
    ):
        assert report.retcode == Retcode.PRICE_OFF
        assert "60 s old, at most 60 s" in report.comment
    desk.tick(BID)
    assert desk.ask().retcode == Retcode.DONE


def test_markets_are_closed_while_the_server_ends_its_day():
    desk = Desk(terms={"day_end_ms": 90_000, "sessions_apply": False})
    ticket = desk.ask(sl=BID - 100).order_ticket
    midnight_ms = NOW + 10 * DAY // 24
    desk.now = midnight_ms - 101
    desk.tick(BID)
    assert desk.ask().retcode == Retcode.DONE
    desk.now = midnight_ms - 100
    facts = desk.tick(BID - 100)
    assert not any(isinstance(fact, OrderFact) for fact in facts)  # a stop that waits
    report = desk.ask(order_type=SELL, position_ticket=ticket)
    assert report.retcode == Retcode.MARKET_CLOSED
    assert "ending its day; trade from 2025.01.09 00:01" in report.comment
    assert not desk.broker.market_open("EURUSD", desk.now)
    desk.now = midnight_ms + 90_000 - 100
    (order, *_) = desk.tick(BID - 100)
    assert order.position_ticket == ticket
    assert desk.ask().retcode == Retcode.DONE
