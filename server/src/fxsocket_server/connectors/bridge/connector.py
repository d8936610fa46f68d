"""The Connector port on a terminal that dials in: what it is asked, told, and what it tells."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Raw, Struct

from fxsocket_server.broker.mirror import Mirror
from fxsocket_server.broker.state import AccountTerms
from fxsocket_server.connectors.bridge.session import Session
from fxsocket_server.connectors.bridge.wire import Wire
from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.fxb.codec import raw, trade_arguments, unpack
from fxsocket_server.fxb.messages import (
    Ev,
    Hello,
    HistoryRange,
    LookupArgs,
    MarginArgs,
    Money,
    ProfitArgs,
    Req,
    Res,
    State,
    SymbolList,
    TerminalAccount,
    Tk,
    ToGateway,
)
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.ports import Capabilities, FactSink, Unreachable
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import MarginMode, OrderType, Side
from fxsocket_server.model.facts import (
    CheckResult,
    Fact,
    Lookup,
    Quote,
    Report,
    TerminalHistory,
    TerminalSnapshot,
    TradeRequest,
)
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.server_time import ZONES, ServerZone, fixed_zone
from fxsocket_server.model.symbol import SymbolSpec

T = TypeVar("T", bound=Struct)

Opened = Callable[[TerminalAccount], Awaitable[None]]


def _nobody(_why: str) -> None:
    """Nobody listens."""


class BridgeConnector:
    """One account's terminal, there or not; sessions come and go, trades are written once.

    `opened` hears what account the terminal is logged in to, before the sink hears that it is
    there; it raises Problem for an account that is not the one that was linked. `refused` hears why
    a terminal that has proved its token was sent away.
    """

    def __init__(
        self,
        account_id: str,
        clock: Clock,
        opened: Opened,
        log: Callable[..., None],
        refused: Callable[[str], None] = _nobody,
    ) -> None:
        self._account_id = account_id
        self._clock = clock
        self._opened = opened
        self._refused = refused
        self._log = log
        self._sink: FactSink | None = None
        self._session: Session | None = None
        self._mirror: Mirror | None = None
        self._next: Mirror | None = None  # of a session that is being opened
        self._fault = "it has not dialled in yet"
        self.refusal = ""  # why its terminal is sent away when it dials
        self._epoch = 0
        self._ledger = ""
        self._resume_q: int | None = None
        # Trades without a report, by tag: a late one is told from one that nobody waits for.
        self._handed: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._time_ms = 0

    @property
    def capabilities(self) -> Capabilities:
        """A terminal outside this process, with a history of its own."""
        terms = None if self._mirror is None else self._mirror.terms
        return Capabilities(
            in_process=False,
            keeps_sessions=terms is None or terms.sessions_apply,
            close_by=terms is not None and terms.margin_mode is MarginMode.HEDGING,
            history=True,
        )

    # --- life --------------------------------------------------------------------------------

    async def start(self, sink: FactSink) -> None:
        """Deliver to a sink what terminals say from now on."""
        self._sink = sink

    async def stop(self) -> None:
        """Send the terminal away for a while; it goes on trading what it holds."""
        if self._session is not None:
            self._session.end("shutdown", "the server restarts", limits.BRIDGE_BACKOFF_MS[0])
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def turned_down(self, why: str) -> None:
        """A terminal that has proved its token is logged in to another account."""
        if self._session is None:
            self._refused(why)

    def send_away(self, why: str) -> None:
        """Hang up on the terminal, and refuse it until `refusal` is empty again."""
        self.refusal = why
        if self._session is not None:
            self._session.end("policy", why, limits.BRIDGE_BACKOFF_MS[1])

    def rebuild(self, state: AccountState) -> None:
        """Nothing: a terminal outside keeps its own state."""

    def checkpoint(self) -> bytes | None:
        """None: a terminal outside keeps its own state."""
        return None

    # --- sessions ----------------------------------------------------------------------------

    def greet(self, wire: Wire[ToGateway], hello: Hello) -> tuple[Session, int | None]:
        """A session for a terminal that has proved its token, and the last event known of it.

        The newest session wins; its epoch is above all that its terminal has ever obeyed.
        """
        if self._session is not None:
            self._resume_q = self._session.resume_q
            why = "the account's terminal dialled in anew"
            self._session.end("superseded", why, limits.BRIDGE_RETRY_MS)
        self._epoch = max(self._epoch, hello.epoch) + 1
        if hello.ledger != self._ledger or (self._resume_q or 0) > hello.q:
            self._ledger, self._resume_q = hello.ledger, None
        known_q = self._resume_q
        received_q = hello.q if known_q is None else known_q
        self._session = Session(wire, self, self._clock, self._epoch, received_q)
        return self._session, known_q

    def open(self, session: Session) -> None:
        """Learn what the terminal's account is and holds; then it counts as connected."""
        session.begin()
        _ = self._spawn(self._open(session), "bridge open")

    async def _open(self, session: Session) -> None:
        try:
            account = await session.ask("account.get", None, TerminalAccount)
            listed = await session.ask("symbol.list", None, SymbolList)
            mirrored = partial(self._begin_mirror, session, account, listed)
            await session.ask("state.snapshot", None, TerminalSnapshot, mirrored)
            await self._opened(account)
        except (Unreachable, ValueError) as error:
            session.end("protocol", str(error), limits.BRIDGE_RETRY_MS)
        except Problem as problem:
            session.end("policy", problem.detail, limits.BRIDGE_RETRY_MS)
        else:
            if session is self._session and not session.over:
                self._mirror, self._next, self._fault = self._next, None, ""
                await self._tell(connected=True, detail="")

    def _begin_mirror(
        self,
        session: Session,
        account: TerminalAccount,
        listed: SymbolList,
        held: TerminalSnapshot,
    ) -> None:
        """Mirror what the terminal holds, at the very word where later events go on from."""
        if session is self._session:
            self._time_ms = held.time_ms
            specs = {spec.symbol: spec for spec in listed.symbols}
            self._next = Mirror(_terms(account), specs, listed.quotes, held)

    def _mirror_facts(self, facts: tuple[Fact, ...]) -> None:
        for mirror in filter(None, (self._mirror, self._next)):
            mirror.apply(facts)

    def on_over(self, session: Session, why: str) -> None:
        """A session has ended; what it had not booked is told again in the next."""
        if session is not self._session:
            return
        why = self.refusal or why
        self._session, self._next, self._fault = None, None, why
        self._resume_q = session.resume_q
        if self._mirror is not None:
            self._mirror = None
            _ = self._spawn(self._tell(connected=False, detail=why), "bridge lost")

    async def _tell(self, *, connected: bool, detail: str) -> None:
        if self._sink is not None:
            await self._sink.on_terminal(connected, detail)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log("a terminal's words could not be booked", task=task.get_name(), why=error)

    # --- what the terminal says (Owner) ------------------------------------------------------

    def on_event(self, event: Ev) -> "asyncio.Task[None] | None":
        """Facts that no command of ours asked for, or whose reply was lost."""
        self._time_ms = max(self._time_ms, event.ms)
        self._mirror_facts(event.f)
        if self._sink is None:
            return None  # there is no account yet: what happened is read when it is opened
        return self._spawn(self._sink.on_facts(event.f, event.ms), "bridge facts")

    def on_trade_result(self, result: Res) -> "asyncio.Task[None] | None":
        """What came of a trade; known by its tag, so that one of an old session counts, too."""
        report = self._report_of(result)
        if report is None or self._sink is None:
            return None
        self._mirror_facts(report.facts)
        command_id = self._handed.pop(result.tag, None)
        if command_id is None:
            if not report.facts:
                return None
            return self._spawn(self._sink.on_facts(report.facts, report.time_ms), "late report")
        return self._spawn(self._sink.on_report(command_id, report), "bridge report")

    def _report_of(self, result: Res) -> Report | None:
        if result.e is None:
            return unpack(result.r, Report)
        if result.e.c == "EXPIRED":
            return Report(retcode=0, facts=(), time_ms=self.time_ms(), comment="deadline_passed")
        if result.e.c == "INFLIGHT":
            return None  # begun before; its tag is looked up
        comment = f"{result.e.c}: {result.e.m}"
        return Report(retcode=Retcode.INVALID, facts=(), time_ms=self.time_ms(), comment=comment)

    async def on_ticks(self, ticks: Tk) -> None:
        """Prices of one symbol."""
        for time_ms, bid, ask in ticks.v:
            quote = Quote(ticks.s, time_ms, bid, ask)
            self._time_ms = max(self._time_ms, time_ms)
            if self._next is not None:
                self._next.price(quote)
            if self._mirror is None or self._sink is None or not self._mirror.price(quote):
                return  # not opened yet, or not listed: nobody can ask for it
            await self._sink.on_tick(quote)

    def on_state(self, state: State) -> None:
        """The terminal itself is here, but its broker may not be."""
        self._fault = "" if state.conn else f"its broker is not reachable: {state.why}"
        if self._mirror is not None:
            _ = self._spawn(self._tell(connected=state.conn, detail=self._fault), "bridge state")

    # --- reads -------------------------------------------------------------------------------

    def _live(self) -> Mirror:
        """What the terminal shows; Problem 503 while it is not there to show anything."""
        if self._mirror is None:
            raise Problem(
                "unavailable",
                f"the terminal of account {self._account_id} is not connected: {self._fault}",
                retry_after_s=5,
            )
        return self._mirror

    def time_ms(self) -> int:
        """The broker's clock as far as it was heard, the wall clock until then."""
        return max(self._time_ms, self._clock.wall_ms())

    def server_offset_s(self, utc_ms: int) -> int:
        """Seconds that the broker's server time is ahead of UTC."""
        return self._live().terms.zone.offset_s(utc_ms)

    def specs(self) -> Mapping[str, SymbolSpec]:
        """The symbols that the terminal listed."""
        return self._live().specs

    def market_open(self, symbol: str, utc_ms: int) -> bool:
        """Whether a symbol may be traded at a moment."""
        return self._live().market_open(symbol, utc_ms)

    def quote(self, symbol: str) -> Quote | None:
        """The newest price."""
        return self._live().quote(symbol)

    def figures(self) -> AccountFigures:
        """The account's money, by the broker's arithmetic."""
        return self._live().figures()

    def position_profit(self, ticket: int) -> int:
        """Floating profit of a position, by the broker's arithmetic."""
        return self._live().position_profit(ticket)

    def tick_value(self, symbol: str) -> float | None:
        """Worth of one tick of one lot in the account's currency."""
        value = self._live().tick_value(symbol)
        return None if value is None else value[0] / value[1]

    async def set_price(self, symbol: str, bid: int, ask: int) -> Quote:
        """Refused: a terminal's prices are its broker's."""
        raise Problem("sim_only", "a terminal's prices are its broker's; they cannot be set")

    # --- commands and questions --------------------------------------------------------------

    def hand_over(self, request: TradeRequest) -> Report | None:
        """Write a trade to the terminal, once; its report follows, or its tag is looked up."""
        session = self._session
        message = Req(
            id=0, op="trade", ep=0, a=trade_arguments(request), exp=int(request.deadline_ms)
        )
        if session is None or self._mirror is None or not session.trade(message):
            why = self._fault or "it does not read what it is sent"
            return Report(
                retcode=Retcode.CONNECTION,
                facts=(),
                time_ms=self.time_ms(),
                comment=f"the terminal is not connected: {why}; nothing was sent",
            )
        self._handed[request.tag] = request.command_id
        if len(self._handed) > limits.TERMINAL_JOURNAL_COMMANDS:
            self._handed.popitem(last=False)
        return None

    async def check(self, request: TradeRequest) -> CheckResult:
        """What a trade request would lead to, by the terminal's word; Problem 503 without it."""
        return await self._told("order.check", trade_arguments(request), CheckResult)

    async def order_margin(
        self, symbol: str, type_: OrderType, volume: int, price: int
    ) -> int | None:
        """Margin of an order on its own, by the terminal's word; Problem 503 without it."""
        arguments = raw(MarginArgs(symbol, type_, volume, price))
        return (await self._told("calc.margin", arguments, Money)).amount

    async def order_profit(
        self, symbol: str, side: Side, volume: int, open_price: int, close_price: int
    ) -> int | None:
        """Profit between two prices, by the terminal's word; Problem 503 without it."""
        arguments = raw(ProfitArgs(symbol, side, volume, open_price, close_price))
        return (await self._told("calc.profit", arguments, Money)).amount

    async def _told(self, op: str, arguments: Raw, into: type[T]) -> T:
        try:
            return await self._asked().ask(op, arguments, into)
        except Unreachable as error:
            raise Problem("unavailable", str(error), retry_after_s=5) from None

    def _asked(self) -> Session:
        if self._session is None:
            raise Unreachable(f"the terminal is not connected: {self._fault}")
        return self._session

    async def lookup(self, tag: str, since_ms: int) -> Lookup:
        """What the terminal knows of a tag."""
        return await self._asked().ask("order.lookup", raw(LookupArgs(tag, since_ms)), Lookup)

    async def snapshot(self) -> TerminalSnapshot:
        """All that the terminal holds; events that were told before it are in it."""
        return await self._asked().ask("state.snapshot", None, TerminalSnapshot)

    async def history(self, from_ms: int) -> TerminalHistory:
        """What was done at the terminal since a moment."""
        return await self._asked().ask("history.get", raw(HistoryRange(from_ms)), TerminalHistory)


def zone_of(account: TerminalAccount) -> ServerZone:
    """The broker's wall clock: by the rule that it names, or the offset that it has now."""
    return ZONES.get(account.zone) or fixed_zone(account.offset_s)


def _terms(account: TerminalAccount) -> AccountTerms:
    return AccountTerms(
        currency=account.currency,
        money_digits=account.money_digits,
        leverage=account.leverage,
        stop_out_level=account.stop_out_level,
        margin_call_level=account.margin_call_level,
        zone=zone_of(account),
        sessions_apply=account.sessions_apply,
        platform=account.platform,
        margin_mode=account.margin_mode,
        stop_out_mode=account.stop_out_mode,
        free_margin_mode=account.free_margin_mode,
        trade_allowed=account.trade_allowed,
    )
