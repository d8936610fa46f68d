"""The accounts as the stream sees them: the one that a frame means, and where each log stands."""

from collections.abc import Callable

from fxsocket_server.core.errors import Problem
from fxsocket_server.security.principal import Principal
from fxsocket_server.stream.backend import Backend, StreamAccount


def live_account(backend: Backend, principal: Principal, account_id: str | None) -> StreamAccount:
    """The account that a frame means, if it has a terminal."""
    return _chosen(backend, backend.live, principal, account_id)


def any_account(backend: Backend, principal: Principal, account_id: str | None) -> StreamAccount:
    """The account that a frame means, connected or not."""
    return _chosen(backend, backend.choose, principal, account_id)


def _chosen(
    backend: Backend,
    choose: Callable[[Principal, str | None], StreamAccount],
    principal: Principal,
    account_id: str | None,
) -> StreamAccount:
    """Choose; the detail of a problem fits a frame, which has no header to name an account in."""
    try:
        return choose(principal, account_id)
    except Problem as problem:
        if problem.kind.code != "account_required":
            raise
    choices = ", ".join(seen.account.id for seen in backend.visible(principal))
    raise Problem(
        "account_required",
        f"name the account in account_id; this key has: {choices or 'none yet'}",
        pointer="/account_id",
    )


def standing(backend: Backend, principal: Principal) -> list[dict[str, object]]:
    """Where the log of each account of a key stands: what a client needs to resume later."""
    return [
        {"account_id": seen.account.id, "epoch": seen.epoch, "head": seen.head}
        for seen in backend.visible(principal)
    ]
