"""A server and a terminal in processes of their own: whoever is killed, the records agree.

The terminal's ledger is the independent truth. After every kill the API must tell exactly the
orders, deals and positions that stand there, and no order may stand there twice.
"""

from pathlib import Path
from typing import Any

import pytest
import requests

from fxsocket_server.settings import TERMINAL_CRASH_POINTS
from fxsocket_server.testkit.process import ServerProcess, TerminalProcess, link_terminal

HEADERS = {"Authorization": "Bearer test-key"}
LOGIN, SERVER = 1_234_567, "FxSocket-Demo"
WATCHDOG_S = 30
TRIES = 20_000


class Pair:
    """A linked account's server and terminal."""

    def __init__(self, folder: Path, *options: str) -> None:
        link = link_terminal(folder / "server", SERVER, LOGIN)
        self.account_id = link.account_id
        self.server = ServerProcess(folder / "server", command="serve")
        bridge = self.server.start().bridge
        account = ("--login", str(LOGIN), "--server", SERVER)
        self.terminal = TerminalProcess(folder / "terminal", bridge, link.token, *account, *options)

    def end(self) -> None:
        for process in (self.terminal, self.server):
            if process.running:
                process.kill()

    # --- REST --------------------------------------------------------------------------------

    def get(self, path: str, **query: object) -> requests.Response:
        url = self.server.addresses.rest + path
        parameters = {name: str(value) for name, value in query.items()}
        return requests.get(url, params=parameters, headers=HEADERS, timeout=WATCHDOG_S)

    def buy(self, name: str, wait_ms: int = 8_000) -> requests.Response:
        return requests.post(
            self.server.addresses.rest + "/orders",
            json={"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "client_order_id": name},
            headers={**HEADERS, "X-Request-Timeout-Ms": str(wait_ms)},
            timeout=WATCHDOG_S,
        )

    def bought(self, name: str, wait_ms: int = 8_000) -> requests.Response:
        """Buy as soon as orders are taken: the terminal is there and reconciled."""
        for _ in range(TRIES):
            answer = self.buy(name, wait_ms)
            if answer.status_code != 503:
                return answer
            self._pause()
        raise AssertionError(answer.text)

    def _pause(self) -> None:
        """A long-poll for whatever happens next; the account may not be there to be asked yet."""
        log = self.get("/events", limit=1)
        if log.status_code == 200:
            self.get("/events", after=log.json()["head"], wait_ms=100)

    def until_settled(self, name: str) -> dict[str, Any]:
        """An order by its client's id, once its outcome is known."""
        after = 0
        for _ in range(TRIES):
            order: dict[str, Any] = self.get(f"/orders/by-client-id/{name}").json()
            if order.get("status") not in ("PENDING", "UNKNOWN"):
                return order
            page = self.get("/events", after=after, wait_ms=2_000).json()
            after = max([after, *(event["seq"] for event in page["data"])])
        raise AssertionError(order)

    # --- truth -------------------------------------------------------------------------------

    def agree(self) -> int:
        """The API tells what the ledger holds, all of it and once; returns how many positions."""
        with self.terminal.ledger() as ledger:
            orders, deals = ledger.orders(), ledger.deals()
            positions = ledger.positions(only_open=True)
            balance, _ = ledger.money
        told = self.get("/orders", limit=1_000).json()["data"]
        filled = sorted(order["ticket"] for order in told if order["status"] == "FILLED")
        assert filled == [order.ticket for order in orders if order.filled_volume]
        told = self.get("/history/deals", limit=1_000).json()["data"]
        assert sorted(deal["ticket"] for deal in told) == [deal.ticket for deal in deals]
        told = self.get("/positions").json()
        assert sorted((p["ticket"], round(p["volume"] * 10**8)) for p in told) == [
            (position.ticket, position.volume) for position in positions
        ]
        assert round(self.get("/account").json()["balance"] * 100) == balance
        tags = [order.comment[:12] for order in orders if order.comment.startswith("~")]
        assert len(tags) == len(set(tags)), "an order was carried out twice"
        return len(positions)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    def made(*options: str) -> Pair:
        pair = Pair(tmp_path, *options)
        request.addfinalizer(pair.end)
        return pair

    return made


def test_whoever_is_killed_the_records_agree(make: Any) -> None:
    pair = make("--seed", "7")
    pair.terminal.start()
    for number in range(5):
        answer = pair.bought(f"first-{number}")
        assert (answer.status_code, answer.json()["status"]) == (200, "FILLED"), answer.text
    pair.terminal.kill()
    refused = pair.buy("away")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert pair.get("/orders").json()["data"][0]["client_order_id"] == "first-4"

    pair.terminal.start()
    assert pair.bought("away").json()["status"] == "FILLED"
    assert pair.agree() == 6

    pair.server.kill()
    pair.terminal.wait("disconnected")
    pair.server.start()
    assert pair.bought("last").json()["status"] == "FILLED"
    assert pair.agree() == 7
    assert pair.buy("first-0").headers["Idempotency-Replayed"] == "true"
    [position, *_] = pair.get("/positions").json()
    closed = requests.delete(
        f"{pair.server.addresses.rest}/positions/{position['id']}",
        headers=HEADERS,
        timeout=WATCHDOG_S,
    )
    assert closed.json()["status"] == "CLOSED", closed.text
    assert pair.agree() == 6


# What the quick form leaves out is proved in process, too: server/tests/bridge/test_trades.py.
QUICK = ("before_start", "after_start", "after_execute")
POINTS = [
    pytest.param(point, marks=() if point in QUICK else pytest.mark.soak)
    for point in TERMINAL_CRASH_POINTS
]


@pytest.mark.parametrize("point", POINTS)
def test_a_terminal_killed_at_a_point_leaves_no_doubt_that_it_could_settle(
    point: str, make: Any
) -> None:
    pair = make("--seed", "7")
    pair.terminal.start({"FXSOCKET_TERMINAL_CRASH_AT": f"{point}:2"})
    assert pair.bought("one").json()["status"] == "FILLED"
    answer = pair.buy("two", wait_ms=1)
    assert answer.status_code == 200
    assert answer.json()["status"] in ("PENDING", "FILLED")
    assert pair.terminal.wait_dead() == -9
    pair.terminal.start()
    assert pair.bought("three").json()["status"] == "FILLED"
    if point == "after_start":  # begun and not executed: only the broker's owner can tell
        assert pair.get("/orders/by-client-id/two").json()["status"] in ("PENDING", "UNKNOWN")
        assert pair.agree() == 2
        return
    order = pair.until_settled("two")
    if point == "before_start":
        assert (order["status"], order["reason"]) == ("REJECTED", "not_executed")
    else:
        assert order["status"] == "FILLED"
    assert pair.agree() == 2 + (order["status"] == "FILLED")


def test_a_fill_that_comes_after_the_server_was_killed_is_its_order_s(make: Any) -> None:
    pair = make("--seed", "7", "--fault", "slow_broker:delay_ms=2500,delay_shape=FIXED,times=1")
    pair.terminal.start()
    answer = pair.bought("slow", wait_ms=1)
    assert (answer.status_code, answer.json()["status"]) == (200, "PENDING")
    pair.server.kill()
    pair.server.start()
    order = pair.until_settled("slow")
    assert (order["status"], order["id"]) == ("FILLED", answer.json()["id"])
    assert pair.agree() == 1
