"""SIGKILL under load: what was answered stays true, whatever instant the process died at.

Four clients place 200 orders, each under a key of its own, and repeat a request whose answer they
never got. The server is killed at random and at the named points of the order path and started
again on the same folder. After each restart:
  - every answer ever received is found unchanged,
  - the same key still gives the same answer,
  - every deal belongs to a journalled order,
  - the event log continues the one read before, without a hole,
  - the journal verifies: chain, numbers, replay = state.
At the end: 200 keys, 200 orders, 200 positions: nothing was lost and nothing traded twice.
"""

import json
import random
import threading
from pathlib import Path

import requests

from fxsocket_server.storage.journal.audit import audit
from fxsocket_server.testkit.process import ServerProcess

CLIENTS = 4
ORDERS = 200
RANDOM_KILLS = 20
POINTS = ("after_intent", "after_broker", "after_commit")
HEADERS = {"Authorization": "Bearer test-key"}
WATCHDOG_S = 60


class Load:
    """Clients that place their orders through restarts, and what they were answered."""

    def __init__(self, seed: int) -> None:
        self.answers: dict[str, bytes] = {}
        self.sent = 0
        self._keys = [f"kill-{seed % 10**6}-{n}" for n in range(ORDERS)]
        self._allowed = 0
        self._rest = ""
        self._down = threading.Condition()
        self._threads = [
            threading.Thread(target=self._client, args=(index,), daemon=True)
            for index in range(CLIENTS)
        ]

    def begin(self) -> None:
        """Start the clients; they wait until the server is up."""
        for thread in self._threads:
            thread.start()

    def server_up(self, rest: str) -> None:
        """Tell the clients where the server is."""
        with self._down:
            self._rest = rest
            self._down.notify_all()

    def server_down(self, rest: str) -> None:
        """Tell the clients that the server at this address is gone."""
        with self._down:
            if self._rest == rest:
                self._rest = ""

    def wait_for_sent(self, count: int) -> None:
        """Return once `count` requests were sent in all, or every client is done."""
        with self._down:
            self._down.wait_for(lambda: self.sent >= count or self.done, WATCHDOG_S)

    @property
    def done(self) -> bool:
        """Whether every order was answered."""
        return len(self.answers) == ORDERS

    def join(self) -> None:
        """Wait for the clients' end."""
        for thread in self._threads:
            thread.join(WATCHDOG_S)
            assert not thread.is_alive(), "a client hangs"

    def _client(self, index: int) -> None:
        for key in self._keys[index::CLIENTS]:
            while key not in self.answers:  # until answered; the test's timeout is the watchdog
                self._try(key)

    def _try(self, key: str) -> None:
        with self._down:
            self._down.wait_for(lambda: self._rest, WATCHDOG_S)
            rest = self._rest
            self.sent += 1
            self._down.notify_all()
        try:
            answer = place(rest, key)
        except requests.exceptions.RequestException:
            self.server_down(rest)
            return
        assert answer.status_code == 200, answer.text
        with self._down:
            self.answers[key] = answer.content
            self._down.notify_all()


def place(rest: str, key: str) -> requests.Response:
    """Place the order of a key; the volume follows from the key, so a mix-up would show."""
    body = {"symbol": "EURUSD", "type": "BUY", "volume": volume_of(key), "client_order_id": key}
    return requests.post(rest + "/orders", json=body, headers=HEADERS, timeout=WATCHDOG_S)


def volume_of(key: str) -> float:
    """A volume of 0.01 to 0.20 that only this key's order has in its turn."""
    return (int(key.rpartition("-")[2]) % 20 + 1) / 100


def get(rest: str, path: str, **parameters: object) -> dict[str, object]:
    """A GET that must succeed."""
    query = {name: str(value) for name, value in parameters.items()}
    answer = requests.get(rest + path, params=query, headers=HEADERS, timeout=WATCHDOG_S)
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def read_all(rest: str, path: str) -> list[dict[str, object]]:
    """Every row of a paged list."""
    rows: list[dict[str, object]] = []
    cursor: object = ""
    while cursor is not None:  # bounded by the rows of the test
        page = get(rest, path, limit=1000, **({"cursor": cursor} if cursor else {}))
        rows += page["data"]  # type: ignore[arg-type]
        cursor = page["next_cursor"]
    return rows


