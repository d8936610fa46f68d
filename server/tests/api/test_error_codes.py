"""Every error code of the contract, produced over HTTP by one request each."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from fxsocket_server.core import limits
from fxsocket_server.core.catalogue import CATALOGUE
from fxsocket_server.gateway.risk.rules import rules_of
from fxsocket_server.model.facts import Report
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.security.principal import Scope

from .client import Api, order_of
from .contract import Contract
from .kinds import KINDS, Trader
from .world import FarConnector, World

Patch = pytest.MonkeyPatch
Connect = Callable[..., Api]


class Stage:
    """What the requests below need: a world, and a client of an account of its own."""

    def __init__(self, world: World, connect: Connect, patch: Patch) -> None:
        self.world = world
        self.connect = connect
        self.patch = patch
        self.account = world.add_account()
        self.secret = world.add_key(accounts=(self.account,))
        self.api = connect(self.secret)

    def order(self, **order: Any) -> httpx2.Response:
        """Place an order."""
        return self.api.call("POST", "/orders", json=order_of(**order))

    def next_refusal(self, retcode: Retcode) -> None:
        """Let the broker refuse the next command with a code of its own."""
        fault = {"retcode": int(retcode), "times": 1}
        assert self.api.call("POST", "/sim/faults", json=fault).status_code == 200

    def refused_by_broker(self, retcode: Retcode) -> httpx2.Response:
        """Place an order that the broker refuses with a code of its own."""
        self.next_refusal(retcode)
        return self.order()

    def opened(self) -> str:
        """A position."""
        position_id: str = self.api.place()["position_id"]
        return position_id


def _wrong_scope(stage: Stage) -> httpx2.Response:
    api = stage.connect(stage.world.add_key(Scope.READ, accounts=(stage.account,)))
    return api.call("POST", "/orders", json=order_of())


def _rules(stage: Stage, *, of_key: bool) -> httpx2.Response:
    """Place more than a rule allows, of the account or of the key."""
    rules = rules_of({"max_order_volume": "0.05"})
    key_id = stage.world.keyring.authenticate(stage.secret).key_id
    book = stage.world.lane(stage.account).risk.book
    sets = ({}, {key_id: rules}) if of_key else ({stage.account: rules}, {})
    stage.world.do(lambda: book.replace(*sets))
    return stage.order()


def _halted(stage: Stage) -> httpx2.Response:
    stage.api.call("POST", f"/accounts/{stage.account}/halt", json={"reason": "news"})
    return stage.order()


def _plan_is_full(stage: Stage) -> httpx2.Response:
    stage.patch.setattr(stage.world.registry, "_accounts_max", 0)
    return stage.connect(stage.world.add_key()).call("POST", "/accounts", json={"kind": "SIM"})


def _linked_twice(stage: Stage) -> httpx2.Response:
    api = stage.connect(stage.world.add_key())
    asked = {"kind": "TERMINAL", "server": "Twice", "login": 1}
    api.call("POST", "/accounts", json=asked)
    return api.call("POST", "/accounts", json=asked)


def _removed_too_soon(stage: Stage) -> httpx2.Response:
    account = stage.world.add_account(kind=FarConnector)
    far = stage.world.lane(account).connector
    assert isinstance(far, FarConnector)
    far.silent = True
    api = stage.connect(stage.world.add_key(accounts=(account,)))
    api.call("POST", "/orders", json=order_of(), headers={"X-Request-Timeout-Ms": "1"})
    return api.call("DELETE", f"/accounts/{account}")


def _sim_only(stage: Stage) -> httpx2.Response:
    """The same as a terminal's account would answer."""
    connector: Any = stage.world.lane(stage.account).connector
    stage.patch.setattr(connector._feed, "recorded", True)
    price = {"symbol": "EURUSD", "bid": 1.0834, "ask": 1.0835}
    return stage.api.call("POST", "/sim/price", json=price)


def _slow_body(stage: Stage) -> httpx2.Response:
    stage.patch.setattr(limits, "BODY_READ_MS", 20)
    host, port = stage.world.root.removeprefix("http://").split(":")
    key = stage.world.add_key(accounts=(stage.account,))
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\n\r\n{"
        )
        return _response(connection.makefile("rb").read())


