"""/v1/positions: list, get, modify, close, close by, reverse, close all."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    answer_response,
    body_of,
    context_of,
    deviation_of,
    integer_parameter,
    json_response,
    lane_of,
    number_parameter,
    optional_body_of,
    sender_of,
    symbol_filter,
)
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.positions.close_by import CloseBy
from fxsocket_server.gateway.positions.modify import ModifyPosition
from fxsocket_server.gateway.reads import (
    list_positions,
    open_position_view,
    position_by_id,
)
from fxsocket_server.gateway.requests import CloseByRequest, PositionPatch, known_symbol
from fxsocket_server.gateway.several.close_all import CloseAllRequest, close_all
from fxsocket_server.gateway.several.reverse import ReverseRequest, reverse


async def list_open(request: Request) -> Response:
    """GET /positions."""
    lane = lane_of(request)
    magic = integer_parameter(request, "magic")
    views = list_positions(lane, symbol_filter(request), magic)
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
    deviation = deviation_of(request)
    sender = sender_of(request)
    answer = await context_of(request).gateway.run(
        lane, "position.close", request.path_params["id"], (lots, deviation), sender.key, sender,
        ClosePosition(lots, deviation),
    )  # fmt: skip
    return answer_response(answer)


async def close_by(request: Request) -> Response:
    """POST /positions/{id}/close-by."""
    lane = lane_of(request)
    body = body_of(request, CloseByRequest)
    sender = sender_of(request)
    answer = await context_of(request).gateway.run(
        lane, "position.close_by", request.path_params["id"], body, sender.key, sender,
        CloseBy(body.position_id),
    )  # fmt: skip
    return answer_response(answer)


async def reverse_one(request: Request) -> Response:
    """POST /positions/{id}/reverse."""
    lane = lane_of(request)
    body = optional_body_of(request, ReverseRequest)
    answer = await context_of(request).gateway.run_composite(
        lane, "position.reverse", request.path_params["id"], body, sender_of(request), reverse()
    )
    return answer_response(answer)


async def close_several(request: Request) -> Response:
    """POST /positions/close-all."""
    lane = lane_of(request)
    body = body_of(request, CloseAllRequest)
    if body.symbol is not None:
        known_symbol(lane.connector.specs(), body.symbol)
    answer = await context_of(request).gateway.run_composite(
        lane, "position.close_all", "", body, sender_of(request), close_all(body)
    )
    return answer_response(answer)
