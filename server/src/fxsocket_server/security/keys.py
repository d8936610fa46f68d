"""API keys as stored, and the ring of those that are valid.

Only an HMAC-SHA256 under the server's pepper is stored. A demo key given by hand (`--api-key`) may
be any string.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable

from msgspec import Struct

from fxsocket_server.core.errors import Problem
from fxsocket_server.security.ip_rules import IpRule, ip_rule
from fxsocket_server.security.key_format import is_mistyped
from fxsocket_server.security.principal import Principal, Scope


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as stored: never its secret, only the digest.

    `account_ids` None means every account of its user, no `ip_rules` any address. After a rotation
    the secret before this one, `old_digest`, is valid until `old_until_ms`; `generation` counts the
    key's secrets.
    """

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
    ip_rules: tuple[str, ...] = ()
    is_live: bool = False
    last_used_ms: int | None = None
    old_digest: bytes | None = None
    old_until_ms: int | None = None
    generation: int = 1

    @property
    def networks(self) -> tuple[IpRule, ...]:
        """The rules of its addresses, ready to be asked."""
        return tuple(ip_rule(text) for text in self.ip_rules)


class Keyring:
    """All keys that are not revoked, by digest, in memory: no query per request."""

    def __init__(self, pepper: bytes, keys: Iterable[ApiKey], now_ms: Callable[[], int]) -> None:
        self._peppered = hmac.new(pepper, digestmod=hashlib.sha256)
        self._now_ms = now_ms
        self._by_digest: dict[bytes, Principal] = {}
        self._keys: dict[str, ApiKey] = {}
        self.used_ms: dict[str, int] = {}  # by id, since somebody wrote them down
        for key in keys:
            self.put(key)

    def put(self, key: ApiKey) -> None:
        """Add a key, or replace or remove it when it has changed or was revoked."""
        self._forget(key.id)
        same_secret = self._by_digest.get(key.digest)
        if same_secret is not None:
            self._forget(same_secret.key_id)
        if key.revoked_ms is not None:
            return
        self._keys[key.id] = key
        self._by_digest[key.digest] = _principal(key, key.generation, key.expires_ms)
        if key.old_digest is not None:
            ends = [ms for ms in (key.old_until_ms, key.expires_ms) if ms is not None]
            old = _principal(key, key.generation - 1, min(ends, default=None))
            self._by_digest[key.old_digest] = old

    def _forget(self, key_id: str) -> None:
        before = self._keys.pop(key_id, None)
        if before is not None:
            for digest in (before.digest, before.old_digest):
                if digest is not None:
                    self._by_digest.pop(digest, None)

    def key(self, key_id: str) -> ApiKey | None:
        """A key that is not revoked, by its id."""
        return self._keys.get(key_id)

    def keys_of(self, user_id: str) -> list[ApiKey]:
        """The keys of a user that are not revoked, oldest first."""
        its = (key for key in self._keys.values() if key.user_id == user_id)
        return sorted(its, key=lambda key: key.id)  # which begins with its time

    def keys(self) -> list[ApiKey]:
        """Every key that is not revoked; a copy."""
        return list(self._keys.values())

    def authenticate(self, secret: str) -> Principal:
        """The principal of a secret; raises `unauthorized`.

        Looking the digest up is not a timing leak: without the pepper nobody can choose it.
        """
        if is_mistyped(secret):
            raise Problem("unauthorized", "the API key is mistyped; copy it whole")
        digest = self._peppered.copy()  # the pepper's share of the work is done once
        digest.update(secret.encode())
        principal = self._by_digest.get(digest.digest())
        if principal is None:
            raise Problem("unauthorized", "the API key is unknown or was revoked")
        now_ms = self._now_ms()
        principal.check_valid(now_ms)
        self.used_ms[principal.key_id] = now_ms
        return principal

    def current(self, principal: Principal) -> Principal | None:
        """Who somebody that was authenticated before is now; None when its secret is void."""
        key = self._keys.get(principal.key_id)
        if key is None:
            return None
        digests = (key.digest, key.old_digest)
        now = [self._by_digest[digest] for digest in digests if digest is not None]
        return next((p for p in now if p.generation == principal.generation), None)


def _principal(key: ApiKey, generation: int, expires_ms: int | None) -> Principal:
    return Principal(
        user_id=key.user_id,
        key_id=key.id,
        scope=key.scope,
        account_ids=key.account_ids,
        default_account_id=key.default_account_id,
        ip_rules=key.networks,
        expires_ms=expires_ms,
        generation=generation,
        is_replaced=generation < key.generation,
    )


def bearer(header: str | None) -> str:
    """The secret in an Authorization header; raises `unauthorized` with the fix."""
    if header is None:
        raise Problem("unauthorized", "no API key; send the header Authorization: Bearer YOUR_KEY")
    kind, _, secret = header.partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Problem("unauthorized", "the Authorization header must read Bearer YOUR_KEY")
    return secret.strip()
