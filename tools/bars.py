"""Builds candles from minutes and compares them with a terminal's own bars.

Beside each `*_M1_*` file of a folder lie the same symbol's bars on other timeframes, as CSV (also
.gz) with the columns time (epoch seconds of server time), open, high, low, close, tick_volume and,
where the terminal gave them, spread and real_volume. Every bar must be what the minutes make: open
of the first, highest, lowest, close of the last, summed volumes, smallest spread. A bar at either
end of the minutes is left out when its tick volume shows that they hold only part of it.
"""

import argparse
import csv
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from rich.console import Console
from rich.progress import track

from fxsocket_server.model.candle import Candle, aggregate
from fxsocket_server.model.server_time import DAY_MS, UTC, date_of
from fxsocket_server.model.timeframe import MT5_TIMEFRAMES, Timeframe
from fxsocket_server.model.units import DIGITS_MAX, POWERS, text_of
from tables import TableError, header_of, opened

PRICES = ("open", "high", "low", "close")
REQUIRED = ("time", *PRICES, "tick_volume")
OPTIONAL = ("spread", "real_volume")
MINUTE_MS = 60_000
MISSES_SHOWN = 10  # of one timeframe
BarRow = tuple[int, tuple[float, ...], tuple[int, ...]]  # time in ms, prices, the rest
MINUTES_NAME = re.compile(r"(?P<before>.*?)(?<![A-Za-z0-9])M1(?![A-Za-z0-9])(?P<after>.*)")

EXAMPLE = """\
example:
  $ python tools/bars.py ../shared/data/mt5_bars
  icm_EURUSD_M5_2025H1.csv.gz: 36864 of 36864
  icm_EURUSD_W1_2025H1.csv.gz: 25 of 25, 2 left out
  336363 of 336363
"""


class Bars:
    """One file's bars, prices still as floats, and which columns it has."""

    def __init__(self, path: Path, columns: tuple[str, ...], rows: list[BarRow]) -> None:
        self.path = path
        self.columns = columns
        self.digits = max(map(_digits_of, {price for _, prices, _ in rows for price in prices}))
        self._rows = rows
        self._candles: dict[int, list[Candle]] = {}

    def candles(self, digits: int) -> list[Candle]:
        """The bars in points; columns that the file lacks are 0."""
        if digits not in self._candles:
            scale = POWERS[digits]
            self._candles[digits] = [
                Candle(time_ms, *[round(price * scale) for price in prices], *rest)
                for time_ms, prices, rest in self._rows
            ]
        return self._candles[digits]


# --- reading ---------------------------------------------------------------------------------


def read(path: Path) -> Bars:
    """A file of bars in ascending order; TableError names the line and column that is wrong."""
    with opened(path) as file:
        lines = csv.reader(file)
        names = header_of(lines, path, REQUIRED)
        place = {name: names.index(name) for name in (*REQUIRED, *OPTIONAL) if name in names}
        rows = []
        for cells in lines:
            try:
                rows.append(_bar(cells, place))
            except (ValueError, IndexError, OverflowError):
                raise _bad_cell(path, lines.line_num, cells, place) from None
            if len(rows) > 1 and rows[-1][0] <= rows[-2][0]:
                raise TableError(f"{path}:{lines.line_num}: time: not later than the row before")
    if not rows:
        raise TableError(f"{path}: no bars; the file has a header only")
    return Bars(path, tuple(place), rows)


def _bar(cells: list[str], place: dict[str, int]) -> BarRow:
    prices = tuple([float(cells[place[name]]) for name in PRICES])
    if not all(map(isfinite, prices)):
        raise OverflowError
    volumes = ("tick_volume", "real_volume", "spread")
    rest = tuple([int(cells[place[name]]) if name in place else 0 for name in volumes])
    return int(cells[place["time"]]) * 1000, prices, rest


def _bad_cell(path: Path, line: int, cells: list[str], place: dict[str, int]) -> TableError:
    for name, index in place.items():
        parse: Callable[[str], object] = float if name in PRICES else int
        try:
            parse(cells[index])
        except IndexError:
            return TableError(f"{path}:{line}: {name}: is missing; the row is too short")
        except ValueError:
            kind = "number" if name in PRICES else "whole number"
            return TableError(f"{path}:{line}: {name}: {cells[index]!r} is not a {kind}")
    return TableError(f"{path}:{line}: the row holds a number out of range")


def _digits_of(price: float) -> int:
    """Decimals of a price, binary noise (1.1780599999999999) aside."""
    return len(f"{price:.{DIGITS_MAX}f}".rstrip("0").partition(".")[2])


# --- comparing -------------------------------------------------------------------------------


