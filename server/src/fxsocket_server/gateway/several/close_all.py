"""Close all positions that a request names, and cancel the orders, oldest first."""

from collections.abc import Sequence

from msgspec import Struct

from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.several.plan import NOT_BEGUN, Composite, Leg, Plan
from fxsocket_server.model.enums import OrderStatus, PositionStatus, Side
from fxsocket_server.model.records import Order

_RESTING = (OrderStatus.PLACED, OrderStatus.PARTIALLY_FILLED)


class CloseAllRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /positions/close-all; what is left out does not narrow it."""

    symbol: str | None = None
    magic: int | None = None
    side: Side | None = None
    include_orders: bool = False

    def names(self, symbol: str, magic: int, side: Side) -> bool:
        """Whether a position or order is meant."""
        return (
            self.symbol in (None, symbol)
            and self.magic in (None, magic)
            and self.side in (None, side)
        )


def close_all(request: CloseAllRequest) -> Composite:
    """The command that cancels and closes what a request names, oldest first."""

    def plan(lane: Lane, _subject_id: str) -> Plan:
        orders = lane.book.orders.values() if request.include_orders else ()
        cancels = [
            Leg("order.cancel", order.id)
            for order in orders
            if order.status in _RESTING and request.names(order.symbol, order.magic, _side(order))
        ]
        closes = [
            Leg("position.close", position.id)
            for position in lane.book.positions.values()
            if position.status is PositionStatus.OPEN
            and request.names(position.symbol, position.magic, position.side)
        ]
        return Plan((*cancels, *closes))

    return Composite(plan, _all_results)


def _side(order: Order) -> Side:
    return Side.BUY if order.type.is_buy else Side.SELL


def _all_results(_lane: Lane, plan: Plan, answers: Sequence[Answer | None]) -> Answer:
    rows: dict[str, list[bytes]] = {"order.cancel": [], "position.close": []}
    for leg, answer in zip(plan.legs, answers, strict=True):
        rows[leg.kind].append(_row(leg, answer or NOT_BEGUN))
    closed, canceled = b",".join(rows["position.close"]), b",".join(rows["order.cancel"])
    return Answer(200, b'{"results":[' + closed + b'],"orders":[' + canceled + b"]}")


def _row(leg: Leg, answer: Answer) -> bytes:
    name, good = ("order_id", "order") if leg.kind == "order.cancel" else ("position_id", "result")
    key = good if answer.status < 400 else "error"
    return f'{{"{name}":"{leg.subject_id}","{key}":'.encode() + answer.body + b"}"
