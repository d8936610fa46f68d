"""/v1/events: the log without a hole, in pages and by long-poll; and what is durable is told."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from fxsocket_server.core import limits

from .client import Api, body, order_of
from .world import WATCHDOG_S, Spy, World


def seqs(page: Any) -> list[int]:
    return [event["seq"] for event in page["data"]]


def types(page: Any) -> list[str]:
    return [event["type"] for event in page["data"]]


# --- the log ---------------------------------------------------------------------------------


def test_the_log_tells_the_life_of_a_trade(api: Api) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08, tp=1.09)
    body(api.call("PATCH", "/orders/" + order["id"], json={"sl": 1.07}))
    api.set_price("EURUSD", 1.0799, 1.08)
    api.set_price("EURUSD", 1.09, 1.0901)
    page = api.get("/events")
    assert types(page) == [
        "balance.deposit", "balance.changed",
        "order.pending", "order.placed",
        "order.modified",
        "order.filled", "deal.added", "position.opened",
        "order.filled", "deal.added", "position.closed", "balance.changed",
    ]  # fmt: skip
    assert seqs(page) == list(range(1, 13))
    assert (page["head"], page["next_cursor"]) == (12, None)
    assert page["data"][4]["order"]["sl"] == 1.07
    assert page["data"][5]["order"]["id"] == order["id"]
    assert page["data"][8]["order"]["reason"] == "tp"
    assert page["data"][10]["position"]["profit"] == 100.0
    assert page["data"][11]["balance"] == {"balance": 10_100.0, "credit": 0.0, "currency": "USD"}


def test_the_log_is_read_in_pages(api: Api) -> None:
    for _ in range(3):
        api.place(volume=0.01)
    whole = api.get("/events")
    pages: list[Any] = []
    after: str | None = "0"
    while after is not None:
        page = api.get("/events", after=after, limit=5, epoch=whole["epoch"])
        pages.append(page["data"])
        after = page["next_cursor"]
    assert [len(page) for page in pages] == [5, 5, 4]
    assert [event for page in pages for event in page] == whole["data"]
    assert api.get("/events", after=whole["head"])["data"] == []


def test_what_was_refused_before_the_journal_leaves_no_event(api: Api) -> None:
    head = api.get("/events")["head"]
    for wrong in ({"volume": 0}, {"symbol": "X"}, {"type": "CLOSE_BY"}, {"comment": "c" * 32}):
        assert api.call("POST", "/orders", json=order_of(**wrong)).status_code == 422
    assert api.get("/events")["head"] == head


def test_a_refusal_of_the_broker_is_an_event(api: Api) -> None:
    problem = api.refused("not_enough_money", "POST", "/orders", json=order_of(volume=90))
    page = api.get("/events", after=2)
    assert types(page) == ["order.pending", "order.rejected"]
    assert page["data"][1]["order"] == problem["order"]


def test_each_account_has_a_log_of_its_own(world: World, connect: Callable[..., Api]) -> None:
    logs = [connect(world.add_key(accounts=(world.add_account(),))) for _ in range(2)]
    logs[0].place()
    assert [log.get("/events")["head"] for log in logs] == [6, 2]
    assert logs[0].get("/events")["epoch"] != logs[1].get("/events")["epoch"]


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("after=3", "epoch_mismatch", "?after"),
        ("epoch=other", "epoch_mismatch", "?epoch"),
        ("after=-1", "validation_error", "?after"),
        ("after=x", "validation_error", "?after"),
        ("wait_ms=-1", "validation_error", "?wait_ms"),
        ("wait_ms=30001", "validation_error", "?wait_ms"),
        ("limit=1001", "validation_error", "?limit"),
        ("symbol=EURUSD", "validation_error", "?symbol"),
    ],
)
def test_a_wrong_place_in_the_log_is_named(api: Api, query: str, code: str, pointer: str) -> None:
    problem = api.refused(code, "GET", "/events?" + query)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


# --- waiting for the next event --------------------------------------------------------------


def test_a_long_poll_returns_with_the_event(world: World, api: Api) -> None:
    with Spy(world.bus, "subscribe") as joined, ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(api.get, "/events", after=2, wait_ms=30_000) for _ in range(2)]
        joined.wait_for(4)  # each to the account's events and to the server's end
        assert not any(poll.done() for poll in polls)
        order = api.place()
        for poll in polls:
            page = poll.result(WATCHDOG_S)
            assert types(page) == [
                "order.pending",
                "order.filled",
                "deal.added",
                "position.opened",
            ]
            assert page["data"][1]["order"] == order
            assert page["head"] == 6


def test_a_long_poll_returns_at_once_when_there_is_something(api: Api) -> None:
    assert seqs(api.get("/events", after=1, wait_ms=30_000)) == [2]


def test_a_long_poll_ends_with_nothing(api: Api) -> None:
    page = api.get("/events", after=2, wait_ms=1)
    assert (page["data"], page["head"], page["next_cursor"]) == ([], 2, None)


# --- durable or not at all -------------------------------------------------------------------


@contextmanager
def journal_held(world: World) -> Iterator[None]:
    """Nothing can be committed while another writer holds journal.db."""
    other = sqlite3.connect(world.journal_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_nobody_hears_of_an_order_before_it_is_durable(
    world: World, api: Api, account: str
) -> None:
    lane = world.lane(account)
    queued, settling = Spy(world.journal, "append"), Spy(lane, "settled")
    with queued, settling, ThreadPoolExecutor(3) as pool:
        with journal_held(world):
            placing = pool.submit(api.place)
            queued.wait_for(1)  # it is in the book now, but not in the journal
            reading = pool.submit(api.get, "/positions")
            figures = pool.submit(api.get, "/account")
            settling.wait_for(2)
            assert not any(answer.done() for answer in (placing, reading, figures))
            assert world.do(lambda: world.journal.events(account, 2, 10)) == []
        order = placing.result(WATCHDOG_S)
        [position] = reading.result(WATCHDOG_S)
        assert position["id"] == order["position_id"]
        assert figures.result(WATCHDOG_S)["margin"] == 108.35


def test_a_journal_that_refuses_leaves_no_trace(world: World, api: Api, account: str) -> None:
    position = api.place()["position_id"]
    before = (api.get("/account"), api.get("/positions"), api.get("/orders"), api.get("/events"))
    with refusing(world, account):
        for method, path, change in (
            ("POST", "/orders", order_of()),
            ("POST", "/orders", order_of(type="BUY_LIMIT", price=1.05)),
            ("DELETE", "/positions/" + position, None),
            ("PATCH", "/positions/" + position, {"sl": 1.05}),
        ):
            headers = {"Idempotency-Key": f"{method}-{path}"}
            options = {"headers": headers, **({"json": change} if change else {})}
            response = api.call(method, path, **options)
            assert (response.status_code, response.json()["code"]) == (503, "journal_unavailable")
            assert response.headers["retry-after"] == "1"
    after = (api.get("/account"), api.get("/positions"), api.get("/orders"), api.get("/events"))
    assert after == before
    retried = api.call(
        "POST", "/orders", json=order_of(), headers={"Idempotency-Key": "POST-/orders"}
    )
    assert "idempotency-replayed" not in retried.headers
    assert len(api.get("/positions")) == 2
    log = seqs(api.get("/events"))
    assert log == list(range(1, len(log) + 1))


@contextmanager
def refusing(world: World, account: str) -> Iterator[None]:
    """A journal that cannot take this account's events, as if its disk were full."""
    other = sqlite3.connect(world.journal_path, isolation_level=None)
    other.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON events"
        f" WHEN NEW.account_id = '{account}' BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    try:
        yield
    finally:
        other.execute("DROP TRIGGER refuse")
        other.close()


def test_the_longest_wait_is_that_of_the_contract(api: Api) -> None:
    parameters = api.contract.operation("GET", "/v1/events").parameters  # type: ignore[union-attr]
    [wait] = [p for p in parameters if p["name"] == "wait_ms"]
    assert wait["schema"]["maximum"] == limits.EVENT_WAIT_MS
