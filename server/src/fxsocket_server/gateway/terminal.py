"""The link to an account's terminal: whether it is there, whether it can be trusted, what it owes.

A terminal that comes (back) is compared with the book before anything is opened again. A command
whose reply was lost is looked up by its tag, and never sent again: only a terminal that never began
it, and will not, makes it a command that was not executed.
"""

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.gateway.commands import Command, Intent, Running, fingerprint_of
from fxsocket_server.gateway.ports import Bus, Unreachable
from fxsocket_server.gateway.reconcile import (
    reconciled_facts,
    unexplained_since_ms,
    vanished_orders,
)
from fxsocket_server.gateway.removal import removal
from fxsocket_server.model.enums import AccountStatus, OrderStatus
from fxsocket_server.model.facts import LookupState, Report, TerminalHistory, TerminalSnapshot
from fxsocket_server.model.records import Order

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane, Verb


class TerminalView(Struct, frozen=True, gc=False):
    """The terminal's state in an event."""

    connected: bool
    detail: str


class TerminalMessage(Struct, frozen=True, gc=False):
    """On the bus: an account's terminal has come or gone."""

    account_id: str
    status: AccountStatus
    detail: str


class Terminal:
    """One lane's link to its terminal."""

    def __init__(self, lane: "Lane", bus: Bus) -> None:
        self._lane = lane
        self._bus = bus
        self.connected = lane.connector.capabilities.in_process
        self.fault = "" if self.connected else "its terminal has not been here yet"
        self._since_ms = lane.clock.monotonic_ms()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reconciling = False

    # --- what may be asked of it -------------------------------------------------------------

    def check(self, *, opens: bool) -> None:
        """Refuse what the terminal cannot be asked now; nothing was sent, nothing is stored."""
        if not self.connected:
            raise Problem(
                "unavailable",
                f"the terminal of account {self._lane.account.id} is not connected ({self.fault}); "
                "nothing was sent",
                retry_after_s=1,
            )
        if opens and self.fault:
            raise Problem(
                "unavailable",
                f"account {self._lane.account.id} is not reconciled with its terminal "
                f"({self.fault}): closing is allowed, opening is not yet; nothing was sent",
                retry_after_s=1,
            )

    # --- coming and going --------------------------------------------------------------------

    def stays_away(self, why: str) -> None:
        """It was disconnected before this server started, which the log has told."""
        self.connected, self.fault = False, why

    async def changed(self, connected: bool, detail: str) -> None:
        """Take note of the terminal's state; one that has come is reconciled."""
        self._since_ms = self._lane.clock.monotonic_ms()
        if connected == self.connected and not connected:
            self.fault = detail
            return
        self.connected = connected
        self.fault = "reconciling" if connected else detail
        status = AccountStatus.CONNECTED if connected else AccountStatus.DISCONNECTED
        message = TerminalMessage(self._lane.account.id, status, detail)
        self._bus.publish("terminal." + self._lane.account.id, message)
        await self._tell("terminal.connected" if connected else "terminal.disconnected", detail)
        if connected:
            await self.reconcile()

    async def _tell(self, event: str, detail: str) -> None:
        view = b'"terminal":' + encode(TerminalView(self.connected, detail))
        await self._lane.note_event(event, view)

    async def reconcile(self) -> None:
        """Book what happened at the terminal while nobody looked, then ask for what is open."""
        if self._reconciling:
            return
        self._reconciling = True
        try:
            await self._book_what_happened()
            for running in self._lane.commands.outstanding:
                await self.look_up(running)
                is_of_before = (running.handed_ms or 0) <= self._since_ms
                if is_of_before and not running.concluded:  # its reply went to a session that ended
                    await self._mark_unknown(running)
            if self.connected and self.fault:
                self.fault = ""
                await self._tell("terminal.reconciled", "orders are taken")
        except (Unreachable, Problem) as error:
            self.fault = f"reconciliation failed: {error}"
            self._lane.alarm("reconciliation failed", account_id=self._lane.account.id, why=error)
        finally:
            self._reconciling = False

    async def _book_what_happened(self) -> None:
        lane = self._lane
        history, snapshot = await self._past_and_present(lane.book.last_deal_ms)
        since_ms = unexplained_since_ms(lane.book, snapshot, history)
        if since_ms is not None:
            history, snapshot = await self._past_and_present(since_ms)
        facts = reconciled_facts(lane.book, snapshot, history)
        await lane.on_facts(facts, snapshot.time_ms)
        for order in vanished_orders(lane.book, snapshot, history):
            await self._note_vanished(order)

    async def _past_and_present(self, since_ms: int) -> tuple[TerminalHistory, TerminalSnapshot]:
        """What was done at the terminal since a while before a moment, and then what it holds."""
        connector = self._lane.connector
        history = await connector.history(max(0, since_ms - limits.RECONCILE_OVERLAP_MS))
        return history, await connector.snapshot()

    async def _note_vanished(self, order: Order) -> None:
        """Nobody knows how an order ended that the broker once had and has no word of now."""
        if order.status is not OrderStatus.UNKNOWN:
            lane = self._lane
            lane.alarm("an order has vanished", account_id=lane.account.id, order_id=order.id)
            unknown = replace(order, status=OrderStatus.UNKNOWN, reason="vanished_at_terminal")
            await lane.note_order(unknown)

    # --- commands without an outcome ---------------------------------------------------------

    async def look_after(self) -> None:
        """Called every second: ask for outcomes that are overdue, say what nobody knows."""
        lane, now = self._lane, self._lane.clock.monotonic_ms()
        if self.connected and self.fault:
            await self.reconcile()
        for running in lane.commands.outstanding:
            assert running.handed_ms is not None
            waited_ms = now - running.handed_ms
            if self.connected and waited_ms >= limits.LOOKUP_AFTER_MS:
                await self.look_up(running)
            if waited_ms >= limits.UNKNOWN_AFTER_MS and not running.concluded:
                await self._mark_unknown(running)

    def look_up_soon(self, running: Running) -> None:
        """Facts say that a command has an outcome, but its reply has not come."""
        task = asyncio.get_running_loop().create_task(self.look_up(running), name="look up")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def look_up(self, running: Running) -> None:
        """Ask the terminal what became of a command, and settle it if that is known."""
        if running.looking or running.concluded or running.request is None:
            return
        running.looking = True
        try:
            lookup = await self._lane.connector.lookup(running.request.tag, running.created_ms)
            if lookup.state is LookupState.DONE and lookup.report is not None:
                await self._lane.conclude(running, lookup.report)
            elif lookup.state is LookupState.NONE:
                await self._lane.conclude(running, self._not_executed())
        except (Unreachable, JournalUnavailable):
            return  # it is asked again
        finally:
            running.looking = False

    def _not_executed(self) -> Report:
        time_ms = self._lane.connector.time_ms()
        return Report(retcode=0, facts=(), time_ms=time_ms, comment="not_executed")

    async def _mark_unknown(self, running: Running) -> None:
        lane = self._lane
        running.unknown = True  # a command without an order of its own can only say so to retries
        order = lane.book.orders.get(running.order_id or "")
        if order is None or order.status is not OrderStatus.PENDING:
            return
        lane.alarm("an order's outcome is unknown", account_id=lane.account.id, order_id=order.id)
        await lane.note_order(replace(order, status=OrderStatus.UNKNOWN))

    # --- wishes that had to wait -------------------------------------------------------------

    def follow_up(self, order_id: str) -> None:
        """Cancel an order that was to be cancelled while it had no outcome, if it rests now."""
        order = self._lane.book.orders.get(order_id)
        if order is None or not order.cancel_requested or order.status is not OrderStatus.PLACED:
            return
        lane = self._lane
        command = Command(
            id=lane.ids.make("req_"),
            kind="order.cancel",
            subject_id=order.id,
            fingerprint=fingerprint_of("order.cancel", order.id, None),
            key=f"{order.id}\x1fcancel",  # a control character: no client's key
            wait_ms=0,
        )

        def verb(lane: "Lane", command: Command) -> Intent:
            return Intent(request=removal(lane, command, order), order=None)

        task = asyncio.get_running_loop().create_task(self._cancel(command, verb), name="cancel")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, command: Command, verb: "Verb") -> None:
        try:
            await self._lane.run(command, verb)
        except Problem as problem:
            self._lane.alarm("a cancel wish failed", order_id=command.subject_id, why=problem)
