"""The serial lane of one account: decide, journal, hand over, record, commit, publish.

Decisions are taken one after another on the event loop; the journal commits them in that order;
several may share one commit. Two barriers hold: nothing leaves the process before its intent is
durable, and nobody hears of an outcome before it is durable.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.book import Book
from fxsocket_server.gateway.changes import AccountState, Change, StoredCommand, Table
from fxsocket_server.gateway.ports import Bus, Connector, Journal, Reach, TickMessage
from fxsocket_server.gateway.recorder import Recorder
from fxsocket_server.gateway.refusals import refusal_of
from fxsocket_server.gateway.views import order_view, problem_view
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import OrderStatus
from fxsocket_server.model.facts import Fact, Quote, Report, TradeRequest
from fxsocket_server.model.records import Order
from fxsocket_server.model.retcode import SUCCESS, Retcode

# A modification that changes nothing has what it asked for: a retry of it must not fail.
_ACCEPTED = SUCCESS | {Retcode.NO_CHANGES}


class Answer(Struct, frozen=True, gc=False):
    """What a trade command is answered: an HTTP status and a JSON body."""

    status: int
    body: bytes
    replayed: bool = False


class Command(Struct, frozen=True, kw_only=True, gc=False):
    """A trade command as it came in; `wait_ms` is how long its sender waits."""

    id: str
    kind: str
    subject_id: str
    fingerprint: bytes
    key: str | None
    wait_ms: float


class Intent(Struct, frozen=True, kw_only=True, gc=False):
    """What a command wants of the broker; `order` is the order that it creates, if any.

    `answer` makes the body of a success from the recorded change; `failed` makes the next version
    of an existing order when the broker refuses.
    """

    request: TradeRequest
    order: Order | None
    answer: Callable[[Change, Report], bytes]


Telling = Callable[[], Answer]  # called once all that it may tell of is durable


class Verb(Protocol):
    """A use case: checks a command against the book and says what it wants of the broker."""

    def __call__(self, lane: "Lane", command: Command) -> Intent | Telling:
        """Return the intent, or how to answer when there is nothing to do; raise to refuse."""
        ...


class _Running(Struct, gc=False):
    """A command under way; duplicates of its key join `outcome`."""

    command: Command
    intent: Intent
    outcome: asyncio.Future[Answer]


def fingerprint_of(kind: str, subject_id: str, body: object) -> bytes:
    """A digest of what a command asks, so that a reused key can be told from a retry."""
    return hashlib.blake2b(encode((kind, subject_id, body)), digest_size=16).digest()


class Lane:
    """One account's trade commands and facts, in order."""

    def __init__(
        self,
        account: Account,
        connector: Connector,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        ids: IdFactory,
        state: AccountState,
        reach: Reach,
    ) -> None:
        self.account = account
        self.connector = connector
        self.clock = clock
        self.ids = ids
        self.journal = journal
        self._bus = bus
        self._reach = reach
        self._running: dict[str, _Running] = {}
        self._by_key: dict[str, _Running] = {}
        self._tick_count = 0
        self._recovering = False
        self._load(state)

    def _load(self, state: AccountState) -> None:
        self.book = Book(state)
        self._recorder = Recorder(self.account, self.book, self.ids, self._is_booked)
        self.published_seq = state.head_seq

    def _is_booked(self, table: Table, ticket: int) -> bool:
        # A simulated broker's facts come once, straight from its state: no need to ask the disk.
        if self.connector.capabilities.in_process:
            return False
        return self.journal.is_booked(self.account.id, table, ticket)

    # --- commands ----------------------------------------------------------------------------

    async def run(self, command: Command, verb: Verb) -> Answer:
        """Run a trade command once, or give the answer that its key already has.

        Raises Problem when it is refused before the journal: then nothing is stored and the key
        is not used up.
        """
        if command.key is not None:
            running = self._by_key.get(command.key)
            if running is not None:
                _check_same(command, running.command.fingerprint)
                return await self._join(running, command.wait_ms)
            stored = self._stored_answer(command, command.key)
            if stored is not None:
                return stored
        if not self.journal.has_room():  # before anything was decided: a refusal leaves no trace
            raise JournalUnavailable("the journal is behind; nothing was sent")
        if self._recovering:
            raise Problem("unavailable", "the account recovers; nothing was sent", retry_after_s=1)
        intent = verb(self, command)
        if not isinstance(intent, Intent):
            await self.settled()
            return intent()
        running = _Running(command, intent, asyncio.get_running_loop().create_future())
        self._running[command.id] = running
        if command.key is not None:
            self._by_key[command.key] = running
        try:
            return await self._execute(running)
        except JournalUnavailable as failure:
            self._fail(running, failure)
            raise
        except Problem:  # not answered yet: the command still runs
            raise
        except Exception as error:
            self._fail(running, error)
            await self._recover()
            raise

    def _fail(self, running: _Running, failure: Exception) -> None:
        self._forget(running)
        running.outcome.set_exception(failure)
        running.outcome.exception()  # joiners may be none: an unread exception is no leak

    async def _execute(self, running: _Running) -> Answer:
        command, intent = running.command, running.intent
        change = self._recorder.begin(self.connector.time_ms())
        if intent.order is not None:
            self._recorder.order(change, intent.order)
        self._reach("after_intent")
        in_process = self.connector.capabilities.in_process
        report = self.connector.hand_over(intent.request) if in_process else None
        if report is not None:
            await self._conclude(running, change, report)
            return running.outcome.result()
        change.command = self._stored(command, None)
        await self._commit(change)
        if not in_process:
            report = self._hand_over_in_time(intent.request)
        if report is not None:
            await self._conclude(running, self._recorder.begin(report.time_ms), report)
        return await self._wait_for(running, command.wait_ms)

    def _hand_over_in_time(self, request: TradeRequest) -> Report | None:
        if self.clock.monotonic_ms() <= request.deadline_ms:
            return self.connector.hand_over(request)
        return Report(
            retcode=0, facts=(), time_ms=self.connector.time_ms(), comment="deadline_passed"
        )

    async def _conclude(self, running: _Running, change: Change, report: Report) -> None:
        """Record a command's outcome, make it durable, then let its waiters have it."""
        self._reach("after_broker")
        answer = self._record(running, change, report)
        change.command = self._stored(running.command, answer)
        await self._commit(change)
        self._reach("after_commit")
        self._forget(running)
        if not running.outcome.done():
            running.outcome.set_result(answer)

    def _record(self, running: _Running, change: Change, report: Report) -> Answer:
        order = running.intent.order
        if report.retcode in _ACCEPTED:
            self._recorder.facts(change, report.facts, order.id if order else None)
            return Answer(200, running.intent.answer(change, report))
        problem = refusal_of(report)
        if order is not None:
            order = replace(
                self.book.orders[order.id],
                status=OrderStatus.REJECTED,
                retcode=report.retcode or None,
                reason=report.comment if not report.retcode else problem.kind.code,
                updated_ms=report.time_ms,
            )
            self._recorder.order(change, order)
        view = problem_view(
            problem, running.command.id, retcode=report.retcode or None, order=order
        )
        return Answer(problem.kind.status, encode(view))

    def _stored(self, command: Command, answer: Answer | None) -> StoredCommand:
        return StoredCommand(
            command_id=command.id,
            user_id=self.account.user_id,
            account_id=self.account.id,
            key=command.key,
            kind=command.kind,
            subject_id=command.subject_id,
            fingerprint=command.fingerprint,
            created_ms=self.clock.wall_ms(),
            answer_status=None if answer is None else answer.status,
            answer_body=None if answer is None or command.key is None else answer.body,
        )

    def _forget(self, running: _Running) -> None:
        self._running.pop(running.command.id, None)
        if running.command.key is not None:
            self._by_key.pop(running.command.key, None)

    async def _wait_for(self, running: _Running, wait_ms: float) -> Answer:
        """The outcome, or the order as it stands when the sender will not wait longer."""
        done, _ = await asyncio.wait((running.outcome,), timeout=wait_ms / 1000)
        if done:
            return running.outcome.result()
        order = running.intent.order
        if order is None or order.id != running.command.subject_id:  # only a placed order can wait
            raise Problem(
                "idempotency_in_flight",
                "the broker has not answered yet; ask again with the same key",
                retry_after_s=1,
            )
        return Answer(200, encode(order_view(self.book.orders.get(order.id, order))))

    # --- keys --------------------------------------------------------------------------------

    def _stored_answer(self, command: Command, key: str) -> Answer | None:
        stored = self.journal.command(self.account.id, key)
        if stored is None:
            return None
        _check_same(command, stored.fingerprint)
        if stored.answer_status is None or stored.answer_body is None:
            raise Problem(
                "idempotency_in_flight",
                "the first request with this key has no outcome yet; ask again",
                retry_after_s=1,
            )
        return Answer(stored.answer_status, stored.answer_body, replayed=True)

    async def _join(self, running: _Running, wait_ms: float) -> Answer:
        done, _ = await asyncio.wait((running.outcome,), timeout=wait_ms / 1000)
        if not done:
            raise Problem(
                "idempotency_in_flight",
                "the first request with this key is still running; ask again",
                retry_after_s=1,
            )
        return replace(running.outcome.result(), replayed=True)

    def record_order(self, change: Change, order: Order) -> None:
        """Add an amended order to a change that is being built."""
        self._recorder.order(change, order, "order.modified")

    # --- commit and publish ------------------------------------------------------------------

    async def _commit(self, change: Change) -> None:
        await self.journal.append(change, self._publish)

    def _publish(self, change: Change) -> None:
        self.book.drop_done(change)
        if change.events:
            self.published_seq = change.events[-1].seq
            self._bus.publish("events." + self.account.id, change.events)

    async def settled(self) -> None:
        """Return once everything that the book says now is durable."""
        durable = self.journal.durable()
        if durable is None:
            return
        try:
            await asyncio.shield(durable)
        except JournalUnavailable:
            raise Problem(
                "unavailable",
                "what was just decided did not become durable; read again",
                retry_after_s=1,
            ) from None

    # --- what the connector reports ----------------------------------------------------------

    async def on_tick(self, quote: Quote) -> None:
        """Publish a new price under the next number of the account's feed."""
        self._tick_count += 1
        digits = self.connector.specs()[quote.symbol].digits
        message = TickMessage(self.account.id, self._tick_count, quote, digits)
        self._bus.publish("ticks." + self.account.id, message)

    async def on_facts(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        """Book facts that no command asked for; they are durable when this returns."""
        if self._recovering:
            raise JournalUnavailable("the account recovers")
        change = self._recorder.begin(time_ms)
        self._recorder.facts(change, facts)
        if change.events:
            await self._commit(change)

    async def on_report(self, command_id: str, report: Report) -> None:
        """Book the outcome of a command whose hand-over did not answer at once."""
        running = self._running.get(command_id)
        if running is None:
            await self.on_facts(report.facts, report.time_ms)
            return
        await self._conclude(running, self._recorder.begin(report.time_ms), report)

    # --- start and failure -------------------------------------------------------------------

    def rebuild(self) -> None:
        """Go back to what is durable, after the journal refused a change."""
        state = self.journal.open_account(self.account.id, self.account.user_id, self.book.epoch)
        self._load(state)
        if self.connector.capabilities.in_process:
            self.connector.rebuild(state)

    async def _recover(self) -> None:
        """Go back to what is durable after an error in the middle of a decision.

        Its events were numbered but never written, and the broker may have acted: until all that
        was queued before is durable, nothing new is decided.
        """
        self._recovering = True
        try:
            with suppress(Problem):
                await self.settled()
            self.rebuild()
        finally:
            self._recovering = False

    async def settle_lost_intents(self) -> None:
        """Reject intents whose outcome an in-process broker never committed: it did not happen."""
        if not self.connector.capabilities.in_process:
            return
        lost_commands = self.journal.open_commands(self.account.id)
        placing = {c.subject_id: c for c in lost_commands if c.kind == "order.place"}
        for order in [o for o in self.book.orders.values() if o.status is OrderStatus.PENDING]:
            change = self._recorder.begin(self.connector.time_ms())
            lost = replace(
                order,
                status=OrderStatus.REJECTED,
                reason="lost_in_restart",
                updated_ms=change.time_ms,
            )
            self._recorder.order(change, lost)
            stored = placing.get(order.id)
            if stored is not None:
                lost_commands.remove(stored)
                change.command = self._lost_answer(stored, lost)
            await self._commit(change)
        for stored in lost_commands:
            change = self._recorder.begin(self.connector.time_ms())
            change.command = self._lost_answer(stored, None)
            await self._commit(change)

    def _lost_answer(self, stored: StoredCommand, order: Order | None) -> StoredCommand:
        problem = Problem(
            "rejected", "the server restarted before the broker executed this; nothing was traded"
        )
        body = encode(problem_view(problem, stored.command_id, order=order))
        return replace(stored, answer_status=problem.kind.status, answer_body=body)


def _check_same(command: Command, fingerprint: bytes) -> None:
    if command.fingerprint != fingerprint:
        raise Problem(
            "idempotency_key_reused",
            f"key {command.key!r} was used for another request; "
            "send the same body again, or a new key",
        )


def wait_of(timeout_ms: float | None) -> float:
    """How long a command's sender waits: the server's bound, or less when it says so."""
    if timeout_ms is None:
        return limits.ORDER_WAIT_MS
    return max(0.0, min(timeout_ms, limits.ORDER_WAIT_MS))
