"""What the broker is asked for an order of ours, and the orders that act on a position."""

from fxsocket_server.core import limits
from fxsocket_server.gateway.commands import Command
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.model.enums import Action, Filling, OrderStatus, OrderType
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Order, Position


def trade_request(
    lane: Lane,
    command: Command,
    order: Order,
    action: Action,
    *,
    position_ticket: int | None = None,
    position_by: int | None = None,
) -> TradeRequest:
    """The request that an order stands for; it is not handed over once its deadline has passed."""
    within_ms = limits.MARKET_DEADLINE_MS if order.type.is_market else limits.COMMAND_DEADLINE_MS
    return TradeRequest(
        action=action,
        command_id=command.id,
        tag=order.tag,
        deadline_ms=lane.clock.monotonic_ms() + within_ms,
        symbol=order.symbol,
        type=order.type,
        volume=order.volume,
        price=order.requested_price,
        stop_limit=order.stop_limit_price,
        sl=order.sl,
        tp=order.tp,
        deviation=order.deviation,
        filling=order.filling,
        time_in_force=order.time_in_force,
        expires_ms=order.expires_ms,
        magic=order.magic,
        comment=tagged(order),
        position_ticket=position_ticket,
        position_by=position_by,
    )


def tagged(order: Order) -> str:
    """The comment sent to the broker: our tag, then as much of the user's as fits."""
    return (order.tag + order.comment)[: limits.COMMENT_CHARS]


def order_on(
    lane: Lane,
    position: Position,
    type_: OrderType,
    volume: int,
    filling: Filling,
    *,
    deviation: int | None = None,
    closes_order_id: str | None = None,
) -> Order:
    """An order that takes from a position, with the position's magic and comment."""
    now = lane.connector.time_ms()
    return Order(
        id=lane.ids.make("ord_"),
        user_id=lane.account.user_id,
        account_id=lane.account.id,
        client_order_id=None,
        symbol=position.symbol,
        digits=position.digits,
        type=type_,
        status=OrderStatus.PENDING,
        volume=volume,
        deviation=deviation,
        filling=filling,
        magic=position.magic,
        comment=position.comment,
        tag=lane.ids.tag(),
        position_id=position.id,
        closes_order_id=closes_order_id,
        created_ms=now,
        updated_ms=now,
    )
