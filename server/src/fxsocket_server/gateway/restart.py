"""After a restart: commands that have no outcome, and answers that may not have arrived.

An in-process broker never committed the outcome of an open command: it did not happen, and is
rejected. A terminal outside may have executed it: it is asked once it is there.
"""

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.answers import ANSWERS
from fxsocket_server.gateway.changes import Change, StoredCommand
from fxsocket_server.gateway.commands import Running
from fxsocket_server.gateway.views import problem_view
from fxsocket_server.model.enums import OrderStatus
from fxsocket_server.model.facts import Report
from fxsocket_server.model.records import Order
from fxsocket_server.model.retcode import Retcode

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane

_OUTCOME_OPEN = (OrderStatus.PENDING, OrderStatus.UNKNOWN)


class Restart:
    """Takes up what a lane's journal holds of before."""

    def __init__(self, lane: "Lane") -> None:
        self._lane = lane

    async def run(self) -> None:
        """Reject or take up open commands, count unmarked answers as lost, recall what opened."""
        lane = self._lane
        commands = lane.journal.open_commands(lane.account.id)
        whole = [stored for stored in commands if stored.plan is None]  # legs stand on their own
        if lane.connector.capabilities.in_process:
            await self._reject(whole)
        else:
            self._take_up(whole)
        self._restore_guard()
        lane.risk.recall()

    def _take_up(self, commands: list[StoredCommand]) -> None:
        for stored in commands:
            self._lane.commands.enter(self._running(stored))

    def _running(self, stored: StoredCommand) -> Running:
        return Running(
            id=stored.command_id,
            kind=stored.kind,
            subject_id=stored.subject_id,
            fingerprint=stored.fingerprint,
            key=stored.key,
            api_key_id=stored.api_key_id,
            created_ms=stored.created_ms,
            order_id=stored.order_id,
            request=stored.request,
            guarded=stored.key is None and not stored.delivered,
            outcome=asyncio.get_running_loop().create_future(),
            handed_ms=self._lane.clock.monotonic_ms(),
        )

    async def _reject(self, commands: list[StoredCommand]) -> None:
        lane = self._lane
        by_order = {stored.order_id: stored for stored in commands if stored.order_id is not None}
        for order in [o for o in lane.book.orders.values() if o.status in _OUTCOME_OPEN]:
            lost = replace(order, status=OrderStatus.REJECTED, reason="lost_in_restart")
            stored = by_order.pop(order.id, None)
            answer = None if stored is None else _lost_answer(stored, lost)
            await lane.note_order(lost, stored=answer)
        for stored in commands:
            if stored.order_id is None:
                await lane.note_command(_lost_answer(stored, None))
            elif stored.order_id in by_order:  # facts have told its outcome, but no reply came
                await lane.note_command(self._found_answer(stored))

    def _found_answer(self, stored: StoredCommand) -> StoredCommand:
        """The final answer of a command by what the records say of it."""
        lane = self._lane
        time_ms = lane.connector.time_ms()
        change = Change(user_id=stored.user_id, account_id=stored.account_id, time_ms=time_ms)
        report = Report(retcode=Retcode.DONE, facts=(), time_ms=time_ms)
        body = ANSWERS[stored.kind](lane, self._running(stored), change, report)
        return replace(stored, answer_status=200, answer_body=body)

    def _restore_guard(self) -> None:
        """Count the answers of before a restart as lost, for as long as their senders may retry."""
        lane = self._lane
        wall_ms, now = lane.clock.wall_ms(), lane.clock.monotonic_ms()
        since_ms = wall_ms - limits.UNDELIVERED_MS - limits.ORDER_WAIT_MS
        for stored in lane.journal.undelivered(lane.account.id, since_ms):
            lost_ago_ms = max(0, wall_ms - stored.created_ms - limits.ORDER_WAIT_MS)
            lane.retries.guard.restore(
                stored.command_id,
                (stored.api_key_id, stored.fingerprint),
                lost_ms=now - lost_ago_ms,
                is_settled=stored.answer_status is not None,
            )


def _lost_answer(stored: StoredCommand, order: Order | None) -> StoredCommand:
    """The final answer of a command that did not happen; it protects no retry without a key."""
    problem = Problem(
        "rejected", "the server restarted before the broker executed this; nothing was traded"
    )
    body = encode(problem_view(problem, stored.command_id, order=order))
    return replace(
        stored, answer_status=problem.kind.status, answer_body=body, delivered=stored.key is None
    )
