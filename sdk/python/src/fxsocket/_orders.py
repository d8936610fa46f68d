"""What an order consists of, for REST and for the stream alike."""

from datetime import datetime
from typing import Any, Required, TypedDict

import msgspec

from fxsocket._call import given, reader
from fxsocket.models import CloseResult, Order, OrderType, TimeInForce


class OrderRequest(TypedDict, total=False):
    """The fields of a new order; prices as the symbol quotes them, volume in lots.

    `deviation` is in points, `client_order_id` has 1 to 64 characters of `[A-Za-z0-9_.:-]`.
    """

    symbol: Required[str]
    type: Required[OrderType | str]
    volume: Required[float]
    price: float | None
    stop_limit_price: float | None
    sl: float | None
    tp: float | None
    deviation: int | None
    magic: int | None
    comment: str | None
    filling: str | None
    time_in_force: TimeInForce | str | None
    expires_at: datetime | str | None
    client_order_id: str | None


def order_body(order: OrderRequest, new_id: str) -> dict[str, Any]:
    """Write the body of a new order; without a `client_order_id` it is called `new_id`.

    Every order gets an id before it is first sent, so that it can be found again whatever happens.
    """
    body = given(order)
    body.setdefault("client_order_id", new_id)
    return body


def read_canceled(body: bytes) -> Order | CloseResult:
    """Read the answer to cancelling: a filled order was closed, any other was cancelled."""
    raw = msgspec.json.decode(body)
    if isinstance(raw, dict) and "closed_volume" in raw:
        return msgspec.convert(raw, CloseResult)
    return msgspec.convert(raw, Order)


read_order = reader(Order)
