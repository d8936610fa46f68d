"""A recorded day replayed at `max`: every tick arrives, and fills and money follow the file.

The expected balance is calculated here from the file alone, with Decimal, apart from the engine.
"""

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 120
EVERY = 500
BALANCE = Decimal("10000.00")
HEADERS = {"Authorization": "Bearer test-key"}

Row = tuple[str, Decimal, Decimal]


@pytest.fixture(scope="module")
def recording(shared_path: Callable[..., Path]) -> Path:
    """The real day of the Dow index."""
    return shared_path("data", "darwinex_ticks_WS30_2018-10-01.csv.gz")


@pytest.fixture(scope="module")
def rows(recording: Path) -> list[Row]:
    """Its ticks as text and Decimal."""
    with gzip.open(recording, "rt") as file:
        return [
            (row["timestamp"], Decimal(row["bid"]), Decimal(row["ask"]))
            for row in csv.DictReader(file)
        ]


@pytest.fixture(params=[(), ("--stream-process",)], ids=["one process", "two"])
def replay(
    request: pytest.FixtureRequest, tmp_path: Path, recording: Path
) -> Iterator[ServerProcess]:
    """A server that replays the day as fast as it is read."""
    options = ("--replay", str(recording), "--speed", "max", "--balance", str(BALANCE))
    with ServerProcess(tmp_path / "data", *options, *request.param) as running:
        yield running


@contextmanager
def open_stream(replay: ServerProcess, **subscription: object) -> Iterator[ClientConnection]:
    """A connection that has subscribed to WS30."""
    url = replay.addresses.stream
    with connect(url, additional_headers=HEADERS, max_size=None, compression=None) as socket:
        socket.send(json.dumps({"action": "subscribe", "symbols": ["WS30"], **subscription}))
        yield socket


def ticks_of(socket: ClientConnection, count: int) -> Iterator[dict[str, object]]:
    """The next `count` tick frames."""
    while count:  # bounded by count; the watchdog ends a silent stream
        frame = json.loads(socket.recv(timeout=WATCHDOG_S))
        if frame["type"] == "tick":
            count -= 1
            yield frame


def stamp(text: str) -> str:
    """The file's timestamp as the API writes it."""
    moment = datetime.fromisoformat(text)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def test_every_tick_arrives_in_order(replay: ServerProcess, rows: list[Row]) -> None:
    with open_stream(replay) as socket:
        received = [
            (frame["timestamp"], frame["bid"], frame["ask"])
            for frame in ticks_of(socket, len(rows))
        ]
    assert len(rows) == 27_283
    assert received == [(stamp(time), float(bid), float(ask)) for time, bid, ask in rows]


def place(replay: ServerProcess, type_: str, volume: str) -> dict[str, object]:
    """A market order through REST."""
    body = {"symbol": "WS30", "type": type_, "volume": float(volume)}
    answer = requests.post(
        replay.addresses.rest + "/orders", json=body, headers=HEADERS, timeout=WATCHDOG_S
    )
    assert answer.status_code == 200, answer.text
    order: dict[str, object] = answer.json()
    return order


def close(replay: ServerProcess, position_id: object) -> dict[str, object]:
    """Close a position through REST."""
    url = f"{replay.addresses.rest}/positions/{position_id}"
    answer = requests.delete(url, headers=HEADERS, timeout=WATCHDOG_S)
    assert answer.status_code == 200, answer.text
    result: dict[str, object] = answer.json()
    return result


def cents(amount: Decimal) -> Decimal:
    """Money rounded half away from zero."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_a_pacing_bot_trades_at_the_file_s_prices(replay: ServerProcess, rows: list[Row]) -> None:
    """One trade each 500 ticks: entries and exits in turn, both sides, changing volumes."""
    fills: list[tuple[int, Decimal]] = []
    money = BALANCE
    held: tuple[object, str, Decimal, Decimal] | None = None
    with open_stream(replay, pace=True) as socket:
        for frame in ticks_of(socket, len(rows)):
            n = int(str(frame["n"]))
            if n % EVERY == 0:
                _, bid, ask = rows[n - 1]
                if held is None:
                    side = "BUY" if (n // EVERY) % 8 < 4 else "SELL"
                    volume = f"{1 + (n // EVERY) % 7}.{n // EVERY % 10}"
                    order = place(replay, side, volume)
                    price = Decimal(str(order["price"]))
                    assert price == (ask if side == "BUY" else bid), f"tick {n}"
                    held = (order["position_id"], side, price, Decimal(volume))
                else:
                    position_id, side, opened, lots = held
                    price = Decimal(str(close(replay, position_id)["close_price"]))
                    assert price == (bid if side == "BUY" else ask), f"tick {n}"
                    gain = price - opened if side == "BUY" else opened - price
                    money += cents(gain * lots)
                    held = None
                fills.append((n, price))
            socket.send(json.dumps({"action": "ack", "n": n}))
    assert len(fills) == len(rows) // EVERY
    assert len({price for _, price in fills}) >= 40
    account = requests.get(
        replay.addresses.rest + "/account", headers=HEADERS, timeout=WATCHDOG_S
    ).json()
    assert held is None
    assert Decimal(str(account["balance"])) == money
    assert account["equity"] == account["balance"]
    assert all(after > before for (before, _), (after, _) in pairwise(fills))
