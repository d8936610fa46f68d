"""/v1/keys, /v1/audit, /v1/usage: what a key may give, how it changes, who hears of it."""

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from fxsocket_server.security.ip_rules import TrustedProxies, ip_rule
from fxsocket_server.security.key_format import PATTERN
from fxsocket_server.security.principal import Scope
from fxsocket_server.workers.keys import KeySync

from .client import Api, body, order_of
from .world import World

Connect = Callable[..., Api]


def created(api: Api, **fields: Any) -> Any:
    """A new key, secret and all; by default one that may trade."""
    return body(api.call("POST", "/keys", json={"name": "bot", "scope": "trade", **fields}))


@pytest.fixture
def owner(world: World, connect: Connect) -> Api:
    """A key that may do everything with every account of its user."""
    return connect(world.add_key(default=world.account))


# --- making ----------------------------------------------------------------------------------


def test_a_new_key_is_told_once_and_works(owner: Api, connect: Connect) -> None:
    made = created(owner, name=" grid bot ", scope="read")
    assert re.fullmatch(PATTERN, made["secret"])
    assert (made["name"], made["scope"], made["revoked_at"]) == ("grid bot", "read", None)
    api = connect(made["secret"])
    assert api.get("/account")
    api.refused("forbidden", "POST", "/orders", json=order_of())
    [row] = [row for row in owner.get("/keys", limit=1000)["data"] if row["id"] == made["id"]]
    assert "secret" not in row
    assert row["last_used_at"] is not None
    assert made["secret"] not in str(owner.get("/audit"))


def test_the_secret_of_a_key_is_nowhere_in_the_store(world: World, owner: Api) -> None:
    secret = created(owner)["secret"]
    assert secret.encode() not in (world.journal_path.parent / "app.db").read_bytes()


def test_a_key_of_simulated_accounts_is_a_test_key(world: World, owner: Api) -> None:
    test = created(owner, accounts=[world.account])
    assert (test["kind"], test["secret"][:9]) == ("test", "fxs_test_")
    live = created(owner)  # of all accounts, and who knows which come
    assert (live["kind"], live["secret"][:9]) == ("live", "fxs_live_")
    problem = owner.refused(
        "validation_error", "PATCH", f"/keys/{test['id']}", json={"accounts": None}
    )
    assert problem["errors"][0]["pointer"] == "/accounts"


def test_keys_are_listed_a_page_at_a_time(owner: Api) -> None:
    ids = [created(owner)["id"] for _ in range(5)]
    pages = list(owner.pages("/keys", limit=2))
    assert all(len(page) <= 2 for page in pages)
    listed = [row["id"] for page in pages for row in page]
    assert [key_id for key_id in listed if key_id in ids] == sorted(ids)
    assert len(set(listed)) == len(listed)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "/name"), ({"name": "x" * 65}, "/name"), ({"name": "a\nb"}, "/name"),
    ({"name": None}, "/name"), ({"scope": "admin"}, "/scope"), ({"scope": None}, "/scope"),
    ({"accounts": []}, "/accounts"), ({"accounts": "acc_1"}, "/accounts"),
    ({"ip_rules": ["10.0.0.1/8"]}, "/ip_rules/0"), ({"ip_rules": ["::1", "x"]}, "/ip_rules/1"),
    ({"ip_rules": ["10.0.0.1"] * 65}, "/ip_rules"), ({"ip_rules": "10.0.0.1"}, "/ip_rules"),
    ({"limits": {"max_open_volume": 0}}, "/limits/max_open_volume"),
    ({"limits": {"symbols": "!XAU*"}}, "/limits/symbols"),
    ({"limits": {"hours": "Mon"}}, "/limits/hours"),
    ({"limits": {"max_daily_loss": "200%"}}, "/limits/max_daily_loss"),
    ({"limits": {"lots": 1}}, "/limits/lots"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ({"expires_at": "tomorrow"}, "/expires_at"), ({"owner": "me"}, "/owner"),
    ({"secret": "mine"}, "/secret"), ({"id": "key_mine"}, "/id"),
    ({"user_id": "usr_2"}, "/user_id"), ({"is_live": False}, "/is_live"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "pointer"), BAD)
def test_what_cannot_be_names_the_field(
    world: World, owner: Api, fields: dict[str, Any], pointer: str
) -> None:
    before = len(world.keyring.keys_of("usr_test"))
    asked = {"name": "bot", "scope": "trade", **fields}
    problem = owner.refused("validation_error", "POST", "/keys", json=asked)
    assert problem["errors"][0]["pointer"] == pointer
    assert len(world.keyring.keys_of("usr_test")) == before


