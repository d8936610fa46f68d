"""Servers under measurement: started pinned to a core, timed, their CPU and memory read, stopped.

A server prints one JSON line on standard output when it is ready; its address stands in `rest`.
Linux only: cores are pinned by the kernel's affinity, memory is read from /proc.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import psutil

READY_S = 30.0  # a server that is not ready by then never will be
STOP_S = 30.0
FREE_PORTS = ("--json", "--port", "0", "--stream-port", "0", "--bridge-port", "0")
RICH = ("--balance", "1e9", "--leverage", "1000")  # no order of a bench lacks margin


class Ready(msgspec.Struct, frozen=True):
    """The JSON line that a server prints; further members are not looked at."""

    rest: str
    api_key: str | None = None
    bridge: str = ""
    stream: str = ""


class Memory(msgspec.Struct, frozen=True):
    """Resident and proportional memory of a process tree, in bytes (from smaps_rollup)."""

    rss: int
    pss: int


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Let child processes started inside run on one core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class ServerProcess:
    """A running server; leaving the context stops it as Ctrl-C does."""

    def __init__(self, command: Sequence[str | Path], core: int, log: Path) -> None:
        self._log = log
        started = time.perf_counter()
        with pinned(core), log.open("wb") as errors:
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._process = psutil.Process(self._popen.pid)
        self.started = started
        self.ready = self._await_ready()

    def _await_ready(self) -> Ready:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            self._popen.wait(READY_S)
            sys.exit(f"the server ended at start:\n{self._log.read_text()}")
        return msgspec.json.decode(line, type=Ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    def cpu_s(self) -> float:
        """User and system time of the process tree so far, in seconds."""
        times = [process.cpu_times() for process in self._tree()]
        return sum(t.user + t.system for t in times)

    def memory(self) -> Memory:
        """Memory of the process tree."""
        parts = [process.memory_full_info() for process in self._tree()]
        return Memory(rss=sum(p.rss for p in parts), pss=sum(p.pss for p in parts))

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def kill(self) -> None:
        """End it at once, without a goodbye."""
        self._popen.kill()
        self._popen.wait(STOP_S)

    def stop(self) -> float:
        """Send SIGINT and wait for the end; returns the seconds it took, 0 if it ended before."""
        if self._popen.poll() is not None:
            return 0.0
        asked = time.perf_counter()
        self._popen.send_signal(signal.SIGINT)
        code = self._popen.wait(STOP_S)
        took = time.perf_counter() - asked
        if code not in (0, -signal.SIGINT):
            sys.exit(f"the server ended with code {code}:\n{self._log.read_text()}")
        return took
