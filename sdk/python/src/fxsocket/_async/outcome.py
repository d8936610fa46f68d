"""Finding out what became of an order when the answer to placing it was lost."""

from dataclasses import dataclass
from functools import partial

import msgspec

from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call, path
from fxsocket._orders import read_order
from fxsocket._problem import Problem
from fxsocket._retry import REQUEST_BACKOFF, is_transient
from fxsocket.errors import FxSocketError, NotFoundError, OrderOutcomeUnknown, OrderRejected
from fxsocket.models import Order


@dataclass(frozen=True)
class AsyncOutcome:
    """Asks for orders by the id that the client gave them."""

    requester: AsyncRequester

    async def find(
        self, client_order_id: str, deadline: float, cause: FxSocketError | None = None
    ) -> Order:
        """Ask until the deadline; an order that is not found may still be on its way.

        Raises OrderRejected when the broker refused it, OrderOutcomeUnknown when nothing is known.
        """
        clock, retry = self.requester.clock, 0
        while clock() < deadline:
            try:
                return _accepted(await self._look_up(client_order_id, deadline))
            except FxSocketError as error:
                if isinstance(error, OrderRejected):
                    raise
                cause = error
            delay = REQUEST_BACKOFF.delay_s(retry, self.requester.draw())
            if not _may_turn_up(cause) or clock() + delay >= deadline:
                break
            await self.requester.sleep(delay)
            retry += 1
        resolve = partial(self._resolve, client_order_id)
        raise OrderOutcomeUnknown(client_order_id, resolve) from cause

    async def _look_up(self, client_order_id: str, deadline: float) -> Order:
        route = path("orders", "by-client-id", client_order_id)
        return await self.requester.send(Call("GET", route, read_order, deadline=deadline))

    async def _resolve(self, client_order_id: str, timeout: float) -> Order:
        return await self.find(client_order_id, self.requester.clock() + timeout)


def _may_turn_up(error: FxSocketError) -> bool:
    return isinstance(error, NotFoundError) or is_transient(error)


def _accepted(order: Order) -> Order:
    """Treat a refusal found by lookup as the answer to placing would have been treated."""
    if order.status != "REJECTED":
        return order
    raise OrderRejected(
        Problem(
            status=422,
            code=order.reason or "rejected",
            detail=f"order {order.id} was rejected",
            retcode=order.retcode,
            retcode_name=order.retcode_name,
            raw={"order": msgspec.to_builtins(order)},
        )
    )
