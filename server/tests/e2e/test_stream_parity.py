"""The same command over REST and over the socket: one answer, one key, one refusal."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from fxsocket_server.gateway.trades import TRADES
from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 30
BEARER = {"Authorization": "Bearer test-key"}
BUY = {"symbol": "EURUSD", "type": "BUY", "volume": 0.02}
LIMIT = {"symbol": "EURUSD", "type": "BUY_LIMIT", "volume": 0.01, "price": 1.0}

_PRICE = re.compile(r"\d+\.\d+")  # the market moves between the two

Rest = tuple[str, str, Any]  # method, path, body


class Desk:
    """One key's two ways to one server."""

    def __init__(self, server: ServerProcess, stream: ClientConnection) -> None:
        self._rest = server.addresses.rest
        self._stream = stream
        self._count = 0

    def over_rest(self, asked: Rest, key: str | None = None) -> tuple[Any, str | None]:
        """The answer, and whether it says that it was replayed."""
        method, path, body = asked
        headers = BEARER if key is None else {**BEARER, "Idempotency-Key": key}
        answer = requests.request(
            method, self._rest + path, json=body, headers=headers, timeout=WATCHDOG_S
        )
        return answer.json(), answer.headers.get("Idempotency-Replayed")

    def over_socket(self, action: str, key: str | None = None, **members: Any) -> Any:
        """The frame that answers."""
        self._count += 1
        frame = {"action": action, "id": self._count, "idempotency_key": key, **members}
        self._stream.send(json.dumps(frame))
        while True:  # each wait has its watchdog
            told = json.loads(self._stream.recv(WATCHDOG_S))
            if told.get("id") == self._count:
                return told

    def open(self) -> tuple[str, str, str]:
        """A bought position, a sold one, a resting order."""
        orders = (BUY, {**BUY, "type": "SELL"}, LIMIT)
        bought, sold, resting = (self.over_rest(("POST", "/orders", o))[0] for o in orders)
        return bought["position_id"], sold["position_id"], resting["id"]


@pytest.fixture
def desk(server: ServerProcess) -> Iterator[Desk]:
    with connect(server.addresses.stream, additional_headers=BEARER) as stream:
        yield Desk(server, stream)


