"""Trade requests by what they ask for, on every kind of account.

An accepted request answers a Report with the facts it caused; a refused one the Refusal of the
first rule it breaks, and has changed nothing, ticket numbers included.
"""

from collections.abc import Callable

from msgspec.structs import replace

from fxsocket_server.broker import pendings, positions
from fxsocket_server.broker.close_by import close_by
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import Action
from fxsocket_server.model.facts import Report, TradeRequest


def perform(ledger: Ledger, request: TradeRequest, time_ms: int) -> Report | Refusal:
    """Do what a request asks, or say why not."""
    return _ACTIONS[request.action](ledger, _without_zeros(request), time_ms)


def _without_zeros(request: TradeRequest) -> TradeRequest:
    """MetaTrader writes a price that is not there as 0."""
    if 0 not in (request.price, request.stop_limit, request.sl, request.tp):
        return request
    return replace(
        request,
        price=request.price or None,
        stop_limit=request.stop_limit or None,
        sl=request.sl or None,
        tp=request.tp or None,
    )


_ACTIONS: dict[Action, Callable[[Ledger, TradeRequest, int], Report | Refusal]] = {
    Action.DEAL: positions.deal,
    Action.PENDING: pendings.place,
    Action.SLTP: positions.sltp,
    Action.MODIFY: pendings.modify,
    Action.REMOVE: pendings.remove,
    Action.CLOSE_BY: close_by,
}