def test_a_default_account_is_one_of_the_key_s(world: World, owner: Api, connect: Connect) -> None:
    one, other = world.add_account(), world.add_account()
    asked = {"name": "bot", "scope": "read", "accounts": [one], "default_account_id": other}
    problem = owner.refused("validation_error", "POST", "/keys", json=asked)
    assert problem["errors"][0]["pointer"] == "/default_account_id"
    made = created(owner, accounts=[one, other], default_account_id=other)
    assert connect(made["secret"]).get("/account")["id"] == other
    path = f"/keys/{made['id']}"
    assert body(owner.call("PATCH", path, json={"accounts": [one]}))["default_account_id"] is None
    assert connect(made["secret"]).get("/account")["id"] == one


# --- no more than it has ---------------------------------------------------------------------


@pytest.fixture
def bounded(world: World, owner: Api, connect: Connect) -> Api:
    """A full key with a bound of every kind."""
    made = created(
        owner, scope="full", accounts=[world.account], ip_rules=["127.0.0.0/16"],
        expires_at="2026-06-01T00:00:00Z",
        limits={
            "max_open_volume": 2, "symbols": "*USD*", "max_daily_loss": "5%", "reduce_only": True,
            "hours": "Mon-Fri 08:00-17:00", "on_loss": "flatten", "orders_per_minute": 30,
        },
    )  # fmt: skip
    return connect(made["secret"])


MORE: list[tuple[dict[str, Any], str]] = [
    ({"accounts": None}, "/accounts"),
    ({"ip_rules": []}, "/ip_rules"), ({"ip_rules": None}, "/ip_rules"),
    ({"ip_rules": ["127.0.0.0/8"]}, "/ip_rules"), ({"ip_rules": ["127.0.0.1", "::1"]}, "/ip_rules"),
    ({"expires_at": None}, "/expires_at"),
    ({"expires_at": "2026-06-01T00:00:00.001Z"}, "/expires_at"),
    ({"limits": None}, "/limits/max_open_volume"),
]  # fmt: skip
RULES = {
    "max_open_volume": 2, "symbols": "*USD*", "max_daily_loss": "5%", "reduce_only": True,
    "hours": "Mon-Fri 08:00-17:00", "on_loss": "flatten", "orders_per_minute": 30,
}  # fmt: skip
LOOSER = {
    "max_open_volume": (None, 2.01), "symbols": (None, "*"), "max_daily_loss": (None, "5.1%", "5"),
    "reduce_only": (None, False), "hours": (None, "Mon-Sun 08:00-17:00"),
    "on_loss": (None, "refuse"), "orders_per_minute": (None, 31), "hours_zone": ("utc",),
}  # fmt: skip
MORE += [
    ({"limits": {**RULES, rule: value}}, f"/limits/{rule}")
    for rule, values in LOOSER.items()
    for value in values
]


@pytest.mark.parametrize(("fields", "pointer"), MORE)
def test_a_key_gives_no_more_than_it_has(
    bounded: Api, fields: dict[str, Any], pointer: str
) -> None:
    asked = {"name": "bot", "scope": "full", **fields}
    problem = bounded.refused("forbidden", "POST", "/keys", json=asked)
    assert problem["errors"][0]["pointer"] == pointer
    own = created(bounded)["id"]
    problem = bounded.refused("forbidden", "PATCH", f"/keys/{own}", json=fields)
    assert problem["errors"][0]["pointer"] == pointer


def test_what_is_left_out_is_as_with_the_key_that_asks(bounded: Api, world: World) -> None:
    made = created(bounded)
    assert made["accounts"] == [world.account]
    assert made["ip_rules"] == ["127.0.0.0/16"]
    assert made["expires_at"] == "2026-06-01T00:00:00.000Z"
    assert {k: v for k, v in made["limits"].items() if v is not None} == RULES
    tighter = created(
        bounded, ip_rules=["127.0.0.1"], expires_at="2026-05-01T00:00:00Z",
        limits={**RULES, "max_open_volume": 1, "max_daily_loss": "4%", "max_order_volume": 0.1},
    )  # fmt: skip
    assert tighter["limits"]["max_order_volume"] == 0.1


