"""One client that places market orders over the stream, each when the last has been answered.

`measure(url, api_key, seconds)` runs it in a process on the client's core, with as little between
it and the socket as `_client.py` has over HTTP.
"""

import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import msgspec
from _drain import upgrade
from _host import CLIENT_CORE, core_of
from _process import pinned

SIDES = ("BUY", "SELL")


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Answers and their times in ms, from first byte sent to last byte received."""

    answers: int
    p50_ms: float
    p99_ms: float


def measure(url: str, api_key: str, seconds: float) -> Latency:
    """Run it in a new process."""
    with pinned(core_of(CLIENT_CORE)):
        command = (sys.executable, __file__, url, api_key, str(seconds))
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Latency)


class _Stream:
    def __init__(self, url: str, api_key: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname or "127.0.0.1", where.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(upgrade(url, api_key).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(1)
        self._unread = b""

    def send(self, text: bytes) -> None:
        """A text message, masked with zeros."""
        size = len(text)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self._socket.sendall(b"\x81" + length + bytes(4) + text)

    def result(self) -> bytes:
        """The next answer; whatever else comes is left out."""
        while True:  # until the answer has come, or the server is gone
            frame = self._frame()
            if frame.startswith(b'{"type":"result"'):
                return frame
            if frame.startswith(b'{"type":"error"') or b'"type":"error"' in frame:
                sys.exit(f"void: the stream refused: {frame.decode()}")

    def _frame(self) -> bytes:
        while True:  # until a frame is whole
            data = self._unread
            if len(data) >= 4:
                size, head = data[1], 2
                if size == 126:
                    size, head = int.from_bytes(data[2:4], "big"), 4
                if len(data) >= head + size:
                    self._unread = data[head + size :]
                    return data[head : head + size]
            more = self._socket.recv(65_536)
            if not more:
                sys.exit("void: the server closed the stream")
            self._unread += more


def main() -> None:
    """Place orders until the time is up."""
    url, api_key, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    stream, times, end = _Stream(url, api_key), list[int](), time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        body = (
            b'{"action":"order.place","id":"%d","order":'
            b'{"symbol":"EURUSD","type":"%b","volume":0.01}}' % (number, SIDES[number % 2].encode())
        )
        begun = time.perf_counter_ns()
        stream.send(body)
        stream.result()
        times.append(time.perf_counter_ns() - begun)
        number += 1
    times.sort()
    latency = Latency(
        answers=len(times),
        p50_ms=times[len(times) // 2] / 1e6,
        p99_ms=times[len(times) * 99 // 100] / 1e6,
    )
    sys.stdout.buffer.write(msgspec.json.encode(latency))


if __name__ == "__main__":
    main()
