"""Default deny: whatever can be asked for has declared who may ask, or the server does not start.

REST declares a scope with each operation (`api.app`); what needs no key says `NO_KEY` and must be
in `WITHOUT_KEY` too, so that opening an operation to strangers takes two lines. The stream's
actions are all here.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from fxsocket_server.security.principal import Scope

NoKey = Literal["none"]
NO_KEY: Final = "none"
WITHOUT_KEY = frozenset(
    ("GET /healthz", "GET /readyz", "GET /docs", "GET /openapi.yaml", "GET /openapi.json")
)
STREAM_SCOPES: Mapping[str, Scope] = {
    "ack": Scope.READ,
    "auth": Scope.READ,
    "list": Scope.READ,
    "ping": Scope.READ,
    "resume": Scope.READ,
    "subscribe": Scope.READ,
    "unsubscribe": Scope.READ,
    "order.place": Scope.TRADE,
    "order.batch": Scope.TRADE,
    "order.modify": Scope.TRADE,
    "order.cancel": Scope.TRADE,
    "position.close": Scope.TRADE,
    "position.modify": Scope.TRADE,
    "position.close_by": Scope.TRADE,
    "position.close_all": Scope.TRADE,
    "position.reverse": Scope.TRADE,
}


class ScopeError(Exception):
    """Something could be asked for that nobody has declared a scope for; names it."""


def require_declared(scopes: Mapping[str, Scope | NoKey | None]) -> None:
    """Raise ScopeError unless everything has a scope, and only `WITHOUT_KEY` needs no key."""
    undeclared = [what for what, scope in scopes.items() if scope is None]
    if undeclared:
        raise ScopeError(f"no scope is declared for {', '.join(undeclared)}")
    opened = [what for what, scope in scopes.items() if scope == NO_KEY]
    strange = sorted(set(opened) - WITHOUT_KEY)
    if strange:
        raise ScopeError(f"only WITHOUT_KEY may be asked for without a key, not {strange}")


def stream_scopes(actions: Iterable[str]) -> dict[str, Scope]:
    """The scopes of the stream's actions; raises ScopeError for one that has none."""
    scopes = {name: STREAM_SCOPES.get(name) for name in actions}
    require_declared(scopes)
    return {name: scope for name, scope in scopes.items() if scope is not None}
