"""Every trade command by its name, for all surfaces: what its body is, and how it runs."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from fxsocket_server.core import limits
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.gateway import Gateway, Sender
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.orders.modify import ModifyOrder
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.positions.close_by import CloseBy
from fxsocket_server.gateway.positions.modify import ModifyPosition
from fxsocket_server.gateway.requests import (
    CloseByRequest,
    OrderPatch,
    OrderRequest,
    PositionPatch,
    known_symbol,
)
from fxsocket_server.gateway.several.batch import BatchRequest, batch_of
from fxsocket_server.gateway.several.close_all import CloseAllRequest, close_all
from fxsocket_server.gateway.several.plan import Composite
from fxsocket_server.gateway.several.reverse import ReverseRequest, reverse

Points = Annotated[int, Meta(ge=0, le=limits.MAGIC_MAX)]
Run = Callable[[Gateway, Lane, str, Any, Sender], Awaitable[Answer]]


class CloseRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What narrows a cancel or a close: `volume` in lots, `deviation` in points."""

    volume: float | None = None
    deviation: Points | None = None


class Trade(Struct, frozen=True):
    """A kind of trade command; `reduces_risk` says that it can only close or cancel."""

    body: type[Struct]
    run: Run
    reduces_risk: bool = False


def _simple(name: str, verb: Callable[[Any], Verb]) -> Run:
    def run(
        gateway: Gateway, lane: Lane, subject_id: str, body: Struct, sender: Sender
    ) -> Awaitable[Answer]:
        # As a tuple, a close is the same command as a leg's and as those that are on record.
        asked = (body.volume, body.deviation) if isinstance(body, CloseRequest) else body
        return gateway.run(lane, name, subject_id, asked, sender.key, sender, verb(body))

    return run


def _several(name: str, composite: Callable[[Any], Composite]) -> Run:
    def run(
        gateway: Gateway, lane: Lane, subject_id: str, body: Struct, sender: Sender
    ) -> Awaitable[Answer]:
        return gateway.run_composite(lane, name, subject_id, body, sender, composite(body))

    return run


def _place(
    gateway: Gateway, lane: Lane, _subject_id: str, body: OrderRequest, sender: Sender
) -> Awaitable[Answer]:
    return gateway.place(lane, body, sender)


def _batch(
    gateway: Gateway, lane: Lane, subject_id: str, body: BatchRequest, sender: Sender
) -> Awaitable[Answer]:
    gateway.use.orders(lane.account.user_id, sender.api_key_id, len(body.orders))
    return _several("order.batch", batch_of)(gateway, lane, subject_id, body, sender)


def _close_all(
    gateway: Gateway, lane: Lane, subject_id: str, body: CloseAllRequest, sender: Sender
) -> Awaitable[Answer]:
    if body.symbol is not None:
        known_symbol(lane.connector.specs(), body.symbol)
    return _several("position.close_all", close_all)(gateway, lane, subject_id, body, sender)


TRADES: dict[str, Trade] = {
    "order.place": Trade(OrderRequest, _place),
    "order.batch": Trade(BatchRequest, _batch),
    "order.modify": Trade(OrderPatch, _simple("order.modify", ModifyOrder)),
    "order.cancel": Trade(
        CloseRequest,
        _simple("order.cancel", lambda body: CancelOrder(body.volume, body.deviation)),
        reduces_risk=True,
    ),
    "position.modify": Trade(PositionPatch, _simple("position.modify", ModifyPosition)),
    "position.close": Trade(
        CloseRequest,
        _simple("position.close", lambda body: ClosePosition(body.volume, body.deviation)),
        reduces_risk=True,
    ),
    "position.close_by": Trade(
        CloseByRequest,
        _simple("position.close_by", lambda body: CloseBy(body.position_id)),
        reduces_risk=True,
    ),
    "position.reverse": Trade(ReverseRequest, _several("position.reverse", lambda _: reverse())),
    "position.close_all": Trade(CloseAllRequest, _close_all, reduces_risk=True),
}
