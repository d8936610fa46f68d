"""POST, PATCH and DELETE of /v1/accounts, connect and disconnect: the life of an account."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fxsocket_server.gateway.accounts.requests import Driver
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.security.connector_tokens import parse_token
from fxsocket_server.security.principal import Scope

from .client import Api, body, order_of
from .world import FarConnector, World

Connect = Callable[..., Api]
Json = dict[str, Any]


@pytest.fixture
def owner(world: World, connect: Connect) -> Iterator[Api]:
    """A client of a user of this test's own, who may do everything and has nothing yet."""
    user = f"usr_{next(world._numbers)}"
    world.store.ensure_user(user, user, 0)
    yield connect(world.add_key(user=user))
    world.failures.clear()


def make(api: Api, **parts: Any) -> Json:
    made: Json = body(api.call("POST", "/accounts", json={"kind": "SIM", "seed": 7, **parts}))
    return made


def link(api: Api, login: int = 77, **parts: Any) -> Json:
    asked = {"kind": "TERMINAL", "server": "Broker-Demo", "login": login, **parts}
    made: Json = body(api.call("POST", "/accounts", json=asked))
    return made


def at(account: Json) -> Json:
    return {"X-Account-Id": account["id"]}


def refused(api: Api, code: str, pointer: str, **parts: Any) -> str:
    problem = api.refused(code, "POST", "/accounts", json=parts)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    return str(problem["detail"])


# --- simulated accounts ----------------------------------------------------------------------


def test_a_simulated_account_trades_at_once(owner: Api) -> None:
    made = make(
        owner, name="Grid", profile="instant", balance=2_500.5, leverage=30, currency="eur", seed=7
    )
    assert (made["kind"], made["status"], made["error"]) == ("SIM", "connected", None)
    assert (made["name"], made["profile"], made["seed"]) == ("Grid", "instant", 7)
    assert (made["driver"], made["connector_token"]) == (None, None)
    figures = owner.get("/account")  # its only one
    assert (figures["currency"], figures["leverage"], figures["balance"]) == ("EUR", 30, 2_500.5)
    placed = owner.place(volume=0.01)
    assert (placed["account_id"], placed["status"]) == (made["id"], "FILLED")
    summary = {name: value for name, value in made.items() if name != "connector_token"}
    assert owner.get("/accounts") == [summary]


def test_what_is_left_out_is_the_profile_s(owner: Api) -> None:
    made = make(owner)
    assert (made["platform"], made["profile"], made["currency"]) == ("MT5", "standard", "USD")
    assert made["name"] == f"{made['login']} on {made['server']}"
    assert owner.get("/account")["balance"] == 10_000
    mt4 = make(owner, platform="MT4")
    assert (mt4["platform"], mt4["profile"]) == ("MT4", "mt4")


def test_one_seed_is_one_market_but_never_one_login(owner: Api) -> None:
    accounts = [make(owner, seed=7) for _ in range(3)]
    assert {a["seed"] for a in accounts} == {7}
    assert len({a["login"] for a in accounts}) == 3


