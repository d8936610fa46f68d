"""/v1/orders: each type placed, filled at exact prices, changed, cancelled, found and listed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fxsocket_server.gateway.views import time_text

from .client import Api, body, order_of
from .contract import Contract
from .world import MONDAY_MS, World

BID, ASK = 1.0834, 1.0835  # EURUSD in every account of the still world

# Their prices, and the Bid and Ask that reach them.
PENDING = {
    "BUY_LIMIT": (1.08, (1.0799, 1.08)),
    "SELL_LIMIT": (1.09, (1.09, 1.0901)),
    "BUY_STOP": (1.09, (1.0899, 1.09)),
    "SELL_STOP": (1.08, (1.08, 1.0801)),
}


# --- place -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "price"), [("BUY", ASK), ("SELL", BID)])
def test_a_market_order_fills_at_its_side_of_the_quote(api: Api, kind: str, price: float) -> None:
    order = api.place(type=kind, volume=0.25, magic=42, comment="mean reversion")
    assert (order["status"], order["price"], order["requested_price"]) == ("FILLED", price, None)
    assert (order["volume"], order["filled_volume"]) == (0.25, 0.25)
    assert (order["retcode"], order["retcode_name"], order["reason"]) == (10009, "DONE", None)
    assert (order["magic"], order["comment"]) == (42, "mean reversion")
    position = api.get("/positions/" + order["position_id"])
    assert position["order_id"] == order["id"]
    assert (position["type"], position["open_price"]) == (kind, price)
    assert position["comment"] == "mean reversion"


def test_a_price_that_a_market_order_carries_is_not_used(api: Api) -> None:
    order = api.place(price=1.5)
    assert (order["price"], order["requested_price"]) == (ASK, None)


def test_zero_and_null_stops_mean_none(api: Api) -> None:
    order = api.place(sl=0, tp=None, price=None, filling=None, time_in_force=None, comment=None)
    assert (order["sl"], order["tp"], order["comment"]) == (None, None, "")


def test_stops_are_the_position_s(api: Api) -> None:
    order = api.place(sl=1.072, tp=1.095)
    assert (order["sl"], order["tp"]) == (1.072, 1.095)
    position = api.get("/positions/" + order["position_id"])
    assert (position["sl"], position["tp"]) == (1.072, 1.095)


@pytest.mark.parametrize("kind", PENDING)
def test_a_pending_order_rests_and_fills_when_its_price_comes(api: Api, kind: str) -> None:
    price, (bid, ask) = PENDING[kind]
    order = api.place(type=kind, price=price, magic=3)
    assert (order["status"], order["price"], order["requested_price"]) == ("PLACED", price, price)
    assert (order["retcode_name"], order["filled_volume"]) == ("PLACED", 0)
    assert order["position_id"] is None
    assert api.get("/orders/" + order["id"]) == order
    api.set_price("EURUSD", bid, ask)
    filled = api.get("/orders/" + order["id"])
    assert (filled["status"], filled["price"]) == ("FILLED", price)
    position = api.get("/positions/" + filled["position_id"])
    assert (position["open_price"], position["volume"]) == (price, 0.1)
    assert (position["order_id"], position["magic"]) == (order["id"], 3)
    assert position["type"] == kind.partition("_")[0]


@pytest.mark.parametrize(
    ("kind", "price", "limit", "reached", "back"),
    [
        ("BUY_STOP_LIMIT", 1.09, 1.0885, (1.0899, 1.09), (1.0884, 1.0885)),
        ("SELL_STOP_LIMIT", 1.08, 1.0815, (1.08, 1.0801), (1.0815, 1.0816)),
    ],
)
def test_a_stop_limit_becomes_a_limit_and_fills(
    api: Api,
    kind: str,
    price: float,
    limit: float,
    reached: tuple[float, float],
    back: tuple[float, float],
) -> None:
    order = api.place(type=kind, price=price, stop_limit_price=limit)
    assert (order["status"], order["stop_limit_price"]) == ("PLACED", limit)
    api.set_price("EURUSD", *reached)
    armed = api.get("/orders/" + order["id"])
    assert (armed["status"], armed["type"]) == ("PLACED", kind.replace("_STOP", ""))
    assert armed["price"] == limit
    api.set_price("EURUSD", *back)
    filled = api.get("/orders/" + order["id"])
    assert (filled["status"], filled["price"]) == ("FILLED", limit)


def test_a_dated_order_expires(world: World, api: Api) -> None:
    at_ms = world.clock.wall_ms() + 3_600_123
    order = api.place(type="BUY_LIMIT", price=1.08, expires_at=time_text(at_ms))
    assert (order["time_in_force"], order["expires_at"]) == ("SPECIFIED", time_text(at_ms))
    world.clock.advance(3_600_122)
    api.set_price("EURUSD", 1.0833, 1.0835)
    assert api.get("/orders/" + order["id"])["status"] == "PLACED"
    world.clock.advance(1)
    api.set_price("EURUSD", 1.0833, 1.0835)
    expired = api.get("/orders/" + order["id"])
    assert (expired["status"], expired["filled_volume"]) == ("EXPIRED", 0)
    api.refused("order_closed", "DELETE", "/orders/" + order["id"])


def test_a_refusal_of_the_broker_carries_the_order(api: Api) -> None:
    problem = api.refused("not_enough_money", "POST", "/orders", json=order_of(volume=90))
    assert (problem["retcode"], problem["retcode_name"]) == (10019, "NO_MONEY")
    order = problem["order"]
    assert (order["status"], order["reason"]) == ("REJECTED", "not_enough_money")
    assert api.get("/orders/" + order["id"]) == order
    assert api.get("/positions") == []
    assert [deal["type"] for deal in api.get("/history/deals")["data"]] == ["BALANCE"]


@pytest.mark.parametrize(
    ("wrong", "code", "pointer"),
    [
        ({"sl": 1.09}, "invalid_stops", "/sl"),
        ({"tp": 1.08}, "invalid_stops", "/tp"),
        ({"filling": "RETURN"}, "invalid_fill", "/filling"),
        ({"type": "BUY_LIMIT", "price": 1.09}, "invalid_price", "/price"),
        ({"type": "BUY_LIMIT", "price": 1.08, "expires_at": "2025-01-01T00:00:00Z"},
         "invalid_expiration", "/expires_at"),
    ],
)  # fmt: skip
def test_the_broker_s_refusal_names_the_field(
    api: Api, wrong: dict[str, Any], code: str, pointer: str
) -> None:
    problem = api.refused(code, "POST", "/orders", json=order_of(**wrong))
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["order"]["status"] == "REJECTED"


@pytest.fixture(scope="module")
def saturday(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("saturday"), MONDAY_MS - 2 * 24 * 3_600_000)
    yield world
    world.close()


def test_a_closed_market_is_named(saturday: World, contract: Contract) -> None:
    account = saturday.add_account(sessions=True)
    api = Api(saturday.root, saturday.add_key(accounts=(account,)), contract)
    problem = api.refused("market_closed", "POST", "/orders", json=order_of())
    assert problem["retcode"] == 10018
    assert "it opens at 2026.01.05 00:05 server time" in problem["detail"]
    symbol = api.get("/symbols/EURUSD")
    assert (symbol["market_open"], symbol["next_open"]) == (False, "2026-01-04T22:05:00.000Z")
    assert api.place(symbol="BTCUSD", volume=0.01)["status"] == "FILLED"
    api.close()


# --- read ------------------------------------------------------------------------------------


def test_an_order_is_found_by_its_own_id(api: Api) -> None:
    first = api.place(client_order_id="strategy-1:a.b_c")
    assert api.get("/orders/by-client-id/strategy-1:a.b_c") == first
    api.refused("not_found", "GET", "/orders/by-client-id/strategy-2")
    api.refused("not_found", "GET", "/orders/ord_0")


def test_orders_are_another_account_s_secret(
    world: World, api: Api, connect: Callable[..., Api]
) -> None:
    order = api.place(client_order_id="mine")
    other = connect(world.add_key(accounts=(world.add_account(),)))
    other.refused("not_found", "GET", "/orders/" + order["id"])
    other.refused("not_found", "GET", "/orders/by-client-id/mine")
    other.refused("not_found", "DELETE", "/orders/" + order["id"])
    assert other.get("/orders")["data"] == []


def test_orders_are_listed_newest_first_in_pages(api: Api) -> None:
    placed = [api.place(magic=number)["id"] for number in range(6)]
    assert [order["id"] for order in api.get("/orders")["data"]] == placed[::-1]
    pages = [[order["id"] for order in page] for page in api.pages("/orders", limit=2)]
    assert pages == [placed[:3:-1], placed[3:1:-1], placed[1::-1]]


def test_orders_are_filtered(world: World, api: Api) -> None:
    market = api.place(magic=1)
    gold = api.place(symbol="XAUUSD", volume=0.01, magic=2**63 - 1)
    world.clock.advance(1_000)
    resting = api.place(type="BUY_LIMIT", price=1.05, magic=1)

    def ids(**filters: Any) -> list[str]:
        return [order["id"] for order in api.get("/orders", **filters)["data"]]

    assert ids(status="PLACED") == [resting["id"]]
    assert ids(status="FILLED, PLACED") == [resting["id"], gold["id"], market["id"]]
    assert ids(symbol="XAUUSD") == [gold["id"]]
    assert ids(magic=1) == [resting["id"], market["id"]]
    assert ids(magic=2**63 - 1) == [gold["id"]]
    assert ids(**{"from": resting["created_at"]}) == [resting["id"]]
    assert ids(to=resting["created_at"]) == [gold["id"], market["id"]]
    assert ids(**{"from": "2026-01-05"}, to="2026-02-01T00:00:00+02:00") == ids()


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=DONE", "?status"),
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("limit=ten", "?limit"),
        ("magic=1.5", "?magic"),
        ("magic=9223372036854775808", "?magic"),
        ("from=yesterday", "?from"),
        ("to=2026-13-01", "?to"),
        ("statsu=PLACED", "?statsu"),
    ],
)
def test_a_wrong_filter_is_named(api: Api, query: str, pointer: str) -> None:
    problem = api.refused("validation_error", "GET", "/orders?" + query)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("cursor", ["x", "-1", "1e3", "9" * 19])
def test_a_wrong_cursor_is_refused(api: Api, cursor: str) -> None:
    api.refused("cursor_invalid", "GET", "/orders?cursor=" + cursor)


# --- modify ----------------------------------------------------------------------------------


def patch(api: Api, order: Any, **change: Any) -> Any:
    return body(api.call("PATCH", "/orders/" + order["id"], json=change))


def test_a_resting_order_takes_new_levels(api: Api) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08, sl=1.07, tp=1.1)
    moved = patch(api, order, price=1.079, sl=None)
    assert moved["updated"] is True
    assert (moved["price"], moved["sl"], moved["tp"]) == (1.079, None, 1.1)
    assert api.get("/orders/" + order["id"]) == {k: moved[k] for k in order}
    api.set_price("EURUSD", 1.0799, 1.08)
    assert api.get("/orders/" + order["id"])["status"] == "PLACED"
    api.set_price("EURUSD", 1.0789, 1.079)
    assert api.get("/orders/" + order["id"])["price"] == 1.079


def test_a_modification_that_changes_nothing_says_so(api: Api) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08, sl=1.07)
    head = api.get("/events")["head"]
    same = patch(api, order, price=1.08, sl=1.07)
    assert same == {**order, "updated": False}
    assert api.get("/events")["head"] == head


def test_a_lifetime_is_set_and_taken_away(api: Api) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08)
    dated = patch(api, order, expires_at="2026-01-09T22:00:00+01:00")
    assert dated["expires_at"] == "2026-01-09T21:00:00.000Z"
    assert dated["time_in_force"] == "SPECIFIED"
    lasting = patch(api, order, expires_at=None)
    assert (lasting["expires_at"], lasting["time_in_force"]) == (None, "GTC")


def test_a_stop_limit_order_moves_both_prices(api: Api) -> None:
    order = api.place(type="BUY_STOP_LIMIT", price=1.09, stop_limit_price=1.0885)
    moved = patch(api, order, price=1.091, stop_limit_price=1.0895)
    assert (moved["price"], moved["stop_limit_price"]) == (1.091, 1.0895)


def test_a_filled_order_changes_its_position_s_stops(api: Api) -> None:
    order = api.place(sl=1.07)
    changed = patch(api, order, tp=1.1)
    assert (changed["sl"], changed["tp"], changed["updated"]) == (1.07, 1.1, True)
    position = api.get("/positions/" + order["position_id"])
    assert (position["sl"], position["tp"]) == (1.07, 1.1)
    assert api.get("/orders/" + order["id"])["tp"] == 1.1
    assert patch(api, order, tp=1.1)["updated"] is False


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({}, "validation_error", "/sl"),
        ({"price": None}, "validation_error", "/price"),
        ({"price": 0}, "invalid_price", "/price"),
        ({"price": -1}, "invalid_price", "/price"),
        ({"price": 1.09}, "invalid_price", "/price"),
        ({"sl": 1.09}, "invalid_stops", "/sl"),
        ({"tp": "1.1"}, "validation_error", "/tp"),
        ({"volume": 1}, "validation_error", "/volume"),
        ({"expires_at": "soon"}, "validation_error", "/expires_at"),
        ({"expires_at": "2025-01-01T00:00:00Z"}, "invalid_expiration", "/expires_at"),
    ],
)
def test_a_wrong_change_names_its_field(
    api: Api, change: dict[str, Any], code: str, pointer: str
) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08)
    problem = api.refused(code, "PATCH", "/orders/" + order["id"], json=change)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert api.get("/orders/" + order["id"]) == order


def test_what_is_done_cannot_change(api: Api) -> None:
    filled = api.place()
    problem = api.refused("order_closed", "PATCH", "/orders/" + filled["id"], json={"price": 1.0})
    assert [error["pointer"] for error in problem["errors"]] == ["/price"]
    body(api.call("DELETE", "/orders/" + filled["id"]))
    api.refused("position_closed", "PATCH", "/orders/" + filled["id"], json={"sl": 1.0})
    canceled = api.place(type="BUY_LIMIT", price=1.08)
    body(api.call("DELETE", "/orders/" + canceled["id"]))
    api.refused("order_closed", "PATCH", "/orders/" + canceled["id"], json={"sl": 1.0})
    api.refused("not_found", "PATCH", "/orders/ord_0", json={"sl": 1.0})


# --- cancel ----------------------------------------------------------------------------------


def test_a_resting_order_is_cancelled_once(api: Api) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08)
    canceled = body(api.call("DELETE", "/orders/" + order["id"]))
    assert (canceled["status"], canceled["cancel_requested"]) == ("CANCELED", False)
    assert body(api.call("DELETE", "/orders/" + order["id"])) == canceled
    api.set_price("EURUSD", 1.0799, 1.08)
    assert api.get("/orders/" + order["id"]) == canceled
    assert api.get("/positions") == []


def test_deleting_a_filled_order_closes_what_is_open_of_it(api: Api) -> None:
    order = api.place(volume=0.3)
    part = body(api.call("DELETE", f"/orders/{order['id']}?volume=0.1"))
    assert (part["status"], part["closed_volume"], part["remaining_volume"]) == ("OPEN", 0.1, 0.2)
    rest = body(api.call("DELETE", "/orders/" + order["id"]))
    assert (rest["status"], rest["closed_volume"], rest["remaining_volume"]) == ("CLOSED", 0.2, 0)
    assert (rest["id"], rest["order_id"]) == (order["position_id"], order["id"])
    again = body(api.call("DELETE", "/orders/" + order["id"]))
    assert (again["already"], again["closed_volume"]) == (True, 0.3)
    closing = api.get("/orders/" + rest["close_order_id"])
    assert (closing["type"], closing["status"]) == ("SELL", "FILLED")
    api.refused("order_closed", "DELETE", "/orders/" + closing["id"])


def test_a_volume_only_closes_part_of_a_filled_order(api: Api) -> None:
    order = api.place(type="BUY_LIMIT", price=1.08)
    problem = api.refused("validation_error", "DELETE", f"/orders/{order['id']}?volume=0.1")
    assert [error["pointer"] for error in problem["errors"]] == ["?volume"]
    api.refused("not_found", "DELETE", "/orders/ord_0")


def test_a_rejected_order_has_nothing_to_cancel(api: Api) -> None:
    problem = api.refused("not_enough_money", "POST", "/orders", json=order_of(volume=90))
    api.refused("order_closed", "DELETE", "/orders/" + problem["order"]["id"])
