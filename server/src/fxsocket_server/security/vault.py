"""The vault: secrets sealed in envelopes, so that a copy of the database gives nothing away.

Each secret has a data key of its own (AES-256-GCM); a key-encryption key, which a `KeyProvider`
keeps elsewhere, wraps it. Both are bound to the place that the secret is stored at: moved to
another row or account, cut, or sealed under another version it does not open.

    v1.<id of the key-encryption key>.<wrapped data key>.<nonce>.<ciphertext>   parts in base64url
"""

import binascii
import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.core.secret import Secret

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "v1"
_KEY_ID = re.compile(r"[A-Za-z0-9_:/-]{1,128}")

RandomBytes = Callable[[int], bytes]


class VaultError(Exception):
    """A secret that cannot be sealed or opened; the text never repeats it."""


class Place(Struct, frozen=True, kw_only=True):
    """Where a sealed secret is stored: what it is bound to.

    `key_version` counts the data keys that the place has had: an older envelope does not open.
    """

    table: str
    column: str
    row: str
    account: str
    key_version: int

    def bound(self) -> bytes:
        """The place as canonical JSON, authenticated with everything sealed for it."""
        parts = {name: getattr(self, name) for name in self.__struct_fields__}
        return json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()


def place_of_secret(row: str, account: str, key_version: int) -> Place:
    """The place of a row of the table of secrets."""
    return Place(table="secrets", column="sealed", row=row, account=account,
                 key_version=key_version)  # fmt: skip


class KeyProvider(Protocol):
    """Keeps key-encryption keys: a file, the environment, a key management service.

    All methods may block, and raise VaultError.
    """

    def current(self) -> str:
        """The id of the key that wraps from now on."""
        ...

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """The id of the key of now, and a data key that only it can unwrap, in this context."""
        ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key again."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """While entered, no key is retired and none becomes the new one: seal and store inside."""
        ...


class Envelope(Struct, frozen=True):
    """The parts of a sealed secret."""

    key_id: str
    wrapped: bytes
    nonce: bytes
    ciphertext: bytes

    @property
    def text(self) -> str:
        """As it is stored."""
        parts = (_b64(self.wrapped), _b64(self.nonce), _b64(self.ciphertext))
        return ".".join((_VERSION, self.key_id, *parts))


class Vault:
    """Seals and opens secrets with the keys of a provider."""

    def __init__(self, keys: KeyProvider, random_bytes: RandomBytes) -> None:
        self.keys = keys
        self._random_bytes = random_bytes

    def seal(self, secret: Secret, place: Place) -> str:
        """Seal a secret for a place, with a data key of its own; VaultError."""
        bound = place.bound()
        data_key = self._random_bytes(KEY_BYTES)
        nonce = self._random_bytes(_NONCE_BYTES)
        ciphertext = AESGCM(data_key).encrypt(nonce, secret.reveal().encode(), bound)
        key_id, wrapped = self.keys.wrap(data_key, bound)
        if _KEY_ID.fullmatch(key_id) is None:
            raise VaultError(f"the key's id {key_id[:64]!r} must match {_KEY_ID.pattern}")
        return Envelope(key_id, wrapped, nonce, ciphertext).text

    def open(self, sealed: str, place: Place) -> Secret:
        """The secret that was sealed for a place; VaultError."""
        envelope = parse_envelope(sealed)
        bound = place.bound()
        data_key = self.keys.unwrap(envelope.key_id, envelope.wrapped, bound)
        plain = decrypted(data_key, envelope.nonce, envelope.ciphertext, bound)
        return Secret(plain.decode())

    def rewrap(self, sealed: str, place: Place) -> str:
        """The same secret under the provider's key of now; its text stays encrypted; VaultError."""
        envelope = parse_envelope(sealed)
        bound = place.bound()
        data_key = self.keys.unwrap(envelope.key_id, envelope.wrapped, bound)
        key_id, wrapped = self.keys.wrap(data_key, bound)
        return replace(envelope, key_id=key_id, wrapped=wrapped).text


def parse_envelope(sealed: str) -> Envelope:
    """The parts of a sealed secret; VaultError when it is none of this version."""
    version, *parts = sealed.split(".")
    if version != _VERSION or len(parts) != 4 or _KEY_ID.fullmatch(parts[0]) is None:
        raise VaultError(f"this is not a sealed secret of form {_VERSION}")
    wrapped, nonce, ciphertext = map(_unb64, parts[1:])
    if len(nonce) != _NONCE_BYTES:
        raise VaultError("a sealed secret was changed: its nonce has another length")
    return Envelope(parts[0], wrapped, nonce, ciphertext)


def decrypted(key: bytes, nonce: bytes, ciphertext: bytes, bound: bytes) -> bytes:
    """AES-256-GCM; VaultError unless key, place and every byte are those of the sealing."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bound)
    except (InvalidTag, ValueError):
        raise VaultError("a sealed secret was changed, moved, or sealed with another key") from None


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if _b64(data) != text:
        raise VaultError("a sealed secret was changed: a part of it is not base64url")
    return data


# --- keys that this process holds itself -----------------------------------------------------


class LocalKey(Struct, frozen=True):
    """A key-encryption key in memory; its id may be known to everybody."""

    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"LocalKey({self.id!r}, ***)"

    def wrap(self, data_key: bytes, context: bytes, random_bytes: RandomBytes) -> bytes:
        """A data key that only this key unwraps, in this context."""
        nonce = random_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, data_key, self._bound(context))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The data key again; VaultError."""
        nonce, ciphertext = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        return decrypted(self.key, nonce, ciphertext, self._bound(context))

    def _bound(self, context: bytes) -> bytes:
        return self.id.encode() + b"|" + context


def fingerprint(key: bytes) -> str:
    """What names a key without telling it."""
    return hashlib.sha256(b"fxsocket kek|" + key).hexdigest()[:12]
