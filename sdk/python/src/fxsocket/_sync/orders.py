# Made from _async/orders.py by tools/make_sync.py; edit that file instead.
"""Orders: place, look up, change, cancel."""

import builtins
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Unpack

from msgspec import Struct

from fxsocket._call import KEEP, Call, Kept, changed, given, path, reader
from fxsocket._orders import OrderRequest, order_body, read_canceled, read_order
from fxsocket._sync.outcome import Outcome
from fxsocket._sync.paging import each
from fxsocket._sync.requester import Requester
from fxsocket.errors import FxSocketError
from fxsocket.models import (
    CloseResult,
    Order,
    OrderCheck,
    OrderResult,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from fxsocket.pages import Page

_read_page = reader(Page[Order])
_read_check = reader(OrderCheck)


class _Batch(Struct):
    results: tuple[OrderResult, ...]


_read_batch = reader(_Batch)


class OrdersResource:
    """`client.orders`"""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._outcome = Outcome(requester)

    def create(
        self,
        *,
        symbol: str,
        type: OrderType | str,  # noqa: A002 - the trade's word
        volume: float,
        price: float | None = None,
        stop_limit_price: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        deviation: int | None = None,
        magic: int | None = None,
        comment: str | None = None,
        filling: str | None = None,
        time_in_force: TimeInForce | str | None = None,
        expires_at: datetime | str | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        """Place an order once, however often it has to be sent; `volume` in lots.

        The same `client_order_id` never trades twice; without one the SDK makes one. Gives the
        order, maybe still PENDING. Raises OrderRejected when the broker refuses, ValidationError
        for a wrong field, OrderOutcomeUnknown when no answer could be had.
        """
        fields: OrderRequest = {
            "symbol": symbol,
            "type": type,
            "volume": volume,
            "price": price,
            "stop_limit_price": stop_limit_price,
            "sl": sl,
            "tp": tp,
            "deviation": deviation,
            "magic": magic,
            "comment": comment,
            "filling": filling,
            "time_in_force": time_in_force,
            "expires_at": expires_at,
            "client_order_id": client_order_id,
        }
        body = order_body(fields, self._requester.new_id())
        key = body["client_order_id"]
        deadline = self._requester.deadline()
        frame = {"action": "order.place", "order": body}
        call = Call("POST", "/orders", read_order, None, body, key, deadline=deadline, frame=frame)
        try:
            return self._requester.send(call)
        except FxSocketError as error:
            if not error.maybe_executed:
                raise
            return self._outcome.find(key, deadline, error)

    def create_many(
        self, orders: Iterable[OrderRequest], *, idempotency_key: str | None = None
    ) -> builtins.list[OrderResult]:
        """Place up to 100 orders, each once; gives an `order` or an `error` for each, in order.

        One that fails undoes no other. Raises ValidationError when the list itself is refused.
        """
        body = {"orders": [order_body(order, self._requester.new_id()) for order in orders]}
        frame = {"action": "order.batch", **body}
        call = Call("POST", "/orders/batch", _read_batch, None, body, idempotency_key, frame=frame)
        return list((self._requester.send(call)).results)

    def check(self, **order: Unpack[OrderRequest]) -> OrderCheck:
        """What placing an order would lead to; nothing is sent to the broker.

        The fields are those of `create`. Raises ValidationError for a wrong field.
        """
        call = Call("POST", "/orders/check", _read_check, None, given(order), asks_only=True)
        return self._requester.send(call)

    def get(self, order_id: str) -> Order:
        """Look an order up; raises NotFoundError."""
        return self._requester.send(Call("GET", path("orders", order_id), read_order))

    def get_by_client_id(self, client_order_id: str) -> Order:
        """Look an order up by the id that the client gave it; raises NotFoundError."""
        route = path("orders", "by-client-id", client_order_id)
        return self._requester.send(Call("GET", route, read_order))

    def list(
        self,
        *,
        status: OrderStatus | str | None = None,
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Order]:
        """One page of orders; give its `next_cursor` as `cursor` to read on."""
        params = _filters(
            status=status, symbol=symbol, magic=magic, from_=from_, to=to, limit=limit
        ) | given({"cursor": cursor})
        return self._requester.send(Call("GET", "/orders", _read_page, params))

    def iter(
        self,
        *,
        status: OrderStatus | str | None = None,
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
    ) -> Iterator[Order]:
        """Every order that fits, page after page; `limit` is the size of a page."""
        params = _filters(
            status=status, symbol=symbol, magic=magic, from_=from_, to=to, limit=limit
        )
        return each(self._requester, "/orders", _read_page, params)

    def history(
        self,
        *,
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Order]:
        """One page of orders that are done, by when they were; `next_cursor` leads on."""
        params = _filters(
            status=None, symbol=symbol, magic=magic, from_=from_, to=to, limit=limit
        ) | given({"cursor": cursor})
        return self._requester.send(Call("GET", "/history/orders", _read_page, params))

    def iter_history(
        self,
        *,
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
    ) -> Iterator[Order]:
        """Every order that is done, by when it was, page after page."""
        params = _filters(status=None, symbol=symbol, magic=magic, from_=from_, to=to, limit=limit)
        return each(self._requester, "/history/orders", _read_page, params)

    def modify(
        self,
        order_id: str,
        *,
        sl: float | Kept | None = KEEP,
        tp: float | Kept | None = KEEP,
        price: float | Kept | None = KEEP,
        stop_limit_price: float | Kept | None = KEEP,
        expires_at: datetime | str | Kept | None = KEEP,
        idempotency_key: str | None = None,
    ) -> Order:
        """Change an order: what is left out stays, None removes it."""
        body = changed(
            {
                "sl": sl,
                "tp": tp,
                "price": price,
                "stop_limit_price": stop_limit_price,
                "expires_at": expires_at,
            }
        )
        route = path("orders", order_id)
        frame = {"action": "order.modify", "order_id": order_id, "patch": body}
        call = Call("PATCH", route, read_order, None, body, idempotency_key, frame=frame)
        return self._requester.send(call)

    def cancel(
        self,
        order_id: str,
        *,
        volume: float | None = None,
        deviation: int | None = None,
        idempotency_key: str | None = None,
    ) -> Order | CloseResult:
        """Cancel a resting order, or close what is open of a filled one, `volume` lots of it.

        Gives the Order that was cancelled (or is being, by its `cancel_requested`), or the
        CloseResult of a filled one, closed within `deviation` points of the price.
        """
        params = given({"volume": volume, "deviation": deviation})
        route = path("orders", order_id)
        frame = {"action": "order.cancel", "order_id": order_id, **params}
        call = Call("DELETE", route, read_canceled, params, None, idempotency_key, frame=frame)
        return self._requester.send(call)


def _filters(
    *,
    status: str | None,
    symbol: str | None,
    magic: int | None,
    from_: datetime | str | None,
    to: datetime | str | None,
    limit: int | None,
) -> dict[str, object]:
    return given(
        {
            "status": status,
            "symbol": symbol,
            "magic": magic,
            "from": from_,
            "to": to,
            "limit": limit,
        }
    )
