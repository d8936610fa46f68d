"""Settle by hand what no terminal can tell: the outcome of an UNKNOWN order."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.reads import order_by_id
from fxsocket_server.gateway.views import order_view, problem_view
from fxsocket_server.model.enums import OrderStatus
from fxsocket_server.model.records import Order


class Outcome(StrEnum):
    """What somebody who has looked at the terminal says of an order."""

    EXECUTED = "EXECUTED"
    NOT_EXECUTED = "NOT_EXECUTED"


class ResolveRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /orders/{id}/resolve."""

    outcome: Outcome
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    ticket: int | None = None


async def resolve(lane: Lane, order_id: str, request: ResolveRequest) -> bytes:
    """Give an UNKNOWN order its outcome; returns the order."""
    order = order_by_id(lane, order_id)
    if order.status is not OrderStatus.UNKNOWN:
        raise Problem(
            "order_not_unknown",
            f"order {order.id} is {order.status}; only an UNKNOWN one is settled by hand",
        )
    if request.outcome is Outcome.EXECUTED:
        settled = _executed(lane, order, request)
        answer = Answer(200, encode(order_view(settled)))
    else:
        settled = replace(order, status=_undone(order), reason="resolved: " + request.reason)
        problem = Problem("rejected", f"settled by hand as not executed: {request.reason}")
        answer = Answer(422, encode(problem_view(problem, "", order=settled)))
    await lane.settle_by_hand(settled, answer)
    return encode(order_view(settled))


def _undone(order: Order) -> OrderStatus:
    """What an order without a deal comes to: one that the broker took was not refused."""
    return OrderStatus.REJECTED if order.ticket is None else OrderStatus.CANCELED


def _executed(lane: Lane, order: Order, request: ResolveRequest) -> Order:
    """The order as the broker's order of the named number, which the terminal has reported."""
    if request.ticket is None:
        raise Problem(
            "validation_error",
            "EXECUTED needs the ticket of the order at the broker",
            pointer="/ticket",
        )
    found = lane.journal.order_by_ticket(lane.account.id, request.ticket)
    if found is None or found.id == order.id or not _is_alike(found, order):
        raise Problem(
            "validation_error",
            f"the terminal has reported no {order.type} order of {order.symbol} with ticket "
            f"{request.ticket}; GET /v1/orders lists those that it has",
            pointer="/ticket",
        )
    return replace(
        order,
        status=found.status,
        filled_volume=found.filled_volume,
        price=found.price,
        position_id=found.position_id,
        retcode=found.retcode,
        reason=f"resolved: {request.reason}",
    )


def _is_alike(found: Order, order: Order) -> bool:
    return (found.symbol, found.type) == (order.symbol, order.type)
