"""/v1/positions: read, protected and closed at exact prices, with profit to the cent."""

from collections.abc import Callable
from typing import Any

import pytest

from .client import Api, body
from .world import World


def opened(api: Api, **order: Any) -> str:
    position_id: str = api.place(**order)["position_id"]
    return position_id


def closed(api: Api, position_id: str, query: str = "") -> Any:
    return body(api.call("DELETE", f"/positions/{position_id}{query}"))


# --- read ------------------------------------------------------------------------------------


def test_a_position_shows_what_closing_it_would_earn(api: Api) -> None:
    buy, sell = opened(api), opened(api, type="SELL", volume=0.2)
    api.set_price("EURUSD", 1.09, 1.0902)
    position = api.get("/positions/" + buy)
    assert (position["current_price"], position["profit"]) == (1.09, 65.0)
    assert (position["status"], position["volume"], position["swap"]) == ("OPEN", 0.1, 0)
    position = api.get("/positions/" + sell)
    assert (position["current_price"], position["profit"]) == (1.0902, -136.0)


def test_open_positions_are_listed_oldest_first_and_filtered(api: Api) -> None:
    first = opened(api, magic=1)
    second = opened(api, symbol="XAUUSD", volume=0.01, magic=2)
    gone = opened(api, magic=1)
    closed(api, gone)

    def ids(**filters: Any) -> list[str]:
        return [position["id"] for position in api.get("/positions", **filters)]

    assert ids() == [first, second]
    assert ids(symbol="XAUUSD") == [second]
    assert ids(magic=1) == [first]
    assert ids(symbol="GBPUSD") == []
    api.refused("validation_error", "GET", "/positions?magic=one")
    api.refused("validation_error", "GET", "/positions?status=CLOSED")


def test_positions_are_another_account_s_secret(
    world: World, api: Api, connect: Callable[..., Api]
) -> None:
    position = "/positions/" + opened(api)
    other = connect(world.add_key(accounts=(world.add_account(),)))
    other.refused("not_found", "GET", position)
    other.refused("not_found", "PATCH", position, json={"sl": 1.0})
    other.refused("not_found", "DELETE", position)
    assert other.get("/positions") == []
    api.refused("not_found", "GET", "/positions/pos_0")


# --- close -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "prices", "close_price", "profit"),
    [
        ({"volume": 0.1}, (1.09, 1.0901), 1.09, 65.0),
        ({"volume": 0.1, "type": "SELL"}, (1.09, 1.0901), 1.0901, -67.0),
        ({"volume": 1.37}, (1.08349, 1.08351), 1.08349, -1.37),
        # Yen become dollars at the closing price itself: 24,500 / 151.5, 25,500 / 151.51.
        ({"symbol": "USDJPY", "volume": 0.5}, (151.5, 151.51), 151.5, 161.72),
        ({"symbol": "USDJPY", "volume": 0.5, "type": "SELL"}, (151.5, 151.51), 151.51, -168.31),
        ({"symbol": "XAUUSD", "volume": 0.03}, (2660.55, 2660.75), 2660.55, 31.05),
        ({"symbol": "WS30", "volume": 2.0, "type": "SELL"}, (41_900, 41_903), 41_903.0, 194.0),
        ({"symbol": "BTCUSD", "volume": 0.01}, (64_000, 64_003.01), 64_000.0, -10.03),
    ],
)
def test_closing_books_the_profit_to_the_cent(
    api: Api, order: dict[str, Any], prices: tuple[float, float], close_price: float, profit: float
) -> None:
    placed = api.place(**order)
    api.set_price(placed["symbol"], *prices)
    result = closed(api, placed["position_id"])
    assert (result["status"], result["already"]) == ("CLOSED", False)
    assert (result["close_price"], result["profit"]) == (close_price, profit)
    assert (result["closed_volume"], result["remaining_volume"]) == (placed["volume"], 0)
    assert (result["order_id"], result["swap"], result["commission"]) == (placed["id"], 0, 0)
    account = api.get("/account")
    assert account["balance"] == account["equity"] == round(10_000 + profit, 2)
    assert account["margin"] == 0


def test_a_position_is_closed_in_parts(api: Api) -> None:
    position_id = opened(api, volume=0.3, sl=1.07)
    api.set_price("EURUSD", 1.0935, 1.0936)
    part = closed(api, position_id, "?volume=0.1&deviation=5")
    assert (part["status"], part["closed_volume"], part["remaining_volume"]) == ("OPEN", 0.1, 0.2)
    assert part["profit"] == 100.0
    position = api.get("/positions/" + position_id)
    assert (position["volume"], position["sl"], position["profit"]) == (0.2, 1.07, 200.0)
    api.set_price("EURUSD", 1.0735, 1.0736)
    rest = closed(api, position_id)
    assert (rest["closed_volume"], rest["close_price"], rest["profit"]) == (0.2, 1.0735, -200.0)
    again = closed(api, position_id)
    assert (again["already"], again["closed_volume"], again["profit"]) == (True, 0.3, -100.0)
    assert again["close_price"] == 1.08017  # 0.1 at 1.0935 and 0.2 at 1.0735
    assert again["close_order_id"] == rest["close_order_id"]
    assert api.get("/account")["balance"] == 9_900.0


