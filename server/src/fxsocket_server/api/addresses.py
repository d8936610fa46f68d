"""Where an HTTP request comes from."""

from starlette.types import Scope

from fxsocket_server.api.context import Context
from fxsocket_server.security.ip_rules import Address

_FORWARDED_FOR = b"x-forwarded-for"


def peer_of(scope: Scope) -> str:
    """The address of the socket's other end."""
    client = scope.get("client")
    return client[0] if client else ""


def client_address(scope: Scope) -> Address | None:
    """The address of who asks, behind trusted proxies too; None when it cannot be told."""
    context: Context = scope["fxs.context"]
    forwarded = [
        value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR
    ]
    return context.proxies.client(peer_of(scope), forwarded)
