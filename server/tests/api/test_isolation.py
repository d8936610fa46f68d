"""Who may do what to whose: every operation, by every kind of key, on own and foreign accounts.

The matrix is made from the server's own table of operations: a new one is in it by itself, and one
that takes an id or a body that this page does not know fails here until it does.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.api.app import API_ROUTES
from fxsocket_server.api.operation import Operation
from fxsocket_server.security.principal import Scope

from .client import Api, body, order_of
from .contract import Contract
from .world import World

Json = dict[str, str]

STRANGER = "usr_stranger"
NOBODY = "acc_nobody"
SECRET_COMMENT = "canary"
BODIES: dict[str, Callable[["Holdings"], Any]] = {
    "AccountPatch": lambda of: {},
    "AccountRequest": lambda of: {"kind": "REPLAY"},
    "BatchRequest": lambda of: {"orders": [order_of()]},
    "CloseAllRequest": lambda of: {"symbol": "USDJPY"},
    "CloseByRequest": lambda of: {"position_id": of.hedge},
    "Halt": lambda of: {"reason": "news"},
    "KeyChange": lambda of: {"name": "renamed"},
    "KeyRequest": lambda of: {"name": "bot", "scope": "read", "accounts": [of.account]},
    "KeyRotation": lambda of: {"overlap_s": 60},
    "OrderPatch": lambda of: {"sl": 1.0},
    "OrderRequest": lambda of: order_of(),
    "PositionPatch": lambda of: {"sl": 1.0},
    "ResolveRequest": lambda of: {"outcome": "NOT_EXECUTED", "reason": "gone"},
    "ReverseRequest": lambda of: {},
    "SimFault": lambda of: {"spread_points": 1},
    "SimPrice": lambda of: {"symbol": "GBPUSD", "bid": 1.27, "ask": 1.2701},
}
# What these need to be understood at all; elsewhere every parameter may be left out.
QUERIES = {
    "/v1/candles": {"symbol": "USDJPY", "timeframe": "D1", "limit": "1"},
    "/v1/calc/margin": {"symbol": "EURUSD", "type": "BUY", "volume": "0.1"},
    "/v1/calc/profit": {
        "symbol": "EURUSD", "type": "BUY", "volume": "0.1", "open_price": "1", "close_price": "2",
    },
}  # fmt: skip


class Holdings(Struct):
    """An account and what it holds, by id."""

    account: str
    order: str
    client_order: str
    position: str
    hedge: str
    key: str
    ids: frozenset[str]


class Cast:
    """Two users with two accounts and one; a client for every kind of key."""

    def __init__(self, world: World, contract: Contract) -> None:
        self.world, self.contract = world, contract
        self.apis: dict[str, Api] = {}
        self.own = self._holdings(world.account)
        self.sibling = self._holdings(world.add_account())
        self.foreign = self._holdings(world.add_account(user=STRANGER), STRANGER)
        self.heads = self._heads()
        for scope in Scope:
            self.apis[scope.name.lower()] = self._api(
                world.add_key(scope, accounts=(self.own.account,))
            )
        self.apis["all"] = self._api(world.add_key())  # every account of its user
        self.apis["none"] = self._api(None)
        self.apis["wrong"] = self._api("fxs_test_wrong")
        self.apis["mistyped"] = self._api("fxs_test_" + "0" * 38)
        self.apis["expired"] = self._api(world.add_key(expires_ms=world.clock.wall_ms()))
        revoked = world.add_key()
        world.revoke(revoked)
        self.apis["revoked"] = self._api(revoked)
        self.apis["far"] = self._api(world.add_key(ip_rules=("203.0.113.0/24", "::/0")))
        self.apis["stranger"] = self._api(
            world.add_key(user=STRANGER, accounts=(self.foreign.account,))
        )

    def _api(self, key: str | None) -> Api:
        return Api(self.world.root, key, self.contract)

    def _holdings(self, account: str, user: str = "usr_test") -> Holdings:
        """Trade a little on an account, with words that nobody else must ever read."""
        api = self._api(self.world.add_key(user=user, accounts=(account,)))
        key = self._key_id(self.world.add_key(user=user, accounts=(account,)))
        word = f"{SECRET_COMMENT}-{account.replace('_', '-')}"
        resting = api.place(type="BUY_LIMIT", price=1.05, client_order_id=word, comment=word)
        first, second = api.place(comment=word), api.place(type="SELL", comment=word)
        deals = [deal["id"] for deal in api.get("/history/deals")["data"]]
        api.close()
        return Holdings(
            account, resting["id"], word, first["position_id"], second["position_id"], key,
            frozenset([account, resting["id"], word, first["id"], second["id"], key,
                       first["position_id"], second["position_id"], *deals]),
        )  # fmt: skip

    def _key_id(self, secret: str) -> str:
        return self.world.do(lambda: self.world.keyring.authenticate(secret)).key_id

    def _heads(self) -> list[int]:
        return [self.world.lane(of.account).book.head_seq for of in (self.sibling, self.foreign)]

    def close(self) -> None:
        """End the connections; nobody but the owner has moved the other accounts."""
        for api in self.apis.values():
            api.close()
        assert self._heads() == self.heads

    def doomed(self) -> tuple[str, Holdings]:
        """An account that may be removed, and who may."""
        account = self.world.add_account()
        self.apis["doomed"] = self._api(self.world.add_key(accounts=(account,)))
        return "doomed", replace(self.own, account=account)

    def relieve(self) -> None:
        """Take back what an operation did to its own account that stands in the next one's way."""
        full = self.apis["full"]
        body(full.call("POST", f"/accounts/{self.own.account}/resume", json={"reason": "over"}))
        body(full.call("DELETE", "/sim/faults"))
        body(full.call("POST", f"/accounts/{self.own.account}/connect"))
        if self.world.keyring.key(self.own.key) is None:
            self.own.key = self._key_id(self.world.add_key(accounts=(self.own.account,)))

    # --- requests ----------------------------------------------------------------------------

    def send(
        self,
        operation: Operation,
        who: str,
        path_of: Holdings,
        body_of: Holdings | None = None,
        headers: Json | None = None,
        query: Json | None = None,
    ) -> httpx2.Response:
        """An operation on the things of an account."""
        path = self.path_of(operation, path_of)
        params = {**QUERIES.get(operation.path, {}), **(query or {})}
        options: dict[str, Any] = {"params": params, "headers": headers or {}}
        kind = body_kind(self.contract, operation)
        if kind is not None:
            options["json"] = BODIES[kind](body_of or path_of)
        response = self.apis[who].call(operation.method, path, **options)
        self._reads_nothing_foreign(response, who)
        return response

    def path_of(self, operation: Operation, of: Holdings) -> str:
        """The path of an operation on the things of an account, without /v1."""
        path = re.sub(r"{(\w+)}", lambda m: self._id(operation.path, m[1], of), operation.path)
        return path.removeprefix("/v1")

    def _id(self, path: str, name: str, of: Holdings) -> str:
        """The id that stands in a path."""
        if name == "id":
            kinds = {
                "accounts": of.account, "orders": of.order, "positions": of.position,
                "keys": of.key,
            }  # fmt: skip
            return kinds[path.split("/")[2]]
        return {"symbol": "EURUSD", "client_order_id": of.client_order}[name]

    def _reads_nothing_foreign(self, response: httpx2.Response, who: str) -> None:
        its = self.own if who != "stranger" else self.foreign
        others = [of for of in (self.own, self.sibling, self.foreign) if of is not its]
        if response.status_code == 200:
            seen = [name for of in others for name in of.ids if name in response.text]
            assert seen == [], (str(response.request.url), seen)


