"""Where acceptance cards are played: a connector, its account's lane and journal, and prices."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.bootstrap.crash import never
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.ports import Capabilities, Connector
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import Action, OrderType
from fxsocket_server.model.facts import (
    DealFact,
    Fact,
    OrderFact,
    PositionFact,
    Quote,
    Report,
    TradeRequest,
)
from fxsocket_server.settings import Settings
from fxsocket_server.storage.journal.sqlite import SqliteJournal

from ..api.world import MONDAY_MS, OpenGate, StillFeed

BALANCE = 1_000_000  # 10,000.00 USD
SYMBOL = "EURUSD"
BID, ASK = 108_340, 108_350  # where SYMBOL opens, in points
LOT = 10**8
SATURDAY_MS = MONDAY_MS - 2 * 24 * 3_600_000


class Setting(Struct, frozen=True, kw_only=True):
    """What a card wants of its desk."""

    market_closed: bool = False


class Kind(Protocol):
    """A kind of terminal: makes connectors for desks."""

    name: str

    def open(self, account: Account, setting: Setting, clock: ManualClock) -> Connector:
        """A connector whose terminal holds nothing yet."""
        ...

    async def begin(self, desk: "Desk", folder: Path) -> None:
        """Pay in at the terminal, and let it deliver to the desk."""
        ...

    async def end(self, desk: "Desk") -> None:
        """Stop the terminal."""
        ...

    def capabilities(self, connector: Connector) -> Capabilities:
        """What the terminal can do, and the desk can make it do."""
        ...

    async def price(self, desk: "Desk", bid: int, ask: int) -> None:
        """Move the market of SYMBOL; returns when the desk was told."""
        ...


class SimulatedBroker:
    """The simulated broker, in this process."""

    name = "simulated broker in process"

    def open(self, account: Account, setting: Setting, clock: ManualClock) -> SimConnector:
        """A connector on a market that stands still."""
        profile = load_profile("standard")
        terms = profile.terms(currency="USD", leverage=100, sessions_apply=setting.market_closed)
        feed = StillFeed(clock)
        return SimConnector(account.id, terms, profile.symbols, feed, OpenGate())

    async def begin(self, desk: "Desk", folder: Path) -> None:
        """Pay in, then show the market."""
        connector = desk.connector
        assert isinstance(connector, SimConnector)
        now = connector.time_ms()
        await desk.record(connector.broker.deposit(BALANCE, now, "Initial deposit"))
        await connector.start(desk)

    async def end(self, desk: "Desk") -> None:
        """Stop the feed."""
        await desk.connector.stop()

    def capabilities(self, connector: Connector) -> Capabilities:
        """What it says."""
        return connector.capabilities

    async def price(self, desk: "Desk", bid: int, ask: int) -> None:
        """The connector itself sets prices."""
        await desk.connector.set_price(SYMBOL, bid, ask)


class Desk:
    """A connector under test; every fact that its terminal tells is journalled and kept."""

    def __init__(self, kind: Kind, setting: Setting, folder: Path) -> None:
        self.kind = kind
        self.setting = setting
        self.facts: list[Fact] = []
        self.told: list[str] = []
        self._reports: dict[str, asyncio.Future[Report]] = {}
        self.clock = ManualClock(SATURDAY_MS if setting.market_closed else MONDAY_MS)
        self._ids = IdFactory(SplitMix64(1).bytes, self.clock.wall_ms)
        self._numbers = count(1)
        self.account = new_account(
            Settings(), load_profile("standard"), "acc_1", "usr_1", 1, self.clock.wall_ms()
        )
        self._folder = folder
        self._changed = asyncio.Condition()
        self.journal = SqliteJournal(folder / "journal.db", asyncio.get_running_loop())

    async def open(self) -> None:
        """Open the account at the terminal and pay in."""
        self.connector = self.kind.open(self.account, self.setting, self.clock)
        self.lane = self._lane(self.connector)
        await self.kind.begin(self, self._folder)

    async def close(self) -> None:
        """Leave the desk."""
        await self.kind.end(self)
        self.journal.close()

    def _lane(self, connector: Connector) -> Lane:
        bus = InProcessBus(_fail)
        state = self.journal.open_account(self.account.id, self.account.user_id, "epoch")
        if connector.capabilities.in_process:
            connector.rebuild(state)
        return Lane(self.account, connector, self.journal, bus, self.clock, self._ids, state, never)

    # --- what the terminal tells (FactSink) --------------------------------------------------

    async def on_tick(self, quote: Quote) -> None:
        """A price."""
        await self.lane.on_tick(quote)
        await self._tell(f"tick {quote.symbol} {quote.bid}")

    async def on_facts(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        """Facts that nobody asked for."""
        self.told += [type(fact).__name__ for fact in facts]
        await self.record(facts)

    async def on_terminal(self, connected: bool, detail: str) -> None:
        """The terminal has come or gone."""
        await self._tell("connected" if connected else "disconnected")

    async def on_report(self, command_id: str, report: Report) -> None:
        """The outcome of a request that was not answered at once."""
        self._reports[command_id].set_result(report)

    async def _tell(self, word: str) -> None:
        self.told.append(word)
        async with self._changed:
            self._changed.notify_all()

    async def was_told(self, word: str, times: int = 1) -> None:
        """Return once something was told so many times."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.told.count(word) >= times)

    async def record(self, facts: tuple[Fact, ...]) -> None:
        self.facts += facts
        await self.lane.on_facts(facts, self.connector.time_ms())

    # --- what a card does --------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """What the terminal can do."""
        return self.kind.capabilities(self.connector)

    def request(self, action: Action, **parts: Any) -> TradeRequest:
        """A trade request on SYMBOL."""
        number = next(self._numbers)
        parts.setdefault("tag", f"~{number:010} ")
        return TradeRequest(
            action=action,
            command_id=f"cmd_{number}",
            deadline_ms=self.clock.monotonic_ms() + 5_000,
            **{"symbol": SYMBOL, **parts},
        )

    async def ask(self, action: Action, **parts: Any) -> Report:
        """Hand a request over and wait for its report; its facts are journalled."""
        request = self.request(action, **parts)
        future: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._reports[request.command_id] = future
        report = self.connector.hand_over(request) or await future
        await self.record(report.facts)
        return report

    async def market(self, type_: OrderType, volume: int = LOT // 10, **parts: Any) -> Report:
        """A market order of 0.1 lots."""
        return await self.ask(Action.DEAL, type=type_, volume=volume, **parts)

    async def pending(self, type_: OrderType, price: int, **parts: Any) -> Report:
        """A pending order of 0.1 lots."""
        return await self.ask(Action.PENDING, type=type_, volume=LOT // 10, price=price, **parts)

    async def price(self, bid: int, ask: int) -> None:
        """Move the market of SYMBOL."""
        await self.kind.price(self, bid, ask)

    def reopened(self) -> Connector:
        """A new connector, rebuilt from nothing but the journal."""
        connector = self.kind.open(self.account, self.setting, self.clock)
        connector.rebuild(self.state())
        return connector

    def state(self) -> AccountState:
        """What the journal holds of the account."""
        return self.journal.open_account(self.account.id, self.account.user_id, "epoch")

    # --- what came of it ---------------------------------------------------------------------

    def order(self, ticket: int | None) -> OrderFact:
        """The last that was told of an order."""
        return [f for f in self.facts if isinstance(f, OrderFact) and f.ticket == ticket][-1]

    def position(self, ticket: int | None) -> PositionFact:
        """The last that was told of a position."""
        return [f for f in self.facts if isinstance(f, PositionFact) and f.ticket == ticket][-1]

    def deals(self) -> list[DealFact]:
        """Every deal that was told."""
        return [fact for fact in self.facts if isinstance(fact, DealFact)]


def _fail(topic: str, error: Exception) -> None:
    raise error


def play(
    kind: Kind, setting: Setting, folder: Path, card: Callable[[Desk], Awaitable[None]]
) -> None:
    """Play one card at a desk of its own."""

    async def run() -> None:
        desk = Desk(kind, setting, folder)
        await desk.open()
        try:
            await card(desk)
        finally:
            await desk.close()

    asyncio.run(run())
