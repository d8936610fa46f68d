"""Thousands of bad messages and frames on a real stream: nobody else notices, and it goes on."""

import base64
import json
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from fxsocket_server.channels.close_codes import may_close
from fxsocket_server.testkit.process import ServerProcess

from ..api.contract import Contract
from .garbage import Garbage

WATCHDOG_S = 30
LOOK_EVERY = 250
FIN, TEXT, CLOSE, PING = 0x80, 1, 8, 9
UPGRADE_HEADERS = (
    b"Upgrade", b"Connection", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", b"Authorization",
    b"Host", b"Content-Length", b"Sec-WebSocket-Extensions",
)  # fmt: skip
ORDER: dict[str, object] = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "sl": 1.0}
GOOD: tuple[dict[str, object], ...] = (
    {"action": "subscribe", "symbols": ["EURUSD"], "channels": ["ticks", "deals"]},
    {"action": "unsubscribe", "symbols": ["EURUSD"]},
    {"action": "resume", "after": 0, "epoch": "x"},
    {"action": "ack", "n": 1},
    {"action": "auth", "api_key": "test-key"},
    {"action": "list"},
    {"action": "order.modify", "id": "m", "order_id": "ord_0", "patch": {"tp": 1.2}},
    {"action": "order.cancel", "id": "c", "order_id": "ord_0", "volume": 0.1, "deviation": 5},
    {"action": "order.batch", "id": "b", "orders": [{"symbol": "EURUSD"}]},
    {"action": "position.close", "id": "p", "position_id": "pos_0", "idempotency_key": "k"},
    {"action": "position.modify", "id": "q", "position_id": "pos_0", "patch": {"sl": None}},
    {"action": "position.close_by", "id": "y", "position_id": "pos_0", "by": "pos_1"},
    {"action": "position.reverse", "id": "v", "position_id": "pos_0", "timeout_ms": 100},
    {"action": "position.close_all", "id": "a", "symbol": "GBPUSD", "side": "SELL", "magic": 7},
    {"action": "ping"},
)


def frame(first: int, payload: bytes, *, mask: bool = True, size: int | None = None) -> bytes:
    """A client's frame; `size` is the length that it claims."""
    claimed = len(payload) if size is None else size
    bit = 0x80 if mask else 0
    if claimed < 126:
        head = bytes((first, bit | claimed))
    elif claimed < 65_536:
        head = bytes((first, bit | 126)) + claimed.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + claimed.to_bytes(8, "big")
    return head + (bytes(4) if mask else b"") + payload


