"""An HTTP/1.1 load client in a process of its own, pinned to the client's core.

Each connection sends its next request when the last answer has arrived whole, or, with `per_s`,
when the clock says so (an open loop): then a latency counts from the moment at which the request
was due, so that a server that stalls is charged for all who would have come meanwhile. Requests are
bytes made beforehand, answers are not parsed beyond status and Content-Length, so that on a shared
machine the client costs little beside the server (its own CPU is reported with the figures).

`run(plan)` starts the process; run as a script it reads a Plan from standard input and writes a
Result to standard output, both JSON.
"""

import itertools
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
from _host import CLIENT_CORE, core_of
from _process import pinned

SILENCE_S = 10.0  # a server that answers nobody for this long is stuck
RECEIVE_BYTES = 65_536
BODIES = tuple(f'{{"symbol":"EURUSD","type":"{side}","volume":0.01}}' for side in ("BUY", "SELL"))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send where; `bodies` are sent in turn, `keyed` gives each an Idempotency-Key."""

    url: str
    bodies: tuple[str, ...]
    connections: int
    seconds: float
    api_key: str | None = None
    keyed: bool = False
    per_s: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and times of one run; latencies in ms from first byte sent to last byte received."""

    answers: int
    refusals: int
    first_refusal: str
    wall_s: float
    cpu_s: float
    p50_ms: float
    p99_ms: float


def run(plan: Plan) -> Result:
    """Run a plan in a new process on the client's core."""
    with pinned(core_of(CLIENT_CORE)):
        done = subprocess.run(
            (sys.executable, __file__),
            input=msgspec.json.encode(plan),
            stdout=subprocess.PIPE,
            check=True,
        )
    return msgspec.json.decode(done.stdout, type=Result)


# --- the client process ------------------------------------------------------------------------


class _Connection:
    """One keep-alive connection with at most one request under way."""

    __slots__ = ("partial", "sent_ns", "socket")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.partial = b""
        self.sent_ns = 0

    def send(self, request: bytes) -> None:
        """Send a request; small enough for the socket's buffer, so it goes whole."""
        self.sent_ns = time.perf_counter_ns()
        self.socket.sendall(request)

    def send_due(self, request: bytes, due_ns: int) -> None:
        """Send a request that was due at a moment, from which its latency counts."""
        self.send(request)
        self.sent_ns = due_ns

    def receive(self) -> bytes | None:
        """The answer, once it is whole."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            sys.exit("the server closed a connection")
        data = self.partial + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or len(data) < head + 4 + _body_bytes(data, head):
            self.partial = data
            return None
        self.partial = b""
        return data


def _body_bytes(answer: bytes, head: int) -> int:
    start = answer.index(b"\r\ncontent-length: ", 0, head) + 18
    return int(answer[start : answer.index(b"\r\n", start)])


def _requests(plan: Plan) -> Iterator[bytes]:
    """The plan's requests in turn, without end."""
    where = urlsplit(plan.url)
    lines = [f"POST {where.path or '/'} HTTP/1.1", f"Host: {where.netloc}"]
    if plan.api_key is not None:
        lines.append(f"Authorization: Bearer {plan.api_key}")
    lines.append("Content-Type: application/json")
    head = "\r\n".join(lines).encode()
    tails = [
        b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for body in map(str.encode, plan.bodies)
    ]
    if not plan.keyed:
        return itertools.cycle([head + tail for tail in tails])
    key = head + b"\r\nIdempotency-Key: " + os.urandom(8).hex().encode() + b"-%d"
    pairs = zip(itertools.count(), itertools.cycle(tails), strict=False)
    return (key % number + tail for number, tail in pairs)


class _Loop:
    """All connections of a plan on one epoll."""

    def __init__(self, plan: Plan) -> None:
        where = urlsplit(plan.url)
        self._requests = _requests(plan)
        self._poll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        for _ in range(plan.connections):
            connection = _Connection(where.hostname or "127.0.0.1", where.port or 80)
            self._by_fd[connection.socket.fileno()] = connection
            self._poll.register(connection.socket, select.EPOLLIN)
        self._latencies: list[int] = []
        self._refused: list[bytes] = []

    def run(self, seconds: float) -> Result:
        """Send until the time is up, then wait for the answers that are still out."""
        begun_ns, begun_cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        end_ns = begun_ns + int(seconds * 1e9)
        out = len(self._by_fd)
        for connection in self._by_fd.values():
            connection.send(next(self._requests))
        while out:
            ready = self._poll.poll(SILENCE_S)
            if not ready:
                sys.exit(f"no answer for {SILENCE_S:g} s; {out} requests are out")
            for fd, _ in ready:
                if self._answered(fd, end_ns):
                    out -= 1
        wall_s = (time.perf_counter_ns() - begun_ns) / 1e9
        return self._result(wall_s, (time.process_time_ns() - begun_cpu_ns) / 1e9)

    def run_open(self, seconds: float, per_s: float) -> Result:
        """Send at a fixed pace for a while, then wait for the answers that are still out."""
        begun_ns, begun_cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        idle, sent, count = list(self._by_fd), 0, int(seconds * per_s)
        while sent < count or len(idle) < len(self._by_fd):
            due_ns = begun_ns + int(sent / per_s * 1e9)
            now_ns = time.perf_counter_ns()
            if sent < count and idle and now_ns >= due_ns:
                self._by_fd[idle.pop()].send_due(next(self._requests), due_ns)
                sent += 1
                continue
            wait_s = max(0.0, (due_ns - now_ns) / 1e9) if sent < count and idle else SILENCE_S
            for fd, _ in self._poll.poll(wait_s):
                if self._answered(fd, 0):
                    idle.append(fd)
        wall_s = (time.perf_counter_ns() - begun_ns) / 1e9
        return self._result(wall_s, (time.process_time_ns() - begun_cpu_ns) / 1e9)

    def _answered(self, fd: int, end_ns: int) -> bool:
        """Take what has arrived on a connection; True when it has nothing more to ask."""
        connection = self._by_fd[fd]
        answer = connection.receive()
        if answer is None:
            return False
        now_ns = time.perf_counter_ns()
        self._latencies.append(now_ns - connection.sent_ns)
        if not answer.startswith(b"HTTP/1.1 200 "):
            self._refused.append(answer)
        if now_ns >= end_ns:
            return True
        connection.send(next(self._requests))
        return False

    def _result(self, wall_s: float, cpu_s: float) -> Result:
        times = sorted(self._latencies)
        return Result(
            answers=len(times),
            refusals=len(self._refused),
            first_refusal=self._refused[0].decode(errors="replace") if self._refused else "",
            wall_s=wall_s,
            cpu_s=cpu_s,
            p50_ms=times[len(times) // 2] / 1e6,
            p99_ms=times[len(times) * 99 // 100] / 1e6,
        )


def main() -> None:
    """Run the plan on standard input."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    loop = _Loop(plan)
    if plan.per_s is None:
        result = loop.run(plan.seconds)
    else:
        result = loop.run_open(plan.seconds, plan.per_s)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
