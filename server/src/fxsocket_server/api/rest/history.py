"""/v1/history: done orders, deals and closed positions."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    integer_parameter,
    json_response,
    lane_of,
    symbol_filter,
    text_parameter,
)
from fxsocket_server.api.rest.orders import history_query
from fxsocket_server.core import limits
from fxsocket_server.gateway.changes import HistoryQuery
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.queries import (
    cursor_mark,
    list_closed_positions,
    list_deals,
    list_done_orders,
    page_limit,
    time_parameter,
)


def done_query(request: Request, lane: Lane) -> HistoryQuery:
    """The filters and page of a list of what is done."""
    return HistoryQuery(
        account_id=lane.account.id,
        limit=page_limit(integer_parameter(request, "limit"), limits.PAGE_ROWS_DEFAULT),
        after=cursor_mark(text_parameter(request, "cursor")),
        symbol=symbol_filter(request),
        magic=integer_parameter(request, "magic"),
        from_ms=time_parameter("from", text_parameter(request, "from")),
        to_ms=time_parameter("to", text_parameter(request, "to")),
    )


async def list_orders(request: Request) -> Response:
    """GET /history/orders."""
    lane = lane_of(request)
    query = done_query(request, lane)
    await lane.settled()
    return json_response(list_done_orders(lane, query))


async def list_history_deals(request: Request) -> Response:
    """GET /history/deals."""
    lane = lane_of(request)
    query = history_query(request, lane)
    await lane.settled()
    return json_response(list_deals(lane, query))


async def list_positions(request: Request) -> Response:
    """GET /history/positions."""
    lane = lane_of(request)
    query = done_query(request, lane)
    await lane.settled()
    return json_response(list_closed_positions(lane, query))
