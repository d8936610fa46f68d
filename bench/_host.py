"""What every bench writes down: the machine, the commit, one JSON file of figures, one table.

Figures of two runs are comparable only on one machine in one hour; ratios within a run are always.
"""

import os
import platform
import sqlite3
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
SERVER_CORE = 0
CLIENT_CORE = 1

console = Console(width=118)


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where and on what a bench ran; `load_1m` says whether the machine was its own."""

    date: str
    cpu: str
    cores: int
    kernel: str
    python: str
    sqlite: str
    commit: str
    dirty: bool
    load_1m: float


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and the bound that it shall keep."""

    name: str
    figure: float
    bound: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def host() -> Host:
    """The machine, the interpreter and the commit, as they are now."""
    return Host(
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        commit=_git("rev-parse", "HEAD") or "unknown",
        # The figures of the last run are no change to what is measured.
        dirty=bool(_git("status", "--porcelain", "--", ".", ":!bench/results")),
        load_1m=round(os.getloadavg()[0], 2),
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def core_of(core: int) -> int:
    """The core to pin to: the wanted one, or the only one that there is."""
    return core % (os.cpu_count() or 1)


def write(name: str, machine: Host, figures: Mapping[str, object]) -> Path:
    """Overwrite bench/results/<name>.json with figures, keys in the order given.

    `machine` is `host()` as it was before the bench loaded it.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    body = msgspec.json.encode({"bench": name, "host": machine, **figures})
    path.write_bytes(msgspec.json.format(body, indent=2) + b"\n")
    return path


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; all but the first are right-aligned."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(_text(value) for value in row))
    console.print(shown)


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show_aims(aims: Sequence[Aim]) -> None:
    """Print each aim with its figure, and whether it is met."""
    rows = [
        (
            aim.name,
            aim.figure,
            ("at least " if aim.at_least else "at most ") + _text(aim.bound),
            "[green]ok[/]" if aim.is_met else "[bold red]MISSED[/]",
        )
        for aim in aims
    ]
    table("\nAims", ("", "measured", "aim", ""), rows)


def aims_json(aims: Sequence[Aim]) -> list[dict[str, object]]:
    """Aims as they are written down."""
    return [{**msgspec.structs.asdict(aim), "is_met": aim.is_met} for aim in aims]
