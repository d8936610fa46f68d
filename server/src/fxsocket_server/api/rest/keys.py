"""/v1/keys, /v1/audit, /v1/usage."""

from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    actor_of,
    body_of,
    integer_parameter,
    json_response,
    keys_of,
    optional_body_of,
    principal_of,
    records_of,
    text_parameter,
)
from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.keys.ports import AuditQuery, UsageQuery
from fxsocket_server.gateway.keys.requests import KeyChange, KeyRequest, RotateRequest
from fxsocket_server.gateway.keys.views import audit_page, usage_page
from fxsocket_server.gateway.queries import cursor_number, page_limit, time_parameter

_FIRST_DAY, _LAST_DAY = "0001-01-01", "9999-12-31"
_KEY_CHARS = 64


async def list_keys(request: Request) -> Response:
    """GET /keys."""
    limit = page_limit(integer_parameter(request, "limit"), limits.PAGE_ROWS_DEFAULT)
    after = text_parameter(request, "cursor", _KEY_CHARS)
    return json_response(await keys_of(request).page(actor_of(request), after, limit))


async def create(request: Request) -> Response:
    """POST /keys."""
    asked = body_of(request, KeyRequest)
    return json_response(await keys_of(request).create(actor_of(request), asked))


async def change(request: Request) -> Response:
    """PATCH /keys/{id}."""
    asked = body_of(request, KeyChange)
    keys, key_id = keys_of(request), request.path_params["id"]
    return json_response(await keys.change(actor_of(request), key_id, asked))


async def rotate(request: Request) -> Response:
    """POST /keys/{id}/rotate."""
    asked = optional_body_of(request, RotateRequest)
    keys, key_id = keys_of(request), request.path_params["id"]
    return json_response(await keys.rotate(actor_of(request), key_id, asked))


async def revoke(request: Request) -> Response:
    """DELETE /keys/{id}."""
    keys, key_id = keys_of(request), request.path_params["id"]
    return json_response(await keys.revoke(actor_of(request), key_id))


async def list_audit(request: Request) -> Response:
    """GET /audit."""
    principal = principal_of(request)
    before = cursor_number(text_parameter(request, "cursor"))
    query = AuditQuery(
        user_id=principal.user_id,
        from_ms=time_parameter("from", text_parameter(request, "from")) or 0,
        to_ms=_or_else(time_parameter("to", text_parameter(request, "to")), limits.TIME_MS_MAX),
        before_seq=_or_else(before, limits.MAGIC_MAX),
        limit=page_limit(integer_parameter(request, "limit"), limits.PAGE_ROWS_DEFAULT),
        account_ids=principal.account_ids,
        key_id=principal.key_id,
    )
    entries = await records_of(request).audit(query)
    return json_response(audit_page(entries, query.limit))


async def list_usage(request: Request) -> Response:
    """GET /usage."""
    principal = principal_of(request)
    query = UsageQuery(
        user_id=principal.user_id,
        from_day=_day(request, "from", _FIRST_DAY),
        to_day=_day(request, "to", _LAST_DAY),
        after=_after(text_parameter(request, "cursor")),
        limit=page_limit(integer_parameter(request, "limit"), limits.PAGE_ROWS_DEFAULT),
        key_id=None if principal.account_ids is None else principal.key_id,
    )
    rows = await records_of(request).usage(query)
    return json_response(usage_page(rows, query.limit))


def _or_else(value: int | None, other: int) -> int:
    return other if value is None else value


def _day(request: Request, name: str, default: str) -> str:
    """A day of the query string; raises `validation_error`."""
    text = text_parameter(request, name)
    if text is None:
        return default
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Problem(
            "validation_error", f"{name} must be a day such as 2026-11-30", pointer="?" + name
        ) from None


def _after(cursor: str | None) -> tuple[str, str]:
    """The day and key after which a page begins; raises `cursor_invalid`."""
    if cursor is None:
        return "", ""
    day, dot, key_id = cursor.partition(".")
    if not dot or len(cursor) > _KEY_CHARS + len(_FIRST_DAY):
        raise Problem("cursor_invalid", "send next_cursor as it came, or none", pointer="?cursor")
    return day, key_id