def body_kind(contract: Contract, operation: Operation) -> str | None:
    """The name of the schema of an operation's body."""
    found = contract.operation(operation.method, operation.path)
    assert found is not None, "an operation that the contract does not have"
    content = found.body.get("requestBody", {}).get("content", {})
    return next((m["schema"]["$ref"].rpartition("/")[2] for m in content.values()), None)


@pytest.fixture(scope="module")
def cast(world: World, contract: Contract) -> Iterator[Cast]:
    cast = Cast(world, contract)
    yield cast
    cast.close()


EVERY = pytest.mark.parametrize("operation", API_ROUTES, ids=lambda op: f"{op.method}{op.path}")
TARGETS = ("own", "sibling", "foreign")


def told(response: httpx2.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return response.status_code, response.json()["code"]


def same_words(response: httpx2.Response) -> Any:
    """A refusal without what is different each time: the request's id and the name asked for."""
    problem = response.json()
    problem.pop("instance")
    return re.sub(r"(acc|ord|pos|key)_\w+|canary[\w-]+", "ID", str(problem))


@EVERY
@pytest.mark.parametrize("who", ["none", "wrong", "mistyped", "expired", "revoked"])
def test_without_a_valid_key_nothing_can_be_told_apart(
    operation: Operation, who: str, cast: Cast
) -> None:
    for target in TARGETS:
        cast.world.clock.advance(60_000)  # an address may fail so often in a minute
        response = cast.send(operation, who, getattr(cast, target))
        assert told(response) == (401, "unauthorized")


@EVERY
def test_from_a_wrong_address_nothing_can_be_told_apart(operation: Operation, cast: Cast) -> None:
    words = []
    for target in TARGETS:
        cast.world.clock.advance(60_000)  # as above: it counts as no key
        response = cast.send(operation, "far", getattr(cast, target))
        assert told(response) == (403, "forbidden")
        words.append(same_words(response))
    assert words[0] == words[1] == words[2]
    assert "127.0.0.1" in words[0]


@EVERY
@pytest.mark.parametrize("scope", Scope)
def test_a_key_does_what_its_scope_allows_and_nothing_else(
    operation: Operation, scope: Scope, cast: Cast
) -> None:
    assert isinstance(operation.scope, Scope)
    who, own = scope.name.lower(), cast.own
    if scope is Scope.FULL and operation.name == "DELETE /v1/accounts/{id}":
        who, own = cast.doomed()
    response = cast.send(operation, who, own)
    if scope < operation.scope:
        assert told(response) == (403, "forbidden")
        for target in TARGETS:
            other = cast.send(operation, scope.name.lower(), getattr(cast, target))
            assert same_words(other) == same_words(response)
    else:
        cast.relieve()
        # Whether the market and the order's state allow it is not this page's question.
        assert response.status_code in (200, 422), response.text


@EVERY
@pytest.mark.parametrize(
    ("who", "target"),
    [("full", "sibling"), ("full", "foreign"), ("all", "foreign"), ("stranger", "own")],
)
def test_the_account_of_another_is_as_if_it_were_not(
    operation: Operation, who: str, target: str, cast: Cast
) -> None:
    if not operation.of_account:
        return  # it names no account but by id, which the next test does
    account = getattr(cast, target).account
    nobody = cast.send(operation, who, cast.own, headers={"X-Account-Id": NOBODY})
    assert told(nobody) == (404, "not_found")
    for headers, query in (({"X-Account-Id": account}, None), (None, {"account_id": account})):
        response = cast.send(operation, who, cast.own, headers=headers, query=query)
        assert told(response) == (404, "not_found")
        assert same_words(response) == same_words(nobody)


BY_ID = pytest.mark.parametrize(
    "operation",
    [op for op in API_ROUTES if re.search(r"{\w*id}", op.path)],
    ids=lambda op: f"{op.method}{op.path}",
)


@BY_ID
@pytest.mark.parametrize(
    ("who", "target"),
    [("full", "sibling"), ("full", "foreign"), ("all", "foreign"), ("stranger", "own")],
)
def test_what_another_account_holds_is_as_if_it_were_not(
    operation: Operation, who: str, target: str, cast: Cast
) -> None:
    nothing = Holdings(NOBODY, "ord_none", "none", "pos_none", "pos_none", "key_none", frozenset())
    mine = cast.foreign if who == "stranger" else cast.own
    at = {"X-Account-Id": mine.account} if operation.of_account else None
    nobody = cast.send(operation, who, nothing, headers=at)
    response = cast.send(operation, who, getattr(cast, target), headers=at)
    assert told(nobody) == told(response) == (404, "not_found")
    assert same_words(response).replace("'none'", "ID") == same_words(nobody).replace("none", "ID")


@pytest.mark.parametrize("target", ["sibling", "foreign"])
def test_an_id_in_a_body_is_no_way_round(target: str, cast: Cast) -> None:
    tried = 0
    opened = body(cast.apis["full"].call("POST", "/orders", json=order_of()))["position_id"]
    own = replace(cast.own, position=opened)
    for operation in API_ROUTES:
        kind = body_kind(cast.contract, operation)
        fields = cast.contract.schemas[kind]["properties"] if kind is not None else {}
        if any(re.fullmatch(r"(account|order|position|deal)_id", name) for name in fields):
            response = cast.send(operation, "full", own, body_of=getattr(cast, target))
            assert told(response) == (404, "not_found")
            tried += 1
    assert tried == 1  # close-by


def test_a_list_of_accounts_holds_only_those_of_the_key(cast: Cast) -> None:
    for scope in Scope:
        rows = cast.apis[scope.name.lower()].get("/accounts")
        assert [row["id"] for row in rows] == [cast.own.account]
