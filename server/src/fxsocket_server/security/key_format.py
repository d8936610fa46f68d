"""How an API key looks: `fxs_test_` or `fxs_live_`, 32 random base62 characters, a checksum of 6.

The prefix and the checksum let a secret scanner find keys and little else, and let a mistyped key
be refused without looking it up. docs/reference/keys.md publishes `PATTERN`.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable

from fxsocket_server.core.ids import base62

PATTERN = r"fxs_(?:live|test)_[0-9A-Za-z]{38}"
_RANDOM_CHARS = 32
_CHECK_CHARS = 6
_FORM = re.compile(PATTERN + r"\Z")


def mint_secret(random_bytes: Callable[[int], bytes], kind: str = "test") -> str:
    """A new key's secret, shown once."""
    number = int.from_bytes(random_bytes(24), "big")
    random_part = base62(number).rjust(_RANDOM_CHARS, "0")[-_RANDOM_CHARS:]
    body = f"fxs_{kind}_{random_part}"
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode())).rjust(_CHECK_CHARS, "0")


def is_mistyped(secret: str) -> bool:
    """Whether a text looks like a key, yet its checksum says that it is none."""
    if _FORM.match(secret) is None:
        return False
    return secret[-_CHECK_CHARS:] != _checksum(secret[:-_CHECK_CHARS])


def digest_of(pepper: bytes, secret: str) -> bytes:
    """What is stored of a secret: about 190 random bits need no slow hash."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()
