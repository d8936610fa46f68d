"""/v1/account, /v1/accounts, /v1/events, /v1/sim/price."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    account_of,
    answer_response,
    body_of,
    context_of,
    header_of,
    integer_parameter,
    json_response,
    lane_of,
    note,
    object_of,
    principal_of,
    raw_response,
    text_parameter,
)
from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.accounts.manage import AccountManager
from fxsocket_server.gateway.accounts.requests import AccountPatch, account_request, changes_of
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market_views import (
    AccountSummary,
    account_summary,
    account_view,
    created_view,
    quote_view,
)
from fxsocket_server.gateway.queries import events_body, page_limit, wait_for_events
from fxsocket_server.gateway.requests import (
    HaltRequest,
    PriceRequest,
    check_price,
    known_symbol,
    reason_of,
)
from fxsocket_server.security.principal import Principal


async def get_account(request: Request) -> Response:
    """GET /account."""
    linked = account_of(request)
    lane = lane_of(request)
    return await _account(linked, lane)


async def _account(linked: LinkedAccount, lane: Lane) -> Response:
    view = account_view(
        linked.account, linked.status, lane.connector, lane.connector.figures(),
        is_halted=lane.risk.state.halted is not None,
    )  # fmt: skip
    await lane.settled()
    return json_response(view)


async def list_accounts(request: Request) -> Response:
    """GET /accounts."""
    return json_response([_summary(request, linked) for linked in _visible(request)])


async def get_one(request: Request) -> Response:
    """GET /accounts/{id}."""
    principal, account_id = principal_of(request), request.path_params["id"]
    return _shown(request, context_of(request).gateway.choose(principal, account_id))


async def create(request: Request) -> Response:
    """POST /accounts."""
    asked = account_request(object_of(request))
    key = header_of(request, b"idempotency-key")
    made = await _manager(request).create(principal_of(request), asked, key)
    summary = _summary(request, made.linked)
    if not made.replayed:
        about = {"kind": summary.kind, "server": summary.server, "login": summary.login}
        await note(request, "account.created", summary.id, summary.id, **about)
    view = created_view(summary, made.token)
    return answer_response(Answer(200, encode(view), replayed=made.replayed))


async def update(request: Request) -> Response:
    """PATCH /accounts/{id}."""
    patch = body_of(request, AccountPatch)
    manager, account_id = _manager(request), request.path_params["id"]
    linked = await manager.update(principal_of(request), account_id, patch)
    if changes := changes_of(patch):
        await note(request, "account.changed", account_id, account_id, **changes)
    return _shown(request, linked)


async def remove(request: Request) -> Response:
    """DELETE /accounts/{id}."""
    return await _turn(request, _manager(request).remove, "account.removed")


async def connect(request: Request) -> Response:
    """POST /accounts/{id}/connect."""
    return await _turn(request, _manager(request).connect, "account.connected")


async def disconnect(request: Request) -> Response:
    """POST /accounts/{id}/disconnect."""
    return await _turn(request, _manager(request).disconnect, "account.disconnected")


async def _turn(
    request: Request, use: Callable[[Principal, str], Awaitable[LinkedAccount]], action: str
) -> Response:
    account_id = request.path_params["id"]
    linked = await use(principal_of(request), account_id)
    await note(request, action, account_id, account_id)
    return _shown(request, linked)


def _manager(request: Request) -> AccountManager:
    manager = context_of(request).accounts
    if manager is None:
        raise Problem("forbidden", "the accounts of this server are fixed")
    return manager


def _shown(request: Request, linked: LinkedAccount) -> Response:
    return json_response(_summary(request, linked))


async def halt(request: Request) -> Response:
    """POST /accounts/{id}/halt."""
    linked, lane = _named(request)
    reason = reason_of(body_of(request, HaltRequest))
    await lane.risk.halt(reason)
    await note(request, "account.halted", lane.account.id, lane.account.id, reason=reason)
    return await _account(linked, lane)


async def resume(request: Request) -> Response:
    """POST /accounts/{id}/resume."""
    linked, lane = _named(request)
    reason = reason_of(body_of(request, HaltRequest))
    await lane.risk.resume(reason)
    await note(request, "account.resumed", lane.account.id, lane.account.id, reason=reason)
    return await _account(linked, lane)


def _named(request: Request) -> tuple[LinkedAccount, Lane]:
    """The account that the path names, and its lane."""
    gateway, principal = context_of(request).gateway, principal_of(request)
    account_id = request.path_params["id"]
    return gateway.choose(principal, account_id), gateway.lane(principal, account_id)


def _visible(request: Request) -> list[LinkedAccount]:
    return context_of(request).gateway.visible(principal_of(request))


def _summary(request: Request, linked: LinkedAccount) -> AccountSummary:
    gateway, principal = context_of(request).gateway, principal_of(request)
    visible = gateway.visible(principal)
    only = visible[0].account.id if len(visible) == 1 else None
    default = gateway.default_of(principal) or only
    is_default = linked.account.id == default
    return account_summary(linked.account, linked.status, linked.error, is_default=is_default)


async def list_events(request: Request) -> Response:
    """GET /events, waiting up to `wait_ms` for the first one."""
    lane = lane_of(request)
    after = integer_parameter(request, "after") or 0
    wait_ms = integer_parameter(request, "wait_ms") or 0
    limit = page_limit(integer_parameter(request, "limit"), limits.PAGE_ROWS_DEFAULT)
    if after < 0 or not 0 <= wait_ms <= limits.EVENT_WAIT_MS:
        raise Problem(
            "validation_error",
            f"after must be 0 or more, wait_ms 0 to {limits.EVENT_WAIT_MS}",
            pointer="?after" if after < 0 else "?wait_ms",
        )
    epoch = text_parameter(request, "epoch")
    if epoch is not None and epoch != lane.book.epoch:
        raise Problem(
            "epoch_mismatch",
            f"the log's epoch is {lane.book.epoch}; read orders and positions anew, then go on "
            f"after {lane.published_seq}",
            pointer="?epoch",
        )
    if after > lane.published_seq:
        raise Problem(
            "epoch_mismatch",
            f"the log ends at {lane.published_seq}, before {after}; it is another log, or `after` "
            "is wrong",
            pointer="?after",
        )
    await wait_for_events(lane, context_of(request).gateway.bus, after, wait_ms)
    return raw_response(events_body(lane, after, limit))


async def set_price(request: Request) -> Response:
    """POST /sim/price."""
    lane = lane_of(request)
    body = body_of(request, PriceRequest)
    if not lane.connector.capabilities.price_control:
        raise Problem("sim_only", "only a simulated market's price can be set")
    spec = known_symbol(lane.connector.specs(), body.symbol)
    bid = check_price("bid", body.bid, spec.digits, "invalid_price")
    ask = check_price("ask", body.ask, spec.digits, "invalid_price")
    if bid is None:
        raise Problem("invalid_price", "bid must be a price above 0", pointer="/bid")
    if ask is None or ask < bid:
        raise Problem("invalid_price", "ask must not be below bid", pointer="/ask")
    lane.terminal.check(opens=False)
    await lane.connector.set_price(spec.symbol, bid, ask)
    return json_response(quote_view(spec, lane.connector, limits.QUOTE_STALE_MS))
