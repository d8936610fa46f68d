"""The brief's bot retries a POST on timeout, without a key, and never trades twice.

These tests take the seconds that they are about: the broker stalls for longer than a client waits.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from fxsocket_server.testkit.process import ServerProcess, TerminalProcess, link_terminal

KEY = "test-key"
STALL_MS = 12_000
SERVER, LOGIN = "FxSocket-Demo", 1_234_567
WATCHDOG_S = 60
ORDER, LEVELS = ("EURUSD", "BUY", 0.1), {"sl": 1.0720, "tp": 1.0950}

Shared = Callable[..., Path]
Bot = Callable[..., Any]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[ServerProcess]:
    """A demo server whose prices are where the brief's stops fit."""
    with ServerProcess(tmp_path / "data", "--seed", "1") as running:
        yield running


def bot_of(shared_path: Shared, rest: str, timeout_s: int = 10) -> Bot:
    """The brief's own `place_order`, with its address, key and patience replaced."""
    source = shared_path("brief", "snippets", "production_order.py").read_text()
    source = source.replace("your_api_key", KEY).replace("https://api.fxsocket.com/v1", rest)
    assert source.count("timeout=10") == 1
    source = source.replace("timeout=10", f"timeout={timeout_s}").partition("# Usage")[0]
    module: dict[str, Any] = {}
    exec(compile(source, "production_order.py", "exec"), module)
    place_order: Bot = module["place_order"]
    return place_order


def api(demo: ServerProcess, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    response = requests.request(
        method, demo.addresses.rest + path, headers=headers, timeout=WATCHDOG_S, json=body
    )
    response.raise_for_status()
    return response.json()


def filled(demo: ServerProcess, order_id: str) -> Any:
    """The order once it has its outcome: the event log is waited for, not the clock."""
    after = 0
    while True:  # bounded by the watchdog of each request
        page = api(demo, "GET", f"/events?after={after}&wait_ms=30000")
        assert page["data"], "no outcome came"
        for event in page["data"]:
            after = event["seq"]
            if event["type"] == "order.filled" and event["order"]["id"] == order_id:
                return event["order"]


def only_position(demo: ServerProcess, order_id: str) -> None:
    """One order was placed, it filled, and it made the one position."""
    order = filled(demo, order_id)
    (position,) = api(demo, "GET", "/positions")
    assert (position["order_id"], position["id"]) == (order_id, order["position_id"])
    assert [row["id"] for row in api(demo, "GET", "/orders")["data"]] == [order_id]


@pytest.mark.parametrize("timeout_s", [10, 3])
def test_a_broker_that_stalls_trades_once(
    shared_path: Shared, demo: ServerProcess, timeout_s: int
) -> None:
    api(demo, "POST", "/sim/faults", {"delay_ms": STALL_MS, "times": 1})
    place_order = bot_of(shared_path, demo.addresses.rest, timeout_s)
    order = place_order(*ORDER, **LEVELS)
    assert order is not None
    only_position(demo, order["id"])


def free_port() -> int:
    """A port that a server can have again after it was killed."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Outside:
    """A server whose terminal stands outside, and whose broker stalls the first order."""

    def __init__(self, folder: Path) -> None:
        link = link_terminal(folder / "data", SERVER, LOGIN)
        port = str(free_port())
        self.server = ServerProcess(folder / "data", "--port", port, command="serve")
        self.terminal = TerminalProcess(
            folder / "terminal", self.server.start().bridge, link.token, "--server", SERVER,
            "--login", str(LOGIN), "--seed", "1", "--fault", f"delay_ms={STALL_MS},times=1",
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[None]:
        """Both run, and orders are taken; killed at the end."""
        with self.server.ending(), self.terminal:
            self.terminal.wait("connected")
            ready(self.server)
            yield

    def wait_until_taken(self) -> None:
        """Return once the terminal has begun the order."""
        with self.terminal.ledger() as ledger:
            while not ledger.begun():
                api(self.server, "GET", "/events?after=0&wait_ms=50")

    def kill_and_restart(self, times: int) -> None:
        """Kill the server; once its terminal is back, kill it again."""
        for number in range(times):
            if number:
                self.terminal.wait("connected")
            self.server.kill()
            self.server.start()

    def orders(self) -> int:
        """How many orders the terminal's own ledger holds."""
        with self.terminal.ledger() as ledger:
            return len(ledger.orders())


def test_a_server_killed_in_the_middle_trades_once(shared_path: Shared, tmp_path: Path) -> None:
    """The terminal stands outside: it has taken the order, and its broker stalls."""
    outside = Outside(tmp_path)
    with outside.running(), ThreadPoolExecutor(1) as thread:
        place_order = bot_of(shared_path, outside.server.addresses.rest)
        placing = thread.submit(place_order, *ORDER, **LEVELS)
        outside.wait_until_taken()
        outside.kill_and_restart(1)
        order = placing.result(WATCHDOG_S)
        assert order is not None
        only_position(outside.server, order["id"])
        assert outside.orders() == 1


@pytest.mark.parametrize("kills", [1, 2])
def test_a_bot_that_gives_up_before_the_broker_is_done_has_traded_once(
    shared_path: Shared, tmp_path: Path, kills: int
) -> None:
    """Three tries of 3 s may all end before the outcome: the bot has the order, or nothing yet.

    Either way one position stands, and the bot's next call is given that order.
    """
    outside = Outside(tmp_path)
    with outside.running(), ThreadPoolExecutor(1) as thread:
        rest = outside.server.addresses.rest
        placing = thread.submit(bot_of(shared_path, rest, timeout_s=3), *ORDER, **LEVELS)
        outside.wait_until_taken()
        outside.kill_and_restart(kills)
        order = placing.result(WATCHDOG_S)
        [stored] = api(outside.server, "GET", "/orders")["data"]
        only_position(outside.server, stored["id"])
        if order is None:
            order = bot_of(shared_path, rest)(*ORDER, **LEVELS)
        assert order["id"] == stored["id"]
        only_position(outside.server, order["id"])
        assert outside.orders() == 1
        other = bot_of(shared_path, rest)(*ORDER, **LEVELS)
        assert other["id"] != order["id"], "its answer arrived, so that the next is an order"


def ready(server: ServerProcess) -> None:
    """Wait until the account takes orders: its terminal is there and reconciled."""
    body = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1}
    headers = {"Authorization": f"Bearer {KEY}"}
    url = server.addresses.rest + "/orders/check"
    pause = threading.Event()  # never set: nothing tells of an account's first contact
    for _ in range(WATCHDOG_S * 10):
        if requests.post(url, headers=headers, json=body, timeout=WATCHDOG_S).status_code == 200:
            return
        pause.wait(0.1)
    raise AssertionError("the account is not ready")


