"""Real servers and terminals in processes of their own, for tests: started, killed, started again.

    with ServerProcess(folder) as server:            a demo server on free ports
        requests.get(server.addresses.rest + "/account", ...)

A TerminalProcess dials a server's bridge; its own ledger can be read while it runs.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from fxsocket_server.bootstrap import Addresses
from fxsocket_server.bootstrap.linking import NewLink
from fxsocket_server.bootstrap.terminal import LEDGER_FILE, TerminalNotice
from fxsocket_server.storage.terminal_ledger import TerminalLedger

START_S = 30  # a watchdog; a start takes about one second

T = TypeVar("T")


class OwnProcess:
    """One `fxsocket-server` command in a process of its own, that tells its state by JSON lines."""

    def __init__(
        self, log_path: Path, environment: dict[str, str] | None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.log_path = log_path
        self._environment = environment or {}
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    def _spawn(self, arguments: list[str], environment: dict[str, str] | None) -> None:
        assert self._process is None, "it runs already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._prefix, sys.executable, "-m", "fxsocket_server", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment, **(environment or {})},
            )

    def _line(self, kind: type[T]) -> T:
        """The next line that it prints; AssertionError shows its log when it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait(START_S)
            self._close()
            raise AssertionError(f"it ended with {code}:\n{self.log_path.read_text()}")
        return msgspec.json.decode(line, type=kind)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        self._end(signal.SIGKILL)

    def stop(self, timeout_s: float = 10) -> int:
        """Ctrl-C; returns the exit code."""
        return self._end(signal.SIGINT, timeout_s)

    def wait_dead(self, timeout_s: float = 30) -> int:
        """Wait for a process that ends by itself (a crash point)."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        self._close()
        return code

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals, timeout_s: float = 10) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(timeout_s)
        self._close()
        return code

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Kill what is still running of a process that was started before."""
        try:
            yield
        finally:
            self.__exit__(None, None, None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            self.kill()
        elif self._process is not None:
            self._close()


class ServerProcess(OwnProcess):
    """`fxsocket-server demo` on free ports; use it as a context manager.

    Started again it listens for terminals where it did before. `options` are further command-line
    options, `environment` further variables; `prefix` is a command that becomes the server, such
    as one that mounts a disk for it.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        api_key: str | None = "test-key",
        command: str = "demo",
        environment: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        super().__init__(data.parent / f"{data.name}.log", environment, prefix)
        self.data = data
        self._options = list(options)
        self._api_key = api_key
        self._command = command
        self._bridge_port = "0"

    def start(self, environment: dict[str, str] | None = None) -> Addresses:
        """Start the server and wait for its JSON line; AssertionError shows its log."""
        arguments = [
            self._command, "--data", str(self.data), "--port", "0", "--stream-port", "0",
            "--bridge-port", self._bridge_port, "--json", *self._options,
        ]  # fmt: skip
        if self._api_key is not None:
            arguments += ["--api-key", self._api_key]
        self._spawn(arguments, environment)
        self.addresses = self._line(Addresses)
        self._bridge_port = self.addresses.bridge.rpartition(":")[2]
        return self.addresses

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self


def link_terminal(data: Path, server: str, login: int) -> NewLink:
    """`fxsocket-server account add` on a data folder that no server has open."""
    done = subprocess.run(  # noqa: S603 - our own command
        [
            sys.executable, "-m", "fxsocket_server", "account", "add", "--data", str(data),
            "--server", server, "--login", str(login), "--json",
        ],
        capture_output=True,
        check=False,
        timeout=START_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=NewLink)


class TerminalProcess(OwnProcess):
    """`fxsocket-server sim-terminal` that dials a bridge; use it as a context manager."""

    def __init__(
        self,
        data: Path,
        bridge: str,
        token: str,
        *options: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        super().__init__(data.parent / f"{data.name}.log", environment)
        self.data = data
        self._arguments = [
            "sim-terminal", "--bridge", bridge, "--token", token, "--data", str(data), "--json",
            *options,
        ]  # fmt: skip

    def start(self, environment: dict[str, str] | None = None) -> TerminalNotice:
        """Start the terminal and wait until its market is open; it dials from then on."""
        self._spawn(self._arguments, environment)
        return self.wait("ready")

    def wait(self, event: str) -> TerminalNotice:
        """The next notice of a kind: `connected` or `disconnected`."""
        while (notice := self._line(TerminalNotice)).event != event:
            pass  # bounded by the test's watchdog
        return notice

    @contextmanager
    def ledger(self) -> Iterator[TerminalLedger]:
        """The terminal's own ledger: what its broker has executed, whoever was told of it."""
        ledger = TerminalLedger(self.data / LEDGER_FILE)
        try:
            yield ledger
        finally:
            ledger.close()

    def __enter__(self) -> "TerminalProcess":
        self.start()
        return self
