"""What happened at a terminal while nobody looked, as the facts that its events would have been.

Pure: the book and what the terminal shows go in, facts come out, oldest first. Booking facts twice
changes nothing, so that what is known already may be among them.
"""

from msgspec.structs import replace

from fxsocket_server.gateway.book import Book
from fxsocket_server.model.enums import (
    DONE_STATUSES,
    DealEntry,
    DealType,
    OrderStatus,
    PositionStatus,
    Side,
)
from fxsocket_server.model.facts import (
    BalanceFact,
    DealFact,
    Fact,
    PositionFact,
    TerminalHistory,
    TerminalSnapshot,
)
from fxsocket_server.model.records import Order, Position

_SIDES = {DealType.BUY: Side.BUY, DealType.SELL: Side.SELL}


def reconciled_facts(
    book: Book, snapshot: TerminalSnapshot, history: TerminalHistory
) -> tuple[Fact, ...]:
    """The facts that carry a book to what the terminal shows."""
    open_tickets = {position.ticket for position in snapshot.positions}
    facts: list[Fact] = []
    passing: dict[int, PositionFact] = {}  # positions that came and went unseen
    done = {order.ticket: order for order in history.orders}
    for deal in history.deals:
        order = done.pop(deal.order_ticket or 0, None)
        if order is not None:
            facts.append(order)
        facts += _with_unseen_position(book, open_tickets, passing, deal)
    facts += done.values()
    facts += snapshot.orders
    facts += snapshot.positions
    facts += [
        _closed(position, snapshot.time_ms)
        for position in book.positions.values()
        if position.status is PositionStatus.OPEN and position.ticket not in open_tickets
    ]
    facts += [fact for fact in passing.values() if fact.volume == 0]
    facts.append(BalanceFact(balance=snapshot.balance, credit=snapshot.credit))
    return tuple(facts)


def vanished_orders(
    book: Book, snapshot: TerminalSnapshot, history: TerminalHistory
) -> list[Order]:
    """Orders that the broker had, and that it shows neither as resting nor as done."""
    shown = {fact.ticket for fact in (*snapshot.orders, *history.orders)}
    return [
        order
        for order in book.orders.values()
        if order.ticket is not None
        and order.ticket not in shown
        and order.status not in DONE_STATUSES
        and order.status is not OrderStatus.PENDING
    ]


def unexplained_since_ms(
    book: Book, snapshot: TerminalSnapshot, history: TerminalHistory
) -> int | None:
    """Since when a history must be read to tell of all that the terminal shows no more, or None."""
    open_tickets = {position.ticket for position in snapshot.positions}
    closed = {deal.position_ticket for deal in history.deals if deal.entry is not DealEntry.IN}
    since = [order.created_ms for order in vanished_orders(book, snapshot, history)]
    since += [
        position.opened_ms
        for position in book.positions.values()
        if position.status is PositionStatus.OPEN and position.ticket not in open_tickets | closed
    ]
    return min(since, default=None)


def _with_unseen_position(
    book: Book, open_tickets: set[int], passing: dict[int, PositionFact], deal: DealFact
) -> list[Fact]:
    """A deal, and the position that it opens if that was closed before anybody saw it."""
    ticket = deal.position_ticket
    if ticket is None or ticket in open_tickets or book.position_by_ticket(ticket) is not None:
        return [deal]
    if deal.entry is DealEntry.IN and ticket not in passing and deal.type in _SIDES:
        passing[ticket] = _opened(deal, ticket)
        return [deal, passing[ticket]]
    if ticket in passing:
        passing[ticket] = _after(passing[ticket], deal)
    return [deal]


def _opened(deal: DealFact, ticket: int) -> PositionFact:
    return PositionFact(
        ticket=ticket,
        symbol=deal.symbol or "",
        digits=deal.digits,
        side=_SIDES[deal.type],
        volume=deal.volume,
        open_price=deal.price or 0,
        sl=None,
        tp=None,
        swap=0,
        commission=deal.commission,
        magic=deal.magic,
        comment=deal.comment,
        order_ticket=deal.order_ticket or ticket,
        opened_ms=deal.time_ms,
        time_ms=deal.time_ms,
    )


def _after(fact: PositionFact, deal: DealFact) -> PositionFact:
    left = fact.volume + (deal.volume if deal.entry is DealEntry.IN else -deal.volume)
    return replace(fact, volume=max(left, 0), time_ms=deal.time_ms)


def _closed(position: Position, time_ms: int) -> PositionFact:
    """The fact that a position of the book is not open any more."""
    return PositionFact(
        ticket=position.ticket,
        symbol=position.symbol,
        digits=position.digits,
        side=position.side,
        volume=0,
        open_price=position.open_price,
        open_extra=position.open_extra,
        sl=position.sl,
        tp=position.tp,
        swap=0,
        commission=position.commission,
        magic=position.magic,
        comment=position.comment,
        order_ticket=position.ticket,
        opened_ms=position.opened_ms,
        time_ms=time_ms,
    )
