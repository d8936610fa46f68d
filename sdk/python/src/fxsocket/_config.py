"""What a client is told once: key, addresses, account, patience. Checked before any request."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from fxsocket import _policy
from fxsocket.errors import ConfigError

# Never a public host: a key must not travel to a stranger because an address was forgotten.
DEFAULT_BASE_URL = "http://127.0.0.1:8000/v1"
DEFAULT_STREAM_PORT = 8001


class Secret:
    """An API key that no repr, log line or error shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def authorization(self) -> str:
        """The header value that carries the key."""
        return f"Bearer {self._value}"

    def reveal(self) -> str:
        """The key itself; for making another client only."""
        return self._value

    def redact(self, body: bytes) -> bytes:
        """Blot the key out of an answer that echoes it."""
        return body.replace(self._value.encode(), b"***")

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled; make a new client in the other process")


@dataclass(frozen=True, slots=True)
class Config:
    """Checked settings; times in seconds."""

    key: Secret
    base_url: str
    stream_url: str
    account_id: str | None
    max_retries: int
    timeout: float
    total_timeout: float

    @property
    def connect_timeout(self) -> float:
        """Seconds that one attempt may spend on connecting."""
        return min(_policy.CONNECT_TIMEOUT_MS / 1000, self.timeout)


def configure(
    *,
    api_key: str | None,
    base_url: str | None,
    stream_url: str | None,
    account_id: str | None,
    max_retries: int,
    timeout: float,
    total_timeout: float,
    environ: Mapping[str, str],
) -> Config:
    """Fill what is left out from the environment, then check everything.

    Raises ConfigError that names the setting and the fix.
    """
    base = base_url or environ.get("FXSOCKET_BASE_URL") or DEFAULT_BASE_URL
    base = _address("base_url", base, ("http", "https"))
    stream = stream_url or environ.get("FXSOCKET_STREAM_URL") or _stream_beside(base)
    return Config(
        key=Secret(_key(api_key if api_key is not None else environ.get("FXSOCKET_API_KEY"))),
        base_url=base,
        stream_url=_address("stream_url", stream, ("ws", "wss")),
        account_id=account_id,
        max_retries=_at_least("max_retries", max_retries, 0),
        timeout=_positive("timeout", timeout),
        total_timeout=_positive("total_timeout", total_timeout),
    )


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine, so that no proxy may come between."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(value: str | None) -> str:
    if not value:
        raise ConfigError(
            "no API key: pass api_key=... or set FXSOCKET_API_KEY; the server prints one at start"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            "api_key holds a space, a line end or a non-ASCII character; copy it again"
        )
    return value


def _stream_beside(base_url: str) -> str:
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{scheme}://{host}:{DEFAULT_STREAM_PORT}{parts.path}/stream"


def _address(name: str, value: str, schemes: tuple[str, str]) -> str:
    parts = _split(name, value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ConfigError(
            f"{name} must start with {schemes[0]}:// or {schemes[1]}:// and name a host"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{name} must hold no user, password, query or fragment")
    return value.rstrip("/")


def _split(name: str, value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port  # the port is only read, and found wrong, when asked for
    except ValueError as error:
        raise ConfigError(f"{name} is no URL: {error}") from None
    return parts


def _at_least(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, was {value!r}")
    return value


def _positive(name: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise ConfigError(f"{name} must be a positive number of seconds, was {value!r}")
    return float(value)
