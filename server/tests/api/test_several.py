"""Batch, close-all, reverse and close-by, on every kind of account: each leg once."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.model.enums import TradeMode

from .client import Api, order_of
from .kinds import KINDS, Kind, Trader
from .world import World

HEDGES = [kind for kind in KINDS if not kind.nets]
NETS = [kind for kind in KINDS if kind.nets]


def by_profile(kinds: Any) -> Any:
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.profile)


@pytest.fixture
def trader(kind: Kind, world: World, connect: Callable[..., Api]) -> Trader:
    return Trader(world, connect, kind)


# --- batch -----------------------------------------------------------------------------------


@by_profile(KINDS)
def test_a_batch_answers_each_order_in_its_place(trader: Trader) -> None:
    bad_volume = trader.order() | {"volume": 1e6}
    orders = [
        trader.order("BUY", 1, magic=1),
        bad_volume,
        trader.order("BUY", 2, magic=2),
        trader.order("BUY", magic=3) | {"symbol": "NOPE"},
    ]
    results = trader.post("/orders/batch", {"orders": orders})["results"]
    assert [list(result) for result in results] == [["order"], ["error"], ["order"], ["error"]]
    assert [results[n]["order"]["magic"] for n in (0, 2)] == [1, 2]
    assert [results[n]["error"]["code"] for n in (1, 3)] == ["invalid_volume", "invalid_symbol"]
    assert all(results[n]["order"]["status"] == "FILLED" for n in (0, 2))
    total = sum(volume for _, volume in trader.held().values())
    assert total == pytest.approx(3 * trader.kind.lots)


@by_profile(KINDS)
def test_a_batch_sent_again_places_nothing_more(trader: Trader) -> None:
    orders = {"orders": [trader.order(magic=n) for n in range(1, 6)]}
    first = trader.api.call("POST", "/orders/batch", json=orders, headers={"Idempotency-Key": "b"})
    head = trader.api.get("/events")["head"]
    again = trader.api.call("POST", "/orders/batch", json=orders, headers={"Idempotency-Key": "b"})
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert trader.api.get("/events")["head"] == head
    other = {"orders": orders["orders"][:4]}
    trader.api.refused(
        "idempotency_key_reused", "POST", "/orders/batch", json=other,
        headers={"Idempotency-Key": "b"},
    )  # fmt: skip


def test_a_client_order_id_counts_in_and_out_of_a_batch(api: Api) -> None:
    alone = api.place(client_order_id="one")
    orders = [
        order_of(client_order_id="one"),
        order_of(client_order_id="two"),
        order_of(client_order_id="two"),
        order_of(client_order_id="two", volume=0.2),
    ]
    response = api.call("POST", "/orders/batch", json={"orders": orders})
    results = response.json()["results"]
    assert results[0]["order"]["id"] == alone["id"]
    assert results[1]["order"]["id"] == results[2]["order"]["id"]
    assert results[3]["error"]["code"] == "idempotency_key_reused"
    assert len(api.get("/positions")) == 2
    assert api.get("/orders/by-client-id/two")["id"] == results[1]["order"]["id"]


def test_a_hundred_orders_fit_a_batch_and_no_more(api: Api) -> None:
    orders = [order_of(volume=0.01, magic=n) for n in range(101)]
    api.refused("validation_error", "POST", "/orders/batch", json={"orders": orders})
    api.refused("validation_error", "POST", "/orders/batch", json={"orders": []})
    assert api.get("/positions") == []
    results = api.call("POST", "/orders/batch", json={"orders": orders[:100]}).json()["results"]
    assert [result["order"]["magic"] for result in results] == list(range(100))
    assert len(api.get("/positions")) == 100


@pytest.mark.parametrize(
    ("orders", "pointer"),
    [
        ([order_of(), order_of(lots=1)], "/orders/1/lots"),
        ([order_of(), {"symbol": "EURUSD", "type": "BUY"}], "/orders/1/volume"),
        ([order_of(type="HOLD")], "/orders/0/type"),
        ("all", "/orders"),
    ],
)
def test_a_batch_that_is_no_list_of_orders_is_refused_whole(
    api: Api, orders: Any, pointer: str
) -> None:
    problem = api.refused("validation_error", "POST", "/orders/batch", json={"orders": orders})
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert api.get("/orders")["data"] == []


# --- close all -------------------------------------------------------------------------------


@by_profile(KINDS)
def test_close_all_leaves_nothing_open(trader: Trader) -> None:
    trader.place("BUY", 2, magic=1)
    trader.place("BUY", 1, magic=1)
    if not trader.kind.nets:
        trader.place("SELL", 1)
    resting = trader.resting()
    held = trader.held()
    answer = trader.post("/positions/close-all", {"include_orders": True})
    assert [row["position_id"] for row in answer["results"]] == list(held)
    assert [row["result"]["status"] for row in answer["results"]] == ["CLOSED"] * len(held)
    closed = [row["result"]["closed_volume"] for row in answer["results"]]
    assert closed == [volume for _, volume in held.values()]
    [row] = answer["orders"]
    assert (row["order_id"], row["order"]["status"]) == (resting["id"], "CANCELED")
    assert trader.held() == {}
    assert trader.api.get("/orders", status="PLACED")["data"] == []
    assert trader.post("/positions/close-all") == {"results": [], "orders": []}


@by_profile(HEDGES)
@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"side": "BUY"}, {"SELL 1", "SELL 2"}),
        ({"magic": 1}, {"BUY 2", "SELL 2"}),
        ({"magic": 1, "side": "SELL"}, {"BUY 1", "BUY 2", "SELL 2"}),
        ({"symbol": "XAUUSD"}, {"BUY 1", "BUY 2", "SELL 1", "SELL 2"}),
        ({"symbol": None, "magic": 2}, {"BUY 1", "SELL 1"}),
    ],
)
def test_close_all_closes_what_fits(trader: Trader, wanted: dict[str, Any], left: set[str]) -> None:
    for type_ in ("BUY", "SELL"):
        for magic in (1, 2):
            trader.place(type_, magic=magic)
    trader.resting(magic=1)
    trader.post("/positions/close-all", wanted)
    held = trader.api.get("/positions")
    assert {f"{p['type']} {p['magic']}" for p in held} == left
    assert len(trader.api.get("/orders", status="PLACED")["data"]) == 1


@by_profile(HEDGES)
def test_orders_that_fit_are_cancelled_and_others_rest(trader: Trader) -> None:
    mine = trader.resting("BUY_LIMIT", magic=1)
    other = trader.resting("SELL_LIMIT", magic=1)
    trader.resting("BUY_LIMIT", magic=2)
    wanted = {"magic": 1, "side": "BUY", "include_orders": True}
    answer = trader.post("/positions/close-all", wanted)
    assert [row["order_id"] for row in answer["orders"]] == [mine["id"]]
    assert other["id"] in {o["id"] for o in trader.api.get("/orders", status="PLACED")["data"]}


def test_a_leg_that_fails_undoes_no_other(world: World, api: Api) -> None:
    first, second = (api.place()["position_id"] for _ in range(2))
    lane = world.lane(api.get("/account")["id"])
    broker: Any = lane.connector
    book = broker.broker._books["EURUSD"]
    held = book.positions[lane.book.positions[first].ticket]
    # The market stands at this one's TP: it is frozen, and stays.
    world.do(lambda: _freeze(broker.broker, held))
    answer = api.call("POST", "/positions/close-all", json={}).json()
    assert [row["position_id"] for row in answer["results"]] == [first, second]
    assert answer["results"][0]["error"]["code"] == "frozen"
    assert answer["results"][1]["result"]["status"] == "CLOSED"
    assert [position["id"] for position in api.get("/positions")] == [first]


def _freeze(broker: Any, held: Any) -> None:

    book = broker._books["EURUSD"]
    book.spec = replace(book.spec, freeze_level=20)
    broker._ledger.enter_position(replace(held, tp=book.bid + 10))


def test_close_all_again_by_its_key_closes_nothing_newer(api: Api) -> None:
    old = api.place()["position_id"]
    headers = {"Idempotency-Key": "all"}
    first = api.call("POST", "/positions/close-all", json={}, headers=headers).json()
    assert [row["position_id"] for row in first["results"]] == [old]
    newer = api.place()["position_id"]
    assert api.call("POST", "/positions/close-all", json={}, headers=headers).json() == first
    assert [position["id"] for position in api.get("/positions")] == [newer]


def test_bad_filters_are_refused(api: Api) -> None:
    path = "/positions/close-all"
    api.refused("invalid_symbol", "POST", path, json={"symbol": "EURUSX"})
    api.refused("validation_error", "POST", path, json={"side": "LONG"})
    api.refused("validation_error", "POST", path, json={"symbols": ["EURUSD"]})
    api.refused("malformed_json", "POST", path)


# --- reverse ---------------------------------------------------------------------------------


@by_profile(KINDS)
def test_reverse_ends_on_the_other_side_with_the_same_volume(trader: Trader) -> None:
    before = trader.place("BUY", 2, sl=round(trader.kind.bid - 3 * trader.kind.step, 5), magic=7)
    trader.to(1)
    answer = trader.post(f"/positions/{before['position_id']}/reverse")
    [row] = answer["results"]
    assert (row["position_id"], answer["error"]) == (before["position_id"], None)
    volume = before["volume"]
    assert row["result"]["closed_volume"] == volume
    assert row["result"]["profit"] > 0
    [position] = trader.api.get("/positions")
    assert (position["type"], position["volume"], position["sl"]) == ("SELL", volume, None)
    assert answer["order"]["position_id"] == position["id"]
    assert position["magic"] == 7
    deals = trader.api.get("/history/deals")["data"]
    if trader.kind.nets:
        assert position["id"] == before["position_id"]
        assert (deals[-1]["entry"], deals[-1]["volume"]) == ("INOUT", 2 * volume)
        assert (row["result"]["status"], row["result"]["remaining_volume"]) == ("OPEN", volume)
    else:
        assert [deal["entry"] for deal in deals[-2:]] == ["OUT", "IN"]
        assert (row["result"]["status"], row["result"]["remaining_volume"]) == ("CLOSED", 0)


@by_profile(KINDS)
def test_reverse_again_by_its_key_reverses_once(trader: Trader) -> None:
    position = trader.place()["position_id"]
    path = f"/positions/{position}/reverse"
    key = {"Idempotency-Key": "turn"}
    first = trader.post(path, None, **key)
    assert trader.post(path, None, **key) == first
    assert [side for side, _ in trader.held().values()] == ["SELL"]


@by_profile(NETS)
def test_a_netted_volume_above_half_the_maximum_is_reversed_in_two_deals(
    world: World, trader: Trader
) -> None:

    position = trader.place("BUY", 2)["position_id"]
    lane: Any = world.lane(trader.account)
    specs = lane.connector._specs
    spec = specs[trader.kind.symbol]
    specs[spec.symbol] = replace(spec, volume_max=3 * round(trader.kind.lots * 10**8))
    trader.post(f"/positions/{position}/reverse")
    deals = trader.api.get("/history/deals")["data"]
    assert [deal["entry"] for deal in deals[-2:]] == ["OUT", "IN"]
    assert list(trader.held().values()) == [("SELL", 2 * trader.kind.lots)]


def test_what_cannot_be_reopened_stays_closed_and_says_so(world: World, api: Api) -> None:
    position = api.place(volume=0.1)["position_id"]
    lane: Any = world.lane(api.get("/account")["id"])
    book = lane.connector.broker._books["EURUSD"]

    world.do(lambda: setattr(book, "spec", replace(book.spec, trade_mode=TradeMode.CLOSEONLY)))
    answer = api.call("POST", f"/positions/{position}/reverse", json={}).json()
    assert answer["results"][0]["result"]["status"] == "CLOSED"
    assert (answer["order"], answer["error"]["code"]) == (None, "close_only")
    assert answer["error"]["retcode_name"] == "CLOSE_ONLY"
    assert api.get("/positions") == []


def test_a_reverse_whose_closing_is_refused_is_refused(world: World, api: Api) -> None:
    position = api.place()["position_id"]
    lane: Any = world.lane(api.get("/account")["id"])
    ticket = lane.book.positions[position].ticket
    broker = lane.connector.broker
    world.do(lambda: _freeze(broker, broker._ledger.positions[ticket]))
    problem = api.refused("frozen", "POST", f"/positions/{position}/reverse", json={})
    assert problem["retcode_name"] == "FROZEN"
    assert [p["type"] for p in api.get("/positions")] == ["BUY"]


def test_reverse_of_what_is_closed_is_refused(api: Api) -> None:
    position = api.place()["position_id"]
    api.call("DELETE", "/positions/" + position)
    api.refused("position_closed", "POST", f"/positions/{position}/reverse")
    api.refused("not_found", "POST", "/positions/pos_0/reverse")
    api.refused("validation_error", "POST", f"/positions/{position}/reverse", json={"sl": 1})


# --- close by --------------------------------------------------------------------------------


@by_profile(HEDGES)
def test_two_positions_close_each_other_without_the_spread(trader: Trader) -> None:
    buy, sell = trader.place("BUY", 3)["position_id"], trader.place("SELL", 3)["position_id"]
    answer = trader.post(f"/positions/{buy}/close-by", {"position_id": sell})
    assert [row["position_id"] for row in answer["results"]] == [buy, sell]
    first, second = (row["result"] for row in answer["results"])
    assert (first["status"], second["status"]) == ("CLOSED", "CLOSED")
    lost = round((trader.kind.bid - trader.kind.ask) * 100_000 * 0.3, 2)
    assert (first["profit"], second["profit"]) == (lost, 0)
    assert trader.held() == {}
    order = trader.api.get("/orders/" + first["close_order_id"])
    assert (order["type"], order["status"]) == ("CLOSE_BY", "FILLED")
    deals = trader.api.get("/history/deals")["data"][-2:]
    assert [deal["entry"] for deal in deals] == ["OUT_BY", "OUT_BY"]


@by_profile(HEDGES)
def test_the_larger_of_two_goes_on(trader: Trader) -> None:
    buy, sell = trader.place("BUY", 3)["position_id"], trader.place("SELL", 1)["position_id"]
    answer = trader.post(f"/positions/{sell}/close-by", {"position_id": buy})
    assert [row["position_id"] for row in answer["results"]] == [sell, buy]
    small, large = (row["result"] for row in answer["results"])
    assert (small["status"], small["remaining_position_id"]) == ("CLOSED", None)
    assert (large["status"], large["closed_volume"], large["remaining_volume"]) == (
        "OPEN", trader.kind.lots, round(2 * trader.kind.lots, 2),
    )  # fmt: skip
    [(left, _)] = trader.held().items()
    assert large["remaining_position_id"] == left
    assert (left == buy) is not trader.kind.is_mt4  # MT4 opens the rest anew


@by_profile(HEDGES)
def test_close_by_again_by_its_key_closes_once(trader: Trader) -> None:
    buy, sell = trader.place("BUY", 2)["position_id"], trader.place("SELL", 1)["position_id"]
    path, key = f"/positions/{buy}/close-by", {"Idempotency-Key": "by"}
    first = trader.post(path, {"position_id": sell}, **key)
    assert trader.post(path, {"position_id": sell}, **key) == first
    assert sum(volume for _, volume in trader.held().values()) == trader.kind.lots


@by_profile(HEDGES)
def test_positions_that_cannot_close_each_other_are_refused(trader: Trader) -> None:
    buy, other = trader.place("BUY")["position_id"], trader.place("BUY")["position_id"]
    path = f"/positions/{buy}/close-by"
    trader.api.refused("rejected", "POST", path, json={"position_id": other})
    problem = trader.api.refused("validation_error", "POST", path, json={"position_id": buy})
    assert problem["errors"][0]["pointer"] == "/position_id"
    trader.api.refused("not_found", "POST", path, json={"position_id": "pos_0"})
    trader.api.refused("validation_error", "POST", path, json={})
    trader.api.call("DELETE", "/positions/" + other)
    trader.api.refused("position_closed", "POST", path, json={"position_id": other})


@by_profile(NETS)
def test_netted_positions_close_by_nothing(world: World, trader: Trader) -> None:
    position = trader.place()["position_id"]
    trader.api.refused(
        "not_found", "POST", f"/positions/{position}/close-by", json={"position_id": "pos_0"}
    )


# --- single operations on every kind ---------------------------------------------------------


@by_profile(KINDS)
def test_place_modify_close_in_parts_and_cancel(trader: Trader) -> None:
    order = trader.place("BUY", 3)
    position = order["position_id"]
    stop = round(trader.kind.bid - 2 * trader.kind.step, 5)
    changed = trader.api.call("PATCH", "/positions/" + position, json={"sl": stop}).json()
    assert changed["sl"] == stop
    part = trader.api.call("DELETE", f"/positions/{position}?volume={trader.kind.lots}").json()
    left = round(2 * trader.kind.lots, 2)
    assert (part["status"], part["closed_volume"], part["remaining_volume"]) == (
        "OPEN", trader.kind.lots, left,
    )  # fmt: skip
    rest = part["remaining_position_id"]
    assert (rest == position) is not trader.kind.is_mt4
    shown = trader.api.get("/positions/" + rest)
    assert (shown["volume"], shown["sl"], shown["order_id"]) == (left, stop, order["id"])
    last = trader.api.call("DELETE", "/orders/" + order["id"]).json()
    assert (last["status"], last["closed_volume"]) == ("CLOSED", left)
    assert trader.held() == {}
    again = trader.api.call("DELETE", "/positions/" + rest).json()
    assert (again["already"], again["remaining_position_id"]) == (True, None)
    resting = trader.resting()
    moved = round(resting["price"] - trader.kind.step, 5)
    patch = trader.api.call("PATCH", "/orders/" + resting["id"], json={"price": moved}).json()
    assert (patch["price"], patch["updated"]) == (moved, True)
    gone = trader.api.call("DELETE", "/orders/" + resting["id"]).json()
    assert gone["status"] == "CANCELED"


@by_profile([kind for kind in KINDS if kind.is_mt4])
def test_an_mt4_order_leads_to_the_rest_of_its_position(trader: Trader) -> None:
    order = trader.place("BUY", 3, comment="mine")
    first = trader.api.call("DELETE", f"/orders/{order['id']}?volume=0.1").json()
    second = trader.api.call("DELETE", f"/orders/{order['id']}?volume=0.1").json()
    assert second["id"] == first["remaining_position_id"] != order["position_id"]
    rest = trader.api.get("/positions/" + second["remaining_position_id"])
    assert (rest["volume"], rest["order_id"], rest["comment"]) == (0.1, order["id"], "mine")
    stop = {"sl": 1.05}
    assert trader.api.call("PATCH", "/orders/" + order["id"], json=stop).status_code == 200
    assert trader.api.get("/positions/" + rest["id"])["sl"] == 1.05
    told = trader.api.call("DELETE", "/positions/" + order["position_id"]).json()
    assert (told["already"], told["remaining_volume"]) == (True, 0.1)
    assert told["remaining_position_id"] == rest["id"]


@by_profile([kind for kind in KINDS if kind.is_mt4])
def test_mt4_has_no_stop_limit_orders(trader: Trader) -> None:
    problem = trader.api.refused(
        "rejected", "POST", "/orders",
        json=trader.order("BUY_STOP_LIMIT", price=1.09, stop_limit_price=1.085),
    )  # fmt: skip
    assert "EURUSD takes no BUY_STOP_LIMIT" in problem["detail"]
    listed = trader.api.get("/symbols/EURUSD")["order_types"]
    assert not {"BUY_STOP_LIMIT", "SELL_STOP_LIMIT"} & set(listed)


@by_profile([kind for kind in KINDS if kind.is_mt4])
def test_mt4_has_nine_timeframes(trader: Trader) -> None:
    for timeframe in ("M1", "M5", "M15", "M30", "H1", "H4", "D1", "W1", "MN1"):
        trader.api.get("/candles", symbol="EURUSD", timeframe=timeframe, limit=1)
    for timeframe in ("M2", "M10", "H2", "H12"):
        problem = trader.api.refused(
            "validation_error", "GET", f"/candles?symbol=EURUSD&timeframe={timeframe}"
        )
        assert problem["detail"].endswith("M1 M5 M15 M30 H1 H4 D1 W1 MN1")
