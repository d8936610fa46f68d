"""Turns intents and a terminal's facts into a numbered change: records and events.

Applying a fact twice changes nothing: facts are keyed by the broker's own numbers, and what is
booked already is skipped.
"""

import re
from collections.abc import Callable

from msgspec.structs import replace

from fxsocket_server.core.codec import encode
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.book import Book
from fxsocket_server.gateway.booking_order import in_booking_order
from fxsocket_server.gateway.changes import Change, Event, Table
from fxsocket_server.gateway.payloads import balance_payload, deal_payload, position_payload
from fxsocket_server.gateway.views import order_view
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import (
    DONE_STATUSES,
    DealEntry,
    DealType,
    MarginMode,
    OrderStatus,
    Platform,
    PositionStatus,
)
from fxsocket_server.model.facts import BalanceFact, DealFact, Fact, OrderFact, PositionFact
from fxsocket_server.model.netting import shares_after
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.model.units import div_half_away

_REST = re.compile(r"from #([0-9]{1,18})\b")

_ORDER_EVENTS = {
    OrderStatus.PENDING: "order.pending",
    OrderStatus.PLACED: "order.placed",
    OrderStatus.PARTIALLY_FILLED: "order.partially_filled",
    OrderStatus.FILLED: "order.filled",
    OrderStatus.CANCELED: "order.canceled",
    OrderStatus.REJECTED: "order.rejected",
    OrderStatus.EXPIRED: "order.expired",
    OrderStatus.UNKNOWN: "order.unknown",
}

_BALANCE_EVENTS = {
    DealType.BALANCE: "balance.deposit",
    DealType.CREDIT: "balance.credit",
    DealType.CORRECTION: "balance.correction",
}


_TAG_CHARS = 12


def tag_of(comment: str) -> str:
    """The tag of ours that a broker comment begins with, or nothing."""
    is_tagged = comment.startswith("~") and comment[_TAG_CHARS - 1 : _TAG_CHARS] == " "
    return comment[:_TAG_CHARS] if is_tagged else ""


def untagged(comment: str) -> str:
    """A broker comment without the tag of ours that it may begin with."""
    return comment[len(tag_of(comment)) :]


