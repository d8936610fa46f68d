"""Bad input on POST /v1/orders of a real server: each kind is refused, and names what is wrong.

Every answer is judged by the contract; after each one the server is healthy and takes an order.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fxsocket_server.core import limits
from fxsocket_server.testkit.process import ServerProcess

from .client import Api, body, order_of
from .contract import Contract

ORDERS = "/orders"
JSON = {"Content-Type": "application/json"}
GOOD = json.dumps(order_of(volume=0.01)).encode()


@pytest.fixture
def live(server: ServerProcess, contract: Contract) -> Iterator[Api]:
    """A client of the real server; whatever the test sent, the server is well afterwards."""
    api = Api(server.addresses.rest, "test-key", contract)
    yield api
    assert api.get("/healthz")["status"] == "ok"
    assert api.get("/readyz") == {"status": "ready"}
    order = api.place(volume=0.01)
    assert order["status"] == "FILLED"
    assert body(api.call("DELETE", "/positions/" + order["position_id"]))["status"] == "CLOSED"
    api.close()


def refused(api: Api, content: bytes, status: int, code: str) -> Any:
    head = api.get("/events", limit=1)["head"]
    response = api.call("POST", ORDERS, content=content, headers=JSON)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    told = {event["type"] for event in api.get("/events", after=head)["data"]}
    assert told <= {"order.pending", "order.rejected"}
    assert len(response.content) < 4_096, "an answer must not echo what it was sent"
    return response.json()


def pointers(problem: Any) -> list[str]:
    return [error["pointer"] for error in problem.get("errors", ())]


# --- fields ----------------------------------------------------------------------------------

LIMIT = {"type": "BUY_LIMIT", "price": 1.0}
FIELDS: list[tuple[dict[str, Any], str, str]] = [
    # wrong types
    ({"symbol": 5}, "validation_error", "/symbol"),
    ({"symbol": None}, "validation_error", "/symbol"),
    ({"symbol": ["EURUSD"]}, "validation_error", "/symbol"),
    ({"type": 1}, "validation_error", "/type"),
    ({"type": {}}, "validation_error", "/type"),
    ({"volume": "0.1"}, "validation_error", "/volume"),
    ({"volume": True}, "validation_error", "/volume"),
    ({"volume": None}, "validation_error", "/volume"),
    ({"volume": [[[0.1]]]}, "validation_error", "/volume"),
    ({"price": "1.1"}, "validation_error", "/price"),
    ({"sl": "none"}, "validation_error", "/sl"),
    ({"tp": {}}, "validation_error", "/tp"),
    ({"stop_limit_price": []}, "validation_error", "/stop_limit_price"),
    ({"deviation": 1.5}, "validation_error", "/deviation"),
    ({"magic": "42"}, "validation_error", "/magic"),
    ({"magic": None}, "validation_error", "/magic"),
    ({"comment": 7}, "validation_error", "/comment"),
    ({"filling": "fok"}, "validation_error", "/filling"),
    ({"time_in_force": "FOREVER"}, "validation_error", "/time_in_force"),
    ({"expires_at": 1_800_000_000}, "validation_error", "/expires_at"),
    ({"client_order_id": 12}, "validation_error", "/client_order_id"),
    # words
    ({"type": "buy"}, "validation_error", "/type"),
    ({"type": "CLOSE_BY"}, "validation_error", "/type"),
    ({"type": "BUY" * 1_000}, "validation_error", "/type"),
    ({"symbol": "EURUDS"}, "invalid_symbol", "/symbol"),
    ({"symbol": "eurusd"}, "invalid_symbol", "/symbol"),
    ({"symbol": ""}, "invalid_symbol", "/symbol"),
    ({"symbol": "EURUSD\0"}, "invalid_symbol", "/symbol"),
    ({"symbol": "E" * 100_000}, "invalid_symbol", "/symbol"),
    ({"symbol": "'; DROP TABLE orders; --"}, "invalid_symbol", "/symbol"),
    ({"comment": "c" * 32}, "validation_error", "/comment"),
    ({"comment": "a\nb"}, "validation_error", "/comment"),
    ({"comment": "nul\0"}, "validation_error", "/comment"),
    ({"comment": "esc\x1b[31m"}, "validation_error", "/comment"),
    ({"client_order_id": ""}, "validation_error", "/client_order_id"),
    ({"client_order_id": "a b"}, "validation_error", "/client_order_id"),
    ({"client_order_id": "caf\xe9"}, "validation_error", "/client_order_id"),
    ({"client_order_id": "x" * 65}, "validation_error", "/client_order_id"),
    ({"client_order_id": "line\n"}, "validation_error", "/client_order_id"),
    # numbers
    ({"volume": 0}, "invalid_volume", "/volume"),
    ({"volume": -0.1}, "invalid_volume", "/volume"),
    ({"volume": -0.0}, "invalid_volume", "/volume"),
    ({"volume": 0.015}, "invalid_volume", "/volume"),
    ({"volume": 0.001}, "invalid_volume", "/volume"),
    ({"volume": 5e-324}, "invalid_volume", "/volume"),
    ({"volume": 100.01}, "invalid_volume", "/volume"),
    ({"volume": 1e12}, "invalid_volume", "/volume"),
    ({"volume": 1.7e308}, "invalid_volume", "/volume"),
    ({"volume": 10**400}, "validation_error", "/volume"),
    ({"sl": -1.07}, "invalid_stops", "/sl"),
    ({"sl": 1e-9}, "invalid_stops", "/sl"),
    ({"tp": 1e300}, "invalid_stops", "/tp"),
    ({**LIMIT, "price": -1.0}, "invalid_price", "/price"),
    ({**LIMIT, "price": 1e-300}, "invalid_price", "/price"),
    ({**LIMIT, "price": 1e300}, "invalid_price", "/price"),
    ({**LIMIT, "stop_limit_price": -1}, "invalid_price", "/stop_limit_price"),
    ({"magic": -1}, "validation_error", "/magic"),
    ({"magic": 2**63}, "validation_error", "/magic"),
    ({"magic": 10**400}, "validation_error", "/magic"),
    ({"deviation": -1}, "validation_error", "/deviation"),
    ({"deviation": 10**30}, "validation_error", "/deviation"),
    # what does not go together
    ({"type": "BUY_LIMIT"}, "invalid_price", "/price"),
    ({"type": "SELL_STOP", "price": None}, "invalid_price", "/price"),
    ({"type": "BUY_STOP_LIMIT", "price": 1.2}, "invalid_price", "/stop_limit_price"),
    ({**LIMIT, "stop_limit_price": 1.0}, "invalid_price", "/stop_limit_price"),
    ({**LIMIT, "time_in_force": "SPECIFIED"}, "invalid_expiration", "/expires_at"),
    ({**LIMIT, "time_in_force": "GTC", "expires_at": "2099-01-01T00:00:00Z"},
     "invalid_expiration", "/time_in_force"),
    ({**LIMIT, "expires_at": "2099-01-01T00:00:00"}, "validation_error", "/expires_at"),
    ({**LIMIT, "expires_at": "tomorrow"}, "validation_error", "/expires_at"),
    ({**LIMIT, "expires_at": "2020-01-01T00:00:00Z"}, "invalid_expiration", "/expires_at"),
    ({**LIMIT, "expires_at": "0001-01-01T00:00:00+14:00"}, "validation_error", "/expires_at"),
    ({**LIMIT, "expires_at": "9999-12-31T23:59:59-14:00"}, "validation_error", "/expires_at"),
    ({"filling": "RETURN"}, "invalid_fill", "/filling"),
    # unknown fields
    ({"lots": 0.1}, "validation_error", "/lots"),
    ({"Symbol": "EURUSD"}, "validation_error", "/Symbol"),
    ({"a/b~c": 1}, "validation_error", "/a~1b~0c"),
    ({"x" * 10_000: 1}, "validation_error", "/" + "x" * 64),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "pointer"), FIELDS)
def test_a_bad_field_is_named(live: Api, fields: dict[str, Any], code: str, pointer: str) -> None:
    problem = refused(live, json.dumps(order_of(**fields)).encode(), 422, code)
    assert pointers(problem) == [pointer]
    assert problem["detail"]


@pytest.mark.parametrize("field", ["symbol", "type", "volume"])
def test_a_missing_field_is_named(live: Api, field: str) -> None:
    order = order_of()
    del order[field]
    assert pointers(refused(live, json.dumps(order).encode(), 422, "validation_error")) == [
        "/" + field
    ]


# --- text that is no order -------------------------------------------------------------------


def with_fields(fields: bytes) -> bytes:
    """A good order with more text in it."""
    return GOOD[:-1] + b"," + fields + b"}"


TEXTS: dict[str, tuple[bytes, int, str, list[str]]] = {
    "nothing": (b"", 400, "malformed_json", []),
    "spaces": (b" \n\t ", 400, "malformed_json", []),
    "a word": (b"BUY EURUSD 0.1", 400, "malformed_json", []),
    "cut off": (GOOD[:-1], 400, "malformed_json", []),
    "cut off in a text": (GOOD[:12], 400, "malformed_json", []),
    "two objects": (GOOD + GOOD, 400, "malformed_json", []),
    "single quotes": (GOOD.replace(b'"', b"'"), 400, "malformed_json", []),
    "a comma too many": (GOOD[:-1] + b",}", 400, "malformed_json", []),
    "a comment": (b"/* buy */" + GOOD, 400, "malformed_json", []),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, 400, "malformed_json", []),
    "utf-16": (GOOD.decode().encode("utf-16"), 400, "malformed_json", []),
    "bytes that are no text": (with_fields(b'"comment":"\xff\xfe"'), 400, "malformed_json", []),
    "an overlong encoding": (with_fields(b'"comment":"\xc0\xaf"'), 400, "malformed_json", []),
    "a raw null byte": (with_fields(b'"comment":"\0"'), 400, "malformed_json", []),
    "a raw newline": (with_fields(b'"comment":"a\nb"'), 400, "malformed_json", []),
    "half a surrogate": (
        with_fields(b'"comment":"\\ud800"'), 400, "malformed_json", ["/comment"],
    ),
    "half a surrogate as a key": (with_fields(b'"\\udfff":1'), 400, "malformed_json", []),
    "NaN": (with_fields(b'"sl":NaN'), 400, "malformed_json", ["/sl"]),
    "Infinity": (with_fields(b'"tp":Infinity'), 400, "malformed_json", ["/tp"]),
    "-Infinity": (with_fields(b'"tp":-Infinity'), 400, "malformed_json", ["/tp"]),
    "a number out of range": (with_fields(b'"sl":1e999'), 422, "validation_error", ["/sl"]),
    "one below the range": (with_fields(b'"sl":-1e999'), 422, "validation_error", ["/sl"]),
    "out of range under a wild key": (
        with_fields(b'"\\ud800/~":1e999'), 422, "validation_error", ["/?~1~0"],
    ),
    "a number of 5,000 digits": (
        with_fields(b'"magic":' + b"9" * 5_000), 400, "malformed_json", [],
    ),
    "a leading zero": (with_fields(b'"magic":007'), 400, "malformed_json", []),
    "a hexadecimal number": (with_fields(b'"magic":0x10'), 400, "malformed_json", []),
    "a key twice": (with_fields(b'"volume":0.02'), 422, "validation_error", ["/volume"]),
    "a key twice, once escaped": (
        with_fields(b'"\\u0073ymbol":"GBPUSD"'), 422, "validation_error", ["/symbol"],
    ),
    "a key twice beside colons": (
        with_fields(b'"comment":"a:b","comment":"a:b"'), 422, "validation_error", ["/comment"],
    ),
    "a key twice inside": (
        with_fields(b'"comment":{"a":1,"a":2}'), 422, "validation_error", ["/a"],
    ),
    "a list": (b"[" + GOOD + b"]", 422, "validation_error", ["/"]),
    "a text": (json.dumps(GOOD.decode()).encode(), 422, "validation_error", ["/"]),
    "a number": (b"0.1", 422, "validation_error", ["/"]),
    "null": (b"null", 422, "validation_error", ["/"]),
    "no field": (b"{}", 422, "validation_error", ["/symbol"]),
    "100,000 brackets": (b"[" * 100_000, 400, "malformed_json", []),
    "100,000 brackets, closed": (
        with_fields(b'"sl":' + b"[" * 100_000 + b"]" * 100_000), 400, "malformed_json", [],
    ),
    "20,000 objects": (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400, "malformed_json", []),
    "10,000 fields": (
        with_fields(b",".join(b'"f%d":1' % n for n in range(10_000))), 422, "validation_error",
        ["/f0"],
    ),
    "too long by a byte": (
        GOOD + b" " * (limits.BODY_BYTES + 1 - len(GOOD)), 413, "payload_too_large", [],
    ),
    "10 MB": (with_fields(b'"comment":"' + b"c" * 10_000_000 + b'"'), 413, "payload_too_large", []),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_order_is_refused(live: Api, name: str) -> None:
    content, status, code, fields = TEXTS[name]
    assert pointers(refused(live, content, status, code)) == fields


def test_a_number_too_small_for_a_double_is_zero(live: Api) -> None:
    assert pointers(refused(live, GOOD.replace(b"0.01", b"1e-999"), 422, "invalid_volume")) == [
        "/volume"
    ]


def test_the_largest_body_is_read(live: Api) -> None:
    content = GOOD + b" " * (limits.BODY_BYTES - len(GOOD))
    order = body(live.call("POST", ORDERS, content=content, headers=JSON))
    assert order["status"] == "FILLED"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded"],
)
def test_another_content_type_is_415(live: Api, kind: str) -> None:
    problem = live.refused(
        "unsupported_media_type", "POST", ORDERS, content=GOOD, headers={"Content-Type": kind}
    )
    assert "application/json" in problem["detail"]


@pytest.mark.parametrize("kind", ["APPLICATION/JSON", "application/json; charset=utf-8"])
def test_json_may_be_said_in_other_words(live: Api, kind: str) -> None:
    headers = {"Content-Type": kind}
    assert body(live.call("POST", ORDERS, content=GOOD, headers=headers))["status"] == "FILLED"


def test_an_unknown_parameter_is_named(live: Api) -> None:
    problem = live.refused("validation_error", "POST", ORDERS + "?dry_run=1", content=GOOD)
    assert pointers(problem) == ["?dry_run"]


# --- bytes on the wire -----------------------------------------------------------------------

HEAD = (
    b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer test-key\r\n"
    b"Content-Type: application/json\r\nConnection: close\r\n"
)


def exchange(server: ServerProcess, *parts: bytes, end: bool = False) -> bytes:
    """Send bytes as they are; what comes back until the server closes."""
    host, port = server.addresses.rest.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


def chunk(content: bytes) -> bytes:
    return b"%x\r\n" % len(content) + content + b"\r\n"


def test_a_body_in_chunks_is_read(live: Api, server: ServerProcess) -> None:
    answer = exchange(
        server,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        *(chunk(GOOD[at : at + 7]) for at in range(0, len(GOOD), 7)),
        chunk(b""),
    )
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"status":"FILLED"' in answer


def test_chunks_past_the_limit_are_413(live: Api, server: ServerProcess) -> None:
    half = b" " * (limits.BODY_BYTES // 2 + 1)
    answer = exchange(
        server,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        *(chunk(part) for part in (half, half, b"")),
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"payload_too_large"' in answer


def test_a_length_that_is_too_short_cuts_the_order(live: Api, server: ServerProcess) -> None:
    length = b"Content-Length: %d\r\n\r\n" % (len(GOOD) - 1)
    answer = exchange(server, HEAD + length + GOOD)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"malformed_json"' in answer


def test_a_body_that_ends_before_its_length_is_no_order(live: Api, server: ServerProcess) -> None:
    before = live.get("/events")["head"]
    answer = exchange(server, HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD, end=True)
    assert not answer.startswith(b"HTTP/1.1 200")
    assert live.get("/events")["head"] == before


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
        b"GET\r\n\r\n",
        b"POST /v1/orders HTTP/9.9\r\n\r\n",
        HEAD + b"Content-Length: minus one\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Bad Header\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http_end_the_connection(
    live: Api, server: ServerProcess, request_bytes: bytes
) -> None:
    answer = exchange(server, request_bytes, end=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_a_parameter_without_a_value_is_refused(live: Api) -> None:
    for path, pointer in (
        ("/orders?symbol=", "?symbol"),
        ("/positions?magic=", "?magic"),
        ("/events?epoch=", "?epoch"),
        ("/account?account_id=", "?account_id"),
    ):
        assert pointers(live.refused("validation_error", "GET", path)) == [pointer]
    problem = live.refused("validation_error", "GET", "/account", headers={"X-Account-Id": ""})
    assert "X-Account-Id" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/orders?magic=-1", "?magic"),
        ("/orders?limit=-5", "?limit"),
        ("/positions?symbol=" + "E" * (limits.SYMBOL_CHARS + 1), "?symbol"),
        ("/symbols?group=" + "*" * (limits.GROUP_CHARS + 1), "?group"),
        ("/events?epoch=" + "e" * (limits.PARAMETER_CHARS + 1), "?epoch"),
    ],
)
def test_a_parameter_beyond_the_contract_is_refused(live: Api, path: str, pointer: str) -> None:
    assert pointers(live.refused("validation_error", "GET", path)) == [pointer]