@pytest.mark.parametrize(
    ("pointer", "parts"),
    [
        ("/kind", {"kind": "REPLAY", "source": "ticks.csv"}),
        ("/kind", {"kind": "DEMO"}),
        ("/kind", {}),
        ("/platform", {"kind": "SIM", "platform": "MT6"}),
        ("/profile", {"kind": "SIM", "profile": "nobody"}),
        ("/profile", {"kind": "SIM", "profile": "mt4", "platform": "MT5"}),
        ("/profile", {"kind": "SIM", "profile": "../../etc/passwd"}),
        ("/profile", {"kind": "SIM", "profile": "server/tests/conftest.py"}),
        ("/balance", {"kind": "SIM", "balance": 0}),
        ("/balance", {"kind": "SIM", "balance": 1e12}),
        ("/leverage", {"kind": "SIM", "leverage": 10_001}),
        ("/currency", {"kind": "SIM", "currency": "ÄÖÜ"}),
        ("/seed", {"kind": "SIM", "seed": -1}),
        ("/name", {"kind": "SIM", "name": " "}),
        ("/name", {"kind": "SIM", "name": "x" * 65}),
        ("/name", {"kind": "SIM", "name": "two\nlines"}),
        ("/login", {"kind": "SIM", "login": 5}),
        ("/password", {"kind": "SIM", "password": "canary"}),
        ("/seed", {"kind": "TERMINAL", "server": "S", "login": 5, "seed": 1}),
        ("/server", {"kind": "TERMINAL", "login": 5}),
        ("/server", {"kind": "TERMINAL", "login": 5, "server": "a|b"}),
        ("/login", {"kind": "TERMINAL", "server": "S"}),
        ("/login", {"kind": "TERMINAL", "server": "S", "login": 2**53}),
        ("/password", {"kind": "TERMINAL", "server": "S", "login": 5, "password": ""}),
        ("/password", {"kind": "TERMINAL", "server": "S", "login": 5, "password": "x" * 257}),
        ("/password", {"kind": "TERMINAL", "server": "S", "login": 5, "password": 7}),
        *(
            ("/driver", {"kind": "TERMINAL", "server": "S", "login": 5, "driver": driver.value})
            for driver in Driver
            if driver is not Driver.EXTERNAL
        ),
        ("/is_admin", {"kind": "SIM", "is_admin": True}),
    ],
    ids=str,
)
def test_what_cannot_be_made_is_refused_by_its_field(pointer: str, parts: Json, owner: Api) -> None:
    assert "canary" not in refused(owner, "validation_error", pointer, **parts)
    assert owner.get("/accounts") == []


def test_sent_again_with_its_key_it_is_the_same_account(owner: Api) -> None:
    def send(key: str, **parts: Any) -> Any:
        headers = {"Idempotency-Key": key}
        return owner.call("POST", "/accounts", json={"kind": "SIM", **parts}, headers=headers)

    first, again, other = send("a", name="One"), send("a", name="One"), send("b", name="One")
    assert "idempotency-replayed" not in first.headers
    assert again.headers.get("idempotency-replayed") == "true"
    assert again.json() == first.json()
    assert other.json()["id"] != first.json()["id"]
    assert send("a", name="Two").json()["code"] == "idempotency_key_reused"
    asked = {"kind": "TERMINAL", "server": "S", "login": 3, "password": "x"}
    linked = [send("c", **asked).json() for _ in range(2)]
    assert linked[0] == linked[1]
    assert linked[0]["connector_token"] == parse_token(linked[0]["connector_token"]).text
    body(owner.call("DELETE", "/accounts/" + first.json()["id"]))
    assert send("a", name="One").json()["id"] != first.json()["id"]


# --- terminals -------------------------------------------------------------------------------


def test_a_token_is_for_one_login_and_told_once(world: World, owner: Api) -> None:
    made = link(owner, platform="MT4", password="canary-password")
    assert (made["status"], made["driver"], made["platform"]) == ("connecting", "external", "MT4")
    token = parse_token(made["connector_token"])
    peer = world.peers[token.key]
    assert (peer.token, peer.login, peer.server) == (token, 77, "Broker-Demo")
    shown = owner.call("GET", "/accounts").text + owner.call("GET", "/accounts/" + made["id"]).text
    assert "canary" not in shown
    assert made["connector_token"] not in shown
    problem = owner.refused("unavailable", "GET", "/account")
    assert "has not dialled in yet" in problem["detail"]


def test_a_login_is_linked_once(world: World, owner: Api, connect: Connect) -> None:
    first = link(owner)
    problem = owner.refused(
        "account_exists", "POST", "/accounts",
        json={"kind": "TERMINAL", "server": "Broker-Demo", "login": 77},
    )  # fmt: skip
    assert first["id"] in problem["detail"]
    link(owner, 78)
    world.store.ensure_user("usr_other_link", "", 0)
    other = connect(world.add_key(user="usr_other_link"))
    link(other)  # another user's own affair
    body(owner.call("DELETE", "/accounts/" + first["id"]))
    assert link(owner)["id"] != first["id"]


