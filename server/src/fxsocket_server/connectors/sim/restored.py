"""Facts of what an account holds, made from its records, so that its broker can go on."""

from fxsocket_server.core import limits
from fxsocket_server.model.enums import OrderStatus, Reason
from fxsocket_server.model.facts import OrderFact, PositionFact
from fxsocket_server.model.records import Order, Position


def restored_order(order: Order) -> OrderFact:
    """A resting order as the broker had told it."""
    return OrderFact(
        ticket=order.ticket or 0,
        symbol=order.symbol,
        digits=order.digits,
        type=order.type,
        status=order.status if order.filled_volume else OrderStatus.PLACED,
        volume=order.volume,
        filled_volume=order.filled_volume,
        price=order.requested_price,
        filled_price=order.price,
        stop_limit=order.stop_limit_price,
        sl=order.sl,
        tp=order.tp,
        filling=order.filling,
        time_in_force=order.time_in_force,
        expires_ms=order.expires_ms,
        magic=order.magic,
        comment=(order.tag + order.comment)[: limits.COMMENT_CHARS],
        position_ticket=None,
        reason=Reason.EXPERT,
        retcode=order.retcode,
        placed_ms=order.created_ms,
        time_ms=order.updated_ms,
    )


def restored_position(position: Position) -> PositionFact:
    """An open position as the broker had told it; its ticket is that of its opening order."""
    return PositionFact(
        ticket=position.ticket,
        symbol=position.symbol,
        digits=position.digits,
        side=position.side,
        volume=position.volume,
        open_price=position.open_price,
        sl=position.sl,
        tp=position.tp,
        swap=position.swap,
        commission=position.commission,
        magic=position.magic,
        comment=position.comment,
        order_ticket=position.ticket,
        opened_ms=position.opened_ms,
        time_ms=position.updated_ms,
        open_extra=position.open_extra,
    )