def both_ways(bought: str, sold: str, resting: str) -> dict[str, tuple[dict[str, Any], str, Rest]]:
    """Each command as a frame, the member that its answer has, and the same over REST."""
    return {
        "order.place": ({"order": BUY}, "order", ("POST", "/orders", BUY)),
        "order.batch": (
            {"orders": [BUY, LIMIT]}, "result", ("POST", "/orders/batch", {"orders": [BUY, LIMIT]})
        ),
        "order.modify": (
            {"order_id": resting, "patch": {"price": 1.01, "tp": None}}, "order",
            ("PATCH", f"/orders/{resting}", {"price": 1.01, "tp": None}),
        ),
        "order.cancel": (
            {"order_id": resting, "deviation": 5}, "order",
            ("DELETE", f"/orders/{resting}?deviation=5", None),
        ),
        "position.modify": (
            {"position_id": bought, "patch": {"tp": 1.5}}, "position",
            ("PATCH", f"/positions/{bought}", {"tp": 1.5}),
        ),
        "position.close": (
            {"position_id": bought, "volume": 0.01}, "result",
            ("DELETE", f"/positions/{bought}?volume=0.01", None),
        ),
        "position.close_by": (
            {"position_id": bought, "by": sold}, "result",
            ("POST", f"/positions/{bought}/close-by", {"position_id": sold}),
        ),
        "position.reverse": (
            {"position_id": bought}, "result", ("POST", f"/positions/{bought}/reverse", {})
        ),
        "position.close_all": (
            {"symbol": "EURUSD", "side": "SELL"}, "result",
            ("POST", "/positions/close-all", {"symbol": "EURUSD", "side": "SELL"}),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("first", ["socket", "rest"])
@pytest.mark.parametrize("action", TRADES)
def test_the_other_way_gives_the_answer_that_the_key_has(
    desk: Desk, action: str, first: str
) -> None:
    members, name, asked = both_ways(*desk.open())[action]
    key = f"{action}-{first}"
    if first == "socket":
        told = desk.over_socket(action, key, **members)
        answer, replayed = desk.over_rest(asked, key)
        assert (told["replayed"], replayed) == (False, "true")
    else:
        answer, replayed = desk.over_rest(asked, key)
        told = desk.over_socket(action, key, **members)
        assert (told["replayed"], replayed) == (True, None)
    assert told == {
        "type": "result", "id": told["id"], "replayed": told["replayed"], name: answer,
    }  # fmt: skip


def test_cancelling_a_filled_order_gives_a_result(desk: Desk) -> None:
    order, _ = desk.over_rest(("POST", "/orders", BUY))
    told = desk.over_socket("order.cancel", "filled", order_id=order["id"])
    answer, _ = desk.over_rest(("DELETE", f"/orders/{order['id']}", None), "filled")
    assert told["result"] == answer
    assert answer["status"] == "CLOSED"


def refusals(bought: str, sold: str, resting: str) -> list[tuple[str, dict[str, Any], Rest]]:
    """Commands that are refused, both ways."""
    none, bad = "pos_none", {**BUY, "volume": 0.015}
    return [
        ("order.place", {"order": bad}, ("POST", "/orders", bad)),
        ("order.place", {"order": {}}, ("POST", "/orders", {})),
        (
            "order.place", {"order": {**BUY, "volume": 900}},
            ("POST", "/orders", {**BUY, "volume": 900}),
        ),
        ("order.batch", {"orders": []}, ("POST", "/orders/batch", {"orders": []})),
        (
            "order.modify", {"order_id": "ord_none", "patch": {"tp": 1.5}},
            ("PATCH", "/orders/ord_none", {"tp": 1.5}),
        ),
        (
            "order.modify", {"order_id": resting, "patch": {}},
            ("PATCH", f"/orders/{resting}", {}),
        ),
        (
            "order.modify", {"order_id": resting, "patch": {"sl": 1.4}},
            ("PATCH", f"/orders/{resting}", {"sl": 1.4}),
        ),
        (
            "order.cancel", {"order_id": resting, "volume": 0.01},
            ("DELETE", f"/orders/{resting}?volume=0.01", None),
        ),
        ("order.cancel", {"order_id": "ord_none"}, ("DELETE", "/orders/ord_none", None)),
        (
            "position.modify", {"position_id": bought, "patch": {"tp": 0.5}},
            ("PATCH", f"/positions/{bought}", {"tp": 0.5}),
        ),
        (
            "position.close", {"position_id": bought, "volume": 0.5},
            ("DELETE", f"/positions/{bought}?volume=0.5", None),
        ),
        (
            "position.close_by", {"position_id": bought, "by": bought},
            ("POST", f"/positions/{bought}/close-by", {"position_id": bought}),
        ),
        (
            "position.close_by", {"position_id": none, "by": sold},
            ("POST", f"/positions/{none}/close-by", {"position_id": sold}),
        ),
        ("position.reverse", {"position_id": none}, ("POST", f"/positions/{none}/reverse", {})),
        (
            "position.close_all", {"symbol": "NOPE"},
            ("POST", "/positions/close-all", {"symbol": "NOPE"}),
        ),
    ]  # fmt: skip


def told(problem: Any) -> dict[str, Any]:
    """What a refusal says, without what differs from one to the next."""
    own = {"type", "instance", "id", "order", "retry_after_s"}
    said = {name: value for name, value in problem.items() if name not in own}
    said["detail"] = _PRICE.sub("N", said["detail"])
    for error in said.get("errors", ()):
        error["pointer"] = error["pointer"].replace("?", "/")
        error["message"] = _PRICE.sub("N", error["message"])
    return said


def test_refusals_say_the_same_both_ways(desk: Desk) -> None:
    cases = refusals(*desk.open())
    assert {case[0] for case in cases} == TRADES.keys()
    for action, members, asked in cases:
        problem, _ = desk.over_rest(asked)
        error = desk.over_socket(action, **members)
        assert error["type"] == "error", (action, members, error)
        assert told(error) == told(problem), (action, members)
