"""What a simulated tick costs: the broker against four other simulators, ticks in memory.

Each buys 0.1 lot at every thousandth of 10,000 real EURUSD ticks and closes it 500 ticks later; a
pass of them must lose 12.00, or the row is void. Every simulator has an environment of its own in
the user's cache folder and runs in a process of its own, one after the other in each round. Rates
are ticks a second of one core; ratios are taken within a round, and medians over the rounds count.
"""

import argparse
import sys
from pathlib import Path
from statistics import median

import msgspec
from _host import (
    ROOT,
    SERVER_CORE,
    Aim,
    Host,
    aims_json,
    console,
    core_of,
    host,
    show_aims,
    table,
    write,
)
from _peers import Missing, called, environment

SHARED = ROOT.parent / "shared"
TICKS = SHARED / "data" / "nautilus_ticks_EURUSD_2019-01.csv.gz"
PASS = 10_000
OURS, NAUTILUS, BACKTRADER = "fxsocket", "nautilus_trader", "backtrader"
SCALARS, OBJECTS, TRIPS, DESK, CROWD = (
    "callback, scalars",
    "callback, MT5 tick",
    "blocks, 10 trips",
    "blocks, 20 actions",
    "quiet, 10,000 positions",
)

EXAMPLE = """\
example:
  $ python bench/broker.py --ticks 500_000 --rounds 1
"""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A simulator: what to install, what to run, and after how many ticks its rate is known."""

    name: str
    packages: tuple[str, ...]
    program: str
    most: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A program's own figures of one run; `cents` is what its trips earned, if they are trips."""

    name: str
    version: str
    ticks: int
    seconds: float
    cents: float | None

    @property
    def per_s(self) -> float:
        """Ticks a second of one core."""
        return self.ticks / self.seconds


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A row over all rounds; `times_nautilus` is the median of the rounds' ratios."""

    name: str
    version: str
    ticks: int
    per_s: float
    ns_per_tick: float
    times_nautilus: float | None
    times_backtrader: float | None
    per_s_rounds: list[float]


PEERS = (
    Peer(
        name=OURS,
        packages=("numpy", "msgspec", "tzdata"),
        program="_broker_fxsocket.py",
        most=1 << 62,
    ),
    Peer(name=NAUTILUS, packages=(NAUTILUS,), program="_broker_nautilus.py", most=500_000),
    Peer(name=BACKTRADER, packages=(BACKTRADER,), program="_broker_backtrader.py", most=100_000),
    Peer(
        name="backtesting.py",
        packages=("backtesting",),
        program="_broker_backtesting.py",
        most=500_000,
    ),
    Peer(
        name="hftbacktest",
        packages=("hftbacktest",),
        program="_broker_hftbacktest.py",
        most=1 << 62,
    ),
)


# --- rounds ------------------------------------------------------------------------------------


def run(peer: Peer, python: Path, ticks: int) -> list[Row]:
    """A peer's rows of one round."""
    count = str(min(ticks, peer.most))
    program = ROOT / "bench" / peer.program
    printed = called((python, program, TICKS, count), core_of(SERVER_CORE))
    # Some print a banner, too.
    lines = [line for line in printed.splitlines() if line.startswith('{"name"')]
    return [msgspec.json.decode(line, type=Row) for line in lines]


def measure(ticks: int, rounds: int) -> tuple[list[list[Row]], dict[str, str]]:
    """All rounds, and why peers are missing from them."""
    missing: dict[str, str] = {}
    measured: list[list[Row]] = []
    for _ in range(rounds):
        rows: list[Row] = []
        for peer in PEERS:
            if peer.name in missing:
                continue
            try:
                rows += run(peer, environment(peer.name, peer.packages), ticks)
            except Missing as error:
                missing[peer.name] = str(error)
        measured.append(rows)
    if OURS in missing:
        sys.exit(f"void: {missing[OURS]}")
    return measured, missing


