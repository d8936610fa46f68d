"""An operation of the API as data: where it is, who may call it, which parameters it knows."""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.core.errors import Problem
from fxsocket_server.security.principal import Principal, Scope

Handler = Callable[[Request], Awaitable[Response]]


class Operation(Struct, frozen=True, gc=False):
    """A method of a path; without a scope it needs no key and takes any query.

    `query` are the names of its query parameters, separated by spaces. Where `of_account` holds,
    the request means an account and may name it with `account_id`.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None = None
    query: str = ""
    of_account: bool = True

    def parameters(self) -> frozenset[str]:
        """The names of all query parameters."""
        return frozenset((*self.query.split(), *(("account_id",) if self.of_account else ())))


class Endpoint:
    """An operation as an ASGI app: checks who asks and with what, then lets the handler answer."""

    def __init__(self, operation: Operation) -> None:
        self._handler = operation.handler
        self._scope = operation.scope
        self._known = operation.parameters()

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        """Handle one request."""
