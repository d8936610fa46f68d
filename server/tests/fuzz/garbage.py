"""What no client should send, drawn from a seeded source: JSON text, parameters, headers, bytes."""

import json
from random import Random
from urllib.parse import quote_from_bytes

_NUMBERS = (
    b"0", b"-0", b"-1", b"1e999", b"-1e999", b"1e-999", b"5e-324", b"1e308", b"9" * 19, b"9" * 400,
    b"0." + b"1" * 400, b"9223372036854775808", b"-9223372036854775809", b"1E+2", b"1.015", b"1e-5",
)  # fmt: skip
_TEXTS = (
    b'""', b'"\\u0000"', b'"a\\r\\nSet-Cookie: x=1"', b'"' + b"x" * 40_000 + b'"', b'"BUY"',
    '"\U0001f4a9\xe9\u202e"'.encode(), b'"../../etc/passwd"', b'"%00%0d%0a"', b'"{{7*7}}"',
    b'"\'; DROP TABLE orders; --"', b'"EURUSD\\u0000"', b'"2026-02-30T25:61:00Z"', b'"CLOSE_BY"',
    b'"9999-12-31T23:59:59+23:59"', b'"2099-01-01T00:00:00Z"', b'"SPECIFIED"', b'"ord_0"', b'"1"',
)  # fmt: skip
_OTHERS = (b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'["EURUSD"]', b"[1e999]")
_BROKEN = (
    b"NaN", b"Infinity", b"-Infinity", b"007", b"0x10", b"+1", b".5", b"1.", b"1e", b"--1", b"nul",
    b"undefined", b"", b"'x'", b"/**/", b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xff\xfe"', b'"\\',
    b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"a\nb"', b'"\\x41"', b'"open', b"[,]", b"{1:2}", b"\0",
)  # fmt: skip
_BYTES = (
    b"", b"%", b"%zz", b"\xff\xfe", b"\0", b"\r\nX: y", b"..", b"../" * 40, b"*", b"!*", b"-1",
    b"1e999", b"NaN", b"0", b"9" * 20, b"true", b"null", b"a" * 5_000, "\xe9\U0001f4a9".encode(),
    b"EURUSD", b"EURUSD,,GBPUSD", b"' OR 1=1", b"2026-01-01", b"9999-12-31T23:59:59Z", b"+", b";",
    b"&&==", b"1", b"M1", b"BUY", b"0.1", b"ord_0", b"acc_0", b"text/csv",
)  # fmt: skip


class Garbage:
    """A seeded source of input that is wrong, or that nobody thought of."""

    def __init__(self, rng: Random, words: tuple[str, ...]) -> None:
        """`words` are field names that mean something, which a blind draw would never hit."""
        self.rng = rng
        self._words = words

    def chance(self, share: float) -> bool:
        """True so often."""
        return self.rng.random() < share

    # --- JSON --------------------------------------------------------------------------------

    def value(self) -> bytes:
        """The text of one JSON value, or of something that is none."""
        kinds = (_NUMBERS, _TEXTS, _OTHERS, _BROKEN)
        if self.chance(0.1):
            return self._deep() if self.chance(0.3) else self._nested()
        return self.rng.choice(self.rng.choices(kinds, (8, 8, 4, 3))[0])

    def _deep(self) -> bytes:
        depth = self.rng.choice((31, 33, 1_000, 20_000))
        start, end = self.rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return start * depth + b"1" + end * self.rng.choice((depth, depth - 1))

    def _nested(self) -> bytes:
        return b"{" + self._field() + b"," + self._field() + b"}"

    def _field(self) -> bytes:
        name = self.rng.choice(self._words)
        key = self.rng.choice(_TEXTS) if self.chance(0.1) else json.dumps(name).encode()
        return key + b":" + self.value()

    def spoilt(self, good: dict[str, object]) -> bytes:
        """A good object with one to three fields made wrong, doubled, left out or added."""
        fields = {name: json.dumps(value).encode() for name, value in good.items()}
        more: list[bytes] = []
        for _ in range(self.rng.randint(1, 3)):
            self._spoil(fields, more)
        own = [json.dumps(name).encode() + b":" + text for name, text in fields.items()]
        parts = own + more
        self.rng.shuffle(parts)
        return self._cut(b"{" + b",".join(parts) + b"}")

    def _spoil(self, fields: dict[str, bytes], more: list[bytes]) -> None:
        how = self.rng.randrange(4)
        if how == 0 or not fields:
            more.append(self._field())
            return
        name = self.rng.choice(sorted(fields))
        if how == 1:
            del fields[name]
        elif how == 2:
            fields[name] = self.value()
        else:
            more.append(json.dumps(name).encode() + b":" + fields[name])

    def _cut(self, text: bytes) -> bytes:
        """Now and then, what a broken sender makes of it."""
        how = self.rng.randrange(40)
        if how == 0:
            return text[: self.rng.randrange(len(text))]
        if how == 1:
            return text + text
        if how == 2:
            at = self.rng.randrange(len(text))
            return text[:at] + bytes([self.rng.randrange(256)]) + text[at + 1 :]
        if how == 3:
            return text.decode("latin-1").encode("utf-16")
        return text

    # --- the rest of a request ---------------------------------------------------------------

    def raw(self) -> bytes:
        """Bytes that no field takes."""
        return self.rng.choice(_BYTES)

    def quoted(self) -> str:
        """The same, as it may stand in an address."""
        safe = "" if self.chance(0.7) else "%&=+;,/!*'"
        return quote_from_bytes(self.raw(), safe=safe)

    def header_value(self) -> bytes:
        """A header's value; line breaks and all."""
        return self.raw() if self.chance(0.8) else self.noise(60)

    def noise(self, most: int) -> bytes:
        """Any bytes."""
        return self.rng.randbytes(self.rng.randint(1, most))
