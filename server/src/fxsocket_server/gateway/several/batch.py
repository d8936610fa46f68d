"""Place many orders with one command: a leg each, answered in order."""

from collections.abc import Sequence

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.gateway.several.plan import NOT_BEGUN, Composite, Leg, Plan


class BatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /orders/batch."""

    orders: list[OrderRequest]


def batch_of(request: BatchRequest) -> Composite:
    """The command that places the orders of a batch; raises `validation_error`."""
    if not 1 <= len(request.orders) <= limits.BATCH_ORDERS:
        raise Problem(
            "validation_error",
            f"orders holds {len(request.orders)}; send 1 to {limits.BATCH_ORDERS}",
            pointer="/orders",
        )

    def plan(lane: Lane, _subject_id: str) -> Plan:
        orders = request.orders
        return Plan(tuple(Leg("order.place", lane.ids.make("ord_"), order) for order in orders))

    return Composite(plan, _results)


def _results(_lane: Lane, _plan: Plan, answers: Sequence[Answer | None]) -> Answer:
    rows = b",".join(_row(answer or NOT_BEGUN) for answer in answers)
    return Answer(200, b'{"results":[' + rows + b"]}")


def _row(answer: Answer) -> bytes:
    return (b'{"order":' if answer.status < 400 else b'{"error":') + answer.body + b"}"
