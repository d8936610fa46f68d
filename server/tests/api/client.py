"""A client whose every answer is held against the contract before a test sees it."""

from collections.abc import Iterator
from typing import Any

import httpx2

from .contract import Contract

TIMEOUT_S = 30  # a watchdog
_OPEN = ("/healthz", "/readyz", "/docs", "/openapi.")


class Api:
    """Requests of one key; `root` is the server's address without /v1. Any thread may use it."""

    def __init__(self, root: str, key: str | None, contract: Contract, **headers: str) -> None:
        self.root = root.removesuffix("/v1")
        self.contract = contract
        own = {} if key is None else {"Authorization": f"Bearer {key}"}
        # Without TLS here: reading the system's certificates takes longer than most tests.
        self._client = httpx2.Client(headers={**own, **headers}, timeout=TIMEOUT_S, verify=False)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request; AssertionError when the answer is not the contract's."""
        url = self.root + (path if path.startswith(_OPEN) else "/v1" + path)
        response = self._client.request(method, url, **options)
        self.contract.check(response)
        return response

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a successful GET."""
        return body(self.call("GET", path, params=params))

    def pages(self, path: str, **params: Any) -> Iterator[list[Any]]:
        """The rows of each page of a list, to its end."""
        cursor = None
        while True:
            page = self.get(path, **params, **({} if cursor is None else {"cursor": cursor}))
            yield page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def place(self, **order: Any) -> Any:
        """A new order, accepted; by default 0.1 lots of EURUSD."""
        return body(self.call("POST", "/orders", json=order_of(**order)))

    def set_price(self, symbol: str, bid: float, ask: float) -> Any:
        """Put the market there."""
        price = {"symbol": symbol, "bid": bid, "ask": ask}
        return body(self.call("POST", "/sim/price", json=price))

    def refused(self, code: str, method: str, path: str, **options: Any) -> Any:
        """The problem of a request that is answered with `code`."""
        response = self.call(method, path, **options)
        assert response.status_code >= 400, response.text
        problem = response.json()
        assert problem["code"] == code, problem
        return problem


def order_of(**order: Any) -> dict[str, Any]:
    """The body of an order; by default a buy of 0.1 lots of EURUSD."""
    return {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, **order}


def body(response: httpx2.Response) -> Any:
    """The JSON of a success."""
    assert response.status_code == 200, response.text
    return response.json()
