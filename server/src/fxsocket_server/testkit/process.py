"""A real server in its own process, for tests: started, killed and started again on one folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import msgspec

from fxsocket_server.bootstrap import Addresses

START_S = 30  # a watchdog; a start takes about one second


class ServerProcess:
    """`fxsocket-server demo` on free ports; use it as a context manager.

    `options` are further command-line options, `environment` further variables; `prefix` is a
    command that becomes the server, such as one that mounts a disk for it.
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
        self.data = data
        self._options = list(options)
        self._api_key = api_key
        self._command = command
        self._environment = environment or {}
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = data.parent / f"{data.name}.log"

    def start(self, environment: dict[str, str] | None = None) -> Addresses:
        """Start the server and wait for its JSON line; AssertionError shows its log."""
        assert self._process is None, "the server runs already"
        command = [
            *self._prefix,
            sys.executable, "-m", "fxsocket_server", self._command, "--data", str(self.data),
            "--port", "0", "--stream-port", "0", "--bridge-port", "0", "--json", *self._options,
        ]  # fmt: skip
        if self._api_key is not None:
            command += ["--api-key", self._api_key]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment, **(environment or {})},
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait(START_S)
            self._process = None
            raise AssertionError(f"the server ended with {code}:\n{self.log_path.read_text()}")
        self.addresses = msgspec.json.decode(line, type=Addresses)
        return self.addresses

    @property
    def pid(self) -> int:
        """The server's process id."""
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

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

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
