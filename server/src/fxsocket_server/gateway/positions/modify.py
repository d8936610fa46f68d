"""Change the stops of an open position."""

from msgspec import UNSET, UnsetType

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Command, Intent
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.reads import position_by_id
from fxsocket_server.gateway.requests import PositionPatch, check_price
from fxsocket_server.model.enums import Action, PositionStatus
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Position

_Level = float | None | UnsetType


def new_level(name: str, asked: _Level, old: int | None, digits: int) -> int | None:
    """The level after a patch: absent keeps, null removes."""
    if asked is UNSET or isinstance(asked, UnsetType):
        return old
    return check_price(name, asked, digits, "invalid_stops")


def stops_request(
    lane: Lane, command: Command, position: Position, sl: _Level, tp: _Level
) -> TradeRequest:
    """The request that gives a position new stops."""
    return TradeRequest(
        action=Action.SLTP,
        command_id=command.id,
        tag=lane.ids.tag(),
        deadline_ms=lane.clock.monotonic_ms() + limits.COMMAND_DEADLINE_MS,
        symbol=position.symbol,
        sl=new_level("sl", sl, position.sl, position.digits),
        tp=new_level("tp", tp, position.tp, position.digits),
        position_ticket=position.ticket,
    )


class ModifyPosition:
    """PATCH /positions/{id}."""

    def __init__(self, patch: PositionPatch) -> None:
        self._patch = patch

    def __call__(self, lane: Lane, command: Command) -> Intent:
        """Check the patch and ask the broker for the new stops."""
        position = position_by_id(lane, command.subject_id)
        if position.status is PositionStatus.CLOSED:
            raise Problem("position_closed", f"position {position.id} is closed")
        if self._patch.sl is UNSET and self._patch.tp is UNSET:
            raise Problem("validation_error", "send sl, tp or both", pointer="/sl")
        request = stops_request(lane, command, position, self._patch.sl, self._patch.tp)
        return Intent(request=request, order=None)
