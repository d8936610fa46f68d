"""Close and cancel everything of an account, each thing once, as the rules of losses ask for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Command, fingerprint_of
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.model.enums import OrderStatus, PositionStatus

_SEPARATOR = "\x1f"  # no client can send it in a key


class Flattening:
    """One episode: within it nothing is asked of the broker twice, whatever happens in between.

    Only what the broker has refused is asked again, under another key, when `run` is called again.
    """

    def __init__(self, lane: Lane, episode: str) -> None:
        self.episode = episode
        self._lane = lane
        self._refusals: Counter[str] = Counter()

    async def run(self) -> int:
        """Cancel what rests and close what is open; returns how much of it is left."""
        for kind, subject_id, verb in list(_steps(self._lane)):
            with suppress(Problem):  # not known yet, or not possible now
                answer = await self._lane.run(self._command(kind, subject_id), verb)
                self._refusals[subject_id] += answer.status >= 400
        return len(list(_steps(self._lane)))

    def _command(self, kind: str, subject_id: str) -> Command:
        refusals = str(self._refusals[subject_id])
        return Command(
            id=self._lane.ids.make("req_"),
            kind=kind,
            subject_id=subject_id,
            fingerprint=fingerprint_of(kind, subject_id, None),
            key=_SEPARATOR.join(("", "risk", self.episode, subject_id, refusals)),
            wait_ms=0,
        )


def _steps(lane: Lane) -> Iterator[tuple[str, str, Verb]]:
    for order in lane.book.orders.values():
        if order.status is OrderStatus.PLACED:
            yield "order.cancel", order.id, CancelOrder(None)
    for position in lane.book.positions.values():
        if position.status is PositionStatus.OPEN:
            yield "position.close", position.id, ClosePosition(None, None)
