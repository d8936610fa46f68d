"""Placing orders: one key, one order, an honest outcome. Every test runs blocking and asyncio."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import httpx2
import pytest

from fxsocket import (
    ApiError,
    CloseResult,
    ConfigError,
    ConnectError,
    ConnectionLost,
    NotFoundError,
    Order,
    OrderOutcomeUnknown,
    OrderRejected,
    ProtocolError,
    ServerError,
    ValidationError,
)

DROP = httpx2.ReadError("reset")
TIMEOUT = httpx2.ReadTimeout("slow")
NO_HOST = httpx2.ConnectError("refused")


def buy(client, **more):
    return client.orders.create(symbol="EURUSD", type="BUY", volume=0.1, **more)


def test_create_as_in_the_brief(rest, reply, order_row, key):
    rest.answers(reply(order_row()))
    order = rest.call(lambda c: buy(c, sl=1.0720, tp=1.0950))
    assert isinstance(order, Order)
    assert (order.price, order.ticket, order.status) == (1.0834, 2**53 + 1, "FILLED")
    assert order.updated_at == datetime(2026, 11, 22, 10, 0, 0, 125_000, UTC)
    assert rest.sent == ["POST /v1/orders"]
    assert rest.header("Authorization") == [f"Bearer {key}"]
    assert rest.header("Content-Type") == ["application/json"]
    assert rest.header("X-Account-Id") == [None]
    assert rest.header("User-Agent")[0].startswith("fxsocket-python/0.1.0 (")
    assert rest.bodies() == [
        {
            "symbol": "EURUSD",
            "type": "BUY",
            "volume": 0.1,
            "sl": 1.072,
            "tp": 1.095,
            "client_order_id": "id1",
        }
    ]


def test_every_field_is_sent_under_its_name(rest, reply, order_row):
    fields = {
        "symbol": "EURUSD",
        "type": "BUY_STOP_LIMIT",
        "volume": 1,
        "price": 1.09,
        "stop_limit_price": 1.085,
        "sl": 1.07,
        "tp": 1.1,
        "deviation": 5,
        "magic": 42,
        "comment": "nfp",
        "filling": "IOC",
        "time_in_force": "SPECIFIED",
        "client_order_id": "mine",
    }
    rest.answers(reply(order_row()))
    when = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    rest.call(lambda c: c.orders.create(**fields, expires_at=when))
    assert rest.bodies() == [fields | {"expires_at": "2026-11-23T10:00:00.000Z"}]


def test_one_key_over_all_attempts(rest, reply, problem, order_row):
    rest.answers(TIMEOUT, problem(502), reply(order_row()))
    rest.call(buy)
    assert rest.header("Idempotency-Key") == ["id1"] * 3
    assert [body["client_order_id"] for body in rest.bodies()] == ["id1"] * 3
    assert len({request.content for request in rest.requests}) == 1


def test_the_callers_id_is_the_key(rest, reply, order_row):
    rest.answers(DROP, reply(order_row()))
    rest.call(lambda c: buy(c, client_order_id="mine-7"))
    assert rest.header("Idempotency-Key") == ["mine-7"] * 2
    assert [body["client_order_id"] for body in rest.bodies()] == ["mine-7"] * 2


def test_each_call_has_its_own_key(rest, reply, order_row):
    rest.answers(reply(order_row()), reply(order_row()))

    def twice(client):
        if rest.flavour == "sync":
            return [buy(client), buy(client)]
        return asyncio.gather(buy(client), buy(client))

    rest.call(twice)
    assert sorted(rest.header("Idempotency-Key")) == ["id1", "id2"]


@pytest.mark.parametrize("number", [Decimal("0.1"), Fraction(1, 10), 0.1])
def test_numbers_of_other_kinds_go_as_numbers(rest, reply, order_row, number):
    rest.answers(reply(order_row()))
    rest.call(lambda c: c.orders.create(symbol="EURUSD", type="BUY", volume=number))
    assert b'"volume":0.1,' in rest.requests[0].content


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sl": float("nan")}, "sl must be a finite number"),
        ({"tp": float("inf")}, "tp must be a finite number"),
        ({"price": Decimal("NaN")}, "price must be a finite number"),
        ({"sl": object()}, "sl cannot be sent: object"),
        ({"expires_at": datetime(2026, 1, 1)}, "expires_at has no time zone"),  # noqa: DTZ001
    ],
)
def test_what_json_cannot_say_is_refused_before_sending(rest, fields, says):
    assert says in str(rest.fails(ConfigError, lambda c: buy(c, **fields)))
    assert rest.requests == []


def test_a_field_that_does_not_exist_is_a_type_error(rest):
    with pytest.raises(TypeError, match="stoploss"):
        rest.call(lambda c: buy(c, stoploss=1.0))


def test_a_lost_answer_is_looked_up(rest, reply, problem, order_row):
    lost = [TIMEOUT, DROP, problem(500)]
    rest.answers(*lost, problem(404, "order_not_found"), reply(order_row(status="PENDING")))
    order = rest.call(buy)
    assert order.status == "PENDING"
    assert rest.sent[3:] == ["GET /v1/orders/by-client-id/id1"] * 2
    assert rest.slept == pytest.approx([0.5, 1.0, 0.5])
    assert rest.header("Idempotency-Key")[3:] == [None, None]


def test_an_order_still_running_elsewhere_is_looked_up(rest, reply, problem, order_row):
    rest.answers(*[problem(409, "idempotency_in_flight")] * 3, reply(order_row()))
    assert rest.call(buy).id == "ord_1"
    assert rest.sent[3] == "GET /v1/orders/by-client-id/id1"


def test_an_unreadable_answer_is_looked_up(rest, reply, order_row):
    rest.answers(httpx2.Response(200, content=b"{}"), reply(order_row()))
    assert rest.call(buy).id == "ord_1"


def test_a_refusal_found_by_lookup_is_raised(rest, reply, order_row):
    rejected = order_row(status="REJECTED", retcode=10019, retcode_name="NO_MONEY",
                         reason="not_enough_money", price=None)  # fmt: skip
    rest.answers(DROP, DROP, DROP, reply(rejected))
    error = rest.fails(OrderRejected, buy)
    assert (error.retcode, error.code) == (10019, "not_enough_money")
    assert error.order.status == "REJECTED"
    assert error.order.created_at == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_an_outcome_that_stays_unknown_is_said_so(rest, problem):
    rest.answers(DROP, DROP, DROP, *[problem(404)] * 50)
    error = rest.fails(OrderOutcomeUnknown, buy)
    assert error.client_order_id == error.idempotency_key == "id1"
    assert error.maybe_executed
    assert isinstance(error.__cause__, NotFoundError)
    assert "id1" in str(error)
    assert rest.now <= 1030
    assert len(set(rest.sent[3:])) == 1


def test_an_unknown_outcome_can_be_resolved(rest, reply, problem, order_row):
    rest.answers(DROP, problem(404), problem(404), DROP, reply(order_row()))

    def resolved(client):
        return resolve_sync(client) if rest.flavour == "sync" else resolve_async(client)

    options = {"max_retries": 0, "total_timeout": 1.2}
    assert rest.call(resolved, **options).id == "ord_1"
    assert rest.sent == ["POST /v1/orders"] + ["GET /v1/orders/by-client-id/id1"] * 4


def resolve_sync(client):
    with pytest.raises(OrderOutcomeUnknown) as caught:
        buy(client)
    return caught.value.resolve(timeout=20)


async def resolve_async(client):
    with pytest.raises(OrderOutcomeUnknown) as caught:
        await buy(client)
    return await caught.value.resolve(timeout=20)


def test_resolving_gives_up_at_its_own_deadline(rest, problem):
    rest.answers(DROP, *[problem(404)] * 50)

    def resolved(client):
        return resolve_sync(client) if rest.flavour == "sync" else resolve_async(client)

    rest.fails(OrderOutcomeUnknown, resolved, max_retries=0, total_timeout=0.4)
    assert 1000.4 < rest.now <= 1020.4


def test_without_a_connection_nothing_was_sent_and_nothing_is_looked_up(rest):
    rest.answers(NO_HOST, NO_HOST, NO_HOST)
    error = rest.fails(ConnectError, buy)
    assert not error.maybe_executed
    assert "nothing was sent" in str(error)
    assert rest.sent == ["POST /v1/orders"] * 3


def test_a_server_that_sent_nothing_is_believed(rest, problem):
    rest.answers(*[problem(503, "terminal_disconnected")] * 3)
    assert not rest.fails(ServerError, buy).maybe_executed
    assert rest.sent == ["POST /v1/orders"] * 3


def test_a_refusal_after_a_lost_answer_is_final(rest, problem):
    rest.answers(TIMEOUT, problem(422, "market_closed"))
    error = rest.fails(ValidationError, buy)
    assert not error.maybe_executed
    assert len(rest.requests) == 2


def test_a_revoked_key_after_a_lost_answer_leaves_the_outcome_unknown(rest, problem):
    rest.answers(TIMEOUT, problem(401, "key_revoked"), problem(401, "key_revoked"))
    error = rest.fails(OrderOutcomeUnknown, buy)
    assert error.__cause__.status == 401


def test_list_and_filters(rest, reply, order_row):
    rest.answers(reply({"data": [order_row(), order_row(id="ord_2")], "next_cursor": "c2"}))
    page = rest.call(
        lambda c: c.orders.list(
            status="FILLED",
            symbol="EURUSD",
            magic=0,
            from_=datetime(2026, 11, 1, tzinfo=UTC),
            to="2026-12-01",
            limit=2,
            cursor="c1",
        )
    )
    assert [order.id for order in page] == ["ord_1", "ord_2"]
    assert (len(page), page[1].id, page.next_cursor) == (2, "ord_2", "c2")
    assert rest.sent == [
        "GET /v1/orders?status=FILLED&symbol=EURUSD&magic=0"
        "&from=2026-11-01T00%3A00%3A00.000Z&to=2026-12-01&limit=2&cursor=c1"
    ]


def test_iter_walks_every_page(rest, reply, order_row):
    rest.answers(
        reply({"data": [order_row(id="a"), order_row(id="b")], "next_cursor": "c2"}),
        reply({"data": [], "next_cursor": "c3"}),
        reply({"data": [order_row(id="c")], "next_cursor": None}),
    )
    orders = rest.call(lambda c: c.orders.iter(symbol="EURUSD", limit=2))
    assert [order.id for order in orders] == ["a", "b", "c"]
    assert [sent.partition("?")[2] for sent in rest.sent] == [
        "symbol=EURUSD&limit=2",
        "symbol=EURUSD&limit=2&cursor=c2",
        "symbol=EURUSD&limit=2&cursor=c3",
    ]


def test_a_cursor_that_comes_twice_does_not_loop(rest, reply, order_row):
    rest.answers(*[reply({"data": [order_row()], "next_cursor": "c2"})] * 2)
    rest.fails(ProtocolError, lambda c: c.orders.iter())


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"sl": 1.07}, {"sl": 1.07}),
        ({"sl": None}, {"sl": None}),
        ({"sl": None, "tp": 1.1, "price": 1.08}, {"sl": None, "tp": 1.1, "price": 1.08}),
        (
            {"expires_at": None, "stop_limit_price": 1.0},
            {"expires_at": None, "stop_limit_price": 1},
        ),
    ],
)
def test_modify_keeps_what_is_absent_and_removes_none(rest, reply, order_row, changes, body):
    rest.answers(DROP, reply(order_row() | {"updated": True}))
    assert rest.call(lambda c: c.orders.modify("ord_1", **changes)).id == "ord_1"
    assert rest.sent == ["PATCH /v1/orders/ord_1"] * 2
    assert rest.bodies() == [body] * 2
    assert rest.header("Idempotency-Key") == ["id1"] * 2


def test_modify_of_nothing_is_refused(rest):
    error = rest.fails(ConfigError, lambda c: c.orders.modify("ord_1"))
    assert "sl, tp, price, stop_limit_price, expires_at" in str(error)


def test_a_lost_command_carries_its_key_for_another_try(rest):
    rest.answers(DROP, DROP, DROP)
    error = rest.fails(ConnectionLost, lambda c: c.orders.modify("ord_1", sl=1.0))
    assert (error.maybe_executed, error.idempotency_key) == (True, "id1")


def test_the_callers_key_is_used(rest, reply, order_row):
    rest.answers(reply(order_row()))
    rest.call(lambda c: c.orders.cancel("ord_1", idempotency_key="again"))
    assert rest.header("Idempotency-Key") == ["again"]


def test_cancel_gives_the_order_or_the_close_result(rest, reply, order_row):
    closed = {"id": "pos_1", "order_id": "ord_9", "status": "OPEN", "closed_volume": 0.04,
              "remaining_volume": 0.06, "close_price": 1.08, "profit": -1.5, "swap": 0,
              "commission": 0, "already": False}  # fmt: skip
    rest.answers(reply(order_row(status="CANCELED")))
    assert rest.call(lambda c: c.orders.cancel("ord_1")).status == "CANCELED"
    rest.answers(reply(closed))
    result = rest.call(lambda c: c.orders.cancel("ord_1", volume=0.04))
    assert isinstance(result, CloseResult)
    assert result.remaining_volume == 0.06
    assert rest.sent == ["DELETE /v1/orders/ord_1", "DELETE /v1/orders/ord_1?volume=0.04"]


def test_get(rest, reply, order_row):
    rest.answers(reply(order_row()), reply(order_row()))
    assert rest.call(lambda c: c.orders.get("ord_1")).id == "ord_1"
    assert rest.call(lambda c: c.orders.get_by_client_id("a:b.c")).id == "ord_1"
    assert rest.sent == ["GET /v1/orders/ord_1", "GET /v1/orders/by-client-id/a%3Ab.c"]
    assert rest.header("Idempotency-Key") == [None, None]


@pytest.mark.parametrize("wrong", ["", ".", "..", None, 7])
def test_an_id_that_would_name_the_collection_is_refused(rest, wrong):
    rest.fails(ConfigError, lambda c: c.orders.cancel(wrong))
    assert rest.requests == []


def test_words_and_fields_of_a_newer_server_are_kept_or_ignored(rest, reply, order_row):
    rest.answers(reply(order_row(status="HELD", new_field={"a": 1})))
    assert rest.call(lambda c: c.orders.get("ord_1")).status == "HELD"


def test_orders_do_not_change(rest, reply, order_row):
    rest.answers(reply(order_row()))
    order = rest.call(lambda c: c.orders.get("ord_1"))
    with pytest.raises(AttributeError):
        order.price = 2.0


def test_redirects_are_not_followed(rest):
    rest.answers(httpx2.Response(307, headers={"Location": "http://elsewhere.test/v1/orders"}))
    error = rest.fails(ApiError, buy)
    assert error.status == 307
    assert len(rest.requests) == 1
