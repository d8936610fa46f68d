"""Bars replayed by a real server: its ticks are the bars' path, its candles are the bars."""

import csv
import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path

import requests
from websockets.sync.client import connect

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 60
HEADERS = {"Authorization": "Bearer test-key"}
COUNT = 500
Prices = tuple[Decimal, ...]


def path_of(prices: Prices) -> Prices:
    """The order of a bar's prices, as the reference describes it."""
    opened, high, low, closed = prices
    return (opened, high, low, closed) if closed < opened else (opened, low, high, closed)


def test_a_terminals_bars_are_replayed(shared_path: Callable[..., Path], tmp_path: Path) -> None:
    source = shared_path("data", "mt5_bars", "icm_EURUSD_H1_2025H1.csv.gz")
    with gzip.open(source, "rt") as file:
        lines = list(islice(file, COUNT + 1))
    path = tmp_path / "EURUSD_H1.csv"
    path.write_text("".join(lines), encoding="utf-8")
    point = Decimal("0.00001")
    bars = [
        tuple(Decimal(row[key]).quantize(point) for key in ("open", "high", "low", "close"))
        for row in csv.DictReader(lines)
    ]
    expected = [price for bar in bars for price in path_of(bar)]
    options = ("--replay", str(path), "--speed", "max")
    with ServerProcess(tmp_path / "data", *options) as server:
        received: list[Decimal] = []
        with connect(server.addresses.stream, additional_headers=HEADERS, max_size=None) as socket:
            socket.send(json.dumps({"action": "subscribe", "symbols": ["EURUSD"]}))
            while len(received) < len(expected):  # the watchdog ends a silent stream
                frame = json.loads(socket.recv(timeout=WATCHDOG_S))
                if frame["type"] == "tick":
                    received.append(Decimal(str(frame["bid"])))
        assert received == expected
        rows = requests.get(
            f"{server.addresses.rest}/candles",
            params={"symbol": "EURUSD", "timeframe": "H1", "from": "2025-01-01T00:00:00Z"},
            headers=HEADERS,
            timeout=WATCHDOG_S,
        ).json()
    print(str(rows)[:300])
    found = [
        tuple(Decimal(str(row[key])) for key in ("open", "high", "low", "close"))
        for row in rows["data"]
    ]
    assert found == bars