def read_events(rest: str) -> list[dict[str, object]]:
    """The whole event log."""
    events: list[dict[str, object]] = []
    more = True
    while more:  # bounded by the log's length
        page = get(rest, "/events", after=events[-1]["seq"] if events else 0, limit=1000)
        events += page["data"]  # type: ignore[arg-type]
        more = page["next_cursor"] is not None
    return events


class Auditor:
    """Checks a restarted server against everything that was ever heard from its forerunners."""

    def __init__(self) -> None:
        self._events: list[dict[str, object]] = []
        self.checked = 0

    def check(self, rest: str, answers: dict[str, bytes]) -> None:
        """Everything that the docstring of this file promises after a restart."""
        orders = {str(order["id"]): order for order in read_all(rest, "/orders")}
        for key, content in list(answers.items())[self.checked :]:
            again = place(rest, key)
            assert again.content == content, f"key {key} has another answer now"
            assert again.headers["Idempotency-Replayed"] == "true"
        for content in answers.values():
            order = json.loads(content)
            assert orders[order["id"]] == order, "an answered order has changed"
        self.checked = len(answers)
        self._check_deals(rest, orders)
        self._check_events(rest)

    def _check_deals(self, rest: str, orders: dict[str, dict[str, object]]) -> None:
        deals = [d for d in read_all(rest, "/history/deals") if d["type"] != "BALANCE"]
        assert all(deal["order_id"] in orders for deal in deals), "a deal without its order"
        assert len({deal["order_id"] for deal in deals}) == len(deals), "an order traded twice"

    def _check_events(self, rest: str) -> None:
        events = read_events(rest)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[: len(self._events)] == self._events, "the log was rewritten"
        self._events = events


def schedule(rng: random.Random) -> list[str]:
    """The kills in their order: `random` ones, and each named point three times."""
    kills = ["random"] * RANDOM_KILLS + [point for point in POINTS for _ in range(3)]
    rng.shuffle(kills)
    return kills


def test_nothing_answered_is_lost_and_nothing_trades_twice(
    tmp_path: Path, rng: random.Random, seed: int
) -> None:
    load, auditor = Load(seed), Auditor()
    server = ServerProcess(tmp_path / "data", "--balance", "1000000")
    load.begin()
    kills = 0
    try:
        for kind in schedule(rng):
            share = max(1, (ORDERS - len(load.answers)) // 8)
            crash = {} if kind == "random" else {"FXSOCKET_CRASH_AT": f"{kind}:{share}"}
            rest = server.start(crash).rest
            auditor.check(rest, dict(load.answers))
            assert audit(tmp_path / "data" / "journal.db", lambda done, total: None).findings == []
            target = load.sent + rng.randint(1, share)
            load.server_up(rest)
            if kind == "random":
                load.wait_for_sent(target)
                server.kill()
            elif load.done:
                server.kill()
            else:
                server.wait_dead()
            load.server_down(rest)
            kills += 1
        rest = server.start().rest
        load.server_up(rest)
        load.join()
        auditor.check(rest, dict(load.answers))
        check_the_end(rest, load)
    finally:
        if server.running:
            server.kill()
    assert kills == RANDOM_KILLS + 3 * len(POINTS)


def check_the_end(rest: str, load: Load) -> None:
    """One order and one position a key, no more."""
    orders = read_all(rest, "/orders")
    filled = [order for order in orders if order["status"] == "FILLED"]
    by_key = {str(order["client_order_id"]): order for order in filled}
    assert len(load.answers) == len(by_key) == len(filled) == ORDERS
    assert all(order["volume"] == volume_of(key) for key, order in by_key.items())
    positions = requests.get(rest + "/positions", headers=HEADERS, timeout=WATCHDOG_S).json()
    assert {p["order_id"] for p in positions} == {order["id"] for order in filled}
    assert len(positions) == ORDERS