class Recorder:
    """Folds intents and facts into the book and into a change, in one pass."""

    def __init__(
        self,
        account: Account,
        book: Book,
        ids: IdFactory,
        is_booked: Callable[[Table, int], bool],
        done_order_by_tag: Callable[[str], Order | None] | None = None,
    ) -> None:
        """`done_order_by_tag` finds orders of before, where a terminal outside may correct them."""
        self.account = account
        self.book = book
        self._ids = ids
        self._is_durable = is_booked
        self._done_order_by_tag = done_order_by_tag
        self._reserved: dict[int, str] = {}
        self._nets = account.margin_mode is not MarginMode.HEDGING

    def begin(self, time_ms: int) -> Change:
        """An empty change of this account at a broker time."""
        return Change(
            user_id=self.account.user_id,
            account_id=self.account.id,
            time_ms=time_ms,
            events=[],
            orders={},
            order_json={},
            positions={},
            deals=[],
        )

    def event(self, change: Change, type_: str, payload: bytes) -> None:
        """Number an event and add it to the change."""
        self.book.head_seq += 1
        change.events.append(
            Event(self.account.id, self.book.head_seq, type_, change.time_ms, payload)
        )

    def order(self, change: Change, order: Order, event_type: str | None = None) -> None:
        """Record a new version of an order and the event that tells of it."""
        self.book.put_order(order)
        change.orders[order.id] = order
        body = change.order_json[order.id] = encode(order_view(order))
        self.event(change, event_type or _ORDER_EVENTS[order.status], b'"order":' + body)

    def facts(self, change: Change, facts: tuple[Fact, ...], order_id: str | None = None) -> None:
        """Apply a terminal's facts, told in any order; `order_id` is our order they answer."""
        for fact in in_booking_order(facts, self._is_new):
            if type(fact) is OrderFact:
                self._order_fact(change, fact, order_id)
            elif type(fact) is DealFact:
                self._deal_fact(change, fact)
            elif type(fact) is PositionFact:
                self._position_fact(change, fact)
            elif type(fact) is BalanceFact:
                self._balance_fact(change, fact)

    def _is_booked(self, table: Table, ticket: int) -> bool:
        """Whether what is not live was booked before; what is new is told without the disk."""
        return not self.book.is_highest(table, ticket) and self._is_durable(table, ticket)

    # --- orders ------------------------------------------------------------------------------

    def _order_fact(self, change: Change, fact: OrderFact, order_id: str | None) -> None:
        known = self._known_order(fact, order_id)
        if self._is_past(known, fact):
            return
        position_id = self._position_id(fact.position_ticket)
        if known is None:
            order = self._order_of_terminal(fact, position_id)
        else:
            order = self._next_version(known, fact, position_id)
        if order != known:
            self.order(change, order, _told_as(known, order))

    def _known_order(self, fact: OrderFact, order_id: str | None) -> Order | None:
        """Our order behind a fact: by its number, as the one that the fact answers, or by tag."""
        known = self.book.order_by_ticket(fact.ticket)
        if known is not None:
            return known
        intent = self.book.orders.get(order_id or "")
        if intent is not None and intent.ticket is None:
            return intent
        tag = tag_of(fact.comment)
        if not tag:
            return None
        live = self.book.order_by_tag(tag)
        if live is not None or self._done_order_by_tag is None:
            return live
        done = self._done_order_by_tag(tag)
        return done if done is not None and done.ticket is None else None

    def _is_past(self, known: Order | None, fact: OrderFact) -> bool:
        """Whether a fact tells what an order was before what is known of it."""
        if known is None:
            return self._is_booked("orders", fact.ticket)
        if fact.filled_volume < known.filled_volume:
            return True
        return (
            known.ticket is not None
            and known.status in DONE_STATUSES
            and fact.status not in DONE_STATUSES
        )

    def _next_version(self, known: Order, fact: OrderFact, position_id: str | None) -> Order:
        order = replace(
            known,
            type=fact.type,
            status=fact.status,
            ticket=fact.ticket,
            filled_volume=fact.filled_volume,
            time_in_force=fact.time_in_force,
            requested_price=fact.price if not known.type.is_market else known.requested_price,
            price=fact.filled_price,
            stop_limit_price=fact.stop_limit,
            sl=fact.sl,
            tp=fact.tp,
            expires_ms=fact.expires_ms,
            position_id=position_id or known.position_id,
            retcode=fact.retcode,
            reason=None if _was_uncertain(known) else known.reason,
        )
        # A fact that tells nothing new must not make a new version, nor an event.
        return known if order == known else replace(order, updated_ms=fact.time_ms)

    def _order_of_terminal(self, fact: OrderFact, position_id: str | None) -> Order:
        """An order that did not come through us: SL, TP, or made by hand."""
        return Order(
            id=self._ids.make("ord_"),
            user_id=self.account.user_id,
            account_id=self.account.id,
            client_order_id=None,
            symbol=fact.symbol,
            digits=fact.digits,
            type=fact.type,
            status=fact.status,
            volume=fact.volume,
            filled_volume=fact.filled_volume,
            requested_price=fact.price,
            price=fact.filled_price,
            stop_limit_price=fact.stop_limit,
            sl=fact.sl,
            tp=fact.tp,
            filling=fact.filling,
            time_in_force=fact.time_in_force,
            expires_ms=fact.expires_ms,
            magic=fact.magic,
            comment=untagged(fact.comment),
            ticket=fact.ticket,
            position_id=position_id,
            retcode=fact.retcode,
            reason=fact.reason.value.lower(),
            created_ms=fact.placed_ms,
            updated_ms=fact.time_ms,
        )

    # --- deals -------------------------------------------------------------------------------

    def _is_new(self, fact: DealFact) -> bool:
        ticket = fact.ticket
        return ticket not in self.book.new_deals and not self._is_booked("deals", ticket)

    def _deal_fact(self, change: Change, fact: DealFact) -> None:
        if not self._is_new(fact):
            return
        self.book.add_deal(fact.ticket)
        self.book.last_deal_ms = max(self.book.last_deal_ms, fact.time_ms)
        order = self.book.order_by_ticket(fact.order_ticket)
        position = self.book.position_by_ticket(fact.position_ticket)
        deal = Deal(
            id=self._ids.make("deal_"),
            user_id=self.account.user_id,
            account_id=self.account.id,
            ticket=fact.ticket,
            order_id=order.id if order is not None else None,
            position_id=self._position_id(fact.position_ticket),
            symbol=fact.symbol,
            digits=fact.digits,
            type=fact.type,
            entry=fact.entry,
            volume=fact.volume,
            price=fact.price,
            profit=fact.profit,
            swap=fact.swap,
            commission=fact.commission,
            fee=fact.fee,
            magic=fact.magic,
            comment=untagged(fact.comment),
            reason=fact.reason,
            time_ms=fact.time_ms,
        )
        change.deals.append(deal)
        type_ = _BALANCE_EVENTS.get(fact.type, "deal.added")
        self.event(change, type_, deal_payload(deal, self.account.money_digits))
        if position is not None and fact.entry is not None:
            self.book.put_position(self._after_deal(position, fact, order))

    def _after_deal(self, position: Position, deal: DealFact, order: Order | None) -> Position:
        if self._nets and deal.entry is not None:
            shares = shares_after(
                position.shares,
                deal.entry,
                deal.volume,
                "" if order is None else order.id,
                held=position.volume,
                closes=None if order is None else order.closes_order_id,
            )
            position = replace(position, shares=shares)
        return position if deal.entry is DealEntry.IN else _booked(position, deal)

    def _position_id(self, ticket: int | None) -> str | None:
        """The id of a position; one that the next fact opens gets its id now."""
        if ticket is None:
            return None
        position = self.book.position_by_ticket(ticket)
        if position is not None:
            return position.id
        if ticket not in self._reserved:
            self._reserved[ticket] = self._ids.make("pos_")
        return self._reserved[ticket]

    # --- positions and balance ---------------------------------------------------------------

    def _position_fact(self, change: Change, fact: PositionFact) -> None:
        known = self.book.position_by_ticket(fact.ticket)
        if known is None:
            if fact.volume == 0 or self._is_booked("positions", fact.ticket):
                return
            opened = self._position_of_terminal(change, fact)
            self._reserved.pop(fact.ticket, None)
            self._position(change, self._position_version(opened, fact), "position.opened")
        elif known.status is PositionStatus.OPEN:
            position = self._position_version(known, fact)
            if replace(position, updated_ms=known.updated_ms) != known:
                closed = position.status is PositionStatus.CLOSED
                type_ = "position.closed" if closed else "position.changed"
                self._position(change, position, type_)

    def _position_version(self, known: Position, fact: PositionFact) -> Position:
        return replace(
            known,
            side=fact.side,
            status=PositionStatus.OPEN if fact.volume else PositionStatus.CLOSED,
            volume=fact.volume,
            open_price=fact.open_price,
            open_extra=fact.open_extra,
            sl=fact.sl,
            tp=fact.tp,
            swap=fact.swap,
            commission=fact.commission if fact.volume else known.commission,
            updated_ms=fact.time_ms,
        )

    def _position(self, change: Change, position: Position, type_: str) -> None:
        self.book.put_position(position)
        change.positions[position.id] = position
        self.event(change, type_, position_payload(position, self.account.money_digits))

    def _position_of_terminal(self, change: Change, fact: PositionFact) -> Position:
        order = self.book.order_by_ticket(fact.order_ticket)
        position_id = self._position_id(fact.ticket) or ""
        order_id, comment = order.id if order is not None else None, untagged(fact.comment)
        origin = self._continued(change, fact, position_id)
        if origin is not None:
            order_id, comment = origin.order_id, origin.comment
        return Position(
            id=position_id,
            user_id=self.account.user_id,
            account_id=self.account.id,
            ticket=fact.ticket,
            symbol=fact.symbol,
            digits=fact.digits,
            side=fact.side,
            status=PositionStatus.OPEN,
            volume=fact.volume,
            open_price=fact.open_price,
            magic=fact.magic,
            comment=comment,
            order_id=order_id,
            opened_ms=fact.opened_ms,
            updated_ms=fact.time_ms,
            shares=((order_id or "", fact.volume),) if self._nets else (),
        )

    def _continued(self, change: Change, fact: PositionFact, position_id: str) -> Position | None:
        """The position whose rest this one is: MT4 opens the rest of a partial close anew."""
        named = _REST.match(fact.comment) if self.account.platform == Platform.MT4 else None
        origin = None if named is None else self.book.position_by_ticket(int(named[1]))
        if origin is not None:
            origin = replace(origin, continued_id=position_id)
            self.book.put_position(origin)
            change.positions[origin.id] = origin
        return origin

    def _balance_fact(self, change: Change, fact: BalanceFact) -> None:
        if (fact.balance, fact.credit) == (self.book.balance, self.book.credit):
            return
        self.book.balance = change.balance = fact.balance
        self.book.credit = change.credit = fact.credit
        payload = balance_payload(
            fact.balance, fact.credit, self.account.currency, self.account.money_digits
        )
        self.event(change, "balance.changed", payload)


def _was_uncertain(known: Order) -> bool:
    """Whether what was said of an order so far was not the broker's word."""
    return known.ticket is None or known.status is OrderStatus.UNKNOWN


def _told_as(known: Order | None, order: Order) -> str | None:
    """The event of an order's new version, where its status alone does not say it."""
    if known is None:
        return None
    if known.status in DONE_STATUSES and known.ticket is None:
        return "order.corrected"  # it was given up, and happened after all
    same = (known.status, known.filled_volume) == (order.status, order.filled_volume)
    return "order.modified" if same else None


def _booked(position: Position, deal: DealFact) -> Position:
    """A position after a closing deal: profit added, close price averaged over closed volume.

    A netting deal that turns a position round closes no more than was open.
    """
    volume = min(deal.volume, position.volume)
    closed = position.closed_volume + volume
    price = deal.price or 0
    if position.close_price is not None and closed:
        before = position.close_price * position.closed_volume
        price = div_half_away(before + price * volume, closed)
    return replace(
        position,
        close_price=price,
        closed_volume=closed,
        profit=position.profit + deal.profit,
        closed_swap=position.closed_swap + deal.swap,
        commission=position.commission + deal.commission,
    )
