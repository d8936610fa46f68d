"""The order path under load: against mt5-bridge, at a fixed pace, for long, and after a reconnect.

Each round starts a fresh demo and mt5-bridge on one core and drives one after the other from
another core with the same client. Our orders are durable before they are answered, the peer's are
not kept at all. The open loop charges a stall to every request that was due meanwhile. The long run
places 200,000 orders on a netting account that they open and close in turn, and reads the memory.
The reconnect is that of a terminal with 10,000 resting orders to a server that was killed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

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
from _peers import environment
from _process import FREE_PORTS, RICH, ServerProcess

CONNECTIONS = (16, 64)
PEER = "mt5-bridge"
PACKAGES = ("mt5-bridge==1.9.0",)
SERVER = ROOT / ".venv" / "bin" / "fxsocket-server"
PACE_PER_S = 500.0
LONG_ORDERS = 200_000
STEPS = (20_000, 60_000, 100_000, 150_000, 200_000)
RESTING = 10_000

EXAMPLE = """\
example:
  $ python bench/load.py --seconds 2 --rounds 1 --orders 20000 --resting 1000
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load on one server; `per_core_s` is answers per second of its CPU."""

    name: str
    connections: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    per_core_s: float


def measured(name: str, server: ServerProcess, plan: Plan) -> Row:
    """Warm up, then run a plan and charge the server's CPU to its answers."""
    _sound(name, run(msgspec.structs.replace(plan, seconds=0.5)))
    before_s = server.cpu_s()
    result = _sound(name, run(plan))
    cpu_s = server.cpu_s() - before_s
    return Row(
        name=name,
        connections=plan.connections,
        per_s=result.answers / result.wall_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        cpu_us=cpu_s / result.answers * 1e6,
        per_core_s=result.answers / cpu_s,
    )


def _sound(name: str, result: Result) -> Result:
    if result.refusals:
        sys.exit(f"void: {name!r} refused {result.refusals}; the first:\n{result.first_refusal}")
    return result


def one_round(seconds: float, folder: Path) -> list[Row]:
    """The same loads on a fresh demo and on the peer, one after the other."""
    core, rows = core_of(SERVER_CORE), list[Row]()
    demo_command = (SERVER, "demo", *FREE_PORTS, *RICH, "--data", folder / "data")
    peer_command = (environment(PEER, PACKAGES), ROOT / "bench" / "_load_mt5bridge.py")
    with (
        ServerProcess(demo_command, core, folder / "demo.log") as demo,
        ServerProcess(peer_command, core, folder / "peer.log") as peer,
    ):
        for connections in CONNECTIONS:
            ours = Plan(
                url=demo.ready.rest + "/orders", bodies=BODIES, connections=connections,
                seconds=seconds, api_key=demo.ready.api_key,
            )  # fmt: skip
            theirs = msgspec.structs.replace(ours, url=peer.ready.rest + "/order", api_key=None)
            rows.append(measured("order", demo, ours))
            rows.append(measured(PEER, peer, theirs))
        paced = msgspec.structs.replace(ours, connections=64, per_s=PACE_PER_S)
        rows.append(measured(f"order, {PACE_PER_S:.0f} a second", demo, paced))
    return rows


# --- for long ----------------------------------------------------------------------------------


