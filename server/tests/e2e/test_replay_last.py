"""Recorded trades of an exchange: the Last is streamed, quoted, and what candles are made of."""

import json
from pathlib import Path
from typing import Any

import requests
from websockets.sync.client import connect

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 60
HEADERS = {"Authorization": "Bearer test-key"}
START_MS = 1_783_080_000_000
TRADES = ("132.51", "132.60", "", "132.48")


def test_the_last_of_a_recording_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "ACME.csv"
    rows = (f"{START_MS + 1_000 * n},132.50,132.55,{last}" for n, last in enumerate(TRADES))
    path.write_text("\n".join(("time_msc,bid,ask,last", *rows)) + "\n", encoding="utf-8")
    options = ("--profile", "exchange", "--replay", str(path), "--speed", "max")
    with ServerProcess(tmp_path / "data", *options) as server:
        ticks: list[dict[str, object]] = []
        with connect(server.addresses.stream, additional_headers=HEADERS) as socket:
            socket.send(json.dumps({"action": "subscribe", "symbols": ["ACME"]}))
            while len(ticks) < len(TRADES):  # the watchdog ends a silent stream
                frame = json.loads(socket.recv(timeout=WATCHDOG_S))
                if frame["type"] == "tick":
                    ticks.append(frame)

        def get(what: str) -> Any:
            url = f"{server.addresses.rest}/{what}"
            return requests.get(url, headers=HEADERS, timeout=WATCHDOG_S).json()

        quote, candles = get("quotes/ACME"), get("candles?symbol=ACME&timeframe=M1")
    assert [tick["last"] for tick in ticks] == [132.51, 132.60, 132.60, 132.48]
    assert quote["last"] == 132.48
    assert quote["spread"] == 5
    (candle,) = candles["data"]
    assert [candle[key] for key in ("open", "high", "low", "close", "spread")] == [
        132.51, 132.60, 132.48, 132.48, 5,
    ]  # fmt: skip
