"""One call of the API as data: what to send and how to read the answer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, SupportsFloat, SupportsIndex, TypeVar
from urllib.parse import quote

import msgspec

from fxsocket.errors import ConfigError

T = TypeVar("T")


class Keep(Enum):
    """The kind of `KEEP`: leave this field as it is."""

    KEEP = "KEEP"

    def __repr__(self) -> str:
        return self.value


KEEP: Final = Keep.KEEP
"""Default of every field of `modify`: absent keeps, None removes."""

Kept = Literal[Keep.KEEP]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One logical call; `extra_wait_s` is how long the server was asked to hold its answer.

    One that `asks_only` changes nothing, whatever its method; one that is sent `once` is not
    retried, for no key keeps it from being done twice. A trade command is also written as `frame`,
    the stream's form of it.
    """

    method: str
    path: str
    decode: Callable[[bytes], T]
    params: Mapping[str, Any] | None = None
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    extra_wait_s: float = 0.0
    deadline: float | None = None
    asks_only: bool = False
    once: bool = False
    frame: Mapping[str, Any] | None = None

    @property
    def is_command(self) -> bool:
        """Whether the call changes something and so carries a key."""
        changes = self.method in ("POST", "PATCH", "PUT", "DELETE")
        return changes and not self.asks_only


def path(*parts: Any) -> str:
    """Join path parts, each quoted; an empty one would name the whole collection."""
    for part in parts:
        if not isinstance(part, str) or part in ("", ".", ".."):
            raise ConfigError(f"no id or name but {part!r}: pass a text such as order.id")
    return "/" + "/".join(quote(part, safe="") for part in parts)


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the fields that say something: None is left out."""
    return {name: plain(name, value) for name, value in fields.items() if value is not None}


def changed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the fields to change: KEEP is left out, None stays and removes."""
    kept = {name: plain(name, value) for name, value in fields.items() if value is not KEEP}
    if not kept:
        raise ConfigError(f"nothing to change: pass at least one of {', '.join(fields)}")
    return kept


def plain(name: str, value: Any) -> Any:
    """Turn a value into what JSON has; numbers of numpy and decimal become int and float.

    Lists, tuples and mappings are turned item by item.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _finite(name, float(value))
    if isinstance(value, datetime):
        return utc_text(name, value)
    if isinstance(value, Mapping):
        return {key: plain(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(name, item) for item in value]
    if isinstance(value, SupportsIndex):
        return int(value)
    if isinstance(value, SupportsFloat):
        return _finite(name, float(value))
    raise ConfigError(f"{name} cannot be sent: {type(value).__name__} is no number, text or time")


def utc_text(name: str, moment: datetime) -> str:
    """Write a moment as ISO 8601 UTC with milliseconds."""
    if moment.tzinfo is None:
        raise ConfigError(f"{name} has no time zone: use datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def query_text(value: Any) -> str:
    """Write a query parameter."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def reader(kind: type[T]) -> Callable[[bytes], T]:
    """Make the function that reads an answer of this kind."""
    return msgspec.json.Decoder(kind).decode


def _finite(name: str, number: float) -> float:
    # JSON has no NaN, and it must not turn into null: a null sl means no stop at all.
    if not math.isfinite(number):
        raise ConfigError(f"{name} must be a finite number, was {number}")
    return number
