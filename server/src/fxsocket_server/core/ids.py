"""Identifiers: `ord_`, `pos_`, `deal_`, `acc_`... + base62, and the tag in a broker comment."""

from collections.abc import Callable

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _BASE62 for b in _BASE62]

RandomBytes = Callable[[int], bytes]


def base62(number: int) -> str:
    """Write a non-negative integer in base 62, digits first."""
    text = ""
    while number >= 62:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return _BASE62[number] + text


def crockford32(number: int, width: int) -> str:
    """Write the low `5 * width` bits of an integer in Crockford's base 32."""
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(5 * width - 5, -1, -5))


class IdFactory:
    """Makes ids from an injected source of random bytes, so that a seeded world repeats them."""

    def __init__(self, random_bytes: RandomBytes) -> None:
        self._random_bytes = random_bytes
        self._pool = b""

    def _take(self, count: int) -> bytes:
        if len(self._pool) < count:
            self._pool = self._random_bytes(4096)
        taken, self._pool = self._pool[:count], self._pool[count:]
        return taken

    def make(self, prefix: str) -> str:
        """A fresh id such as `ord_0B3kZ...`: prefix + 16 base62 characters (95 bits)."""
        number = int.from_bytes(self._take(12), "big")
        text = prefix
        for _ in range(8):
            number, pair = divmod(number, 3844)
            text += _PAIRS[pair]
        return text

    def tag(self) -> str:
        """The mark that goes first in a broker comment: `~` + 10 Crockford base32 + space."""
        return "~" + crockford32(int.from_bytes(self._take(7), "big"), 10) + " "
