"""/v1/orders: place, batch, check, list, get, modify, cancel."""

from msgspec import to_builtins
from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    body_of,
    close_of,
    integer_parameter,
    json_response,
    lane_of,
    note,
    principal_of,
    raw_response,
    run_trade,
    symbol_filter,
    text_parameter,
)
from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import OrderQuery
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.orders.check import check_order
from fxsocket_server.gateway.orders.resolve import ResolveRequest, resolve
from fxsocket_server.gateway.queries import cursor_number, list_orders, page_limit, time_parameter
from fxsocket_server.gateway.reads import order_by_client_id, order_by_id
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.gateway.views import order_view
from fxsocket_server.model.enums import OrderStatus


def history_query(request: Request, lane: Lane, statuses: tuple[str, ...] = ()) -> OrderQuery:
    """The filters and page of a list of orders or deals."""
    return OrderQuery(
        account_id=lane.account.id,
        limit=page_limit(integer_parameter(request, "limit"), limits.PAGE_ROWS_DEFAULT),
        cursor=cursor_number(text_parameter(request, "cursor")),
        statuses=statuses,
        symbol=symbol_filter(request),
        magic=integer_parameter(request, "magic"),
        from_ms=time_parameter("from", text_parameter(request, "from")),
        to_ms=time_parameter("to", text_parameter(request, "to")),
    )


def _statuses(request: Request) -> tuple[str, ...]:
    """`status=PLACED,FILLED`: any of them."""
    text = text_parameter(request, "status")
    statuses = tuple(word.strip() for word in text.split(",")) if text else ()
    for status in statuses:
        if status not in OrderStatus.__members__:
            raise Problem(
                "validation_error",
                f"status {status[:32]!r} is not one of {' '.join(OrderStatus)}",
                pointer="?status",
            )
    return statuses


async def place(request: Request) -> Response:
    """POST /orders."""
    return await run_trade(request, "order.place")


async def place_batch(request: Request) -> Response:
    """POST /orders/batch."""
    return await run_trade(request, "order.batch")


async def check(request: Request) -> Response:
    """POST /orders/check."""
    lane = lane_of(request)
    order = body_of(request, OrderRequest)
    key_id = principal_of(request).key_id
    return json_response(await check_order(lane, order, request.scope["fxs.request_id"], key_id))


async def list_all(request: Request) -> Response:
    """GET /orders."""
    lane = lane_of(request)
    query = history_query(request, lane, _statuses(request))
    await lane.settled()
    return json_response(list_orders(lane, query))


async def get(request: Request) -> Response:
    """GET /orders/{id}."""
    lane = lane_of(request)
    order = order_by_id(lane, request.path_params["id"])
    await lane.settled()
    return json_response(order_view(order))


async def get_by_client_id(request: Request) -> Response:
    """GET /orders/by-client-id/{client_order_id}."""
    lane = lane_of(request)
    order = order_by_client_id(lane, request.path_params["client_order_id"])
    await lane.settled()
    return json_response(order_view(order))


async def resolve_unknown(request: Request) -> Response:
    """POST /orders/{id}/resolve."""
    lane = lane_of(request)
    asked = body_of(request, ResolveRequest)
    order_id = request.path_params["id"]
    answer = await resolve(lane, order_id, asked)
    account_id = lane.account.id
    await note(request, "order.resolved", order_id, account_id, **to_builtins(asked))
    return raw_response(answer)


async def modify(request: Request) -> Response:
    """PATCH /orders/{id}."""
    return await run_trade(request, "order.modify")


async def cancel(request: Request) -> Response:
    """DELETE /orders/{id}."""
    return await run_trade(request, "order.cancel", close_of)