@dataclass
class Result:
    """One timeframe's comparison."""

    name: str
    equal: int = 0
    left_out: int = 0
    misses: list[str] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Bars that were compared."""
        return self.equal + len(self.misses)

    def __str__(self) -> str:
        left_out = f", {self.left_out} left out" if self.left_out else ""
        return f"{self.name}: {self.equal} of {self.compared}{left_out}"


def compare(minutes: Bars, bars: Bars, frame: Timeframe) -> Result:
    """A terminal's bars against those that the minutes make."""
    digits = max(minutes.digits, bars.digits)
    source = minutes.candles(digits)
    covered = source[0].time_ms, source[-1].time_ms + MINUTE_MS
    built = {candle.time_ms: candle for candle in aggregate(source, frame, UTC)}
    real = {candle.time_ms: candle for candle in bars.candles(digits)}
    columns = [name for name in (*PRICES, "tick_volume", *OPTIONAL) if name in bars.columns]
    columns = [name for name in columns if name in minutes.columns]
    result = Result(bars.path.name)
    for time_ms in sorted(built.keys() | real.keys()):
        made, own = built.get(time_ms), real.get(time_ms)
        if _is_part(frame, time_ms, covered, made, own):
            result.left_out += 1
        elif miss := _difference(made, own, columns, digits):
            result.misses.append(f"{bars.path.name} {_text(time_ms)}: {miss}")
        else:
            result.equal += 1
    return result


def _is_part(
    frame: Timeframe,
    time_ms: int,
    covered: tuple[int, int],
    made: Candle | None,
    own: Candle | None,
) -> bool:
    """Whether the minutes hold only part of a bar's interval."""
    if covered[0] <= time_ms and frame.bucket_end(time_ms) <= covered[1]:
        return False
    return made is None or own is None or own.tick_volume > made.tick_volume


def _difference(
    made: Candle | None, own: Candle | None, columns: list[str], digits: int
) -> str | None:
    if made is None:
        return "the minutes make no such bar"
    if own is None:
        return "the file has no such bar"
    wrong = [name for name in columns if getattr(made, name) != getattr(own, name)]
    return "; ".join(
        f"{name} {_shown(own, name, digits)}, built {_shown(made, name, digits)}" for name in wrong
    )


def _shown(candle: Candle, name: str, digits: int) -> str:
    value: int = getattr(candle, name)
    return text_of(value, digits) if name in PRICES else str(value)


def _text(time_ms: int) -> str:
    date = date_of(time_ms // DAY_MS)
    hours, minutes = divmod(time_ms % DAY_MS // MINUTE_MS, 60)
    return f"{date.year}.{date.month:02d}.{date.day:02d} {hours:02d}:{minutes:02d}"


# --- putting it together ---------------------------------------------------------------------


def pairs(folder: Path) -> Iterator[tuple[Path, Path, Timeframe]]:
    """Each file of minutes with each file of the same name but for the timeframe."""
    for minutes in sorted(folder.iterdir()):
        named = MINUTES_NAME.fullmatch(minutes.name)
        if not named or not minutes.name.endswith((".csv", ".csv.gz")):
            continue
        for frame in MT5_TIMEFRAMES:
            other = folder / f"{named['before']}{frame}{named['after']}"
            if frame is not Timeframe.M1 and other.exists():
                yield minutes, other, frame


def run(folder: Path, show: Callable[[str], None]) -> bool:
    """Compare everything in a folder; whether all of it is equal."""
    jobs = list(pairs(folder))
    if not jobs:
        raise TableError(
            f"{folder}: no *_M1_*.csv file with another timeframe's beside it; "
            "names differ only in the timeframe, as in EURUSD_M1_2025.csv and EURUSD_H1_2025.csv"
        )
    results, minutes = [], read(jobs[0][0])
    console = Console(stderr=True)
    quiet = not console.is_terminal
    for source, path, frame in track(jobs, "Comparing", console=console, disable=quiet):
        minutes = minutes if minutes.path == source else read(source)
        results.append(compare(minutes, read(path), frame))
        _report(results[-1], show)
    equal = sum(result.equal for result in results)
    compared = sum(result.compared for result in results)
    show(f"{equal} of {compared}")
    return equal == compared > 0


def _report(result: Result, show: Callable[[str], None]) -> None:
    show(str(result))
    for miss in result.misses[:MISSES_SHOWN]:
        show(f"  {miss}")
    if len(result.misses) > MISSES_SHOWN:
        show(f"  and {len(result.misses) - MISSES_SHOWN} more")


def main(arguments: list[str] | None = None) -> int:
    """0 when every bar is equal, 1 when one is not, 2 when a file cannot be read."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of *_M1_* files and the bars beside them")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder")
    try:
        return 0 if run(folder, print) else 1
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
