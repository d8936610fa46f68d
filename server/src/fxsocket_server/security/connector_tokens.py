"""Connector tokens: what a terminal proves to the bridge that it has, without sending it.

`fxc_` + 16 characters that name the token + 32 secret ones + a 6-character checksum. The secret is
an HMAC of the name under the server's pepper: nothing secret is stored, and whoever reads the
database without the pepper can neither dial in nor pose as the server.
"""

import hashlib
import hmac
import zlib
from collections.abc import Callable

from msgspec import Struct

from fxsocket_server.core.ids import base62

_PREFIX = "fxc_"
_KEY_CHARS = 16
_SECRET_CHARS = 32
_CHECK_CHARS = 6
_BODY_CHARS = len(_PREFIX) + _KEY_CHARS + _SECRET_CHARS


class TokenError(ValueError):
    """A text that is no connector token; says so without repeating it."""


class ConnectorToken(Struct, frozen=True):
    """The name of a token, which is public, and its secret."""

    key: str
    secret: bytes

    def __repr__(self) -> str:
        return f"ConnectorToken({self.key!r}, ***)"

    @property
    def text(self) -> str:
        """What is given to the terminal, once."""
        body = _PREFIX + self.key + self.secret.decode()
        return body + base62(zlib.crc32(body.encode())).rjust(_CHECK_CHARS, "0")


def mint_key(random_bytes: Callable[[int], bytes]) -> str:
    """The name of a new token."""
    return _chars(random_bytes(16), _KEY_CHARS)


def token_of(pepper: bytes, key: str) -> ConnectorToken:
    """The token of a name."""
    digest = hmac.new(pepper, b"fxb1|token|" + key.encode(), hashlib.sha256).digest()
    return ConnectorToken(key, _chars(digest, _SECRET_CHARS).encode())


def parse_token(text: str) -> ConnectorToken:
    """The token in a text; TokenError when it is mistyped."""
    body, checksum = text[:_BODY_CHARS], text[_BODY_CHARS:]
    expected = base62(zlib.crc32(body.encode())).rjust(_CHECK_CHARS, "0")
    if not (body.startswith(_PREFIX) and len(body) == _BODY_CHARS and checksum == expected):
        raise TokenError("is not a connector token; it begins with fxc_ and is copied whole")
    at = len(_PREFIX) + _KEY_CHARS
    return ConnectorToken(body[len(_PREFIX) : at], body[at:].encode())


def _chars(number: bytes, count: int) -> str:
    return base62(int.from_bytes(number, "big")).rjust(count, "0")[-count:]


# --- the proofs of a handshake ---------------------------------------------------------------


def terminal_proof(token: ConnectorToken, login: int, server: str, nonces: tuple[str, ...]) -> str:
    """What a terminal answers to the challenge; `nonces` are its boot, its nonce, the server's."""
    return _proof(token, ("fxb1", "c", token.key, str(login), server, *nonces))


def server_proof(token: ConnectorToken, nonces: tuple[str, ...]) -> str:
    """What the server answers; `nonces` are the terminal's and its own."""
    return _proof(token, ("fxb1", "s", *nonces))


def is_proof(given: str, expected: str) -> bool:
    """Whether a proof is right, in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _proof(token: ConnectorToken, parts: tuple[str, ...]) -> str:
    return hmac.new(token.secret, "|".join(parts).encode(), hashlib.sha256).hexdigest()
