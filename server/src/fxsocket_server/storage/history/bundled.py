"""Candles that ship with the server: real years for a first backtest, without a download.

`data/manifest.toml` says of each file what it holds and where it came from; NOTICE.md and LICENSES/
beside it say on which terms. A file is read on first use and kept as columns of integers.
"""

import csv
import gzip
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from operator import itemgetter
from pathlib import Path

import msgspec
from msgspec import Struct

from fxsocket_server.model.candle import Candle, CandleBuilder, aggregate, bar_bounds_ms
from fxsocket_server.model.server_time import DAY_MS, NEW_YORK_CLOSE, ZONES, ServerZone, days_of
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.model.units import POWERS, div_half_away
from fxsocket_server.storage.table_files import TickFileError
from fxsocket_server.storage.tick_files import load_ticks

DATA = Path(__file__).parent / "data"
TICKS = "ticks"

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock times carry no zone
_MILLISECOND = timedelta(milliseconds=1)
_BLOCK_ROWS = 4_096  # turned into columns at once
_LIMIT = 2**53  # larger prices and volumes are mistakes: doubles cannot hold each of them


class HistoryError(ValueError):
    """A bundled file that cannot be read; the message names file and line."""


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundled file as the manifest describes it.

    `price_factor` turns the file's prices into points of `digits`; times before `time_zone_since`
    follow `earlier_time_zone`; `starts` and `ends` bound its candles in UTC.
    """

    symbol: str
    timeframe: Timeframe
    file: str
    format: str
    columns: tuple[str, ...]
    day_first: bool = False
    digits: int
    price_factor: int = 1
    price_side: str
    time_zone: str
    earlier_time_zone: str | None = None
    time_zone_since: date | None = None
    starts: datetime
    ends: datetime
    repository: str
    commit: str
    license: str

    @property
    def span_ms(self) -> tuple[int, int]:
        """Start of the first candle and end of the last, UTC."""
        return _utc_ms(self.starts), _utc_ms(self.ends)


class _Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    source: list[Source]


class BundledHistory:
    """The bundled candles by symbol and timeframe.

    Timeframes that no file holds are made from the longest that fits into them, in the days and
    weeks of `zone`.
    """

    def __init__(self, zone: ServerZone = NEW_YORK_CLOSE, folder: Path = DATA) -> None:
        self._zone = zone
        self._folder = folder
        self._bars: dict[str, _Bars] = {}
        self._sources: dict[str, list[Source]] = {}
        manifest = (folder / "manifest.toml").read_bytes()
        for source in msgspec.toml.decode(manifest, type=_Manifest).source:
            self._sources.setdefault(source.symbol, []).append(source)

    def symbols(self) -> list[str]:
        """The symbols that have candles."""
        return sorted(self._sources)

    def timeframes(self, symbol: str) -> list[Timeframe]:
        """The timeframes that `candles` can answer for a symbol."""
        return [frame for frame in Timeframe if self.source(symbol, frame)]

    def source(self, symbol: str, timeframe: Timeframe) -> Source | None:
        """The file that answers a timeframe of a symbol: the longest candles that fit into it."""
        fitting = [
            source
            for source in self._sources.get(symbol, ())
            if timeframe.is_built_from(source.timeframe)
        ]
        return max(fitting, key=lambda source: source.timeframe.seconds, default=None)

    def span(self, symbol: str, timeframe: Timeframe | None = None) -> tuple[int, int] | None:
        """Start of the first and end of the last candle in UTC milliseconds; None without any."""
        if timeframe is None:
            sources = self._sources.get(symbol, [])
        else:
            source = self.source(symbol, timeframe)
            sources = [source] if source else []
        if not sources:
            return None
        starts, ends = zip(*[source.span_ms for source in sources], strict=True)
        return min(starts), max(ends)

    def candles(
        self, symbol: str, timeframe: Timeframe, digits: int, from_ms: int, to_ms: int
    ) -> list[Candle]:
        """Candles whose start lies in [from_ms, to_ms), ascending, prices in points of `digits`.

        Empty where nothing is bundled. HistoryError names the place of a damaged row.
        """
        source = self.source(symbol, timeframe)
        if source is None:
            return []
        bars = self._load(source)
        to_ms = min(to_ms, bars.times_ms[-1] + 1)
        if from_ms >= to_ms:
            return []
        if timeframe is source.timeframe:
            return bars.candles(from_ms, to_ms, source.digits, digits)
        _, end_ms = bar_bounds_ms(timeframe, to_ms - 1, self._zone)
        finer = bars.candles(from_ms, end_ms, source.digits, digits)
        longer = aggregate(finer, timeframe, self._zone)
        return [candle for candle in longer if from_ms <= candle.time_ms < to_ms]

    def _load(self, source: Source) -> "_Bars":
        if source.file not in self._bars:
            path = self._folder / source.file
            bars = _Bars(_read(source, path))
            if not bars.times_ms:
                raise HistoryError(f"{path}: no rows in it; reinstall the server")
            self._bars[source.file] = bars
        return self._bars[source.file]


class _Bars:
    """Candles as one array of integers for each field."""

    def __init__(self, rows: Iterator[tuple[int, ...]]) -> None:
        self._columns = [array("q") for _ in Candle.__struct_fields__]
        while block := list(islice(rows, _BLOCK_ROWS)):
            for column, values in zip(self._columns, zip(*block, strict=True), strict=True):
                column.extend(values)
        self.times_ms = self._columns[0]

    def candles(self, from_ms: int, to_ms: int, digits: int, asked_digits: int) -> list[Candle]:
        """Those that start in [from_ms, to_ms), prices scaled to the digits asked for."""
        part = slice(bisect_left(self.times_ms, from_ms), bisect_left(self.times_ms, to_ms))
        times_ms, *prices, tick_volumes, real_volumes, spreads = [
            column[part].tolist() for column in self._columns
        ]
        open_, high, low, close, spread = [
            _rescaled(column, digits, asked_digits) for column in (*prices, spreads)
        ]
        return list(
            map(Candle, times_ms, open_, high, low, close, tick_volumes, real_volumes, spread)
        )


def _rescaled(column: list[int], digits: int, asked_digits: int) -> list[int]:
    if asked_digits == digits:
        return column
    if asked_digits > digits:
        factor = POWERS[asked_digits - digits]
        return [value * factor for value in column]
    divisor = POWERS[digits - asked_digits]
    return [div_half_away(value, divisor) for value in column]


def _read(source: Source, path: Path) -> Iterator[tuple[int, ...]]:
    """The candles of a file as rows of integers in the order of a Candle's fields."""
    return _tick_rows(source, path) if source.format == TICKS else _bar_rows(source, path)


