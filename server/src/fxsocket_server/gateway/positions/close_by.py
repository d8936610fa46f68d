"""Close a position by an opposite one of the same symbol, without the market."""

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Command, Intent
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.reads import position_by_id
from fxsocket_server.gateway.requests import tagged
from fxsocket_server.model.enums import Action, Filling, OrderStatus, OrderType, PositionStatus
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Order, Position


class CloseBy:
    """POST /positions/{id}/close-by."""

    def __init__(self, other_id: str) -> None:
        self._other_id = other_id

    def __call__(self, lane: Lane, command: Command) -> Intent:
        """Ask the broker to let two open positions close each other."""
        position = _open(lane, command.subject_id)
        if self._other_id == position.id:
            raise Problem(
                "validation_error", "name another, opposite position", pointer="/position_id"
            )
        other = _open(lane, self._other_id)
        order = _order(lane, position, other)
        request = TradeRequest(
            action=Action.CLOSE_BY,
            command_id=command.id,
            tag=order.tag,
            deadline_ms=lane.clock.monotonic_ms() + limits.COMMAND_DEADLINE_MS,
            symbol=order.symbol,
            type=order.type,
            volume=order.volume,
            filling=order.filling,
            magic=order.magic,
            comment=tagged(order),
            position_ticket=position.ticket,
            position_by=other.ticket,
        )
        return Intent(request=request, order=order)


def _open(lane: Lane, position_id: str) -> Position:
    position = position_by_id(lane, position_id)
    if position.status is PositionStatus.CLOSED:
        raise Problem("position_closed", f"position {position.id} is closed")
    return position


def _order(lane: Lane, position: Position, other: Position) -> Order:
    now = lane.connector.time_ms()
    return Order(
        id=lane.ids.make("ord_"),
        user_id=lane.account.user_id,
        account_id=lane.account.id,
        client_order_id=None,
        symbol=position.symbol,
        digits=position.digits,
        type=OrderType.CLOSE_BY,
        status=OrderStatus.PENDING,
        volume=min(position.volume, other.volume),
        filling=Filling.FOK,
        magic=position.magic,
        comment=position.comment,
        tag=lane.ids.tag(),
        position_id=position.id,
        created_ms=now,
        updated_ms=now,
    )
