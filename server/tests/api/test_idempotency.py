"""One key, one execution: replays, reuse, refusals and duplicates that run at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from fxsocket_server.gateway.views import time_text

from .client import Api, body, order_of
from .world import FarConnector, Spy, World

REPLAYED = "idempotency-replayed"


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def post(api: Api, key: str | None = None, **order: Any) -> httpx2.Response:
    headers = {} if key is None else keyed(key)
    return api.call("POST", "/orders", json=order_of(**order), headers=headers)


def replayed(first: httpx2.Response, second: httpx2.Response) -> None:
    """The second answer is the first one's, byte for byte, and says so."""
    assert REPLAYED not in first.headers
    assert second.headers.get(REPLAYED) == "true"
    assert second.content == first.content
    assert second.status_code == first.status_code
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_key_executes_once(api: Api) -> None:
    first = post(api, "key-1")
    api.set_price("EURUSD", 1.2, 1.2001)
    replayed(first, post(api, "key-1"))
    assert len(api.get("/positions")) == 1
    assert len(api.get("/orders")["data"]) == 1


def test_without_a_key_each_request_is_an_order(api: Api) -> None:
    first, second = post(api), post(api)
    assert REPLAYED not in second.headers
    assert first.json()["id"] != second.json()["id"]
    assert len(api.get("/positions")) == 2


def test_a_client_order_id_is_a_key(api: Api) -> None:
    first = post(api, client_order_id="mine")
    replayed(first, post(api, client_order_id="mine"))
    replayed(first, post(api, "mine", client_order_id="mine"))
    assert len(api.get("/positions")) == 1


def test_header_and_client_order_id_must_agree(api: Api) -> None:
    problem = api.refused(
        "validation_error",
        "POST",
        "/orders",
        json=order_of(client_order_id="mine"),
        headers=keyed("other"),
    )
    assert [error["pointer"] for error in problem["errors"]] == ["/client_order_id"]


def test_a_key_belongs_to_what_was_asked(api: Api) -> None:
    first = post(api, "key-1").json()
    for other in ({"volume": 0.2}, {"sl": 1.0}, {"symbol": "GBPUSD"}, {"client_order_id": "key-1"}):
        response = post(api, "key-1", **other)
        assert response.status_code == 422, other
        assert response.json()["code"] == "idempotency_key_reused"
    path = "/positions/" + first["position_id"]
    api.refused("idempotency_key_reused", "DELETE", path, headers=keyed("key-1"))
    assert len(api.get("/positions")) == 1


def test_equal_bodies_may_be_written_differently(api: Api) -> None:
    first = post(api, "key-1", sl=1.07)
    text = b'{ "volume" : 1e-1, "type":"BUY", "sl":1.070, "symbol":"\\u0045URUSD" }'
    headers = {**keyed("key-1"), "Content-Type": "application/json"}
    replayed(first, api.call("POST", "/orders", content=text, headers=headers))


def test_a_refusal_before_the_journal_leaves_the_key_free(api: Api) -> None:
    head = api.get("/events")["head"]
    for wrong in ({"volume": 0.015}, {"symbol": "EURUDS"}, {"type": "BUY_LIMIT"}):
        assert post(api, "key-1", **wrong).status_code == 422
    assert api.get("/events")["head"] == head
    replayed(post(api, "key-1"), post(api, "key-1"))


def test_a_refusal_of_the_broker_is_stored_and_replayed(api: Api) -> None:
    first = post(api, "key-1", volume=90)
    assert first.json()["code"] == "not_enough_money"
    replayed(first, post(api, "key-1", volume=90))
    assert len(api.get("/orders")["data"]) == 1


def test_every_command_is_replayed(api: Api) -> None:
    resting = api.place(type="BUY_LIMIT", price=1.08)
    market = api.place(volume=0.3)
    position = "/positions/" + market["position_id"]
    commands: list[tuple[str, str, Any]] = [
        ("PATCH", "/orders/" + resting["id"], {"price": 1.07}),
        ("DELETE", "/orders/" + resting["id"], None),
        ("PATCH", position, {"sl": 1.07}),
        ("DELETE", position + "?volume=0.1", None),
        ("DELETE", "/orders/" + market["id"] + "?volume=0.1", None),
    ]
    for number, (method, path, change) in enumerate(commands):
        options = {"headers": keyed(f"key-{number}"), **({"json": change} if change else {})}
        replayed(api.call(method, path, **options), api.call(method, path, **options))
    assert api.get(position)["volume"] == 0.1


def test_an_account_has_keys_of_its_own(world: World, connect: Callable[..., Api]) -> None:
    accounts = [world.add_account() for _ in range(2)]
    api = connect(world.add_key())
    ids = set()
    for account in accounts:
        headers = {"X-Account-Id": account, **keyed("key-1")}
        response = api.call("POST", "/orders", json=order_of(), headers=headers)
        assert REPLAYED not in response.headers
        ids.add(body(response)["id"])
    assert len(ids) == 2


def test_an_answer_is_forgotten_after_its_retention(world: World, api: Api) -> None:
    first = post(api, "key-1").json()
    world.clock.advance(1)
    kept = post(api, "key-2")
    before_ms = world.clock.wall_ms()
    world.do(lambda: world.journal.forget_commands(before_ms))
    api.place()  # the journal works in order: once this is durable, the first key is gone
    again = post(api, "key-1")
    assert REPLAYED not in again.headers
    assert again.json()["id"] != first["id"]
    replayed(kept, post(api, "key-2"))


