"""Bodies of trade commands as clients send them, and their conversion to integers.

What can be judged from the symbol's rules alone is judged here, before the journal: such a refusal
stores nothing. What depends on the market is the broker's to judge.
"""

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import UNSET, Struct, UnsetType

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.model.enums import Filling, OrderType, TimeInForce
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import LOT, fixed_of, lots_text, volume_of

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLIENT_ORDER_ID = re.compile(rf"[A-Za-z0-9_.:-]{{1,{limits.CLIENT_ORDER_ID_CHARS}}}\Z")


class OrderRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /orders and of the stream's order.place."""

    symbol: str
    type: OrderType
    volume: float
    price: float | None = None
    stop_limit_price: float | None = None
    sl: float | None = None
    tp: float | None = None
    deviation: int | None = None
    magic: int = 0
    comment: str | None = None
    filling: Filling | None = None
    time_in_force: TimeInForce | None = None
    expires_at: str | None = None
    client_order_id: str | None = None


class OrderPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of PATCH /orders/{id}: absent keeps, null removes."""

    sl: float | None | UnsetType = UNSET
    tp: float | None | UnsetType = UNSET
    price: float | UnsetType = UNSET
    stop_limit_price: float | UnsetType = UNSET
    expires_at: str | None | UnsetType = UNSET


class PositionPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of PATCH /positions/{id}: absent keeps, null removes."""

    sl: float | None | UnsetType = UNSET
    tp: float | None | UnsetType = UNSET


class CloseByRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /positions/{id}/close-by."""

    position_id: str


class PriceRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /sim/price."""

    symbol: str
    bid: float
    ask: float


class HaltRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /accounts/{id}/halt and /resume."""

    reason: str


def reason_of(request: HaltRequest) -> str:
    """Why somebody halts or resumes; raises `validation_error` for what says nothing."""
    reason = request.reason.strip()
    if not reason or len(reason) > limits.REASON_CHARS or _CONTROL.search(reason):
        raise Problem(
            "validation_error",
            f"reason: say why in 1 to {limits.REASON_CHARS} printable characters",
            pointer="/reason",
        )
    return reason


def known_symbol(
    specs: Mapping[str, SymbolSpec], symbol: str, pointer: str = "/symbol"
) -> SymbolSpec:
    """The rules of a symbol; raises `invalid_symbol` with the nearest names."""
    spec = specs.get(symbol)
    if spec is not None:
        return spec
    near = difflib.get_close_matches(symbol.upper()[:32], list(specs), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "GET /v1/symbols lists them"
    raise Problem("invalid_symbol", f"no symbol {symbol[:32]!r} here; {hint}", pointer=pointer)


def check_volume(
    spec: SymbolSpec, lots: float, *, least: int | None = None, pointer: str = "/volume"
) -> int:
    """A volume in 1e-8 lots that the symbol allows; raises `invalid_volume` with the nearest."""
    fault = _volume_fault(spec, lots, spec.volume_min if least is None else least)
    if fault is not None:
        raise Problem("invalid_volume", fault, pointer=pointer)
    return volume_of(lots)


def _volume_fault(spec: SymbolSpec, lots: float, least: int) -> str | None:
    if not 0 < lots < limits.NUMBER_MAX:
        return f"volume must be above 0; {spec.symbol} starts at {lots_text(spec.volume_min)}"
    volume = volume_of(lots)
    if volume % spec.volume_step:
        below = volume // spec.volume_step * spec.volume_step
        choices = [v for v in (below, below + spec.volume_step) if v >= spec.volume_min]
        nearest = " or ".join(lots_text(v) for v in choices) or lots_text(spec.volume_min)
        step = lots_text(spec.volume_step)
        return f"volume {lots:g} is not a multiple of {step}; nearest {nearest}"
    if volume < least:
        return f"volume {lots:g} is below the minimum {lots_text(spec.volume_min)} of {spec.symbol}"
    if volume > spec.volume_max:
        return f"volume {lots:g} is above the maximum {lots_text(spec.volume_max)} of {spec.symbol}"
    return None


def check_price(
    name: str, value: float | None, digits: int, code: str, *, pointer: str | None = None
) -> int | None:
    """A price in points; null and 0 mean none; raises `code` on a negative or absurd one."""
    if value is None or value == 0:
        return None
    pointer = pointer or "/" + name
    if not 0 < value < limits.NUMBER_MAX:
        raise Problem(code, f"{name} must be a price above 0, or null for none", pointer=pointer)
    points = fixed_of(value, digits)
    if points == 0:
        raise Problem(
            code, f"{name} {value:g} is less than one point of the symbol", pointer=pointer
        )
    return points


def utc_ms(moment: datetime) -> int:
    """A time with its zone in UTC milliseconds, exactly."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def check_time(name: str, text: str) -> int:
    """An ISO 8601 time with its zone, as UTC milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Problem(
            "validation_error",
            f"{name} must be an ISO 8601 time with a zone, such as 2026-12-31T21:00:00Z",
            pointer="/" + name,
        )
    time_ms = utc_ms(moment)
    if not 0 <= time_ms < limits.TIME_MS_MAX:
        raise Problem(
            "validation_error", f"{name} must lie in the years 1970 to 9998", pointer="/" + name
        )
    return time_ms


def check_client_order_id(text: str | None) -> None:
    """Refuse a client_order_id that could not be looked up again."""
    if text is not None and not _CLIENT_ORDER_ID.match(text):
        raise Problem(
            "validation_error",
            "client_order_id must be 1 to 64 of A-Z a-z 0-9 _ . : -",
            pointer="/client_order_id",
        )


def check_key(text: str | None) -> None:
    """Refuse an Idempotency-Key that is empty, too long or not printable."""
    if text is None:
        return
    is_plain = text.isascii() and text.isprintable()
    if not (is_plain and 0 < len(text) <= limits.IDEMPOTENCY_KEY_CHARS):
        raise Problem(
            "validation_error",
            f"Idempotency-Key must be 1 to {limits.IDEMPOTENCY_KEY_CHARS} printable ASCII "
            "characters",
            pointer="Idempotency-Key",
        )


def one_key(header: str | None, client_order_id: str | None) -> str | None:
    """The key of a command: header and client_order_id name it, and must agree."""
    check_key(header)
    check_client_order_id(client_order_id)
    if header is not None and client_order_id is not None and header != client_order_id:
        raise Problem(
            "validation_error",
            "Idempotency-Key and client_order_id must be equal when both are sent",
            pointer="/client_order_id",
        )
    return header if header is not None else client_order_id


def check_extras(request: OrderRequest) -> None:
    """Refuse a comment, magic or deviation that MetaTrader could not carry."""
    if request.comment is not None and len(request.comment) > limits.COMMENT_CHARS:
        raise Problem(
            "validation_error",
            f"comment has {len(request.comment)} characters; "
            f"MetaTrader keeps {limits.COMMENT_CHARS}",
            pointer="/comment",
        )
    if request.comment is not None and _CONTROL.search(request.comment):
        raise Problem(
            "validation_error",
            "comment holds a control character; send printable text",
            pointer="/comment",
        )
    if not 0 <= request.magic <= limits.MAGIC_MAX:
        raise Problem("validation_error", "magic must be 0 to 2^63-1", pointer="/magic")
    if request.deviation is not None and not 0 <= request.deviation <= LOT:
        raise Problem(
            "validation_error", "deviation must be points, 0 or more", pointer="/deviation"
        )


def check_lifetime(request: OrderRequest) -> tuple[TimeInForce, int | None]:
    """Time in force and expiry in UTC milliseconds; the two must fit each other."""
    expires_ms = None
    if request.expires_at is not None:
        expires_ms = check_time("expires_at", request.expires_at)
    default = TimeInForce.GTC if expires_ms is None else TimeInForce.SPECIFIED
    lifetime = request.time_in_force or default
    needs_expiry = lifetime in (TimeInForce.SPECIFIED, TimeInForce.SPECIFIED_DAY)
    if needs_expiry and expires_ms is None:
        raise Problem("invalid_expiration", f"{lifetime} needs expires_at", pointer="/expires_at")
    if not needs_expiry and expires_ms is not None:
        raise Problem(
            "invalid_expiration",
            f"{lifetime} takes no expires_at; use SPECIFIED",
            pointer="/time_in_force",
        )
    return lifetime, expires_ms


def default_filling(type_: OrderType, spec: SymbolSpec) -> Filling:
    """The filling that is meant when none is said: the first that the symbol allows."""
    if not type_.is_market or not spec.filling_modes:
        return Filling.RETURN
    return spec.filling_modes[0]
