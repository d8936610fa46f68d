"""Where the CPU of an order goes: functions and lines of the event loop's thread, in us per order.

A sampler inside the server: a timer on the process's CPU time interrupts the main thread, and each
sample weighs the CPU that this thread has used since the last one, so that the journal's writer
thread is not charged to whatever the loop was doing. Every thread's CPU and the garbage
collector's stand beside it. The sampler costs a few per cent: compare shares, not totals.
"""

import argparse
import gc
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

import msgspec
import psutil
from _client import BODIES, Plan, Result, run
from _host import ROOT, SERVER_CORE, console, core_of, table
from _process import ServerProcess
from orders import DEMO, WARM_UP_S

SAMPLE_S = 0.001  # the kernel rounds it up to its own tick
EVERYTHING = 0.98

EXAMPLE = """\
example:
  $ python bench/_profile.py --seconds 5 --connections 16 --top 30
"""


class Samples(msgspec.Struct):
    """Seconds of the main thread by line, by function, and by function with what it called."""

    lines: dict[str, float]
    functions: dict[str, float]
    inclusive: dict[str, float]
    gc_s: float


# --- inside the server -------------------------------------------------------------------------


class Sampler:
    """Charges the main thread's CPU to the frames that it is found in, from SIGUSR1 on."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, float] = defaultdict(float)
        self._functions: defaultdict[str, float] = defaultdict(float)
        self._inclusive: defaultdict[str, float] = defaultdict(float)
        self._used_s = self._gc_s = self._gc_from_s = 0.0
        signal.signal(signal.SIGUSR1, lambda _signal, _frame: self._start())

    def _start(self) -> None:
        gc.callbacks.append(self._on_gc)
        self._used_s = time.thread_time()
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)

    def _on_gc(self, phase: str, _info: dict[str, int]) -> None:
        now_s = time.thread_time()
        if phase == "start":
            self._gc_from_s = now_s
        else:
            self._gc_s += now_s - self._gc_from_s

    def _take(self, _signal: int, frame: FrameType | None) -> None:
        now_s = time.thread_time()
        spent_s, self._used_s = now_s - self._used_s, now_s
        if frame is None:
            return
        self._lines[f"{_name(frame)}:{frame.f_lineno}"] += spent_s
        self._functions[_name(frame)] += spent_s
        names = set()
        step: FrameType | None = frame
        while step is not None:
            names.add(_name(step))
            step = step.f_back
        for name in names:
            self._inclusive[name] += spent_s

    def result(self) -> Samples:
        """What was charged so far; ends the sampling."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        return Samples(self._lines, self._functions, self._inclusive, self._gc_s)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])} {code.co_qualname}"


def serve(samples: Path, arguments: list[str]) -> None:
    """Run the server's command under a sampler; the samples are written when it ends."""
    from fxsocket_server.cli import main as command

    sampler = Sampler()
    sys.argv = ["fxsocket-server", *arguments]
    try:
        command()
    finally:
        samples.write_bytes(msgspec.json.encode(sampler.result()))


# --- outside -----------------------------------------------------------------------------------


def profile(connections: int, seconds: float, *, keyed: bool) -> tuple[Result, Samples, list[str]]:
    """Load a sampled server; the texts tell each thread's CPU per order."""
    with tempfile.TemporaryDirectory(prefix=".run-", dir=ROOT / "bench") as name:
        folder = Path(name)
        command = (sys.executable, __file__, "--serve", folder / "samples", *DEMO)
        with ServerProcess(
            (*command, "--data", folder / "data"), core_of(SERVER_CORE), folder / "log"
        ) as server:
            plan = Plan(
                url=server.ready.rest + "/orders",
                bodies=BODIES,
                connections=connections,
                seconds=seconds,
                api_key=server.ready.api_key,
                keyed=keyed,
            )
            run(msgspec.structs.replace(plan, seconds=WARM_UP_S))
            process = psutil.Process(server.pid)
            process.send_signal(signal.SIGUSR1)
            before = _thread_cpu(process)
            result = run(plan)
            threads = [
                f"{'main' if thread == server.pid else 'thread'} {used_us:.0f}"
                for thread, used in _thread_cpu(process).items()
                if (used_us := (used - before.get(thread, 0.0)) / result.answers * 1e6) >= 1
            ]
        samples = msgspec.json.decode((folder / "samples").read_bytes(), type=Samples)
    return result, samples, threads


def _thread_cpu(process: psutil.Process) -> dict[int, float]:
    return {t.id: t.user_time + t.system_time for t in process.threads()}


def show(samples: Samples, answers: int, top: int) -> None:
    """Print what costs most, in us per order and as a share of the main thread."""
    total_s = sum(samples.lines.values())
    parts = (
        ("by function", samples.functions),
        ("by function with all that it calls", samples.inclusive),
        ("by line", samples.lines),
    )
    for title, costs in parts:
        # What holds everything (the loop, the command line) tells nothing.
        telling = [item for item in costs.items() if item[1] < EVERYTHING * total_s]
        ranked = sorted(telling, key=lambda item: -item[1])
        table(
            f"\nMain thread {title}",
            ("", "us per order", "%"),
            [
                (name, f"{spent / answers * 1e6:.1f}", f"{100 * spent / total_s:.1f}")
                for name, spent in ranked[:top]
            ],
        )


def main() -> None:
    """Profile the order path and print its hot spots."""
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the load (5)")
    parser.add_argument("--connections", type=int, default=16, help="connections (16)")
    parser.add_argument("--keyed", action="store_true", help="give each order its own key")
    parser.add_argument("--top", type=int, default=40, help="rows of each table (40)")
    options = parser.parse_args()
    result, samples, threads = profile(options.connections, options.seconds, keyed=options.keyed)
    show(samples, result.answers, options.top)
    console.print(
        f"\n{result.answers:,} orders, {result.refusals} refused; CPU us per order: "
        f"{', '.join(threads)}; of it garbage collection "
        f"{samples.gc_s / result.answers * 1e6:.1f}",
        highlight=False,
    )


if __name__ == "__main__":
    main()
