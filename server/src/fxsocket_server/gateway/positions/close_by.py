"""Close a position by an opposite one of the same symbol, without the market."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Command, Intent
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.reads import position_by_id
from fxsocket_server.gateway.trade_requests import order_on, trade_request
from fxsocket_server.model.enums import Action, Filling, OrderType, PositionStatus
from fxsocket_server.model.records import Position


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
        volume = min(position.volume, other.volume)
        order = order_on(lane, position, OrderType.CLOSE_BY, volume, Filling.FOK)
        request = trade_request(
            lane, command, order, Action.CLOSE_BY,
            position_ticket=position.ticket, position_by=other.ticket,
        )  # fmt: skip
        return Intent(request=request, order=order)


def _open(lane: Lane, position_id: str) -> Position:
    position = position_by_id(lane, position_id)
    if position.status is PositionStatus.CLOSED:
        raise Problem("position_closed", f"position {position.id} is closed")
    return position
