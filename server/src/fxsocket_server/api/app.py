"""The REST application: routes and the front before them."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from fxsocket_server.api.context import Context
from fxsocket_server.api.front import Front
from fxsocket_server.api.rest import accounts, market, orders, positions, service

Handler = Callable[[Request], Awaitable[Response]]


class Endpoint:
    """A handler as an ASGI app: no framework wrapper between the router and the handler."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        response = await self.handler(Request(scope, receive))
        await response(scope, receive, send)


API_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/account", accounts.get_account),
    ("GET", "/v1/accounts", accounts.list_accounts),
    ("GET", "/v1/symbols", market.list_symbols),
    ("GET", "/v1/symbols/{symbol}", market.get_symbol),
    ("GET", "/v1/quotes", market.list_quotes),
    ("GET", "/v1/quotes/{symbol}", market.get_quote),
    ("GET", "/v1/candles", market.list_candles),
    ("POST", "/v1/orders", orders.place),
    ("GET", "/v1/orders", orders.list_all),
    ("GET", "/v1/orders/by-client-id/{client_order_id}", orders.get_by_client_id),
    ("GET", "/v1/orders/{id}", orders.get),
    ("PATCH", "/v1/orders/{id}", orders.modify),
    ("DELETE", "/v1/orders/{id}", orders.cancel),
    ("GET", "/v1/positions", positions.list_open),
    ("GET", "/v1/positions/{id}", positions.get),
    ("PATCH", "/v1/positions/{id}", positions.modify),
    ("DELETE", "/v1/positions/{id}", positions.close),
    ("GET", "/v1/history/deals", accounts.list_history_deals),
    ("GET", "/v1/events", accounts.list_events),
    ("POST", "/v1/sim/price", accounts.set_price),
)

OPEN_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/healthz", service.health),
    ("GET", "/readyz", service.ready),
    ("GET", "/docs", service.docs),
    ("GET", "/openapi.yaml", service.openapi_yaml),
    ("GET", "/openapi.json", service.openapi_json),
)


def _routes() -> list[Route]:
    """One route per path, all its methods together, so that a 405 can list them."""
    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, handler in API_ROUTES + OPEN_ROUTES:
        by_path.setdefault(path, {})[method] = handler
    return [
        Route(path, _ByMethod(handlers), methods=list(handlers))
        for path, handlers in by_path.items()
    ]


class _ByMethod:
    """Chooses the handler of a path by method; HEAD is answered as GET."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._endpoints = {method: Endpoint(handler) for method, handler in handlers.items()}
        if "GET" in handlers:
            self._endpoints["HEAD"] = self._endpoints["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self._endpoints[scope["method"]](scope, receive, send)


def build_app(context: Context) -> Front:
    """The ASGI application of the REST port."""
    open_paths = frozenset(path for _, path, _ in OPEN_ROUTES) | service.docs_paths()
    router = Router(routes=[*_routes(), *service.docs_routes()], redirect_slashes=False)
    return Front(router, open_paths, context)
