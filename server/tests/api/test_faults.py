"""POST, GET and DELETE /sim/faults: what goes wrong, and what a client sees of it."""

from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.broker.faults import SCENARIOS
from fxsocket_server.core import limits
from fxsocket_server.gateway.refusals import CODE_OF_RETCODE
from fxsocket_server.model.enums import AccountKind
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.security.principal import Scope

from .client import Api, body, order_of
from .world import World


def put(api: Api, **fault: Any) -> Any:
    """Put a fault in force; all that are."""
    return body(api.call("POST", "/sim/faults", json=fault))["data"]


def clear(api: Api) -> None:
    assert body(api.call("DELETE", "/sim/faults"))["data"] == []


# --- putting, reading, clearing --------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_put_by_its_name(api: Api, name: str) -> None:
    [fault] = put(api, scenario=name, seed=5)
    assert (fault["scenario"], fault["seed"]) == (name, 5)
    assert fault["times"] == SCENARIOS[name].times
    listed = api.get("/sim/faults")
    assert listed["data"] == [fault]
    assert listed["scenarios"] == list(SCENARIOS)
    clear(api)
    assert api.get("/sim/faults")["data"] == []


def test_own_settings_replace_those_of_the_scenario(api: Api) -> None:
    [fault] = put(api, scenario="requotes", times=None, retcode=10020)
    assert (fault["retcode"], fault["times"]) == (10020, None)
    [_, off] = put(api, scenario="lost_reply", lose_reply=False, delay_ms=5)
    assert (off["lose_reply"], off["delay_ms"]) == (False, 5)


def test_what_is_in_force_can_be_put_again(api: Api) -> None:
    own = {"delay_ms": 7, "delay_shape": "UNIFORM", "partial_volume": 0.03, "times": 4, "seed": -3}
    [fault] = put(api, **own)
    assert {name: fault[name] for name in own} == own
    assert put(api, **fault) == [fault, fault]


def test_faults_end_with_their_times(api: Api) -> None:
    put(api, retcode=10004, times=2)
    put(api, spread_points=1)
    for left in (1, None):
        api.refused("requote", "POST", "/orders", json=order_of())
        assert [f["times"] for f in api.get("/sim/faults")["data"] if f["retcode"]] == (
            [] if left is None else [left]
        )
    api.place()


def test_each_account_has_its_own(world: World, api: Api) -> None:
    other = world.add_account()
    key = world.add_key(accounts=(other,))
    put(api, scenario="only_real")
    calm = Api(world.root, key, api.contract)
    assert calm.get("/sim/faults")["data"] == []
    calm.place()
    calm.close()


@pytest.mark.parametrize(
    ("fault", "pointer", "fix"),
    [
        ({}, "/scenario", "name a scenario, or set what goes wrong"),
        ({"times": 3, "seed": 1}, "/scenario", "name a scenario, or set what goes wrong"),
        ({"scenario": "doom"}, "/scenario", "must be one of slow_broker, requotes"),
        ({"scenario": "lost_reply", "lose_reply": False}, "/scenario", "name a scenario"),
        ({"surprise": 1}, "/surprise", "known are scenario, delay_ms"),
        ({"delay_ms": -1}, "/delay_ms", "must be 0 to 600000, is -1"),
        ({"delay_ms": 10**9}, "/delay_ms", "must be 0 to 600000"),
        ({"delay_ms": 0.5}, "/delay_ms", "must be a whole number"),
        ({"delay_ms": 5, "delay_shape": "NORMAL"}, "/delay_shape", "FIXED UNIFORM EXPONENTIAL"),
        ({"retcode": 10009}, "/retcode", "must be one that refuses, such as 10004"),
        ({"retcode": 10025}, "/retcode", "must be one that refuses"),
        ({"retcode": 1}, "/retcode", "must be one that refuses"),
        ({"lose_reply": "yes"}, "/lose_reply", "must be true or false"),
        ({"partial_volume": 0}, "/partial_volume", "must be above 0"),
        ({"partial_volume": -0.1}, "/partial_volume", "must be above 0"),
        ({"partial_volume": 1e300}, "/partial_volume", "must be above 0"),
        ({"price_jump_points": 10**7}, "/price_jump_points", "must be -1000000 to 1000000"),
        ({"spread_points": -1}, "/spread_points", "must be 0 to 1000000"),
        ({"rollover_spread_points": -1}, "/rollover_spread_points", "must be 0 to 1000000"),
        ({"weekend_gap_points": -1}, "/weekend_gap_points", "must be 0 to 1000000"),
        ({"freeze": True, "times": 0}, "/times", "must be 1 to 1000000, or left out"),
        ({"freeze": True, "seed": 2**70}, "/seed", "must be -9223372036854775808 to"),
    ],
)
def test_a_fault_that_cannot_be_is_422(
    api: Api, fault: dict[str, Any], pointer: str, fix: str
) -> None:
    problem = api.refused("validation_error", "POST", "/sim/faults", json=fault)
    [error] = problem["errors"]
    assert error["pointer"] == pointer
    assert fix in error["message"]
    assert api.get("/sim/faults")["data"] == []


def test_the_number_of_faults_is_bounded(api: Api) -> None:
    for _ in range(limits.SIM_FAULTS):
        put(api, spread_points=1)
    problem = api.refused("validation_error", "POST", "/sim/faults", json={"spread_points": 1})
    assert "32 faults are in force already" in problem["detail"]
    clear(api)
    put(api, spread_points=1)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_real_terminal_has_no_faults(world: World, api: Api, account: str, method: str) -> None:
    linked = world.gateway.accounts[account]
    linked.account = replace(linked.account, kind=AccountKind.TERMINAL)
    options = {"json": {"spread_points": 1}} if method == "POST" else {}
    problem = api.refused("sim_only", method, "/sim/faults", **options)
    assert "SIM or REPLAY" in problem["detail"]


