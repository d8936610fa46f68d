"""POST /orders/check, GET /calc/margin and /calc/profit: what would be, and nothing happens."""

from collections.abc import Callable
from typing import Any

import pytest

from fxsocket_server.gateway.risk.rules import rules_of
from fxsocket_server.security.principal import Scope

from .client import Api, body, order_of
from .world import World

FIGURES = ("balance", "equity", "profit", "margin", "free_margin", "margin_level", "currency")


def checked(api: Api, **order: Any) -> Any:
    return body(api.call("POST", "/orders/check", json=order_of(**order)))


def test_check_tells_the_figures_that_the_order_then_leads_to(api: Api) -> None:
    api.place(type="SELL", volume=0.3)
    head = api.get("/events")["head"]
    told = checked(api, volume=0.5, sl=1.07)
    assert api.get("/events")["head"] == head
    assert (told["allowed"], told["retcode"], told["code"]) == (True, 0, None)
    before = api.get("/account")
    api.place(volume=0.5, sl=1.07)
    after = api.get("/account")
    assert {name: told[name] for name in FIGURES} == {name: after[name] for name in FIGURES}
    assert told["margin_needed"] == round(after["margin"] - before["margin"], 2)


@pytest.mark.parametrize(
    ("order", "code", "retcode_name"),
    [
        ({"volume": 100}, "not_enough_money", "NO_MONEY"),
        ({"sl": 1.09}, "invalid_stops", "INVALID_STOPS"),
        ({"type": "BUY_LIMIT", "price": 1.2}, "invalid_price", "INVALID_PRICE"),
        ({"filling": "BOC"}, "invalid_fill", "INVALID_FILL"),
    ],
)
def test_check_tells_the_refusal_that_the_order_then_meets(
    api: Api, order: dict[str, Any], code: str, retcode_name: str
) -> None:
    told = checked(api, **order)
    assert (told["allowed"], told["code"], told["retcode_name"]) == (False, code, retcode_name)
    account = api.get("/account")
    assert {name: told[name] for name in FIGURES} == {name: account[name] for name in FIGURES}
    problem = api.refused(code, "POST", "/orders", json=order_of(**order))
    assert (problem["retcode"], problem["detail"]) == (told["retcode"], told["comment"])


def test_check_refuses_what_the_symbol_s_rules_alone_refuse(api: Api) -> None:
    for order, code in (
        ({"symbol": "EURUSDX"}, "invalid_symbol"),
        ({"volume": 0.015}, "invalid_volume"),
        ({"type": "CLOSE_BY"}, "validation_error"),
        ({"time_in_force": "SPECIFIED"}, "invalid_expiration"),
    ):
        one = api.refused(code, "POST", "/orders/check", json=order_of(**order))
        two = api.refused(code, "POST", "/orders", json=order_of(**order))
        assert (one["detail"], one["errors"]) == (two["detail"], two["errors"])
    assert api.get("/orders")["data"] == []


def test_a_key_that_may_only_read_may_check(
    world: World, account: str, connect: Callable[..., Api]
) -> None:
    reader = connect(world.add_key(Scope.READ, accounts=(account,)))
    assert checked(reader)["allowed"]
    reader.refused("forbidden", "POST", "/orders", json=order_of())


def test_check_refuses_what_a_risk_rule_refuses_and_counts_nothing(
    world: World, api: Api, account: str
) -> None:
    book = world.lane(account).risk.book
    rules = rules_of({"max_order_volume": "0.5", "orders_per_minute": "1"})
    world.do(lambda: book.replace({account: rules}, {}))
    for _ in range(3):
        assert checked(api)["allowed"]
    told = api.refused("risk_limit", "POST", "/orders/check", json=order_of(volume=0.6))
    placed = api.refused("risk_limit", "POST", "/orders", json=order_of(volume=0.6))
    assert told["detail"] == placed["detail"]
    api.place()
    api.refused("risk_limit", "POST", "/orders/check", json=order_of())


