"""/v1/account, /v1/accounts and /v1/history/deals: figures, the choice of an account, history."""

from collections.abc import Callable
from typing import Any

import pytest

from .client import Api, body, order_of
from .world import World


def figures(api: Api, *names: str) -> tuple[Any, ...]:
    account = api.get("/account")
    return tuple(account[name] for name in names)


# --- figures ---------------------------------------------------------------------------------


def test_a_new_account(api: Api, account: str) -> None:
    shown = api.get("/account")
    assert (shown["id"], shown["kind"], shown["platform"]) == (account, "SIM", "MT5")
    assert (shown["mode"], shown["margin_mode"], shown["status"]) == (
        "DEMO",
        "HEDGING",
        "connected",
    )
    assert (shown["currency"], shown["leverage"]) == ("USD", 100)
    assert shown["balance"] == shown["equity"] == shown["free_margin"] == 10_000
    assert shown["credit"] == shown["profit"] == shown["margin"] == 0
    assert (shown["margin_level"], shown["trade_allowed"]) == (None, True)
    assert (shown["stop_out_level"], shown["margin_call_level"]) == (50.0, 100.0)
    assert shown["server_utc_offset_s"] == 7200


def test_figures_follow_the_market_and_the_positions(api: Api) -> None:
    names = ("balance", "equity", "profit", "margin", "free_margin")
    position = api.place(volume=0.1)["position_id"]
    assert figures(api, *names) == (10_000, 9_999, -1, 108.35, 9_890.65)
    level = figures(api, "margin_level")[0]
    assert level == pytest.approx(9_999 / 108.35 * 100)
    api.set_price("EURUSD", 1.09, 1.0901)
    assert figures(api, *names) == (10_000, 10_065, 65, 108.35, 9_956.65)
    body(api.call("DELETE", "/positions/" + position))
    assert figures(api, *names) == (10_065, 10_065, 0, 0, 10_065)
    assert figures(api, "margin_level") == (None,)


def test_opposite_positions_share_their_margin(api: Api) -> None:
    api.place(volume=1)
    assert figures(api, "margin") == (1083.5,)
    api.place(type="SELL", volume=1)
    assert figures(api, "margin") == (541.73,)  # 50,000 EUR at the mean of both prices


def test_an_account_in_another_currency(world: World, connect: Callable[..., Api]) -> None:
    account = world.add_account(currency="JPY", balance=1_000_000)
    api = connect(world.add_key(accounts=(account,)))
    position = api.place(symbol="USDJPY", volume=0.1)["position_id"]
    assert figures(api, "currency", "balance", "profit") == ("JPY", 1_000_000, -100)
    api.set_price("USDJPY", 151.5, 151.51)
    assert body(api.call("DELETE", "/positions/" + position))["profit"] == 4_900
    assert figures(api, "balance") == (1_004_900,)


# --- which account ---------------------------------------------------------------------------


def test_an_account_is_named_by_header_or_parameter(
    world: World, connect: Callable[..., Api]
) -> None:
    first, second = world.add_account(), world.add_account(balance=500)
    api = connect(world.add_key(accounts=(first, second), default=first))
    assert figures(api, "id") == (first,)
    assert api.get("/account", account_id=second)["balance"] == 500
    named = {"X-Account-Id": second}
    assert body(api.call("GET", "/account", headers=named))["id"] == second
    placed = body(api.call("POST", "/orders?account_id=" + second, json=order_of(volume=0.01)))
    assert placed["account_id"] == second
    assert body(api.call("GET", "/account?account_id=" + second, headers=named))["id"] == second
    problem = api.refused("validation_error", "GET", "/account?account_id=" + first, headers=named)
    assert [error["pointer"] for error in problem["errors"]] == ["?account_id"]


def test_several_accounts_and_no_default_list_the_choices(
    world: World, connect: Callable[..., Api]
) -> None:
    user = "usr_several"
    accounts = [world.add_account(user=user) for _ in range(2)]
    for key in (world.add_key(user=user), world.add_key(user=user, accounts=tuple(accounts))):
        api = connect(key)
        for method, path in (("GET", "/account"), ("GET", "/orders"), ("DELETE", "/orders/ord_0")):
            problem = api.refused("account_required", method, path)
            assert all(account in problem["detail"] for account in accounts)
        problem = api.refused("account_required", "POST", "/orders", json=order_of())
        assert [error["pointer"] for error in problem["errors"]] == ["?account_id"]