def test_closing_a_closed_position_tells_how_it_closed(api: Api) -> None:
    position_id = opened(api)
    first = closed(api, position_id)
    head = api.get("/events")["head"]
    assert closed(api, position_id) == {**first, "already": True}
    assert api.get("/events")["head"] == head
    position = api.get("/positions/" + position_id)
    assert (position["status"], position["volume"]) == ("CLOSED", 0)
    assert (position["current_price"], position["profit"]) == (1.0834, -1.0)


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("volume=0", "invalid_volume", "?volume"),
        ("volume=-0.1", "invalid_volume", "?volume"),
        ("volume=0.015", "invalid_volume", "?volume"),
        ("volume=0.11", "invalid_volume", "?volume"),
        ("volume=1e300", "validation_error", "?volume"),
        ("volume=all", "validation_error", "?volume"),
        ("volume=nan", "validation_error", "?volume"),
        ("deviation=-1", "validation_error", "?deviation"),
        ("deviation=0.5", "validation_error", "?deviation"),
        ("valume=0.1", "validation_error", "?valume"),
    ],
)
def test_a_wrong_close_names_its_parameter(api: Api, query: str, code: str, pointer: str) -> None:
    position_id = opened(api)
    problem = api.refused(code, "DELETE", f"/positions/{position_id}?{query}")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert api.get("/positions/" + position_id)["volume"] == 0.1


def test_a_close_is_an_order_of_its_own(api: Api) -> None:
    placed = api.place(magic=7, comment="trend")
    result = closed(api, placed["position_id"])
    order = api.get("/orders/" + result["close_order_id"])
    assert (order["type"], order["status"], order["magic"]) == ("SELL", "FILLED", 7)
    assert order["position_id"] == placed["position_id"]
    deals = api.get("/history/deals")["data"]
    assert [(deal["type"], deal["entry"], deal["order_id"]) for deal in deals[1:]] == [
        ("BUY", "IN", placed["id"]),
        ("SELL", "OUT", order["id"]),
    ]


# --- stops -----------------------------------------------------------------------------------


def test_stops_are_set_moved_and_removed(api: Api) -> None:
    path = "/positions/" + opened(api)

    def patch(**change: Any) -> tuple[Any, Any]:
        position = body(api.call("PATCH", path, json=change))
        assert api.get(path) == position
        return position["sl"], position["tp"]

    assert patch(sl=1.07) == (1.07, None)
    assert patch(tp=1.1) == (1.07, 1.1)
    assert patch(sl=1.08) == (1.08, 1.1)
    assert patch(sl=1.08) == (1.08, 1.1)
    assert patch(sl=None) == (None, 1.1)
    assert patch(tp=0) == (None, None)


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({}, "validation_error", "/sl"),
        ({"sl": 1.0834}, "invalid_stops", "/sl"),
        ({"tp": 1.0834}, "invalid_stops", "/tp"),
        ({"sl": -1}, "invalid_stops", "/sl"),
        ({"sl": 1e-9}, "invalid_stops", "/sl"),
        ({"sl": 1e13}, "invalid_stops", "/sl"),
        ({"tp": True}, "validation_error", "/tp"),
        ({"price": 1.0}, "validation_error", "/price"),
    ],
)
def test_wrong_stops_are_named(api: Api, change: dict[str, Any], code: str, pointer: str) -> None:
    position_id = opened(api, sl=1.07)
    problem = api.refused(code, "PATCH", "/positions/" + position_id, json=change)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert api.get("/positions/" + position_id)["sl"] == 1.07


def test_a_closed_position_takes_no_stops(api: Api) -> None:
    position_id = opened(api)
    closed(api, position_id)
    api.refused("position_closed", "PATCH", "/positions/" + position_id, json={"sl": 1.0})


@pytest.mark.parametrize(
    ("order", "prices", "close_price", "profit", "word"),
    [
        ({"sl": 1.08}, (1.08, 1.0801), 1.08, -35.0, "sl"),
        ({"tp": 1.09}, (1.09, 1.0901), 1.09, 65.0, "tp"),
        ({"type": "SELL", "sl": 1.09}, (1.0899, 1.09), 1.09, -66.0, "sl"),
        ({"type": "SELL", "tp": 1.08}, (1.0799, 1.08), 1.08, 34.0, "tp"),
        # A market that jumps over a stop loss closes where it landed.
        ({"sl": 1.08}, (1.07, 1.0701), 1.07, -135.0, "sl"),
    ],
)
def test_stops_close_the_position_when_the_price_comes(
    api: Api,
    order: dict[str, Any],
    prices: tuple[float, float],
    close_price: float,
    profit: float,
    word: str,
) -> None:
    placed = api.place(magic=5, **order)
    api.set_price("EURUSD", *prices)
    assert api.get("/positions") == []
    result = closed(api, placed["position_id"])
    assert (result["already"], result["status"]) == (True, "CLOSED")
    assert (result["close_price"], result["profit"]) == (close_price, profit)
    closing = api.get("/orders/" + result["close_order_id"])
    assert (closing["reason"], closing["magic"]) == (word, 5)
    assert closing["comment"] == f"[{word} {order[word]:.5f}]"
    deal = api.get("/history/deals")["data"][-1]
    assert (deal["reason"], deal["entry"], deal["profit"]) == (word.upper(), "OUT", profit)
    assert api.get("/account")["balance"] == 10_000 + profit


def test_a_stop_that_was_moved_away_does_not_fire(api: Api) -> None:
    position_id = opened(api, sl=1.08)
    body(api.call("PATCH", "/positions/" + position_id, json={"sl": 1.075}))
    api.set_price("EURUSD", 1.0751, 1.0752)
    assert api.get("/positions/" + position_id)["status"] == "OPEN"
    api.set_price("EURUSD", 1.075, 1.0751)
    assert api.get("/positions/" + position_id)["status"] == "CLOSED"
