"""A request of every operation that succeeds, for tests that spoil it in one way each."""

from collections.abc import Callable
from typing import Any

import httpx2
from msgspec import Struct, structs

from .client import Api, order_of


class Call(Struct):
    """A request that succeeds; the tests below spoil it in one way each."""

    method: str
    path: str
    query: dict[str, str] = {}
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}

    def send(self, api: Api, **changed: Any) -> httpx2.Response:
        """Send it, with some parts changed."""
        call = structs.replace(self, **changed)
        options: dict[str, Any] = {"params": call.query, "headers": call.headers}
        if call.body is not None:
            options["json"] = call.body
        return api.call(call.method, call.path, **options)


def place(api: Api, headers: dict[str, str], **order: Any) -> Any:
    """A new order, accepted."""
    response = api.call("POST", "/orders", json=order_of(**order), headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


LIMIT = {"type": "BUY_LIMIT", "price": 1.05}
CALLS: dict[str, Callable[[Api, dict[str, str]], Call]] = {
    "getAccount": lambda api, at: Call("GET", "/account"),
    "listAccounts": lambda api, at: Call("GET", "/accounts"),
    "getAccountById": lambda api, at: Call("GET", "/accounts/" + api.get("/account")["id"]),
    "createAccount": lambda api, at: Call("POST", "/accounts", body=_unlinked(api)),
    "updateAccount": lambda api, at: Call("PATCH", _linked(api), body={"name": "Other"}),
    "removeAccount": lambda api, at: Call("DELETE", _linked(api)),
    "createStreamTicket": lambda api, at: Call("POST", "/stream/tickets"),
    "connectAccount": lambda api, at: Call("POST", _linked(api) + "/connect"),
    "disconnectAccount": lambda api, at: Call("POST", _linked(api) + "/disconnect"),
    "haltAccount": lambda api, at: Call(
        "POST", f"/accounts/{_other(api)}/halt", body={"reason": "news"}
    ),
    "resumeAccount": lambda api, at: Call(
        "POST", f"/accounts/{_other(api)}/resume", body={"reason": "over"}
    ),
    "listSymbols": lambda api, at: Call("GET", "/symbols", {"group": "*USD*", "visible": "true"}),
    "getSymbol": lambda api, at: Call("GET", "/symbols/EURUSD"),
    "listQuotes": lambda api, at: Call("GET", "/quotes", {"symbols": "EURUSD,USDCHF"}),
    "getQuote": lambda api, at: Call("GET", "/quotes/EURUSD"),
    "listCandles": lambda api, at: Call(
        "GET", "/candles", {"symbol": "USDJPY", "timeframe": "D1", "limit": "3"}
    ),
    "createOrder": lambda api, at: Call("POST", "/orders", body=order_of()),
    "createOrders": lambda api, at: Call(
        "POST", "/orders/batch", body={"orders": [order_of(), order_of(volume=1e6)]}
    ),
    "closeAllPositions": lambda api, at: Call(
        "POST", "/positions/close-all", body={"symbol": place(api, at)["symbol"]}
    ),
    "closePositionBy": lambda api, at: Call(
        "POST",
        f"/positions/{place(api, at)['position_id']}/close-by",
        body={"position_id": place(api, at, type="SELL")["position_id"]},
    ),
    "reversePosition": lambda api, at: Call(
        "POST", f"/positions/{place(api, at)['position_id']}/reverse", body={}
    ),
    "checkOrder": lambda api, at: Call("POST", "/orders/check", body=order_of()),
    "listOrders": lambda api, at: Call("GET", "/orders", {"status": "PLACED,FILLED"}),
    "getOrder": lambda api, at: Call("GET", "/orders/" + place(api, at)["id"]),
    "getOrderByClientId": lambda api, at: Call(
        "GET", "/orders/by-client-id/" + _own(api, at)["client_order_id"]
    ),
    "resolveOrder": lambda api, at: _unknown(api),
    "modifyOrder": lambda api, at: Call(
        "PATCH", "/orders/" + place(api, at, **LIMIT)["id"], body={"price": 1.04}
    ),
    "cancelOrder": lambda api, at: Call("DELETE", "/orders/" + place(api, at, **LIMIT)["id"]),
    "listPositions": lambda api, at: Call("GET", "/positions", {"symbol": "EURUSD"}),
    "getPosition": lambda api, at: Call("GET", "/positions/" + place(api, at)["position_id"]),
    "modifyPosition": lambda api, at: Call(
        "PATCH", "/positions/" + place(api, at)["position_id"], body={"sl": 1.05, "tp": None}
    ),
    "closePosition": lambda api, at: Call("DELETE", "/positions/" + place(api, at)["position_id"]),
    "listDeals": lambda api, at: Call("GET", "/history/deals", {"limit": "5"}),
    "listDoneOrders": lambda api, at: Call("GET", "/history/orders", {"limit": "5"}),
    "listClosedPositions": lambda api, at: Call("GET", "/history/positions", {"limit": "5"}),
    "calcMargin": lambda api, at: Call(
        "GET", "/calc/margin", {"symbol": "EURUSD", "type": "BUY", "volume": "0.1"}
    ),
    "calcProfit": lambda api, at: Call(
        "GET",
        "/calc/profit",
        {
            "symbol": "EURUSD",
            "type": "SELL",
            "volume": "0.1",
            "open_price": "1.09",
            "close_price": "1.08",
        },
    ),
    "getStats": lambda api, at: Call("GET", "/stats", {"group_by": "magic,symbol"}),
    "listEvents": lambda api, at: Call("GET", "/events", {"limit": "5"}),
    "setSimPrice": lambda api, at: Call(
        "POST", "/sim/price", body={"symbol": "EURUSD", "bid": 1.0834, "ask": 1.0835}
    ),
    "putSimFault": lambda api, at: Call("POST", "/sim/faults", body={"spread_points": 1}),
    "listSimFaults": lambda api, at: Call("GET", "/sim/faults"),
    "clearSimFaults": lambda api, at: Call("DELETE", "/sim/faults"),
    "listKeys": lambda api, at: Call("GET", "/keys", {"limit": "5"}),
    "createKey": lambda api, at: Call(
        "POST", "/keys", body={"name": "bot", "scope": "trade", "limits": {"max_open_volume": 2}}
    ),
    "changeKey": lambda api, at: Call(
        "PATCH", "/keys/" + _key(api), body={"ip_rules": ["127.0.0.0/8"]}
    ),
    "rotateKey": lambda api, at: Call("POST", f"/keys/{_key(api)}/rotate", body={"overlap_s": 60}),
    "revokeKey": lambda api, at: Call("DELETE", "/keys/" + _key(api)),
    "listAudit": lambda api, at: Call("GET", "/audit", {"limit": "5"}),
    "listUsage": lambda api, at: Call("GET", "/usage", {"from": "2026-01-01"}),
    "getHealth": lambda api, at: Call("GET", "/healthz"),
    "getReadiness": lambda api, at: Call("GET", "/readyz"),
    "getDocs": lambda api, at: Call("GET", "/docs"),
    "getOpenapiYaml": lambda api, at: Call("GET", "/openapi.yaml"),
    "getOpenapiJson": lambda api, at: Call("GET", "/openapi.json"),
}


def _unlinked(api: Api) -> dict[str, Any]:
    """A terminal's account that is not linked yet."""
    return {"kind": "TERMINAL", "server": "S", "login": 1 + len(api.get("/accounts"))}


def _linked(api: Api) -> str:
    """The path of an account that nothing else here needs."""
    return "/accounts/" + str(api.call("POST", "/accounts", json=_unlinked(api)).json()["id"])


def _key(api: Api) -> str:
    """A key that was made for this call."""
    made = api.call("POST", "/keys", json={"name": "other", "scope": "read"})
    return str(made.json()["id"])


def _other(api: Api) -> str:
    """The stage's last account, on which nobody opens anything."""
    connected = [row["id"] for row in api.get("/accounts") if row["status"] == "connected"]
    return str(connected[-1])


def _unknown(api: Api) -> Call:
    """Settling an order of the stage whose outcome nobody knows."""
    for account in api.get("/accounts"):
        if account["status"] == "connected":
            at = {"X-Account-Id": account["id"]}
            orders = api.call("GET", "/orders", params={"status": "UNKNOWN"}, headers=at).json()
            for order in orders["data"]:
                path = f"/orders/{order['id']}/resolve"
                body = {"outcome": "NOT_EXECUTED", "reason": "not in the terminal's history"}
                return Call("POST", path, body=body, headers=at)
    return Call("POST", "/orders/ord_none/resolve", body={"outcome": "EXECUTED", "reason": "-"})


def _own(api: Api, at: dict[str, str]) -> Any:
    number = len(api.get("/orders", limit=1000)["data"])
    return place(api, at, client_order_id=f"own-{number}")