def test_keys_beyond_its_reach_are_as_if_they_were_not(
    world: World, owner: Api, bounded: Api, connect: Connect
) -> None:
    other = world.add_account()
    beyond = [created(owner)["id"], created(owner, accounts=[other])["id"]]
    foreign = world.add_key(user="usr_stranger")
    beyond.append(world.keyring.authenticate(foreign).key_id)
    own = created(bounded)["id"]
    seen = [row["id"] for row in bounded.get("/keys", limit=1000)["data"]]
    assert own in seen
    assert not set(beyond) & set(seen)
    for key_id in (*beyond, "key_none"):
        bounded.refused("not_found", "PATCH", f"/keys/{key_id}", json={"name": "mine"})
        bounded.refused("not_found", "POST", f"/keys/{key_id}/rotate")
        bounded.refused("not_found", "DELETE", f"/keys/{key_id}")
    asked = {"name": "bot", "scope": "read", "accounts": [other]}
    bounded.refused("forbidden", "POST", "/keys", json=asked)
    asked["accounts"] = [world.add_account(user="usr_stranger")]
    owner.refused("not_found", "POST", "/keys", json=asked)


# --- changing --------------------------------------------------------------------------------


def test_a_change_binds_the_next_request(owner: Api, connect: Connect) -> None:
    made = created(owner)
    api, path = connect(made["secret"]), f"/keys/{made['id']}"
    api.place()
    changed = body(owner.call("PATCH", path, json={"limits": {"max_order_volume": 0.01}}))
    assert changed["limits"]["max_order_volume"] == 0.01
    api.refused("key_limit", "POST", "/orders", json=order_of())
    body(owner.call("PATCH", path, json={"limits": None}))
    api.place()
    body(owner.call("PATCH", path, json={"scope": "read"}))
    api.refused("forbidden", "POST", "/orders", json=order_of())
    body(owner.call("PATCH", path, json={"ip_rules": ["203.0.113.0/24"]}))
    assert "127.0.0.1" in api.refused("forbidden", "GET", "/account")["detail"]
    assert body(owner.call("DELETE", path))["revoked_at"] is not None
    api.refused("unauthorized", "GET", "/account")
    owner.refused("not_found", "DELETE", path)


def test_a_key_may_end_itself(owner: Api, connect: Connect) -> None:
    made = created(owner, scope="full")
    api = connect(made["secret"])
    assert body(api.call("DELETE", f"/keys/{made['id']}"))["id"] == made["id"]
    api.refused("unauthorized", "GET", "/keys")


def test_a_rotation_overlaps(world: World, owner: Api, connect: Connect) -> None:
    made = created(owner)
    rotated = body(owner.call("POST", f"/keys/{made['id']}/rotate", json={"overlap_s": 60}))
    assert rotated["id"] == made["id"]
    old, new = connect(made["secret"]), connect(rotated["secret"])
    for api in (old, new):
        assert api.get("/account")
    world.clock.advance(60_000)
    assert "rotated" in old.refused("unauthorized", "GET", "/account")["detail"]
    assert new.get("/account")
    at_once = body(owner.call("POST", f"/keys/{made['id']}/rotate", json={"overlap_s": 0}))
    assert at_once["old_secret_until"] is None
    new.refused("unauthorized", "GET", "/account")
    owner.refused("validation_error", "POST", f"/keys/{made['id']}/rotate", json={"overlap_s": -1})


def test_a_mistyped_key_is_told_so(owner: Api, connect: Connect) -> None:
    secret = created(owner)["secret"]
    wrong = secret[:20] + ("A" if secret[20] != "A" else "B") + secret[21:]
    assert "mistyped" in connect(wrong).refused("unauthorized", "GET", "/account")["detail"]


# --- other processes, addresses, queries -----------------------------------------------------


def test_what_another_process_wrote_is_taken_over(
    world: World, owner: Api, connect: Connect
) -> None:
    made = created(owner)
    store = world.store.keys
    _, version = store.changed_since(-1)
    sync = KeySync(store, world.keyring, world.bus, version)
    heard: list[object] = []
    end = world.bus.subscribe("keys.*", heard.append)
    key = world.keyring.key(made["id"])
    assert key is not None
    store.put(replace(key, revoked_ms=world.clock.wall_ms()))
    connect(made["secret"]).get("/account")
    world.run(sync.look())
    world.run(sync.look())
    end()
    assert [message.key.id for message in heard] == [made["id"]]  # type: ignore[attr-defined]
    connect(made["secret"]).refused("unauthorized", "GET", "/account")


