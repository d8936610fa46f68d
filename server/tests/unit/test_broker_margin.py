"""Margin levels: stop out, its order and comments, compensation, the guard, margin rules."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.broker import margins
from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.broker.state import AccountTerms, BrokerState
from fxsocket_server.model.enums import (
    Action,
    CalcMode,
    DealEntry,
    DealType,
    Filling,
    FreeMarginMode,
    MarginMode,
    OrderStatus,
    OrderType,
    Platform,
    Reason,
    StopOutMode,
)
from fxsocket_server.model.facts import BalanceFact, DealFact, OrderFact, TradeRequest
from fxsocket_server.model.leverage import Tier
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC
QUOTES = {
    "EURUSD": (108_340, 108_348),
    "USDJPY": (151_000, 151_009),
    "EURJPY": (163_600, 163_614),
    "GBPUSD": (127_000, 127_010),
}
BUY, SELL = OrderType.BUY, OrderType.SELL


class Desk:
    """An account with a few quoted symbols; `terms` and `euro` change its rules and EURUSD's."""

    def __init__(self, deposit=1_000_000, euro=None, quoted=QUOTES, **terms):
        specs = dict(PROFILE.symbols)
        specs["EURUSD"] = replace(specs["EURUSD"], **(euro or {}))
        self.terms: AccountTerms = replace(PROFILE.terms(), **terms)
        self.broker: Any = Broker(self.terms, specs)
        self.broker.deposit(deposit, NOW)
        for symbol, (bid, ask) in quoted.items():
            self.broker.on_tick(symbol, NOW, bid, ask)

    def ask(self, action=Action.DEAL, order_type=BUY, **fields):
        filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
        base = {"symbol": "EURUSD", "volume": LOT, "filling": filling, "type": order_type}
        request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
        return self.broker.request(request, NOW)

    def open(self, order_type=BUY, **fields):
        report = self.ask(Action.DEAL, order_type, **fields)
        assert report.retcode in SUCCESS, report.comment
        return report.order_ticket

    def place(self, order_type, price, **fields):
        report = self.ask(Action.PENDING, order_type, price=price, **fields)
        assert report.retcode in SUCCESS, report.comment
        return report.order_ticket

    def tick(self, bid, symbol="EURUSD"):
        spread = QUOTES[symbol][1] - QUOTES[symbol][0]
        return self.broker.on_tick(symbol, NOW, bid, bid + spread)

    @property
    def level(self):
        figures = self.broker.account_figures()
        return figures.equity / figures.margin if figures.margin else None


def closed(facts):
    return [fact.position_ticket for fact in facts if isinstance(fact, DealFact) and fact.entry]


# --- stop out --------------------------------------------------------------------------------


def test_a_stop_out_comes_below_the_level_and_not_at_it():
    """One lot at 1.08348 needs 1,083.48; half of that is 541.74, which 500.00 + 41.74 is."""
    desk = Desk(deposit=108_348)
    desk.open()
    at_level = 108_348 - 542  # a loss of 542.00 leaves 541.48: below
    assert desk.tick(at_level + 1) == ()  # 542.48 is above
    order, deal, position, balance = desk.tick(at_level)
    assert (order.reason, order.type, order.status) == (Reason.SO, SELL, OrderStatus.FILLED)
    assert order.comment == deal.comment == "[so 49.98%/541.48/1083.48]"
    assert (deal.entry, deal.reason, deal.price) == (DealEntry.OUT, Reason.SO, at_level)
    assert (position.volume, balance.balance) == (0, 54_148)


def test_exactly_at_the_level_the_account_lives():
    desk = Desk(deposit=150_000, euro={"margin_initial": 100_000 * LOT}, currency="USD")
    desk.open(symbol="USDJPY")  # 1,000.00 of margin: the level is 500.00
    state = desk.broker.snapshot()
    profit = desk.broker.position_profit(state.positions[0].ticket)
    exact = replace(state, balance=50_000 - profit)
    alive = Broker(desk.terms, PROFILE.symbols, exact)
    assert alive.on_tick("USDJPY", NOW, *QUOTES["USDJPY"]) == ()
    below = Broker(desk.terms, PROFILE.symbols, replace(exact, balance=exact.balance - 1))
    assert closed(below.on_tick("USDJPY", NOW, *QUOTES["USDJPY"]))


