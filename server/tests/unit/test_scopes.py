"""Default deny: what can be asked for has declared who may ask, or nothing starts."""

import ast
from pathlib import Path

import pytest

import fxsocket_server
from fxsocket_server.api import app
from fxsocket_server.api.app import API_ROUTES, OPEN_ROUTES
from fxsocket_server.api.operation import Endpoint, Operation
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.scopes import (
    NO_KEY,
    STREAM_SCOPES,
    WITHOUT_KEY,
    ScopeError,
    require_declared,
    stream_scopes,
)

PACKAGE = Path(fxsocket_server.__file__).parent


async def nothing(request: object) -> None:
    """Handles nothing."""


def test_an_operation_without_a_scope_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Operation("POST", "/v1/teleport", nothing)  # type: ignore[arg-type]
    with pytest.raises(ScopeError, match="POST /v1/teleport"):
        Endpoint(planted)
    monkeypatch.setattr(app, "API_ROUTES", (*API_ROUTES, planted))
    with pytest.raises(ScopeError, match="POST /v1/teleport"):
        app._routes()


def test_only_what_is_named_needs_no_key() -> None:
    with pytest.raises(ScopeError, match="GET /v1/leak"):
        Endpoint(Operation("GET", "/v1/leak", nothing, NO_KEY))  # type: ignore[arg-type]
    assert {route.name for route in OPEN_ROUTES} == WITHOUT_KEY
    assert all(isinstance(route.scope, Scope) for route in API_ROUTES)


def test_an_action_without_a_scope_is_named() -> None:
    assert stream_scopes(["ping", "order.place"]) == {
        "ping": Scope.READ, "order.place": Scope.TRADE,
    }  # fmt: skip
    with pytest.raises(ScopeError, match=r"order\.teleport, x"):
        stream_scopes(["ping", "order.teleport", "x"])
    assert all(
        (scope is Scope.TRADE) == name.startswith(("order.", "position."))
        for name, scope in STREAM_SCOPES.items()
    )


def test_nothing_declared_is_nothing_refused() -> None:
    require_declared({})
    require_declared({"GET /healthz": NO_KEY, "GET /v1/x": Scope.READ})


# --- API7: nobody can make the server ask somebody else ---------------------------------------

ASKING = ("httpx2", "requests", "urllib.request", "http.client", "aiohttp", "smtplib", "ftplib")
DIALS = {"connectors/terminal/dialer.py"}  # a terminal's own process, to the server that it names


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_the_server_asks_nobody_on_a_client_s_behalf() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if where.startswith("testkit/"):
            continue
        asking = [m for m in imports_of(path) if m.startswith(ASKING)]
        assert asking == [], where
        dials = "create_connection(" in path.read_text() or "open_connection(" in path.read_text()
        assert not dials or where in DIALS, where
