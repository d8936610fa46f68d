"""/v1/positions: list, get, modify, close."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    answer_response,
    body_of,
    context_of,
    integer_parameter,
    json_response,
    lane_of,
    number_parameter,
    sender_of,
    text_parameter,
)
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.positions.modify import ModifyPosition
from fxsocket_server.gateway.reads import (
    list_positions,
    open_position_view,
    position_by_id,
)
from fxsocket_server.gateway.requests import PositionPatch


async def list_open(request: Request) -> Response:
    """GET /positions."""
    lane = lane_of(request)
    magic = integer_parameter(request, "magic")
    views = list_positions(lane, text_parameter(request, "symbol"), magic)
    await lane.settled()
    return json_response(views)


async def get(request: Request) -> Response:
    """GET /positions/{id}."""
    lane = lane_of(request)
    view = open_position_view(lane, position_by_id(lane, request.path_params["id"]))
    await lane.settled()
    return json_response(view)


async def modify(request: Request) -> Response:
    """PATCH /positions/{id}."""
    lane = lane_of(request)
    patch = body_of(request, PositionPatch)
    sender = sender_of(request)
    answer = await context_of(request).gateway.run(
        lane, "position.modify", request.path_params["id"], patch, sender.key, sender,
        ModifyPosition(patch),
    )  # fmt: skip
    return answer_response(answer)


async def close(request: Request) -> Response:
    """DELETE /positions/{id}."""
    lane = lane_of(request)
    lots = number_parameter(request, "volume")
    deviation = integer_parameter(request, "deviation")
    if deviation is not None and deviation < 0:
        raise Problem(
            "validation_error", "deviation must be points, 0 or more", pointer="?deviation"
        )
    sender = sender_of(request)
    answer = await context_of(request).gateway.run(
        lane, "position.close", request.path_params["id"], (lots, deviation), sender.key, sender,
        ClosePosition(lots, deviation),
    )  # fmt: skip
    return answer_response(answer)
