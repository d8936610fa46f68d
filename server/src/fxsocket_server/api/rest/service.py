"""Outside /v1 and without a key: health, readiness, the interactive documentation, the spec."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from fxsocket_server.api.request import context_of, json_response
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FxSocket API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="/docs/assets/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui">Loading the API reference. The plain file: <a href="/openapi.yaml">
openapi.yaml</a>.</div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
"""

_START = """window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  displayRequestDuration: true
});
"""

_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def health(request: Request) -> Response:
    """GET /healthz: the process answers."""
    return json_response({"status": "ok", "version": context_of(request).version})


async def ready(request: Request) -> Response:
    """GET /readyz: accounts are connected and orders can be journalled."""
    reason = context_of(request).is_ready()
    if reason is not None:
        raise Problem("unavailable", reason, retry_after_s=1)
    return json_response({"status": "ready"})


async def docs(_request: Request) -> Response:
    """GET /docs: the interactive reference, served whole from this server."""
    return HTMLResponse(_PAGE, headers=_POLICY)


async def openapi_yaml(request: Request) -> Response:
    """GET /openapi.yaml: the contract as it is written."""
    path = context_of(request).spec_folder / "openapi.yaml"
    return Response(path.read_bytes(), media_type="application/yaml")


async def openapi_json(request: Request) -> Response:
    """GET /openapi.json: the contract for tools that want JSON."""
    body = _as_json(context_of(request).spec_folder / "openapi.yaml")
    return Response(body, media_type="application/json")


@lru_cache(maxsize=1)
def _as_json(path: Path) -> bytes:
    import yaml

    return encode(yaml.safe_load(path.read_text()))


def _static_folder() -> Path:
    """Where the viewer's files lie; its Python package is never imported."""
    found = find_spec("swagger_ui")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static"


class _Asset:
    """One file of the viewer."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, request: Request) -> Response:
        """Serve the file."""
        if self._name == "start.js":
            return Response(_START, media_type="text/javascript", headers=_POLICY)
        path = _static_folder() / self._name
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers=_POLICY)


def docs_paths() -> frozenset[str]:
    """Paths of the viewer's files, open to all."""
    return frozenset(f"/docs/assets/{name}" for name in (*_ASSETS, "start.js"))


def docs_routes() -> list[BaseRoute]:
    """Routes of the viewer's files."""
    return [
        Route(path, _Asset(path.rpartition("/")[2]).__call__, methods=["GET"])
        for path in sorted(docs_paths())
    ]
