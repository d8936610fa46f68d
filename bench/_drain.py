"""Subscribers on the client's core: the C program `_drain.c`, compiled when it has changed."""

import hashlib
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec
from _host import CLIENT_CORE, core_of
from _peers import cache_folder
from _process import pinned

SOURCE = Path(__file__).with_name("_drain.c")
MARK = '"bid":'


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What all subscribers together received; latencies from tick to arrival, in microseconds."""

    ticks: int
    frames: int
    bytes: int
    wall_s: float
    cpu_s: float
    least: int
    most: int
    p50_us: int
    p99_us: int


def program() -> Path:
    """The compiled client."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    path = cache_folder() / f"drain-{digest}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        compile_ = ("gcc", "-O2", "-D_GNU_SOURCE", "-o", str(path), str(SOURCE))
        subprocess.run(compile_, check=True)
    return path


def upgrade(url: str, api_key: str | None) -> str:
    """The request that opens a WebSocket."""
    where = urlsplit(url)
    lines = [
        f"GET {where.path or '/'} HTTP/1.1",
        f"Host: {where.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    if api_key is not None:
        lines.append(f"Authorization: Bearer {api_key}")
    return "\r\n".join(lines) + "\r\n\r\n"


class Drain:
    """So many connections to a stream; `subscribe` is what each sends first."""

    def __init__(
        self, url: str, connections: int, seconds: float, subscribe: str, api_key: str | None = None
    ) -> None:
        command = (
            str(program()), str(urlsplit(url).port), str(connections), str(seconds), MARK,
            upgrade(url, api_key), subscribe,
        )  # fmt: skip
        with pinned(core_of(CLIENT_CORE)):
            self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._line()

    def _line(self) -> bytes:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            sys.exit("void: the drain client ended early")
        return line

    def measure(self) -> Drained:
        """Count for the given time."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(b"go\n")
        self._popen.stdin.flush()
        return msgspec.json.decode(self._line(), type=Drained)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(30)
