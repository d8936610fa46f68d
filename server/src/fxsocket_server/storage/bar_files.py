"""Recorded bars from CSV and Parquet files, expanded to ticks, for replays.

Columns, in any case and order: `time`, `date`, `datetime` or `timestamp` (or a date and a time, as
MetaTrader exports them); `open`, `high`, `low`, `close`; and `spread` in points, if it is known.
Prices are Bids. A time is when the bar starts: server time, unless a zone is written. A bar lasts
as long as the smallest distance between two bars of the file.
"""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from fxsocket_server.broker.bars import Bar, ticks_of_bars
from fxsocket_server.model.units import POWERS
from fxsocket_server.storage.table_files import (
    PROGRESS_ROWS,
    UNIT,
    Prices,
    Table,
    TickFileError,
    ToUtc,
    fixed,
    open_table,
    time_ms,
)
from fxsocket_server.storage.tick_files import (
    BID_COLUMNS,
    Progress,
    RecordedTicks,
    digits_needed,
    point_of,
)

TIME_COLUMNS = ("timestamp", "datetime", "time", "date")
PRICE_COLUMNS = ("open", "high", "low", "close")
SPREAD_COLUMN = "spread"

_MINUTE_MS = 60_000
_SPREAD_BELOW = 10**9
# 2012.05.17 as MetaTrader writes it, 17.05.2012 as Dukascopy does
_YEAR_FIRST = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)(?!\d)", re.ASCII)
_DAY_FIRST = re.compile(r"(\d\d)\.(\d\d)\.(\d{4})(?!\d)", re.ASCII)


class BarTerms(Struct, frozen=True, kw_only=True):
    """What a broker says of the symbol whose bars are read.

    `price` (in points) tells whether whole numbers are prices or points, `spread` (in points) holds
    where a file has none, `to_utc_ms` turns server time into UTC.
    """

    symbol: str
    digits: int
    price: int
    spread: int
    to_utc_ms: ToUtc


class _Row(NamedTuple):
    """A bar as read: its start as written and in UTC, four prices in 1e-8, spread in points."""

    written_ms: int
    start_ms: int
    prices: tuple[int, ...]
    spread: int


def has_bars(path: Path) -> bool:
    """Whether a file's columns are those of bars rather than of ticks; raises TickFileError."""
    header: list[str] = []

    def look(names: list[str]) -> list[int]:
        header.extend(map(_name, names))
        return [0, 0]

    with open_table(path) as table:
        table.open(look)
    return any(name in header for name in PRICE_COLUMNS) and not any(
        name in header for name in BID_COLUMNS
    )


