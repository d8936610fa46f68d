"""Who may ask and how often: keys, scopes, rate limits, and what surrounds every request."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import yaml

from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.core import limits
from fxsocket_server.security.principal import Scope

from .client import Api, body, order_of
from .world import World


@pytest.fixture
def raw(world: World) -> Iterator[httpx2.Client]:
    """A client of paths that the contract does not describe."""
    with httpx2.Client(base_url=world.root, timeout=30, verify=False) as client:
        yield client


# --- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (None, "send the header Authorization: Bearer YOUR_KEY"),
        ("Bearer fxs_test_wrong", "the API key is unknown or was revoked"),
        ("Bearer", "must read Bearer YOUR_KEY"),
        ("Basic dGVzdA==", "must read Bearer YOUR_KEY"),
        ("fxs_test_wrong", "must read Bearer YOUR_KEY"),
    ],
)
def test_without_a_valid_key_nothing_is_told(
    connect: Callable[..., Api], header: str | None, detail: str
) -> None:
    api = connect(None, **({} if header is None else {"Authorization": header}))
    for method, path in (("GET", "/account"), ("POST", "/orders"), ("GET", "/nowhere")):
        response = api.call(method, path)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
        assert detail in response.json()["detail"]
        assert response.headers["www-authenticate"] == "Bearer"


def test_the_scheme_is_read_in_any_case(world: World, connect: Callable[..., Api]) -> None:
    secret = world.add_key()
    for header in (f"bearer {secret}", f"BEARER   {secret}"):
        assert connect(None, Authorization=header).get("/accounts")


def test_a_revoked_key_is_out_at_once(world: World, connect: Callable[..., Api]) -> None:
    secret = world.add_key()
    api = connect(secret)
    assert api.get("/accounts")
    world.revoke(secret)
    problem = api.refused("unauthorized", "GET", "/accounts")
    assert "revoked" in problem["detail"]


def test_a_key_ends_when_it_expires(world: World, connect: Callable[..., Api]) -> None:
    api = connect(world.add_key(expires_ms=world.clock.wall_ms() + 1_000))
    world.clock.advance(999)
    assert api.get("/accounts")
    world.clock.advance(1)
    problem = api.refused("unauthorized", "GET", "/accounts")
    assert "expired" in problem["detail"]


def test_the_hosted_product_s_key_opens_nothing(world: World, connect: Callable[..., Api]) -> None:
    secret = world.add_key()
    api = connect(None, **{"X-API-Key": secret})
    for path in ("/accounts", "/orders"):
        problem = api.refused("unauthorized", "GET", path)
        assert "X-API-Key" in problem["detail"]
    assert connect(secret, **{"X-API-Key": "other"}).get("/accounts")


# --- scopes ----------------------------------------------------------------------------------


def test_scopes_hold_one_another(world: World, connect: Callable[..., Api]) -> None:
    account = world.add_account()
    read, trade, full = (connect(world.add_key(scope, accounts=(account,))) for scope in Scope)
    for api in (read, trade, full):
        assert api.get("/account")["id"] == account
    problem = read.refused("forbidden", "POST", "/orders", json=order_of())
    assert problem["detail"] == "this needs a key with scope trade; yours has read"
    order = trade.place(type="BUY_LIMIT", price=1.05)
    read.refused("forbidden", "DELETE", "/orders/" + order["id"])
    read.refused("forbidden", "PATCH", "/orders/" + order["id"], json={"price": 1.04})
    price = {"symbol": "EURUSD", "bid": 1.0, "ask": 1.1}
    problem = trade.refused("forbidden", "POST", "/sim/price", json=price)
    assert problem["detail"] == "this needs a key with scope full; yours has trade"
    assert read.get("/orders/" + order["id"]) == order
    assert body(full.call("DELETE", "/orders/" + order["id"]))["status"] == "CANCELED"


def test_scope_is_told_before_anything_else_is_judged(
    world: World, connect: Callable[..., Api]
) -> None:
    api = connect(world.add_key(Scope.READ))
    api.refused("forbidden", "POST", "/orders?nonsense=1", content=b"{")
    api.refused("forbidden", "DELETE", "/positions/pos_0", headers={"X-Account-Id": "acc_none"})


# --- limits ----------------------------------------------------------------------------------

REQUESTS = f'"requests";q={limits.REQUESTS_BURST};w=2'
RISK_REDUCING = f'"risk-reducing";q={limits.REQUESTS_BURST};w=2'


def test_every_answer_says_what_is_left(world: World, connect: Callable[..., Api]) -> None:
    api = connect(world.add_key())
    for used in (1, 2, 3):
        headers = api.call("GET", "/accounts").headers
        assert headers["ratelimit-policy"] == REQUESTS
        left = limits.REQUESTS_BURST - used
        assert headers["ratelimit"] == f'"requests";r={left};t=1'
        assert headers["x-ratelimit-limit"] == str(limits.REQUESTS_BURST)
        assert headers["x-ratelimit-remaining"] == str(left)
        assert headers["x-ratelimit-reset"] == "1"
    assert api.call("DELETE", "/orders/ord_0").headers["ratelimit-policy"] == RISK_REDUCING


def test_an_empty_bucket_is_429_until_it_fills(world: World, connect: Callable[..., Api]) -> None:
    secret, other = world.add_key(), world.add_key()
    world.drain(secret, world.context.requests)
    api = connect(secret)
    response = api.call("GET", "/accounts")
    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert response.json()["retryable"] is True
    assert response.headers["retry-after"] == "1"
    assert response.headers["x-ratelimit-remaining"] == "0"
    assert response.headers["x-ratelimit-reset"] == "2"
    assert connect(other).get("/accounts")
    world.clock.advance(1)  # 20 requests a millisecond
    assert api.call("GET", "/accounts").headers["x-ratelimit-remaining"] == "19"


def test_a_clock_that_is_set_changes_no_limit(world: World, connect: Callable[..., Api]) -> None:
    secret = world.add_key()
    api = connect(secret)
    world.drain(secret, world.context.requests)
    for hours in (-1, 2, -1):
        world.clock.set_back(hours * 3_600_000)
        api.refused("rate_limited", "GET", "/accounts")
    world.clock.advance(1)
    assert api.call("GET", "/accounts").headers["x-ratelimit-remaining"] == "19"


def test_closing_gets_through_when_opening_is_throttled(
    world: World, connect: Callable[..., Api]
) -> None:
    account = world.add_account()
    secret = world.add_key(accounts=(account,))
    api = connect(secret)
    position = "/positions/" + api.place()["position_id"]
    world.drain(secret, world.context.requests)
    api.refused("rate_limited", "POST", "/orders", json=order_of())
    assert body(api.call("DELETE", position))["status"] == "CLOSED"
    world.drain(secret, world.context.risk_reducing)
    api.refused("rate_limited", "DELETE", position)


def test_health_and_documents_cost_nothing(world: World, connect: Callable[..., Api]) -> None:
    secret = world.add_key()
    world.drain(secret, world.context.requests)
    response = connect(secret).call("GET", "/healthz")
    assert response.json() == {"status": "ok", "version": "1.2.3"}
    assert response.headers["x-ratelimit-remaining"] == str(limits.REQUESTS_BURST)


# --- around every request --------------------------------------------------------------------


def test_every_request_has_an_id_of_its_own(api: Api) -> None:
    def ask(_: int) -> str:
        request_id: str = api.call("GET", "/account").headers["x-request-id"]
        return request_id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(ask, range(200)))
    assert len(set(ids)) == 200
    assert all(name.startswith("req_") for name in ids)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/account", {"GET", "HEAD"}),
        ("PUT", "/v1/orders", {"GET", "HEAD", "POST"}),
        ("POST", "/v1/orders/ord_0", {"DELETE", "GET", "HEAD", "PATCH"}),
        ("GET", "/v1/sim/price", {"POST"}),
        ("DELETE", "/healthz", {"GET", "HEAD"}),
        ("POST", "/docs", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    api: Api, method: str, path: str, allow: set[str]
) -> None:
    response = api.call(method, path.removeprefix("/v1"))
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert {name.strip() for name in response.headers["allow"].split(",")} == allow


@pytest.mark.parametrize("path", ["/", "/orders/", "/orders/ord_0/legs", "/Orders", "/orders/%2F"])
def test_an_unknown_path_is_404(api: Api, path: str) -> None:
    problem = api.refused("not_found", "GET", path)
    assert "/docs" in problem["detail"]


def test_head_is_get_without_a_body(world: World, raw: httpx2.Client) -> None:
    keyed = {"Authorization": f"Bearer {world.add_key()}", "X-Account-Id": world.account}
    for path, headers in (("/v1/account", keyed), ("/healthz", {}), ("/docs", {})):
        head, get = raw.head(path, headers=headers), raw.get(path, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert head.headers["content-length"] == str(len(get.content))
    assert raw.head("/v1/account").status_code == 401


def test_long_headers_and_queries_are_431(api: Api) -> None:
    long = "x" * limits.HEADER_BYTES
    api.refused("headers_too_large", "GET", "/account", headers={"X-Note": long})
    api.refused("headers_too_large", "GET", "/orders", params={"symbol": long})
    assert api.get("/account")


def test_a_query_that_is_no_text_is_400(api: Api) -> None:
    problem = api.refused("bad_request", "GET", "/orders?symbol=%ff%fe")
    assert "UTF-8" in problem["detail"]


@pytest.mark.parametrize("sent", [b"", b'{"symbol":'])
def test_a_body_that_does_not_come_is_408(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(limits, "BODY_READ_MS", 20)
    host, port = world.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Authorization: Bearer " + world.add_key().encode() + b"\r\n\r\n" + sent
        )
        answer = connection.makefile("rb").readline()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert api.get("/account")


# --- documents -------------------------------------------------------------------------------


def test_the_contract_is_served_as_it_is_written(raw: httpx2.Client) -> None:
    text = (spec_folder() / "openapi.yaml").read_bytes()
    assert raw.get("/openapi.yaml").content == text
    assert raw.get("/openapi.json").json() == json.loads(json.dumps(yaml.safe_load(text)))


def test_the_reference_is_served_whole_from_here(raw: httpx2.Client) -> None:
    page = raw.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http:" not in page.text
    assert "https:" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assets = [
        part.partition('"')[0]
        for word in ('src="', 'href="')
        for part in page.text.split(word)[1:]
        if part.startswith("/docs/")
    ]
    assert len(assets) == 4
    for asset in assets:
        answer = raw.get(asset)
        assert answer.status_code == 200, asset
        assert len(answer.content) > 100
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert raw.get("/docs/assets/../../etc/passwd").status_code in (401, 404)


def test_readiness_tells_what_is_missing(world: World, connect: Callable[..., Api]) -> None:
    api = connect(None)
    assert api.get("/readyz") == {"status": "ready"}
    world.not_ready = "accounts are connecting: acc_1"
    try:
        problem = api.refused("unavailable", "GET", "/readyz")
        assert problem["detail"] == world.not_ready
        assert api.get("/healthz")["status"] == "ok"
    finally:
        world.not_ready = None