def test_of_many_at_once_one_is_linked(world: World, owner: Api) -> None:
    asked = {"kind": "TERMINAL", "server": "Race", "login": 1}
    together = threading.Barrier(8)

    def send(_: int) -> int:
        together.wait()
        return owner.call("POST", "/accounts", json=asked).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(8))) == [200] + [409] * 7
    assert len(owner.get("/accounts")) == 1


def test_a_password_is_kept_changed_and_forgotten(world: World, owner: Api) -> None:
    made = link(owner, password="first")
    account = world.gateway.accounts[made["id"]].account

    def kept() -> str | None:
        secret = world.passwords.password_of(account)
        return None if secret is None else secret.reveal()

    assert kept() == "first"
    path = "/accounts/" + made["id"]
    body(owner.call("PATCH", path, json={"password": "second"}))
    assert kept() == "second"
    row = world.store.password(account.id)
    assert row is not None
    assert row.place.key_version == 2
    body(owner.call("PATCH", path, json={"name": "Main"}))
    assert kept() == "second"
    body(owner.call("PATCH", path, json={"password": None}))
    assert kept() is None
    body(owner.call("PATCH", path, json={"password": "third"}))
    body(owner.call("DELETE", path))
    assert kept() is None
    sim = make(owner)
    problem = owner.refused(
        "validation_error", "PATCH", "/accounts/" + sim["id"], json={"password": "canary"}
    )
    assert "canary" not in str(problem)


def test_a_keeper_of_keys_that_fails_stores_nothing(world: World, owner: Api) -> None:
    link(owner, 1, password="x")
    [key] = world._folder.glob("kek*")
    before = len(owner.get("/accounts"))
    key.chmod(0o644)
    try:
        asked = {"kind": "TERMINAL", "server": "S", "login": 9, "password": "canary"}
        problem = owner.refused("unavailable", "POST", "/accounts", json=asked)
    finally:
        key.chmod(0o600)
    assert "chmod 600" in problem["detail"]
    assert "canary" not in problem["detail"]
    assert len(owner.get("/accounts")) == before
    assert len([a for a in world.store.accounts() if a.server == "S" and a.login == 9]) == 0


# --- names, defaults, the plan ---------------------------------------------------------------


def test_a_name_is_changed_for_good(world: World, owner: Api) -> None:
    made = make(owner)
    changed = body(owner.call("PATCH", "/accounts/" + made["id"], json={"name": "Löwe 1"}))
    assert changed["name"] == owner.get("/account")["name"] == "Löwe 1"
    assert [a.name for a in world.store.accounts() if a.id == made["id"]] == ["Löwe 1"]
    assert body(owner.call("PATCH", "/accounts/" + made["id"], json={}))["name"] == "Löwe 1"


def test_the_default_account_is_meant_by_who_names_none(owner: Api) -> None:
    first, second = make(owner), make(owner)
    owner.refused("account_required", "GET", "/account")
    for chosen in (second, first):
        path = "/accounts/" + chosen["id"]
        assert body(owner.call("PATCH", path, json={"is_default": True}))["is_default"] is True
        assert owner.get("/account")["id"] == chosen["id"]
        assert [a["id"] for a in owner.get("/accounts") if a["is_default"]] == [chosen["id"]]
    body(owner.call("PATCH", "/accounts/" + second["id"], json={"is_default": False}))
    assert owner.get("/account")["id"] == first["id"]  # it was not the default
    body(owner.call("PATCH", "/accounts/" + first["id"], json={"is_default": False}))
    owner.refused("account_required", "GET", "/account")
    body(owner.call("PATCH", "/accounts/" + second["id"], json={"is_default": True}))
    body(owner.call("DELETE", "/accounts/" + second["id"]))
    assert owner.get("/account")["id"] == first["id"]  # the only one that is left


