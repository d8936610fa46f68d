"""spec/openapi.yaml and the server agree on what is routed, taken and answered, both ways."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec import UNSET, Struct, structs

from fxsocket_server.api.app import API_ROUTES, OPEN_ROUTES
from fxsocket_server.api.rest import tickets
from fxsocket_server.core import limits
from fxsocket_server.core.codec import convert
from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.gateway import (
    calc,
    faults,
    market_views,
    queries,
    requests,
    stats,
    terminal,
    views,
)
from fxsocket_server.gateway.accounts import requests as account_requests
from fxsocket_server.gateway.keys import requests as key_requests
from fxsocket_server.gateway.keys import views as key_views
from fxsocket_server.gateway.orders import check, resolve
from fxsocket_server.gateway.risk import guard
from fxsocket_server.gateway.several import batch, close_all, reverse
from fxsocket_server.security.principal import Scope

from .calls import CALLS, Call, place
from .client import Api, order_of
from .contract import Contract, Operation
from .world import FarConnector, World

BODIES: dict[str, type[Struct]] = {
    "AccountPatch": account_requests.AccountPatch,
    "AccountRequest": account_requests.AccountRequest,
    "BatchRequest": batch.BatchRequest,
    "CloseAllRequest": close_all.CloseAllRequest,
    "CloseByRequest": requests.CloseByRequest,
    "Halt": requests.HaltRequest,
    "KeyChange": key_requests.KeyChange,
    "KeyRequest": key_requests.KeyRequest,
    "KeyRotation": key_requests.RotateRequest,
    "OrderRequest": requests.OrderRequest,
    "OrderPatch": requests.OrderPatch,
    "PositionPatch": requests.PositionPatch,
    "ResolveRequest": resolve.ResolveRequest,
    "SimFault": faults.FaultRequest,
    "ReverseRequest": reverse.ReverseRequest,
    "SimPrice": requests.PriceRequest,
}
ANSWERS: dict[str, type[Struct]] = {
    "Account": market_views.AccountView,
    "AccountSummary": market_views.AccountSummary,
    "AuditEntry": key_views.AuditView,
    "AuditPage": key_views.AuditPage,
    "Balance": views.BalanceView,
    "CalcMargin": calc.MarginView,
    "CalcProfit": calc.ProfitView,
    "Candle": market_views.CandleView,
    "CloseResult": views.CloseResultView,
    "CurvePoint": stats.CurvePoint,
    "Deal": views.DealView,
    "DealPage": queries.DealPage,
    "HaltState": guard.HaltView,
    "Key": key_views.KeyView,
    "KeyPage": key_views.KeyPage,
    "NewKey": key_views.NewKeyView,
    "Order": views.OrderView,
    "OrderCheck": check.CheckView,
    "OrderPage": queries.OrderPage,
    "Position": views.PositionView,
    "PositionPage": queries.PositionPage,
    "Problem": views.ProblemView,
    "Quote": market_views.QuoteView,
    "SimFaultInForce": faults.FaultView,
    "SimFaults": faults.FaultsView,
    "Stats": stats.StatsView,
    "Symbol": market_views.SymbolView,
    "TerminalState": terminal.TerminalView,
    "StreamTicket": tickets.TicketView,
    "TradeFigures": stats.TradeFigures,
    "Usage": key_views.UsageView,
    "UsagePage": key_views.UsagePage,
}
# Written by hand from bytes and rows; the answers of a running server are held against them.
BY_HAND = {
    "BatchResult",
    "CanceledResult",
    "CloseAllResult",
    "CloseByResult",
    "CreatedAccount",
    "OrderResult",
    "PositionResult",
    "ReverseResult",
    "TradeGroup",
    "CandlePage",
    "Event",
    "EventPage",
    "Health",
    "KeyLimits",
    "OrderUpdated",
    "Ready",
    "Session",
}

CONTRACT = Contract()
ROUTES = {(route.method, route.path): route for route in API_ROUTES + OPEN_ROUTES}
OPERATIONS = {operation.id: operation for operation in CONTRACT.operations}


# --- as written ------------------------------------------------------------------------------


def test_every_operation_is_routed_and_every_route_is_an_operation() -> None:
    assert {(op.method, op.route) for op in CONTRACT.operations} == set(ROUTES)
    assert len(ROUTES) == len(API_ROUTES) + len(OPEN_ROUTES)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_knows_the_parameters_of_the_contract(name: str) -> None:
    operation = OPERATIONS[name]
    route = ROUTES[operation.method, operation.route]
    assert operation.names("query") == route.parameters
    headers = {"X-Account-Id"} if route.of_account else set()
    if route.scope is Scope.TRADE:
        headers |= {"Idempotency-Key", "X-Request-Timeout-Ms"}
    if name == "createAccount":
        headers |= {"Idempotency-Key"}
    assert operation.names("header") == headers
    assert all("{" + name + "}" in operation.path for name in operation.names("path"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_needs_the_scope_of_the_contract(name: str) -> None:
    operation = OPERATIONS[name]
    scope = ROUTES[operation.method, operation.route].scope
    assert operation.scope == (scope.name.lower() if isinstance(scope, Scope) else scope)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_has_the_fields_of_the_contract(name: str) -> None:
    schema, kind = CONTRACT.schemas[name], BODIES[name]
    fields = {field.encode_name: field for field in structs.fields(kind)}
    assert set(fields) == set(schema["properties"])
    required = {name for name, field in fields.items() if field.required}
    assert required == set(schema.get("required", ()))
    assert kind.__struct_config__.forbid_unknown_fields
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", BODIES)
def test_a_body_takes_null_where_the_contract_does(name: str) -> None:
    schema, kind = CONTRACT.schemas[name], BODIES[name]
    needed = {name: _some(kind, name) for name in schema.get("required", ())}
    for field in schema["properties"]:
        taken = _takes(kind, {**needed, field: None})
        assert taken == (not CONTRACT.schema_errors(name, {**needed, field: None})), field


def _takes(kind: type[Struct], body: dict[str, Any]) -> bool:
    try:
        convert(body, kind)
    except Problem:
        return False
    return True


def _some(kind: type[Struct], field: str) -> Any:
    example = {
        "symbol": "EURUSD", "type": "BUY", "reason": "news", "kind": "SIM", "name": "bot",
        "scope": "trade",
    }  # fmt: skip
    return example.get(field, 1.0)


def test_every_body_of_the_contract_is_compared() -> None:
    used = {
        media["schema"]["$ref"].rpartition("/")[2]
        for operation in CONTRACT.operations
        for media in operation.body.get("requestBody", {}).get("content", {}).values()
    }
    assert used == set(BODIES)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_fields_of_the_contract(name: str) -> None:
    schema, kind = CONTRACT.schemas[name], ANSWERS[name]
    assert {field.encode_name for field in structs.fields(kind)} == set(schema["properties"])
    always = {f.encode_name for f in structs.fields(kind) if f.required or f.default is None}
    if name == "Problem":  # the members that only some problems have are left out of the others
        always -= {"retcode", "retcode_name", "order"}
    assert always == set(schema["required"])


def test_every_answer_of_the_contract_is_compared() -> None:
    objects = {name for name, schema in CONTRACT.schemas.items() if _is_object(schema)}
    assert objects == set(ANSWERS) | set(BODIES) | BY_HAND
    assert {f.encode_name for f in structs.fields(FieldError)} == {"pointer", "message"}


def _is_object(schema: dict[str, Any]) -> bool:
    return "allOf" in schema or "properties" in schema


# --- as served: every status that the contract declares, of every operation -------------------


class Stage:
    """A world with what the calls below need, and clients with each kind of key."""

    def __init__(self, world: World, contract: Contract) -> None:
        self.world = world
        self.account = world.account
        self.ended = world.add_account(connected=False)
        self.far_account = world.add_account(kind=FarConnector)
        self.far = world.lane(self.far_account).connector
        self.leave_pending(2)
        world.clock.advance(limits.UNKNOWN_AFTER_MS)  # two tests below settle one each
        world.run(world.lane(self.far_account).look_after())
        world.add_account()  # to be halted
        keys: dict[str, str | None] = {s.name.lower(): world.add_key(s) for s in Scope}
        self.drained = world.add_key()
        world.drain(self.drained, world.context.requests)
        world.drain(self.drained, world.context.risk_reducing)
        self.none = Api(world.root, None, contract)
        self.clients = {
            **{name: self._api(contract, key) for name, key in keys.items()},
            "drained": self._api(contract, self.drained),
        }

    def leave_pending(self, count: int) -> None:
        """Place orders of which the far terminal never says what became."""
        assert isinstance(self.far, FarConnector)
        api = Api(self.world.root, self.world.add_key(), Contract())
        self.far.silent = True
        for _ in range(count):
            place(api, {"X-Account-Id": self.far_account, "X-Request-Timeout-Ms": "1"})
        self.far.silent = False
        api.close()

    def _api(self, contract: Contract, key: str | None) -> Api:
        return Api(self.world.root, key, contract, **{"X-Account-Id": self.account})

    @property
    def full(self) -> Api:
        """A client that may do everything."""
        return self.clients["full"]

    def close(self) -> None:
        """End the connections."""
        for client in (self.none, *self.clients.values()):
            client.close()


@pytest.fixture(scope="module")
def stage(world: World, contract: Contract) -> Iterator[Stage]:
    stage = Stage(world, contract)
    yield stage
    stage.close()
    world.failures.clear()  # the broken gateway of a 503 below has logged itself


def _conflict(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    if operation.id == "createAccount":
        call.send(stage.full)
        return call.send(stage.full)
    if operation.id == "removeAccount":
        stage.leave_pending(1)
        return call.send(stage.full, path="/accounts/" + stage.far_account)
    return _under_way(stage, call, operation)


def _at_the_limit(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    registry: Any = stage.world.registry
    most, registry._accounts_max = registry._accounts_max, 0
    try:
        return call.send(stage.full)
    finally:
        registry._accounts_max = most


def _good(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    return call.send(stage.none if operation.is_open else stage.clients[operation.scope])


def _broken(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    if operation.id == "getReadiness":
        stage.world.not_ready = "accounts are connecting: acc_1"
        response = call.send(stage.none)
        stage.world.not_ready = None
        return response
    if "X-Account-Id" in operation.names("header"):
        return call.send(stage.full, headers={"X-Account-Id": stage.ended})
    gateway: Any = stage.world.gateway
    context, parts = stage.world.context, ("keys", "records")
    accounts, gateway.accounts = gateway.accounts, dict.fromkeys(gateway.accounts, object())
    kept = [getattr(context, part) for part in parts]
    try:
        for part in parts:
            setattr(context, part, None)
        return call.send(stage.full)
    finally:
        gateway.accounts = accounts
        for part, value in zip(parts, kept, strict=True):
            setattr(context, part, value)


def _under_way(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    """A duplicate of a command that its terminal has not answered."""
    assert isinstance(stage.far, FarConnector)
    at = {"X-Account-Id": stage.far_account}
    call = CALLS[operation.id](stage.full, at)
    key = f"{operation.id}-{len(stage.world.gateway.accounts)}"
    headers = {**at, "Idempotency-Key": key, "X-Request-Timeout-Ms": "1"}
    stage.far.silent = True
    try:
        call.send(stage.full, headers=headers)
        return call.send(stage.full, headers=headers)
    finally:
        stage.far.silent = False


def _spoil_query(name: str) -> Callable[[Stage, Call, Operation], httpx2.Response]:
    def spoil(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
        url = call.path + "?" + name + "=1"
        return call.send(stage.full, path=url, query=None)

    return spoil


def _raw(content: bytes, kind: str) -> Callable[[Stage, Call, Operation], httpx2.Response]:
    def send(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
        headers = {"Content-Type": kind}
        return stage.full.call(call.method, call.path, content=content, headers=headers)

    return send


def _foreign(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    if "X-Account-Id" in operation.names("header"):
        return call.send(stage.full, headers={"X-Account-Id": "acc_foreign"})
    path = re.sub(r"(acc|key)_\w+", r"\1_foreign", call.path)
    if operation.id == "createKey":
        return call.send(stage.full, body={**(call.body or {}), "accounts": ["acc_foreign"]})
    return call.send(stage.full, path=path)


def _lower_scope(stage: Stage, call: Call, operation: Operation) -> httpx2.Response:
    below = Scope(Scope[operation.scope.upper()] - 1)
    return call.send(stage.clients[below.name.lower()])


SPOILT: dict[int, Callable[[Stage, Call, Operation], httpx2.Response]] = {
    200: _good,
    400: _spoil_query("%ff"),
    401: lambda stage, call, operation: call.send(stage.none),
    403: _lower_scope,
    404: _foreign,
    402: _at_the_limit,
    409: _conflict,
    413: _raw(b" " * (limits.BODY_BYTES + 1), "application/json"),
    415: _raw(b"{}", "text/plain"),
    422: _spoil_query("nonsense"),
    429: lambda stage, call, operation: call.send(stage.clients["drained"]),
    503: _broken,
}

DECLARED = [
    (operation.id, status)
    for operation in CONTRACT.operations
    for status in operation.responses
    # No key has less than read, so that nobody can be refused a read for want of scope.
    if (operation.scope, status) != ("read", 403)
]


@pytest.mark.parametrize(("name", "status"), DECLARED)
def test_every_declared_answer_is_given(
    name: str, status: int, stage: Stage, contract: Contract
) -> None:
    operation = OPERATIONS[name]
    call = CALLS[name](stage.full, {})
    before = contract.seen.copy()
    response = SPOILT[status](stage, call, operation)
    assert response.status_code == status, response.text
    judged = [seen for seen in contract.seen - before if seen[:2] == (name, status)]
    assert judged, "the contract did not judge this answer"


@pytest.mark.parametrize("name", [n for n in OPERATIONS if "requestBody" in OPERATIONS[n].body])
def test_a_body_that_is_no_json_is_400(name: str, stage: Stage) -> None:
    call = CALLS[name](stage.full, {})
    response = _raw(b"{", "application/json")(stage, call, OPERATIONS[name])
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("name", OPERATIONS)
def test_closing_and_cancelling_have_a_bucket_of_their_own(name: str, stage: Stage) -> None:
    operation = OPERATIONS[name]
    response = _good(stage, CALLS[name](stage.full, {}), operation)
    bucket = "risk-reducing" if operation.body.get("x-risk-reducing") else "requests"
    assert response.headers["ratelimit"].startswith(f'"{bucket}";')


# --- the judge -------------------------------------------------------------------------------


def _judge(contract: Contract, response: httpx2.Response, **changed: Any) -> None:
    contract.check(
        httpx2.Response(
            changed.get("status", response.status_code),
            headers=changed.get("headers", response.headers),
            content=msgspec.json.encode(changed.get("body", response.json())),
            request=changed.get("request", response.request),
        )
    )


def test_the_judge_refuses_what_the_contract_does_not_say(stage: Stage) -> None:
    contract = Contract()
    response = stage.full.call("POST", "/orders", json=order_of())
    order = response.json()
    _judge(contract, response)
    spoilt = (
        {"body": {**order, "surprise": 1}},
        {"body": {name: value for name, value in order.items() if name != "sl"}},
        {"body": {**order, "status": "DONE"}},
        {"body": {**order, "created_at": "yesterday"}},
        {"status": 201},
        {"status": 422},
        {"headers": {**response.headers, "content-type": "text/plain"}},
        {"headers": {k: v for k, v in response.headers.items() if k != "x-request-id"}},
        {"headers": {**response.headers, "x-ratelimit-limit": "-1"}},
        {"request": httpx2.Request("GET", stage.full.root + "/v1/nowhere")},
    )
    for change in spoilt:
        with pytest.raises(AssertionError):
            _judge(contract, response, **change)


def test_the_judge_refuses_problems_that_the_contract_does_not_declare(stage: Stage) -> None:
    contract = Contract()
    response = stage.full.call("GET", "/orders/ord_0")
    problem = response.json()
    _judge(contract, response)
    for change in (
        {"code": "sim_only"},
        {"code": "surprise"},
        {"title": "Not here"},
        {"retryable": True},
        {"status": 422},
        {"instance": "req_other"},
    ):
        with pytest.raises(AssertionError):
            _judge(contract, response, body={**problem, **change})


def test_unset_is_how_a_patch_knows_what_was_left_out() -> None:
    for kind in (requests.OrderPatch, requests.PositionPatch):
        assert {field.default for field in structs.fields(kind)} == {UNSET}