def summarise(rounds: list[list[Row]]) -> list[Summary]:
    """Medians over the rounds of each row that no round lacks."""
    by_name = [{row.name: row for row in rows} for rows in rounds]
    kept = [row.name for row in rounds[0] if all(row.name in rows for rows in by_name)]
    return [_summary(name, by_name) for name in kept]


def _summary(name: str, rounds: list[dict[str, Row]]) -> Summary:
    same = [rows[name] for rows in rounds]
    per_s = median(row.per_s for row in same)
    return Summary(
        name=name,
        version=same[0].version,
        ticks=same[0].ticks,
        per_s=round(per_s),
        ns_per_tick=round(1e9 / per_s, 1),
        times_nautilus=_times(name, NAUTILUS, rounds),
        times_backtrader=_times(name, BACKTRADER, rounds),
        per_s_rounds=[round(row.per_s) for row in same],
    )


def _times(name: str, other: str, rounds: list[dict[str, Row]]) -> float | None:
    """How many times another's rate this is; None when the other is missing."""
    if not all(other in rows for rows in rounds):
        return None
    return round(median(rows[name].per_s / rows[other].per_s for rows in rounds), 2)


def aims_of(rows: list[Summary]) -> list[Aim]:
    """What the project promises; a ratio to a peer that is missing is no aim met or missed."""
    by_name = {row.name: row for row in rows}
    scalars, objects = by_name[SCALARS], by_name[OBJECTS]
    ratios = (
        ("scalar callback, times nautilus_trader", scalars.times_nautilus, 8),
        ("scalar callback, times backtrader", scalars.times_backtrader, 50),
        ("MT5 tick callback, times nautilus_trader", objects.times_nautilus, 5),
    )
    return [
        *(Aim(name=n, figure=f, bound=b, at_least=True) for n, f, b in ratios if f is not None),
        *(
            Aim(name=f"{name}, M ticks/s", figure=round(by_name[name].per_s / 1e6, 2), bound=5,
                at_least=True)
            for name in (TRIPS, DESK)
        ),
        Aim(name=f"{CROWD}, us a tick", figure=round(by_name[CROWD].ns_per_tick / 1000, 3),
            bound=2),
    ]  # fmt: skip


def show(rows: list[Summary], missing: dict[str, str]) -> None:
    """Print the figures."""
    columns = ("", "version", "ticks", "ticks/s", "ns/tick", "x nautilus", "x backtrader")
    table("EURUSD, 10 round trips a pass", columns, [
        (
            r.name, r.version or "-", f"{r.ticks:,}", f"{r.per_s:,}", r.ns_per_tick,
            r.times_nautilus or "-", r.times_backtrader or "-",
        )
        for r in rows
    ])  # fmt: skip
    for name, why in missing.items():
        console.print(f"missing: {name}: {why}", highlight=False, markup=False)


def main() -> None:
    """Measure, print, write bench/results/broker.json."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ticks", type=int, default=200 * PASS, help="ticks of a run (2,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, medians count (5)")
    options = parser.parse_args()
    if options.ticks < PASS or options.ticks % PASS or options.rounds < 1:
        parser.error(f"--ticks must be a multiple of {PASS}, --rounds at least 1")
    if not TICKS.exists():
        console.print(f"skipped: the ticks are not there: ../shared/{TICKS.relative_to(SHARED)}")
        return
    machine: Host = host()
    measured, missing = measure(options.ticks, options.rounds)
    rows = summarise(measured)
    aims = aims_of(rows)
    show(rows, missing)
    show_aims(aims)
    settings = {
        "ticks": options.ticks,
        "rounds": options.rounds,
        "most": {peer.name: min(peer.most, options.ticks) for peer in PEERS},
    }
    figures = {"settings": settings, "rows": rows, "missing": missing, "aims": aims_json(aims)}
    path = write("broker", machine, figures)
    console.print(f"\nwritten: {path.relative_to(ROOT)}", highlight=False)


if __name__ == "__main__":
    main()
