"""Reverse a position: close it and open the opposite one of the same volume."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.close_result import close_result
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.reads import position_by_id
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.gateway.several.plan import (
    NOT_BEGUN,
    Composite,
    Leg,
    Plan,
    close_standing,
    problem_answer,
)
from fxsocket_server.model.enums import MarginMode, OrderType, PositionStatus, Side
from fxsocket_server.model.records import Position
from fxsocket_server.model.units import lots_of


class ReverseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /positions/{id}/reverse: nothing is to be said yet."""


def reverse() -> Composite:
    """The command that closes a position and opens the opposite one of the same volume.

    On a netting account one deal of twice the volume does both, where the symbol allows it.
    """
    return Composite(_reverse_plan, _reverse_result)


def _reverse_plan(lane: Lane, position_id: str) -> Plan:
    position = position_by_id(lane, position_id)
    if position.status is PositionStatus.CLOSED:
        raise Problem("position_closed", f"position {position.id} is closed")
    order_id, closing = lane.ids.make("ord_"), Leg("position.close", position.id)
    spec = lane.connector.specs()[position.symbol]
    nets = lane.account.margin_mode is not MarginMode.HEDGING
    if nets and 2 * position.volume <= spec.volume_max:
        whole = _opposite(position, 2 * position.volume)
        return Plan((Leg("order.place", order_id, whole, turns_id=position.id),))
    opening = Leg("order.place", order_id, _opposite(position, position.volume))
    return Plan((closing, opening), in_turn=True)


def _opposite(position: Position, volume: int) -> OrderRequest:
    return OrderRequest(
        symbol=position.symbol,
        type=OrderType.SELL if position.side is Side.BUY else OrderType.BUY,
        volume=lots_of(volume),
        magic=position.magic,
        comment=position.comment or None,
    )


def _reverse_result(lane: Lane, plan: Plan, answers: Sequence[Answer | None]) -> Answer:
    """The first leg's refusal refuses it all: nothing has happened then."""
    leg, first, opened = plan.legs[0], answers[0], answers[-1]
    if first is None:
        return _shaped(leg, b'"error":' + NOT_BEGUN.body, NOT_BEGUN)
    if first.status >= 400:
        return first
    closed = first.body if leg.turns_id is None else _turned(lane, leg.turns_id, leg.subject_id)
    return _shaped(leg, b'"result":' + closed, opened or _not_opened(first))


def _shaped(leg: Leg, told: bytes, opened: Answer) -> Answer:
    row = f'{{"position_id":"{leg.turns_id or leg.subject_id}",'.encode() + told + b"}"
    order, error = (opened.body, b"null") if opened.status < 400 else (b"null", opened.body)
    return Answer(200, b'{"results":[' + row + b'],"order":' + order + b',"error":' + error + b"}")


def _not_opened(closing: Answer) -> Answer:
    told = close_standing(closing)
    if not told.closed_volume:
        return NOT_BEGUN
    why = "was closed before this" if told.already else "was closed in part only"
    return problem_answer(Problem("rejected", f"the position {why}; nothing was opened"))


def _turned(lane: Lane, position_id: str, order_id: str) -> bytes:
    """What an order that turns a netted position round has closed of it."""
    position = position_by_id(lane, position_id)
    deals = lane.journal.deals_of_order(lane.account.id, order_id)
    view = close_result(position, position, deals, lane.account.money_digits, already=False)
    opened = position.volume if deals else 0
    return encode(replace(view, closed_volume=lots_of(sum(deal.volume for deal in deals) - opened)))
