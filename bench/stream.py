"""The stream: ticks fanned out against four peers, orders over the socket, idle connections.

Each server runs on one core, the subscribers (a C program) on the other. A message is one tick for
one subscriber; "per core-second" divides those delivered by the server's CPU time. Every tick holds
the moment at which it was made; a latency ends when a subscriber has read it. Our server is the
real one, its feed alone is made for the bench; its ticks are longer than the peers' 120 bytes, as
the contract has them. Orders are durable before they are answered, over REST and socket alike.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import msgspec
from _client import BODIES, Plan, Result, run
from _drain import Drain, Drained
from _host import (
    CLIENT_CORE,
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
from _peers import Missing, cache_folder, called
from _process import FREE_PORTS, RICH, ServerProcess, pinned
from _stream_centrifugo import SUBSCRIBE as CENTRIFUGO_SUBSCRIBE
from _stream_orders import Latency
from _stream_orders import measure as orders_over_socket

BENCH = ROOT / "bench"
OURS = "fxsocket"
CENTRIFUGO = "centrifugo"
CENTRIFUGO_MODULE = "github.com/centrifugal/centrifugo/v6"
CENTRIFUGO_VERSION = "v6.9.1"
WS_VERSION = "8.23.0"
SUBSCRIBERS = (10, 100, 500)
MESSAGES_PER_S = (10_000, 100_000)
QUIET_PER_S = 20.0
CPU_TICK_S = 0.01  # the kernel's clock of CPU time
IDLE = 5_000
BESIDE_SUBSCRIBERS, BESIDE_PER_S = 500, 100.0
ORDERS_PER_S = 50.0  # each is told to all 500 subscribers too: they have one user's key
ORDER_CONNECTIONS = 4
API_KEY = "bench"
SUBSCRIBE = '{"action":"subscribe","symbols":["GBPUSD"]}'
OPTIONS = (
    "demo", *FREE_PORTS, *RICH, "--seed", "1", "--profile", "netting", "--api-key", API_KEY,
)  # fmt: skip

EXAMPLE = """\
example:
  $ python bench/stream.py --seconds 1 --rounds 1
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load on one server; `ticks_per_s` 0 stands for a flood."""

    server: str
    subscribers: int
    ticks_per_s: float
    messages_per_s: float
    per_core_s: float
    cpu_us: float
    p50_us: float
    p99_us: float
    complete: bool


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """Orders over REST in an open loop: alone, and while the same process fans out."""

    idle_p50_ms: float
    idle_p99_ms: float
    loaded_p50_ms: float
    loaded_p99_ms: float
    fan_out_per_s: float


# --- servers -----------------------------------------------------------------------------------


class Publisher:
    """Ticks from outside, for a server that has no publisher within."""

    def __init__(self, port: int) -> None:
        with pinned(core_of(CLIENT_CORE)):
            self._popen = subprocess.Popen(
                (sys.executable, str(BENCH / "_stream_centrifugo.py"), "publish", str(port)),
                stdin=subprocess.PIPE,
                text=True,
                bufsize=1,
            )

    def tell(self, line: str) -> None:
        """Set the pace."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")

    def stop(self) -> None:
        """Publish no more."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(30)


class Target(msgspec.Struct, frozen=True):
    """A running server, who sets its pace, and how to subscribe."""

    name: str
    server: ServerProcess
    pace: ServerProcess | Publisher
    subscribe: str
    api_key: str | None = None

    def drain(self, connections: int, seconds: float, subscribe: str | None = None) -> Drain:
        """Subscribers of it."""
        wanted = self.subscribe if subscribe is None else subscribe
        return Drain(self.server.ready.stream, connections, seconds, wanted, self.api_key)


@contextlib.contextmanager
def ours(folder: Path) -> Iterator[Target]:
    """Our own server."""
    data = folder / f"data-{time.monotonic_ns()}"
    command = (sys.executable, BENCH / "_stream_server.py", *OPTIONS, "--data", data)
    with ServerProcess(command, core_of(SERVER_CORE), folder / "ours.log") as server:
        yield Target(OURS, server, server, SUBSCRIBE, API_KEY)


@contextlib.contextmanager
def python_peer(name: str, folder: Path) -> Iterator[Target]:
    """A peer of _stream_peers.py."""
    command = (sys.executable, BENCH / "_stream_peers.py", name)
    with ServerProcess(command, core_of(SERVER_CORE), folder / f"{name}.log") as server:
        yield Target(name, server, server, "")


@contextlib.contextmanager
def node_ws(folder: Path) -> Iterator[Target]:
    """Node's ws, installed once into the cache folder."""
    home = cache_folder() / f"ws-{WS_VERSION}"
    if not (home / "node_modules" / "ws").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        called(("npm", "install", "--silent", "--prefix", home, f"ws@{WS_VERSION}"), None)
    command = ("node", BENCH / "_stream_ws.mjs", home)
    with ServerProcess(command, core_of(SERVER_CORE), folder / "ws.log") as server:
        yield Target("node ws", server, server, "")


