"""Cancel a resting order; of a filled one, close what it opened."""

from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Change
from fxsocket_server.gateway.lane import Answer, Command, Intent, Lane, Telling
from fxsocket_server.gateway.orders.read import order_by_id
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.positions.read import position_by_id
from fxsocket_server.gateway.views import order_view
from fxsocket_server.model.enums import Action, OrderStatus
from fxsocket_server.model.facts import Report, TradeRequest
from fxsocket_server.model.records import Order


class CancelOrder:
    """DELETE /orders/{id}."""

    def __init__(self, lots: float | None) -> None:
        self._lots = lots

    def __call__(self, lane: Lane, command: Command) -> Intent | Telling:
        """Ask the broker to remove the order, or to close the position of a filled one."""
        order = order_by_id(lane, command.subject_id)
        if order.status is OrderStatus.FILLED:
            position = position_by_id(lane, order.position_id or "")
            if position.order_id != order.id:
                raise Problem(
                    "order_closed",
                    f"order {order.id} closed position {position.id}; nothing of it is open",
                )
            return ClosePosition(self._lots, None).close(lane, command, position)
        if self._lots is not None:
            raise Problem(
                "validation_error",
                f"order {order.id} is {order.status}: volume only closes part of a filled order",
                pointer="?volume",
            )
        if order.status is OrderStatus.CANCELED:
            return lambda: Answer(200, encode(order_view(order)))
        if order.status is OrderStatus.PENDING:
            return self._cancel_later(lane, order)
        if order.status is not OrderStatus.PLACED:
            raise Problem("order_closed", f"order {order.id} is {order.status}; nothing to cancel")
        return self._remove(lane, command, order)

    def _remove(self, lane: Lane, command: Command, order: Order) -> Intent:
        request = TradeRequest(
            action=Action.REMOVE,
            command_id=command.id,
            deadline_ms=lane.clock.monotonic_ms() + limits.COMMAND_DEADLINE_MS,
            symbol=order.symbol,
            order_ticket=order.ticket,
        )
        order_id = order.id

        def answer(change: Change, _report: Report) -> bytes:
            return encode(order_view(change.orders.get(order_id, order)))

        return Intent(request=request, order=None, answer=answer)

    def _cancel_later(self, lane: Lane, order: Order) -> Telling:
        """The broker has not answered yet: mark the wish; its outcome decides."""
        marked = replace(order, cancel_requested=True)
        lane.book.put_order(marked)
        return lambda: Answer(200, encode(order_view(marked)))
