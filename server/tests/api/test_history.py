"""/v1/history/orders and /history/positions: what is done, by when it was, page by page."""

from typing import Any

from .client import Api, body
from .world import World


def ids(rows: list[Any]) -> list[str]:
    return [row["id"] for row in rows]


def test_done_orders_are_listed_by_when_they_were_done(world: World, api: Api) -> None:
    resting = api.place(type="BUY_LIMIT", price=1.05)
    world.clock.advance(1_000)
    filled = api.place(magic=7)
    open_order = api.place(type="SELL_LIMIT", price=1.2)
    world.clock.advance(1_000)
    body(api.call("DELETE", "/orders/" + resting["id"]))
    page = api.get("/history/orders")
    assert ids(page["data"]) == [filled["id"], resting["id"]]
    assert open_order["id"] not in ids(page["data"])
    assert [order["status"] for order in page["data"]] == ["FILLED", "CANCELED"]
    assert ids(api.get("/history/orders", magic=7)["data"]) == [filled["id"]]
    assert ids(api.get("/history/orders", symbol="XAUUSD")["data"]) == []


def test_from_and_to_select_by_when_it_was_done(world: World, api: Api) -> None:
    resting = api.place(type="BUY_LIMIT", price=1.05)
    world.clock.advance(60_000)
    gone = body(api.call("DELETE", "/orders/" + resting["id"]))
    at = gone["updated_at"]
    assert ids(api.get("/history/orders", **{"from": at})["data"]) == [resting["id"]]
    assert ids(api.get("/history/orders", to=at)["data"]) == []
    world.clock.advance(1)
    later = api.place()
    assert ids(api.get("/history/orders", **{"from": later["updated_at"]})["data"]) == [later["id"]]


def test_pages_of_history_hold_every_row_once_while_more_is_done(world: World, api: Api) -> None:
    """Orders done between two pages come after them, though they were placed long before."""
    resting = [api.place(type="BUY_LIMIT", price=1.05)["id"] for _ in range(3)]
    filled = [api.place()["id"] for _ in range(5)]
    pages = api.pages("/history/orders", limit=2)
    seen = ids(next(pages))
    world.clock.advance(1)
    for order_id in resting:
        body(api.call("DELETE", "/orders/" + order_id))
    for page in pages:
        seen += ids(page)
    assert seen == filled + resting


def test_closed_positions_tell_what_was_closed(world: World, api: Api) -> None:
    first, second = (api.place(volume=0.2)["position_id"] for _ in range(2))
    world.clock.advance(1_000)
    body(api.call("DELETE", f"/positions/{second}?volume=0.1"))
    assert api.get("/positions/" + second)["closed_volume"] == 0.1
    assert api.get("/positions/" + second)["closed_at"] is None
    api.set_price("EURUSD", 1.09, 1.0901)
    body(api.call("DELETE", "/positions/" + second))
    world.clock.advance(1_000)
    body(api.call("DELETE", "/positions/" + first))
    rows = api.get("/history/positions")["data"]
    assert ids(rows) == [second, first]
    assert [row["status"] for row in rows] == ["CLOSED", "CLOSED"]
    assert [(row["volume"], row["closed_volume"]) for row in rows] == [(0, 0.2), (0, 0.2)]
    assert [row["profit"] for row in rows] == [64.0, 130.0]
    assert rows[0]["closed_at"] < rows[1]["closed_at"]
    assert [ids(page) for page in api.pages("/history/positions", limit=1)] == [[second], [first]]
    since = {"from": rows[1]["closed_at"]}
    assert ids(api.get("/history/positions", **since)["data"]) == [first]


def test_bad_filters_of_history_are_refused(api: Api) -> None:
    for path in ("/history/orders", "/history/positions"):
        api.refused("validation_error", "GET", path + "?status=FILLED")
        api.refused("validation_error", "GET", path + "?limit=0")
        for cursor in ("7", "next", "1.x", "1.2.3", "-1.2"):
            problem = api.refused("cursor_invalid", "GET", f"{path}?cursor={cursor}")
            assert problem["errors"][0]["pointer"] == "?cursor"


def test_an_account_is_read_by_its_id(world: World, api: Api, account: str) -> None:
    row = api.get("/accounts/" + account)
    assert row == api.get("/accounts")[0]
    assert (row["id"], row["status"], row["is_default"]) == (account, "connected", True)
    api.refused("not_found", "GET", "/accounts/" + world.add_account())
    api.refused("not_found", "GET", "/accounts/acc_0")