class Socket:
    """A client on a bare socket, upgraded already."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port), WATCHDOG_S)
        key = base64.b64encode(bytes(16)).decode()
        self.write(
            f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Authorization: Bearer test-key\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        while self._file.readline() != b"\r\n":  # to the end of the answer's head
            pass

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Send no more; the server may have ended first."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Go."""
        self._file.close()
        self._socket.close()

    def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; EOFError at the end."""
        head = self._read(2)
        assert head[0] & 0x70 == 0, "the server set a reserved bit"
        assert head[1] < 0x80, "the server masked"
        size = head[1]
        if size > 125:
            size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
        return head[0] & 15, self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def heard(self, until_id: str | None = None) -> tuple[list[Any], int | None, bool]:
        """Frames up to a pong, or to the end: what they say, the close code, and whether it ended.

        Every one of them must be JSON with a type.
        """
        said: list[Any] = []
        try:
            while True:  # until the pong, the close or the end
                opcode, payload = self.frame()
                if opcode == CLOSE:
                    return said, int.from_bytes(payload[:2], "big") if payload else None, True
                if opcode == TEXT:
                    said.append(json.loads(payload))
                    assert isinstance(said[-1]["type"], str)
                    if said[-1]["type"] == "pong" and said[-1]["id"] == until_id:
                        return said, None, False
        except (EOFError, ConnectionError):
            return said, None, True


# --- what is sent ----------------------------------------------------------------------------


class BadFrames:
    """Draws messages that are wrong, and frames that are."""

    def __init__(self, rng: Random, contract: Contract) -> None:
        words = (*contract.words, "action", "id", "channels", "after", "epoch", "n", "pace")
        self._garbage = Garbage(rng, words)
        self._rng = rng

    def message(self) -> bytes:
        """A message that is wrong in some way, in a frame that is not."""
        if self._garbage.chance(0.4):
            return frame(FIN | TEXT, self._order())
        return frame(FIN | TEXT, self._garbage.spoilt(self._rng.choice(GOOD)))

    def _order(self) -> bytes:
        return b'{"action":"order.place","id":"o","order":' + self._garbage.spoilt(ORDER) + b"}"

    def frames(self) -> bytes:
        """Frames against the protocol, one to five."""
        lies: tuple[Callable[[], bytes], ...] = (
            self._unmasked, self._reserved, self._control, self._length, self._close, self._mixed,
            self._flood, self._noise,
        )  # fmt: skip
        return b"".join(self._rng.choice(lies)() for _ in range(self._rng.randint(1, 5)))

    def _payload(self, most: int = 200) -> bytes:
        return self._garbage.noise(most)

    def _unmasked(self) -> bytes:
        return frame(FIN | self._rng.randrange(16), self._payload(), mask=False)

    def _reserved(self) -> bytes:
        """Reserved bits, reserved opcodes, binary frames."""
        return frame(self._rng.choice((FIN, 0)) | self._rng.randrange(128), self._payload())

    def _control(self) -> bytes:
        """Control frames that are fragmented or too long."""
        fin = self._rng.choice((FIN, 0))
        return frame(fin | self._rng.choice((8, 9, 10)), self._payload(300))

    def _length(self) -> bytes:
        """A length that is a lie, or is not written in its shortest form."""
        size = self._rng.choice((3, 130, 70_000, 2**31, 2**40, 2**63, 2**64 - 1))
        if self._rng.random() < 0.3:
            return bytes((FIN | TEXT, 0xFF)) + (4).to_bytes(8, "big") + bytes(4) + b"ping"
        return frame(FIN | TEXT, self._payload(100), size=size)

    def _close(self) -> bytes:
        """A close frame with a code or reason that none may have."""
        code = self._rng.choice((0, 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535, 1000))
        whole = code.to_bytes(2, "big") + self._rng.choice((b"", b"\xff\xfe", b"bye", b"x" * 123))
        return frame(FIN | CLOSE, self._rng.choice((whole, whole[:1], b"")))

    def _mixed(self) -> bytes:
        """Fragments of two messages, or one that never ends."""
        text = frame(TEXT, b'{"action":')
        return text + self._rng.choice(
            (text, frame(FIN, b'"ping"'), frame(0, b""), frame(FIN, b""))
        )

    def _flood(self) -> bytes:
        return frame(FIN | PING, self._payload(125)) * self._rng.randint(1, 200)

    def _noise(self) -> bytes:
        return self._payload(2_000)

    def upgrade(self) -> bytes:
        """An upgrade request that is none."""
        lines = b"".join(
            self._rng.choice(UPGRADE_HEADERS) + b": " + self._garbage.header_value() + b"\r\n"
            for _ in range(self._rng.randint(0, 8))
        )
        path = self._rng.choice((b"/v1/stream", b"/", b"/v1/stream?ticket=x", b"*", b"/\xff"))
        method = self._rng.choice((b"GET", b"POST", b"PRI", b"get", b""))
        end = self._rng.choice((b"\r\n", b"", b"\n"))
        return method + b" " + path + b" HTTP/1.1\r\n" + lines + end


class Rounds:
    """Sends bad input of each kind and looks after the server."""

    def __init__(self, server: ServerProcess, contract: Contract, rng: Random) -> None:
        self._server, self._url, self._rng = server, server.addresses.stream, rng
        self._bad = BadFrames(rng, contract)
        self._socket: Socket | None = None
        self._count = 0
        self.seen: Counter[str] = Counter()

    def close(self) -> None:
        """End the connection that is open."""
        if self._socket is not None:
            self._socket.close()

    def run(self, count: int) -> None:
        """Send so many bad inputs."""
        kinds = (self._message, self._frames, self._upgrade)
        for _ in range(count):
            self._rng.choices(kinds, (14, 5, 1))[0]()
            self._count += 1
            if self._count % LOOK_EVERY == 0:
                self._look()
        self._look()

    def _message(self) -> None:
        """Bad messages come one after another on one connection, which lives on."""
        self._socket = self._socket or Socket(self._url)
        name, sent = f"p{self._count}", self._bad.message()
        self._socket.write(sent + frame(FIN | TEXT, b'{"action":"ping","id":"%s"}' % name.encode()))
        said, code, ended = self._socket.heard(until_id=name)
        self._judge(sent, said, code)
        if ended:
            assert code is not None, ("a bad message ended the connection without a word", sent)
            self._socket.close()
            self._socket = None

    def _frames(self) -> None:
        wire, sent = Socket(self._url), self._bad.frames()
        try:
            wire.write(sent)
            wire.end()
            said, code, _ = wire.heard()
        except ConnectionError:
            return  # it was dropped before it was read whole
        finally:
            wire.close()
        self._judge(sent, said, code)

    def _upgrade(self) -> None:
        parts = urlsplit(self._url)
        assert parts.hostname is not None
        address = (parts.hostname, parts.port or 0)
        with socket.create_connection(address, WATCHDOG_S) as wire:
            try:
                wire.sendall(self._bad.upgrade())
                wire.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: wire.recv(65_536), b""))
            except OSError:  # cut off before it had said everything
                return
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 101 ")), answer

    def _judge(self, sent: bytes, said: list[Any], code: int | None) -> None:
        assert code is None or may_close(code), (sent[:500], code)
        self.seen[f"closed {code}"] += code is not None
        for told in said:
            if told["type"] == "error":
                assert told["code"] not in ("unavailable", "journal_unavailable"), (sent, told)
                self.seen[told["code"]] += 1

    def _look(self) -> None:
        """Another client is served as if nothing had been."""
        key = {"Authorization": "Bearer test-key"}
        with connect(self._url, additional_headers=key, compression=None, proxy=None) as client:
            client.send('{"action":"subscribe","symbols":["EURUSD"]}')
            kinds: set[str] = set()
            while not kinds >= {"subscribed", "snapshot"}:  # each wait has its watchdog
                kinds.add(json.loads(client.recv(WATCHDOG_S))["type"])
            # Among so many frames some are orders; who may see them hears of them unasked.
            assert kinds <= {"subscribed", "snapshot", "order_update", "tick"}
        assert self._server.running


def run(server: ServerProcess, contract: Contract, rng: Random, count: int) -> Counter[str]:
    """Send so many bad inputs; what was said to them."""
    rounds = Rounds(server, contract, rng)
    try:
        rounds.run(count)
    finally:
        rounds.close()
    return rounds.seen


@pytest.fixture(scope="session")
def contract() -> Contract:
    """spec/openapi.yaml, read once."""
    return Contract()


def test_five_thousand_bad_frames(server: ServerProcess, contract: Contract, rng: Random) -> None:
    seen = run(server, contract, rng, 5_000)
    told = {"malformed_json", "validation_error", "invalid_symbol", "closed 4506", "closed 1002"}
    assert told <= seen.keys(), seen


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_hundred_thousand_bad_frames(
    server: ServerProcess, contract: Contract, rng: Random
) -> None:
    run(server, contract, rng, 100_000)