def memory_over(orders: int, folder: Path) -> list[tuple[int, float]]:
    """Resident MB after so many orders of one server; nothing stays open."""
    steps = [step * orders // LONG_ORDERS for step in STEPS]
    command = (
        SERVER,
        "demo",
        *FREE_PORTS,
        *RICH,
        "--profile",
        "netting",
        "--data",
        folder / "long",
    )
    seen: list[tuple[int, float]] = []
    with ServerProcess(command, core_of(SERVER_CORE), folder / "long.log") as demo:
        done = 0
        while done < orders:  # bounded by the answers of each short run
            plan = Plan(
                url=demo.ready.rest + "/orders", bodies=BODIES, connections=16, seconds=2.0,
                api_key=demo.ready.api_key,
            )  # fmt: skip
            done += _sound("long", run(plan)).answers
            while len(seen) < len(steps) and done >= steps[len(seen)]:
                seen.append((done, round(demo.memory().rss / 1e6, 1)))
    return seen


# --- after a reconnect -------------------------------------------------------------------------


def reconcile_s(resting: int, folder: Path) -> float:
    """Seconds that a terminal is back before its account is reconciled and opens again."""
    data, login, name = folder / "remote", "1234567", "FxSocket-Demo"
    add = (SERVER, "account", "add", "--data", data, "--server", name, "--login", login, "--json")
    link = json.loads(subprocess.run(add, stdout=subprocess.PIPE, check=True).stdout)
    serve = (SERVER, "serve", *FREE_PORTS, "--data", data, "--api-key", "bench")
    core = core_of(SERVER_CORE)
    with ServerProcess(serve, core, folder / "serve.log") as server:
        bridge = server.ready.bridge
        terminal_log = (folder / "terminal.log").open("wb")
        terminal = subprocess.Popen(
            [
                str(SERVER), "sim-terminal", "--bridge", bridge, "--token", link["token"],
                "--data", str(folder / "terminal"), "--server", name, "--login", login,
                "--profile", str(_without_limit(folder)),
                "--balance", "1e9", "--leverage", "1000", "--seed", "1",
            ],
            stderr=terminal_log, stdout=terminal_log,
        )  # fmt: skip
        try:
            _ready(server.ready.rest)
            _rest_orders(server.ready.rest, resting)
            head = _get(f"{server.ready.rest}/events?limit=1")["head"]
            server.kill()
            port = bridge.rpartition(":")[2]
            again = (*serve, "--bridge-port", port)  # of two the last counts
            with ServerProcess(again, core, folder / "again.log") as back:
                return _reconciled_s(back.ready.rest, head)
        finally:
            terminal.terminate()
            terminal.wait(30)
            terminal_log.close()


def _without_limit(folder: Path) -> Path:
    """The standard broker, but for its limit of resting orders."""
    profiles = ROOT / "server" / "src" / "fxsocket_server" / "broker" / "profiles"
    text = (profiles / "standard.toml").read_text()
    path = folder / "without_limit.toml"
    path.write_text(re.sub(r"(?m)^limit_orders = \d+$", "limit_orders = 0", text))
    return path


def _rest_orders(rest: str, count: int) -> None:
    """Let so many limit orders rest at the terminal."""
    body = '{"symbol":"EURUSD","type":"BUY_LIMIT","volume":0.01,"price":1.0}'
    placed = 0
    while placed < count:
        plan = Plan(url=rest + "/orders", bodies=(body,), connections=32, seconds=1.0,
                    api_key="bench")  # fmt: skip
        placed += _sound("resting", run(plan)).answers


def _ready(rest: str) -> None:
    """Wait until the account takes orders."""
    check = urllib.request.Request(
        rest + "/orders/check",
        data=b'{"symbol":"EURUSD","type":"BUY","volume":0.01}',
        headers={"Authorization": "Bearer bench", "Content-Type": "application/json"},
    )
    for _ in range(3_000):
        try:
            with urllib.request.urlopen(check, timeout=30):
                return
        except urllib.error.HTTPError as error:
            error.close()
            time.sleep(0.02)
    sys.exit("the account never became ready")


def _reconciled_s(rest: str, after: int) -> float:
    """From `terminal.connected` to `terminal.reconciled` above `after`, as a client hears them."""
    heard_s: dict[str, float] = {}
    for _ in range(3_000):
        try:
            page = _get(f"{rest}/events?after={after}&wait_ms=1000")
        except urllib.error.HTTPError as error:  # the server knows its terminal no sooner
            error.close()
            time.sleep(0.002)
            continue
        now = time.perf_counter()
        for event in page["data"]:
            after = event["seq"]
            heard_s.setdefault(event["type"], now)
        if "terminal.reconciled" in heard_s:
            return round(heard_s["terminal.reconciled"] - heard_s["terminal.connected"], 4)
    sys.exit("the account was never reconciled")


def _get(url: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": "Bearer bench"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


# --- figures -----------------------------------------------------------------------------------


def summarise(rounds: list[list[Row]]) -> list[Row]:
    """Medians of each row over the rounds."""
    return [
        Row(
            name=same[0].name,
            connections=same[0].connections,
            per_s=round(median(r.per_s for r in same)),
            p50_ms=round(median(r.p50_ms for r in same), 3),
            p99_ms=round(median(r.p99_ms for r in same), 3),
            cpu_us=round(median(r.cpu_us for r in same), 1),
            per_core_s=round(median(r.per_core_s for r in same)),
        )
        for same in zip(*rounds, strict=True)
    ]


def times_peer(rounds: list[list[Row]], connections: int) -> float:
    """Our orders a second over the peer's, median of the rounds' ratios."""
    ratios = []
    for rows in rounds:
        by_name = {row.name: row.per_s for row in rows if row.connections == connections}
        ratios.append(by_name["order"] / by_name[PEER])
    return round(median(ratios), 2)


def aims_of(
    rounds: list[list[Row]], rows: list[Row], memory: list[tuple[int, float]], reconcile: float
) -> list[Aim]:
    """What the project promises of these figures."""
    order = {row.connections: row for row in rows if row.name == "order"}
    paced = rows[-1]
    first, last = memory[0][1], memory[-1][1]
    return [
        *(
            Aim(name=f"durable orders a core-second, {c} conn.", figure=order[c].per_core_s,
                bound=2500, at_least=True)
            for c in CONNECTIONS
        ),
        *(
            Aim(name=f"orders a second, times {PEER}, {c} conn.", figure=times_peer(rounds, c),
                bound=5, at_least=True)
            for c in CONNECTIONS
        ),
        Aim(name="p99 at 500 orders a second, open loop, ms", figure=paced.p99_ms, bound=10),
        Aim(name="memory after the long run, % more than at its start",
            figure=round((last - first) / first * 100, 1), bound=5),
        Aim(name=f"reconciliation of {RESTING:,} resting orders, s", figure=reconcile, bound=2),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, write bench/results/load.json."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each load (4)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, medians count (3)")
    parser.add_argument("--orders", type=int, default=LONG_ORDERS, help="of the long run")
    parser.add_argument("--resting", type=int, default=RESTING, help="orders at the reconnect")
    options = parser.parse_args()
    machine, rounds = host(), list[list[Row]]()
    with tempfile.TemporaryDirectory(prefix=".run-", dir=ROOT / "bench") as name:
        for number in range(options.rounds):
            folder = Path(name) / str(number)
            folder.mkdir()
            rounds.append(one_round(options.seconds, folder))
        memory = memory_over(options.orders, Path(name))
        reconcile = reconcile_s(options.resting, Path(name))
    rows = summarise(rounds)
    aims = aims_of(rounds, rows, memory, reconcile)
    table("orders under load", ("", "conn.", "per s", "p50 ms", "p99 ms", "CPU us", "per core-s"), [
        (r.name, r.connections, r.per_s, r.p50_ms, r.p99_ms, r.cpu_us, r.per_core_s) for r in rows
    ])  # fmt: skip
    console.print(f"memory: {', '.join(f'{mb} MB after {n:,}' for n, mb in memory)}")
    show_aims(aims)
    settings = {"seconds": options.seconds, "rounds": options.rounds, "orders": options.orders,
                "resting": options.resting, "peer": PACKAGES[0]}  # fmt: skip
    figures = {"settings": settings, "rows": rows, "memory_mb": memory, "reconcile_s": reconcile,
               "aims": aims_json(aims)}  # fmt: skip
    path = write("load", machine, figures)
    console.print(f"\nwritten: {path.relative_to(ROOT)}", highlight=False)


if __name__ == "__main__":
    main()