def _response(raw: bytes) -> httpx2.Response:
    head, _, body = raw.partition(b"\r\n\r\n")
    return httpx2.Response(int(head.split(b" ")[1]), content=body)


def _in_flight(stage: Stage) -> httpx2.Response:
    account = stage.world.add_account(kind=FarConnector)
    far: Any = stage.world.lane(account).connector
    far.silent = True
    headers = {"Idempotency-Key": "k", "X-Request-Timeout-Ms": "1"}
    api = stage.connect(stage.world.add_key(accounts=(account,)))
    for _ in range(2):
        response = api.call("POST", "/orders", json=order_of(), headers=headers)
    return response


def _reused_key(stage: Stage) -> httpx2.Response:
    stage.order(client_order_id="k")
    return stage.order(client_order_id="k", volume=0.2)


def _no_account(stage: Stage) -> httpx2.Response:
    return stage.connect(stage.world.add_key()).call("GET", "/account")


def _unavailable(stage: Stage) -> httpx2.Response:
    account = stage.world.add_account(connected=False)
    return stage.connect(stage.world.add_key(accounts=(account,))).call("GET", "/account")


def _rate_limited(stage: Stage) -> httpx2.Response:
    key = stage.world.add_key()
    stage.world.drain(key, stage.world.context.requests)
    return stage.connect(key).call("GET", "/account", headers={"X-Account-Id": stage.account})


def _journal_is_behind(stage: Stage) -> httpx2.Response:
    stage.patch.setattr(limits, "JOURNAL_QUEUE_CHANGES", 0)
    return stage.order()


def _journal_is_full(stage: Stage) -> httpx2.Response:
    stage.patch.setattr(stage.world.journal, "shortage", lambda: "disk is full")
    return stage.order()


def _requote(stage: Stage) -> httpx2.Response:
    trader = Trader(stage.world, stage.connect, KINDS[-1])  # INSTANT execution
    return trader.api.call("POST", "/orders", json=trader.order(price=1.05))


def _shared_position(stage: Stage) -> httpx2.Response:
    trader = Trader(stage.world, stage.connect, KINDS[1])
    first, _ = trader.place(), trader.place()
    return trader.api.call("PATCH", "/orders/" + first["id"], json={"sl": 1.05})


def _closed_position(stage: Stage) -> httpx2.Response:
    position = stage.opened()
    stage.api.call("DELETE", "/positions/" + position)
    return stage.api.call("PATCH", "/positions/" + position, json={"sl": 1.05})


def _done_order(stage: Stage) -> httpx2.Response:
    order = stage.api.place(type="BUY_LIMIT", price=1.05)
    stage.api.call("DELETE", "/orders/" + order["id"])
    return stage.api.call("PATCH", "/orders/" + order["id"], json={"price": 1.04})


def _not_unknown(stage: Stage) -> httpx2.Response:
    order_id = stage.api.place()["id"]
    body = {"outcome": "NOT_EXECUTED", "reason": "looked at the terminal"}
    return stage.api.call("POST", f"/orders/{order_id}/resolve", json=body)


def _by(retcode: Retcode) -> Callable[[Stage], httpx2.Response]:
    return lambda stage: stage.refused_by_broker(retcode)


def _nothing_changed(stage: Stage) -> httpx2.Response:
    """A terminal says so of an order, though only a modification can change nothing."""
    connector: Any = stage.world.lane(stage.account).connector
    said = Report(retcode=Retcode.NO_CHANGES, facts=(), time_ms=connector.time_ms())
    stage.patch.setattr(connector, "hand_over", lambda request: said)
    return stage.order()


def _frozen(stage: Stage) -> httpx2.Response:
    position = stage.opened()
    stage.next_refusal(Retcode.FROZEN)
    return stage.api.call("DELETE", "/positions/" + position)


def _get(path: str) -> Callable[[Stage], httpx2.Response]:
    return lambda stage: stage.api.call("GET", path)


