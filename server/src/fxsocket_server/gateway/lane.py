"""The serial lane of one account: decide, journal, hand over, record, commit, publish.

Decisions are taken one after another on the event loop; the journal commits them in that order;
several may share one commit. Two barriers hold: nothing leaves the process before its intent is
durable, and nobody hears of an outcome before it is durable.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

from fxsocket_server.core.clock import Clock
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.answers import ANSWERS, standing
from fxsocket_server.gateway.book import Book
from fxsocket_server.gateway.changes import AccountState, Change, StoredCommand, Table
from fxsocket_server.gateway.commands import Answer, Command, Intent, Running, Telling
from fxsocket_server.gateway.disk import check_disk
from fxsocket_server.gateway.ports import Bus, Connector, Journal, Reach, TickMessage
from fxsocket_server.gateway.recorder import Recorder
from fxsocket_server.gateway.refusals import refusal_of
from fxsocket_server.gateway.restart import Restart
from fxsocket_server.gateway.retries import Retries
from fxsocket_server.gateway.risk.guard import RiskGuard, RuleBook
from fxsocket_server.gateway.running import RunningCommands
from fxsocket_server.gateway.terminal import Terminal
from fxsocket_server.gateway.views import problem_view
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import DONE_STATUSES, Action, OrderStatus
from fxsocket_server.model.facts import Fact, Quote, Report, TradeRequest
from fxsocket_server.model.records import Order
from fxsocket_server.model.retcode import SUCCESS, Retcode

_CHANGES = (Action.MODIFY, Action.SLTP)
_OUTCOME_OPEN = (OrderStatus.PENDING, OrderStatus.UNKNOWN)


class Verb(Protocol):
    """A use case: checks a command against the book and says what it wants of the broker."""

    def __call__(self, lane: "Lane", command: Command) -> Intent | Telling:
        """Return the intent, or how to answer when there is nothing to do; raise to refuse."""
        ...


def _no_alarm(_text: str, **_fields: object) -> None:
    """Nobody listens."""


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
        alarm: Callable[..., None] = _no_alarm,
        rules: RuleBook | None = None,
    ) -> None:
        self.account = account
        self.connector = connector
        self.clock = clock
        self.ids = ids
        self.journal = journal
        self.alarm = alarm
        self._bus = bus
        self._reach = reach
        self.commands = RunningCommands()
        self.retries = Retries(self)
        self._tick_count = 0
        self._recovering = False
        self._load(state)
        self.terminal = Terminal(self, bus)
        self.risk = RiskGuard(self, rules or RuleBook(), state.risk)

    def _load(self, state: AccountState) -> None:
        self.book = Book(state)
        in_process = self.connector.capabilities.in_process
        self._recorder = Recorder(
            self.account, self.book, self.ids, self._is_booked,
            None if in_process else self._order_by_tag,
        )  # fmt: skip
        self.published_seq = state.head_seq

    def _is_booked(self, table: Table, ticket: int) -> bool:
        return self.journal.is_booked(self.account.id, table, ticket)

    def _order_by_tag(self, tag: str) -> Order | None:
        return self.journal.order_by_tag(self.account.id, tag)

    # --- commands ----------------------------------------------------------------------------

    async def run(self, command: Command, verb: Verb) -> Answer:
        """Run a trade command once, or give the answer that it already has.

        Raises Problem when it is refused before the journal: then nothing is stored and the key
        is not used up.
        """
        earlier = self.retries.earlier(command)
        if earlier is not None:
            return await earlier
        self.check_takes_commands()
        intent = verb(self, command)
        if not isinstance(intent, Intent):
            await self.settled()
            return intent()
        self.terminal.check(opens=intent.opens)
        if intent.opens:
            check_disk(self.journal)
            self.risk.admit(command, intent.order)
        order_id = None if intent.order is None else intent.order.id
        running = self.begin(command, order_id, intent.request)
        return await self.watched(running, self._execute(running, command, intent))

    def check_takes_commands(self) -> None:
        """Refuse while nothing can be decided: before anything was, a refusal leaves no trace."""
        if not self.journal.has_room():
            raise JournalUnavailable("the journal is behind; nothing was sent")
        if self._recovering:
            raise Problem("unavailable", "the account recovers; nothing was sent", retry_after_s=1)

    def begin(
        self, command: Command, order_id: str | None, request: TradeRequest | None
    ) -> Running:
        """Take a command in: from now on whoever asks the same joins it."""
        running = Running(
            id=command.id,
            kind=command.kind,
            subject_id=command.subject_id,
            fingerprint=command.fingerprint,
            key=command.key,
            api_key_id=command.api_key_id,
            created_ms=self.clock.wall_ms(),
            order_id=order_id,
            request=request,
            guarded=command.key is None and command.delivery is not None,
            outcome=asyncio.get_running_loop().create_future(),
        )
        self.commands.enter(running)
        self.retries.begin(command)
        return running

    async def watched(self, running: Running, work: Awaitable[Answer]) -> Answer:
        """Do a command's work; whoever joined it hears of its failure, too."""
        try:
            return await work
        except JournalUnavailable as failure:
            self._fail(running, failure)
            raise
        except Problem:  # not answered yet: the command still runs
            raise
        except Exception as error:
            self._fail(running, error)
            await self._recover()
            raise

    def _fail(self, running: Running, failure: Exception) -> None:
        self.commands.forget(running)
        self.retries.guard.discard(running.id)
        if not running.outcome.done():
            running.outcome.set_exception(failure)
            running.outcome.exception()  # joiners may be none: an unread exception is no leak

    async def _execute(self, running: Running, command: Command, intent: Intent) -> Answer:
        change = self._recorder.begin(self.connector.time_ms())
        if intent.order is not None:
            self._recorder.order(change, intent.order)
        self._reach("after_intent")
        in_process = self.connector.capabilities.in_process
        report = self._hand_over(running, intent.request) if in_process else None
        if report is not None:
            await self._conclude(running, change, report)
            return running.outcome.result()
        change.command = self.stored(running, None)
        await self.commit(change)
        if not in_process:
            self._reach("before_hand_over")
            report = self._hand_over(running, intent.request)
            self._reach("after_hand_over")
        if report is not None:
            with suppress(JournalUnavailable):  # its intent is durable: the terminal will be asked
                await self._conclude(running, self._recorder.begin(report.time_ms), report)
        return await self.outcome_or_standing(running, command.wait_ms)

    def _hand_over(self, running: Running, request: TradeRequest) -> Report | None:
        now = running.handed_ms = self.clock.monotonic_ms()
        if now > request.deadline_ms:
            return Report(
                retcode=0, facts=(), time_ms=self.connector.time_ms(), comment="deadline_passed"
            )
        return self.connector.hand_over(request)

    # --- outcomes ----------------------------------------------------------------------------

    async def conclude(self, running: Running, report: Report) -> None:
        """Book the outcome of a command that was handed over before."""
        order = self.book.orders.get(running.order_id or "")
        durable = self.journal.durable()
        if order is not None and order.filled_volume and durable is not None:
            await asyncio.shield(durable)  # its deals came before: the answer reads and tells them
        if self.commands.get(running.id) is None or running.concluded:
            await self.on_facts(report.facts, report.time_ms)
            return
        await self._conclude(running, self._recorder.begin(report.time_ms), report)

    async def _conclude(self, running: Running, change: Change, report: Report) -> None:
        """Record a command's outcome, make it durable, then let its waiters have it."""
        self._reach("after_broker")
        answer = self._record(running, change, report)
        await self._commit_outcome(running, change, answer)
        self._reach("after_commit")
        self.finish(running, answer)
        if running.order_id is not None:
            self.terminal.follow_up(running.order_id)

    async def settle_by_hand(self, order: Order, answer: Answer) -> None:
        """Make somebody's word on an order with an unknown outcome final."""
        change = self._recorder.begin(self.connector.time_ms())
        self._recorder.order(change, replace(order, updated_ms=change.time_ms))
        running = self.commands.of_order(order.id)
        if running is None:
            await self.commit(change)
            return
        await self._commit_outcome(running, change, answer)
        self.finish(running, answer)

    async def _commit_outcome(self, running: Running, change: Change, answer: Answer) -> None:
        """Make an outcome durable; one that does not become so is still to be found out."""
        running.concluded = True
        change.command = self.stored(running, answer)
        try:
            await self.commit(change)
        except JournalUnavailable:
            running.concluded = False
            raise

    def finish(self, running: Running, answer: Answer) -> None:
        """Let everybody who waits for a command have its durable answer."""
        self.commands.forget(running)
        self.retries.guard.settled(running.id)
        if not running.outcome.done():
            running.outcome.set_result(answer)

    def _record(self, running: Running, change: Change, report: Report) -> Answer:
        if _is_accepted(running, report):
            self._recorder.facts(change, report.facts, running.order_id)
            return Answer(200, ANSWERS[running.kind](self, running, change, report))
        order = self._order_of(running)
        if order is not None and order.status in DONE_STATUSES:
            # Facts came before this report: what the broker did counts, not what it says.
            return Answer(200, ANSWERS[running.kind](self, running, change, report))
        problem = refusal_of(report)
        if order is not None:
            order = replace(
                order,
                status=OrderStatus.REJECTED,
                retcode=report.retcode or None,
                reason=report.comment if not report.retcode else problem.kind.code,
                updated_ms=report.time_ms,
            )
            self._recorder.order(change, order)
        view = problem_view(problem, running.id, retcode=report.retcode or None, order=order)
        return Answer(problem.kind.status, encode(view))

    def _order_of(self, running: Running) -> Order | None:
        """The order that a command made, as it is now."""
        if running.order_id is None:
            return None
        live = self.book.orders.get(running.order_id)
        return live or self.journal.order(self.account.id, running.order_id)

    def stored(
        self, running: Running, answer: Answer | None, plan: bytes | None = None
    ) -> StoredCommand:
        """A command as the journal keeps it; its request, for a terminal that may be asked."""
        asks = answer is None and not self.connector.capabilities.in_process
        kept = running.key is not None or running.guarded
        return StoredCommand(
            command_id=running.id,
            user_id=self.account.user_id,
            account_id=self.account.id,
            key=running.key,
            kind=running.kind,
            subject_id=running.subject_id,
            fingerprint=running.fingerprint,
            created_ms=running.created_ms,
            answer_status=None if answer is None else answer.status,
            answer_body=answer.body if answer is not None and kept else None,
            api_key_id=running.api_key_id,
            order_id=running.order_id,
            request=running.request if asks else None,
            plan=plan,
            delivered=not kept,
        )

    async def outcome_or_standing(self, running: Running, wait_ms: float) -> Answer:
        """The outcome, or things as they stand when the sender will not wait longer."""
        done, _ = await asyncio.wait((running.outcome,), timeout=wait_ms / 1000)
        if done:
            return running.outcome.result()
        answer = Answer(200, standing(self, running))
        await self.settled()
        return answer

    # --- commit and publish ------------------------------------------------------------------

    def record_order(self, change: Change, order: Order) -> None:
        """Add an amended order to a change that is being built."""
        self._recorder.order(change, order, "order.modified")

    def note_order(
        self, order: Order, event_type: str | None = None, stored: StoredCommand | None = None
    ) -> asyncio.Future[None]:
        """Record a new version of an order, and what its command is answered then."""
        change = self._recorder.begin(self.connector.time_ms())
        self._recorder.order(change, replace(order, updated_ms=change.time_ms), event_type)
        change.command = stored
        return self.commit(change)

    def note_event(
        self, event_type: str, payload: bytes, *, risk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Record an event that changes no order, deal or position."""
        change = self._recorder.begin(self.connector.time_ms())
        change.risk = risk
        self._recorder.event(change, event_type, payload)
        return self.commit(change)

    def note_command(self, stored: StoredCommand) -> asyncio.Future[None]:
        """Record a command's row on its own."""
        change = self._recorder.begin(self.connector.time_ms())
        change.command = stored
        return self.commit(change)

    def commit(self, change: Change) -> asyncio.Future[None]:
        """Queue a change; what it holds is published once it is durable."""
        self.risk.on_change(change)
        return self.journal.append(change, self._publish)

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
            await self.commit(change)
        self._look_up_what_facts_settle(change)

    def _look_up_what_facts_settle(self, change: Change) -> None:
        """A reply may be lost: facts that tell of its order say that there is an outcome."""
        if not self.commands.make_orders:
            return
        for order in change.orders.values():
            running = self.commands.of_order(order.id)
            if running is not None and order.status not in _OUTCOME_OPEN:
                self.terminal.look_up_soon(running)

    async def on_report(self, command_id: str, report: Report) -> None:
        """Book the outcome of a command whose hand-over did not answer at once."""
        running = self.commands.get(command_id)
        if running is None:
            await self.on_facts(report.facts, report.time_ms)
        else:
            await self.conclude(running, report)

    async def on_terminal(self, connected: bool, detail: str) -> None:
        """The terminal has come or gone; opens wait until the account is reconciled."""
        await self.terminal.changed(connected, detail)

    async def look_after(self) -> None:
        """Called every second: outcomes that are overdue, retries that come too late."""
        await self.terminal.look_after()
        self.retries.guard.forget_old()

    # --- start and failure -------------------------------------------------------------------

    def rebuild(self) -> None:
        """Go back to what is durable, after the journal refused a change."""
        state = self.journal.open_account(self.account.id, self.account.user_id, self.book.epoch)
        self._load(state)
        self.risk.restore(state.risk)
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

    async def resume(self) -> None:
        """Take up the commands of before a restart, and the answers that may not have arrived."""
        await Restart(self).run()


def _is_accepted(running: Running, report: Report) -> bool:
    """A modification that changes nothing has what it asked for: a retry of it must not fail."""
    if report.retcode != Retcode.NO_CHANGES:
        return report.retcode in SUCCESS
    return running.request is not None and running.request.action in _CHANGES
