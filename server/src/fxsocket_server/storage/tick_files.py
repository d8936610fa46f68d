"""Recorded ticks from CSV and Parquet files, for replays.

Columns, in any case and order: `time_msc`, `timestamp` or `time`; `bid` or `bid_price`; `ask` or
`ask_price`. Times are ISO 8601 (UTC where no zone is written) or numbers since 1970: seconds or
milliseconds by their size, always milliseconds in `time_msc`. Prices stay exactly what the file
says: they are read from their digits, never through binary fractions.
"""

import csv
import gzip
import heapq
import io
import math
import re
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import reduce
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from fxsocket_server.model.units import DIGITS_MAX, POWERS

Progress = Callable[[int], None]
Tick = tuple[int, str, int, int]
Cells = Iterable[tuple[Any, Any, Any]]

TIME_COLUMNS = ("time_msc", "timestamp", "time")
BID_COLUMNS = ("bid", "bid_price")
ASK_COLUMNS = ("ask", "ask_price")

_PROGRESS_ROWS = 50_000
_MEMO_PRICES = 100_000  # distinct prices remembered at once
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECONDS_BELOW = 10**11  # a larger number is milliseconds: 10**11 s is the year 5138
_MILLISECONDS_BELOW = 10**14
_PRICE_BELOW = 9 * 10**18  # in 1e-8: what a 64-bit column holds
_UNIT: int = POWERS[DIGITS_MAX]
_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
_SUFFIXES = (".gz", ".csv", ".parquet")


class TickFileError(ValueError):
    """A tick file that cannot be used; the message names file, line, column and fix."""


class RecordedTicks(Struct, frozen=True):
    """Ticks of one symbol in time order: UTC milliseconds, Bid and Ask in points of `digits`."""

    symbol: str
    digits: int
    times_ms: "array[int]"
    bids: "array[int]"
    asks: "array[int]"

    def __len__(self) -> int:
        """How many ticks there are."""
        return len(self.times_ms)

    def rows(self) -> Iterator[Tick]:
        """(time_ms, symbol, bid, ask) of each tick."""
        for time_ms, bid, ask in zip(self.times_ms, self.bids, self.asks, strict=True):
            yield time_ms, self.symbol, bid, ask


def merge(recordings: Iterable[RecordedTicks]) -> Iterator[Tick]:
    """Ticks of several symbols in time order; at equal times the earlier recording comes first."""
    return heapq.merge(*[recording.rows() for recording in recordings], key=itemgetter(0))


def symbol_of(filename: str, known_symbols: Collection[str]) -> str:
    """The known symbol that is one of the `_` parts of a file name, in any case."""
    parts = _stem(filename).split("_")
    by_name = {symbol.casefold(): symbol for symbol in known_symbols}
    found = {by_name[part.casefold()] for part in parts if part.casefold() in by_name}
    if len(found) == 1:
        return found.pop()
    seen = " and ".join(sorted(found)) if found else "none of " + " ".join(sorted(known_symbols))
    raise TickFileError(
        f"{filename}: the parts {', '.join(parts)} of the name hold {seen}; "
        f"write SYMBOL={filename} to say which symbol it is"
    )


def load_ticks(
    path: Path, symbol: str, digits: int, progress: Progress | None = None
) -> RecordedTicks:
    """Read a file of ticks; `progress` is called with the rows read so far.

    Prices come in points of `digits`, or of more where the file needs them (at most 8).
    TickFileError names what is wrong.
    """
    reader = _CsvFile(path) if _kind_of(path) == "csv" else _ParquetFile(path)
    try:
        with closing(reader):
            return _Loader(path, reader, progress).load(symbol, digits)
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


def _stem(filename: str) -> str:
    stem = filename.replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
    return stem