def test_the_largest_loss_goes_first_until_the_level_has_recovered():
    desk = Desk(deposit=400_000)
    desk.open(volume=LOT)
    desk.tick(108_800)
    worst = desk.open(volume=LOT)
    desk.tick(108_600)
    desk.open(volume=LOT)
    facts = next(filter(None, map(desk.tick, range(108_600, 107_000, -1))))
    assert closed(facts) == [worst]
    assert desk.level > 0.5
    assert len(desk.broker.snapshot().positions) == 2


def test_winners_go_last_and_smallest_first():
    desk = Desk(deposit=300_000, margin_call_level=10_000)
    winner = desk.open(SELL, volume=LOT // 10)
    loser = desk.open(volume=2 * LOT)
    facts = desk.tick(107_000)
    assert closed(facts)[0] == loser
    assert winner not in closed(facts)[:1]


def test_pending_orders_go_before_positions_the_costliest_first():
    desk = Desk(deposit=420_000, euro={"margin_rates": (LOT,) * 8})
    desk.open(volume=LOT)
    small = desk.place(OrderType.BUY_LIMIT, 100_000, volume=LOT // 2)
    large = desk.place(OrderType.BUY_LIMIT, 100_000, volume=LOT)
    assert desk.broker.account_figures().margin == 108_348 + 150_000
    facts = desk.tick(108_348 - 3_000)
    assert [fact.ticket for fact in facts] == [large]
    assert (facts[0].status, facts[0].reason) == (OrderStatus.CANCELED, Reason.SO)
    facts = desk.tick(108_348 - 3_500)
    assert next(fact.ticket for fact in facts if isinstance(fact, OrderFact)) == small


def test_a_stop_out_looks_at_the_margin_of_each_order_once(monkeypatch):
    seen = []
    cost = margins.order_margin

    def counted(*args):
        seen.append(args)
        return cost(*args)

    monkeypatch.setattr(margins, "order_margin", counted)
    desk = Desk(deposit=400_000, euro={"margin_rates": (LOT,) * 8}, limit_orders=0)
    desk.open()
    for number in range(100):
        desk.place(OrderType.BUY_LIMIT, 100_000 - number, volume=LOT // 100)
    seen.clear()
    facts = desk.tick(104_000)
    removed = [f for f in facts if isinstance(f, OrderFact) and f.status is OrderStatus.CANCELED]
    assert len(removed) > 50
    assert len(seen) == 100


def test_an_action_that_leaves_the_account_below_is_answered_by_the_next_tick():
    """Closing one leg of a hedge raises the margin."""
    desk = Desk(deposit=60_000, euro={"margin_hedged": 0})
    first = desk.open(volume=LOT // 2)
    hedge = desk.open(SELL, volume=LOT // 2)
    assert desk.tick(108_000) == ()
    assert desk.broker.account_figures().margin == 0
    desk.open(BUY, volume=LOT // 2, position_ticket=hedge)
    assert desk.level > 1
    assert desk.tick(107_990) == ()
    assert closed(desk.tick(107_000)) == [first]


def test_no_stop_out_while_the_market_is_closed():
    desk = Desk(deposit=108_400)
    desk.open()
    state = desk.broker.snapshot()
    saturday = NOW + 3 * 86_400_000
    asleep = Broker(desk.terms, PROFILE.symbols, replace(state, rollover_ms=saturday + 10**8))
    assert asleep.on_tick("EURUSD", saturday, 107_000, 107_008) == ()
    awake = Broker(replace(desk.terms, sessions_apply=False), PROFILE.symbols, state)
    assert closed(awake.on_tick("EURUSD", NOW, 107_000, 107_008))


def test_stop_out_in_money():
    desk = Desk(deposit=200_000, stop_out_mode=StopOutMode.MONEY, stop_out_level=150_000)
    desk.open()
    assert desk.tick(108_348 - 500) == ()  # equity is 1,500.00
    assert closed(desk.tick(108_348 - 501))


def test_a_negative_balance_is_compensated_and_the_credit_written_off():
    desk = Desk(deposit=110_000, compensates=True)
    desk.broker.credit(5_000, NOW)
    desk.open()
    facts = desk.tick(100_000)
    paid, *_ = [fact for fact in facts if getattr(fact, "type", "") == DealType.SO_COMPENSATION]
    assert paid.profit == 834_800 - 110_000
    written, *_ = [
        fact for fact in facts if getattr(fact, "type", "") == DealType.SO_COMPENSATION_CREDIT
    ]
    assert written.profit == -5_000
    assert facts[-1] == BalanceFact(balance=0, credit=0)
    plain = Desk(deposit=110_000)
    plain.open()
    plain.tick(100_000)
    assert plain.broker.account_figures().balance == 110_000 - 834_800


def test_mt4_writes_its_own_comment():
    desk = Desk(deposit=108_348, platform=Platform.MT4)
    desk.open()
    order, *_ = desk.tick(107_700)
    assert order.comment == "[so/a: 40.2% 435.5/1083.5]"


def test_a_netting_position_is_closed_in_parts_of_the_largest_order():
    desk = Desk(deposit=400_000, margin_mode=MarginMode.NETTING, euro={"volume_max": LOT})
    desk.open()
    desk.open()
    desk.open()
    facts = desk.tick(108_348 - 900)
    deals = [fact for fact in facts if isinstance(fact, DealFact)]
    assert {deal.volume for deal in deals} == {LOT}
    assert desk.level is None or desk.level >= 0.5


def test_by_fifo_the_oldest_is_closed_first():
    desk = Desk(deposit=260_000, fifo_close=True)
    oldest = desk.open()
    desk.tick(108_700)
    desk.open()
    assert closed(desk.tick(107_500))[0] == oldest


def test_a_fully_hedged_account_may_be_spared():
    for skip in (False, True):
        desk = Desk(deposit=110_000, hedged_skip_stop_out=skip)
        desk.open()
        desk.open(SELL)
        facts = desk.broker.on_tick("EURUSD", NOW, 108_000, 109_200)  # the spread widens
        assert bool(closed(facts)) is not skip


def test_margin_call_is_a_flag():
    desk = Desk(deposit=150_000)
    desk.open()
    assert not desk.broker.margin_call
    assert desk.tick(108_348 - 450) == ()
    assert desk.broker.margin_call


@pytest.mark.parametrize("symbol", ["EURUSD", "EURJPY", "USDJPY"])
@pytest.mark.parametrize("currency", ["USD", "EUR", "JPY"])
@pytest.mark.parametrize("mix", [False, True])
def test_the_guard_hides_no_stop_out_and_cries_no_wolf(symbol, currency, mix):
    """Tick by tick, an account with a guard does what one without a memory does."""
    desk = Desk(deposit=10**9, currency=currency)
    for number in range(40):
        desk.open(SELL if mix and number % 3 == 0 else BUY, symbol=symbol, volume=LOT // 10)
    state, figures = desk.broker.snapshot(), desk.broker.account_figures()
    poor = replace(state, balance=figures.margin * 7 // 10 - figures.profit)
    broker = Broker(desk.terms, PROFILE.symbols, poor)
    bid, outs = QUOTES[symbol][0], 0
    for step in range(400):
        bid -= 17 if step % 7 else -20
        other = "USDJPY" if step % 5 == 0 else symbol
        price = bid if other == symbol else 151_000 - step * 3
        before = Broker(desk.terms, PROFILE.symbols, broker.snapshot())
        spread = QUOTES[other][1] - QUOTES[other][0]
        facts = broker.on_tick(other, NOW, price, price + spread)
        assert facts == before.on_tick(other, NOW, price, price + spread)
        outs += len(closed(facts))
    assert outs


def test_a_quiet_tick_leaves_the_positions_alone(monkeypatch):
    desk = Desk(deposit=10_000_000)
    for _ in range(50):
        desk.open(symbol="EURJPY", volume=LOT // 100)
    desk.tick(163_601, "EURJPY")
    book = desk.broker._books["EURJPY"]
    monkeypatch.setattr(type(book), "position_profit", None)
    for bid in range(163_500, 163_700):
        assert desk.tick(bid, "EURJPY") == ()
    assert desk.tick(151_020, "USDJPY") == ()


# --- what counts as margin -------------------------------------------------------------------


def test_pending_orders_are_charged_by_the_rate_of_their_type():
    rates = (LOT, LOT, LOT // 4, 0, LOT // 2, 0, 0, 0)
    desk = Desk(euro={"margin_rates": rates})
    desk.place(OrderType.BUY_LIMIT, 100_000)
    assert desk.broker.account_figures().margin == 25_000
    desk.place(OrderType.BUY_STOP, 110_000)
    assert desk.broker.account_figures().margin == 80_000
    desk.place(OrderType.SELL_LIMIT, 110_000)
    assert desk.broker.account_figures().margin == 80_000
    poor = Desk(deposit=20_000, euro={"margin_rates": rates})
    report = poor.ask(Action.PENDING, OrderType.BUY_LIMIT, price=100_000)
    assert report.retcode == Retcode.NO_MONEY


def test_maintenance_rates_hold_once_open():
    desk = Desk(euro={"margin_rates": (LOT,) * 2 + (0,) * 6, "maintenance_rates": (LOT // 2, LOT)})
    desk.open()
    assert desk.broker.account_figures().margin == 54_174


def test_the_larger_leg():
    desk = Desk(euro={"margin_larger_leg": True})
    desk.open(volume=2 * LOT)
    desk.open(SELL)
    assert desk.broker.account_figures().margin == 216_696


def test_leverage_tiers():
    tiers = (Tier(50_000 * LOT, LOT), Tier(None, 2 * LOT))
    desk = Desk(euro={"leverage_tiers": tiers})
    desk.open()  # 108,348 of value: 50,000 once and 58,348 twice
    assert desk.broker.account_figures().margin == 50_000 + 2 * 58_348


@pytest.mark.parametrize(
    ("mode", "free"),
    [
        (FreeMarginMode.ALL_PROFIT, (999_200, 999_400)),
        (FreeMarginMode.NO_PROFIT, (1_000_000, 1_000_000)),
        (FreeMarginMode.PROFIT_ONLY, (1_000_000, 1_000_000)),
        (FreeMarginMode.LOSS_ONLY, (999_200, 999_400)),
    ],
)
def test_free_margin_modes(mode, free):
    desk = Desk(free_margin_mode=mode)
    desk.open()
    assert desk.broker.account_figures().free_margin == free[0] - 108_348
    desk.tick(108_342)
    assert desk.broker.account_figures().free_margin == free[1] - 108_348
    desk.tick(108_948)
    gain = 60_000 if mode in (FreeMarginMode.ALL_PROFIT, FreeMarginMode.PROFIT_ONLY) else 0
    assert desk.broker.account_figures().free_margin == 1_000_000 - 108_348 + gain


def test_credit_is_margin_but_not_balance():
    desk = Desk(deposit=50_000)
    assert desk.ask().retcode == Retcode.NO_MONEY
    deal, balance = desk.broker.credit(100_000, NOW)
    assert (deal.type, balance) == (DealType.CREDIT, BalanceFact(balance=50_000, credit=100_000))
    desk.open()


def test_futures_have_money_per_lot():
    fixed = {"margin_initial": 1_000 * LOT, "margin_maintenance": 500 * LOT}
    euro = {"calc_mode": CalcMode.FUTURES, "tick_value": LOT, "currency_margin": "USD", **fixed}
    desk = Desk(deposit=149_000, euro=euro)
    desk.open()
    figures = desk.broker.account_figures()
    assert (figures.margin, figures.profit) == (50_000, -800)  # maintenance; 8 ticks of a dollar
    assert desk.ask().retcode == Retcode.NO_MONEY  # 1,000.00 to begin with, 982.00 are free
    assert desk.broker.deposit(1_800, NOW)
    desk.open()


def test_the_state_of_a_watched_account_is_complete():
    desk = Desk(deposit=200_000)
    desk.open()
    desk.tick(108_000)
    state = desk.broker.snapshot()
    assert isinstance(state, BrokerState)
    again = Broker(desk.terms, PROFILE.symbols, state)
    for bid in range(108_000, 106_000, -7):
        assert again.on_tick("EURUSD", NOW, bid, bid + 8) == desk.tick(bid)
    assert again.snapshot() == desk.broker.snapshot()
