"""The ports: what the use cases need from the outside, as Protocols that adapters implement."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from fxsocket_server.broker.faults import Fault
from fxsocket_server.gateway.changes import (
    AccountState,
    Change,
    EquitySample,
    Event,
    HistoryQuery,
    Mark,
    OrderQuery,
    StoredCommand,
    Table,
)
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.candle import Candle
from fxsocket_server.model.enums import OrderType, Side
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
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.timeframe import Timeframe


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a kind of terminal can do; acceptance cards are chosen by it.

    `in_process` says that a hand-over leaves nothing outside this process, and that the terminal is
    rebuilt from committed facts: one commit then serves both barriers.
    """

    in_process: bool
    price_control: bool = False
    keeps_sessions: bool = True
    close_by: bool = False
    ticks: bool = True
    history: bool = False


class FactSink(Protocol):
    """Where a connector delivers what its terminal reports; the account's lane implements it."""

    async def on_tick(self, quote: Quote) -> None:
        """A new price; returns when the account's clock may go on."""
        ...

    async def on_facts(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        """Facts that no command of ours asked for (SL, TP, pending fills); returns when durable."""
        ...

    async def on_report(self, command_id: str, report: Report) -> None:
        """The outcome of a command whose hand-over did not answer at once."""
        ...

    async def on_terminal(self, connected: bool, detail: str) -> None:
        """The terminal has come or gone; returns once a terminal that came is reconciled."""
        ...


class Unreachable(Exception):
    """The terminal did not answer a question: it is away, or too slow."""


class Connector(Protocol):
    """The one port between gateway and terminals."""

    @property
    def capabilities(self) -> Capabilities:
        """What this kind of terminal can do."""
        ...

    async def start(self, sink: FactSink) -> None:
        """Connect and begin to deliver facts and prices."""
        ...

    async def stop(self) -> None:
        """Stop delivering; the terminal itself may live on."""
        ...

    def time_ms(self) -> int:
        """The account's broker clock as UTC milliseconds."""
        ...

    def server_offset_s(self, utc_ms: int) -> int:
        """Seconds that the broker's server time is ahead of UTC at a moment."""
        ...

    def specs(self) -> Mapping[str, SymbolSpec]:
        """The symbols of the account, by name."""
        ...

    def market_open(self, symbol: str, utc_ms: int) -> bool:
        """Whether a symbol may be traded at a moment."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """The newest price, or None before the first."""
        ...

    def figures(self) -> AccountFigures:
        """The account's money now."""
        ...

    def position_profit(self, ticket: int) -> int:
        """Floating profit of an open position in minor units, without swap and commission.

        0 of one that the terminal does not hold.
        """
        ...

    def tick_value(self, symbol: str) -> float | None:
        """Worth of one tick of one lot in the account's currency; None without a rate."""
        ...

    def hand_over(self, request: TradeRequest) -> Report | None:
        """Give a trade request to the terminal, once.

        None when its report follows through the sink, or is lost: then the tag is looked up. A
        terminal that is away is a report with retcode CONNECTION: nothing was sent.
        """
        ...

    async def check(self, request: TradeRequest) -> CheckResult:
        """What a trade request would lead to; nothing is sent (OrderCheck)."""
        ...

    async def order_margin(
        self, symbol: str, type_: OrderType, volume: int, price: int
    ) -> int | None:
        """Margin of an order on its own in minor units; None without a rate (OrderCalcMargin)."""
        ...

    async def order_profit(
        self, symbol: str, side: Side, volume: int, open_price: int, close_price: int
    ) -> int | None:
        """Profit between two prices in minor units; None without a rate (OrderCalcProfit)."""
        ...

    async def lookup(self, tag: str, since_ms: int) -> Lookup:
        """What became of the command with a tag, made at `since_ms` or later; Unreachable.

        NONE promises that the command will not be carried out later either.
        """
        ...

    async def snapshot(self) -> TerminalSnapshot:
        """All that the terminal holds now; Unreachable."""
        ...

    async def history(self, from_ms: int) -> TerminalHistory:
        """Orders done and deals made since a moment, as far as it keeps them; Unreachable."""
        ...

    def checkpoint(self) -> bytes | None:
        """State that facts do not hold (last prices, generator), to be saved now and then."""
        ...

    def rebuild(self, state: AccountState) -> None:
        """Forget everything and start again from committed facts (in-process terminals only)."""
        ...

    async def set_price(self, symbol: str, bid: int, ask: int) -> Quote:
        """Put the market there, as a tick of its own (where `capabilities.price_control`)."""
        ...


class FaultSwitch(Protocol):
    """Makes a simulated terminal misbehave, on purpose; no other kind of terminal has one."""

    def put_fault(self, fault: Fault) -> Fault:
        """Put a fault in force beside those that are; raises FaultError."""
        ...

    def faults_in_force(self) -> tuple[Fault, ...]:
        """The faults in force, each with the times that it has left."""
        ...

    def clear_faults(self) -> None:
        """Take all faults away; commands that a fault held back are executed."""
        ...


class Journal(Protocol):
    """The durable record of intents and facts; one writer, changes commit in order."""

    def append(self, change: Change, committed: Callable[[Change], None]) -> asyncio.Future[None]:
        """Queue a change; the future ends once it is durable, or with JournalUnavailable.

        `committed` hears of it first, in the order of the commits.
        """
        ...

    def has_room(self) -> bool:
        """Whether the queue takes another command; facts are always taken."""
        ...

    def shortage(self) -> str | None:
        """Why the disk takes nothing but closes and cancels now, or None."""
        ...

    def durable(self) -> asyncio.Future[None] | None:
        """The newest queued change that is not durable yet, or None."""
        ...

    def on_failure(self, callback: Callable[[], None]) -> None:
        """Call back after a failed commit, when every queued change was refused."""
        ...

    def open_account(self, account_id: str, user_id: str, epoch: str) -> AccountState:
        """Load an account's state, creating its log when there is none."""
        ...

    def save_checkpoint(self, account_id: str, checkpoint: bytes) -> None:
        """Save a connector's checkpoint with the next commit."""
        ...

    def save_risk(self, account_id: str, risk: bytes) -> None:
        """Save what the risk rules remember of an account with the next commit."""
        ...

    def save_equity(self, samples: Sequence[EquitySample]) -> None:
        """Save samples of equity with the next commit; a minute that is there is overwritten."""
        ...

    def equity_samples(
        self, account_id: str, from_ms: int, to_ms: int, limit: int
    ) -> list[EquitySample]:
        """Samples of the minutes in [from_ms, to_ms) of the broker's clock, oldest first."""
        ...

    def command(self, account_id: str, key: str) -> StoredCommand | None:
        """The command that used an idempotency key."""
        ...

    def command_by_id(self, account_id: str, command_id: str) -> StoredCommand | None:
        """A command by its own id."""
        ...

    def undelivered(self, account_id: str, since_ms: int) -> list[StoredCommand]:
        """Commands without a key whose answers are not known to have arrived, oldest first.

        Those made since a moment, and those that have no outcome yet.
        """
        ...

    def mark_delivered(self, command_id: str, delivered: bool) -> None:
        """Note, with the next commit, whether the answer to a command without a key arrived."""
        ...

    def open_commands(self, account_id: str) -> list[StoredCommand]:
        """Commands whose answer is not final."""
        ...

    def placed_since(self, account_id: str, since_ms: int, limit: int) -> list[tuple[str, int]]:
        """API key and wall-clock time of the newest commands that placed an order, oldest first.

        Orders that only closed part of a netted position are left out.
        """
        ...

    def order(self, account_id: str, order_id: str) -> Order | None:
        """One order by id."""
        ...

    def order_by_client_id(self, account_id: str, client_order_id: str) -> Order | None:
        """One order by the client's own id."""
        ...

    def order_by_ticket(self, account_id: str, ticket: int) -> Order | None:
        """The order that the broker knows by a number."""
        ...

    def order_by_tag(self, account_id: str, tag: str) -> Order | None:
        """The order of a command that was handed to a terminal outside, by its tag."""
        ...

    def orders(self, query: OrderQuery) -> list[tuple[int, Order]]:
        """Orders newest first, each with its row number (the cursor)."""
        ...

    def position(self, account_id: str, position_id: str) -> Position | None:
        """One position by id."""
        ...

    def deals(self, query: OrderQuery) -> list[tuple[int, Deal]]:
        """Deals oldest first, each with its row number (the cursor)."""
        ...

    def done_orders(self, query: HistoryQuery) -> list[tuple[Mark, Order]]:
        """Orders that are done, oldest first by when they were."""
        ...

    def closed_positions(self, query: HistoryQuery) -> list[tuple[Mark, Position]]:
        """Positions that are closed, oldest first by when they were."""
        ...

    def deals_of(self, account_id: str, position_ids: Sequence[str]) -> list[Deal]:
        """All deals of some positions (at most 500), oldest first."""
        ...

    def is_booked(self, account_id: str, table: Table, ticket: int) -> bool:
        """Whether a record of the broker's number is durable already."""
        ...

    def deals_of_order(self, account_id: str, order_id: str) -> list[Deal]:
        """The deals that an order made, oldest first."""
        ...

    def closing_deals(self, account_id: str, position_id: str) -> list[Deal]:
        """The deals that closed a position, oldest first."""
        ...

    def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Committed events above `after`, in order."""
        ...


class History(Protocol):
    """Stored candles of the past; reads may be slow, so they run beside the event loop."""

    def candles(
        self, symbol: str, timeframe: Timeframe, digits: int, from_ms: int, to_ms: int
    ) -> list[Candle]:
        """Candles whose start lies in [from_ms, to_ms), ascending, prices in points."""
        ...


class TickMessage(Struct, frozen=True, gc=False):
    """A price on the bus; `n` counts the ticks of the account's feed from 1."""

    account_id: str
    n: int
    quote: Quote
    digits: int


STOPPING = "server.stopping"  # published once, so that long waits end with what they have


class Bus(Protocol):
    """Messages between the parts of a server: committed events and ticks, by topic."""

    def publish(self, topic: str, message: object) -> None:
        """Hand a message to every subscriber of its topic, in order."""
        ...

    def subscribe(self, topic: str, handler: Callable[[object], None]) -> Callable[[], None]:
        """Call `handler` for each message of a topic (`kind.account_id` or `kind.*`).

        Returns a function that ends the subscription.
        """
        ...

    async def request(self, topic: str, message: object) -> object:
        """Ask the one responder of a topic and wait for its answer."""
        ...

    def respond(self, topic: str, responder: Callable[[object], object]) -> Callable[[], None]:
        """Become the responder of a topic; awaitable answers are awaited."""
        ...


class FeedGate(Protocol):
    """Holds an account's feed back for its readers (pacing, and `max` replays)."""

    def held(self, account_id: str, lossless: bool) -> bool:
        """Whether the feed must wait: a pacing reader owes an ack, or a reader has no room."""
        ...

    async def wait(self, account_id: str, lossless: bool) -> None:
        """Return once the feed may deliver its next tick."""
        ...

    async def first_reader(self, account_id: str) -> None:
        """Return once somebody has subscribed to the account's ticks."""
        ...


class Reach(Protocol):
    """Called at the named points of the order path; the kill tests end the process there."""

    def __call__(self, point: str) -> None:
        """The point `point` was reached."""
        ...
