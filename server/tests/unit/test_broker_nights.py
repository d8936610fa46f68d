"""The end of the server's day: swaps, commissions of the day, orders and stops of the day."""

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
    CommissionCharge,
    CommissionEntry,
    CommissionPer,
    CommissionRange,
    CommissionUnit,
    DealType,
    Filling,
    GtcMode,
    OrderStatus,
    OrderType,
    Platform,
    Reason,
    SwapMode,
    TimeInForce,
)
from fxsocket_server.model.facts import DealFact, OrderFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import SUCCESS
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC, 14:00 server time
HOUR, DAY = 3_600_000, 86_400_000
MIDNIGHT = NOW + 10 * HOUR  # the server's
BUY, SELL = OrderType.BUY, OrderType.SELL
PLAIN: dict[str, Any] = {
    "swap_mode": SwapMode.POINTS,
    "swap_long": -11 * LOT,
    "swap_short": 114_064_000,
}


class Desk:
    """An account trading EURUSD at 1.08340 / 1.08348, round the clock."""

    def __init__(self, deposit=10_000_000, currency="USD", platform=Platform.MT5, **euro):
        specs = dict(PROFILE.symbols)
        specs["EURUSD"] = replace(specs["EURUSD"], **(PLAIN | euro))
        terms = PROFILE.terms(currency=currency, sessions_apply=False)
        self.terms = replace(terms, platform=platform)
        self.specs = specs
        self.broker: Any = Broker(self.terms, specs)
        self.broker.deposit(deposit, NOW)
        self.now = NOW
        self.tick(NOW)

    def tick(self, at, bid=108_340):
        self.now = at
        return self.broker.on_tick("EURUSD", at, bid, bid + 8)

    def send(self, action=Action.DEAL, order_type=BUY, **fields):
        filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
        base = {"symbol": "EURUSD", "volume": LOT, "filling": filling, "type": order_type}
        request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
        report = self.broker.request(request, self.now)
        assert report.retcode in SUCCESS, report.comment
        return report

    def open(self, order_type=BUY, **fields):
        return self.send(Action.DEAL, order_type, **fields).order_ticket

    def close(self, ticket, order_type=SELL, **fields):
        return deals(self.send(Action.DEAL, order_type, position_ticket=ticket, **fields).facts)[0]

    def swap(self):
        return [position.swap for position in self.broker.snapshot().positions]


def deals(facts):
    return [fact for fact in facts if isinstance(fact, DealFact)]


# --- swaps -----------------------------------------------------------------------------------


def test_a_night_is_charged_at_the_first_tick_after_server_midnight():
    desk = Desk()
    long, short = desk.open(), desk.open(SELL)
    assert desk.tick(MIDNIGHT - 1) == ()
    first, second = desk.tick(MIDNIGHT)
    assert isinstance(first, PositionFact)
    # A point of a lot is a dollar; Wednesday's night counts three times.
    assert (first.ticket, first.swap, first.time_ms) == (long, -3_300, MIDNIGHT)
    assert (second.ticket, second.swap) == (short, 342)
    assert desk.tick(MIDNIGHT + 1) == ()
    assert desk.broker.account_figures().profit == -1_600 - 3_300 + 342


