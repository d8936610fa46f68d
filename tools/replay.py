"""Replays account statements: what MetaTrader printed must be what this broker calculates.

Two kinds of file are read. A list of MT4 cases (.json): each case's profit follows from its symbol,
side, volume and prices. Round trips of an MT5 strategy tester report (*_trips.csv, also .gz): with
the report's *_deals file and its *_spec.json beside them, every profit, swap and commission and the
running balance follow. What a report does not print (contract, swap rates, commission, conversion
rates) is read from the spec, never from the trips.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from replay_mt4 import replay_cases
from replay_mt5 import replay_report
from tables import TableError

EXAMPLE = """\
example:
  $ python tools/replay.py mt4_replay_cases.json mt5tester_xauusd_market_trips.csv.gz
  mt4_replay_cases.json: 17 of 17
  mt5tester_xauusd_market_trips.csv.gz: 30 of 30
  47 of 47
"""


def replay(path: Path) -> tuple[int, list[str]]:
    """How many trades of a file were compared, and what is wrong with those that differ."""
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    if path.name.endswith((".csv", ".csv.gz")):
        return replay_report(path)
    if path.suffix == ".json":
        return replay_cases(path)
    raise TableError(f"{path}: neither a .json list of cases nor a *_trips.csv file")


def run(paths: Iterable[Path], show: Callable[[str], None]) -> bool:
    """Replay files and print each miss; whether all of it was equal."""
    equal = compared = 0
    for path in paths:
        count, misses = replay(path)
        for miss in misses:
            show(f"  {miss}")
        show(f"{path.name}: {count - len(misses)} of {count}")
        equal, compared = equal + count - len(misses), compared + count
    show(f"{equal} of {compared}")
    return equal == compared > 0


def main(arguments: list[str] | None = None) -> int:
    """0 when everything is equal, 1 when something is not, 2 when a file cannot be read."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="statement to replay")
    paths: list[Path] = parser.parse_args(arguments).files
    try:
        return 0 if run(paths, print) else 1
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
