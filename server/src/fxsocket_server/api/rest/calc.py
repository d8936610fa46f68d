"""/v1/calc: margin and profit of orders that nobody places."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    choice_parameter,
    json_response,
    lane_of,
    number_parameter,
    required,
)
from fxsocket_server.gateway.calc import margin_of, profit_of
from fxsocket_server.model.enums import OrderType, Side

_PLACEABLE = tuple(OrderType)[:-1]  # CLOSE_BY is never placed


async def margin(request: Request) -> Response:
    """GET /calc/margin."""
    lane = lane_of(request)
    view = await margin_of(
        lane,
        required(request, "symbol"),
        choice_parameter(request, "type", _PLACEABLE),
        _needed_number(request, "volume"),
        number_parameter(request, "price"),
    )
    return json_response(view)


async def profit(request: Request) -> Response:
    """GET /calc/profit."""
    lane = lane_of(request)
    view = await profit_of(
        lane,
        required(request, "symbol"),
        choice_parameter(request, "type", tuple(Side)),
        _needed_number(request, "volume"),
        _needed_number(request, "open_price"),
        _needed_number(request, "close_price"),
    )
    return json_response(view)


def _needed_number(request: Request, name: str) -> float:
    required(request, name)
    return number_parameter(request, name) or 0.0
