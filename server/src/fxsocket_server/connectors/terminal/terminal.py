"""The simulated terminal: a simulated broker whose every deed is in a ledger before it is told.

It carries a command out once: begun (S) and done (D) stand in its journal by the command's tag, a
known tag is answered from there, and a command that comes too late is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.connectors.terminal.journal import Ledger
from fxsocket_server.connectors.terminal.outbox import Outbox
from fxsocket_server.core import limits
from fxsocket_server.fxb.codec import raw, trade_request, unpack
from fxsocket_server.fxb.frames import FrameError
from fxsocket_server.fxb.messages import (
    Ev,
    Failure,
    HistoryRange,
    LookupArgs,
    MarginArgs,
    Money,
    ProfitArgs,
    Req,
    Res,
    SymbolList,
    TerminalAccount,
)
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.enums import OrderStatus
from fxsocket_server.model.facts import (
    CheckResult,
    Fact,
    Lookup,
    LookupState,
    OrderFact,
    Quote,
    Report,
    TerminalHistory,
)
from fxsocket_server.model.retcode import Retcode

_CLOCKS_DIFFER_MS = 60_000  # server and terminal may disagree about the time by so much

T = TypeVar("T", bound=Struct)


class Terminal:
    """Answers requests, and tells of facts and prices, through an outbox."""

    def __init__(
        self,
        connector: SimConnector,
        account: TerminalAccount,
        ledger: Ledger,
        wall_ms: Callable[[], int],
        reach: Reach,
    ) -> None:
        self.outbox = Outbox(ledger.head_q(), ledger.acknowledge)
        self.connected = True
        self.fault = ""
        self.on_state: Callable[[], None] = _nobody
        self.send: Callable[[Res], None] | None = None
        self._connector = connector
        self._account = account
        self._ledger = ledger
        self._wall_ms = wall_ms
        self._reach = reach
        self._waiting: dict[str, Res] = {}  # trades under way: how each will be answered
        for q, time_ms, facts in ledger.events():
            self.outbox.put(Ev(q=q, ms=time_ms, f=facts))
        self._operations: Mapping[str, Callable[[Req], Iterator[Struct]]] = {
            "account.get": self._account_now,
            "symbol.list": self._symbols,
            "state.snapshot": self._snapshot,
            "history.get": self._history,
            "order.lookup": self._lookup,
            "order.check": self._check,
            "calc.margin": self._margin,
            "calc.profit": self._profit,
        }

    # --- what the broker tells (FactSink) ----------------------------------------------------

    async def on_tick(self, quote: Quote) -> None:
        """A price."""
        self.outbox.tick(quote)
        self.outbox.pump()

    async def on_facts(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        """Facts that nobody asked for, or of a command whose reply is lost."""
        self.book(facts, time_ms)
        self.outbox.pump()

    def book(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        """Put facts into the ledger, and tell of them."""
        self.outbox.put(Ev(q=self._ledger.book(facts, time_ms), ms=time_ms, f=facts))

    async def on_report(self, command_id: str, report: Report) -> None:
        """The outcome of a command that took its time."""
        self._conclude(command_id, report)

    async def on_terminal(self, connected: bool, detail: str) -> None:
        """The broker is not reachable, or is again."""
        self.connected, self.fault = connected, detail
        self.on_state()

    # --- what the server asks ----------------------------------------------------------------

    def answer(self, request: Req, *, expired: bool) -> Iterator[Res]:
        """The results of a request that can be told now; a trade's may follow."""
        result = Res(id=request.id, ep=request.ep)
        try:
            if request.op == "trade":
                yield from self._trade(request, result, expired=expired)
                return
            operation = self._operations.get(request.op)
            if operation is None:
                yield replace(result, e=Failure("NOT_SUPPORTED", f"no operation {request.op!r}"))
                return
            parts = list(operation(request))
        except FrameError as error:
            yield replace(result, e=Failure("BAD_ARG", str(error)))
            return
        last = len(parts) - 1
        for number, part in enumerate(parts):
            yield replace(result, r=raw(part), part=number, more=number < last)

    def _account_now(self, _: Req) -> Iterator[TerminalAccount]:
        balance, credit = self._ledger.money
        now = self._connector.time_ms()
        yield replace(
            self._account,
            balance=balance,
            credit=credit,
            time_ms=now,
            offset_s=self._connector.server_offset_s(now),
        )

    def _symbols(self, _: Req) -> Iterator[SymbolList]:
        specs = tuple(self._connector.specs().values())
        for some in _slices(specs):
            quotes = (self._connector.quote(spec.symbol) for spec in some)
            yield SymbolList(some, tuple(quote for quote in quotes if quote is not None))

    def _snapshot(self, _: Req) -> Iterator[Struct]:
        held = self._connector.broker.terminal_snapshot()
        held = replace(held, time_ms=self._connector.time_ms())
        for orders in _slices(held.orders):
            yield replace(held, orders=orders, positions=())
        for positions in _slices(held.positions):
            yield replace(held, orders=(), positions=positions)

    def _history(self, request: Req) -> Iterator[TerminalHistory]:
        history = self._ledger.history(unpack(request.a, HistoryRange).from_ms)
        for orders in _slices(history.orders):
            yield TerminalHistory(orders=orders)
        for deals in _slices(history.deals):
            yield TerminalHistory(deals=deals)

    def _lookup(self, request: Req) -> Iterator[Lookup]:
        asked = unpack(request.a, LookupArgs)
        yield self.lookup(asked.tag, asked.since_ms)

    def _check(self, request: Req) -> Iterator[CheckResult]:
        trade = trade_request(request.a, None)
        yield self._connector.broker.check(trade, self._connector.time_ms())

    def _margin(self, request: Req) -> Iterator[Money]:
        asked = unpack(request.a, MarginArgs)
        self._know(asked.symbol)
        order = NewOrder(asked.type, asked.volume, asked.price)
        yield Money(self._connector.broker.order_margin(asked.symbol, order))

    def _profit(self, request: Req) -> Iterator[Money]:
        asked = unpack(request.a, ProfitArgs)
        self._know(asked.symbol)
        broker, prices = self._connector.broker, (asked.open_price, asked.close_price)
        yield Money(broker.order_profit(asked.symbol, asked.side, asked.volume, *prices))

    def _know(self, symbol: str) -> None:
        if symbol not in self._connector.specs():
            raise FrameError(f"no symbol {symbol!r}")

    def lookup(self, tag: str, since_ms: int) -> Lookup:
        """What became of a tag: by the journal, else by orders whose comment begins with it.

        A tag that nothing is known of is ruled out, so that it cannot be begun later.
        """
        state, report = self._ledger.command(tag) or ("NONE", None)
        report = report or self._connector.lost_reply(tag)
        if report is not None:
            facts = self._ledger.as_it_stands(report.facts)
            return Lookup(state=LookupState.DONE, report=replace(report, facts=facts))
        found = self._ledger.facts_of_tag(tag)
        if found:
            return Lookup(state=LookupState.DONE, report=self._report_of(found))
        if state == "STARTED" or self._may_be_forgotten(since_ms):
            return Lookup(state=LookupState.STARTED)
        self._ledger.rule_out(tag, self._wall_ms())
        return Lookup(state=LookupState.NONE)

    def _may_be_forgotten(self, since_ms: int) -> bool:
        forgotten_ms = self._ledger.forgotten_ms
        return bool(forgotten_ms) and since_ms - _CLOCKS_DIFFER_MS <= forgotten_ms

    def _report_of(self, facts: tuple[Fact, ...]) -> Report:
        """The report that the broker's records make of an order whose reply was lost."""
        order = next(fact for fact in facts if isinstance(fact, OrderFact))
        whole = order.status is not OrderStatus.PARTIALLY_FILLED
        done = Retcode.DONE if whole else Retcode.DONE_PARTIAL
        return Report(
            retcode=Retcode.PLACED if order.status is OrderStatus.PLACED else done,
            facts=facts,
            time_ms=order.time_ms,
            order_ticket=order.ticket,
        )

    # --- trades ------------------------------------------------------------------------------

    def _trade(self, request: Req, result: Res, *, expired: bool) -> Iterator[Res]:
        trade = trade_request(request.a, request.exp)
        if not trade.tag:
            raise FrameError("a trade needs a tag")
        result = replace(result, tag=trade.tag)
        known = self._ledger.command(trade.tag)
        if known is not None:
            yield self._told_again(result, *known)
            return
        if expired or request.exp is None:
            yield replace(result, e=Failure("EXPIRED", "it came after its deadline"))
            return
        self._reach("before_start")
        self._ledger.start(trade.tag, self._wall_ms())
        self._reach("after_start")
        self._waiting[trade.tag] = result
        report = self._connector.hand_over(trade)
        if report is not None:
            self._conclude(trade.tag, report)

    def _told_again(self, result: Res, state: str, report: Report | None) -> Res:
        """The answer to a command whose tag is known: it is not carried out again."""
        if report is not None:
            report = replace(report, facts=self._ledger.as_it_stands(report.facts))
            return replace(result, r=raw(report), dup=True)
        if state == "STARTED":
            return replace(result, e=Failure("INFLIGHT", "it was begun before"))
        return replace(result, e=Failure("EXPIRED", "it was ruled out before it came"))

    def _conclude(self, tag: str, report: Report) -> None:
        """Book what a command did, then that it is done, then say so."""
        q = self._ledger.book(report.facts, report.time_ms) if report.facts else 0
        self._reach("after_execute")
        self._ledger.finish(tag, report)
        self._reach("after_done")
        result = self._waiting.pop(tag, Res(id=0, ep=0, tag=tag))
        result = replace(result, r=raw(report), q=q)
        if q:
            self.outbox.put(result)
            self.outbox.pump()
        elif self.send is not None:
            self.send(result)
        self._reach("after_reply")


def _slices(rows: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Rows in parts that fit a frame; one empty part of none."""
    size = limits.BRIDGE_PART_ROWS
    for start in range(0, max(len(rows), 1), size):
        yield rows[start : start + size]


def _nobody() -> None:
    pass
