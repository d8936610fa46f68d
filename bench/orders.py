"""What a durable order costs: POST /v1/orders, full path, against a floor on the same HTTP server.

Each round starts a fresh demo as its user would (limits on, its own data folder on this disk) and
the floor, both on one core, and drives one after the other from another core: the client, the disk
and the machine's noise are the same for both. An order is real: key checked, journalled with
synchronous=FULL, filled by the broker; after each round the journal on disk must hold as many
orders as were answered. Ratios are of server CPU within a round; other figures are medians.
"""

import argparse
import shlex
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import msgspec
from _client import BODIES, Plan, Result, run
from _host import (
    ROOT,
    SERVER_CORE,
    Aim,
    aims_json,
    console,
    core_of,
    host,
    show_aims,
    table,
    write,
)
from _process import FREE_PORTS, RICH, Memory, ServerProcess

WARM_UP_S = 0.5
IDLE_S = 5.0
CONNECTIONS = (1, 16)
SERVER = ROOT / ".venv" / "bin" / "fxsocket-server"
DEMO = ("demo", *FREE_PORTS, *RICH)

EXAMPLE = """\
example:
  $ python bench/orders.py --seconds 2 --rounds 1
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load on one server; `busy` is the share of its core that a process used."""

    name: str
    connections: int
    durable: bool
    answers: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    server_busy: float
    client_busy: float


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One demo from start to stop: seconds, bytes, and what its journal held in the end."""

    start_s: float
    idle: Memory
    loaded: Memory
    stop_s: float
    orders: int
    open_positions: int


def measure_row(name: str, server: ServerProcess, plan: Plan, *, durable: bool) -> Row:
    """Warm up, then run a plan and charge the server's CPU to its answers."""
    warm_up = _sound(name, run(msgspec.structs.replace(plan, seconds=WARM_UP_S)))
    before_s = server.cpu_s()
    result = _sound(name, run(plan))
    cpu_s = server.cpu_s() - before_s
    return Row(
        name=name,
        connections=plan.connections,
        durable=durable,
        answers=result.answers + warm_up.answers,
        per_s=result.answers / result.wall_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        cpu_us=cpu_s / result.answers * 1e6,
        server_busy=cpu_s / result.wall_s,
        client_busy=result.cpu_s / result.wall_s,
    )


def _sound(name: str, result: Result) -> Result:
    if result.refusals:
        sys.exit(
            f"void: {result.refusals} of {result.answers} answers to {name!r} were not 200; "
            f"the first:\n{result.first_refusal}"
        )
    return result


def measure_round(seconds: float, command: tuple[str | Path, ...]) -> tuple[list[Row], Life]:
    """One fresh demo and floor, every load on each in turn."""
    core = core_of(SERVER_CORE)
    with tempfile.TemporaryDirectory(prefix=".run-", dir=ROOT / "bench") as name:
        folder = Path(name)
        demo = ServerProcess((*command, "--data", folder / "data"), core, folder / "demo.log")
        with demo:
            start_s = _await_answer(demo)
            time.sleep(IDLE_S)
            idle = demo.memory()
            floor_command = (sys.executable, ROOT / "bench" / "_floor.py")
            with ServerProcess(floor_command, core, folder / "floor.log") as floor:
                rows = list(_rows(demo, floor, seconds))
            loaded = demo.memory()
            stop_s = demo.stop()
        orders, positions = _journalled(folder / "data" / "journal.db")
    answered = sum(row.answers for row in rows if row.durable)
    if orders != answered:
        sys.exit(f"void: {answered} orders were answered, the journal holds {orders}")
    life = Life(
        start_s=start_s, idle=idle, loaded=loaded, stop_s=stop_s,
        orders=orders, open_positions=positions,
    )  # fmt: skip
    return rows, life


def _rows(demo: ServerProcess, floor: ServerProcess, seconds: float) -> Iterable[Row]:
    for connections in CONNECTIONS:
        orders = Plan(
            url=demo.ready.rest + "/orders",
            bodies=BODIES,
            connections=connections,
            seconds=seconds,
            api_key=demo.ready.api_key,
        )
        to_floor = msgspec.structs.replace(orders, url=floor.ready.rest + "/v1/orders")
        with_keys = msgspec.structs.replace(orders, keyed=True)
        yield measure_row("floor", floor, to_floor, durable=False)
        yield measure_row("order", demo, orders, durable=True)
        yield measure_row("order, own key", demo, with_keys, durable=True)


