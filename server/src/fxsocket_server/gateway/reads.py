"""Read orders and positions: live ones from the book, done ones from the journal."""

from typing import TYPE_CHECKING

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Change
from fxsocket_server.gateway.views import PositionView, position_view
from fxsocket_server.model.enums import PositionStatus, Side
from fxsocket_server.model.records import Order, Position

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane


def order_by_id(lane: "Lane", order_id: str) -> Order:
    """An order of the account; raises `not_found`."""
    order = lane.book.orders.get(order_id) or lane.journal.order(lane.account.id, order_id)
    if order is None:
        raise Problem("not_found", f"no order {order_id[:64]!r} in this account")
    return order


def order_by_client_id(lane: "Lane", client_order_id: str) -> Order:
    """An order by the id that its client gave it; raises `not_found`."""
    for order in lane.book.orders.values():
        if order.client_order_id == client_order_id:
            return order
    found = lane.journal.order_by_client_id(lane.account.id, client_order_id)
    if found is None:
        raise Problem("not_found", f"no order with client_order_id {client_order_id[:64]!r}")
    return found


def position_by_id(lane: "Lane", position_id: str) -> Position:
    """A position of the account; raises `not_found`."""
    position = lane.book.positions.get(position_id)
    if position is None:
        position = lane.journal.position(lane.account.id, position_id)
    if position is None:
        raise Problem("not_found", f"no position {position_id[:64]!r} in this account")
    return position


def rest_of(lane: "Lane", position: Position, change: Change | None = None) -> Position:
    """Where a position goes on: on MT4 the rest of a partial close is a position of its own.

    A `change` under way may hold positions that are newer than what can be read.
    """
    newer = change.positions if change is not None else {}
    while position.continued_id is not None:  # every one was opened after the one before
        next_id = position.continued_id
        position = newer.get(next_id) or position_by_id(lane, next_id)
    return position


def open_position_view(lane: "Lane", position: Position) -> PositionView:
    """A position as it stands: at the price that would close it, or at its closing price."""
    money_digits = lane.account.money_digits
    if position.status is PositionStatus.CLOSED:
        return position_view(position, position.close_price, position.profit, money_digits)
    quote = lane.connector.quote(position.symbol)
    current = None
    if quote is not None:
        current = quote.bid if position.side is Side.BUY else quote.ask
    profit = lane.connector.position_profit(position.ticket)
    return position_view(position, current, profit, money_digits)


def list_positions(
    lane: "Lane", symbol: str | None = None, magic: int | None = None
) -> list[PositionView]:
    """Open positions in the order in which they were opened."""
    return [
        open_position_view(lane, position)
        for position in lane.book.positions.values()
        if position.status is PositionStatus.OPEN
        and (symbol is None or position.symbol == symbol)
        and (magic is None or position.magic == magic)
    ]
