"""Commands of several legs, each exactly once: batch, reverse, close-all.

The plan is journalled before its first leg runs. Every leg then is a trade command of its own in
the account's lane, under a key that no client can send, so that whoever goes on with the plan after
a crash finds the finished legs' answers and runs the others. Legs that fail do not undo the rest.
"""

import asyncio
from contextlib import suppress

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.gateway.answers import standing
from fxsocket_server.gateway.changes import StoredCommand
from fxsocket_server.gateway.commands import Answer, Command, Running, fingerprint_of
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.orders.place import PlaceOrder
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.several.plan import (
    Composite,
    Leg,
    Plan,
    close_standing,
    problem_answer,
)

_encode_plan = msgspec.msgpack.Encoder().encode
_decode_plan = msgspec.msgpack.Decoder(Plan).decode


async def run_composite(lane: Lane, command: Command, composite: Composite) -> Answer:
    """Run a command of several legs once, or give the answer that it already has."""
    stored = _unfinished(lane, command)
    if stored is not None and stored.plan is not None:
        lane.check_takes_commands()
        work = _Work(lane, _begin_again(lane, command, stored), command, composite)
        answer = await work.run(_decode_plan(stored.plan), is_stored=True)
        return msgspec.structs.replace(answer, replayed=True, inferred=command.key is None)
    earlier = lane.retries.earlier(command)
    if earlier is not None:
        return await earlier
    lane.check_takes_commands()
    plan = composite.plan(lane, command.subject_id)
    work = _Work(lane, lane.begin(command, None, None), command, composite)
    return await work.run(plan, is_stored=False)


def _unfinished(lane: Lane, command: Command) -> StoredCommand | None:
    """What a command goes on with: the same command of before, cut short by a restart."""
    if command.key is not None:
        stored = lane.journal.command(lane.account.id, command.key)
    elif command.delivery is not None:
        entry = lane.retries.guard.oldest((command.api_key_id, command.fingerprint))
        command_id = "" if entry is None else entry.command_id
        stored = lane.journal.command_by_id(lane.account.id, command_id)
    else:
        return None
    if stored is None or stored.plan is None or stored.answer_status is not None:
        return None
    is_same = stored.fingerprint == command.fingerprint
    return stored if is_same and lane.commands.get(stored.command_id) is None else None


def _begin_again(lane: Lane, command: Command, stored: StoredCommand) -> Running:
    """Take a command in under the id that its plan has; its legs' ids and keys follow from it."""
    again = msgspec.structs.replace(command, id=stored.command_id, delivery=None)
    running = lane.begin(again, None, None)
    if command.key is None and command.delivery is not None:
        running.guarded = True
        lane.retries.guard.claim((command.api_key_id, command.fingerprint), command.delivery)
    return running


class _Work:
    """The legs of one command on their way."""

    def __init__(
        self, lane: Lane, running: Running, command: Command, composite: Composite
    ) -> None:
        self._lane = lane
        self._running = running
        self._command = command
        self._shape = composite.shape
        self._plan = Plan(())
        self._answers: list[Answer | None] = []

    async def run(self, plan: Plan, *, is_stored: bool) -> Answer:
        """Run the legs; they go on when the sender will not wait longer."""
        self._plan, self._answers = plan, [None] * len(plan.legs)
        self._running.standing = lambda: self._shape(self._lane, plan, self._as_they_stand()).body
        work = self._to_the_end(is_stored=is_stored)
        self._running.work = asyncio.get_running_loop().create_task(work, name="legs")
        return await self._lane.outcome_or_standing(self._running, self._command.wait_ms)

    async def _to_the_end(self, *, is_stored: bool) -> None:
        # Whoever waits hears of a failure by the outcome; nobody waits for this task.
        with suppress(Exception):
            await self._lane.watched(self._running, self._all_legs(is_stored=is_stored))

    async def _all_legs(self, *, is_stored: bool) -> Answer:
        lane, running = self._lane, self._running
        if not is_stored:
            plan = _encode_plan(self._plan)
            await lane.note_command(lane.stored(running, None, plan=plan))
        await (self._in_turn() if self._plan.in_turn else self._at_once())
        answer = self._shape(lane, self._plan, self._as_they_stand())
        if self._is_final():
            # Every leg's outcome is durable: without this row a retry would find them one by one.
            with suppress(JournalUnavailable):
                await lane.note_command(lane.stored(running, answer))
        lane.finish(running, answer)
        return answer

    async def _at_once(self) -> None:
        """Begin the legs in order; each is decided before the next one."""
        tasks = []
        for number in range(len(self._plan.legs)):
            tasks.append(asyncio.ensure_future(self._leg(number)))
            if number % limits.LEGS_A_TURN == limits.LEGS_A_TURN - 1:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    async def _in_turn(self) -> None:
        for number in range(len(self._plan.legs)):
            await self._leg(number)
            answer = self._answers[number]
            if answer is None or not _carried_out(answer) or self._is_under_way(number):
                return

    async def _leg(self, number: int) -> None:
        leg, command_id = self._plan.legs[number], self._leg_id(number)
        verb, asked_of, body = _verb_of(leg)
        client_order_id = None if leg.order is None else leg.order.client_order_id
        command = msgspec.structs.replace(
            self._command,
            id=command_id,
            kind=leg.kind,
            subject_id=leg.subject_id,
            fingerprint=fingerprint_of(leg.kind, asked_of, body),
            key=client_order_id or f"{self._running.id}\x1f{number}",
            wait_ms=limits.LEG_WAIT_MS,
            delivery=None,
        )
        try:
            answer = await self._lane.run(command, verb)
        except Problem as problem:
            answer = problem_answer(problem, command_id)
        self._answers[number] = self._of_the_whole(answer, command_id)

    def _of_the_whole(self, answer: Answer, leg_id: str) -> Answer:
        """A problem names the request that met it, not the leg."""
        if answer.status < 400:
            return answer
        ours, whole = (f'"instance":"{name}"'.encode() for name in (leg_id, self._running.id))
        return msgspec.structs.replace(answer, body=answer.body.replace(ours, whole, 1))

    def _leg_id(self, number: int) -> str:
        return f"{self._running.id}.{number}"

    def _is_under_way(self, number: int) -> bool:
        return self._lane.commands.get(self._leg_id(number)) is not None

    def _is_final(self) -> bool:
        """Whether nothing is under way, and nothing was left out for the server's own sake.

        What it could not take (5xx) it has not sent: the same command again goes on there.
        """
        refused = any(answer is not None and answer.status >= 500 for answer in self._answers)
        return not refused and not any(map(self._is_under_way, range(len(self._plan.legs))))

    def _as_they_stand(self) -> list[Answer | None]:
        return [answer or self._standing(number) for number, answer in enumerate(self._answers)]

    def _standing(self, number: int) -> Answer | None:
        running = self._lane.commands.get(self._leg_id(number))
        return None if running is None else Answer(200, standing(self._lane, running))


def _verb_of(leg: Leg) -> tuple[Verb, str, object]:
    """What a leg does, and what of it tells a retry: the subject and body of a single command."""
    if leg.order is not None:
        return PlaceOrder(leg.order), "", leg.order
    if leg.kind == "order.cancel":
        return CancelOrder(None), leg.subject_id, (None, None)
    return ClosePosition(None, None), leg.subject_id, (None, None)


def _carried_out(answer: Answer) -> bool:
    """Whether a leg did all that it was to do, so that the next one may follow."""
    if answer.status >= 400:
        return False
    told = close_standing(answer)
    return not told.already and told.remaining_volume == 0
