"""Numbered acceptance cards: what every connector must do, whatever terminal stands behind it.

A card plays at a desk of its own, on an account of 10,000 USD at 1:100 whose EURUSD stands at
1.08340 / 1.08350 and moves when the card says so. It needs the capabilities that it names.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec import Struct

from fxsocket_server.model.enums import (
    Action,
    DealEntry,
    Filling,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from fxsocket_server.model.facts import (
    BalanceFact,
    DealFact,
    Fact,
    LookupState,
    OrderFact,
    PositionFact,
    Report,
)
from fxsocket_server.model.retcode import Retcode

from .desk import ASK, BALANCE, BID, LOT, SYMBOL, Desk, Setting

Play = Callable[[Desk], Awaitable[None]]

PRICED = ("price_control",)
VOLUME = LOT // 10


class Card(Struct, frozen=True):
    """One acceptance card; `needs` are names of capabilities."""

    number: int
    title: str
    needs: tuple[str, ...]
    setting: Setting
    play: Play

    @property
    def id(self) -> str:
        """EX-007"""
        return f"EX-{self.number:03}"


CARDS: list[Card] = []


def card(
    number: int, title: str, needs: tuple[str, ...] = (), setting: Setting | None = None
) -> Callable[[Play], Play]:
    """Make a function a card."""

    def add(play: Play) -> Play:
        CARDS.append(Card(number, title, needs, setting or Setting(), play))
        return play

    return add


def kinds_of(facts: Iterable[Fact]) -> list[type]:
    return [type(fact) for fact in facts]


def refused(report: Report, retcode: Retcode) -> None:
    """A refusal has a reason in words and changes nothing."""
    assert report.retcode == retcode, report
    assert report.facts == ()
    assert report.comment


async def opened(desk: Desk, type_: OrderType = OrderType.BUY, **parts: Any) -> int:
    """The ticket of a position of 0.1 lots."""
    report = await desk.market(type_, **parts)
    assert report.retcode == Retcode.DONE, report
    ticket = desk.order(report.order_ticket).position_ticket
    assert ticket is not None
    return ticket


async def closed(desk: Desk, ticket: int, volume: int = VOLUME) -> Report:
    type_ = OrderType.SELL if desk.position(ticket).side is Side.BUY else OrderType.BUY
    return await desk.market(type_, volume, position_ticket=ticket)


# --- execution -------------------------------------------------------------------------------


@card(1, "a market buy executes whole at the Ask")
async def market_buy(desk: Desk) -> None:
    await executes(desk, OrderType.BUY, ASK, Side.BUY)


@card(2, "a market sell executes whole at the Bid")
async def market_sell(desk: Desk) -> None:
    await executes(desk, OrderType.SELL, BID, Side.SELL)


async def executes(desk: Desk, type_: OrderType, price: int, side: Side) -> None:
    report = await desk.market(type_, magic=7, comment="~0123456789 note")
    assert report.retcode == Retcode.DONE
    assert kinds_of(report.facts) == [OrderFact, DealFact, PositionFact]
    order = desk.order(report.order_ticket)
    assert (order.status, order.filled_volume) == (OrderStatus.FILLED, VOLUME)
    assert (order.filled_price, order.magic) == (price, 7)
    deal = desk.deals()[-1]
    assert (deal.order_ticket, deal.position_ticket) == (order.ticket, order.position_ticket)
    assert (deal.entry, deal.volume, deal.price) == (DealEntry.IN, VOLUME, price)
    position = desk.position(order.position_ticket)
    assert (position.side, position.volume, position.open_price) == (side, VOLUME, price)
    assert position in (await desk.connector.snapshot()).positions


@card(3, "a limit order rests, and fills at its price when the market comes to it", PRICED)
async def limit(desk: Desk) -> None:
    await rests_and_fills(desk, OrderType.BUY_LIMIT, 108_000, far=(108_001, 108_011), at=108_000)
    await rests_and_fills(desk, OrderType.SELL_LIMIT, 109_000, far=(108_989, 108_999), at=109_000)


@card(4, "a stop order rests, and fills when the market reaches it", PRICED)
async def stop(desk: Desk) -> None:
    await rests_and_fills(desk, OrderType.BUY_STOP, 109_000, far=(108_989, 108_999), at=109_000)
    await rests_and_fills(desk, OrderType.SELL_STOP, 108_000, far=(108_001, 108_011), at=108_000)


async def rests_and_fills(
    desk: Desk, type_: OrderType, price: int, *, far: tuple[int, int], at: int
) -> None:
    await desk.price(BID, ASK)
    report = await desk.pending(type_, price, filling=Filling.RETURN)
    assert report.retcode == Retcode.PLACED
    order = desk.order(report.order_ticket)
    assert (order.status, order.price, order.filled_volume) == (OrderStatus.PLACED, price, 0)
    assert order in (await desk.connector.snapshot()).orders
    await desk.price(*far)
    assert desk.order(order.ticket) == order
    reached = (at - 10, at) if type_.is_buy else (at, at + 10)
    await desk.price(*reached)
    filled = desk.order(order.ticket)
    assert (filled.status, filled.filled_price) == (OrderStatus.FILLED, price)
    assert desk.position(filled.position_ticket).open_price == price


@card(5, "a stop-limit order becomes a limit order at its stop, and fills at its limit", PRICED)
async def stop_limit(desk: Desk) -> None:
    report = await desk.pending(
        OrderType.BUY_STOP_LIMIT, 109_000, stop_limit=108_850, filling=Filling.RETURN
    )
    assert report.retcode == Retcode.PLACED
    await desk.price(108_990, 109_000)
    armed = desk.order(report.order_ticket)
    assert (armed.status, armed.type) == (OrderStatus.PLACED, OrderType.BUY_LIMIT)
    assert armed.price == 108_850
    await desk.price(108_840, 108_850)
    filled = desk.order(report.order_ticket)
    assert (filled.status, filled.filled_price) == (OrderStatus.FILLED, 108_850)


@card(6, "a stop loss closes its position at the market that reaches it", PRICED)
async def stop_loss(desk: Desk) -> None:
    ticket = await opened(desk, sl=108_000)
    await desk.price(108_001, 108_011)
    assert desk.position(ticket).volume == VOLUME
    await desk.price(107_990, 108_000)  # past the level: it closes where the market is
    await ended_by(desk, ticket, Reason.SL, 107_990, -3_600)


@card(7, "a take profit closes its position at its price", PRICED)
async def take_profit(desk: Desk) -> None:
    ticket = await opened(desk, tp=109_000)
    await desk.price(108_999, 109_009)
    assert desk.position(ticket).volume == VOLUME
    await desk.price(109_000, 109_010)
    await ended_by(desk, ticket, Reason.TP, 109_000, 6_500)


async def ended_by(desk: Desk, ticket: int, reason: Reason, price: int, profit: int) -> None:
    assert desk.position(ticket).volume == 0
    deal = desk.deals()[-1]
    assert (deal.position_ticket, deal.entry, deal.reason) == (ticket, DealEntry.OUT, reason)
    assert (deal.price, deal.profit) == (price, profit)
    closing = desk.order(deal.order_ticket)
    assert (closing.status, closing.reason) == (OrderStatus.FILLED, reason)
    assert (await desk.connector.snapshot()).positions == ()
    assert desk.connector.figures().balance == BALANCE + profit


# --- change ----------------------------------------------------------------------------------


@card(8, "a resting order takes a new price, stops and lifetime; a position takes new stops")
async def modify(desk: Desk) -> None:
    resting = (
        await desk.pending(OrderType.BUY_LIMIT, 108_000, filling=Filling.RETURN)
    ).order_ticket
    expires_ms = desk.connector.time_ms() + 3_600_000
    report = await desk.ask(
        Action.MODIFY,
        order_ticket=resting,
        price=107_900,
        sl=107_000,
        tp=109_000,
        time_in_force=TimeInForce.SPECIFIED,
        expires_ms=expires_ms,
    )
    assert report.retcode == Retcode.DONE
    order = desk.order(resting)
    assert (order.status, order.price) == (OrderStatus.PLACED, 107_900)
    assert (order.sl, order.tp, order.expires_ms) == (107_000, 109_000, expires_ms)
    ticket = await opened(desk)
    report = await desk.ask(Action.SLTP, position_ticket=ticket, sl=108_000, tp=109_000)
    assert report.retcode == Retcode.DONE
    assert (desk.position(ticket).sl, desk.position(ticket).tp) == (108_000, 109_000)


@card(9, "a resting order is removed once")
async def remove(desk: Desk) -> None:
    ticket = (await desk.pending(OrderType.BUY_LIMIT, 108_000, filling=Filling.RETURN)).order_ticket
    report = await desk.ask(Action.REMOVE, order_ticket=ticket)
    assert report.retcode == Retcode.DONE
    assert desk.order(ticket).status is OrderStatus.CANCELED
    assert (await desk.connector.snapshot()).orders == ()
    refused(await desk.ask(Action.REMOVE, order_ticket=ticket), Retcode.INVALID_ORDER)


@card(10, "part of a position is closed, and the rest stays as it was", PRICED)
async def partial_close(desk: Desk) -> None:
    ticket = await opened(desk, sl=108_000, magic=7)
    await desk.price(108_450, 108_460)
    report = await closed(desk, ticket, VOLUME // 2)
    assert report.retcode == Retcode.DONE
    rest = desk.position(ticket)
    assert (rest.volume, rest.open_price) == (VOLUME // 2, ASK)
    assert (rest.sl, rest.magic) == (108_000, 7)
    deal = desk.deals()[-1]
    assert (deal.entry, deal.volume, deal.profit) == (DealEntry.OUT, VOLUME // 2, 500)
    assert desk.connector.figures().balance == BALANCE + 500


@card(11, "a whole position is closed once, and its profit is booked", PRICED)
async def close(desk: Desk) -> None:
    ticket = await opened(desk)
    await desk.price(109_000, 109_010)
    assert desk.connector.position_profit(ticket) == 6_500
    report = await closed(desk, ticket)
    assert kinds_of(report.facts) == [OrderFact, DealFact, PositionFact, BalanceFact]
    assert desk.position(ticket).volume == 0
    assert report.facts[-1] == BalanceFact(balance=BALANCE + 6_500, credit=0)
    figures = desk.connector.figures()
    assert (figures.equity, figures.margin) == (BALANCE + 6_500, 0)
    refused(await closed(desk, ticket), Retcode.POSITION_CLOSED)


# --- refusals --------------------------------------------------------------------------------


@card(12, "a volume off the minimum, maximum or step is refused with 10014")
async def invalid_volume(desk: Desk) -> None:
    spec = desk.connector.specs()[SYMBOL]
    for volume in (0, spec.volume_min - 1, spec.volume_min + 1, spec.volume_max + spec.volume_step):
        refused(await desk.market(OrderType.BUY, volume), Retcode.INVALID_VOLUME)


@card(13, "stops on the wrong side or too near are refused with 10016")
async def invalid_stops(desk: Desk) -> None:
    for stops in ({"sl": BID}, {"tp": BID}, {"sl": 109_000}, {"tp": 108_000}):
        refused(await desk.market(OrderType.BUY, **stops), Retcode.INVALID_STOPS)
    ticket = await opened(desk)
    report = await desk.ask(Action.SLTP, position_ticket=ticket, sl=109_000)
    refused(report, Retcode.INVALID_STOPS)


@card(14, "an order beyond the free margin is refused with 10019")
async def no_money(desk: Desk) -> None:
    refused(await desk.market(OrderType.BUY, 90 * LOT), Retcode.NO_MONEY)
    assert desk.connector.figures().margin == 0


@card(15, "a closed market is refused with 10018", ("keeps_sessions",), Setting(market_closed=True))
async def market_closed(desk: Desk) -> None:
    assert not desk.connector.market_open(SYMBOL, desk.connector.time_ms())
    refused(await desk.market(OrderType.BUY), Retcode.MARKET_CLOSED)
    report = await desk.pending(OrderType.BUY_LIMIT, 108_000, filling=Filling.RETURN)
    refused(report, Retcode.MARKET_CLOSED)


@card(16, "a modification that changes nothing is refused with 10025")
async def no_changes(desk: Desk) -> None:
    ticket = await opened(desk, sl=108_000)
    same = await desk.ask(Action.SLTP, position_ticket=ticket, sl=108_000)
    refused(same, Retcode.NO_CHANGES)
    resting = (
        await desk.pending(OrderType.BUY_LIMIT, 108_000, filling=Filling.RETURN)
    ).order_ticket
    same = await desk.ask(Action.MODIFY, order_ticket=resting, price=108_000)
    refused(same, Retcode.NO_CHANGES)


# --- memory ----------------------------------------------------------------------------------


@card(17, "an order is found again by the tag in its comment")
async def lookup(desk: Desk) -> None:
    filled = await desk.market(OrderType.BUY, comment="~aaaaaaaaaa mine")
    resting = await desk.pending(
        OrderType.BUY_LIMIT, 108_000, comment="~bbbbbbbbbb ", filling=Filling.RETURN
    )
    found = await _found(desk, "~aaaaaaaaaa ")
    assert (found.ticket, found.status) == (filled.order_ticket, OrderStatus.FILLED)
    found = await _found(desk, "~bbbbbbbbbb ")
    assert (found.ticket, found.status) == (resting.order_ticket, OrderStatus.PLACED)
    nothing = await desk.connector.lookup("~cccccccccc ", 0)
    assert (nothing.state, nothing.report) == (LookupState.NONE, None)


async def _found(desk: Desk, tag: str) -> OrderFact:
    lookup = await desk.connector.lookup(tag, 0)
    assert lookup.state is LookupState.DONE
    assert lookup.report is not None
    [order] = [fact for fact in lookup.report.facts if isinstance(fact, OrderFact)]
    return order


async def a_busy_day(desk: Desk) -> None:
    """Orders of every fate: open, closed in part and whole, resting, filled, removed, stopped."""
    first = await opened(desk, sl=107_000, magic=1, comment="first")
    await opened(desk, OrderType.SELL, tp=108_000, comment="second")
    gone = await opened(desk)
    await closed(desk, gone)
    await closed(desk, first, VOLUME // 2)
    for type_, price in ((OrderType.BUY_LIMIT, 107_500), (OrderType.SELL_STOP, 107_600)):
        resting = await desk.pending(type_, price, filling=Filling.RETURN, comment="rests")
        await desk.ask(
            Action.MODIFY,
            order_ticket=resting.order_ticket,
            time_in_force=TimeInForce.SPECIFIED,
            expires_ms=desk.connector.time_ms() + 3_600_000,
        )
    removed = await desk.pending(OrderType.BUY_STOP, 109_500, filling=Filling.RETURN)
    await desk.ask(Action.REMOVE, order_ticket=removed.order_ticket)
    await desk.pending(
        OrderType.BUY_STOP_LIMIT, 109_000, stop_limit=108_850, filling=Filling.RETURN
    )
    await desk.price(108_990, 109_000)
    await desk.price(107_990, 108_000)


@card(18, "the snapshot is what the facts say", PRICED)
async def snapshot_is_the_facts(desk: Desk) -> None:
    await a_busy_day(desk)
    orders = {fact.ticket: fact for fact in desk.facts if isinstance(fact, OrderFact)}
    positions = {fact.ticket: fact for fact in desk.facts if isinstance(fact, PositionFact)}
    money = [fact for fact in desk.facts if isinstance(fact, BalanceFact)][-1]
    snapshot = await desk.connector.snapshot()
    resting = [order for order in orders.values() if order.status is OrderStatus.PLACED]
    assert sorted(snapshot.orders, key=lambda o: o.ticket) == resting
    held = [position for position in positions.values() if position.volume]
    assert sorted(snapshot.positions, key=lambda p: p.ticket) == held
    assert (snapshot.balance, snapshot.credit) == (money.balance, money.credit)
    assert money.balance == sum(
        deal.profit + deal.swap + deal.commission + deal.fee for deal in desk.deals()
    )
    for ticket, position in positions.items():
        deals = [deal for deal in desk.deals() if deal.position_ticket == ticket]
        signed = (d.volume if d.entry is DealEntry.IN else -d.volume for d in deals)
        assert sum(signed) == position.volume


@card(
    19,
    "a terminal rebuilt from committed facts holds the same and goes on",
    (*PRICED, "in_process"),
)
async def rebuilt(desk: Desk) -> None:
    await a_busy_day(desk)
    desk.journal.save_checkpoint(desk.account.id, desk.connector.checkpoint() or b"")
    await desk.market(OrderType.BUY)  # the journal works in order: the checkpoint is in it now
    before = await desk.connector.snapshot()
    again = desk.reopened()
    after = await again.snapshot()
    assert after.orders == before.orders
    assert after.positions == before.positions
    assert (after.balance, after.credit) == (before.balance, before.credit)
    assert again.figures() == desk.connector.figures()
    sell = desk.request(Action.DEAL, type=OrderType.SELL, volume=VOLUME)
    assert again.hand_over(sell) == desk.connector.hand_over(sell)


@card(20, "a checkpoint keeps the prices", (*PRICED, "in_process"))
async def checkpoint(desk: Desk) -> None:
    await desk.price(107_777, 107_790)
    body = desk.connector.checkpoint()
    assert body is not None
    desk.journal.save_checkpoint(desk.account.id, body)
    await opened(desk)
    again = desk.reopened()
    for symbol in desk.connector.specs():
        assert again.quote(symbol) == desk.connector.quote(symbol)
    quote = again.quote(SYMBOL)
    assert quote is not None
    assert (quote.bid, quote.ask) == (107_777, 107_790)


# --- capabilities ----------------------------------------------------------------------------


@card(21, "a position is closed by its opposite", ("close_by",))
async def close_by(desk: Desk) -> None:
    buy, sell = await opened(desk), await opened(desk, OrderType.SELL)
    report = await desk.ask(Action.CLOSE_BY, position_ticket=buy, position_by=sell)
    assert report.retcode == Retcode.DONE
    assert desk.position(buy).volume == desk.position(sell).volume == 0
    assert {deal.entry for deal in desk.deals()[-2:]} == {DealEntry.OUT_BY}
    assert desk.connector.figures().balance == BALANCE - 100  # the spread of 0.1 lots


@card(22, "the terminal's own history tells the deals again", ("history",))
async def history(desk: Desk) -> None:
    start_ms = desk.connector.time_ms()
    await closed(desk, await opened(desk))
    assert list((await desk.connector.history(start_ms)).deals) == desk.deals()
    later = await desk.connector.history(desk.connector.time_ms() + 1)
    assert (later.orders, later.deals) == ((), ())


# --- time and order --------------------------------------------------------------------------


@card(23, "an order whose lifetime ends expires", PRICED)
async def expires(desk: Desk) -> None:
    report = await desk.pending(
        OrderType.BUY_LIMIT,
        108_000,
        filling=Filling.RETURN,
        time_in_force=TimeInForce.SPECIFIED,
        expires_ms=desk.connector.time_ms() + 1_000,
    )
    desk.clock.advance(999)
    await desk.price(BID, ASK)
    assert desk.order(report.order_ticket).status is OrderStatus.PLACED
    desk.clock.advance(1)
    await desk.price(107_990, 108_000)
    assert desk.order(report.order_ticket).status is OrderStatus.EXPIRED
    late = await desk.pending(
        OrderType.BUY_LIMIT,
        107_000,
        filling=Filling.RETURN,
        time_in_force=TimeInForce.SPECIFIED,
        expires_ms=desk.connector.time_ms(),
    )
    refused(late, Retcode.INVALID_EXPIRATION)


@card(24, "a tick is shown after all that it did", PRICED)
async def facts_before_ticks(desk: Desk) -> None:
    await opened(desk, sl=108_000)
    desk.told.clear()
    await desk.price(107_990, 108_000)
    assert desk.told == [
        "OrderFact",
        "DealFact",
        "PositionFact",
        "BalanceFact",
        f"tick {SYMBOL} 107990",
    ]


@card(25, "tickets are never given twice, and refusals take none")
async def tickets(desk: Desk) -> None:
    first = await desk.market(OrderType.BUY)
    refused(await desk.market(OrderType.BUY, 90 * LOT), Retcode.NO_MONEY)
    second = await desk.market(OrderType.BUY)
    assert first.order_ticket is not None
    assert second.order_ticket == first.order_ticket + 1
    numbers = [deal.ticket for deal in desk.deals()]
    assert numbers == sorted(set(numbers))