@pytest.mark.parametrize("key", ["", "k" * 129, "caf\xe9", "tab\tkey"])
def test_a_key_that_no_header_carries_is_refused(api: Api, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    problem = api.refused("validation_error", "POST", "/orders", json=order_of(), headers=headers)
    assert "Idempotency-Key" in problem["detail"]
    assert api.get("/orders")["data"] == []


@pytest.mark.parametrize("key", ["k", "k" * 128, "a b~!\"'{}"])
def test_a_key_is_any_printable_text(api: Api, key: str) -> None:
    replayed(post(api, key), post(api, key))


# --- at the same time ------------------------------------------------------------------------


def at_once(count: int, send: Callable[[int], httpx2.Response]) -> list[httpx2.Response]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(send, range(count)))


def executed_once(answers: list[httpx2.Response]) -> Any:
    """All answers are one answer; the JSON of it."""
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers) == 1
    return answers[0].json()


def test_duplicates_at_once_execute_once(api: Api) -> None:
    order = executed_once(at_once(32, lambda _: post(api, "key-1")))
    assert [row["id"] for row in api.get("/orders")["data"]] == [order["id"]]
    assert len(api.get("/positions")) == 1
    deals = api.get("/history/deals")["data"]
    assert [deal["order_id"] for deal in deals] == [None, order["id"]]


def test_closing_at_once_closes_once(api: Api) -> None:
    path = "/positions/" + api.place(volume=0.3)["position_id"] + "?volume=0.1"
    result = executed_once(at_once(32, lambda _: api.call("DELETE", path, headers=keyed("key-1"))))
    assert (result["closed_volume"], result["remaining_volume"]) == (0.1, 0.2)


def test_different_keys_at_once_are_different_orders(api: Api) -> None:
    answers = at_once(32, lambda number: post(api, f"key-{number}", volume=0.01))
    ids = {body(answer)["id"] for answer in answers}
    assert len(ids) == 32
    assert {order["id"] for order in api.get("/orders")["data"]} == ids
    seqs = [event["seq"] for event in api.get("/events", limit=1000)["data"]]
    assert seqs == list(range(1, len(seqs) + 1))


# --- a terminal that takes its time ----------------------------------------------------------


@pytest.fixture
def far(world: World) -> str:
    """An account whose terminal stands elsewhere and answers when it is told to."""
    return world.add_account(kind=FarConnector)


def connector(world: World, account: str) -> FarConnector:
    found = world.lane(account).connector
    assert isinstance(found, FarConnector)
    return found


def test_what_is_not_answered_in_time_is_pending(
    world: World, far: str, connect: Callable[..., Api]
) -> None:
    api = connect(world.add_key(accounts=(far,)), **{"X-Request-Timeout-Ms": "1"})
    terminal = connector(world, far)
    terminal.silent = True
    first = post(api, "key-1")
    order = body(first)
    assert (order["status"], order["ticket"], order["price"]) == ("PENDING", None, None)
    waiting = post(api, "key-1")
    assert (waiting.status_code, waiting.headers["retry-after"]) == (409, "1")
    assert waiting.json()["code"] == "idempotency_in_flight"
    marked = body(api.call("DELETE", "/orders/" + order["id"]))
    assert (marked["status"], marked["cancel_requested"]) == ("PENDING", True)
    assert api.get("/orders", status="PENDING")["data"][0]["id"] == order["id"]
    assert api.get("/positions") == []

    [(command_id, request)] = terminal.taken
    report = world.do(lambda: terminal.execute(request))
    world.run(world.lane(far).on_report(command_id, report))
    filled = post(api, "key-1")
    assert filled.headers[REPLAYED] == "true"
    assert (filled.json()["status"], filled.json()["price"]) == ("FILLED", 1.0835)
    assert [event["type"] for event in api.get("/events")["data"]][4:7] == [
        "order.pending",
        "order.cancel_requested",
        "order.filled",
    ]


def test_a_duplicate_waits_for_the_first(
    world: World, far: str, connect: Callable[..., Api]
) -> None:
    api = connect(world.add_key(accounts=(far,)))
    terminal = connector(world, far)
    terminal.silent = True
    joined, handed_over = Spy(world.lane(far).retries, "_join"), Spy(terminal, "hand_over")
    with joined, handed_over, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(post, api, "key-1") for _ in range(8)]
        joined.wait_for(7)
        handed_over.wait_for(1)
        [(command_id, request)] = world.do(lambda: terminal.taken)
        report = world.do(lambda: terminal.execute(request))
        world.run(world.lane(far).on_report(command_id, report))
        order = executed_once([answer.result(30) for answer in answers])
    assert (order["status"], order["created_at"]) == ("FILLED", time_text(world.clock.wall_ms()))


@pytest.mark.parametrize("timeout", ["never", "nan", "1e400"])
def test_a_wrong_timeout_is_named(api: Api, timeout: str) -> None:
    headers = {"X-Request-Timeout-Ms": timeout}
    problem = api.refused("validation_error", "POST", "/orders", json=order_of(), headers=headers)
    assert "X-Request-Timeout-Ms" in problem["detail"]
