"""The same command once more: joined to the one that runs, or given the answer it has already.

A command with a key is known by it. One without is known by what it asks and who asks: it is a
retry when an equal command's answer has not reached its sender.
"""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.answers import standing
from fxsocket_server.gateway.commands import Answer, Command, Running
from fxsocket_server.gateway.delivery import DeliveryGuard, Undelivered
from fxsocket_server.model.enums import OrderStatus

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane


class Retries:
    """What one account's lane has answered, or is about to answer, already."""

    def __init__(self, lane: "Lane") -> None:
        self._lane = lane
        self.guard = DeliveryGuard(lane.clock.monotonic_ms, lane.journal.mark_delivered)

    def earlier(self, command: Command) -> Awaitable[Answer] | None:
        """The answer that a command has already: by its key, or because an equal one lost its."""
        if command.key is not None:
            return self._by_its_key(command, command.key)
        if command.delivery is None:
            return None
        entry = self.guard.claim((command.api_key_id, command.fingerprint), command.delivery)
        return None if entry is None else self._answer_again(entry, command)

    def begin(self, command: Command) -> None:
        """Watch whether the answer of a new command without a key arrives."""
        if command.key is None and command.delivery is not None:
            asked = (command.api_key_id, command.fingerprint)
            self.guard.begin(command.id, asked, command.delivery)

    # --- by a key ----------------------------------------------------------------------------

    def _by_its_key(self, command: Command, key: str) -> Awaitable[Answer] | None:
        running = self._lane.commands.under_key(key)
        if running is not None:
            _check_same(command, running.fingerprint)
            return self._join(running, command.wait_ms)
        stored = self._lane.journal.command(self._lane.account.id, key)
        if stored is None:
            return None
        _check_same(command, stored.fingerprint)
        if stored.answer_status is None or stored.answer_body is None:
            if stored.plan is not None:  # its legs know how far they came
                return None
            raise _in_flight("the first request with this key has no outcome yet; ask again")
        return _ready(Answer(stored.answer_status, stored.answer_body, replayed=True))

    async def _join(self, running: Running, wait_ms: float) -> Answer:
        if not self._is_unknown(running):
            done, _ = await asyncio.wait((running.outcome,), timeout=wait_ms / 1000)
            if done:
                return replace(running.outcome.result(), replayed=True)
            if not self._is_unknown(running):
                raise _in_flight("the first request with this key is still running; ask again")
        await self._lane.settled()
        return Answer(200, standing(self._lane, running), replayed=True)

    def _is_unknown(self, running: Running) -> bool:
        order = self._lane.book.orders.get(running.order_id or "")
        return running.unknown or (order is not None and order.status is OrderStatus.UNKNOWN)

    # --- without a key -----------------------------------------------------------------------

    async def _answer_again(self, entry: Undelivered, command: Command) -> Answer:
        """Answer a retry without a key as the command whose answer was lost."""
        assert command.delivery is not None
        try:
            running = self._lane.commands.get(entry.command_id)
            if running is not None:
                answer = await self._lane.outcome_or_standing(running, command.wait_ms)
            else:
                answer = self._kept_answer(entry.command_id)
        except BaseException:
            self.guard.release(entry, command.delivery)
            raise
        return replace(answer, replayed=True, inferred=True)

    def _kept_answer(self, command_id: str) -> Answer:
        stored = self._lane.journal.command_by_id(self._lane.account.id, command_id)
        assert stored is not None
        assert stored.answer_status is not None
        assert stored.answer_body is not None
        return Answer(stored.answer_status, stored.answer_body)


async def _ready(answer: Answer) -> Answer:
    return answer


def _in_flight(detail: str) -> Problem:
    return Problem("idempotency_in_flight", detail, retry_after_s=1)


def _check_same(command: Command, fingerprint: bytes) -> None:
    if command.fingerprint != fingerprint:
        raise Problem(
            "idempotency_key_reused",
            f"key {command.key!r} was used for another request; "
            "send the same body again, or a new key",
        )
