"""Read positions: open ones with their floating profit, closed ones from the journal."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.views import PositionView, position_view
from fxsocket_server.model.enums import PositionStatus, Side
from fxsocket_server.model.records import Position


def position_by_id(lane: Lane, position_id: str) -> Position:
    """A position of the account; raises `not_found`."""
    position = lane.book.positions.get(position_id)
    if position is None:
        position = lane.journal.position(lane.account.id, position_id)
    if position is None:
        raise Problem("not_found", f"no position {position_id[:64]!r} in this account")
    return position


def open_position_view(lane: Lane, position: Position) -> PositionView:
    """A position as it stands: at the price that would close it, or at its closing price."""
    money_digits = lane.account.money_digits
    if position.status is PositionStatus.CLOSED:
        return position_view(position, position.close_price, position.profit, money_digits)
    quote = lane.connector.quote(position.symbol)
    current = None
    if quote is not None:
        current = quote.bid if position.side is Side.BUY else quote.ask
    profit = lane.connector.position_profit(position.ticket)
    return position_view(position, current, profit, money_digits)


def list_positions(
    lane: Lane, symbol: str | None = None, magic: int | None = None
) -> list[PositionView]:
    """Open positions in the order in which they were opened."""
    return [
        open_position_view(lane, position)
        for position in lane.book.positions.values()
        if position.status is PositionStatus.OPEN
        and (symbol is None or position.symbol == symbol)
        and (magic is None or position.magic == magic)
    ]
