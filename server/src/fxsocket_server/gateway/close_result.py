"""What closing deals did to a position."""

from fxsocket_server.gateway.views import CloseResultView, price_number
from fxsocket_server.model.enums import PositionStatus
from fxsocket_server.model.records import Deal, Position
from fxsocket_server.model.units import LOT, POWERS, div_half_away


def close_result(
    position: Position, rest: Position, deals: list[Deal], money_digits: int, *, already: bool
) -> CloseResultView:
    """What closing deals did to a position; the price is weighted by volume.

    `rest` is where what they left goes on: the position itself, or on MT4 another one.
    """
    money = POWERS[money_digits]
    volume = sum(deal.volume for deal in deals)
    price = None
    if volume:
        weighted = sum((deal.price or 0) * deal.volume for deal in deals)
        price = price_number(div_half_away(weighted, volume), position.digits)
    return CloseResultView(
        position.id,
        position.order_id,
        rest.status,
        volume / LOT,
        rest.volume / LOT,
        price,
        sum(deal.profit for deal in deals) / money,
        sum(deal.swap for deal in deals) / money,
        sum(deal.commission for deal in deals) / money,
        already,
        deals[-1].order_id if deals else None,
        rest.id if rest.status is PositionStatus.OPEN else None,
    )
