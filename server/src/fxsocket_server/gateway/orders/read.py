"""Read orders: live ones from the book, done ones from the journal."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.model.records import Order


def order_by_id(lane: Lane, order_id: str) -> Order:
    """An order of the account; raises `not_found`."""
    order = lane.book.orders.get(order_id) or lane.journal.order(lane.account.id, order_id)
    if order is None:
        raise Problem("not_found", f"no order {order_id[:64]!r} in this account")
    return order


def order_by_client_id(lane: Lane, client_order_id: str) -> Order:
    """An order by the id that its client gave it; raises `not_found`."""
    for order in lane.book.orders.values():
        if order.client_order_id == client_order_id:
            return order
    found = lane.journal.order_by_client_id(lane.account.id, client_order_id)
    if found is None:
        raise Problem("not_found", f"no order with client_order_id {client_order_id[:64]!r}")
    return found
