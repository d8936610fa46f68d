"""Fifty accounts of one user side by side: one server, one key, one stream, nothing mixed up."""

import json
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests
from msgspec import Struct
from websockets.sync.client import ClientConnection, connect

import fxsocket_server
from fxsocket_server.storage.journal.audit import audit
from fxsocket_server.testkit.process import ServerProcess

ACCOUNTS = 50
ORDERS = 3
THREADS = 8
WATCHDOG_S = 60
KEY = {"Authorization": "Bearer test-key"}
TICKS = Path(fxsocket_server.__file__).parent / "storage/history/data"
DAY = TICKS / "darwinex_ticks_WS30_2018-10-01.csv.gz"  # its account's clock stands in 2018

Json = dict[str, Any]


class Crowd(Struct):
    """A server, and the accounts that were made in it while it ran."""

    server: ServerProcess
    accounts: list[Json]
    replay: str

    def call(self, method: str, path: str, account: str = "", body: Any = None) -> Any:
        headers = {**KEY, "X-Account-Id": account} if account else KEY
        url = self.server.addresses.rest + path
        answer = requests.request(method, url, json=body, headers=headers, timeout=WATCHDOG_S)
        assert answer.status_code == 200, answer.text
        return answer.json()


def asked(number: int) -> Json:
    """Accounts that differ in whatever can differ; the last two are one market."""
    seed = min(number, ACCOUNTS - 2)
    currency = ("USD", "EUR", "JPY")[number % 3]
    return {
        "kind": "SIM", "name": f"Account {number}", "balance": 1_000_000 + number, "seed": seed,
        "leverage": 10 + number, "currency": currency,
    }  # fmt: skip


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    data = tmp_path_factory.mktemp("crowd") / "data"
    with ServerProcess(data, "--replay", str(DAY), "--speed", "1") as server:
        crowd = Crowd(server, [], server.addresses.account_id or "")
        with ThreadPoolExecutor(THREADS) as pool:
            crowd.accounts = list(
                pool.map(lambda n: crowd.call("POST", "/accounts", body=asked(n)), range(ACCOUNTS))
            )
        yield crowd


