"""CSV and JSON files, plain or gzipped; every error names file, line or entry, and field."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, TypeVar

from fxsocket_server.model.mt5_numbers import from_mt5
from fxsocket_server.model.units import fixed_of

E = TypeVar("E", bound=StrEnum)


class TableError(Exception):
    """A file that cannot be read as it should be: where, what is wrong, and the fix."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    path: Path
    line: int
    cells: dict[str, str]

    def fail(self, column: str, problem: str) -> TableError:
        """The error of one cell."""
        return TableError(f"{self.path}:{self.line}: {column}: {problem}")

    def text(self, column: str) -> str:
        """A cell that is not empty."""
        value = self.cells.get(column, "").strip()
        if not value:
            raise self.fail(column, "is empty; every row needs it")
        return value

    def fixed(self, column: str, digits: int, default: int | None = None) -> int:
        """A number as an integer of 10**-digits; the default where the cell is empty or absent."""
        if default is not None and not self.cells.get(column, "").strip():
            return default
        value = self.text(column)
        try:
            return fixed_of(float(value), digits)
        except (ValueError, OverflowError):
            raise self.fail(column, f"{value!r} is not a number") from None


def header_of(lines: Iterator[Sequence[str]], path: Path, required: Sequence[str]) -> list[str]:
    """The first line's column names; TableError names those that are missing."""
    names = [name.strip().lower() for name in next(lines, [])]
    missing = [name for name in required if name not in names]
    if missing:
        found = ", ".join(names) or "none"
        raise TableError(f"{path}:1: {', '.join(missing)}: no such column; there are {found}")
    return names


def rows(path: Path, required: Sequence[str]) -> list[Row]:
    """The rows of a file that must have certain columns and may have others."""
    with opened(path) as file:
        lines = csv.reader(file)
        names = header_of(lines, path, required)
        return [_row(path, lines.line_num, names, cells) for cells in lines if cells]


def _row(path: Path, line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        raise TableError(
            f"{path}:{line}: {len(cells)} cells, but the header has {len(names)} columns"
        )
    return Row(path, line, dict(zip(names, cells, strict=True)))


def opened(path: Path) -> IO[str]:
    """The text of a file, unzipped if its name ends in .gz."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return io.StringIO(data.decode("utf-8-sig"), newline="")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from error


# --- JSON ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """One JSON object: a spec, or an entry of a list; `place` tells which in errors."""

    place: str
    values: dict[str, Any]

    def fail(self, field: str, problem: str) -> TableError:
        """The error of one field."""
        return TableError(f"{self.place}: {field}: {problem}")

    def find(self, *fields: str) -> Any:
        """The value of the first of these fields that is there; None if none is."""
        present = (self.values[field] for field in fields if self.values.get(field) is not None)
        return next(present, None)

    def text(self, field: str, default: str | None = None) -> str:
        """Text that is not empty."""
        value = self.find(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value.strip():
            raise self.fail(field, self._problem(field, "text", value))
        return value.strip()

    def fixed(self, field: str, digits: int, default: int | None = None) -> int:
        """A number (also as text) as an integer of 10**-digits."""
        value = self.find(field)
        if value is None and default is not None:
            return default
        try:
            if isinstance(value, bool | None):
                raise ValueError
            return fixed_of(float(value), digits)
        except (TypeError, ValueError, OverflowError):
            raise self.fail(field, self._problem(field, "a number", value)) from None

    def choice(self, field: str, kind: type[E], default: E | None = None) -> E:
        """A member of an enumeration, by its name or by MetaTrader's number."""
        value = self.find(field)
        if value is None and default is not None:
            return default
        try:
            return from_mt5(kind, value) if isinstance(value, int) else kind(str(value).upper())
        except ValueError:
            known = ", ".join(kind)
            raise self.fail(field, f"{value!r} is none of {known}") from None

    def _problem(self, field: str, kind: str, value: object) -> str:
        return "is missing; add it" if value is None else f"{value!r} is not {kind}"


def read_json(path: Path) -> Any:
    """A JSON document; TableError says where it breaks."""
    with opened(path) as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise TableError(f"{path}: is not JSON: {error}") from error