def test_every_weekday_has_its_multiplier():
    desk = Desk()
    desk.open(volume=LOT // 10)
    swaps = []
    for night in range(7):  # Wednesday to Tuesday
        desk.tick(MIDNIGHT + night * DAY)
        swaps.append(desk.swap()[0])
    assert [b - a for a, b in zip([0, *swaps], swaps, strict=False)] == [
        -330, -110, -110, 0, 0, -110, -110,
    ]  # fmt: skip


def test_nights_without_a_tick_are_charged_one_by_one():
    """0.13 lots earn 14.83 cents a night; rounded each night, seven nights are 7 x 15 cents."""
    together, apart = Desk(), Desk()
    for desk in (together, apart):
        desk.open(SELL, volume=13 * LOT // 100)
    for night in range(5):
        apart.tick(MIDNIGHT + night * DAY)
    assert len(together.tick(MIDNIGHT + 4 * DAY)) == 3
    assert together.swap() == apart.swap() == [44 + 15 + 15]


def test_a_position_opened_after_midnight_is_not_charged_for_the_night():
    desk = Desk()
    desk.now = MIDNIGHT + 5
    desk.open()
    assert desk.tick(MIDNIGHT + 10) == ()
    assert desk.swap() == [0]


def test_multipliers_and_holidays_of_a_symbol():
    holiday = MIDNIGHT // DAY + 1  # Thursday the 9th
    desk = Desk(swap_multipliers=(0, LOT, LOT, LOT, LOT, 3 * LOT, 0), holidays=(holiday,))
    desk.open()
    desk.tick(MIDNIGHT)
    assert desk.swap() == [-2_200]  # its own night and the holiday's
    desk.tick(MIDNIGHT + DAY)
    assert desk.swap() == [-2_200]
    desk.tick(MIDNIGHT + 2 * DAY)
    assert desk.swap() == [-5_500]


@pytest.mark.parametrize(
    ("mode", "rate", "amount"),
    [
        (SwapMode.CURRENCY_DEPOSIT, -7 * LOT, -700),
        (SwapMode.CURRENCY_PROFIT, -7 * LOT, -700),
        (SwapMode.CURRENCY_SYMBOL, -7 * LOT, -758),  # 7 EUR at the Ask
        (SwapMode.CURRENCY_MARGIN, 7 * LOT, 758),  # at the Bid
        (SwapMode.INTEREST_CURRENT, -36 * LOT // 10, -1_083),  # 10 EUR a day at the Bid
        (SwapMode.DISABLED, -7 * LOT, 0),
    ],
)
def test_swap_modes(mode, rate, amount):
    desk = Desk(swap_mode=mode, swap_long=rate, swap_multipliers=(LOT,) * 7)
    desk.open()
    desk.tick(MIDNIGHT)
    assert desk.swap() == [amount]


def test_a_position_may_be_closed_and_opened_again_instead():
    desk = Desk(
        swap_mode=SwapMode.REOPEN_CURRENT, swap_long=33_000_000, swap_multipliers=(LOT,) * 7
    )
    ticket = desk.open()
    facts = desk.tick(MIDNIGHT)
    out, back = deals(facts)
    assert (out.profit, out.reason, out.price) == (-800, Reason.ROLLOVER, 108_340)
    assert (back.price, back.position_ticket) == (108_340, ticket)
    (position,) = desk.broker.snapshot().positions
    assert (position.open_price, position.open_extra) == (108_340, 330)  # a third of a point up
    assert desk.broker.snapshot().balance == 10_000_000 - 800


def test_swap_leaves_with_the_volume_that_is_closed():
    desk = Desk()
    ticket = desk.open()
    desk.tick(MIDNIGHT)
    part = desk.close(ticket, volume=LOT // 3 // 1_000_000 * 1_000_000)
    rest = desk.close(ticket, volume=LOT - part.volume)
    assert (part.swap, rest.swap) == (-1_089, -2_211)
    assert part.swap + rest.swap == -3_300


def test_swaps_due_survive_a_restart():
    desk = Desk()
    desk.open()
    state = desk.broker.snapshot()
    assert state.rollover_ms == MIDNIGHT
    again = Broker(desk.terms, desk.specs, state)
    assert again.on_tick("EURUSD", MIDNIGHT, 108_340, 108_348) == desk.tick(MIDNIGHT)
    charged = desk.broker.snapshot()

    def rebuilt(positions, rollover_ms):
        return Broker.rebuild(
            desk.terms, desk.specs, balance=charged.balance, credit=0, next_ticket=9_000_000,
            next_deal_ticket=9_000_000, quotes=charged.quotes, orders=(), positions=positions,
            time_ms=MIDNIGHT + 5, rollover_ms=rollover_ms,
        )  # fmt: skip

    # What was charged tells it itself, whatever was known before; what was not is caught up.
    early, late = rebuilt(charged.positions, MIDNIGHT), rebuilt(state.positions, MIDNIGHT)
    assert early.on_tick("EURUSD", MIDNIGHT + 9, 108_340, 108_348) == ()
    assert len(late.on_tick("EURUSD", MIDNIGHT + 9, 108_340, 108_348)) == 1


# --- commission ------------------------------------------------------------------------------


def rule(rate, **more):
    tier = {name: more.pop(name) for name in ("unit", "per", "minimum", "maximum") if name in more}
    return CommissionRule(tiers=(CommissionTier(rate=rate, **tier),), **more)


@pytest.mark.parametrize(
    ("made", "opening", "closing"),
    [
        (rule(5 * LOT), -250, -250),
        (rule(5 * LOT, entry=CommissionEntry.IN), -250, 0),
        (rule(5 * LOT, entry=CommissionEntry.OUT), 0, -250),
        (rule(2 * LOT, per=CommissionPer.DEAL), -200, -200),
        (rule(LOT // 200, unit=CommissionUnit.PERCENT), -271, -271),  # 0.005 % of 54,174
        (rule(LOT // 2, unit=CommissionUnit.PIPS), -25, -25),  # half a point of half a lot
        (rule(LOT, unit=CommissionUnit.MONEY_BASE), -54, -54),
        (rule(5 * LOT, minimum=300), -300, -300),
        (rule(5 * LOT, maximum=100), -100, -100),
    ],
)
def test_commission_is_taken_with_the_deal(made, opening, closing):
    desk = Desk(commissions=(made,))
    report = desk.send(volume=LOT // 2)
    (deal,) = deals(report.facts)
    position = next(fact for fact in report.facts if isinstance(fact, PositionFact))
    assert (deal.commission, position.commission) == (opening, opening)
    assert desk.broker.snapshot().balance == 10_000_000 + opening
    out = desk.close(report.order_ticket, volume=LOT // 2)
    assert out.commission == closing
    assert desk.broker.snapshot().balance == 10_000_000 + opening + closing - 400


def test_mt4_takes_the_round_trip_at_the_opening():
    desk = Desk(platform=Platform.MT4, commissions=(rule(5 * LOT),))
    ticket = desk.open()
    assert desk.broker.snapshot().balance == 10_000_000 - 1_000
    assert desk.close(ticket).commission == 0


def test_daily_commission_is_blocked_until_the_day_ends():
    made = CommissionRule(
        tiers=(
            CommissionTier(rate=LOT, upper=3 * LOT // 2),
            CommissionTier(rate=LOT // 2, lower=3 * LOT // 2),
        ),
        charge=CommissionCharge.DAILY,
        range=CommissionRange.TURNOVER_VOLUME,
    )
    desk = Desk(commissions=(made,), swap_mode=SwapMode.DISABLED)
    ticket = desk.open()
    figures = desk.broker.account_figures()
    assert (figures.balance, figures.equity) == (10_000_000, 10_000_000 - 800 - 100)
    desk.close(ticket)  # two lots turned over: all at the cheaper rate
    figures = desk.broker.account_figures()
    assert figures.equity == figures.balance - 100
    again = Broker(desk.terms, desk.specs, desk.broker.snapshot())
    assert again.account_figures() == figures
    deal, balance = desk.tick(MIDNIGHT)
    assert (deal.type, deal.profit) == (DealType.COMMISSION_DAILY, -100)
    assert balance.balance == desk.broker.account_figures().equity == figures.balance - 100
    assert desk.tick(MIDNIGHT + DAY) == ()


def test_monthly_commission():
    desk = Desk(commissions=(rule(LOT, charge=CommissionCharge.MONTHLY),))
    desk.close(desk.open())
    assert desk.tick(MIDNIGHT) == ()
    (deal, _) = desk.tick(MIDNIGHT + 23 * DAY)
    assert (deal.type, deal.profit) == (DealType.COMMISSION_MONTHLY, -200)


# --- orders of the day -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(GtcMode))
def test_what_the_end_of_the_day_removes(mode):
    desk = Desk(gtc_mode=mode, swap_mode=SwapMode.DISABLED)
    desk.open(sl=100_000, tp=120_000)
    desk.send(Action.PENDING, OrderType.BUY_LIMIT, price=100_000)
    facts = desk.tick(MIDNIGHT)
    expired = [fact for fact in facts if isinstance(fact, OrderFact)]
    assert [fact.status for fact in expired] == [OrderStatus.EXPIRED] * (mode is not GtcMode.GTC)
    (position,) = desk.broker.snapshot().positions
    assert (position.sl is None) == (mode is GtcMode.DAILY)
    assert desk.broker.on_tick("EURUSD", MIDNIGHT + 1, 99_000, 99_008) or mode is GtcMode.DAILY


def test_a_day_order_ends_with_the_day_beside_the_rollover():
    desk = Desk()
    desk.open()
    desk.send(Action.PENDING, OrderType.BUY_LIMIT, price=100_000, time_in_force=TimeInForce.DAY)
    charged, expired = desk.tick(MIDNIGHT)
    assert isinstance(charged, PositionFact)
    assert expired.status is OrderStatus.EXPIRED