def test_check_judges_by_the_rules_of_the_key_that_asks(
    world: World, connect: Callable[..., Api], account: str
) -> None:
    secret = world.add_key(accounts=(account,))
    bound, free = connect(secret), connect(world.add_key(accounts=(account,)))
    key_id = world.keyring.authenticate(secret).key_id
    book = world.lane(account).risk.book
    world.do(lambda: book.replace({}, {key_id: rules_of({"max_order_volume": "0.5"})}))
    try:
        assert checked(free, volume=0.6)["allowed"]
        bound.refused("key_limit", "POST", "/orders/check", json=order_of(volume=0.6))
    finally:
        world.do(lambda: book.replace({}, {}))


# --- margin and profit -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "margin"),
    [
        ({"type": "BUY", "volume": 0.1}, 108.35),  # 10,000 EUR at the Ask, 1:100
        ({"type": "SELL", "volume": 0.1}, 108.34),
        ({"type": "BUY", "volume": 0.1, "price": 1.2}, 120.0),
        ({"symbol": "USDJPY", "type": "BUY", "volume": 0.5}, 500.0),
    ],
)
def test_margin_of_an_order_on_its_own(api: Api, query: dict[str, Any], margin: float) -> None:
    api.place(volume=3)  # what the account holds does not count
    answer = api.get("/calc/margin", **{"symbol": "EURUSD", **query})
    assert answer == {"margin": margin, "currency": "USD"}


@pytest.mark.parametrize(
    ("query", "profit"),
    [
        ({"type": "BUY", "open_price": 1.08, "close_price": 1.09}, 100.0),
        ({"type": "SELL", "open_price": 1.08, "close_price": 1.09}, -100.0),
        # 24,500 yen at the closing price itself.
        (
            {"symbol": "USDJPY", "type": "BUY", "volume": 0.5, "open_price": 151.01,
             "close_price": 151.5},
            161.72,
        ),
    ],
)  # fmt: skip
def test_profit_between_two_prices(api: Api, query: dict[str, Any], profit: float) -> None:
    answer = api.get("/calc/profit", **{"symbol": "EURUSD", "volume": 0.1, **query})
    assert answer == {"profit": profit, "currency": "USD"}


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("margin?type=BUY&volume=0.1", "validation_error", "?symbol"),
        ("margin?symbol=EURUSD&volume=0.1", "validation_error", "?type"),
        ("margin?symbol=EURUSD&type=CLOSE_BY&volume=0.1", "validation_error", "?type"),
        ("margin?symbol=EURUSD&type=BUY", "validation_error", "?volume"),
        ("margin?symbol=EURUSD&type=BUY&volume=lots", "validation_error", "?volume"),
        ("margin?symbol=EURUSD&type=BUY&volume=0.015", "invalid_volume", "?volume"),
        ("margin?symbol=EURUSD&type=BUY&volume=0.1&price=-1", "invalid_price", "?price"),
        ("margin?symbol=EURUSX&type=BUY&volume=0.1", "invalid_symbol", "?symbol"),
        ("margin?symbol=AUDUSD&type=BUY&volume=0.1", "price_off", "?price"),
        ("profit?symbol=EURUSD&type=BUY_LIMIT&volume=0.1", "validation_error", "?type"),
        ("profit?symbol=EURUSD&type=BUY&volume=1&open_price=1", "validation_error", "?close_price"),
        (
            "profit?symbol=EURUSD&type=BUY&volume=0.1&open_price=0&close_price=1",
            "invalid_price",
            "?open_price",
        ),
    ],
)  # fmt: skip
def test_a_bad_calculation_names_the_parameter(
    api: Api, query: str, code: str, pointer: str
) -> None:
    problem = api.refused(code, "GET", "/calc/" + query)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_profit_that_no_rate_converts_is_price_off(api: Api) -> None:
    api.refused(
        "price_off",
        "GET",
        "/calc/profit?symbol=EURJPY&type=BUY&volume=0.1&open_price=160&close_price=161",
    )
