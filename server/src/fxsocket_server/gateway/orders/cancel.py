"""Cancel a resting order; of a filled one, close what it opened."""

from msgspec.structs import replace

from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer, Command, Intent, Telling
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.reads import order_by_id, position_by_id, rest_of
from fxsocket_server.gateway.removal import removal
from fxsocket_server.gateway.views import order_view
from fxsocket_server.model.enums import MarginMode, OrderStatus, PositionStatus
from fxsocket_server.model.netting import share_of
from fxsocket_server.model.records import Order


class CancelOrder:
    """DELETE /orders/{id}."""

    def __init__(self, lots: float | None, deviation: int | None = None) -> None:
        self._lots = lots
        self._deviation = deviation

    def __call__(self, lane: Lane, command: Command) -> Intent | Telling:
        """Ask the broker to remove the order, or to close the position of a filled one."""
        order = order_by_id(lane, command.subject_id)
        if order.status is OrderStatus.FILLED:
            return self._close(lane, command, order)
        if self._lots is not None:
            raise Problem(
                "validation_error",
                f"order {order.id} is {order.status}: volume only closes part of a filled order",
                pointer="?volume",
            )
        if order.status is OrderStatus.CANCELED:
            return lambda: Answer(200, encode(order_view(order)))
        if order.status in (OrderStatus.PENDING, OrderStatus.UNKNOWN):
            return self._cancel_later(lane, order)
        if order.status not in (OrderStatus.PLACED, OrderStatus.PARTIALLY_FILLED):
            raise Problem("order_closed", f"order {order.id} is {order.status}; nothing to cancel")
        return Intent(request=removal(lane, command, order), order=None)

    def _close(self, lane: Lane, command: Command, order: Order) -> Intent | Telling:
        position = rest_of(lane, position_by_id(lane, order.position_id or ""))
        closing = ClosePosition(self._lots, self._deviation)
        if lane.account.margin_mode is MarginMode.HEDGING and position.order_id == order.id:
            return closing.close(lane, command, position)
        if share_of(position.shares, order.id):
            return closing.close_share(lane, command, position, order)
        if position.order_id == order.id and position.status is PositionStatus.CLOSED:
            return closing.close(lane, command, position)
        raise Problem(
            "order_closed",
            f"nothing of order {order.id} is open in position {position.id}; read the position",
        )

    def _cancel_later(self, lane: Lane, order: Order) -> Telling:
        """The broker has not answered yet: note the wish; it is acted on if the order rests."""
        marked = replace(order, cancel_requested=True)
        _noted = lane.note_order(marked, "order.cancel_requested")  # the teller waits for it
        return lambda: Answer(200, encode(order_view(marked)))
