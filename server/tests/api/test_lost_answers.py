"""Every trade command whose answer is lost and that is sent again: the effect once."""

import json
import select
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from .client import Api, order_of
from .world import WATCHDOG_S, Spy, World


class Sent(Struct):
    """A trade command on its way."""

    method: str
    path: str
    body: dict[str, Any] | None = None


def _position(api: Api, **order: Any) -> str:
    position_id: str = api.place(**order)["position_id"]
    return position_id


def _resting(api: Api) -> str:
    order_id: str = api.place(type="BUY_LIMIT", price=1.05)["id"]
    return order_id


COMMANDS: dict[str, Callable[[Api], Sent]] = {
    "place": lambda api: Sent("POST", "/orders", order_of()),
    "place a pending order": lambda api: Sent(
        "POST", "/orders", order_of(type="BUY_LIMIT", price=1.05)
    ),
    "batch": lambda api: Sent(
        "POST", "/orders/batch", {"orders": [order_of(), order_of(volume=0.015), order_of()]}
    ),
    "modify an order": lambda api: Sent("PATCH", "/orders/" + _resting(api), {"price": 1.04}),
    "modify a filled order": lambda api: Sent(
        "PATCH", "/orders/" + api.place()["id"], {"sl": 1.05}
    ),
    "cancel": lambda api: Sent("DELETE", "/orders/" + _resting(api)),
    "close by order": lambda api: Sent("DELETE", "/orders/" + api.place()["id"]),
    "close": lambda api: Sent("DELETE", "/positions/" + _position(api)),
    "close in part": lambda api: Sent(
        "DELETE", "/positions/" + _position(api, volume=0.3) + "?volume=0.1"
    ),
    "modify a position": lambda api: Sent("PATCH", "/positions/" + _position(api), {"sl": 1.05}),
    "close by": lambda api: Sent(
        "POST",
        f"/positions/{_position(api, volume=0.3)}/close-by",
        {"position_id": _position(api, type="SELL")},
    ),
    "reverse": lambda api: Sent("POST", f"/positions/{_position(api)}/reverse", {}),
    "close all": lambda api: Sent(
        "POST", "/positions/close-all", {"symbol": _position(api) and None, "include_orders": True}
    ),
}


def lose(world: World, account: str, key: str, sent: Sent, headers: dict[str, str]) -> None:
    """Send a command, let its answer come, and reset the connection with the answer unread."""
    guard = world.lane(account).retries.guard
    raw = b"" if sent.body is None else json.dumps(sent.body).encode()
    head = [
        f"{sent.method} /v1{sent.path} HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(raw)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    host, port = world.root.removeprefix("http://").split(":")
    with Spy(guard, "_heard", lambda _, *, delivered: not delivered) as lost:
        with socket.create_connection((host, int(port)), timeout=WATCHDOG_S) as line:
            line.sendall("\r\n".join([*head, "", ""]).encode() + raw)
            readable, _, _ = select.select([line], [], [], WATCHDOG_S)
            assert readable
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if not headers:
            lost.wait_for(1)


def state(api: Api) -> Any:
    """All that a command could have done twice."""
    positions = [(p["id"], p["volume"], p["sl"]) for p in api.get("/positions")]
    orders = [(o["id"], o["status"], o["price"]) for o in api.get("/orders", limit=1000)["data"]]
    deals = [deal["id"] for deal in api.get("/history/deals", limit=1000)["data"]]
    return positions, orders, deals, api.get("/events")["head"]


@pytest.mark.parametrize("keyed", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_sent_again_after_its_answer_was_lost_has_its_effect_once(
    name: str, keyed: bool, world: World, connect: Callable[..., Api]
) -> None:
    account = world.add_account()
    key = world.add_key(accounts=(account,))
    api = connect(key)
    sent = COMMANDS[name](api)
    headers = {"Idempotency-Key": "once"} if keyed else {}
    before = state(api)
    lose(world, account, key, sent, headers)
    once = state(api)
    assert once != before
    options: dict[str, Any] = {} if sent.body is None else {"json": sent.body}
    again = api.call(sent.method, sent.path, headers=headers, **options)
    assert again.status_code == 200, again.text
    assert again.headers["idempotency-replayed"] == ("true" if keyed else "inferred")
    assert state(api) == once