def test_a_default_of_the_key_goes_before_that_of_its_user(
    world: World, owner: Api, connect: Connect
) -> None:
    first, second = make(owner), make(owner)
    user = world.gateway.accounts[first["id"]].account.user_id
    own = connect(world.add_key(user=user, default=first["id"]))
    narrow = connect(world.add_key(user=user, accounts=(first["id"],)))
    body(owner.call("PATCH", "/accounts/" + second["id"], json={"is_default": True}))
    assert own.get("/account")["id"] == first["id"]
    assert narrow.get("/account")["id"] == first["id"]  # it may not see the default
    problem = own.refused(
        "validation_error", "PATCH", "/accounts/" + second["id"], json={"is_default": True}
    )
    assert first["id"] in problem["detail"]
    body(owner.call("DELETE", "/accounts/" + first["id"]))
    assert own.get("/account")["id"] == second["id"]  # its own default is gone


def test_the_plan_holds_so_many_accounts(world: World, owner: Api) -> None:
    registry: Any = world.registry
    most, registry._accounts_max = registry._accounts_max, 2
    try:
        first = make(owner)
        make(owner)
        problem = owner.refused("account_limit", "POST", "/accounts", json={"kind": "SIM"})
        assert "2 accounts" in problem["detail"]
        body(owner.call("DELETE", "/accounts/" + first["id"]))
        make(owner)
    finally:
        registry._accounts_max = most


def test_only_a_full_key_for_all_accounts_makes_some(
    world: World, owner: Api, connect: Connect
) -> None:
    made = make(owner)
    user = world.gateway.accounts[made["id"]].account.user_id
    for scope in (Scope.READ, Scope.TRADE):
        lower = connect(world.add_key(scope, user=user))
        lower.refused("forbidden", "POST", "/accounts", json={"kind": "SIM"})
        lower.refused("forbidden", "DELETE", "/accounts/" + made["id"])
    narrow = connect(world.add_key(user=user, accounts=(made["id"],)))
    narrow.refused("forbidden", "POST", "/accounts", json={"kind": "SIM"})
    body(narrow.call("PATCH", "/accounts/" + made["id"], json={"name": "Mine"}))


def test_every_change_is_in_the_audit_log(owner: Api) -> None:
    made = link(owner, password="canary")
    where = "/accounts/" + made["id"]
    for patch in ({"name": "Main"}, {"password": "canary"}, {"password": None}, {}):
        body(owner.call("PATCH", where, json=patch))
    for method, path in (("POST", "/disconnect"), ("POST", "/connect"), ("DELETE", "")):
        body(owner.call(method, where + path))
    entries = owner.get("/audit")["data"]
    told = [(e["action"], e["details"]) for e in reversed(entries) if e["target"] == made["id"]]
    assert told == [
        ("account.created", {"kind": "TERMINAL", "server": "Broker-Demo", "login": 77}),
        ("account.changed", {"name": "Main"}),
        ("account.changed", {"password": "changed"}),
        ("account.changed", {"password": "forgotten"}),
        ("account.disconnected", {}),
        ("account.connected", {}),
        ("account.removed", {}),
    ]
    assert {entry["account_id"] for entry in entries} == {made["id"]}
    assert all(entry["key_id"] and entry["request_id"] for entry in entries)


# --- connect, disconnect ---------------------------------------------------------------------


