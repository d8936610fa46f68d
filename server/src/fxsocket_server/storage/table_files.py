"""Columns of CSV and Parquet files, and the numbers and times that stand in their cells.

Numbers stay exactly what the file says: they are read from their digits, never through binary
fractions. Times are ISO 8601 or numbers since 1970.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Protocol

from fxsocket_server.model.units import DIGITS_MAX, POWERS

Cells = Iterable[tuple[Any, ...]]
ToUtc = Callable[[int], int]
Pick = Callable[[list[str]], list[int]]  # positions of the columns wanted, of the header's names

PROGRESS_ROWS = 50_000
UNIT: int = POWERS[DIGITS_MAX]  # prices are read as integers of 1e-8

_MEMO_PRICES = 100_000  # distinct prices remembered at once
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECONDS_BELOW = 10**11  # a larger number is milliseconds: 10**11 s is the year 5138
_MILLISECONDS_BELOW = 10**14
_PRICE_BELOW = 9 * 10**18  # in 1e-8: what a 64-bit column holds
_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
_SEPARATORS = ",;\t"


class Table(Protocol):
    """A file of rows under a header."""

    def open(self, pick: Pick) -> tuple[list[str], Cells]:
        """Names of the columns that are picked, and their cells in each row."""
        ...

    def place(self) -> str:
        """Where the newest row stands, for messages."""
        ...


class TickFileError(ValueError):
    """A file of prices that cannot be used; the message names file, line, column and fix."""


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """A file's table, closed afterwards; whatever is wrong with the file is a TickFileError."""
    table = _CsvFile(path) if _kind_of(path) == "csv" else _ParquetFile(path)
    try:
        yield table
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TickFileError(
            f"{path}: not a whole gzip file ({error}); fetch it again, or drop .gz from its name"
        ) from None
    except UnicodeDecodeError:
        raise TickFileError(f"{path}: not text in UTF-8; a CSV file is expected") from None
    except csv.Error as error:
        raise TickFileError(f"{path}: line 1: {error}") from None
    except OSError as error:
        raise TickFileError(f"{path}: {error.strerror or error}") from None
    finally:
        table.close()


