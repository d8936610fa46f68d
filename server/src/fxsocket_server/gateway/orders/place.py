"""Place an order: from a request body to what the broker is asked."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Command, Intent
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.requests import (
    OrderRequest,
    check_extras,
    check_lifetime,
    check_price,
    check_volume,
    default_filling,
    known_symbol,
)
from fxsocket_server.gateway.trade_requests import trade_request
from fxsocket_server.model.enums import Action, ExecutionMode, OrderStatus, OrderType
from fxsocket_server.model.records import Order
from fxsocket_server.model.symbol import SymbolSpec

_STOP_LIMITS = (OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT)


class PlaceOrder:
    """POST /orders and order.place."""

    def __init__(self, request: OrderRequest) -> None:
        self._request = request

    def __call__(self, lane: Lane, command: Command) -> Intent:
        """Check the request against the symbol and make the order."""
        spec = known_symbol(lane.connector.specs(), self._request.symbol)
        order = self._order(lane, command, spec)
        action = Action.DEAL if order.type.is_market else Action.PENDING
        request = trade_request(lane, command, order, action)
        return Intent(request=request, order=order, opens=True)

    def _order(self, lane: Lane, command: Command, spec: SymbolSpec) -> Order:
        request = self._request
        if request.type is OrderType.CLOSE_BY:
            raise Problem(
                "validation_error",
                "CLOSE_BY is not placed here; POST /v1/positions/{id}/close-by",
                pointer="/type",
            )
        check_extras(request)
        lifetime, expires_ms = check_lifetime(request)
        now = lane.connector.time_ms()
        return Order(
            id=command.subject_id,
            user_id=lane.account.user_id,
            account_id=lane.account.id,
            client_order_id=request.client_order_id,
            symbol=spec.symbol,
            digits=spec.digits,
            type=request.type,
            status=OrderStatus.PENDING,
            volume=check_volume(spec, request.volume),
            requested_price=_entry_price(request, spec),
            stop_limit_price=_stop_limit_price(request, spec),
            sl=check_price("sl", request.sl, spec.digits, "invalid_stops"),
            tp=check_price("tp", request.tp, spec.digits, "invalid_stops"),
            deviation=request.deviation,
            filling=request.filling or default_filling(request.type, spec),
            time_in_force=lifetime,
            expires_ms=expires_ms,
            magic=request.magic,
            comment=request.comment or "",
            tag=lane.ids.tag(),
            created_ms=now,
            updated_ms=now,
        )


def _entry_price(request: OrderRequest, spec: SymbolSpec) -> int | None:
    price = check_price("price", request.price, spec.digits, "invalid_price")
    if price is None and not request.type.is_market:
        raise Problem("invalid_price", f"a {request.type} order needs its price", pointer="/price")
    if request.type.is_market and spec.execution_mode is ExecutionMode.MARKET:
        return None  # market execution fills at the market, whatever price came along
    return price


def _stop_limit_price(request: OrderRequest, spec: SymbolSpec) -> int | None:
    price = check_price("stop_limit_price", request.stop_limit_price, spec.digits, "invalid_price")
    if (price is not None) != (request.type in _STOP_LIMITS):
        wanted = "needs" if price is None else "takes no"
        raise Problem(
            "invalid_price",
            f"a {request.type} order {wanted} stop_limit_price",
            pointer="/stop_limit_price",
        )
    return price