# --- what is honest ------------------------------------------------------------------------------


def test_two_equal_orders_that_were_answered_are_two(
    shared_path: Shared, demo: ServerProcess
) -> None:
    place_order = bot_of(shared_path, demo.addresses.rest)
    first, second = (place_order("EURUSD", "BUY", 0.1) for _ in range(2))
    assert first["id"] != second["id"]
    assert len(api(demo, "GET", "/positions")) == 2


def raw_request(demo: ServerProcess, volume: float) -> bytes:
    body = msgspec.json.encode({"symbol": "EURUSD", "type": "BUY", "volume": volume})
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def address(demo: ServerProcess) -> tuple[str, int]:
    found = re.match(r"http://([\d.]+):(\d+)/", demo.addresses.rest)
    assert found is not None
    return found[1], int(found[2])


def lose_an_answer(demo: ServerProcess, volume: float = 0.1) -> None:
    """Send an order and reset the connection without reading the answer that has come."""
    with socket.create_connection(address(demo), timeout=WATCHDOG_S) as client:
        client.sendall(raw_request(demo, volume))
        client.recv(1, socket.MSG_PEEK)  # it was written, and will not be read
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def send(demo: ServerProcess, volume: float = 0.1) -> requests.Response:
    return requests.post(
        demo.addresses.rest + "/orders",
        headers={"Authorization": f"Bearer {KEY}"},
        json={"symbol": "EURUSD", "type": "BUY", "volume": volume},
        timeout=WATCHDOG_S,
    )


def test_three_lost_answers_and_three_retries_are_three_orders(demo: ServerProcess) -> None:
    start = threading.Barrier(3)

    def lose_and_retry(_number: int) -> requests.Response:
        lose_an_answer(demo)
        start.wait(WATCHDOG_S)  # every answer is lost before anybody retries
        return send(demo)

    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lose_and_retry, range(3)))
    assert {answer.headers.get("Idempotency-Replayed") for answer in answers} == {"inferred"}
    assert len({answer.json()["id"] for answer in answers}) == 3
    assert len(api(demo, "GET", "/positions")) == 3
    assert "Idempotency-Replayed" not in send(demo).headers
    assert len(api(demo, "GET", "/positions")) == 4


def test_a_retry_with_another_volume_is_another_order(demo: ServerProcess) -> None:
    lose_an_answer(demo, 0.1)
    other = send(demo, 0.2)
    assert "Idempotency-Replayed" not in other.headers
    assert sorted(p["volume"] for p in api(demo, "GET", "/positions")) == [0.1, 0.2]
    assert send(demo, 0.1).headers["Idempotency-Replayed"] == "inferred"
    assert len(api(demo, "GET", "/positions")) == 2