@pytest.mark.parametrize("scope", [Scope.READ, Scope.TRADE])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_faults_need_a_full_key(world: World, api: Api, method: str, scope: Scope) -> None:
    lesser = Api(world.root, world.add_key(scope), api.contract)
    options = {"json": {"spread_points": 1}} if method == "POST" else {}
    lesser.refused("forbidden", method, "/sim/faults", **options)
    lesser.close()


# --- what a client meets ---------------------------------------------------------------------


@pytest.mark.parametrize("retcode", [10011, 10012, 10024, 10026, 10027, 10028, 10031, 10032])
def test_retcodes_that_no_rule_reaches(api: Api, retcode: int) -> None:
    put(api, retcode=retcode, times=1)
    problem = api.refused("rejected", "POST", "/orders", json=order_of())
    assert (problem["retcode"], problem["retcode_name"]) == (retcode, Retcode(retcode).name)
    assert problem["order"]["status"] == "REJECTED"
    assert api.get("/positions") == []
    api.place()


@pytest.mark.parametrize(
    ("fault", "retcode"),
    [
        ({"disconnect": True}, Retcode.CONNECTION),
        ({"trade_disabled": True}, Retcode.TRADE_DISABLED),
        ({"off_quotes": True}, Retcode.PRICE_OFF),
    ],
)
def test_every_trade_command_is_refused(api: Api, fault: dict[str, Any], retcode: int) -> None:
    held = api.place()
    resting = api.place(type="BUY_LIMIT", price=1.05)
    put(api, **fault)
    code = CODE_OF_RETCODE.get(retcode, "rejected")
    for method, path, options in (
        ("POST", "/orders", {"json": order_of()}),
        ("PATCH", f"/orders/{resting['id']}", {"json": {"price": 1.04}}),
        ("DELETE", f"/orders/{resting['id']}", {}),
        ("PATCH", f"/positions/{held['position_id']}", {"json": {"sl": 1.05}}),
        ("DELETE", f"/positions/{held['position_id']}", {}),
    ):
        assert api.refused(code, method, path, **options)["retcode"] == retcode
    clear(api)
    assert body(api.call("DELETE", f"/positions/{held['position_id']}"))["status"] == "CLOSED"


def test_part_of_an_order_is_filled(api: Api) -> None:
    put(api, partial_volume=0.025, times=1)
    order = api.place()
    assert (order["status"], order["filled_volume"]) == ("CANCELED", 0.02)
    assert order["retcode_name"] == "DONE_PARTIAL"
    [position] = api.get("/positions")
    assert position["volume"] == 0.02


def test_prices_jump_and_spreads_widen(api: Api) -> None:
    put(api, price_jump_points=-100, spread_points=10)
    quote = api.set_price("EURUSD", 1.0834, 1.0835)
    assert (quote["bid"], quote["ask"]) == (1.0824, 1.0826)
    assert api.place()["price"] == 1.0826
    clear(api)
    assert api.set_price("EURUSD", 1.0834, 1.0835)["bid"] == 1.0834


def test_a_late_answer_is_still_an_answer(api: Api) -> None:
    put(api, delay_ms=1, times=1)
    assert api.place()["status"] == "FILLED"


def wait_for(api: Api, type_: str) -> Any:
    """The first event of a type, which may be still to come."""
    after = 0
    while True:  # bounded by the client's own time limit
        page = api.get("/events", after=after, wait_ms=30_000)
        assert page["data"], f"no {type_} came"
        for event in page["data"]:
            after = event["seq"]
            if event["type"] == type_:
                return event


def test_a_frozen_terminal_leaves_the_order_pending_until_it_thaws(api: Api) -> None:
    put(api, freeze=True)
    patience = {"X-Request-Timeout-Ms": "1"}
    order = body(api.call("POST", "/orders", json=order_of(), headers=patience))
    assert order["status"] == "PENDING"
    assert api.set_price("EURUSD", 1.09, 1.0901)["bid"] == 1.0834  # no price comes through
    clear(api)
    assert wait_for(api, "order.filled")["order"]["id"] == order["id"]
    assert api.get(f"/orders/{order['id']}")["status"] == "FILLED"


def test_a_lost_reply_is_answered_from_what_the_terminal_tells(api: Api) -> None:
    put(api, scenario="lost_reply")
    order = api.place()
    assert order["status"] == "FILLED"
    [position] = api.get("/positions")
    assert (position["id"], position["order_id"]) == (order["position_id"], order["id"])


@pytest.mark.parametrize("fault", ["duplicated_events", "reordered_events"])
def test_what_is_told_twice_or_in_disorder_is_booked_once(api: Api, fault: str) -> None:
    put(api, scenario=fault, seed=2)
    held = api.place(sl=1.08)
    api.set_price("EURUSD", 1.0799, 1.08)
    types = [event["type"] for event in api.get("/events", after=2)["data"]]
    assert types == [
        "order.pending", "order.filled", "deal.added", "position.opened",
        "order.filled", "deal.added", "position.closed", "balance.changed",
    ]  # fmt: skip
    [opening, closing] = api.get("/history/deals")["data"][1:]
    assert opening["order_id"] == held["id"]
    assert api.get("/account")["balance"] == 10_000 + closing["profit"]
    assert api.get("/positions") == []