def _kind_of(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    for kind in ("csv", "parquet"):
        if name.endswith("." + kind):
            return kind
    raise TickFileError(
        f"{path}: unknown kind of file; name it .csv, .csv.gz, .parquet or .parquet.gz"
    )


class _Prices(dict[Any, int]):
    """Prices in 1e-8 by how the file writes them; prices repeat, so most are looked up."""

    def __missing__(self, cell: object) -> int:
        value = _fixed(cell)
        if not 0 < value < _PRICE_BELOW:
            raise ValueError("is not a price above 0 and below 9e10")
        if len(self) >= _MEMO_PRICES:
            self.clear()
        self[cell] = value
        return value


def _fixed(cell: object) -> int:
    """A number as an integer of 1e-8, from its digits; what lies beyond is rounded."""
    text = str(cell).strip()
    if text.isdecimal() and text.isascii():
        return int(text) * _UNIT
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("is not a number")
    sign, whole, part, exponent = match.groups(default="")
    shift = int(exponent or 0) + DIGITS_MAX - len(part)
    unit: int = 10 ** abs(shift)
    value = int(whole + part)
    value = value * unit if shift >= 0 else (2 * value + unit) // (2 * unit)
    return -value if sign == "-" else value


def _time_ms(cell: object) -> int:
    """A time of a `time` or `timestamp` column in UTC milliseconds.

    Digits alone are a number, never the short form of ISO 8601: milliseconds can look like it.
    """
    if isinstance(cell, str) and (":" in cell or "-" in cell):
        try:
            cell = datetime.fromisoformat(cell.strip())
        except ValueError:
            raise ValueError("is not ISO 8601, such as 2018-10-01T00:00:01.196Z") from None
    if isinstance(cell, datetime):
        aware = cell if cell.tzinfo else cell.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MILLISECOND
    try:
        number = _fixed(cell)
    except ValueError:
        raise ValueError("is neither ISO 8601 nor a number") from None
    return _rounded_ms(number * 1000 if abs(number) < _SECONDS_BELOW * _UNIT else number)


def _time_msc(cell: object) -> int:
    """A time of a `time_msc` column: milliseconds since 1970, whatever its size."""
    return _time_ms(cell) if isinstance(cell, datetime) else _rounded_ms(_fixed(cell))


def _rounded_ms(number: int) -> int:
    if abs(number) >= _MILLISECONDS_BELOW * _UNIT:
        raise ValueError("is too large for milliseconds since 1970")
    return (2 * number + _UNIT) // (2 * _UNIT)


class _Loader:
    """Reads the cells of one file into columns."""

    def __init__(self, path: Path, file: "_CsvFile | _ParquetFile", progress: Progress | None):
        self._path = path
        self._file = file
        self._progress = progress or (lambda _rows: None)
        self._times_ms = array("q")
        self._bids = array("q")
        self._asks = array("q")

    def load(self, symbol: str, digits: int) -> RecordedTicks:
        names, cells = self._file.open(self._pick)
        self._take(names, cells)
        if not self._times_ms:
            raise TickFileError(f"{self._path}: no ticks in it")
        digits = max(digits, _digits_needed(self._bids, self._asks))
        bids, asks = _scaled(self._bids, digits), _scaled(self._asks, digits)
        return RecordedTicks(symbol, digits, self._times_ms, bids, asks)

    def _pick(self, header: list[str]) -> list[int]:
        """Positions of the time, bid and ask columns."""
        names = [name.strip().lower() for name in header]
        places = []
        for choices in (TIME_COLUMNS, BID_COLUMNS, ASK_COLUMNS):
            found = [names.index(choice) for choice in choices if choice in names]
            if not found:
                raise TickFileError(
                    f"{self._path}: line 1: no column {' or '.join(choices)}; "
                    f"it has {', '.join(names) or 'none'}"
                )
            places.append(found[0])
        return places

    def _take(self, names: list[str], cells: Cells) -> None:
        """Append every row; the loop a replay's start waits for, so nothing in it is repeated."""
        prices = _Prices()
        to_ms = _time_msc if names[0].strip().lower() == "time_msc" else _time_ms
        add_time, add_bid, add_ask = self._times_ms.append, self._bids.append, self._asks.append
        last_ms, left = -(2**62), _PROGRESS_ROWS
        cell: tuple[Any, Any, Any] = (None, None, None)
        try:
            for cell in cells:
                time_ms, bid, ask = to_ms(cell[0]), prices[cell[1]], prices[cell[2]]
                if time_ms < last_ms:
                    raise self._error(
                        f"column {names[0]}: {cell[0]} is before the tick above; sort the file"
                    )
                if bid > ask:
                    raise self._error(
                        f"column {names[1]}: bid {cell[1]} is above ask {cell[2]}; "
                        "remove the tick or swap the columns"
                    )
                add_time(time_ms)
                add_bid(bid)
                add_ask(ask)
                last_ms = time_ms
                left -= 1
                if not left:
                    left = _PROGRESS_ROWS
                    self._progress(len(self._times_ms))
        except (TickFileError, UnicodeDecodeError):
            raise
        except IndexError:
            raise self._error(f"the row ends before all of {', '.join(names)}") from None
        except csv.Error as error:
            raise self._error(str(error)) from None
        except (ValueError, TypeError) as error:
            raise self._error(_what_is_wrong(names, cell, to_ms) or str(error)) from None
        self._progress(len(self._times_ms))

    def _error(self, what: str) -> TickFileError:
        return TickFileError(f"{self._path}: {self._file.place()}: {what}")


def _what_is_wrong(
    names: list[str], cells: tuple[Any, Any, Any], to_ms: Callable[[object], int]
) -> str | None:
    """Which of a row's cells cannot be read, and why."""
    price = _Prices().__missing__
    for name, cell, parse in zip(names, cells, (to_ms, price, price), strict=True):
        try:
            parse(cell)
        except (ValueError, TypeError) as reason:
            return f"column {name}: {cell!r} {reason}"
    return None


def _digits_needed(*columns: "array[int]") -> int:
    """Decimals that prices in 1e-8 use, trailing zeros not counted."""
    common = _UNIT
    for column in columns:
        common = reduce(math.gcd, column, common)
    return next(digits for digits in range(DIGITS_MAX + 1) if common % _point(digits) == 0)


def _point(digits: int) -> int:
    """One point of `digits` in 1e-8."""
    point: int = POWERS[DIGITS_MAX - digits]
    return point


def _scaled(column: "array[int]", digits: int) -> "array[int]":
    point = _point(digits)
    return array("q", (value // point for value in column))


class _CsvFile:
    """Rows of a CSV file, gzipped or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._reader: Any = None

    def open(self, pick: Callable[[list[str]], list[int]]) -> tuple[list[str], Cells]:
        """Names of the time, bid and ask columns, and these cells of each row."""
        opened = gzip.open if self._path.name.lower().endswith(".gz") else open
        self._file = opened(self._path, "rt", encoding="utf-8-sig", newline="")
        self._reader = csv.reader(self._file)
        header = next(self._reader, None)
        if header is None:
            raise TickFileError(f"{self._path}: the file is empty")
        places = pick(header)
        cells = map(itemgetter(*places), filter(None, self._reader))
        return [header[place].strip() for place in places], cells

    def place(self) -> str:
        """Where the newest row stands, for messages."""
        return f"line {self._reader.line_num}"

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

    def open(self, pick: Callable[[list[str]], list[int]]) -> tuple[list[str], Cells]:
        """Names of the time, bid and ask columns, and these cells of each row."""
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
        for batch in file.iter_batches(batch_size=_PROGRESS_ROWS, columns=names):
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
