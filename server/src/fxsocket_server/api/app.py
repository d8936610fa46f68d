"""The REST application: routes and the front before them."""

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from fxsocket_server.api.context import Context
from fxsocket_server.api.front import Front
from fxsocket_server.api.operation import Endpoint, Operation
from fxsocket_server.api.rest import (
    accounts,
    calc,
    faults,
    history,
    keys,
    market,
    orders,
    positions,
    service,
    stats,
    tickets,
)
from fxsocket_server.security.principal import Scope as KeyScope
from fxsocket_server.security.scopes import NO_KEY

_READ, _TRADE, _FULL = KeyScope
_FILTERS = "symbol magic from to limit cursor"

API_ROUTES = (
    Operation("GET", "/v1/account", accounts.get_account, _READ),
    Operation("GET", "/v1/accounts", accounts.list_accounts, _READ, of_account=False),
    Operation("POST", "/v1/accounts", accounts.create, _FULL, of_account=False),
    Operation("GET", "/v1/accounts/{id}", accounts.get_one, _READ, of_account=False),
    Operation("PATCH", "/v1/accounts/{id}", accounts.update, _FULL, of_account=False),
    Operation("DELETE", "/v1/accounts/{id}", accounts.remove, _FULL, of_account=False),
    Operation("POST", "/v1/accounts/{id}/connect", accounts.connect, _FULL, of_account=False),
    Operation("POST", "/v1/accounts/{id}/disconnect", accounts.disconnect, _FULL, of_account=False),
    Operation("POST", "/v1/accounts/{id}/halt", accounts.halt, _FULL, of_account=False),
    Operation("POST", "/v1/accounts/{id}/resume", accounts.resume, _FULL, of_account=False),
    Operation("GET", "/v1/symbols", market.list_symbols, _READ, "group visible"),
    Operation("GET", "/v1/symbols/{symbol}", market.get_symbol, _READ),
    Operation("GET", "/v1/quotes", market.list_quotes, _READ, "symbols"),
    Operation("GET", "/v1/quotes/{symbol}", market.get_quote, _READ),
    Operation(
        "GET", "/v1/candles", market.list_candles, _READ,
        "symbol timeframe from to limit cursor",
    ),
    Operation("POST", "/v1/orders", orders.place, _TRADE),
    Operation("POST", "/v1/orders/batch", orders.place_batch, _TRADE),
    Operation("POST", "/v1/orders/check", orders.check, _READ),
    Operation("GET", "/v1/orders", orders.list_all, _READ, "status " + _FILTERS),
    Operation(
        "GET", "/v1/orders/by-client-id/{client_order_id}", orders.get_by_client_id, _READ
    ),
    Operation("GET", "/v1/orders/{id}", orders.get, _READ),
    Operation("POST", "/v1/orders/{id}/resolve", orders.resolve_unknown, _FULL),
    Operation("PATCH", "/v1/orders/{id}", orders.modify, _TRADE),
    Operation("DELETE", "/v1/orders/{id}", orders.cancel, _TRADE, "volume deviation"),
    Operation("GET", "/v1/positions", positions.list_open, _READ, "symbol magic"),
    Operation("GET", "/v1/positions/{id}", positions.get, _READ),
    Operation("PATCH", "/v1/positions/{id}", positions.modify, _TRADE),
    Operation("DELETE", "/v1/positions/{id}", positions.close, _TRADE, "volume deviation"),
    Operation("POST", "/v1/positions/close-all", positions.close_several, _TRADE),
    Operation("POST", "/v1/positions/{id}/close-by", positions.close_by, _TRADE),
    Operation("POST", "/v1/positions/{id}/reverse", positions.reverse_one, _TRADE),
    Operation("GET", "/v1/history/orders", history.list_orders, _READ, _FILTERS),
    Operation("GET", "/v1/history/deals", history.list_history_deals, _READ, _FILTERS),
    Operation("GET", "/v1/history/positions", history.list_positions, _READ, _FILTERS),
    Operation("GET", "/v1/calc/margin", calc.margin, _READ, "symbol type volume price"),
    Operation(
        "GET", "/v1/calc/profit", calc.profit, _READ,
        "symbol type volume open_price close_price",
    ),
    Operation("GET", "/v1/stats", stats.get, _READ, "group_by symbol magic from to"),
    Operation("GET", "/v1/events", accounts.list_events, _READ, "after epoch limit wait_ms"),
    Operation("GET", "/v1/keys", keys.list_keys, _FULL, "limit cursor", of_account=False),
    Operation("POST", "/v1/keys", keys.create, _FULL, of_account=False),
    Operation("PATCH", "/v1/keys/{id}", keys.change, _FULL, of_account=False),
    Operation("DELETE", "/v1/keys/{id}", keys.revoke, _FULL, of_account=False),
    Operation("POST", "/v1/keys/{id}/rotate", keys.rotate, _FULL, of_account=False),
    Operation(
        "GET", "/v1/audit", keys.list_audit, _FULL, "from to limit cursor", of_account=False
    ),
    Operation(
        "GET", "/v1/usage", keys.list_usage, _FULL, "from to limit cursor", of_account=False
    ),
    Operation("POST", "/v1/stream/tickets", tickets.create, _READ, of_account=False),
    Operation("POST", "/v1/sim/price", accounts.set_price, _FULL),
    Operation("POST", "/v1/sim/faults", faults.put_fault, _FULL),
    Operation("GET", "/v1/sim/faults", faults.get_faults, _FULL),
    Operation("DELETE", "/v1/sim/faults", faults.clear_faults, _FULL),
)  # fmt: skip

OPEN_ROUTES = (
    Operation("GET", "/healthz", service.health, NO_KEY, of_account=False),
    Operation("GET", "/readyz", service.ready, NO_KEY, of_account=False),
    Operation("GET", "/docs", service.docs, NO_KEY, of_account=False),
    Operation("GET", "/openapi.yaml", service.openapi_yaml, NO_KEY, of_account=False),
    Operation("GET", "/openapi.json", service.openapi_json, NO_KEY, of_account=False),
)


def _routes() -> list[Route]:
    """One route per path, all its methods together, so that a 405 can list them."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in API_ROUTES + OPEN_ROUTES:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(path, _ByMethod(operations), methods=list(operations))
        for path, operations in by_path.items()
    ]


class _ByPath:
    """Finds a path without parameters in one look-up; the others go through the router."""

    def __init__(self, routes: list[Route], more: list[BaseRoute]) -> None:
        self._exact = {route.path: route.app for route in routes if "{" not in route.path}
        self._router = Router(routes=[*routes, *more], redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        app = self._exact.get(scope["path"], self._router)
        await app(scope, receive, send)


class _ByMethod:
    """Chooses the operation of a path by method; HEAD is answered as GET."""

    def __init__(self, operations: dict[str, Operation]) -> None:
        self._endpoints = {name: Endpoint(operation) for name, operation in operations.items()}
        if "GET" in operations:
            self._endpoints["HEAD"] = self._endpoints["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._endpoints))})
        await endpoint(scope, receive, send)


def build_app(context: Context) -> Front:
    """The ASGI application of the REST port."""
    open_paths = frozenset(operation.path for operation in OPEN_ROUTES) | service.docs_paths()
    return Front(_ByPath(_routes(), service.docs_routes()), open_paths, context)
