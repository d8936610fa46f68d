"""Every example runs against a real server, and what it prints is true."""

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import fxsocket_server
from fxsocket_server.testkit.process import ServerProcess

EXAMPLES = Path(__file__).parent.parent
TICKS = (
    Path(fxsocket_server.__file__).parent
    / "storage/history/data/darwinex_ticks_WS30_2018-10-01.csv.gz"
)
KEY = "test-key"
WATCHDOG_S = 60


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[ServerProcess]:
    """A demo server of this test's own."""
    with ServerProcess(tmp_path / "data", "--seed", "11") as running:
        yield running


def run(name: str, server: ServerProcess, *arguments: str) -> list[str]:
    """Run an example to its end; the lines that it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        env={
            **os.environ,
            "FXSOCKET_API_KEY": KEY,
            "FXSOCKET_BASE_URL": server.addresses.rest,
            "FXSOCKET_STREAM_URL": server.addresses.stream,
        },
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def api(server: ServerProcess, method: str, path: str, body: object = None) -> Any:
    """One request that must succeed."""
    answer = requests.request(
        method,
        server.addresses.rest + path,
        headers={"Authorization": f"Bearer {KEY}"},
        json=body,
        timeout=WATCHDOG_S,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_example_is_tested_and_listed() -> None:
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text()))
    listed = set(re.findall(r"\((\w+\.py)\)", (EXAMPLES / "README.md").read_text()))
    assert programs == tested == listed


def test_first_order_trades_once(demo: ServerProcess) -> None:
    first, again = run("first_order.py", demo)
    placed = re.fullmatch(r"FILLED: (ord_\w+) at (1\.0\d+)", first)
    assert placed, first
    assert again == f"sent again: {placed[1]}, replayed true"
    (position,) = api(demo, "GET", "/positions")
    assert position["order_id"] == placed[1]
    assert position["open_price"] == float(placed[2])


def test_sdk_first_order_opens_and_closes(demo: ServerProcess) -> None:
    filled, moved, closed = run("sdk_first_order.py", demo)
    assert re.fullmatch(r"FILLED: 0\.1 lots at 1\.0\d+", filled), filled
    levels = re.fullmatch(r"sl (\S+), tp (\S+)", moved)
    assert levels, moved
    assert float(levels[2]) - float(levels[1]) == pytest.approx(0.015, abs=1e-9)
    assert re.fullmatch(r"CLOSED at 1\.0\d+, profit -?\d+\.\d+", closed), closed
    assert api(demo, "GET", "/positions") == []


def test_stream_prices_stops_after_its_ticks(demo: ServerProcess) -> None:
    *lines, last = run("stream_prices.py", demo, "EURUSD", "NOSUCH", "USDJPY", "--ticks", "6")
    ticks = [line for line in lines if re.fullmatch(r"(EURUSD|USDJPY) \d+\.\d+ / \d+\.\d+", line)]
    assert len(ticks) == 6
    assert last == "6 ticks"
    assert any(line.startswith("refused: ") and "NOSUCH" in line for line in lines)
    for line in ticks:
        bid, ask = map(float, re.findall(r"\d+\.\d+", line))
        assert 0 < bid <= ask


def test_watch_account_sees_every_trade(demo: ServerProcess) -> None:
    *lines, last = run("watch_account.py", demo, "EURUSD", "--trades", "2")
    assert last == "2 trades, 1 connection, behind: False"
    deals = [line for line in lines if line.startswith("deal ")]
    shape = r"deal (?:IN|OUT) (?:BUY|SELL) 0\.1 at 1\.\d+, [+-]\d+\.\d\d"
    assert all(re.fullmatch(shape, line) for line in deals), deals
    assert [line.split()[1] for line in deals] == ["IN", "OUT"] * 2
    states = [line.split()[2] for line in lines if line.startswith("position ")]
    assert states[:3] == ["OPEN", "CLOSED", "OPEN"]
    assert any(re.fullmatch(r"equity \d+\.\d\d USD", line) for line in lines)
    assert not [line for line in lines if line.startswith(("refused", "connected", "events"))]


def test_follow_events_has_no_hole(demo: ServerProcess) -> None:
    api(demo, "POST", "/orders", {"symbol": "EURUSD", "type": "BUY", "volume": 0.1})
    lines = run("follow_events.py", demo, "--count", "6")
    assert [int(line.split()[0]) for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line.split()[1] for line in lines] == [
        "balance.deposit",
        "balance.changed",
        "order.pending",
        "order.filled",
        "deal.added",
        "position.opened",
    ]
    assert run("follow_events.py", demo, "--after", "4", "--count", "2") == lines[4:]


def test_close_everything_leaves_nothing(demo: ServerProcess) -> None:
    for side in ("BUY", "SELL"):
        api(demo, "POST", "/orders", {"symbol": "EURUSD", "type": side, "volume": 0.2})
    resting = {"symbol": "EURUSD", "type": "BUY_LIMIT", "volume": 0.1, "price": 1.05}
    api(demo, "POST", "/orders", resting)
    lines = run("close_everything.py", demo)
    assert lines[0] == "cancelled BUY_LIMIT 0.1 EURUSD at 1.05"
    assert re.fullmatch(r"1 orders cancelled, 2 positions closed, -\d+\.\d\d USD", lines[-1]), lines
    assert api(demo, "GET", "/positions") == []
    assert api(demo, "GET", "/orders?status=PLACED")["data"] == []
    assert run("close_everything.py", demo) == ["0 orders cancelled, 0 positions closed, 0.00 USD"]


MET = re.compile(r"(\(?\w[\w ]*\)?) +([A-Z_]+) +(\d+\.\d\d) +(\d+\.\d\d)  same")


def test_the_bot_knows_what_it_holds_after_every_scenario(demo: ServerProcess) -> None:
    _, *lines, last = run("chaos_sandbox.py", demo)
    met = [MET.fullmatch(line) for line in lines]
    got = {found[1].strip(): found[2] for found in met if found}
    assert len(got) == len(lines), lines
    assert [*got][:-1] == api(demo, "GET", "/sim/faults")["scenarios"]
    refusals = {
        "requotes": "REQUOTE", "price_changed": "PRICE_CHANGED", "no_money": "NO_MONEY",
        "too_many_requests": "TOO_MANY_REQUESTS", "server_error": "ERROR", "timeout": "REJECTED",
        "autotrading_off_server": "SERVER_DISABLES_AT", "locked": "LOCKED",
        "autotrading_off_client": "CLIENT_DISABLES_AT", "no_connection": "CONNECTION",
        "only_real": "ONLY_REAL", "off_quotes": "PRICE_OFF", "trading_halt": "TRADE_DISABLED",
        "flash_crash": "INVALID_STOPS", "partial_fills": "CANCELED",
    }  # fmt: skip
    assert got == {name: refusals.get(name, "FILLED") for name in got}
    assert re.fullmatch(r"24 scenarios, 0 differ, \d+ positions held", last), last
    held = sum(position["volume"] for position in api(demo, "GET", "/positions"))
    assert lines[-1].split()[-2] == f"{held:.2f}"


TRADE = re.compile(
    r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) (BUY|SELL) +(\d+\.\d{3}) -> (\d+\.\d{3}) ([+-]\d+\.\d\d)"
)


def test_the_backtest_deals_at_the_candles_prices(demo: ServerProcess) -> None:
    span = ("--from", "2019-01-01", "--to", "2019-07-01")
    first, *trades, last = run("moving_average_backtest.py", demo, *span)
    page = api(
        demo, "GET", "/candles?symbol=USDJPY&timeframe=H1&from=2019-01-01&to=2019-07-01&limit=10000"
    )
    opens = {candle["time"][:16]: candle["open"] for candle in page["data"]}
    assert first == f"{len(opens)} candles, 2019-01-02 to 2019-06-30"
    total = 0.0
    for line in trades:
        match = TRADE.fullmatch(line)
        assert match, line
        day, clock, side = match[1], match[2], match[3]
        opened, closed, profit = map(float, match.group(4, 5, 6))
        spread = 0.009 if side == "BUY" else 0.0
        assert opened == pytest.approx(opens[f"{day}T{clock}"] + spread, abs=1e-9)
        gain = (closed - opened) * (1 if side == "BUY" else -1)
        assert profit == pytest.approx(gain * 10_000 / closed, abs=0.0051)
        total += profit
    summary = re.fullmatch(
        r"(\d+) trades, (\d+) won, net ([+-]\d+\.\d\d) USD, drawdown \d+\.\d\d USD, 0\.1 lots each",
        last,
    )
    assert summary, last
    assert int(summary[1]) == len(trades) > 10
    assert float(summary[3]) == pytest.approx(total, abs=0.005)


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[ServerProcess]:
    """A replay of the day of WS30 ticks that ships with the server."""
    options = ("--replay", str(TICKS), "--speed", "max")
    with ServerProcess(tmp_path / "data", *options) as running:
        yield running


def recorded() -> Callable[[int], tuple[float, float]]:
    """Bid and Ask of the n-th recorded tick, counted from 1."""
    with gzip.open(TICKS, "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in file]
    header = rows[0]
    bid, ask = header.index("bid"), header.index("ask")
    return lambda n: (float(rows[n][bid]), float(rows[n][ask]))


def test_the_pacing_bot_deals_at_the_recorded_prices(replay: ServerProcess) -> None:
    price = recorded()
    *lines, last = run("pacing_bot.py", replay, "--ticks", "3000")
    profit = 0.0
    for line in lines:
        opened = re.fullmatch(r"tick (\d+): (BUY|SELL) 1\.0 lots at (\d+\.\d)", line)
        closed = re.fullmatch(r"tick (\d+): close (BUY|SELL) at (\d+\.\d), profit (\S+)", line)
        match = opened or closed
        assert match, line
        buys = (match[2] == "BUY") == (opened is not None)
        assert float(match[3]) == price(int(match[1]))[1 if buys else 0], line
        profit += float(closed[4]) if closed else 0.0
    summary = re.fullmatch(r"(\d+) trades, balance (\d+\.\d+)", last)
    assert summary, last
    assert int(summary[1]) * 2 == len(lines)
    assert int(summary[1]) >= 3
    assert float(summary[2]) == pytest.approx(10_000 + profit, abs=0.005)
