"""Netting positions and close by: what deals make of positions, and what they book."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.model.commission import CommissionRule, CommissionTier
from fxsocket_server.model.enums import (
    Action,
    CommissionEntry,
    CommissionPer,
    DealEntry,
    DealType,
    Filling,
    MarginMode,
    OrderStatus,
    OrderType,
    Platform,
    Side,
)
from fxsocket_server.model.facts import DealFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC
BID, ASK = 108_340, 108_348
BUY, SELL = OrderType.BUY, OrderType.SELL


class Desk:
    """An account trading EURUSD."""

    def __init__(self, margin_mode=MarginMode.NETTING, platform=Platform.MT5, **euro):
        specs = dict(PROFILE.symbols)
        specs["EURUSD"] = replace(specs["EURUSD"], **euro)
        terms = PROFILE.terms()
        self.terms = replace(terms, margin_mode=margin_mode, platform=platform)
        self.specs = specs
        self.broker: Any = Broker(self.terms, specs)
        self.broker.deposit(10_000_000, NOW)
        self.tick(BID)

    def tick(self, bid):
        return self.broker.on_tick("EURUSD", NOW, bid, bid + 8)

    def ask(self, order_type=BUY, action=Action.DEAL, **fields):
        filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
        base = {"symbol": "EURUSD", "volume": LOT, "filling": filling, "type": order_type}
        request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
        return self.broker.request(request, NOW)

    def deal(self, order_type=BUY, **fields):
        report = self.ask(order_type, **fields)
        assert report.retcode in SUCCESS, report.comment
        return report

    def open(self, order_type=BUY, **fields):
        return self.deal(order_type, **fields).order_ticket

    @property
    def position(self):
        (position,) = self.broker.snapshot().positions
        return position

    @property
    def balance(self):
        return self.broker.snapshot().balance


def deals(facts):
    return [fact for fact in facts if isinstance(fact, DealFact)]


# --- netting ---------------------------------------------------------------------------------


def test_deals_of_one_direction_add_up_at_their_mean_price():
    desk = Desk()
    first = desk.open(volume=LOT)
    desk.tick(BID + 10)
    report = desk.deal(volume=2 * LOT, sl=108_000)
    (deal,) = deals(report.facts)
    assert (deal.entry, deal.position_ticket) == (DealEntry.IN, first)
    position = desk.position
    assert (position.ticket, position.volume) == (first, 3 * LOT)
    assert (position.open_price, position.open_extra) == (ASK + 7, -333)  # 6.667 points up
    assert position.sl == 108_000
    desk.tick(BID + 100)
    # 3 lots x (1.08440 - 1.08354667) = 256.00
    assert desk.broker.position_profit(first) == 25_600
    assert desk.broker.account_figures().profit == 25_600
    desk.open(volume=LOT)
    assert desk.position.sl is None  # those of the last order, which had none


def test_an_opposite_deal_takes_from_the_position_and_keeps_its_stops():
    desk = Desk()
    ticket = desk.open(volume=3 * LOT, sl=108_000)
    desk.tick(BID + 100)
    report = desk.deal(SELL, volume=LOT, tp=90_000)
    (deal,) = deals(report.facts)
    assert (deal.entry, deal.profit, deal.position_ticket) == (DealEntry.OUT, 9_200, ticket)
    assert (desk.position.volume, desk.position.sl, desk.position.tp) == (2 * LOT, 108_000, None)
    desk.deal(SELL, volume=2 * LOT)
    assert desk.broker.snapshot().positions == ()
    assert desk.balance == 10_000_000 + 27_600


def test_a_larger_opposite_deal_turns_the_position_round():
    desk = Desk()
    ticket = desk.open(volume=LOT, sl=108_000)
    desk.tick(BID + 100)
    report = desk.deal(SELL, volume=3 * LOT, sl=109_000)
    (deal,) = deals(report.facts)
    assert (deal.entry, deal.volume, deal.profit) == (DealEntry.INOUT, 3 * LOT, 9_200)
    position = desk.position
    assert (position.side, position.volume) == (Side.SELL, 2 * LOT)
    assert (position.open_price, position.sl) == (BID + 100, 109_000)
    # The identifier stays; the reversing order's ticket names the position as well.
    assert (position.ticket, position.order_ticket) == (ticket, report.order_ticket)
    assert desk.ask(action=Action.SLTP, position_ticket=report.order_ticket).retcode == 10009
    assert desk.ask(BUY, position_ticket=report.order_ticket, volume=LOT).retcode == 10009
    assert desk.ask(BUY, position_ticket=ticket, volume=LOT).retcode == 10009
    assert desk.broker.snapshot().positions == ()


def test_stops_close_the_whole_position():
    desk = Desk()
    desk.open(volume=LOT)
    desk.open(volume=LOT, sl=108_200)
    (deal,) = deals(desk.tick(108_200))
    assert (deal.volume, deal.entry) == (2 * LOT, DealEntry.OUT)


def test_pending_orders_fold_into_the_position():
    desk = Desk()
    desk.open(volume=LOT)
    place = {"action": Action.PENDING, "volume": 2 * LOT}
    assert desk.ask(OrderType.SELL_LIMIT, price=108_400, **place).retcode == Retcode.PLACED
    (deal,) = deals(desk.tick(108_400))
    assert deal.entry is DealEntry.INOUT
    assert desk.position.side is Side.SELL


def test_a_reversal_needs_margin_for_what_is_larger():
    desk = Desk()
    desk.broker.deposit(-10_000_000 + 120_000, NOW)
    desk.open(volume=LOT)
    assert desk.ask(SELL, volume=3 * LOT).retcode == Retcode.NO_MONEY
    assert desk.ask(SELL, volume=2 * LOT).retcode == Retcode.NO_MONEY
    assert desk.ask(SELL, volume=LOT).retcode == Retcode.DONE


def test_volume_limit_on_a_netting_account():
    desk = Desk(volume_limit=5 * LOT)
    desk.open(volume=5 * LOT)
    limit = {"action": Action.PENDING, "price": 109_000}
    assert desk.ask(OrderType.SELL_LIMIT, volume=5 * LOT, **limit).retcode == Retcode.PLACED
    low = limit | {"price": 100_000}
    assert desk.ask(OrderType.BUY_LIMIT, volume=LOT // 100, **low).retcode == 10034
    assert desk.ask(OrderType.SELL_LIMIT, volume=LOT // 100, **limit).retcode == 10034


def test_commission_of_a_reversal_is_that_of_its_parts():
    tier = CommissionTier(rate=10 * LOT)
    rules = (CommissionRule(tiers=(tier,), entry=CommissionEntry.OUT),)
    desk = Desk(commissions=rules)
    desk.open(volume=LOT)
    (deal,) = deals(desk.deal(SELL, volume=3 * LOT).facts)
    assert deal.commission == -1_000
    assert desk.position.commission == -1_000


def test_swap_of_a_reversed_position_is_booked():
    desk = Desk()
    desk.open(volume=LOT)
    state = desk.broker.snapshot()
    charged = replace(state.positions[0], swap=-500)
    desk.broker = Broker(desk.terms, desk.specs, replace(state, positions=(charged,)))
    (deal,) = deals(desk.deal(SELL, volume=2 * LOT).facts)
    assert (deal.swap, desk.position.swap) == (-500, 0)


@pytest.mark.parametrize("mode", [MarginMode.NETTING, MarginMode.EXCHANGE])
def test_netted_state_restores_itself(mode):
    desk = Desk(mode)
    desk.open(volume=LOT)
    desk.tick(BID + 7)
    desk.open(volume=2 * LOT, sl=108_300)
    again = Broker(desk.terms, desk.specs, desk.broker.snapshot())
    assert again.account_figures() == desk.broker.account_figures()
    assert again.on_tick("EURUSD", NOW, 108_300, 108_308) == desk.tick(108_300)


# --- close by --------------------------------------------------------------------------------


def hedged(**euro):
    desk = Desk(MarginMode.HEDGING, **euro)
    long = desk.open(volume=3 * LOT)
    desk.tick(BID + 50)
    short = desk.open(SELL, volume=LOT)
    return desk, long, short


def by(desk, first, second, **fields):
    return desk.ask(
        symbol="", action=Action.CLOSE_BY, position_ticket=first, position_by=second, **fields
    )


def test_close_by_takes_the_smaller_volume_at_the_other_s_price():
    desk, long, short = hedged()
    desk.tick(90_000)  # the market does not matter
    report = by(desk, long, short)
    order, first, second, rest, ended, balance = report.facts
    assert report.retcode == Retcode.DONE
    assert (order.type, order.status, order.volume) == ("CLOSE_BY", OrderStatus.FILLED, LOT)
    assert order.comment == f"close #{long} by #{short}"
    assert {first.entry, second.entry} == {DealEntry.OUT_BY}
    assert (first.type, first.price, first.position_ticket) == (DealType.SELL, BID + 50, long)
    assert (second.type, second.price, second.position_ticket) == (DealType.BUY, ASK, short)
    assert (first.profit, second.profit) == (4_200, 0)  # 42 points of a lot, all in the first
    assert (rest.ticket, rest.volume, ended.ticket, ended.volume) == (long, 2 * LOT, short, 0)
    assert balance.balance == desk.balance == 10_004_200


def test_close_by_is_the_same_money_either_way():
    desk, long, short = hedged()
    by(desk, short, long)
    assert desk.balance == 10_004_200
    (rest,) = desk.broker.snapshot().positions
    assert (rest.ticket, rest.volume) == (long, 2 * LOT)


def test_swaps_leave_with_their_own_positions():
    desk, long, short = hedged()
    state = desk.broker.snapshot()
    positions = tuple(replace(p, swap=-300 if p.ticket == long else 80) for p in state.positions)
    desk.broker = Broker(desk.terms, desk.specs, replace(state, positions=positions))
    _, first, second, rest, *_ = by(desk, long, short).facts
    assert (first.swap, second.swap, rest.swap) == (-100, 80, -200)
    assert desk.balance == 10_000_000 + 4_200 - 20


@pytest.mark.parametrize(
    ("entry", "total"),
    [(CommissionEntry.IN, 0), (CommissionEntry.ALL, 0), (CommissionEntry.OUT, -200)],
)
def test_commission_of_a_close_by(entry, total):
    tier = CommissionTier(rate=LOT, per=CommissionPer.DEAL)
    desk, long, short = hedged(commissions=(CommissionRule(tiers=(tier,), entry=entry),))
    before = desk.balance
    _, first, second, *_ = by(desk, long, short).facts
    assert (first.commission, second.commission) == (total, 0)
    assert desk.balance == before + 4_200 + total


def test_what_a_close_by_is_refused_for():
    desk, long, short = hedged()
    other = desk.open(volume=LOT)
    for first, second, retcode, text in (
        (99, short, Retcode.POSITION_CLOSED, "position 99 is closed or was never open"),
        (long, 98, Retcode.POSITION_CLOSED, "position 98 is closed or was never open"),
        (long, other, Retcode.INVALID, "both positions are BUY; name two of opposite direction"),
        (long, long, Retcode.INVALID, "both positions are BUY; name two of opposite direction"),
    ):
        report = by(desk, first, second)
        assert (report.retcode, report.comment, report.facts) == (retcode, text, ())
    desk, long, short = hedged(close_by=False)
    assert by(desk, long, short).retcode == Retcode.INVALID
    netting = Desk()
    ticket = netting.open()
    assert by(netting, ticket, ticket).retcode == Retcode.INVALID


def test_close_by_on_mt4_leaves_a_new_order():
    desk = Desk(MarginMode.HEDGING, Platform.MT4)
    long, short = desk.open(volume=3 * LOT), desk.open(SELL, volume=LOT)
    facts = by(desk, long, short).facts
    changed = [fact for fact in facts if isinstance(fact, PositionFact)]
    assert [(fact.ticket, fact.volume) for fact in changed[::2]] == [(long, 0), (short, 0)]
    moved = changed[1]
    assert (moved.volume, moved.comment) == (2 * LOT, f"from #{long}")
    assert changed[0].comment == f"to #{moved.ticket}"