def test_a_disconnected_account_is_read_and_not_traded(world: World, owner: Api) -> None:
    made = make(owner)
    order = owner.place()
    path = "/accounts/" + made["id"]
    for _ in range(2):
        gone = body(owner.call("POST", path + "/disconnect"))
        assert (gone["status"], gone["error"]) == ("disconnected", "disconnected by its user")
    assert owner.get("/account")["status"] == "disconnected"
    assert owner.get("/orders/" + order["id"])["status"] == "FILLED"
    assert len(owner.get("/positions")) == 1
    for method, where, sent in (
        ("POST", "/orders", order_of()),
        ("DELETE", "/positions/" + order["position_id"], None),
        ("POST", "/sim/price", {"symbol": "EURUSD", "bid": 1.1, "ask": 1.1001}),
    ):
        problem = owner.refused("unavailable", method, where, json=sent)
        assert "disconnected by its user" in problem["detail"]
    for _ in range(2):
        back = body(owner.call("POST", path + "/connect"))
        assert (back["status"], back["error"]) == ("connected", None)
    body(owner.call("DELETE", "/positions/" + order["position_id"]))
    types = [event["type"] for event in owner.get("/events", after=0)["data"]]
    assert [t for t in types if t.startswith("terminal")] == [
        "terminal.disconnected", "terminal.connected", "terminal.reconciled",
    ]  # fmt: skip
    assert types.count("order.filled") == 2
    assert owner.get("/history/deals")["data"] != []


def test_a_terminal_that_is_disconnected_is_refused(world: World, owner: Api) -> None:
    made = link(owner)
    connector = world.peers[parse_token(made["connector_token"]).key].connector
    path = "/accounts/" + made["id"]
    body(owner.call("POST", path + "/disconnect"))
    assert connector.refusal == "disconnected by its user"
    back = body(owner.call("POST", path + "/connect"))
    assert (back["status"], connector.refusal) == ("connecting", "")


# --- remove ----------------------------------------------------------------------------------


def test_what_was_removed_is_not_known_any_more(world: World, owner: Api) -> None:
    kept, gone = make(owner), make(owner)
    placed = body(owner.call("POST", "/orders", json=order_of(), headers=at(gone)))
    topics = world.do(lambda: len(world.bus._subscriptions))
    answer = body(owner.call("DELETE", "/accounts/" + gone["id"]))
    assert (answer["id"], answer["status"], answer["error"]) == (
        gone["id"], "disconnected", "removed",
    )  # fmt: skip
    for method, path in (
        ("GET", "/accounts/" + gone["id"]), ("DELETE", "/accounts/" + gone["id"]),
        ("POST", f"/accounts/{gone['id']}/connect"),
    ):  # fmt: skip
        owner.refused("not_found", method, path)
    for path in ("/account", "/orders/" + placed["id"], "/events", "/history/deals"):
        owner.refused("not_found", "GET", path, headers=at(gone))
    assert [a["id"] for a in owner.get("/accounts")] == [kept["id"]]
    assert owner.get("/account")["id"] == kept["id"]
    assert world.do(lambda: len(world.bus._subscriptions)) == topics - 1
    assert gone["id"] not in [account.id for account in world.store.accounts()]
    assert world.journal.order(gone["id"], placed["id"]) is not None  # the journal forgets nothing
    assert world.journal.events(gone["id"], 0, 100)[-1].type == "terminal.disconnected"
    assert world.do(lambda: world.gateway.has_published(gone["id"])).error == "removed"


def test_a_removed_terminal_s_token_lets_nobody_in(world: World, owner: Api) -> None:
    made = link(owner)
    key = parse_token(made["connector_token"]).key
    connector = world.peers[key].connector
    body(owner.call("DELETE", "/accounts/" + made["id"]))
    assert key not in world.peers
    assert connector.refusal == "removed"
    assert world.store.connector_keys(made["id"]) == []


def test_an_order_without_outcome_keeps_its_account(
    world: World, owner: Api, connect: Connect
) -> None:
    account = world.add_account(kind=FarConnector)
    api = connect(world.add_key(accounts=(account,)))
    far = world.lane(account).connector
    assert isinstance(far, FarConnector)
    far.silent = True
    pending = body(
        api.call("POST", "/orders", json=order_of(), headers={"X-Request-Timeout-Ms": "1"})
    )
    problem = api.refused("account_busy", "DELETE", "/accounts/" + account)
    assert pending["id"] in problem["detail"]
    assert world.gateway.accounts[account].status is AccountStatus.CONNECTED
    _, request = far.taken[-1]
    world.run(world.lane(account).on_report(far.taken[-1][0], far.execute(request)))
    body(api.call("DELETE", "/accounts/" + account))
