"""What each program of the broker bench shares: the ticks, the trips, and a line of its figures.

Runs in the peers' own environments, so the standard library is all that it imports. A program is
called with the tick file and a number of ticks, and prints one JSON line of figures per row.
"""

import csv
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

PASS = 10_000  # ticks in the file
EVERY, HELD = 1_000, 500  # a trip begins every so many ticks, and lasts that long
UNITS = 10_000  # 0.1 lot
POINT = 100_000  # points in 1.00000
CENTS_A_PASS = -1_200  # what the ten trips of a pass lose to the spread, by the ticks themselves
SIZE = 10_000_000  # what is quoted on each side, for peers that ask: always enough

Ticks = tuple[list[int], list[int], list[int]]


def arguments() -> tuple[Ticks, int]:
    """The ticks of the command line, and how many there are."""
    path, count = sys.argv[1], int(sys.argv[2])
    ticks = repeated(read(path), count)
    return ticks, count


def read(path: str) -> Ticks:
    """One pass of ticks: UTC milliseconds, Bid and Ask in points."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [
            (int(row["time_msc"]), _points(row["bid"]), _points(row["ask"]))
            for row in csv.DictReader(file)
        ]
    times, bids, asks = zip(*rows, strict=True)
    return list(times), list(bids), list(asks)


def _points(price: str) -> int:
    return round(float(price) * POINT)


def repeated(one: Ticks, count: int) -> Ticks:
    """As many ticks as asked for; each pass follows the one before by a second."""
    times, bids, asks = one
    passes, rest = divmod(count, len(times))
    if rest or len(times) != PASS:
        sys.exit(f"the bench takes passes of {PASS:,} ticks, not {count:,} of {len(times):,}")
    span = times[-1] - times[0] + 1_000
    moments = [moment + number * span for number in range(passes) for moment in times]
    return moments, bids * passes, asks * passes


def trips(count: int) -> Iterator[tuple[int, bool]]:
    """Where to act: tick, and whether that is a buy or its close."""
    for start in range(0, count, EVERY):
        yield start, True
        yield start + HELD, False


def timed(run: Callable[[], object]) -> float:
    """Seconds of one core that a run takes.

    Its CPU time, so that a busy neighbour does not count, or the wall's where threads make it less.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return min(time.perf_counter() - wall, time.process_time() - cpu)


def report(package: str, name: str, count: int, seconds: float, cents: float | None) -> None:
    """Print a row; a program whose trips did not earn what they must, ends."""
    due = CENTS_A_PASS * (count // PASS)
    if cents is not None and round(cents) != due:
        sys.exit(f"{name}: the trips earned {cents / 100:.2f} instead of {due / 100:.2f}")
    row = {"name": name, "version": version(package) if package else "", "ticks": count}
    print(json.dumps(row | {"seconds": seconds, "cents": cents}), flush=True)
