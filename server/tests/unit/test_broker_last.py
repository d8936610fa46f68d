"""Exchange symbols go by the Last: what it fires, at what price that fills, and who ignores it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.broker.state import BrokerState
from fxsocket_server.model.enums import Action, ChartMode, Filling, OrderStatus, OrderType, Reason
from fxsocket_server.model.facts import OrderFact, TradeRequest
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.units import LOT

EXCHANGE = Path(profile_module.__file__).parent / "profiles" / "exchange.toml"
PROFILE = parse_profile(EXCHANGE.read_text(encoding="utf-8"), EXCHANGE.name)
NOW = 1_783_080_000_000
SHARE = next(name for name, spec in PROFILE.symbols.items() if spec.calc_mode == "EXCH_STOCKS")
BID, ASK = 20_000, 20_004
BUY, SELL = OrderType.BUY, OrderType.SELL


class Desk:
    """An account with a share, whose ticks carry the Last."""

    def __init__(self, deposit: int = 10_000_000, **share: Any) -> None:
        specs = dict(PROFILE.symbols)
        specs[SHARE] = replace(specs[SHARE], depth=0, commissions=(), margin_rate=LOT, **share)
        self.specs, self.terms = specs, PROFILE.terms(sessions_apply=False)
        self.broker: Any = Broker(self.terms, specs)
        self.broker.deposit(deposit, NOW)

    def tick(self, last: int, bid: int = BID) -> tuple:
        return self.broker.on_tick(SHARE, NOW, bid, bid + 4, last)

    def ask(self, kind: OrderType, action: Action = Action.DEAL, **fields: Any) -> Any:
        filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
        base: dict[str, Any] = {
            "symbol": SHARE,
            "volume": 10 * LOT,
            "filling": filling,
            "type": kind,
        }
        request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
        return self.broker.request(request, NOW)

    def done(self, *args: Any, **fields: Any) -> Any:
        report = self.ask(*args, **fields)
        assert report.retcode in SUCCESS, report.comment
        return report


def order_of(facts: tuple) -> OrderFact:
    order = facts[0]
    assert isinstance(order, OrderFact)
    return order


def test_a_stop_loss_waits_for_the_last_and_fills_at_the_market():
    desk = Desk()
    desk.tick(20_002)
    desk.done(BUY, sl=19_900)
    assert desk.tick(19_950, bid=19_800) == ()  # the Bid is beyond, nobody has traded there
    order = order_of(desk.tick(19_900, bid=19_800))
    assert (order.reason, order.filled_price) == (Reason.SL, 19_800)


def test_a_take_profit_is_never_worse_than_its_level():
    desk = Desk()
    desk.tick(20_002)
    desk.done(BUY, tp=20_100)
    assert desk.tick(20_050, bid=20_200) == ()
    order = order_of(desk.tick(20_110, bid=20_050))
    assert (order.reason, order.filled_price) == (Reason.TP, 20_100)


@pytest.mark.parametrize(
    ("kind", "price", "short", "reached", "bid", "filled"),
    [
        (OrderType.BUY_LIMIT, 19_900, 19_901, 19_900, 19_950, 19_900),
        (OrderType.BUY_LIMIT, 19_900, 19_901, 19_900, 19_800, 19_804),
        (OrderType.SELL_LIMIT, 20_100, 20_099, 20_100, 20_050, 20_100),
        (OrderType.BUY_STOP, 20_100, 20_099, 20_100, 20_150, 20_154),
        (OrderType.SELL_STOP, 19_900, 19_901, 19_900, 19_850, 19_850),
    ],
)
def test_pending_orders_wait_for_the_last(kind, price, short, reached, bid, filled):
    desk = Desk()
    desk.tick(20_002)
    desk.done(kind, Action.PENDING, price=price)
    assert desk.tick(short, bid=bid) == ()
    order = order_of(desk.tick(reached, bid=bid))
    assert (order.status, order.filled_price) == (OrderStatus.FILLED, filled)


def test_levels_are_measured_from_the_last():
    desk = Desk()
    desk.tick(20_020)
    assert desk.ask(BUY, sl=20_010).retcode == Retcode.DONE  # above the Bid, below the Last
    report = desk.ask(BUY, sl=20_020)
    assert report.retcode == Retcode.INVALID_STOPS
    assert "must be below last 200.20" in report.comment
    assert desk.ask(OrderType.BUY_STOP, Action.PENDING, price=20_010).retcode == (
        Retcode.INVALID_PRICE
    )


def test_a_tick_without_a_trade_leaves_the_last_where_it_is():
    desk = Desk()
    desk.tick(20_002)
    desk.done(BUY, sl=19_900)
    assert desk.tick(0, bid=19_800) == ()
    assert desk.broker.quote(SHARE).last == 20_002
    packed = msgspec.msgpack.encode(desk.broker.snapshot())
    again: Any = Broker(desk.terms, desk.specs, msgspec.msgpack.decode(packed, type=BrokerState))
    tick = SHARE, NOW, 19_800, 19_804
    assert again.on_tick(*tick) == desk.broker.on_tick(*tick) == ()
    facts = desk.broker.on_tick(*tick, 19_890)
    assert again.on_tick(*tick, 19_890) == facts
    assert order_of(facts).reason is Reason.SL


def test_without_a_last_and_off_the_exchange_bid_and_ask_decide():
    for desk, last in ((Desk(), 0), (Desk(chart_mode=ChartMode.BID), 20_002)):
        desk.tick(last)
        desk.done(BUY, sl=19_900)
        assert desk.broker.quote(SHARE).last == 0
        assert order_of(desk.tick(last, bid=19_900)).reason is Reason.SL


def test_a_stop_out_goes_by_the_market_all_the_same():
    desk = Desk(deposit=2_100_000)
    desk.tick(20_002)
    desk.done(BUY, volume=100 * LOT)
    assert order_of(desk.tick(20_002, bid=8_000)).reason is Reason.SO


def test_a_share_costs_the_margin_of_its_last():
    desk = Desk(deposit=2_000_000)
    desk.tick(19_900)
    # 100 shares: 20,004.00 at the Ask, 19,900.00 at the Last
    assert desk.ask(BUY, volume=100 * LOT).retcode == Retcode.DONE
    dear = Desk(deposit=2_000_000)
    dear.tick(20_100, bid=19_800)
    assert dear.ask(BUY, volume=100 * LOT).retcode == Retcode.NO_MONEY
