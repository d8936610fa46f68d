"""An account's book: what is live now, as the lane has decided it.

The book may be ahead of the journal by the changes under way. Whoever shows it to a client first
waits until what was read is durable (`Lane.settled`).
"""

from fxsocket_server.gateway.changes import AccountState, Change, Table
from fxsocket_server.model.enums import DONE_STATUSES, PositionStatus
from fxsocket_server.model.records import Order, Position


class Book:
    """Live orders and open positions by id and by ticket, and the balance."""

    def __init__(self, state: AccountState) -> None:
        self.epoch = state.epoch
        self.head_seq = state.head_seq
        self.last_deal_ms = state.last_deal_ms  # up to here a terminal's history was read
        self.balance = state.balance
        self.credit = state.credit
        self.orders: dict[str, Order] = {}
        self.positions: dict[str, Position] = {}
        self._order_by_ticket: dict[int, str] = {}
        self._order_by_tag: dict[str, str] = {}
        self._position_by_ticket: dict[int, str] = {}
        self.new_deals: set[int] = set()  # tickets of deals that are not durable yet
        self._last_ticket: dict[Table, int] = {
            "orders": state.last_order_ticket,
            "positions": state.last_position_ticket,
            "deals": state.last_deal_ticket,
        }
        for order in state.orders:
            self.put_order(order)
        for position in state.positions:
            self.put_position(position)

    def put_order(self, order: Order) -> None:
        """Keep the newest version of an order."""
        self.orders[order.id] = order
        if order.ticket is not None:
            self._order_by_ticket[order.ticket] = order.id
            self._order_by_tag.pop(order.tag, None)
            self._saw("orders", order.ticket)
        elif order.tag:
            self._order_by_tag[order.tag] = order.id

    def put_position(self, position: Position) -> None:
        """Keep the newest version of a position."""
        self.positions[position.id] = position
        self._position_by_ticket[position.ticket] = position.id
        self._saw("positions", position.ticket)

    def add_deal(self, ticket: int) -> None:
        """Keep the number of a deal until it is durable."""
        self.new_deals.add(ticket)
        self._saw("deals", ticket)

    def _saw(self, table: Table, ticket: int) -> None:
        self._last_ticket[table] = max(ticket, self._last_ticket[table])

    def is_highest(self, table: Table, ticket: int) -> bool:
        """Whether a number is above all that were ever booked: then it is new for certain."""
        return ticket > self._last_ticket[table]

    def order_by_ticket(self, ticket: int | None) -> Order | None:
        """The order that the broker knows by this number, if it is live."""
        order_id = None if ticket is None else self._order_by_ticket.get(ticket)
        return None if order_id is None else self.orders.get(order_id)

    def order_by_tag(self, tag: str) -> Order | None:
        """The live order that was sent with a tag and has no number of the broker's yet."""
        order_id = self._order_by_tag.get(tag)
        return None if order_id is None else self.orders.get(order_id)

    def position_by_ticket(self, ticket: int | None) -> Position | None:
        """The position that the broker knows by this number, if it is live."""
        position_id = None if ticket is None else self._position_by_ticket.get(ticket)
        return None if position_id is None else self.positions.get(position_id)

    def drop_done(self, change: Change) -> None:
        """Forget the done orders, closed positions and deals of a change that is durable now."""
        self.new_deals.difference_update(deal.ticket for deal in change.deals)
        for order_id in change.orders:
            order = self.orders.get(order_id)
            if order is not None and order.status in DONE_STATUSES:
                del self.orders[order_id]
                self._order_by_tag.pop(order.tag, None)
                if order.ticket is not None:
                    self._order_by_ticket.pop(order.ticket, None)
        for position_id in change.positions:
            position = self.positions.get(position_id)
            if position is not None and position.status is PositionStatus.CLOSED:
                del self.positions[position_id]
                self._position_by_ticket.pop(position.ticket, None)