def _kind_of(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    for kind in ("csv", "parquet"):
        if name.endswith("." + kind):
            return kind
    raise TickFileError(
        f"{path}: unknown kind of file; name it .csv, .csv.gz, .parquet or .parquet.gz"
    )


class Prices(dict[Any, int]):
    """Prices in 1e-8 by how the file writes them; prices repeat, so most are looked up."""

    def __missing__(self, cell: object) -> int:
        value = fixed(cell)
        if not 0 < value < _PRICE_BELOW:
            raise ValueError("is not a price above 0 and below 9e10")
        if len(self) >= _MEMO_PRICES:
            self.clear()
        self[cell] = value
        return value


def fixed(cell: object) -> int:
    """A number as an integer of 1e-8, from its digits; what lies beyond is rounded."""
    text = str(cell).strip()
    if text.isdecimal() and text.isascii():
        return int(text) * UNIT
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("is not a number")
    sign, whole, part, exponent = match.groups(default="")
    shift = int(exponent or 0) + DIGITS_MAX - len(part)
    unit: int = 10 ** abs(shift)
    value = int(whole + part)
    value = value * unit if shift >= 0 else (2 * value + unit) // (2 * unit)
    return -value if sign == "-" else value


def time_ms(cell: object, to_utc_ms: ToUtc | None = None) -> int:
    """A time in UTC milliseconds; one without a zone is UTC, unless `to_utc_ms` says what it is.

    Digits alone are a number, never the short form of ISO 8601: milliseconds can look like it.
    """
    if isinstance(cell, str) and (":" in cell or "-" in cell):
        try:
            cell = datetime.fromisoformat(cell.strip())
        except ValueError:
            raise ValueError("is not ISO 8601, such as 2018-10-01T00:00:01.196Z") from None
    is_utc = isinstance(cell, datetime) and cell.tzinfo is not None
    found = _datetime_ms(cell) if isinstance(cell, datetime) else _number_ms(cell)
    return found if is_utc or to_utc_ms is None else to_utc_ms(found)


def _datetime_ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def _number_ms(cell: object) -> int:
    try:
        number = fixed(cell)
    except ValueError:
        raise ValueError("is neither ISO 8601 nor a number") from None
    return _whole_ms(number * 1000 if abs(number) < _SECONDS_BELOW * UNIT else number)


def time_msc(cell: object) -> int:
    """A time of a `time_msc` column: milliseconds since 1970, whatever its size."""
    return time_ms(cell) if isinstance(cell, datetime) else _whole_ms(fixed(cell))


def _whole_ms(number: int) -> int:
    if abs(number) >= _MILLISECONDS_BELOW * UNIT:
        raise ValueError("is too large for milliseconds since 1970")
    return (2 * number + UNIT) // (2 * UNIT)


class _CsvFile:
    """Rows of a CSV file, gzipped or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._reader: Any = None

    def open(self, pick: Pick) -> tuple[list[str], Cells]:
        """Names of the columns that are picked, and their cells in each row."""
        opened = gzip.open if self._path.name.lower().endswith(".gz") else open
        self._file = opened(self._path, "rt", encoding="utf-8-sig", newline="")
        text = self._file.readline()
        if not text:
            raise TickFileError(f"{self._path}: the file is empty")
        separator = max(_SEPARATORS, key=text.count)
        header = next(csv.reader([text], delimiter=separator), [])
        places = pick(header)
        self._reader = csv.reader(self._file, delimiter=separator)
        cells = map(itemgetter(*places), filter(None, self._reader))
        return [header[place].strip() for place in places], cells

    def place(self) -> str:
        """Where the newest row stands, for messages."""
        return f"line {self._reader.line_num + 1}"

    def close(self) -> None:
        """Give the file back."""
        if self._file:
            self._file.close()


class _ParquetFile:
    """Rows of a Parquet file; pyarrow is imported on first use, because it is large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._row = 0
        self._file: Any = None
        try:
            self._pyarrow: Any = import_module("pyarrow")
            self._parquet: Any = import_module("pyarrow.parquet")
        except ImportError:
            raise TickFileError(
                f"{path}: reading Parquet needs pyarrow; "
                "pip install 'fxsocket-server[parquet]' or give a CSV file"
            ) from None

    def open(self, pick: Pick) -> tuple[list[str], Cells]:
        """Names of the columns that are picked, and their cells in each row."""
        try:
            self._file = file = self._parquet.ParquetFile(self._source())
        except self._pyarrow.ArrowInvalid as error:
            raise TickFileError(f"{self._path}: not a Parquet file: {error}") from None
        header = list(file.schema_arrow.names)
        names = [header[place] for place in pick(header)]
        return names, self._cells(file, names)

    def place(self) -> str:
        """Where the newest row stands, for messages."""
        return f"row {self._row}"

    def close(self) -> None:
        """Give the file back."""
        if self._file:
            self._file.close()

    def _source(self) -> Path | io.BytesIO:
        if self._path.name.lower().endswith(".gz"):
            with gzip.open(self._path) as file:
                return io.BytesIO(file.read())
        return self._path

    def _cells(self, file: Any, names: list[str]) -> Cells:
        for batch in file.iter_batches(batch_size=PROGRESS_ROWS, columns=names):
            columns = [self._values(batch.column(name)) for name in names]
            for cells in zip(*columns, strict=True):
                self._row += 1
                yield cells

    def _values(self, column: Any) -> list[Any]:
        """A column as Python values; what is finer than a microsecond falls away."""
        kind = column.type
        if self._pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(self._pyarrow.timestamp("us", kind.tz), safe=False)
        values: list[Any] = column.to_pylist()
        return values