def _tick_rows(source: Source, path: Path) -> Iterator[tuple[int, ...]]:
    try:
        ticks = load_ticks(path, source.symbol, source.digits)
    except TickFileError as error:
        raise HistoryError(str(error)) from None
    builder = CandleBuilder(source.timeframe)
    for time_ms, _symbol, bid, ask, _last in ticks.rows():
        if closed := builder.add(time_ms, bid, ask):
            yield msgspec.structs.astuple(closed)
    if builder.live:
        yield msgspec.structs.astuple(builder.live)


def _bar_rows(source: Source, path: Path) -> Iterator[tuple[int, ...]]:
    parse = _row_parser(source)
    line = last_ms = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.reader(file), start=1):
                if line == 1:
                    continue
                bar = parse(row)
                if bar[0] <= last_ms:
                    raise ValueError("its time is not after that of the row above")
                last_ms = bar[0]
                yield bar
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path}: not a whole gzip file: {error}") from None
    except (ValueError, IndexError, TypeError, OverflowError, csv.Error) as error:
        raise HistoryError(f"{path}: line {line}: {error}; reinstall the server") from None


def _row_parser(source: Source) -> Callable[[list[str]], tuple[int, ...]]:
    """A function from the cells of a row to the fields of a Candle."""
    places = {name: place for place, name in enumerate(source.columns)}
    prices = itemgetter(*[places[name] for name in ("open", "high", "low", "close")])
    time, ticks, amount = places["time"], places.get("tick_volume"), places.get("real_volume")
    to_utc_ms, factor = _clock(source), source.price_factor

    def parse(row: list[str]) -> tuple[int, ...]:
        open_, high, low, close = [round(float(cell) * factor) for cell in prices(row)]
        if not (0 < low <= open_ <= high < _LIMIT and low <= close <= high):
            raise ValueError(f"open {open_}, high {high}, low {low}, close {close} are no candle")
        tick_volume = round(float(row[ticks])) if ticks else 0
        real_volume = round(float(row[amount])) if amount else 0
        if not 0 <= tick_volume + real_volume < _LIMIT:
            raise ValueError(f"{tick_volume + real_volume} is no volume")
        return to_utc_ms(row[time]), open_, high, low, close, tick_volume, real_volume, 0

    return parse


def _clock(source: Source) -> Callable[[str], int]:
    """A function from the file's wall clock times to UTC milliseconds."""
    zone = ZONES[source.time_zone]
    earlier = ZONES[source.earlier_time_zone or source.time_zone]
    since = source.time_zone_since or date(1970, 1, 1)
    since_ms = days_of(since.year, since.month, since.day) * DAY_MS

    def to_utc_ms(text: str) -> int:
        if source.day_first:
            text = f"{text[6:10]}-{text[3:5]}-{text[:2]}{text[10:]}"
        server_ms = (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
        return (zone if server_ms >= since_ms else earlier).to_utc_ms(server_ms)

    return to_utc_ms


def _utc_ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
