"""Requests about positions: what an accepted one does, and each reason to refuse one."""

import pytest
from msgspec.structs import replace

from fxsocket_server.broker.engine import Broker
from fxsocket_server.model.enums import (
    Action,
    DealEntry,
    DealType,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
    TradeMode,
)
from fxsocket_server.model.facts import BalanceFact, DealFact, OrderFact, PositionFact
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT, volume_of

from .broker_desk import ASK, BID, DAY, NOW, PROFILE, ask, broker, opened, placed, refused

# --- market orders ---------------------------------------------------------------------------


def test_a_market_order_is_filled_at_the_market_price():
    made = broker()
    report = ask(made, type=OrderType.BUY, sl=107_200, tp=109_500, magic=7, comment="~TAG hello")
    order, deal, position = report.facts
    assert report.retcode == Retcode.DONE
    assert report.order_ticket == order.ticket == position.ticket == position.order_ticket
    assert order == OrderFact(
        ticket=1_000_001,
        symbol="EURUSD",
        digits=5,
        type=OrderType.BUY,
        status=OrderStatus.FILLED,
        volume=LOT // 10,
        filled_volume=LOT // 10,
        price=None,
        filled_price=ASK,
        stop_limit=None,
        sl=107_200,
        tp=109_500,
        filling=Filling.FOK,
        time_in_force=TimeInForce.GTC,
        expires_ms=None,
        magic=7,
        comment="~TAG hello",
        position_ticket=order.ticket,
        reason=Reason.EXPERT,
        retcode=Retcode.DONE,
        placed_ms=NOW,
        time_ms=NOW,
    )
    assert (deal.type, deal.entry, deal.price) == (DealType.BUY, DealEntry.IN, ASK)
    assert (deal.order_ticket, deal.position_ticket) == (order.ticket, position.ticket)
    assert (deal.profit, deal.volume, deal.magic, deal.comment) == (0, LOT // 10, 7, "~TAG hello")
    assert (position.side, position.open_price) == (Side.BUY, ASK)
    assert (position.sl, position.tp, position.magic) == (107_200, 109_500, 7)
    assert made.account_figures().profit == -80  # the spread of 8 points on 0.1 lot


def test_a_sell_is_filled_at_the_bid_and_hedges():
    made = broker()
    opened(made, type=OrderType.BUY)
    report = ask(made, type=OrderType.SELL)
    assert report.facts[2].open_price == BID
    assert len(made.snapshot().positions) == 2


def test_a_position_is_closed_by_its_ticket():
    made = broker()
    ticket = opened(made, type=OrderType.BUY)
    made.on_tick("EURUSD", NOW + 1, 108_400, 108_408)
    report = ask(made, type=OrderType.SELL, position_ticket=ticket, comment="bye", at=NOW + 2)
    order, deal, position, balance = report.facts
    assert (order.type, order.position_ticket, order.filled_price) == ("SELL", ticket, 108_400)
    assert order.ticket != ticket
    assert (deal.entry, deal.type, deal.profit) == (DealEntry.OUT, DealType.SELL, 520)
    assert (deal.comment, deal.position_ticket) == ("bye", ticket)
    assert (position.ticket, position.volume, position.time_ms) == (ticket, 0, NOW + 2)
    assert balance == BalanceFact(balance=1_000_520, credit=0)
    assert made.snapshot().positions == ()
    assert made.account_figures().margin == 0


def test_a_partial_close_keeps_ticket_price_and_stops():
    made = broker()
    ticket = opened(made, type=OrderType.SELL, sl=109_000, volume=volume_of(0.3))
    made.on_tick("EURUSD", NOW + 1, 108_200, 108_208)
    report = ask(made, type=OrderType.BUY, position_ticket=ticket, volume=volume_of(0.1))
    assert report.facts[1].profit == 1_320
    rest = report.facts[2]
    assert (rest.ticket, rest.volume, rest.open_price) == (ticket, volume_of(0.2), BID)
    assert rest.sl == 109_000
    made.on_tick("EURUSD", NOW + 2, 108_300, 108_308)
    last = ask(made, type=OrderType.BUY, position_ticket=ticket, volume=volume_of(0.2))
    assert (last.facts[1].profit, last.facts[2].volume) == (640, 0)


def test_a_close_without_result_tells_no_balance():
    made = broker()
    ticket = opened(made, type=OrderType.BUY)
    made.on_tick("EURUSD", NOW + 1, ASK, ASK + 8)
    report = ask(made, type=OrderType.SELL, position_ticket=ticket)
    assert [type(fact) for fact in report.facts] == [OrderFact, DealFact, PositionFact]


def test_a_rest_below_the_minimum_can_be_closed():
    made = broker(volume_step=LOT // 100, volume_min=LOT // 10)
    ticket = opened(made, type=OrderType.BUY, volume=volume_of(0.15))
    refused(
        made,
        Retcode.INVALID_VOLUME,
        "volume 0.05 is below the minimum of 0.1",
        type=OrderType.SELL,
        position_ticket=ticket,
        volume=volume_of(0.05),
    )
    ask(made, type=OrderType.SELL, position_ticket=ticket, volume=volume_of(0.1))
    last = ask(made, type=OrderType.SELL, position_ticket=ticket, volume=volume_of(0.05))
    assert last.retcode == Retcode.DONE


def test_ticket_numbers_are_used_only_by_what_is_accepted():
    made = broker()
    first = opened(made, type=OrderType.BUY)
    ask(made, type=OrderType.BUY, volume=1)
    ask(made, type=OrderType.BUY, sl=BID)
    assert opened(made, type=OrderType.BUY) == first + 1


def test_a_comment_is_cut_where_metatrader_cuts_it():
    made = broker()
    report = ask(made, type=OrderType.BUY, comment="x" * 40)
    assert report.facts[0].comment == "x" * 31


def test_zero_means_no_price():
    made = broker()
    report = ask(made, type=OrderType.BUY, price=0, sl=0, tp=0)
    assert (report.retcode, report.facts[2].sl, report.facts[2].tp) == (Retcode.DONE, None, None)


# --- refusals of market orders ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("retcode", "comment", "fields"),
    [
        (
            Retcode.INVALID,
            "symbol 'EURUSDX' is not among the account's symbols",
            {"symbol": "EURUSDX"},
        ),
        (
            Retcode.INVALID_ORDER,
            "type BUY_LIMIT does not fit; send BUY or SELL",
            {"type": OrderType.BUY_LIMIT},
        ),
        (
            Retcode.INVALID_ORDER,
            "type CLOSE_BY does not fit; send BUY or SELL",
            {"type": OrderType.CLOSE_BY},
        ),
        (Retcode.INVALID, "BUY takes no stop_limit; leave it out", {"stop_limit": 108_000}),
        (
            Retcode.INVALID_FILL,
            "filling RETURN does not fit a BUY of EURUSD; send FOK or IOC",
            {"filling": Filling.RETURN},
        ),
        (
            Retcode.INVALID_FILL,
            "filling BOC does not fit a BUY of EURUSD; send FOK or IOC",
            {"filling": Filling.BOC},
        ),
        (Retcode.INVALID_VOLUME, "volume 0 is below the minimum of 0.01", {"volume": 0}),
        (Retcode.INVALID_VOLUME, "volume -1 is below the minimum of 0.01", {"volume": -LOT}),
        (
            Retcode.INVALID_VOLUME,
            "volume 0.015 is not a multiple of 0.01; nearest 0.01 or 0.02",
            {"volume": volume_of(0.015)},
        ),
        (
            Retcode.INVALID_VOLUME,
            "volume 100.01 is above the maximum of 100",
            {"volume": volume_of(100.01)},
        ),
        (
            Retcode.INVALID_STOPS,
            "sl 1.08340 must be below bid 1.08340; at most 1.08339",
            {"sl": BID},
        ),
        (
            Retcode.INVALID_STOPS,
            "tp 1.08000 must be above bid 1.08340; at least 1.08341",
            {"tp": 108_000},
        ),
        (
            Retcode.INVALID_STOPS,
            "sl 1.08345 must be above ask 1.08348; at least 1.08349",
            {"type": OrderType.SELL, "sl": 108_345},
        ),
        (Retcode.INVALID_STOPS, "sl -0.00001 must be above 0", {"sl": -1}),
        (
            Retcode.NO_MONEY,
            "10 lots of EURUSD need 10834.80 USD of margin, free margin is 10000.00; "
            "trade less or deposit",
            {"volume": 10 * LOT},
        ),
    ],
)
def test_what_a_market_order_is_refused_for(retcode, comment, fields):
    refused(broker(), retcode, comment, **fields)


def test_stops_nearer_than_the_stops_level():
    made = broker(stops_level=20)
    refused(
        made,
        Retcode.INVALID_STOPS,
        "sl 1.08330 is nearer than 20 points to bid 1.08340; at most 1.08320",
        sl=108_330,
    )
    refused(
        made,
        Retcode.INVALID_STOPS,
        "tp 1.08359 is nearer than 20 points to bid 1.08340; at least 1.08360",
        tp=108_359,
    )
    opened(made, type=OrderType.BUY, sl=108_320, tp=108_360)  # equal distances pass
    opened(made, type=OrderType.SELL, sl=108_368, tp=108_328)


def test_stops_off_the_tick_size():
    made = broker(tick_size=5)
    comment = "sl 1.07198 is not a multiple of 0.00005; nearest 1.07200"
    refused(made, Retcode.INVALID_STOPS, comment, sl=107_198)


@pytest.mark.parametrize(
    ("mode", "buy", "sell"),
    [
        (TradeMode.DISABLED, Retcode.TRADE_DISABLED, Retcode.TRADE_DISABLED),
        (TradeMode.LONGONLY, Retcode.DONE, Retcode.LONG_ONLY),
        (TradeMode.SHORTONLY, Retcode.SHORT_ONLY, Retcode.DONE),
        (TradeMode.CLOSEONLY, Retcode.CLOSE_ONLY, Retcode.CLOSE_ONLY),
        (TradeMode.FULL, Retcode.DONE, Retcode.DONE),
    ],
)
def test_trade_modes_for_what_opens(mode, buy, sell):
    made = broker(trade_mode=mode)
    assert ask(made, type=OrderType.BUY).retcode == buy
    assert ask(made, type=OrderType.SELL).retcode == sell
    price = {"price": 108_000}
    pending = ask(made, Action.PENDING, type=OrderType.BUY_LIMIT, **price)
    assert pending.retcode == (Retcode.PLACED if buy is Retcode.DONE else buy)


@pytest.mark.parametrize(
    ("mode", "retcode"),
    [
        (TradeMode.DISABLED, Retcode.TRADE_DISABLED),
        (TradeMode.LONGONLY, Retcode.DONE),
        (TradeMode.CLOSEONLY, Retcode.DONE),
    ],
)
def test_trade_modes_for_what_closes(mode, retcode):
    before = broker()
    ticket = opened(before, type=OrderType.BUY)
    specs = dict(PROFILE.symbols)
    specs["EURUSD"] = replace(specs["EURUSD"], trade_mode=mode)
    made = Broker(PROFILE.terms(), specs, before.snapshot())
    assert ask(made, Action.SLTP, position_ticket=ticket, sl=107_000).retcode == retcode
    assert ask(made, type=OrderType.SELL, position_ticket=ticket).retcode == retcode


def test_order_types_that_a_symbol_does_not_take():
    made = broker(order_types=(OrderType.BUY,))
    comment = "EURUSD takes no SELL orders; it takes BUY"
    refused(made, Retcode.INVALID_ORDER, comment, type=OrderType.SELL)


def test_outside_the_session_nothing_is_done():
    made = broker()
    ticket = opened(made, type=OrderType.BUY)
    order = placed(made, type=OrderType.BUY_LIMIT, price=108_000)
    saturday = NOW + 3 * DAY
    comment = "the market of EURUSD is closed; it opens at 2025.01.13 00:05 server time"
    for action, fields in (
        (Action.DEAL, {}),
        (Action.DEAL, {"type": OrderType.SELL, "position_ticket": ticket}),
        (Action.SLTP, {"position_ticket": ticket, "sl": 107_000}),
        (Action.PENDING, {"type": OrderType.BUY_LIMIT, "price": 108_000}),
        (Action.MODIFY, {"order_ticket": order, "price": 108_100}),
        (Action.REMOVE, {"order_ticket": order}),
    ):
        refused(made, Retcode.MARKET_CLOSED, comment, action, at=saturday, **fields)


def test_round_the_clock_accounts_know_no_session():
    made = broker(terms={"sessions_apply": False})
    assert ask(made, type=OrderType.BUY, at=NOW + 3 * DAY).retcode == Retcode.DONE


def test_no_price_no_deal():
    made = broker()
    refused(made, Retcode.PRICE_OFF, "no price of GBPUSD yet", symbol="GBPUSD")
    made.on_tick("EURJPY", NOW, 163_600, 163_614)
    comment = "no price of USDJPY yet, which converts JPY to USD"
    refused(made, Retcode.PRICE_OFF, comment, symbol="EURJPY")
    made.on_tick("USDJPY", NOW, 151_000, 151_009)
    assert opened(made, symbol="EURJPY", type=OrderType.BUY)


def test_a_currency_that_nothing_converts():
    made = Broker(PROFILE.terms(currency="SEK"), PROFILE.symbols)
    made.deposit(10**9, NOW)
    made.on_tick("EURUSD", NOW, BID, ASK)
    refused(made, Retcode.PRICE_OFF, "no symbol converts USD to SEK")


def test_margin_must_be_free_unless_the_order_does_not_raise_it():
    made = broker(deposit=108_348)  # 1,083.48 USD: one lot to the cent
    opened(made, type=OrderType.BUY, volume=LOT)
    made.on_tick("EURUSD", NOW, BID - 100, ASK - 100)
    assert ask(made, type=OrderType.BUY, volume=LOT // 100).retcode == Retcode.NO_MONEY
    # The opposite lot covers: half of the margin is freed, so it passes without any free margin.
    assert ask(made, type=OrderType.SELL, volume=LOT).retcode == Retcode.DONE


def test_an_order_that_leaves_the_margin_as_it_is_passes_without_free_margin():
    made = broker(deposit=100_000, terms={"currency": "EUR"}, margin_hedged=100_000 * LOT)
    opened(made, type=OrderType.BUY, volume=LOT)
    made.on_tick("EURUSD", NOW, BID - 500, ASK - 500)
    before = made.account_figures()
    assert before.free_margin < 0
    # One covered lot costs what one lot of one side does.
    assert ask(made, type=OrderType.SELL, volume=LOT).retcode == Retcode.DONE
    assert made.account_figures().margin == before.margin


def test_the_whole_free_margin_may_be_used():
    exact = broker(deposit=108_348)
    assert ask(exact, type=OrderType.BUY, volume=LOT).retcode == Retcode.DONE
    short = broker(deposit=108_347)
    assert ask(short, type=OrderType.BUY, volume=LOT).retcode == Retcode.NO_MONEY


def test_volume_limit_is_per_direction():
    made = broker(deposit=10**9, volume_limit=5 * LOT)
    opened(made, type=OrderType.BUY, volume=3 * LOT)
    placed(made, type=OrderType.BUY_LIMIT, price=108_000, volume=LOT)
    comment = "volume 1.01 with 4 already in BUY direction exceeds the limit of 5 lots; at most 1"
    refused(made, Retcode.LIMIT_VOLUME, comment, type=OrderType.BUY, volume=volume_of(1.01))
    opened(made, type=OrderType.BUY, volume=LOT)
    opened(made, type=OrderType.SELL, volume=5 * LOT)


def test_an_order_that_is_gone_frees_its_volume():
    made = broker(deposit=10**9, volume_limit=2 * LOT)
    limit = {"type": OrderType.BUY_LIMIT, "price": 108_000, "volume": 2 * LOT}
    ticket = placed(made, **limit)
    ask(made, Action.REMOVE, order_ticket=ticket)
    placed(made, **limit)
    made.on_tick("EURUSD", NOW + 1, 107_900, 107_908)  # rests no longer, but is open now
    (position,) = made.snapshot().positions
    assert ask(made, type=OrderType.BUY, volume=LOT).retcode == Retcode.LIMIT_VOLUME
    close = {"type": OrderType.SELL, "position_ticket": position.ticket}
    assert ask(made, **close, volume=LOT).retcode == Retcode.DONE
    opened(made, type=OrderType.BUY, volume=LOT)


# --- closing ---------------------------------------------------------------------------------


def test_what_a_close_is_refused_for():
    made = broker()
    ticket = opened(made, type=OrderType.BUY)
    sell = {"type": OrderType.SELL, "position_ticket": ticket}
    refused(
        made,
        Retcode.POSITION_CLOSED,
        "position 99 is closed or was never open",
        type=OrderType.SELL,
        position_ticket=99,
    )
    refused(
        made,
        Retcode.INVALID,
        "a BUY position is closed by SELL, not BUY",
        position_ticket=ticket,
    )
    comment = f"ticket {ticket} is of EURUSD, not GBPUSD"
    refused(made, Retcode.INVALID, comment, **sell, symbol="GBPUSD")
    comment = "volume 0.11 is more than the 0.1 that are open"
    refused(made, Retcode.INVALID_CLOSE_VOLUME, comment, **sell, volume=volume_of(0.11))
    comment = "filling RETURN does not fit a SELL of EURUSD; send FOK or IOC"
    refused(made, Retcode.INVALID_FILL, comment, **sell, filling=Filling.RETURN)
    assert ask(made, **sell, symbol="").retcode == Retcode.DONE
    comment = f"position {ticket} is closed or was never open"
    refused(made, Retcode.POSITION_CLOSED, comment, **sell)


def test_a_frozen_position_is_neither_closed_nor_changed():
    made = broker(freeze_level=10)
    ticket = opened(made, type=OrderType.BUY, sl=108_300)
    sell = {"type": OrderType.SELL, "position_ticket": ticket}
    made.on_tick("EURUSD", NOW + 1, 108_310, 108_318)
    comment = (
        "sl 1.08300 is within the freeze level of 10 points of bid 1.08310; wait until the market "
        "moves away"
    )
    refused(made, Retcode.FROZEN, comment, **sell)
    refused(made, Retcode.FROZEN, comment, Action.SLTP, position_ticket=ticket, sl=107_000)
    made.on_tick("EURUSD", NOW + 2, 108_311, 108_319)
    assert ask(made, **sell).retcode == Retcode.DONE


# --- SL and TP -------------------------------------------------------------------------------


def test_stops_of_a_position_are_replaced():
    made = broker()
    ticket = opened(made, type=OrderType.BUY, sl=107_000)
    report = ask(made, Action.SLTP, position_ticket=ticket, tp=109_000, at=NOW + 5)
    (position,) = report.facts
    assert (report.retcode, report.order_ticket) == (Retcode.DONE, None)
    assert (position.sl, position.tp, position.time_ms) == (None, 109_000, NOW + 5)
    assert made.snapshot().positions == (position,)


def test_what_new_stops_are_refused_for():
    made = broker(stops_level=20)
    ticket = opened(made, type=OrderType.SELL, sl=109_000, tp=107_000)
    same = {"position_ticket": ticket, "sl": 109_000, "tp": 107_000}
    action = Action.SLTP
    refused(made, Retcode.NO_CHANGES, "sl and tp are what they were", action, **same)
    comment = "sl 1.08367 is nearer than 20 points to ask 1.08348; at least 1.08368"
    refused(made, Retcode.INVALID_STOPS, comment, action, **(same | {"sl": 108_367}))
    comment = "position 4 is closed or was never open"
    refused(made, Retcode.POSITION_CLOSED, comment, action, position_ticket=4, sl=1)
    comment = "position None is closed or was never open"
    refused(made, Retcode.POSITION_CLOSED, comment, action, sl=1)
