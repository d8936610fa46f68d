"""What a trade command is answered, made from what its outcome changed, or from the records.

A maker is found by the command's kind, so that an answer can be made after a restart, too. Facts of
the outcome may have been booked before its report came: what the change does not hold is read.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.core.codec import encode
from fxsocket_server.gateway.changes import Change
from fxsocket_server.gateway.close_result import close_result
from fxsocket_server.gateway.commands import Running
from fxsocket_server.gateway.reads import (
    open_position_view,
    order_by_id,
    position_by_id,
    rest_of,
)
from fxsocket_server.gateway.views import CloseResultView, order_view
from fxsocket_server.model.enums import Action
from fxsocket_server.model.facts import Report
from fxsocket_server.model.records import Deal, Order
from fxsocket_server.model.retcode import Retcode

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane

Maker = Callable[["Lane", Running, Change, Report], bytes]


def _placed(lane: "Lane", running: Running, change: Change, _report: Report) -> bytes:
    order_id = running.order_id or ""
    return change.order_json.get(order_id) or encode(order_view(order_by_id(lane, order_id)))


def _modified(lane: "Lane", running: Running, change: Change, report: Report) -> bytes:
    order = change.orders.get(running.subject_id) or order_by_id(lane, running.subject_id)
    request = running.request
    if request is not None and request.action is Action.SLTP:
        order = replace(order, sl=request.sl, tp=request.tp, updated_ms=report.time_ms)
        if report.retcode != Retcode.NO_CHANGES:
            lane.record_order(change, order)
    return updated_body(order, updated=report.retcode != Retcode.NO_CHANGES)


def updated_body(order: Order, *, updated: bool) -> bytes:
    """The order with `updated`, which is false when nothing has changed."""
    flag = b"true" if updated else b"false"
    return encode(order_view(order))[:-1] + b',"updated":' + flag + b"}"


def _canceled(lane: "Lane", running: Running, change: Change, report: Report) -> bytes:
    request = running.request
    if request is not None and request.action is Action.DEAL:
        return _closed(lane, running, change, report)
    order = change.orders.get(running.subject_id) or order_by_id(lane, running.subject_id)
    return encode(order_view(order))


def _closed(lane: "Lane", running: Running, change: Change, _report: Report) -> bytes:
    deals = _deals_of(lane, running, change)
    position_id = deals[0].position_id if deals else _position_id(lane, running)
    return encode(_close_result(lane, position_id or "", deals, change))


def _deals_of(lane: "Lane", running: Running, change: Change) -> list[Deal]:
    order_id = running.order_id or ""
    deals = [deal for deal in change.deals if deal.order_id == order_id]
    return deals or lane.journal.deals_of_order(lane.account.id, order_id)


def _close_result(
    lane: "Lane", position_id: str, deals: list[Deal], change: Change | None = None
) -> CloseResultView:
    newer = change.positions if change is not None else {}
    position = newer.get(position_id) or position_by_id(lane, position_id)
    rest = rest_of(lane, position, change)
    return close_result(position, rest, deals, lane.account.money_digits, already=False)


class PositionResult(Struct, frozen=True):
    """What became of one position of several."""

    position_id: str
    result: CloseResultView


class PositionResults(Struct, frozen=True):
    """Answer of POST /positions/{id}/close-by."""

    results: list[PositionResult]


def _closed_by(lane: "Lane", running: Running, change: Change, _report: Report) -> bytes:
    """A result per position, that of the one named first first, as the deals stand."""
    deals = _deals_of(lane, running, change)
    ids = dict.fromkeys(deal.position_id or "" for deal in deals)
    results = [
        PositionResult(
            position_id,
            _close_result(
                lane, position_id, [d for d in deals if d.position_id == position_id], change
            ),
        )
        for position_id in ids
    ]
    return encode(PositionResults(results))


def _position_id(lane: "Lane", running: Running) -> str | None:
    """The position that a closing command names, or that its order opened."""
    if running.kind.startswith("position."):
        return running.subject_id
    return order_by_id(lane, running.subject_id).position_id


def _stopped(lane: "Lane", running: Running, change: Change, _report: Report) -> bytes:
    position = change.positions.get(running.subject_id) or position_by_id(lane, running.subject_id)
    return encode(open_position_view(lane, position))


ANSWERS: dict[str, Maker] = {
    "order.place": _placed,
    "order.modify": _modified,
    "order.cancel": _canceled,
    "position.close": _closed,
    "position.close_by": _closed_by,
    "position.modify": _stopped,
}


def standing(lane: "Lane", running: Running) -> bytes:
    """What a command is answered whose outcome is not known yet: things as they stand."""
    if running.standing is not None:
        return running.standing()
    if running.kind == "order.place":
        return encode(order_view(order_by_id(lane, running.order_id or "")))
    if running.kind.startswith("order.") and running.order_id is None:
        order = order_by_id(lane, running.subject_id)
        if running.kind == "order.modify":
            return updated_body(order, updated=False)
        return encode(order_view(replace(order, cancel_requested=True)))
    position = position_by_id(lane, _position_id(lane, running) or "")
    if running.order_id is None:
        return encode(open_position_view(lane, position))
    view = replace(_close_result(lane, position.id, []), close_order_id=running.order_id)
    if running.kind == "position.close_by":
        return encode(PositionResults([PositionResult(position.id, view)]))
    return encode(view)
