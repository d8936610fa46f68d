"""API keys: `fxs_test_` or `fxs_live_` + 32 random base62 characters + a 6-character checksum.

Only an HMAC-SHA256 under the server's pepper is stored. Keys carry about 190 random bits, so a fast
HMAC is enough; a demo key given by hand (`--api-key`) may be any string.
"""

import hashlib
import hmac
import zlib
from collections.abc import Callable, Iterable

from msgspec import Struct

from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import base62
from fxsocket_server.security.principal import Principal, Scope

_RANDOM_CHARS = 32
_CHECK_CHARS = 6


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as stored: never its secret, only the digest."""

    id: str
    user_id: str
    name: str
    digest: bytes
    scope: Scope
    account_ids: tuple[str, ...] | None
    default_account_id: str | None
    created_ms: int
    revoked_ms: int | None = None
    expires_ms: int | None = None


def mint_secret(random_bytes: Callable[[int], bytes], kind: str = "test") -> str:
    """A new key's secret, shown once."""
    number = int.from_bytes(random_bytes(24), "big")
    random_part = base62(number).rjust(_RANDOM_CHARS, "0")[-_RANDOM_CHARS:]
    body = f"fxs_{kind}_{random_part}"
    return body + base62(zlib.crc32(body.encode())).rjust(_CHECK_CHARS, "0")


def digest_of(pepper: bytes, secret: str) -> bytes:
    """What is stored of a secret."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()


class Keyring:
    """All keys that are not revoked, by digest, in memory: no query per request."""

    def __init__(self, pepper: bytes, keys: Iterable[ApiKey], now_ms: Callable[[], int]) -> None:
        self._peppered = hmac.new(pepper, digestmod=hashlib.sha256)
        self._now_ms = now_ms
        self._by_digest: dict[bytes, tuple[ApiKey, Principal]] = {}
        for key in keys:
            self.put(key)

    def put(self, key: ApiKey) -> None:
        """Add a key, or replace or remove it when it has changed or was revoked."""
        if key.revoked_ms is not None:
            self._by_digest.pop(key.digest, None)
            return
        principal = Principal(
            user_id=key.user_id,
            key_id=key.id,
            scope=key.scope,
            account_ids=key.account_ids,
            default_account_id=key.default_account_id,
        )
        self._by_digest[key.digest] = (key, principal)

    def authenticate(self, secret: str) -> Principal:
        """The principal of a secret; raises `unauthorized`.

        Looking the digest up is not a timing leak: without the pepper nobody can choose it.
        """
        digest = self._peppered.copy()  # the pepper's share of the work is done once
        digest.update(secret.encode())
        found = self._by_digest.get(digest.digest())
        if found is None:
            raise Problem("unauthorized", "the API key is unknown or was revoked")
        key, principal = found
        if key.expires_ms is not None and key.expires_ms <= self._now_ms():
            raise Problem("unauthorized", "the API key has expired; make a new one")
        return principal


def bearer(header: str | None) -> str:
    """The secret in an Authorization header; raises `unauthorized` with the fix."""
    if header is None:
        raise Problem("unauthorized", "no API key; send the header Authorization: Bearer YOUR_KEY")
    kind, _, secret = header.partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Problem("unauthorized", "the Authorization header must read Bearer YOUR_KEY")
    return secret.strip()
