"""What an error answer says, read leniently: a proxy's HTML page must become an error too."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct

from fxsocket import _policy

TEXT_LENGTH_MAX = 300


class FieldError(Struct, frozen=True):
    """One field at fault: a JSON pointer into the body, and what is wrong with it."""

    pointer: str
    message: str


class Problem(Struct, frozen=True, kw_only=True):
    """An error answer: RFC 9457 fields, the broker's retcode and the headers that matter."""

    status: int
    code: str
    detail: str
    request_id: str | None = None
    retryable: bool = False
    retry_after_s: float | None = None
    should_retry: bool | None = None
    errors: tuple[FieldError, ...] = ()
    retcode: int | None = None
    retcode_name: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    raw: dict[str, Any] = {}

    def __str__(self) -> str:
        text = f"{self.status} {self.code}: {self.detail}"
        if self.retcode is not None:
            text += f" (retcode {self.retcode} {self.retcode_name or ''})".replace(" )", ")")
        if self.errors:
            text += " [" + "; ".join(f"{e.pointer}: {e.message}" for e in self.errors) + "]"
        return text + (f" (request {self.request_id})" if self.request_id else "")


def read_problem(status: int, headers: Mapping[str, str], body: bytes) -> Problem:
    """Read an HTTP error answer; `headers` have lower-case names."""
    raw = _json_object(body)
    found = problem_of(raw, status)
    return msgspec.structs.replace(
        found,
        status=status,
        detail=found.detail or _plain_text(body, headers) or f"HTTP {status}",
        request_id=headers.get("x-request-id") or found.request_id,
        retry_after_s=retry_after_s(headers),
        should_retry=_should_retry(headers),
        limit=_whole(headers.get("x-ratelimit-limit")),
        remaining=_whole(headers.get("x-ratelimit-remaining")),
        reset=_seconds(headers.get("x-ratelimit-reset")),
    )


def problem_of(raw: dict[str, Any], status: int = 0) -> Problem:
    """Read a problem document, as REST answers it or as a stream's error frame holds it."""
    named_status = _whole(raw.get("status")) or status
    return Problem(
        status=named_status,
        code=str(raw.get("code") or f"http_{named_status}"),
        detail=str(raw.get("detail") or raw.get("title") or ""),
        request_id=_text(raw.get("instance")),
        retryable=raw.get("retryable") is True,
        errors=_field_errors(raw.get("errors")),
        retcode=_whole(raw.get("retcode")),
        retcode_name=_text(raw.get("retcode_name")),
        raw=raw,
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, in its number or its date form; None without one."""
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _seconds(value)
    return seconds if seconds is not None else _until(value, headers.get("date"))


def _until(value: str, sent: str | None) -> float | None:
    # Measured against the server's own Date, so that a wrong local clock does not matter.
    start, end = _date(sent), _date(value)
    return (end - start).total_seconds() if start and end else None


def _date(value: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(value) if value else None
    except ValueError:
        return None


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    said = headers.get(_policy.SHOULD_RETRY_HEADER, "").lower()
    return {"true": True, "false": False}.get(said)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _plain_text(body: bytes, headers: Mapping[str, str]) -> str:
    if not headers.get("content-type", "").startswith("text/"):
        return ""
    return " ".join(body[:TEXT_LENGTH_MAX].decode("utf-8", "replace").split())


def _field_errors(value: Any) -> tuple[FieldError, ...]:
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return tuple(
        FieldError(str(row.get("pointer") or "/"), str(row.get("message") or "")) for row in rows
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
