"""Orders of one netted position: each closes its own part, and none moves the stops of all."""

from collections.abc import Callable
from typing import Any

import pytest

from .client import Api, body
from .kinds import KINDS, Trader
from .world import World

NETS = [kind for kind in KINDS if kind.nets]


@pytest.fixture(params=NETS, ids=lambda kind: kind.profile)
def trader(request: Any, world: World, connect: Callable[..., Api]) -> Trader:
    return Trader(world, connect, request.param)


def close(trader: Trader, order: Any, times: float | None = None) -> Any:
    query = "" if times is None else f"?volume={round(times * trader.kind.lots, 2)}"
    return body(trader.api.call("DELETE", f"/orders/{order['id']}{query}"))


def lots(trader: Trader, times: float) -> float:
    return round(times * trader.kind.lots, 2)


def test_an_order_closes_what_it_opened_and_no_more(trader: Trader) -> None:
    first, second = trader.place("BUY", 1), trader.place("BUY", 2)
    assert first["position_id"] == second["position_id"]
    result = close(trader, second)
    assert (result["closed_volume"], result["remaining_volume"]) == (
        lots(trader, 2), lots(trader, 1),
    )  # fmt: skip
    trader.api.refused("order_closed", "DELETE", "/orders/" + second["id"])
    result = close(trader, first)
    assert (result["status"], result["closed_volume"]) == ("CLOSED", lots(trader, 1))
    assert trader.held() == {}


def test_an_order_is_closed_in_parts_up_to_its_own(trader: Trader) -> None:
    first, second = trader.place("BUY", 3), trader.place("BUY", 2)
    close(trader, first, 1)
    path = f"/orders/{first['id']}?volume={lots(trader, 3)}"
    problem = trader.api.refused("invalid_volume", "DELETE", path)
    assert problem["errors"][0]["pointer"] == "?volume"
    close(trader, first, 2)
    trader.api.refused("order_closed", "DELETE", "/orders/" + first["id"])
    assert list(trader.held().values()) == [("BUY", lots(trader, 2))]
    close(trader, second)


def test_what_closes_the_position_takes_from_its_oldest_order(trader: Trader) -> None:
    first, second = trader.place("BUY", 1), trader.place("BUY", 2)
    closing = trader.place("SELL", 2)
    trader.api.refused("order_closed", "DELETE", "/orders/" + first["id"])
    trader.api.refused("order_closed", "DELETE", "/orders/" + closing["id"])
    assert close(trader, second)["closed_volume"] == lots(trader, 1)
    assert trader.held() == {}


def test_an_order_that_turns_the_position_owns_what_is_left(trader: Trader) -> None:
    first, turning = trader.place("BUY", 1), trader.place("SELL", 3)
    assert list(trader.held().values()) == [("SELL", lots(trader, 2))]
    trader.api.refused("order_closed", "DELETE", "/orders/" + first["id"])
    assert close(trader, turning)["closed_volume"] == lots(trader, 2)
    assert trader.held() == {}


def test_the_stops_of_a_shared_position_are_the_position_s(trader: Trader) -> None:
    first = trader.place("BUY", 1)
    stop = round(trader.kind.bid - 2 * trader.kind.step, 5)
    alone = trader.api.call("PATCH", "/orders/" + first["id"], json={"sl": stop}).json()
    assert (alone["sl"], alone["updated"]) == (stop, True)
    second = trader.place("BUY", 1)
    for order in (first, second):
        problem = trader.api.refused(
            "use_position", "PATCH", "/orders/" + order["id"], json={"sl": stop}
        )
        assert first["position_id"] in problem["detail"]
    path = "/positions/" + first["position_id"]
    assert trader.api.call("PATCH", path, json={"sl": stop}).json()["sl"] == stop
    close(trader, second)
    lower = round(stop - trader.kind.step, 5)
    assert trader.api.call("PATCH", "/orders/" + first["id"], json={"sl": lower}).json()["updated"]
