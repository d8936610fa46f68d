"""What a journal of a million events costs: to verify and replay, to open, to list from.

A lane on its own journal trades until the events are there: market orders that open and close, each
durable. Then `fxsocket-server verify-journal` replays all of it in a process of its own on one
core, and the journal is opened and listed from as a server does it. On a machine that others use,
CPU seconds count, not the wall's.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec
from _host import ROOT, SERVER_CORE, Aim, aims_json, console, core_of, host, show_aims, table, write
from _process import pinned
from rich.progress import Progress

from fxsocket_server.bootstrap.accounts import connect_sim, load_profile, new_account
from fxsocket_server.bootstrap.crash import never
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.changes import OrderQuery
from fxsocket_server.gateway.commands import Command, fingerprint_of
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.orders.place import PlaceOrder
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.model.enums import OrderType
from fxsocket_server.settings import Settings
from fxsocket_server.storage.journal.sqlite import SqliteJournal

CALLERS = 64
ACCOUNT = "acc_bench"
READS = 50
COMMAND = ROOT / ".venv" / "bin" / "fxsocket-server"

EXAMPLE = """\
example:
  $ python bench/journal.py --events 100_000 --journal /tmp/journal.db
"""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """One run of verify-journal: wall and CPU time, and the most memory that it held."""

    seconds: float
    cpu_s: float
    peak_mb: float


class OpenGate:
    """A feed gate without readers."""

    def held(self, account_id: str, lossless: bool) -> bool:
        """Never."""
        return False

    async def wait(self, account_id: str, lossless: bool) -> None:
        """At once."""

    async def first_reader(self, account_id: str) -> None:
        """At once."""


class Trader:
    """Opens and closes positions in a lane of its own, many at once."""

    def __init__(self, path: Path) -> None:
        self._clock = SystemClock()
        self._ids = IdFactory(os.urandom, self._clock.wall_ms)
        self.journal = SqliteJournal(path, asyncio.get_running_loop())
        settings, profile = Settings(balance=1e9, leverage=1000), load_profile("standard")
        account = new_account(settings, profile, ACCOUNT, "usr_bench", 7, 0)
        state = self.journal.open_account(ACCOUNT, "usr_bench", "bench")
        self._connector = connect_sim(
            account, settings, profile, [], state, OpenGate(), self._clock
        )
        self._lane = Lane(
            account, self._connector, self.journal, InProcessBus(_raise), self._clock, self._ids,
            state, never,
        )  # fmt: skip

    async def trade(self, events: int, progress: Callable[[int], None]) -> None:
        """Trade until the log holds so many events."""
        now = self._connector.time_ms()
        await self._lane.on_facts(self._connector.broker.deposit(10**11, now, "Deposit"), now)
        await self._connector.start(self._lane)
        callers = [self._caller(events, number) for number in range(CALLERS)]
        watch = asyncio.create_task(self._watch(progress))
        await asyncio.gather(*callers)
        watch.cancel()
        await self._connector.stop()
        self.journal.close()

    async def _watch(self, progress: Callable[[int], None]) -> None:
        while True:  # until the trading is over
            await asyncio.sleep(0.5)
            progress(self._lane.book.head_seq)

    async def _caller(self, events: int, number: int) -> None:
        side = OrderType.BUY if number % 2 else OrderType.SELL
        request = OrderRequest(symbol="EURUSD", type=side, volume=0.01, magic=number)
        while self._lane.book.head_seq < events:
            order_id = self._ids.make("ord_")
            await self._run("order.place", order_id, PlaceOrder(request))
            order = self.journal.order(ACCOUNT, order_id)
            assert order is not None
            assert order.position_id is not None
            await self._run("position.close", order.position_id, ClosePosition(None, None))

    async def _run(self, kind: str, subject_id: str, verb: Verb) -> None:
        command = Command(
            id=self._ids.make("req_"),
            kind=kind,
            subject_id=subject_id,
            fingerprint=fingerprint_of(kind, subject_id, None),
            key=None,
            wait_ms=30_000,
        )
        answer = await self._lane.run(command, verb)
        assert answer.status == 200, answer.body


def _raise(_topic: str, error: Exception) -> None:
    raise error


def build(path: Path, events: int) -> float:
    """Make the journal; seconds that it took."""
    started = time.perf_counter()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("trading", total=events)

        async def trade() -> None:
            await Trader(path).trade(events, lambda head: bar.update(task, completed=head))

        asyncio.run(trade())
    return time.perf_counter() - started


def verify(path: Path) -> Verified:
    """Run verify-journal on one core; it must find the journal intact."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with pinned(core_of(SERVER_CORE)):
        command = [str(COMMAND), "verify-journal", "--data", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"verify-journal ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Verified(seconds=seconds, cpu_s=cpu_s, peak_mb=after.ru_maxrss / 1024)


async def read(path: Path) -> dict[str, float]:
    """Milliseconds of what a server asks of its journal, medians of many."""
    started = time.perf_counter()
    journal = SqliteJournal(path, asyncio.get_running_loop())
    journal.open_account(ACCOUNT, "usr_bench", "bench")
    opened = (time.perf_counter() - started) * 1000
    page = OrderQuery(account_id=ACCOUNT, limit=100)
    replace = msgspec.structs.replace
    asked: dict[str, Callable[[], object]] = {
        "newest 100 orders": lambda: journal.orders(page),
        "newest 100 orders of a magic": lambda: journal.orders(replace(page, magic=7)),
        "orders of a symbol never traded": lambda: journal.orders(replace(page, symbol="XAUUSD")),
        "orders that rest": lambda: journal.orders(replace(page, statuses=("PLACED",))),
        "deals of a magic": lambda: journal.deals(replace(page, magic=7)),
        "100 events in the middle": lambda: journal.events(ACCOUNT, 1_000, 100),
    }
    figures = {"open the account": opened}
    figures |= {name: _median_ms(what) for name, what in asked.items()}
    journal.close()
    return figures


def _median_ms(what: Callable[[], object]) -> float:
    times = []
    for _ in range(READS):
        started = time.perf_counter()
        what()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


def main() -> None:
    """Measure, print, write bench/results/journal.json."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--journal", type=Path, help="keep the journal here; one that is there is measured again"
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the log")
    options = parser.parse_args()
    machine = host()
    with tempfile.TemporaryDirectory(dir=ROOT / "bench") as folder:
        path = options.journal or Path(folder) / "journal.db"
        built_s = None if path.exists() else build(path, options.events)
        verified = verify(path)
        reads = asyncio.run(read(path))
        megabytes = path.stat().st_size / 1024**2
    per_s = options.events / verified.cpu_s
    columns = ("events", "seconds", "CPU s", "events/CPU s", "peak MB", "journal MB")
    row = (verified.seconds, verified.cpu_s, per_s, verified.peak_mb, megabytes)
    table("Verify and replay", columns, [(f"{options.events:,}", *row)])
    table("\nReads", ("", "ms"), list(reads.items()))
    scale = 1_000_000 / options.events
    aims = [Aim(name="s to verify 1 M events", figure=verified.seconds * scale, bound=60)]
    show_aims(aims)
    figures = {
        "settings": {"events": options.events, "callers": CALLERS},
        "aims": aims_json(aims),
        "verify": verified,
        "events_per_cpu_s": per_s,
        "journal_mb": megabytes,
        "build_s": built_s,
        "reads_ms": reads,
    }
    console.print(f"\n{write('journal', machine, figures)}")


if __name__ == "__main__":
    main()
