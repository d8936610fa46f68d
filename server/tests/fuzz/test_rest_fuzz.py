"""Thousands of bad requests on a real server: never a 5xx, never a hang, and it trades on."""

import json
import socket
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from fxsocket_server.testkit.process import ServerProcess

from ..api.client import Api, body
from ..api.contract import Contract, Operation
from .garbage import Garbage

WATCHDOG_S = 30
KEY = b"Authorization: Bearer test-key\r\n"
LOOK_EVERY = 250  # bad inputs between two looks at whether the server is well
SMUGGLED = 4_242_424  # the magic number of orders that hide in another request's body
BODIES: dict[str, dict[str, object]] = {
    "OrderRequest": {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "sl": 1.0, "comment": "x"},
    "OrderPatch": {"sl": 1.0, "price": 1.05},
    "PositionPatch": {"sl": 1.0, "tp": 2.0},
}
HEADERS = (
    b"Idempotency-Key", b"X-Account-Id", b"Authorization", b"Content-Type", b"X-Request-Timeout-Ms",
    b"Accept", b"Content-Encoding", b"Expect", b"Host", b"Cookie", b"X-API-Key", b"Upgrade",
)  # fmt: skip


class Sent(Struct):
    """Bytes for one connection; `whole` ones are one request that must be answered once."""

    data: bytes
    whole: bool = True


class Answer(Struct):
    """One HTTP response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class BadRequests:
    """Draws requests that are wrong in body, query, path, headers or framing."""

    def __init__(self, rng: Random, contract: Contract) -> None:
        words = sorted(
            {name for s in contract.schemas.values() for name in s.get("properties", ())}
        )
        self._garbage = Garbage(rng, tuple(words))
        self._rng = rng
        self._operations = contract.operations
        self._kinds: dict[Callable[[], Sent], int] = {
            self._body: 8, self._query: 4, self._path: 2, self._header: 3, self._framing: 3,
            self._noise: 1,
        }  # fmt: skip

    def next(self) -> Sent:
        """A request."""
        return self._rng.choices(list(self._kinds), list(self._kinds.values()))[0]()

    def _operation(self, *, with_body: bool = False) -> Operation:
        return self._rng.choice(
            [op for op in self._operations if not with_body or "requestBody" in op.body]
        )

    def _request(
        self, operation: Operation, query: str = "", headers: bytes = b"", content: bytes = b""
    ) -> bytes:
        path = operation.route
        for name in operation.names("path"):
            path = path.replace("{" + name + "}", self._segment(name))
        line = f"{operation.method} {path}{'?' if query else ''}{query} HTTP/1.1\r\n".encode()
        length = b"Content-Length: %d\r\n" % len(content) if operation.method != "GET" else b""
        key = b"" if b"Authorization:" in headers else KEY
        host = b"" if b"Host:" in headers else b"Host: localhost\r\n"
        return line + host + key + b"Connection: close\r\n" + length + headers + b"\r\n" + content

    def _segment(self, name: str) -> str:
        if self._garbage.chance(0.7):
            return "EURUSD" if name == "symbol" else f"{self._rng.choice(('ord', 'pos', 'x'))}_0"
        return self._garbage.quoted().replace("/", "%2F").replace("?", "%3F") or "%20"

    def _body(self) -> Sent:
        operation = self._operation(with_body=True)
        [media] = operation.body["requestBody"]["content"].values()
        name = media["schema"].get("$ref", "").rpartition("/")[2]
        # Only what trades may be left good enough to succeed; the rest must not change the market.
        good = BODIES.get(name, {})
        content = self._garbage.spoilt(good)
        if name not in BODIES:
            content = content[:-1] + b',"surely":"unknown"}'
        headers = b"Content-Type: application/json\r\n"
        return Sent(self._request(operation, headers=headers, content=content))

    def _query(self) -> Sent:
        operation = self._operation()
        names = sorted(operation.names("query") - {"wait_ms"}) or ["symbol"]
        pairs = [
            f"{self._rng.choice(names)}={self._garbage.quoted()}"
            for _ in range(self._rng.randint(1, 4))
        ]
        if self._garbage.chance(0.2):
            pairs.append(self._garbage.quoted())
        return Sent(self._request(operation, "&".join(pairs).replace(" ", "%20")))

    def _path(self) -> Sent:
        path = "/".join(["/v1", *(self._garbage.quoted() for _ in range(self._rng.randint(1, 4)))])
        method = self._rng.choice(("GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "HEAD"))
        line = f"{method} {path[:20_000].replace(' ', '')} HTTP/1.1\r\n".encode()
        return Sent(line + b"Host: x\r\nConnection: close\r\nContent-Length: 0\r\n" + KEY + b"\r\n")

    def _header(self) -> Sent:
        operation = self._operation()
        lines = b""
        for _ in range(self._rng.randint(1, 3)):
            lines += self._rng.choice(HEADERS) + b": " + self._garbage.header_value() + b"\r\n"
        return Sent(self._request(operation, headers=lines, content=b"{}"), whole=False)

    def _noise(self) -> Sent:
        return Sent(self._garbage.noise(400) + b"\r\n\r\n", whole=False)

    # --- framing -----------------------------------------------------------------------------

    def _framing(self) -> Sent:
        order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "magic": SMUGGLED}
        content = json.dumps(order).encode()
        inner = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
            KEY, len(content), content,
        )  # fmt: skip
        lines, sent = self._rng.choice(self._lies(inner))
        head = b"POST /v1/orders/check HTTP/1.1\r\nHost: x\r\n" + KEY + lines + b"\r\n"
        return Sent(head + sent, whole=False)

    def _lies(self, inner: bytes) -> list[tuple[bytes, bytes]]:
        """Header lines about the body, and the body that they lie about."""
        end = b"0\r\n\r\n"
        chunk = b"%x\r\n" % len(inner) + inner + b"\r\n"
        length, chunked = b"Content-Length: %d\r\n", b"Transfer-Encoding: chunked\r\n"
        return [
            (length % len(inner) + chunked, end + inner),
            (chunked + length % 4, end + inner),
            (length % 0 + length % len(inner), inner),
            (length % 1_000_000, inner),
            (b"Content-Length: -1\r\n", inner),
            (b"Content-Length: +%d\r\n" % len(inner), inner),
            (b"Content-Length: 0x%x\r\n" % len(inner), inner),
            (b"Content-Length : %d\r\n" % len(inner), inner),
            (b"Transfer-Encoding: xchunked\r\n", end + inner),
            (b"Transfer-Encoding: chunked, identity\r\n", end + inner),
            (b"Transfer-Encoding:\x0bchunked\r\n", end + inner),
            (b" Transfer-Encoding: chunked\r\n", end + inner),
            (chunked, b"ffffffffffffffff\r\n" + inner),
            (chunked, b"-1\r\n" + inner + b"\r\n" + end),
            (chunked, b"5;" + b"x" * 70_000 + b"\r\n" + inner),
            (chunked, chunk[: len(chunk) // 2]),
            (chunked, chunk + b"0\r\nContent-Length: 5\r\n\r\n"),
            (b"X: y\n" + length % len(inner), inner),
            (b"X: " + b"y" * 70_000 + b"\r\n", b""),
            (b"X: y\r\n" * 2_000, b""),
            (b"Expect: 100-continue\r\n" + length % 5, b""),
            (b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", inner),
        ]


# --- the other end ---------------------------------------------------------------------------


def exchange(address: tuple[str, int], sent: Sent) -> list[Answer]:
    """Send bytes on a connection of their own; every answer until the server closes it."""
    with socket.create_connection(address, WATCHDOG_S) as connection:
        try:
            connection.sendall(sent.data)
            if not sent.whole:
                connection.shutdown(socket.SHUT_WR)
            data = b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionError:
            return []  # refused before it was read whole
    return answers_in(data)


def answers_in(data: bytes) -> list[Answer]:
    """The HTTP responses in a connection's bytes; AssertionError for anything else."""
    found = []
    while data:  # each turn takes one response off
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, head[:200]
        line, *lines = head.decode("latin-1").split("\r\n")
        assert line.startswith("HTTP/1.1 "), line
        headers = dict(text.split(": ", 1) for text in lines)
        headers = {name.lower(): value for name, value in headers.items()}
        length = int(headers.get("content-length", len(data)))
        found.append(Answer(int(line.split()[1]), headers, data[:length]))
        data = data[length:]
    return found


