"""/v1/positions: list, get, modify, close, close by, reverse, close all."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    close_of,
    integer_parameter,
    json_response,
    lane_of,
    optional_body_of,
    run_trade,
    symbol_filter,
)
from fxsocket_server.gateway.reads import (
    list_positions,
    open_position_view,
    position_by_id,
)
from fxsocket_server.gateway.several.reverse import ReverseRequest


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
    return await run_trade(request, "position.modify")


async def close(request: Request) -> Response:
    """DELETE /positions/{id}."""
    return await run_trade(request, "position.close", close_of)


async def close_by(request: Request) -> Response:
    """POST /positions/{id}/close-by."""
    return await run_trade(request, "position.close_by")


async def reverse_one(request: Request) -> Response:
    """POST /positions/{id}/reverse."""
    return await run_trade(
        request, "position.reverse", lambda r: optional_body_of(r, ReverseRequest)
    )


async def close_several(request: Request) -> Response:
    """POST /positions/close-all."""
    return await run_trade(request, "position.close_all")
