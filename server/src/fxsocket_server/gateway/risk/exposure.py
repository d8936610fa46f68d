"""How much is open or on its way in an account, and how much an order would add.

Orders without an outcome count as if they had filled. Hedging adds up every position; netting
counts what is open of a symbol once, and a market order against it first closes. Resting orders
count in full on both: nobody knows what will be open when they fill.
"""

from collections.abc import Iterable

from fxsocket_server.model.enums import MarginMode, OrderStatus, PositionStatus, Side
from fxsocket_server.model.records import Order, Position

_ON_THE_WAY = (OrderStatus.PENDING, OrderStatus.UNKNOWN)
_RESTING = (OrderStatus.PLACED, OrderStatus.PARTIALLY_FILLED)


def open_volume(mode: MarginMode, positions: Iterable[Position], orders: Iterable[Order]) -> int:
    """1e-8 lots that are open, or would be if every live order filled."""
    held = [p for p in positions if p.status is PositionStatus.OPEN]
    live = [order for order in orders if _is_live(order)]
    if mode is MarginMode.HEDGING:
        return sum(p.volume for p in held) + sum(_rest(o) for o in live if not _closes(o))
    symbols = {p.symbol for p in held} | {o.symbol for o in live}
    return sum(
        _netted([p for p in held if p.symbol == symbol], [o for o in live if o.symbol == symbol])
        for symbol in symbols
    )


def added_volume(
    mode: MarginMode, positions: Iterable[Position], orders: Iterable[Order], order: Order
) -> int:
    """1e-8 lots by which an order would raise `open_volume`."""
    if mode is MarginMode.HEDGING:
        return 0 if _closes(order) else order.volume
    held = [p for p in positions if p.symbol == order.symbol]
    rest = [o for o in orders if o.symbol == order.symbol]
    return open_volume(mode, held, [*rest, order]) - open_volume(mode, held, rest)


def _netted(held: list[Position], live: list[Order]) -> int:
    volume = sum(p.volume for p in held)
    against = sum(_rest(o) for o in live if _is_against(o, held))
    others = sum(_rest(o) for o in live if not _is_against(o, held))
    return volume + others + max(0, against - volume)


def _is_against(order: Order, held: list[Position]) -> bool:
    return order.type.is_market and any(order.type.is_buy is (p.side is Side.SELL) for p in held)


def _is_live(order: Order) -> bool:
    return order.status in _ON_THE_WAY or order.status in _RESTING


def _closes(order: Order) -> bool:
    """Whether an order was made to close a position: it names one before anything filled."""
    return order.position_id is not None and order.status in _ON_THE_WAY and not order.filled_volume


def _rest(order: Order) -> int:
    return order.volume - order.filled_volume