class Judge:
    """Says what an answer must be, and counts what came."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.seen: Counter[str] = Counter()

    def judge(self, sent: Sent, answers: list[Answer]) -> None:
        """AssertionError when bad input did more than be refused or be taken."""
        shown = sent.data[:2_000]
        if sent.whole and not sent.data.startswith(b"HEAD"):
            assert len(answers) == 1, (shown, answers)
        for answer in answers:
            assert 100 <= answer.status < 500, (shown, answer)
            self.seen[f"{answer.status // 100}xx"] += 1
            if answer.headers.get("content-type") == "application/problem+json" and answer.body:
                problem = json.loads(answer.body)
                assert problem["code"] in self._contract.errors, (shown, problem)
                self.seen[problem["code"]] += 1


def trades_on(api: Api, head: int) -> int:
    """The server is healthy, its log has no hole, and it takes an order; the log's new head."""
    assert api.get("/healthz")["status"] == "ok"
    order = api.place(volume=0.01)
    assert order["status"] == "FILLED"
    assert body(api.call("DELETE", "/positions/" + order["position_id"]))["status"] == "CLOSED"
    seqs = [row["seq"] for page in _pages(api, head) for row in page]
    assert seqs == list(range(head + 1, head + 1 + len(seqs)))
    return head + len(seqs)


def _pages(api: Api, after: int) -> list[list[Any]]:
    pages = []
    while rows := api.get("/events", after=after, limit=1_000)["data"]:
        pages.append(rows)
        after = rows[-1]["seq"]
    return pages


def run(server: ServerProcess, contract: Contract, rng: Random, count: int) -> Counter[str]:
    """Send so many bad requests, looking after the server in between."""
    host, port = server.addresses.rest.removeprefix("http://").removesuffix("/v1").split(":")
    api = Api(server.addresses.rest, "test-key", contract)
    requests, judge = BadRequests(rng, contract), Judge(contract)
    try:
        head = trades_on(api, 0)
        for number in range(1, count + 1):
            sent = requests.next()
            judge.judge(sent, exchange((host, int(port)), sent))
            if number % LOOK_EVERY == 0:
                head = trades_on(api, head)
        assert api.get("/orders", magic=SMUGGLED)["data"] == []
    finally:
        api.close()
    assert server.running
    return judge.seen


@pytest.fixture(scope="session")
def contract() -> Contract:
    """spec/openapi.yaml, read once."""
    return Contract()


def test_five_thousand_bad_requests(server: ServerProcess, contract: Contract, rng: Random) -> None:
    seen = run(server, contract, rng, 5_000)
    told = {"malformed_json", "validation_error", "not_found", "bad_request", "unauthorized"}
    assert told <= seen.keys(), seen


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_hundred_thousand_bad_requests(
    server: ServerProcess, contract: Contract, rng: Random
) -> None:
    run(server, contract, rng, 100_000)
