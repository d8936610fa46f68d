"""The brief's own Python runs against the server with only key and address replaced."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 60
KEY = "test-key"

Shared = Callable[..., Path]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[ServerProcess]:
    """A demo server of this test's own: its prices are where the brief's stops fit."""
    with ServerProcess(tmp_path / "data", "--seed", "1") as running:
        yield running


def snippet(shared_path: Shared, name: str, demo: ServerProcess, key: str = KEY) -> str:
    """A snippet's source with its key and address replaced, and nothing else."""
    source = shared_path("brief", "snippets", name).read_text()
    return (
        source.replace("your_api_key", key)
        .replace("https://api.fxsocket.com/v1", demo.addresses.rest)
        .replace("wss://ws.fxsocket.com/v1/stream", demo.addresses.stream)
    )


def run(source: str, demo: ServerProcess) -> subprocess.CompletedProcess[str]:
    """Run a snippet to its end, with the SDK's addresses in the environment."""
    environment = {
        **os.environ,
        "FXSOCKET_BASE_URL": demo.addresses.rest,
        "FXSOCKET_STREAM_URL": demo.addresses.stream,
    }
    return subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        env=environment,
        check=False,
    )


def api(demo: ServerProcess, method: str, path: str, **kwargs: object) -> requests.Response:
    """One request with the demo's key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    url = demo.addresses.rest + path
    body = kwargs.get("json")
    return requests.request(method, url, headers=headers, timeout=WATCHDOG_S, json=body)


def test_simple_order_fills(shared_path: Shared, demo: ServerProcess) -> None:
    done = run(snippet(shared_path, "simple_order.py", demo), demo)
    assert done.returncode == 0, done.stderr
    assert "'status': 'FILLED'" in done.stdout
    (position,) = api(demo, "GET", "/positions").json()
    assert (position["symbol"], position["volume"]) == ("EURUSD", 0.1)
    assert (position["sl"], position["tp"]) == (1.072, 1.095)


def test_production_order_succeeds(shared_path: Shared, demo: ServerProcess) -> None:
    done = run(snippet(shared_path, "production_order.py", demo), demo)
    assert done.returncode == 0, done.stderr
    (order,) = api(demo, "GET", "/orders").json()["data"]
    assert f"Order ID: {order['id']}, Price: {order['price']}" in done.stdout
    assert order["status"] == "FILLED"


def test_production_order_stops_on_a_bad_key(shared_path: Shared, demo: ServerProcess) -> None:
    done = run(snippet(shared_path, "production_order.py", demo, key="not-the-key"), demo)
    assert done.returncode == 1
    assert "Invalid API key" in done.stderr
    assert "Authentication failed" in done.stderr
    assert api(demo, "GET", "/positions").json() == []


def test_production_order_does_not_retry_a_422(shared_path: Shared, demo: ServerProcess) -> None:
    moved = api(demo, "POST", "/sim/price", json={"symbol": "EURUSD", "bid": 1.05, "ask": 1.0501})
    assert moved.status_code == 200, moved.text
    done = run(snippet(shared_path, "production_order.py", demo), demo)
    assert done.returncode == 0, done.stderr
    assert "Validation error" in done.stderr
    assert "invalid_stops" in done.stderr
    assert "Order ID" not in done.stdout
    (order,) = api(demo, "GET", "/orders").json()["data"]
    assert order["status"] == "REJECTED"  # once: the sample did not send it again


def test_stream_prices_shows_ticks_orders_and_survives_a_restart(
    shared_path: Shared, tmp_path: Path
) -> None:
    """Ticks of all three symbols, an unasked order update, and reconnection after a kill."""
    first = ServerProcess(tmp_path / "data")
    with first:
        ports = [
            "--port", first.addresses.rest.split(":")[2].removesuffix("/v1"),
            "--stream-port", first.addresses.stream.split(":")[2].removesuffix("/v1/stream"),
        ]  # fmt: skip
        source = snippet(shared_path, "stream_prices.py", first)
        bot = subprocess.Popen(
            [sys.executable, "-u", "-c", source], stderr=subprocess.PIPE, text=True
        )
        try:
            assert bot.stderr is not None
            lines = iter(bot.stderr.readline, "")
            expect(lines, "EURUSD | Bid:", "GBPUSD | Bid:", "USDJPY | Bid:")
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1}
            assert api(first, "POST", "/orders", json=order).status_code == 200
            expect(lines, "Order update: {", "order.filled")
            first.kill()
            with ServerProcess(tmp_path / "data", *ports) as second:
                expect(lines, "Connected to FxSocket WebSocket", "EURUSD | Bid:")
                assert api(second, "GET", "/positions").json() != []
        finally:
            bot.kill()
            bot.wait(WATCHDOG_S)
            assert bot.stderr is not None
            bot.stderr.close()


def expect(lines: Iterator[str], *wanted: str) -> None:
    """Read lines until each wanted text was seen; the test's timeout is the watchdog."""
    missing = set(wanted)
    for line in lines:
        missing -= {text for text in missing if text in line}
        if not missing:
            return
    raise AssertionError(f"the bot ended without printing {missing}")


def test_sdk_order_prints_its_fill(shared_path: Shared, demo: ServerProcess) -> None:
    done = run(snippet(shared_path, "sdk_order.py", demo), demo)
    assert done.returncode == 0, done.stderr
    (order,) = api(demo, "GET", "/orders").json()["data"]
    assert done.stdout.strip() == f"Filled at {order['price']}"
