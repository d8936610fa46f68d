"""The request that takes a resting order away."""

from typing import TYPE_CHECKING

from fxsocket_server.core import limits
from fxsocket_server.gateway.commands import Command
from fxsocket_server.model.enums import Action
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Order

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane


def removal(lane: "Lane", command: Command, order: Order) -> TradeRequest:
    """The request that removes a resting order."""
    return TradeRequest(
        action=Action.REMOVE,
        command_id=command.id,
        tag=lane.ids.tag(),
        deadline_ms=lane.clock.monotonic_ms() + limits.COMMAND_DEADLINE_MS,
        symbol=order.symbol,
        order_ticket=order.ticket,
    )