def test_the_forwarded_address_counts_behind_a_trusted_proxy_only(
    world: World, owner: Api, connect: Connect
) -> None:
    secret = created(owner, ip_rules=["203.0.113.0/24"])["secret"]
    said = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7",
            "X-Real-IP": "203.0.113.7", "X-Client-IP": "203.0.113.7"}  # fmt: skip
    connect(secret, **said).refused("forbidden", "GET", "/account")
    world.context.proxies = TrustedProxies([ip_rule("127.0.0.1")])
    try:
        assert connect(secret, **said).get("/account")
        spoofed = {**said, "X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
        connect(secret, **spoofed).refused("forbidden", "GET", "/account")
        unread = {**said, "X-Forwarded-For": "203.0.113.7, unknown"}
        problem = connect(secret, **unread).refused("forbidden", "GET", "/account")
        assert "cannot be told" in problem["detail"]
        del said["X-Forwarded-For"]
        connect(secret, **said).refused("forbidden", "GET", "/account")
    finally:
        world.context.proxies = TrustedProxies()


# Lines of a request that a trusted proxy passes on, and whether 203.0.113.7 is who asks.
LINES: list[tuple[bytes, bool]] = [
    (b"X-Forwarded-For: 203.0.113.7", True),
    (b"x-FORWARDED-for:203.0.113.7", True),
    (b"X-Forwarded-For: 203.0.113.7:4711", True),
    (b"X-Forwarded-For: ::ffff:203.0.113.7", True),
    (b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7", True),
    (b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 6.6.6.6", False),
    (b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For:", False),
    (b"X-Forwarded-For: 203.0.113.7,\r\n 6.6.6.6", False),
    (b"X-Forwarded-For: 6.6.6.6\r\n 203.0.113.7", False),
    (b"X-Forwarded-For: 203.0.113.7 6.6.6.6", False),
    (b"X-Forwarded-For: 203.0.113.7\x00", False),
    (b"X-Forwarded-For : 203.0.113.7", False),
    (b" X-Forwarded-For: 203.0.113.7", False),
    (b"X_Forwarded_For: 203.0.113.7", False),
    (b"X-Forwarded: for=203.0.113.7", False),
    (b"Forwarded: for=203.0.113.7", False),
    (b"X-Real-IP: 203.0.113.7", False),
    (b"True-Client-IP: 203.0.113.7\r\nCF-Connecting-IP: 203.0.113.7", False),
    (b"X-Forwarded-For: 203.0.113.\xb2", False),
    (b"", False),
]


@pytest.mark.parametrize(("lines", "is_client"), LINES)
def test_on_the_wire_only_the_last_hop_counts(
    world: World, owner: Api, lines: bytes, is_client: bool
) -> None:
    secret = created(owner, ip_rules=["203.0.113.0/24"])["secret"]
    world.clock.advance(60_000)
    world.context.proxies = TrustedProxies([ip_rule("127.0.0.1")])
    host, port = world.root.removeprefix("http://").split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(
                b"GET /v1/accounts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Authorization: Bearer " + secret.encode() + b"\r\n"
                + (lines + b"\r\n" if lines else b"") + b"\r\n"
            )  # fmt: skip
            status = int(connection.makefile("rb").readline().split()[1])
    finally:
        world.context.proxies = TrustedProxies()
    assert status == 200 if is_client else status in (400, 403)


def test_a_stolen_key_does_not_use_up_its_owner_s_bucket(
    world: World, owner: Api, connect: Connect
) -> None:
    made = created(owner, ip_rules=["203.0.113.0/24"])
    world.clock.advance(60_000)
    thief = connect(made["secret"])
    codes = [thief.call("GET", "/account").json()["code"] for _ in range(150)]
    assert set(codes) == {"forbidden", "rate_limited"}  # of the address, as without any key
    assert made["id"] not in world.context.requests._arrival_ms
    world.clock.advance(60_000)


@pytest.fixture
def statements(world: World) -> Iterator[list[str]]:
    """Every SQL statement that goes to app.db."""
    said: list[str] = []

    def note(*call: Any) -> None:
        said.append(call[2])

    engine = world.store.keys._engine
    event.listen(engine, "before_cursor_execute", note)
    yield said
    event.remove(engine, "before_cursor_execute", note)


def test_no_request_asks_the_store_about_its_key(
    world: World, owner: Api, connect: Connect, statements: list[str]
) -> None:
    apis = [connect(world.add_key(scope, ip_rules=("127.0.0.0/8",))) for scope in Scope]
    at = {"X-Account-Id": world.account}
    statements.clear()
    for api in (*apis, connect("fxs_test_wrong")):
        for _ in range(5):
            api.call("GET", "/account", headers=at)
            api.call("POST", "/orders", json=order_of(), headers=at)
    assert statements == []
    owner.get("/keys")
    assert statements != []  # or nothing would have been counted above


# --- audit and usage -------------------------------------------------------------------------


def test_the_audit_log_tells_who_did_what(world: World, owner: Api, connect: Connect) -> None:
    account = world.add_account()
    world.clock.advance(1_000)
    made = created(owner, accounts=[account], scope="full")
    path = f"/keys/{made['id']}"
    body(owner.call("PATCH", path, json={"name": "renamed"}))
    body(owner.call("PATCH", path, json={"name": "renamed"}))  # changes nothing, tells nothing
    body(owner.call("POST", path + "/rotate", json={"overlap_s": 60}))
    body(owner.call("POST", f"/accounts/{account}/halt", json={"reason": "news"}))
    body(owner.call("POST", f"/accounts/{account}/resume", json={"reason": "over"}))
    its = connect(made["secret"])
    seen_by_itself = [row["action"] for row in its.get("/audit")["data"]]
    assert seen_by_itself == ["account.resumed", "account.halted"]
    body(owner.call("DELETE", path))
    rows = owner.get("/audit", limit=6)["data"]
    assert [row["action"] for row in rows] == [
        "key.revoked", "account.resumed", "account.halted", "key.rotated", "key.changed",
        "key.created",
    ]  # fmt: skip
    assert [row["seq"] for row in rows] == list(range(rows[0]["seq"], rows[0]["seq"] - 6, -1))
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert all(row["request_id"].startswith("req_") for row in rows)
    assert rows[4]["details"] == {"before": {"name": "bot"}, "after": {"name": "renamed"}}
    assert rows[1]["details"] == {"reason": "over"}
    assert made["secret"] not in str(rows)
    since = owner.get("/audit", **{"from": rows[0]["time"]})["data"]
    assert len(since) >= 6  # the clock stands
    assert owner.get("/audit", to=rows[-1]["time"])["data"][:1] != rows[-1:]


def test_the_audit_log_only_grows(world: World, owner: Api) -> None:
    created(owner)
    whole = world.store.keys.check_audit()
    assert (whole.faults, whole.entries > 0) == ([], True)
    engine = world.store.keys._engine
    for statement in ("UPDATE audit SET action = 'x'", "DELETE FROM audit"):
        with engine.connect() as connection, pytest.raises(Exception, match="only grows"):
            connection.exec_driver_sql(statement)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET action = 'x' WHERE seq = 1")
    assert any("entry 1 " in fault for fault in world.store.keys.check_audit().faults)


def test_a_halt_is_done_though_the_audit_log_takes_nothing(
    world: World, owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, failure = world.add_account(), OSError("the disk is full")

    def full(*_: object) -> None:
        raise failure

    monkeypatch.setattr(world.store.keys, "append", full)
    halted = body(owner.call("POST", f"/accounts/{account}/halt", json={"reason": "news"}))
    assert halted["trade_allowed"] is False
    assert world.failures == [failure]
    world.failures.clear()


def test_usage_counts_requests_and_orders_by_day(
    world: World, owner: Api, connect: Connect
) -> None:
    made = created(owner, accounts=[world.add_account()], scope="full")
    api = connect(made["secret"])
    api.place()
    batch = {"orders": [order_of(), order_of()]}
    body(api.call("POST", "/orders/batch", json=batch))
    [row] = api.get("/usage")["data"]  # itself counted
    assert row == {"key_id": made["id"], "date": row["date"], "requests": 3, "orders": 3}
    world.clock.advance(24 * 3_600_000)
    [first, second] = api.get("/usage")["data"]
    assert (first["requests"], second["requests"]) == (3, 1)
    assert first["date"] < second["date"]
    assert [row] == api.get("/usage", to=first["date"])["data"]
    pages = list(api.pages("/usage", limit=1))
    assert [len(page) for page in pages if page] == [1, 1]
    assert any(row["key_id"] == made["id"] for row in owner.get("/usage", limit=1000)["data"])
    api.refused("validation_error", "GET", "/usage?from=yesterday")