def _place(**order: Any) -> Callable[[Stage], httpx2.Response]:
    return lambda stage: stage.order(**order)


def _raw(content: bytes, kind: str = "application/json") -> Callable[[Stage], httpx2.Response]:
    headers = {"Content-Type": kind}
    return lambda stage: stage.api.call("POST", "/orders", content=content, headers=headers)


PRODUCERS: dict[str, Callable[[Stage], httpx2.Response]] = {
    "bad_request": _get("/orders?symbol=%ff"),
    "malformed_json": _raw(b"{"),
    "unauthorized": lambda stage: stage.connect("fxs_no").call("GET", "/account"),
    "forbidden": _wrong_scope,
    "account_halted": _halted,
    "account_limit": _plan_is_full,
    "account_exists": _linked_twice,
    "account_busy": _removed_too_soon,
    "key_limit": lambda stage: _rules(stage, of_key=True),
    "risk_limit": lambda stage: _rules(stage, of_key=False),
    "sim_only": _sim_only,
    "not_found": _get("/orders/ord_0"),
    "method_not_allowed": lambda stage: stage.api.call("PUT", "/orders"),
    "request_timeout": _slow_body,
    "idempotency_in_flight": _in_flight,
    "payload_too_large": _raw(b" " * (limits.BODY_BYTES + 1)),
    "unsupported_media_type": _raw(b"{}", "text/plain"),
    "validation_error": _place(lots=1),
    "account_required": _no_account,
    "idempotency_key_reused": _reused_key,
    "cursor_invalid": _get("/orders?cursor=next"),
    "epoch_mismatch": _get("/events?epoch=another"),
    "invalid_symbol": _place(symbol="EURUSX"),
    "invalid_volume": _place(volume=0.015),
    "invalid_price": _place(type="BUY_LIMIT", price=1.2),
    "invalid_stops": _place(sl=1.09),
    "invalid_fill": _place(filling="BOC"),
    "invalid_expiration": _place(type="BUY_LIMIT", price=1.05, time_in_force="SPECIFIED"),
    "market_closed": _by(Retcode.MARKET_CLOSED),
    "not_enough_money": _place(volume=100),
    "trade_disabled": _by(Retcode.TRADE_DISABLED),
    "close_only": _by(Retcode.CLOSE_ONLY),
    "long_only": _by(Retcode.LONG_ONLY),
    "short_only": _by(Retcode.SHORT_ONLY),
    "order_limit": _by(Retcode.LIMIT_ORDERS),
    "volume_limit": _by(Retcode.LIMIT_VOLUME),
    "requote": _requote,
    "price_off": _place(symbol="AUDUSD"),
    "price_changed": _by(Retcode.PRICE_CHANGED),
    "no_changes": _nothing_changed,
    "frozen": _frozen,
    "order_not_unknown": _not_unknown,
    "order_closed": _done_order,
    "position_closed": _closed_position,
    "use_position": _shared_position,
    "rejected": _by(Retcode.REJECT),
    "rate_limited": _rate_limited,
    "headers_too_large": _get("/orders?symbol=" + "A" * limits.HEADER_BYTES),
    "unavailable": _unavailable,
    "journal_unavailable": _journal_is_behind,
    "journal_full": _journal_is_full,
}


@pytest.fixture
def stage(world: World, connect: Connect, monkeypatch: Patch) -> Iterator[Stage]:
    yield Stage(world, connect, monkeypatch)
    monkeypatch.undo()


def test_every_code_of_the_contract_has_a_request_here() -> None:
    assert set(PRODUCERS) == set(CATALOGUE) == set(Contract().errors)


@pytest.mark.parametrize("code", CATALOGUE)
def test_the_code_is_answered(code: str, stage: Stage) -> None:
    kind = CATALOGUE[code]
    response = PRODUCERS[code](stage)
    problem = response.json()
    assert (problem["code"], response.status_code) == (code, kind.status), problem
    assert (problem["title"], problem["retryable"]) == (kind.title, kind.retryable)
    assert problem["detail"]