def test_a_key_s_only_account_is_meant(world: World, connect: Callable[..., Api]) -> None:
    user = "usr_single"
    first = world.add_account(user=user)
    api = connect(world.add_key(user=user))
    assert figures(api, "id") == (first,)
    second = world.add_account(user=user)
    api.refused("account_required", "GET", "/account")
    assert figures(connect(world.add_key(user=user, accounts=(second,))), "id") == (second,)


def test_foreign_accounts_do_not_exist(world: World, connect: Callable[..., Api]) -> None:
    own, sibling = world.add_account(), world.add_account()
    foreign = world.add_account(user="usr_other")
    api = connect(world.add_key(accounts=(own,)))
    for account in (foreign, sibling, "acc_none", "x" * 500):
        problem = api.refused("not_found", "GET", "/account", headers={"X-Account-Id": account})
        assert "Other" not in problem["detail"]
        api.refused(
            "not_found", "POST", "/orders", json=order_of(), headers={"X-Account-Id": account}
        )
    other = connect(world.add_key(user="usr_other"))  # a key to all accounts of its own user
    assert other.get("/positions") == []
    other.refused("not_found", "GET", "/positions", headers={"X-Account-Id": own})


def test_accounts_lists_what_the_key_covers(world: World, connect: Callable[..., Api]) -> None:
    user = "usr_lists"
    first = world.add_account(user=user)
    ended = world.add_account(user=user, connected=False)
    every = connect(world.add_key(user=user, default=first))
    rows = every.get("/accounts")
    assert [(row["id"], row["status"], row["is_default"]) for row in rows] == [
        (first, "connected", True),
        (ended, "disconnected", False),
    ]
    assert {row["kind"] for row in rows} == {"SIM"}
    [row] = connect(world.add_key(user=user, accounts=(ended,))).get("/accounts")
    assert (row["id"], row["is_default"]) == (ended, True)
    every.refused("validation_error", "GET", "/accounts?account_id=" + first)


def test_an_account_without_a_terminal_is_unavailable(
    world: World, connect: Callable[..., Api]
) -> None:
    account = world.add_account(connected=False)
    api = connect(world.add_key(accounts=(account,)))
    for method, path in (("GET", "/account"), ("GET", "/positions"), ("DELETE", "/orders/ord_0")):
        response = api.call(method, path)
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert "disconnected" in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0


# --- deals -----------------------------------------------------------------------------------


def test_the_first_deal_is_the_deposit(api: Api, account: str) -> None:
    page = api.get("/history/deals")
    [deal] = page["data"]
    assert page["next_cursor"] is None
    assert (deal["type"], deal["profit"], deal["comment"]) == (
        "BALANCE",
        10_000,
        "Initial deposit",
    )
    assert deal["account_id"] == account
    assert deal["symbol"] is deal["entry"] is deal["order_id"] is deal["position_id"] is None


def test_deals_are_listed_oldest_first_in_pages(api: Api) -> None:
    orders = [api.place(volume=0.01)["id"] for _ in range(4)]
    pages = [[deal["order_id"] for deal in page] for page in api.pages("/history/deals", limit=2)]
    assert pages == [[None, orders[0]], orders[1:3], orders[3:]]


def test_deals_are_filtered(world: World, api: Api) -> None:
    euro = api.place(magic=1)
    world.clock.advance(1_500)
    gold = api.place(symbol="XAUUSD", volume=0.01, magic=2)

    def orders(**filters: Any) -> list[str]:
        return [deal["order_id"] for deal in api.get("/history/deals", **filters)["data"]]

    assert orders(symbol="XAUUSD") == [gold["id"]]
    assert orders(magic=1) == [euro["id"]]
    assert orders(**{"from": gold["created_at"]}) == [gold["id"]]
    assert orders(to=gold["created_at"]) == [None, euro["id"]]
    api.refused("validation_error", "GET", "/history/deals?status=FILLED")
    api.refused("cursor_invalid", "GET", "/history/deals?cursor=next")