def load_bars(path: Path, terms: BarTerms, progress: Progress | None = None) -> RecordedTicks:
    """Read a file of bars as ticks; `progress` is called with the bars read so far.

    Prices come in points of the symbol's digits, or of more where the file needs them (at most 8).
    Whole numbers are points where that is nearer to the symbol's price. TickFileError names what is
    wrong.
    """
    with open_table(path) as table:
        rows = _Reader(path, table, progress or (lambda _rows: None)).rows(terms.to_utc_ms)
    if not rows:
        raise TickFileError(f"{path}: no bars in it")
    unit = POWERS[terms.digits] if _are_points(rows, terms) else 1
    digits = max(terms.digits, digits_needed(price // unit for row in rows for price in row.prices))
    point = point_of(digits) * unit
    bars = (_bar(row, point) for row in rows)
    spread = terms.spread * POWERS[digits - terms.digits]
    return RecordedTicks(terms.symbol, digits, *ticks_of_bars(bars, _period_ms(rows), spread))


def _bar(row: _Row, point: int) -> Bar:
    opened, high, low, closed = (price // point for price in row.prices)
    return Bar(row.start_ms, opened, high, low, closed, row.spread)


def _are_points(rows: list[_Row], terms: BarTerms) -> bool:
    """Whether prices were written as points: whole, and nearer to the symbol's price that way."""
    if any(price % UNIT for row in rows for price in row.prices):
        return False
    known = terms.price * point_of(terms.digits)
    return rows[0].prices[0] ** 2 > known**2 * POWERS[terms.digits]


def _period_ms(rows: list[_Row]) -> int:
    gaps = (after.written_ms - before.written_ms for before, after in pairwise(rows))
    return min(gaps, default=_MINUTE_MS)


def _name(text: str) -> str:
    """A column's name; MetaTrader exports `<OPEN>`."""
    return text.strip().strip("<>").lower()


class _Reader:
    """Reads the rows of one file, and says where one is wrong."""

    def __init__(self, path: Path, table: Table, progress: Progress) -> None:
        self._path = path
        self._table = table
        self._progress = progress
        self._has_date = self._has_spread = False

    def rows(self, to_utc_ms: ToUtc) -> list[_Row]:
        names, cells = self._table.open(self._pick)
        rows: list[_Row] = []
        written_ms = -(2**62)
        for row in self._read(names, cells, to_utc_ms):
            if row.written_ms <= written_ms:
                raise self._error(f"column {names[0]}: not after the bar above; sort the file")
            self._check(row)
            rows.append(row)
            written_ms = row.written_ms
            if len(rows) % PROGRESS_ROWS == 0:
                self._progress(len(rows))
        self._progress(len(rows))
        return rows

    def _pick(self, header: list[str]) -> list[int]:
        """Positions of the time, of a time of day beside a date, of prices and the spread."""
        names = [_name(name) for name in header]
        times = [names.index(choice) for choice in TIME_COLUMNS if choice in names]
        missing = [name for name in PRICE_COLUMNS if name not in names]
        if not times or missing:
            wanted = missing or [" or ".join(TIME_COLUMNS)]
            raise TickFileError(
                f"{self._path}: line 1: no column {', '.join(wanted)}; it has {', '.join(names)}"
            )
        self._has_date = {"date", "time"} <= set(names)
        self._has_spread = SPREAD_COLUMN in names
        day = [names.index("date"), names.index("time")] if self._has_date else times[:1]
        prices = [names.index(name) for name in PRICE_COLUMNS]
        return day + prices + ([names.index(SPREAD_COLUMN)] if self._has_spread else [])

    def _read(self, names: list[str], cells: Any, to_utc_ms: ToUtc) -> Iterator[_Row]:
        prices, first = Prices(), 1 + self._has_date
        cell: tuple[Any, ...] = ()
        try:
            for cell in cells:
                text = f"{cell[0]} {cell[1]}" if self._has_date else cell[0]
                moment = _dashed(text)
                spread = _spread(cell[first + 4]) if self._has_spread else 0
                four = tuple(prices[price] for price in cell[first : first + 4])
                yield _Row(time_ms(moment), time_ms(moment, to_utc_ms), four, spread)
        except IndexError:
            raise self._error(f"the row ends before all of {', '.join(names)}") from None
        except csv.Error as error:
            raise self._error(str(error)) from None
        except (ValueError, TypeError) as error:
            if isinstance(error, TickFileError | UnicodeDecodeError):
                raise
            raise self._error(self._what_is_wrong(names, cell) or str(error)) from None

    def _what_is_wrong(self, names: list[str], cells: tuple[Any, ...]) -> str | None:
        """Which of a row's cells cannot be read, and why."""
        first = 1 + self._has_date
        price = Prices().__missing__
        parsers: list[Callable[[Any], int]] = [lambda cell: time_ms(_dashed(cell))] * first
        parsers += [price] * 4 + [_spread]
        for name, cell, parse in zip(names, cells, parsers, strict=False):
            if first == 2 and name in names[:2]:
                continue  # one is nothing without the other
            try:
                parse(cell)
            except (ValueError, TypeError) as reason:
                return f"column {name}: {cell!r} {reason}"
        return None

    def _check(self, row: _Row) -> None:
        opened, high, low, closed = (price / UNIT for price in row.prices)
        if not low <= min(opened, closed) <= max(opened, closed) <= high:
            raise self._error(
                f"columns low and high: open {opened:g} and close {closed:g} do not lie between "
                f"{low:g} and {high:g}; correct the bar or remove it"
            )

    def _error(self, what: str) -> TickFileError:
        return TickFileError(f"{self._path}: {self._table.place()}: {what}")


def _dashed(cell: Any) -> Any:
    """A moment whose date is written as ISO 8601 writes it."""
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return cell.isoformat()
    if not isinstance(cell, str):
        return cell
    return _DAY_FIRST.sub(r"\3-\2-\1", _YEAR_FIRST.sub(r"\1-\2-\3", cell))


def _spread(cell: Any) -> int:
    """A spread in points; 0 or nothing where it is not known."""
    value = 0 if cell in (None, "") else fixed(cell)
    if value % UNIT or not 0 <= value < _SPREAD_BELOW * UNIT:
        raise ValueError("is not a spread; give whole points, or nothing")
    return value // UNIT
