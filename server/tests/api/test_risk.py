"""Risk rules and halts over REST."""

from collections.abc import Callable
from typing import Any

import pytest

from fxsocket_server.gateway.risk.rules import rules_of
from fxsocket_server.security.principal import Scope
from fxsocket_server.storage.journal.audit import audit

from .client import Api, body, order_of
from .world import World


def rule(world: World, account: str, **texts: str) -> None:
    """Put an account's rules in force."""
    book = world.lane(account).risk.book
    world.do(lambda: book.replace({account: rules_of(texts)}, {}))


def halted(api: Api, account: str, word: str, **sent: Any) -> Any:
    return body(api.call("POST", f"/accounts/{account}/{word}", json={"reason": "news", **sent}))


def test_a_refusal_names_the_rule_the_figures_and_the_field(
    world: World, api: Api, account: str
) -> None:
    rule(world, account, max_open_volume="0.25")
    api.place(volume=0.2)
    problem = api.refused("risk_limit", "POST", "/orders", json=order_of(volume=0.1))
    assert problem["status"] == 403
    assert problem["retryable"] is False
    assert problem["detail"] == (
        "max_open_volume: 0.2 lots are open or pending, this order adds 0.1, the rule allows 0.25"
    )
    assert problem["errors"] == [{"pointer": "/volume", "message": problem["detail"]}]


def test_a_refusal_does_not_use_the_key_up(world: World, api: Api, account: str) -> None:
    rule(world, account, reduce_only="true")
    keyed = {"Idempotency-Key": "once"}
    api.refused("risk_limit", "POST", "/orders", json=order_of(), headers=keyed)
    rule(world, account)
    order = body(api.call("POST", "/orders", json=order_of(), headers=keyed))
    assert order["status"] == "FILLED"


def test_what_a_key_has_placed_is_answered_again_whatever_the_rules(
    world: World, api: Api, account: str
) -> None:
    keyed = {"Idempotency-Key": "mine"}
    order = body(api.call("POST", "/orders", json=order_of(), headers=keyed))
    halted(api, account, "halt")
    assert body(api.call("POST", "/orders", json=order_of(), headers=keyed)) == order


def test_a_halt_stops_opening_and_nothing_else(world: World, api: Api, account: str) -> None:
    position = "/positions/" + api.place()["position_id"]
    answer = halted(api, account, "halt", reason="news at 14:30")
    assert answer["id"] == account
    assert answer["trade_allowed"] is False
    assert api.get("/account")["trade_allowed"] is False
    problem = api.refused("account_halted", "POST", "/orders", json=order_of())
    assert "news at 14:30" in problem["detail"]
    assert body(api.call("PATCH", position, json={"sl": 1.05}))["sl"] == 1.05
    assert body(api.call("DELETE", position))["status"] == "CLOSED"
    assert halted(api, account, "resume", reason="over")["trade_allowed"] is True
    assert api.place()["status"] == "FILLED"
    events = api.get("/events", limit=1000)["data"]
    told = [(e["type"], e["account"]) for e in events if e["type"].startswith("account.")]
    assert told == [
        ("account.halted", {"halted": True, "reason": "news at 14:30"}),
        ("account.resumed", {"halted": False, "reason": "over"}),
    ]


def test_halting_twice_is_told_once(api: Api, account: str) -> None:
    for word in ("resume", "halt", "halt", "resume", "resume"):
        halted(api, account, word)
    events = api.get("/events", limit=1000)["data"]
    kinds = [e["type"] for e in events if e["type"].startswith("account.")]
    assert kinds == ["account.halted", "account.resumed"]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 257, "tab\there", None, 7])
def test_a_halt_needs_a_reason(api: Api, account: str, reason: Any) -> None:
    path = f"/accounts/{account}/halt"
    problem = api.refused("validation_error", "POST", path, json={"reason": reason})
    assert problem["errors"][0]["pointer"] == "/reason"
    api.refused("validation_error", "POST", path, json={})
    assert api.get("/account")["trade_allowed"] is True


def test_only_a_full_key_of_the_account_may_halt(
    world: World, connect: Callable[..., Api], account: str
) -> None:
    other = world.add_account(user="usr_other")
    trade = connect(world.add_key(Scope.TRADE, accounts=(account,)))
    full = connect(world.add_key(accounts=(account,)))
    for word in ("halt", "resume"):
        trade.refused("forbidden", "POST", f"/accounts/{account}/{word}", json={"reason": "x"})
        full.refused("not_found", "POST", f"/accounts/{other}/{word}", json={"reason": "x"})
    assert full.get("/account")["trade_allowed"] is True


def test_halting_gets_through_when_requests_are_throttled(
    world: World, connect: Callable[..., Api], account: str
) -> None:
    secret = world.add_key(accounts=(account,))
    world.drain(secret, world.context.requests)
    assert halted(connect(secret), account, "halt")["trade_allowed"] is False


def test_halts_stand_in_a_journal_that_verifies(world: World, api: Api, account: str) -> None:
    for word in ("halt", "resume", "halt"):
        halted(api, account, word)
    report = audit(world.journal_path, lambda *_: None)
    assert report.findings == []
