"""Identifiers: `ord_`, `pos_`, `deal_`, `acc_`... + base62, and the tag in a broker comment."""

from collections.abc import Callable

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
# A random byte as a character; 256 is no multiple of 62, so a few characters come slightly oftener.
_CHARACTERS = bytes(_BASE62[byte % 62].encode()[0] for byte in range(256))
_TAG_CHARACTERS = bytes(_CROCKFORD[byte % 32].encode()[0] for byte in range(256))
_TAG_CHARS = 10
_TIME_CHARS = 7
_RANDOM_CHARS = 11

RandomBytes = Callable[[int], bytes]
WallMs = Callable[[], int]


def base62(number: int) -> str:
    """Write a non-negative integer in base 62, digits first."""
    text = ""
    while number >= 62:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return _BASE62[number] + text


class IdFactory:
    """Makes ids from an injected clock and source of random bytes: a seeded world repeats them.

    An id begins with its millisecond, so that ids sort by time: a journal's indexes grow at their
    end instead of all over.
    """

    def __init__(self, random_bytes: RandomBytes, wall_ms: WallMs) -> None:
        self._random_bytes = random_bytes
        self._wall_ms = wall_ms
        self._pool = b""
        self._taken = 0
        self._time_ms = -1
        self._time_text = ""

    def _take(self, count: int) -> bytes:
        start = self._taken
        if start + count > len(self._pool):
            self._pool, start = self._random_bytes(4096), 0
        self._taken = start + count
        return self._pool[start : start + count]

    def make(self, prefix: str) -> str:
        """A fresh id such as `ord_0V3kZq...`: prefix, 7 characters of time, 11 random ones."""
        now = self._wall_ms()
        if now != self._time_ms:
            self._time_ms = now
            self._time_text = base62(now).rjust(_TIME_CHARS, "0")
        random_part = self._take(_RANDOM_CHARS).translate(_CHARACTERS).decode()
        return prefix + self._time_text + random_part

    def tag(self) -> str:
        """The mark that goes first in a broker comment: `~` + 10 Crockford base32 + space."""
        return "~" + self._take(_TAG_CHARS).translate(_TAG_CHARACTERS).decode() + " "
