"""An operation of the API as data: where it is, who may call it, which parameters it knows."""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from fxsocket_server.core.errors import Problem
from fxsocket_server.security.principal import Principal, Scope
from fxsocket_server.security.scopes import NoKey, require_declared

Handler = Callable[[Request], Awaitable[Response]]


class Operation(Struct, frozen=True):
    """A method of a path. `NO_KEY` needs no key and takes any query; None stops the start.

    `query` names its query parameters, separated by spaces; where `of_account` holds, the request
    means an account and may also name it with `account_id`.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | NoKey | None = None
    query: str = ""
    of_account: bool = True

    @property
    def name(self) -> str:
        """Such as `GET /v1/account`."""
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> frozenset[str]:
        """The names of all query parameters."""
        names = self.query.split()
        return frozenset([*names, "account_id"] if self.of_account else names)


class Endpoint:
    """An operation as an ASGI app: checks scope and query, then lets the handler answer."""

    def __init__(self, operation: Operation) -> None:
        self._handler = operation.handler
        require_declared({operation.name: operation.scope})
        assert operation.scope is not None
        self._scope = operation.scope
        self._parameters = operation.parameters

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        if isinstance(self._scope, Scope):
            principal: Principal = scope["fxs.principal"]
            principal.require(self._scope)
            if scope["query_string"]:
                _check_query(request, self._parameters)
        response = await self._handler(request)
        await response(scope, receive, send)


def _check_query(request: Request, known: frozenset[str]) -> None:
    """Refuse parameters that it does not have, or without a value: neither may widen a query."""
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise Problem("bad_request", "the query is not UTF-8 after percent-decoding") from None
    for name, value in request.query_params.items():
        if name not in known:
            choices = ", ".join(sorted(known)) or "none"
            raise _refused(name, f"unknown parameter {name[:64]!r}; known are: {choices}")
        if not value:
            raise _refused(name, f"{name} is empty; give it a value, or leave it out")


def _refused(name: str, detail: str) -> Problem:
    return Problem("validation_error", detail, pointer="?" + name[:64])
