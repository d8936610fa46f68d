"""Close a position, wholly or in part; closing a closed one answers what closed it."""

from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.close_result import close_result
from fxsocket_server.gateway.commands import Answer, Command, Intent, Telling
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.reads import position_by_id, rest_of
from fxsocket_server.gateway.requests import (
    check_volume,
    default_filling,
    known_symbol,
)
from fxsocket_server.gateway.trade_requests import order_on, trade_request
from fxsocket_server.model.enums import Action, OrderType, PositionStatus, Side
from fxsocket_server.model.netting import share_of
from fxsocket_server.model.records import Order, Position
from fxsocket_server.model.units import lots_text


class ClosePosition:
    """DELETE /positions/{id}, and DELETE /orders/{id} of a filled order."""

    def __init__(self, lots: float | None, deviation: int | None) -> None:
        self._lots = lots
        self._deviation = deviation
        self._closes_order_id: str | None = None

    def __call__(self, lane: Lane, command: Command) -> Intent | Telling:
        """Make the closing order, or answer how the position was closed already."""
        return self.close(lane, command, position_by_id(lane, command.subject_id))

    def close(self, lane: Lane, command: Command, position: Position) -> Intent | Telling:
        """Close `position`, whoever named it."""
        return self._close(lane, command, position, position.volume)

    def close_share(
        self, lane: Lane, command: Command, position: Position, order: Order
    ) -> Intent | Telling:
        """Close of a netted position at most what an order opened of it."""
        self._closes_order_id = order.id
        return self._close(lane, command, position, share_of(position.shares, order.id))

    def _close(
        self, lane: Lane, command: Command, position: Position, most: int
    ) -> Intent | Telling:
        if position.status is PositionStatus.CLOSED:
            return lambda: _already_closed(lane, position)
        order = self._order(lane, position, most)
        request = trade_request(lane, command, order, Action.DEAL, position_ticket=position.ticket)
        return Intent(request=request, order=order)

    def _order(self, lane: Lane, position: Position, most: int) -> Order:
        spec = known_symbol(lane.connector.specs(), position.symbol)
        type_ = OrderType.SELL if position.side is Side.BUY else OrderType.BUY
        return order_on(
            lane,
            position,
            type_,
            self._volume(lane, position, most),
            default_filling(type_, spec),
            deviation=self._deviation,
            closes_order_id=self._closes_order_id,
        )

    def _volume(self, lane: Lane, position: Position, most: int) -> int:
        if self._lots is None:
            return most
        spec = known_symbol(lane.connector.specs(), position.symbol)
        # The rest of a position may be closed even below the symbol's minimum.
        least = min(spec.volume_min, most)
        volume = check_volume(spec, self._lots, least=least, pointer="?volume")
        if volume > most:
            held = self._closes_order_id or position.id
            raise Problem(
                "invalid_volume",
                f"{held} holds {lots_text(most)} lots; {lots_text(volume)} cannot be closed",
                pointer="?volume",
            )
        return volume


def _already_closed(lane: Lane, position: Position) -> Answer:
    deals = lane.journal.closing_deals(lane.account.id, position.id)
    rest = rest_of(lane, position)
    view = close_result(position, rest, deals, lane.account.money_digits, already=True)
    return Answer(200, encode(view))
