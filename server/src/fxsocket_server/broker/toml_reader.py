"""TOML read strictly: every value is checked where it is read, every error names file and line."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from fxsocket_server.model.server_time import date_of, days_of

E = TypeVar("E", bound=StrEnum)
Path = tuple[str, ...]

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]")
_KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[\w-]+)\s*=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")


class ProfileError(ValueError):
    """A broker profile that cannot be used: the text names file, line, field and fix."""


def read_toml(text: str, source: str) -> "Table":
    """The root table of a TOML text; `source` is the file's name for errors."""
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = place[1] if place and place[1] else len(text.splitlines())
        message = _PLACE.sub("", str(error))
        raise ProfileError(f"{source}:{line}: not valid TOML: {message}") from error
    return Table(source, (), values, _line_numbers(text))


def _line_numbers(text: str) -> dict[Path, int]:
    """Where each table header and each key of a table stands."""
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _parts(name: str) -> Path:
    return tuple(next(filter(None, part.groups()), "") for part in _PART.finditer(name))


class Table:
    """One table of the file; keys that it lacks are looked up in the table it falls back on."""

    def __init__(
        self,
        source: str,
        path: Path,
        values: Mapping[str, Any],
        lines: Mapping[Path, int],
        fallback: "Table | None" = None,
    ) -> None:
        self._source = source
        self._path = path
        self._values = values
        self._lines = lines
        self._fallback = fallback

    @property
    def name(self) -> str:
        """The last part of the table's name."""
        return self._path[-1]

    def falling_back_on(self, other: "Table | None") -> "Table":
        """This table, with another's values for the keys it lacks."""
        return Table(self._source, self._path, self._values, self._lines, other)

    def fail(self, key: str, message: str) -> NoReturn:
        """Raise a ProfileError where a key stands, or at the table's header when it is absent."""
        if key not in self._values and self._fallback and key in self._fallback._values:
            self._fallback.fail(key, message)
        path = (*self._path, key)
        line = self._lines.get(path) or self._lines.get(self._path) or 1
        raise ProfileError(f"{self._source}:{line}: {'.'.join(path)}: {message}")

    def allow(self, keys: Iterable[str]) -> None:
        """Refuse every key that is not one of these."""
        known = sorted(keys)
        for key in self._values:
            if key not in known:
                near = get_close_matches(key, known, 1)
                fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                self.fail(key, f"unknown key; {fix}")

    def tables(self, key: str) -> dict[str, "Table"]:
        """The tables `[key.NAME]` by name."""
        return {name: self.table(key).table(name) for name in self.table(key)._values}

    def table(self, key: str) -> "Table":
        """A table inside this one; empty when absent."""
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            self.fail(key, f"must be a table; write [{'.'.join((*self._path, key))}]")
        return Table(self._source, (*self._path, key), values, self._lines)

    # --- values ------------------------------------------------------------------------------

    def _find(self, key: str) -> Any:
        """The value of a key, here or in the table to fall back on; None when nobody has it."""
        value = self._values.get(key)
        if value is None and self._fallback is not None:
            return self._fallback._values.get(key)
        return value

    def _missing(self, key: str, default: Any) -> Any:
        if default is None:
            self.fail(key, "is missing; add it")
        return default

    def text(self, key: str, default: str | None = None) -> str:
        """Text that is not empty."""
        value = self._find(key)
        if value is None:
            return str(self._missing(key, default))
        if not isinstance(value, str) or not value:
            self.fail(key, f"must be text in quotes, is {_shown(value)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false, is {_shown(value)}")
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number within bounds."""
        value = self._find(key)
        if value is None:
            return int(self._missing(key, default))
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(key, f"must be a whole number from {low} to {high}, is {_shown(value)}")
        return value

    def fixed(self, key: str, digits: int, low: int, high: int, default: int | None = None) -> int:
        """A number within bounds, as an integer of 10**-digits; `default` is such an integer."""
        value = self._find(key)
        if value is None:
            return int(self._missing(key, default))
        return self._fixed(key, value, digits, low, high)

    def _fixed(self, key: str, value: Any, digits: int, low: int, high: int) -> int:
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        if not is_number or Decimal(value).is_nan() or not low <= value <= high:
            self.fail(key, f"must be a number from {low} to {high}, is {_shown(value)}")
        scaled = Decimal(value).scaleb(digits)
        if scaled != scaled.to_integral_value():
            self.fail(key, f"has more than {digits} decimals: {_shown(value)}")
        return int(scaled)

    def choice(self, key: str, choices: Iterable[E], default: E | None = None) -> E:
        """One of the names of an enumeration."""
        value = self._find(key)
        if value is None:
            chosen: E = self._missing(key, default)
            return chosen
        return self._member(key, value, tuple(choices))

    def day(self, key: str) -> int | None:
        """A date such as "2026-12-25" as days since 1970-01-01; None when absent."""
        value = self._find(key)
        return None if value is None else self._day(key, value)

    def days(self, key: str) -> tuple[int, ...]:
        """A list of such dates; empty when absent."""
        return tuple(self._day(key, text) for text in self.texts(key))

    def _day(self, key: str, value: object) -> int:
        date = _DATE.fullmatch(value) if isinstance(value, str) else None
        days = days_of(*(int(part) for part in date.groups())) if date else None
        if days is None or str(value) != _date_text(days):
            self.fail(key, f'must be a date such as "2026-12-25", is {_shown(value)}')
        return days

    def choices(self, key: str, choices: Iterable[E], default: tuple[E, ...]) -> tuple[E, ...]:
        """A list of such names."""
        value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, list) or not value:
            self.fail(key, f"must be a list of names, is {_shown(value)}")
        members = tuple(choices)
        return tuple(self._member(key, item, members) for item in value)

    def _member(self, key: str, value: object, choices: tuple[E, ...]) -> E:
        members = [member for member in choices if member.value == value]
        if not members:
            self.fail(key, f"must be one of {', '.join(choices)}, is {_shown(value)}")
        return members[0]

    def numbers(self, key: str, digits: int, low: int, high: int) -> tuple[int, ...]:
        """A list of numbers within bounds, each as an integer of 10**-digits; empty when absent."""
        value = self._find(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.fail(key, f"must be a list of numbers, is {_shown(value)}")
        return tuple(self._fixed(key, item, digits, low, high) for item in value)

    def pairs(self, key: str, digits: int, low: int, high: int) -> tuple[tuple[int, int], ...]:
        """A list of [number, number], each as an integer of 10**-digits; empty when absent."""
        value = self._find(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(_is_pair(item) for item in value):
            self.fail(key, f"must be a list of [number, number], is {_shown(value)}")
        rows = (tuple(self._fixed(key, item, digits, low, high) for item in row) for row in value)
        return tuple((first, second) for first, second in rows)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when absent."""
        value = self._find(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(key, f"must be a list of texts, is {_shown(value)}")
        return tuple(value)


def _date_text(days: int) -> str:
    date = date_of(days)
    return f"{date.year:04}-{date.month:02}-{date.day:02}"


def _is_pair(item: object) -> bool:
    return isinstance(item, list) and len(item) == 2


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