@contextlib.contextmanager
def centrifugo(folder: Path) -> Iterator[Target]:
    """Centrifugo, built once from its Go module into the cache folder."""
    home = cache_folder() / f"centrifugo-{CENTRIFUGO_VERSION.removeprefix('v')}"
    program = home / "centrifugo"
    if not program.exists():
        console.print(f"building centrifugo into {home}; this happens once")
        os.environ["GOBIN"] = str(home)
        called(("go", "install", f"{CENTRIFUGO_MODULE}@{CENTRIFUGO_VERSION}"), None)
    command = (sys.executable, BENCH / "_stream_centrifugo.py", "serve", program, folder)
    with ServerProcess(command, core_of(SERVER_CORE), folder / "centrifugo.log") as server:
        port = urlsplit(server.ready.stream).port or 0
        _listening(port)
        publisher = Publisher(port)
        try:
            yield Target(CENTRIFUGO, server, publisher, CENTRIFUGO_SUBSCRIBE)
        finally:
            publisher.stop()


def _listening(port: int) -> None:
    for _ in range(1_000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


@contextlib.contextmanager
def target(name: str, folder: Path) -> Iterator[Target]:
    """A server by its name; Missing says why there is none."""
    makers = {OURS: ours, "node ws": node_ws, CENTRIFUGO: centrifugo}
    maker = makers.get(name)
    with maker(folder) if maker else python_peer(name, folder) as made:
        yield made


SERVERS = (OURS, CENTRIFUGO, "node ws", "websockets", "uvicorn")

# --- fan-out -----------------------------------------------------------------------------------


def fan_out(on: Target, subscribers: int, ticks_per_s: float, seconds: float) -> Row:
    """Let a server fan ticks out for a while; 0 ticks a second is a flood."""
    with on.drain(subscribers, seconds) as drain:
        on.pace.tell("flood" if not ticks_per_s else f"{ticks_per_s:g}")
        time.sleep(0.3)  # into its stride
        before_s = on.server.cpu_s()
        seen = drain.measure()
        cpu_s = on.server.cpu_s() - before_s
        on.pace.tell("0")
        time.sleep(0.2)  # what is queued arrives
    return _row(on.name, subscribers, ticks_per_s, seen, cpu_s)


def _row(name: str, subscribers: int, ticks_per_s: float, seen: Drained, cpu_s: float) -> Row:
    if not seen.ticks:
        sys.exit(f"void: {name!r} delivered nothing to {subscribers} subscribers")
    offered = ticks_per_s * subscribers * seen.wall_s
    cpu_s = max(cpu_s, CPU_TICK_S)
    return Row(
        server=name,
        subscribers=subscribers,
        ticks_per_s=ticks_per_s,
        messages_per_s=seen.ticks / seen.wall_s,
        per_core_s=seen.ticks / cpu_s,
        cpu_us=cpu_s / seen.ticks * 1e6,
        p50_us=seen.p50_us,
        p99_us=seen.p99_us,
        complete=seen.ticks >= offered * 0.97,
    )


def loads() -> list[tuple[int, float]]:
    """Subscribers and ticks a second of every load."""
    floods = [(n, 0.0) for n in SUBSCRIBERS]
    paced = [(n, m / n) for m in MESSAGES_PER_S for n in SUBSCRIBERS if m / n <= 5_000]
    return [*floods, *paced, (1, QUIET_PER_S)]


def one_round(seconds: float, servers: tuple[str, ...], folder: Path) -> list[Row]:
    """Every load on every server, each server fresh."""
    rows = []
    for name in servers:
        with target(name, folder) as on:
            rows += [fan_out(on, n, per_s, seconds) for n, per_s in loads()]
    return rows


# --- orders and idle connections ---------------------------------------------------------------


def over_rest(
    on: Target, seconds: float, *, per_s: float | None = None, connections: int = 1
) -> Result:
    """Orders over REST."""
    plan = Plan(
        url=on.server.ready.rest + "/orders", bodies=BODIES, connections=connections,
        seconds=seconds, api_key=API_KEY, per_s=per_s,
    )  # fmt: skip
    result = run(plan)
    if result.refusals:
        sys.exit(f"void: an order was refused:\n{result.first_refusal}")
    return result


def orders(on: Target, seconds: float) -> tuple[Result, Latency]:
    """One client after the other: over REST, over the socket."""
    over_rest(on, 0.3)
    rest = over_rest(on, seconds)
    orders_over_socket(on.server.ready.stream, API_KEY, 0.3)
    return rest, orders_over_socket(on.server.ready.stream, API_KEY, seconds)


def beside(on: Target, seconds: float) -> Beside:
    """Orders over REST at a fixed pace: alone, then beside a fan-out."""
    over_rest(on, 0.3)
    idle = over_rest(on, seconds, per_s=ORDERS_PER_S, connections=ORDER_CONNECTIONS)
    with on.drain(BESIDE_SUBSCRIBERS, seconds) as drain:
        on.pace.tell(f"{BESIDE_PER_S:g}")
        loaded = over_rest(on, seconds, per_s=ORDERS_PER_S, connections=ORDER_CONNECTIONS)
        seen = drain.measure()
        on.pace.tell("0")
    return Beside(
        idle_p50_ms=idle.p50_ms,
        idle_p99_ms=idle.p99_ms,
        loaded_p50_ms=loaded.p50_ms,
        loaded_p99_ms=loaded.p99_ms,
        fan_out_per_s=seen.ticks / seen.wall_s,
    )


def idle_bytes(on: Target, connections: int) -> float:
    """Resident bytes of a server per connection that it holds and that wants nothing yet."""
    before = on.server.memory().rss
    with on.drain(connections, 1.0, subscribe=""):
        return (on.server.memory().rss - before) / connections


# --- figures -----------------------------------------------------------------------------------


def summarise(rounds: list[list[Row]]) -> list[Row]:
    """Medians of each row over the rounds."""
    return [
        Row(
            server=same[0].server,
            subscribers=same[0].subscribers,
            ticks_per_s=same[0].ticks_per_s,
            messages_per_s=round(median(r.messages_per_s for r in same)),
            per_core_s=round(median(r.per_core_s for r in same)),
            cpu_us=round(median(r.cpu_us for r in same), 3),
            p50_us=median(r.p50_us for r in same),
            p99_us=median(r.p99_us for r in same),
            complete=all(r.complete for r in same),
        )
        for same in zip(*rounds, strict=True)
    ]


def row_of(rows: list[Row], server: str, subscribers: int, ticks_per_s: float) -> Row | None:
    """The row of a load, if it was run."""
    for row in rows:
        if (row.server, row.subscribers, row.ticks_per_s) == (server, subscribers, ticks_per_s):
            return row
    return None


def aims_of(rows: list[Row], rest: Result, socket_: Latency, by: Beside, idle: float) -> list[Aim]:
    """What the project promises of these figures."""
    flood = row_of(rows, OURS, 100, 0)
    rate = row_of(rows, OURS, 100, 1_000)
    quiet = row_of(rows, OURS, 1, QUIET_PER_S)
    assert flood is not None
    assert rate is not None
    assert quiet is not None
    faster_us = (rest.p50_ms - socket_.p50_ms) * 1e3
    aims = [
        Aim(name="messages a core-second, 100 subscribers, flood", figure=flood.per_core_s,
            bound=1_500_000, at_least=True),
        Aim(name="p50 at 100,000 messages/s, us", figure=rate.p50_us, bound=1_000),
        Aim(name="p99 at 100,000 messages/s, us", figure=rate.p99_us, bound=5_000),
        Aim(name="p50 from tick to wire when quiet, us", figure=quiet.p50_us, bound=150),
        Aim(name="an order's p50 over the socket, us less than REST", figure=round(faster_us),
            bound=60, at_least=True),
        Aim(name=f"bytes of each of {IDLE:,} idle connections", figure=round(idle), bound=25_000),
        Aim(name="REST p99 beside 500 x 100 ticks/s, times idle",
            figure=round(by.loaded_p99_ms / by.idle_p99_ms, 2), bound=2),
    ]  # fmt: skip
    peer = row_of(rows, CENTRIFUGO, 100, 0)
    if peer is not None:
        times = round(flood.per_core_s / peer.per_core_s, 2)
        name = f"messages a core-second, times {CENTRIFUGO}"
        aims.insert(1, Aim(name=name, figure=times, bound=1.5, at_least=True))
    return aims


def available(folder: Path) -> tuple[str, ...]:
    """The servers that can run here; says which cannot, and why."""
    found = []
    for name in SERVERS:
        try:
            with target(name, folder):
                found.append(name)
        except Missing as reason:
            console.print(f"without {name}: {reason}", highlight=False)
    return tuple(found)


def main() -> None:
    """Measure, print, write bench/results/stream.json."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each load (1)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds, medians count (2)")
    parser.add_argument("--idle", type=int, default=IDLE, help=f"idle connections ({IDLE})")
    parser.add_argument("--only", action="store_true", help="our own server, without peers")
    options = parser.parse_args()
    machine, rounds = host(), list[list[Row]]()
    with tempfile.TemporaryDirectory(prefix=".run-", dir=BENCH) as name:
        folder = Path(name)
        servers = (OURS,) if options.only else available(folder)
        with ours(folder) as on:
            idle = idle_bytes(on, options.idle)
        for _ in range(options.rounds):
            rounds.append(one_round(options.seconds, servers, folder))
        with ours(folder) as on:
            rest, socket_ = orders(on, options.seconds * 3)
        with ours(folder) as on:
            by = beside(on, options.seconds * 4)
    rows = summarise(rounds)
    aims = aims_of(rows, rest, socket_, by, idle)
    table("fan-out", ("", "subs", "ticks/s", "msg/s", "per core-s", "us/msg", "p50 us", "p99 us"), [
        (r.server, r.subscribers, r.ticks_per_s or "flood", r.messages_per_s, r.per_core_s,
         r.cpu_us, r.p50_us, r.p99_us) for r in rows
    ])  # fmt: skip
    console.print(f"orders: REST {rest.p50_ms:.3f} ms, socket {socket_.p50_ms:.3f} ms p50")
    show_aims(aims)
    settings = {"seconds": options.seconds, "rounds": options.rounds, "idle": options.idle,
                "centrifugo": CENTRIFUGO_VERSION, "ws": WS_VERSION}  # fmt: skip
    figures = {"settings": settings, "rows": rows, "rest_order": rest, "socket_order": socket_,
               "beside": by, "idle_bytes": round(idle), "aims": aims_json(aims)}  # fmt: skip
    path = write("stream", machine, figures)
    console.print(f"\nwritten: {path.relative_to(ROOT)}", highlight=False)


if __name__ == "__main__":
    main()