class Reader:
    """The one connection: frames by account, told apart as they come."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.ticks: dict[str, list[Json]] = defaultdict(list)
        self.events: dict[str, list[Json]] = defaultdict(list)

    def send(self, **frame: Any) -> None:
        self._socket.send(json.dumps(frame))

    def read(self) -> Json:
        """The next frame, put where it belongs."""
        frame: Json = json.loads(self._socket.recv(timeout=WATCHDOG_S))
        if frame["type"] == "tick":
            self.ticks[frame["account_id"]].append(frame)
        elif "seq" in frame:
            self.events[frame["account_id"]].append(frame)
        return frame

    def filled(self, account: str) -> list[Json]:
        """The orders of an account that the stream told as filled."""
        updates = [e for e in self.events[account] if e["type"] == "order_update"]
        return [e["order"] for e in updates if e["order"]["status"] == "FILLED"]


@pytest.fixture
def reader(crowd: Crowd) -> Iterator[Reader]:
    with connect(
        crowd.server.addresses.stream, additional_headers=KEY, max_size=None, compression=None,
        close_timeout=0.1,  # what was sent meanwhile is not read
    ) as socket:  # fmt: skip
        reader = Reader(socket)
        for account in crowd.accounts:
            reader.send(
                action="subscribe", account_id=account["id"], symbols=["EURUSD", "USDJPY"],
                channels=["ticks", "deals", "positions"],
            )  # fmt: skip
        left = ACCOUNTS
        while left:  # bounded by the watchdog of each frame
            left -= reader.read()["type"] == "subscribed"
        yield reader


def test_fifty_accounts_trade_side_by_side(crowd: Crowd, reader: Reader, rng: Random) -> None:
    ids = [account["id"] for account in crowd.accounts]
    sent = [(account, f"word-{account}-{n}") for account in ids for n in range(ORDERS)]
    rng.shuffle(sent)

    def place(what: tuple[str, str]) -> Json:
        account, word = what
        order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "comment": word[-31:],
                 "client_order_id": word}  # fmt: skip
        placed: Json = crowd.call("POST", "/orders", account, order)
        return placed

    with ThreadPoolExecutor(THREADS) as pool:
        placed = list(pool.map(place, sent))
    assert [order["account_id"] for order in placed] == [account for account, _ in sent]
    while not all(len(reader.filled(a)) >= ORDERS and reader.ticks[a] for a in ids):
        reader.read()  # bounded by the watchdog of each frame

    for account in ids:
        own = {word for whose, word in sent if whose == account}
        assert {order["client_order_id"] for order in reader.filled(account)} == own
        assert all(order["account_id"] == account for order in reader.filled(account))
        seqs = [event["seq"] for event in reader.events[account]]
        assert seqs == sorted(set(seqs))
        chain = [event["prev_seq"] for event in reader.events[account]]
        assert chain[1:] == seqs[:-1]  # each follows the one before it on this connection
    assert set(reader.events) == set(ids)
    each_has_its_own(crowd)


def each_has_its_own(crowd: Crowd) -> None:
    """Money, positions, orders and log of every account are its own."""
    seen: set[str] = set()
    for number, account in enumerate(crowd.accounts):
        figures = crowd.call("GET", "/account", account["id"])
        wanted = asked(number)
        assert (figures["balance"], figures["leverage"], figures["currency"]) == (
            wanted["balance"], wanted["leverage"], wanted["currency"],
        )  # fmt: skip
        positions = crowd.call("GET", "/positions", account["id"])
        assert len(positions) == ORDERS
        orders = crowd.call("GET", "/orders", account["id"])["data"]
        assert len(orders) == ORDERS
        log = crowd.call("GET", "/events?after=0&limit=1000", account["id"])["data"]
        assert [event["seq"] for event in log] == [*range(1, len(log) + 1)]
        ids = {row["id"] for row in (*positions, *orders)}
        assert not ids & seen
        seen |= ids


def test_each_has_its_own_market_and_clock(crowd: Crowd) -> None:
    path = "/quotes?symbols=EURUSD,USDJPY,XAUUSD,BTCUSD,WS30"
    quotes = [crowd.call("GET", path, account["id"]) for account in crowd.accounts]
    markets = {tuple(quote["bid"] for quote in each) for each in quotes}
    assert len(markets) >= ACCOUNTS - 1  # one each; the last two are the same
    replay = crowd.call("GET", "/account", crowd.replay)
    live = crowd.call("GET", "/account", crowd.accounts[0]["id"])
    assert replay["server_time"].startswith("2018-10-01")
    assert live["server_time"] > "2026"
    two = crowd.accounts[-2:]
    assert two[0]["seed"] == two[1]["seed"]
    assert two[0]["login"] != two[1]["login"]


def test_one_that_stops_stops_alone(crowd: Crowd, reader: Reader) -> None:
    stopped, *others = [account["id"] for account in crowd.accounts]
    gone = crowd.call("POST", "/accounts", body={"kind": "SIM"})["id"]
    reader.send(action="subscribe", account_id=gone, symbols=["EURUSD", "USDJPY"])
    while not reader.ticks[gone]:  # bounded by the watchdog of each frame, as are those below
        reader.read()
    crowd.call("POST", f"/accounts/{stopped}/disconnect")
    crowd.call("DELETE", f"/accounts/{gone}")
    reader.send(action="ping", id="after")
    while reader.read().get("id") != "after":
        pass
    before = {account: len(reader.ticks[account]) for account in (stopped, gone, *others)}
    while not all(len(reader.ticks[account]) > before[account] for account in others):
        reader.read()
    assert [len(reader.ticks[account]) - before[account] for account in (stopped, gone)] == [0, 0]
    crowd.call("POST", f"/accounts/{stopped}/connect")
    while len(reader.ticks[stopped]) == before[stopped]:
        reader.read()
    rows = crowd.call("GET", "/accounts")
    assert {row["id"]: row["status"] for row in rows} == dict.fromkeys(
        [crowd.replay, stopped, *others], "connected"
    )


def test_all_of_them_are_there_after_a_kill(crowd: Crowd) -> None:
    ids = [account["id"] for account in crowd.accounts]
    crowd.call("POST", f"/accounts/{ids[0]}/disconnect")
    crowd.call("PATCH", f"/accounts/{ids[1]}", body={"name": "Renamed"})
    held = [held_by(crowd, account) for account in ids]
    crowd.server.kill()
    crowd.server.start()
    crowd.replay = crowd.server.addresses.account_id or ""
    rows = {row["id"]: row for row in crowd.call("GET", "/accounts")}
    assert [rows[account]["status"] for account in ids] == ["disconnected"] + ["connected"] * (
        ACCOUNTS - 1
    )
    assert rows[ids[1]]["name"] == "Renamed"
    assert [held_by(crowd, account) for account in ids] == held
    assert audit(crowd.server.data / "journal.db", lambda *_: None).is_intact
    crowd.call("POST", f"/accounts/{ids[0]}/connect")


def held_by(crowd: Crowd, account: str) -> Json:
    """What an account has that no tick changes."""
    figures = crowd.call("GET", "/account", account)
    positions = crowd.call("GET", "/positions", account)
    names = ("balance", "leverage", "currency", "login")
    return {
        "positions": sorted(position["id"] for position in positions),
        **{name: figures[name] for name in names},
    }