def _await_answer(demo: ServerProcess) -> float:
    """Seconds from the start of the command to its first answer to a client."""
    request = urllib.request.Request(
        demo.ready.rest + "/account", headers={"Authorization": f"Bearer {demo.ready.api_key}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
    return time.perf_counter() - demo.started


def _journalled(path: Path) -> tuple[int, int]:
    """Orders and open positions that the stopped server left on the disk."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (orders,) = connection.execute("SELECT count(*) FROM orders").fetchone()
        (positions,) = connection.execute(
            "SELECT count(*) FROM positions WHERE status = 'OPEN'"
        ).fetchone()
    finally:
        connection.close()
    return orders, positions


# --- figures -----------------------------------------------------------------------------------


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A row over all rounds; `times_floor` is the median of the rounds' ratios."""

    name: str
    connections: int
    durable: bool
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    times_floor: float
    per_core_s: float
    server_busy: float
    client_busy: float
    cpu_us_rounds: list[float]


def summarise(rounds: list[list[Row]]) -> list[Summary]:
    """Medians of each row over the rounds."""
    return [_summary(list(same), rounds) for same in zip(*rounds, strict=True)]


def _summary(same: list[Row], rounds: list[list[Row]]) -> Summary:
    first = same[0]
    floors = [
        next(r for r in rows if r.name == "floor" and r.connections == first.connections)
        for rows in rounds
    ]
    cpu_us = median(row.cpu_us for row in same)
    return Summary(
        name=first.name,
        connections=first.connections,
        durable=first.durable,
        per_s=round(median(row.per_s for row in same)),
        p50_ms=round(median(row.p50_ms for row in same), 3),
        p99_ms=round(median(row.p99_ms for row in same), 3),
        cpu_us=round(cpu_us, 1),
        times_floor=round(
            median(r.cpu_us / f.cpu_us for r, f in zip(same, floors, strict=True)), 2
        ),
        per_core_s=round(1e6 / cpu_us),
        server_busy=round(median(row.server_busy for row in same), 2),
        client_busy=round(median(row.client_busy for row in same), 2),
        cpu_us_rounds=[round(row.cpu_us, 1) for row in same],
    )


def aims_of(rows: list[Summary], lives: list[Life]) -> list[Aim]:
    """What the project promises of these figures."""
    order = {row.connections: row for row in rows if row.name == "order"}
    cost = [
        Aim(name=f"CPU of an order, times the floor's, {c} conn.", figure=order[c].times_floor,
            bound=6)
        for c in CONNECTIONS
    ]  # fmt: skip
    return [
        *cost,
        Aim(name="p50 of an order, 1 conn., ms", figure=order[1].p50_ms, bound=1),
        Aim(name="durable orders a core-second, 16 conn.", figure=order[16].per_core_s,
            bound=2500, at_least=True),
        Aim(name="resident memory, idle, MB", bound=120,
            figure=round(median(life.idle.rss for life in lives) / 1e6, 1)),
        Aim(name="start to first answer, s", bound=3,
            figure=round(median(life.start_s for life in lives), 2)),
        Aim(name="Ctrl-C to end, s", bound=2,
            figure=round(median(life.stop_s for life in lives), 2)),
    ]  # fmt: skip


def show(rows: list[Summary], lives: list[Life]) -> None:
    """Print the figures."""
    columns = (
        "", "conn.", "req/s", "p50 ms", "p99 ms", "CPU us", "x floor", "per core-s", "core busy",
        "client busy", "durable",
    )  # fmt: skip
    table("POST /v1/orders", columns, [
        (
            r.name, r.connections, r.per_s, r.p50_ms, r.p99_ms, r.cpu_us, r.times_floor,
            r.per_core_s, r.server_busy, r.client_busy, "yes" if r.durable else "-",
        )
        for r in rows
    ])  # fmt: skip
    last = lives[-1]
    console.print(
        f"\nIn the last round {last.orders:,} orders were journalled, {last.open_positions:,} "
        f"positions stood open; resident memory rose from {last.idle.rss / 1e6:.0f} MB "
        f"(proportional {last.idle.pss / 1e6:.0f}) to {last.loaded.rss / 1e6:.0f} MB.",
        highlight=False,
    )


def main() -> None:
    """Measure, print, write bench/results/orders.json."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each load (4)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, medians count (3)")
    parser.add_argument(
        "--server", default=str(SERVER), help="another command than .venv/bin/fxsocket-server"
    )
    options = parser.parse_args()
    machine, command = host(), (*shlex.split(options.server), *DEMO)
    measured = [measure_round(options.seconds, command) for _ in range(options.rounds)]
    rows, lives = summarise([r for r, _ in measured]), [life for _, life in measured]
    aims = aims_of(rows, lives)
    show(rows, lives)
    show_aims(aims)
    path = write(
        "orders",
        machine,
        {
            "settings": {
                "command": " ".join((Path(command[0]).name, *command[1:])),
                "seconds": options.seconds,
                "rounds": options.rounds,
            },
            "rows": rows,
            "lives": lives,
            "aims": aims_json(aims),
        },
    )
    console.print(f"\nwritten: {path.relative_to(ROOT)}", highlight=False)


if __name__ == "__main__":
    main()
