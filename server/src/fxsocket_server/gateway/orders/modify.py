"""Change a resting order, or the stops of the position that a filled order opened."""

from msgspec import UNSET

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Command, Intent
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.positions.modify import new_level, stops_request
from fxsocket_server.gateway.reads import order_by_id, position_by_id, rest_of
from fxsocket_server.gateway.requests import OrderPatch, check_price, check_time
from fxsocket_server.model.enums import Action, MarginMode, OrderStatus, PositionStatus, TimeInForce
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Order, Position


class ModifyOrder:
    """PATCH /orders/{id}."""

    def __init__(self, patch: OrderPatch) -> None:
        self._patch = patch

    def __call__(self, lane: Lane, command: Command) -> Intent:
        """Ask the broker for the new levels of the order, or of its position."""
        order = order_by_id(lane, command.subject_id)
        patch = self._patch
        asked = (patch.sl, patch.tp, patch.price, patch.stop_limit_price, patch.expires_at)
        if all(value is UNSET for value in asked):
            raise Problem(
                "validation_error",
                "send at least one of sl, tp, price, stop_limit_price, expires_at",
                pointer="/sl",
            )
        if order.status is OrderStatus.FILLED:
            return self._modify_position(lane, command, order)
        if order.status is not OrderStatus.PLACED:
            raise Problem("order_closed", f"order {order.id} is {order.status}; nothing rests")
        return self._modify_resting(lane, command, order)

    def _modify_resting(self, lane: Lane, command: Command, order: Order) -> Intent:
        patch, digits = self._patch, order.digits
        request = TradeRequest(
            action=Action.MODIFY,
            command_id=command.id,
            tag=lane.ids.tag(),
            deadline_ms=lane.clock.monotonic_ms() + limits.COMMAND_DEADLINE_MS,
            symbol=order.symbol,
            type=order.type,
            price=self._new_price("price", patch.price, order.requested_price, digits),
            stop_limit=self._new_price(
                "stop_limit_price", patch.stop_limit_price, order.stop_limit_price, digits
            ),
            sl=new_level("sl", patch.sl, order.sl, digits),
            tp=new_level("tp", patch.tp, order.tp, digits),
            time_in_force=self._lifetime(order),
            expires_ms=self._expiry(order),
            order_ticket=order.ticket,
        )
        return Intent(request=request, order=None)

    def _new_price(self, name: str, asked: object, old: int | None, digits: int) -> int | None:
        if not isinstance(asked, (int, float)):
            return old
        price = check_price(name, asked, digits, "invalid_price")
        if price is None:
            raise Problem("invalid_price", f"{name} must be a price above 0", pointer="/" + name)
        return price

    def _expiry(self, order: Order) -> int | None:
        asked = self._patch.expires_at
        if asked is None:
            return None
        return check_time("expires_at", asked) if isinstance(asked, str) else order.expires_ms

    def _lifetime(self, order: Order) -> TimeInForce:
        if self._patch.expires_at is UNSET:
            return order.time_in_force
        if self._patch.expires_at is None:
            return TimeInForce.GTC
        if order.time_in_force is TimeInForce.SPECIFIED_DAY:
            return TimeInForce.SPECIFIED_DAY
        return TimeInForce.SPECIFIED

    def _modify_position(self, lane: Lane, command: Command, order: Order) -> Intent:
        patch = self._patch
        for name in ("price", "stop_limit_price", "expires_at"):
            if getattr(patch, name) is not UNSET:
                raise Problem(
                    "order_closed",
                    f"order {order.id} is filled: only sl and tp of its position can change",
                    pointer="/" + name,
                )
        position = rest_of(lane, position_by_id(lane, order.position_id or ""))
        if position.status is PositionStatus.CLOSED:
            raise Problem("position_closed", f"position {position.id} is closed")
        _refuse_shared(lane, order, position)
        request = stops_request(lane, command, position, patch.sl, patch.tp)
        return Intent(request=request, order=None)


def _refuse_shared(lane: Lane, order: Order, position: Position) -> None:
    """Netted orders share their position's stops: one of several cannot move them alone."""
    if lane.account.margin_mode is MarginMode.HEDGING:
        return
    others = [owner for owner, _ in position.shares if owner != order.id]
    if others:
        raise Problem(
            "use_position",
            f"position {position.id} consists of other orders, too; change its stops with "
            f"PATCH /v1/positions/{position.id}",
        )
