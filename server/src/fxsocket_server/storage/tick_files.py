"""Recorded ticks from CSV and Parquet files, for replays.

Columns, in any case and order: `time_msc`, `timestamp` or `time`; `bid` or `bid_price`; `ask` or
`ask_price`; and `last` or `last_price` if trades are recorded. Times are ISO 8601 (UTC where no
zone is written) or numbers since 1970: seconds or milliseconds by their size, always milliseconds
in `time_msc`.
"""

import csv
import heapq
import math
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import reduce
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

from msgspec import Struct

from fxsocket_server.model.units import DIGITS_MAX, POWERS
from fxsocket_server.storage.table_files import (
    PROGRESS_ROWS,
    UNIT,
    Cells,
    Prices,
    Table,
    TickFileError,
    fixed,
    open_table,
    time_ms,
    time_msc,
)

Progress = Callable[[int], None]
Tick = tuple[int, str, int, int, int]

TIME_COLUMNS = ("time_msc", "timestamp", "time")
BID_COLUMNS = ("bid", "bid_price")
ASK_COLUMNS = ("ask", "ask_price")
LAST_COLUMNS = ("last", "last_price")

_REQUIRED = (TIME_COLUMNS, BID_COLUMNS, ASK_COLUMNS)
_SUFFIXES = (".gz", ".csv", ".parquet")


class RecordedTicks(Struct, frozen=True):
    """Ticks of one symbol in time order: UTC milliseconds, Bid and Ask in points of `digits`.

    `lasts` are prices of trades, 0 where a tick has none; empty if no tick has.
    """

    symbol: str
    digits: int
    times_ms: "array[int]"
    bids: "array[int]"
    asks: "array[int]"
    lasts: "array[int]" = array("q")

    def __len__(self) -> int:
        """How many ticks there are."""
        return len(self.times_ms)

    def rows(self) -> Iterator[Tick]:
        """(time_ms, symbol, bid, ask, last) of each tick."""
        lasts = self.lasts or repeat(0, len(self))
        yield from zip(
            self.times_ms, repeat(self.symbol), self.bids, self.asks, lasts, strict=False
        )


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
    with open_table(path) as table:
        return _Loader(path, table, progress).load(symbol, digits)


def _stem(filename: str) -> str:
    stem = filename.replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
    return stem


class _Loader:
    """Reads the cells of one file into columns."""

    def __init__(self, path: Path, file: Table, progress: Progress | None):
        self._path = path
        self._file = file
        self._progress = progress or (lambda _rows: None)
        self._times_ms = array("q")
        self._bids = array("q")
        self._asks = array("q")
        self._lasts = array("q")

    def load(self, symbol: str, digits: int) -> RecordedTicks:
        names, cells = self._file.open(self._pick)
        self._take(names, cells)
        if not self._times_ms:
            raise TickFileError(f"{self._path}: no ticks in it")
        columns = self._bids, self._asks, self._lasts
        digits = max(digits, digits_needed(*columns))
        bids, asks, lasts = (_scaled(column, digits) for column in columns)
        return RecordedTicks(symbol, digits, self._times_ms, bids, asks, lasts)

    def _pick(self, header: list[str]) -> list[int]:
        """Positions of the time, bid and ask columns, and of the last one if there is any."""
        names = [name.strip().lower() for name in header]
        places = []
        for choices in _REQUIRED:
            found = [names.index(choice) for choice in choices if choice in names]
            if not found:
                raise TickFileError(
                    f"{self._path}: line 1: no column {' or '.join(choices)}; "
                    f"it has {', '.join(names) or 'none'}"
                )
            places.append(found[0])
        return places + [names.index(choice) for choice in LAST_COLUMNS if choice in names][:1]

    def _take(self, names: list[str], cells: Cells) -> None:
        """Append every row; the loop a replay's start waits for, so nothing in it is repeated."""
        prices = Prices()
        to_ms = time_msc if names[0].strip().lower() == "time_msc" else time_ms
        has_last = len(names) > len(_REQUIRED)
        add_time, add_bid, add_ask = self._times_ms.append, self._bids.append, self._asks.append
        last_ms, left = -(2**62), PROGRESS_ROWS
        cell: tuple[Any, ...] = (None,) * len(names)
        try:
            for cell in cells:
                moment_ms, bid, ask = to_ms(cell[0]), prices[cell[1]], prices[cell[2]]
                if moment_ms < last_ms:
                    raise self._error(
                        f"column {names[0]}: {cell[0]} is before the tick above; sort the file"
                    )
                if bid > ask:
                    raise self._error(
                        f"column {names[1]}: bid {cell[1]} is above ask {cell[2]}; "
                        "remove the tick or swap the columns"
                    )
                add_time(moment_ms)
                add_bid(bid)
                add_ask(ask)
                if has_last:
                    self._lasts.append(_last(cell[3]))
                last_ms = moment_ms
                left -= 1
                if not left:
                    left = PROGRESS_ROWS
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
    names: list[str], cells: tuple[Any, ...], to_ms: Callable[[object], int]
) -> str | None:
    """Which of a row's cells cannot be read, and why."""
    price = Prices().__missing__
    parsers: tuple[Callable[[Any], int], ...] = (to_ms, price, price, _last)
    for name, cell, parse in zip(names, cells, parsers, strict=False):
        try:
            parse(cell)
        except (ValueError, TypeError) as reason:
            return f"column {name}: {cell!r} {reason}"
    return None


def _last(cell: object) -> int:
    """The price of the last trade in 1e-8; 0 where the tick has none."""
    value = 0 if cell in (None, "") else fixed(cell)
    if value < 0:
        raise ValueError("is not a price; leave it empty where there was no trade")
    return value


def digits_needed(*columns: Iterable[int]) -> int:
    """Decimals that prices in 1e-8 use, trailing zeros not counted."""
    common = UNIT
    for column in columns:
        common = reduce(math.gcd, column, common)
    return next(digits for digits in range(DIGITS_MAX + 1) if common % point_of(digits) == 0)


def point_of(digits: int) -> int:
    """One point of `digits` in 1e-8."""
    point: int = POWERS[DIGITS_MAX - digits]
    return point


def _scaled(column: "array[int]", digits: int) -> "array[int]":
    point = point_of(digits)
    return array("q", (value // point for value in column))
