"""The Connector port on the simulated broker: nothing leaves the process at a hand-over."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.faults import Fault, Faults, Verdict
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.broker.state import (
    FIRST_DEAL_TICKET,
    FIRST_ORDER_TICKET,
    AccountTerms,
    PeriodDeal,
)
from fxsocket_server.connectors.sim.feeds import Feed, FeedTick
from fxsocket_server.connectors.sim.restored import restored_order, restored_position
from fxsocket_server.core import limits
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.ports import Capabilities, FactSink, FeedGate
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.facts import (
    CheckResult,
    DealFact,
    Fact,
    Lookup,
    LookupState,
    Quote,
    Report,
    TerminalHistory,
    TerminalSnapshot,
    TradeRequest,
)
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.symbol import SymbolSpec


class SimCheckpoint(Struct, frozen=True):
    """What committed facts do not hold: prices, where feed and rollover stand, unbooked deals."""

    quotes: list[Quote]
    feed: bytes | None
    rollover_ms: int = 0
    day_deals: tuple[PeriodDeal, ...] = ()
    month_deals: tuple[PeriodDeal, ...] = ()


class SimConnector:
    """One simulated account: its broker, its feed, and the clock that the feed keeps."""

    def __init__(
        self,
        account_id: str,
        terms: AccountTerms,
        specs: Mapping[str, SymbolSpec],
        feed: Feed,
        gate: FeedGate,
    ) -> None:
        self._account_id = account_id
        self._terms = terms
        self._specs = dict(specs)
        self._feed = feed
        self._gate = gate
        self.broker = Broker(terms, self._specs)
        self._sink: FactSink | None = None
        self._task: asyncio.Task[None] | None = None
        self._rolled_ms = 0  # the midnight after the last one whose swaps are durable
        self.faults = Faults()
        self._held: list[TradeRequest] = []
        self._owed: set[str] = set()  # tags of commands whose execution is still to come
        self._lost: dict[str, Report] = {}  # replies that a fault lost, by tag
        self._late: set[asyncio.Task[None]] = set()
        # Facts to be told again.
        # tidy: unbounded because only those of one delivery wait, and each fault makes one more
        self._repeats: deque[tuple[tuple[Fact, ...], int]] = deque()
        self._turn = asyncio.Lock()  # one tick at a time, whoever makes it

    @property
    def capabilities(self) -> Capabilities:
        """A terminal inside this process; its prices can be set unless they are recorded."""
        return Capabilities(
            in_process=True,
            price_control=not self._feed.recorded,
            keeps_sessions=self._terms.sessions_apply,
            close_by=self._terms.hedges,
        )

    # --- life --------------------------------------------------------------------------------

    def rebuild(self, state: AccountState) -> None:
        """Start again from committed facts, with the prices that are known."""
        self._repeats.clear()  # of what is not durable
        known = self._checkpoint()
        if not known.quotes and state.checkpoint is not None:
            known = msgspec.msgpack.decode(state.checkpoint, type=SimCheckpoint)
        self.broker = Broker.rebuild(
            self._terms,
            self._specs,
            balance=state.balance,
            credit=state.credit,
            # The rest of a partial close has a number of its own on MT4, and no order.
            next_ticket=max(
                state.last_order_ticket + 1, state.last_position_ticket + 1, FIRST_ORDER_TICKET
            ),
            next_deal_ticket=max(state.last_deal_ticket + 1, FIRST_DEAL_TICKET),
            quotes=[quote for quote in known.quotes if quote.symbol in self._specs],
            orders=[restored_order(order) for order in state.orders if order.ticket is not None],
            positions=[restored_position(p) for p in state.positions],
            time_ms=self._feed.now_ms(),
            rollover_ms=known.rollover_ms,
            day_deals=known.day_deals,
            month_deals=known.month_deals,
        )

    async def start(self, sink: FactSink) -> None:
        """Show the prices that the market opens with, then let the feed run."""
        self._sink = sink
        for symbol, bid, ask in self._feed.opening():
            if self.broker.quote(symbol) is None:
                await self._deliver(FeedTick(0, self._feed.now_ms(), symbol, bid, ask))
        self._task = asyncio.create_task(self._drive(), name=f"feed {self._account_id}")

    async def pause(self) -> None:
        """Stop the feed between two ticks; what was handed over before is still executed."""
        if self._task is None:
            return
        async with self._turn:  # no tick is under way
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def stop(self) -> None:
        """Stop the feed between two ticks."""
        tasks = [*self._late, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drive(self) -> None:
        if self._feed.waits_for_reader:
            await self._gate.first_reader(self._account_id)
        count = 0
        while (tick := self._feed.next()) is not None:  # bounded by the feed
            if tick.wait_ms > 0:
                await asyncio.sleep(tick.wait_ms / 1000)
            if self._gate.held(self._account_id, self._feed.lossless):
                await self._gate.wait(self._account_id, self._feed.lossless)
            if self._quoting(tick):
                await self._deliver(tick)
            count += 1
            if count % limits.REPLAY_TURN_TICKS == 0:
                await asyncio.sleep(0)

    def _quoting(self, tick: FeedTick) -> bool:
        return self._feed.recorded or self.broker.quotes_open(tick.symbol, tick.time_ms)

    async def _deliver(self, tick: FeedTick) -> None:
        """Let a tick act, make what it did durable, then show the tick."""
        assert self._sink is not None
        async with self._turn:
            self._feed.delivered(tick.time_ms)
            server_ms = self._terms.zone.to_server_ms(tick.time_ms)
            price = self.faults.on_tick(server_ms, tick.bid, tick.ask)
            if price is None:
                return
            bid, ask = price
            if self._repeats:
                await self._repeat()
            # A fault that moves the market moves the trades with it.
            last = max(tick.last + bid - tick.bid, 1) if tick.last else 0
            facts = self.broker.on_tick(tick.symbol, tick.time_ms, bid, ask, last)
            if facts:
                try:
                    await self._tell(facts, tick.time_ms)
                except JournalUnavailable:
                    return  # the lane has rebuilt the broker; the next tick fires again
            self._rolled_ms = self.broker.rollover_ms
            if (quote := self.broker.quote(tick.symbol)) is not None:
                await self._sink.on_tick(quote)

    # --- reads -------------------------------------------------------------------------------

    def time_ms(self) -> int:
        """The broker clock: the wall clock of a live feed, the last tick of a replay."""
        return self._feed.now_ms()

    def server_offset_s(self, utc_ms: int) -> int:
        """Seconds that the broker's server time is ahead of UTC."""
        return self._terms.zone.offset_s(utc_ms)

    def specs(self) -> Mapping[str, SymbolSpec]:
        """The account's symbols."""
        return self._specs

    def market_open(self, symbol: str, utc_ms: int) -> bool:
        """Whether the symbol may be traded; always, unless the account keeps sessions."""
        return self.broker.market_open(symbol, utc_ms)

    def quote(self, symbol: str) -> Quote | None:
        """The newest price."""
        return self.broker.quote(symbol)

    def figures(self) -> AccountFigures:
        """The account's money at the newest prices."""
        return self.broker.account_figures()

    def position_profit(self, ticket: int) -> int:
        """Floating profit of a position."""
        return self.broker.position_profit(ticket)

    def tick_value(self, symbol: str) -> float | None:
        """Worth of one tick of one lot in the account's currency."""
        value = self.broker.tick_value(symbol)
        return None if value is None else value[0] / value[1]

    async def check(self, request: TradeRequest) -> CheckResult:
        """What a request would lead to; faults in force are not looked at."""
        return self.broker.check(request, self._feed.now_ms())

    async def order_margin(
        self, symbol: str, type_: OrderType, volume: int, price: int
    ) -> int | None:
        """Margin of an order as if the account held nothing else."""
        return self.broker.order_margin(symbol, NewOrder(type_, volume, price))

    async def order_profit(
        self, symbol: str, side: Side, volume: int, open_price: int, close_price: int
    ) -> int | None:
        """Profit between two prices."""
        return self.broker.order_profit(symbol, side, volume, open_price, close_price)

    async def lookup(self, tag: str, since_ms: int) -> Lookup:
        """What became of a command: from the lost replies, else from the broker's orders."""
        report = self._lost.get(tag)
        if report is None and tag in self._owed:
            return Lookup(state=LookupState.STARTED)
        orders = self.broker.lookup(tag) if report is None else ()
        if report is None and not orders:
            return Lookup(state=LookupState.NONE)
        if report is None:
            retcode = orders[-1].retcode or Retcode.DONE
            report = Report(retcode=retcode, facts=orders, time_ms=orders[-1].time_ms)
        return Lookup(state=LookupState.DONE, report=self._as_it_stands(tag, report))

    def _as_it_stands(self, tag: str, report: Report) -> Report:
        """A report of before without what may have moved on since: all of it was told at once."""
        orders = self.broker.lookup(tag)
        deals = [fact for fact in report.facts if isinstance(fact, DealFact)]
        return replace(report, facts=(*orders, *deals))

    async def snapshot(self) -> TerminalSnapshot:
        """All that the broker holds."""
        return self.broker.terminal_snapshot()

    async def history(self, from_ms: int) -> TerminalHistory:
        """None: the simulated broker keeps no history of its own, the journal does."""
        return TerminalHistory()

    def checkpoint(self) -> bytes | None:
        """Last prices and the feed's state."""
        return msgspec.msgpack.encode(self._checkpoint())

    def _checkpoint(self) -> SimCheckpoint:
        state = self.broker.snapshot()
        return SimCheckpoint(
            list(state.quotes),
            self._feed.checkpoint(),
            self._rolled_ms,
            state.day_deals,
            state.month_deals,
        )

    # --- commands ----------------------------------------------------------------------------

    def hand_over(self, request: TradeRequest) -> Report | None:
        """Execute at once, unless a fault says otherwise: then the report follows, or is lost."""
        if len(self._held) + len(self._late) >= limits.SIM_WAITING_COMMANDS:
            return self._refused(Retcode.TOO_MANY_REQUESTS, "too many commands wait for a fault")
        verdict = self.faults.on_command()
        if verdict.held:
            self._owed.add(request.tag)
            self._held.append(request)
            return None
        waits = bool(verdict.delay_ms or verdict.lose_reply or self._held or self._repeats)
        self._thaw()
        if waits:
            self._execute_later(request, verdict)
            return None
        report = self._first_told(self._execute(request, verdict))
        if self._repeats:
            self._later(self._repeat_in_turn())
        return report

    def _execute(self, request: TradeRequest, verdict: Verdict) -> Report:
        if verdict.retcode is not None:
            return self._refused(verdict.retcode, verdict.comment)
        return self.broker.request(request, self._feed.now_ms(), verdict.depth)

    def _refused(self, retcode: int, comment: str) -> Report:
        return Report(retcode=retcode, facts=(), time_ms=self._feed.now_ms(), comment=comment)

    def _execute_later(self, request: TradeRequest, verdict: Verdict) -> None:
        self._owed.add(request.tag)
        self._later(self._execute_late(request, verdict))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="after a fault")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _execute_late(self, request: TradeRequest, verdict: Verdict) -> None:
        """Execute a command after its delay and tell what came of it."""
        await asyncio.sleep(verdict.delay_ms / 1000)
        assert self._sink is not None
        async with self._turn:
            await self._repeat()
            report = self._execute(request, verdict)
            with suppress(JournalUnavailable):  # the lane has rebuilt the broker
                if verdict.lose_reply:
                    await self._lose(request.tag, report)
                else:
                    await self._sink.on_report(request.command_id, self._first_told(report))
                    await self._repeat()
            self._owed.discard(request.tag)

    async def _lose(self, tag: str, report: Report) -> None:
        """Tell the facts of a report that never comes, and keep it for whoever looks it up."""
        if report.facts:
            await self._tell(report.facts, report.time_ms)
        self._lost[tag] = report
        if len(self._lost) > limits.SIM_LOST_REPLIES:
            del self._lost[next(iter(self._lost))]

    def lost_reply(self, tag: str) -> Report | None:
        """The report of a command that a fault kept from being told."""
        return self._lost.get(tag)

    # --- facts, told as the faults will have it ----------------------------------------------

    async def _tell(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        """Tell facts that answer no command; returns when they are durable."""
        assert self._sink is not None
        await self._sink.on_facts(self._deliveries(facts, time_ms), time_ms)
        await self._repeat()

    def _first_told(self, report: Report) -> Report:
        """A report as it is told first."""
        facts = self._deliveries(report.facts, report.time_ms)
        return report if facts is report.facts else replace(report, facts=facts)

    def _deliveries(self, facts: tuple[Fact, ...], time_ms: int) -> tuple[Fact, ...]:
        """The first delivery of facts; the others follow before the broker does anything else."""
        first, *again = self.faults.on_facts(facts)
        self._repeats.extend((delivery, time_ms) for delivery in again)
        return first

    async def _repeat_in_turn(self) -> None:
        async with self._turn:
            await self._repeat()

    async def _repeat(self) -> None:
        assert self._sink is not None
        while self._repeats:  # bounded by the faults in force
            facts, time_ms = self._repeats.popleft()
            with suppress(JournalUnavailable):  # then nothing of it was told either
                await self._sink.on_facts(facts, time_ms)

    # --- faults and prices -------------------------------------------------------------------

    def put_fault(self, fault: Fault) -> Fault:
        """Put a fault in force; raises FaultError."""
        return self.faults.put(fault)

    def faults_in_force(self) -> tuple[Fault, ...]:
        """The faults in force, each with the times that it has left."""
        return self.faults.in_force()

    def clear_faults(self) -> None:
        """Take all faults away; what a frozen terminal held back is executed now."""
        self.faults.clear()
        self._thaw()

    def _thaw(self) -> None:
        held, self._held = self._held, []
        for request in held:
            self._execute_later(request, Verdict())

    async def set_price(self, symbol: str, bid: int, ask: int) -> Quote:
        """Move the market and let the new price act as a tick."""
        if not self._feed.set_price(symbol, bid, ask):
            raise Problem("sim_only", "a replay's prices are recorded; they cannot be set")
        time_ms = self._feed.now_ms()
        await self._deliver(FeedTick(0, time_ms, symbol, bid, ask))
        return Quote(symbol, time_ms, bid, ask)
