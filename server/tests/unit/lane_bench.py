"""A lane on a journal of its own, for the tests of what it promises."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.gateway.changes import Event, OrderQuery
from fxsocket_server.gateway.commands import Answer, Command, fingerprint_of
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.lane import Lane, Verb
from fxsocket_server.gateway.orders.place import PlaceOrder
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.positions.modify import ModifyPosition
from fxsocket_server.gateway.recorder import untagged
from fxsocket_server.gateway.requests import OrderRequest, PositionPatch
from fxsocket_server.model.enums import OrderType
from fxsocket_server.settings import Settings
from fxsocket_server.storage.journal.sqlite import SqliteJournal

from ..api.world import FarConnector, OpenGate, StillFeed

ACCOUNT = new_account(Settings(), load_profile("standard"), "acc_1", "usr_1", 1, 0)


class Bench:
    """A lane on a journal of its own, with a terminal of a kind."""

    def __init__(
        self, journal: SqliteJournal, kind: type[SimConnector], profile_name: str = "standard"
    ) -> None:
        self.journal = journal
        self.clock = ManualClock()
        self.points: list[str] = []
        self.on_point: dict[str, Callable[[], None]] = {}
        self.published: list[Event] = []
        self.ids = IdFactory(SplitMix64(1).bytes, self.clock.wall_ms)
        bus = InProcessBus(_fail)
        bus.subscribe("events.acc_1", self._on_events)
        profile = load_profile(profile_name)
        account = new_account(Settings(), profile, "acc_1", "usr_1", 1, 0)
        terms = profile.terms(currency="USD", leverage=100, sessions_apply=False)
        feed = StillFeed(self.clock, profile.symbols)
        self.connector = kind("acc_1", terms, profile.symbols, feed, OpenGate())
        state = journal.open_account("acc_1", "usr_1", "epoch")
        self.connector.rebuild(state)
        self.lane = Lane(
            account, self.connector, journal, bus, self.clock, self.ids, state, self._reach
        )
        journal.on_failure(self.lane.rebuild)

    def _reach(self, point: str) -> None:
        self.points.append(point)
        self.on_point.get(point, int)()

    def _on_events(self, message: object) -> None:
        """Nothing may be published that is not durable."""
        assert isinstance(message, list)
        seqs = [event.seq for event in message]
        assert self.journal.events("acc_1", seqs[0] - 1, len(seqs)) == message
        self.published += message

    async def open(self) -> None:
        """Pay in, and show the market."""
        if not self.lane.book.head_seq:
            now = self.connector.time_ms()
            await self.lane.on_facts(self.connector.broker.deposit(1_000_000, now), now)
        await self.connector.start(self.lane)

    @property
    def far(self) -> FarConnector:
        """The terminal, when it stands outside."""
        assert isinstance(self.connector, FarConnector)
        return self.connector

    # --- commands ----------------------------------------------------------------------------

    async def run(
        self,
        kind: str,
        subject: str,
        body: object,
        verb: Verb,
        key: str | None,
        wait_ms: float,
        delivery: Delivery | None = None,
        api_key_id: str = "key_1",
    ) -> Answer:
        asked_of = "" if kind == "order.place" else subject
        command = Command(
            id=self.ids.make("req_"),
            kind=kind,
            subject_id=subject,
            fingerprint=fingerprint_of(kind, asked_of, body),
            key=key,
            wait_ms=wait_ms,
            api_key_id=api_key_id,
            delivery=delivery,
        )
        return await self.lane.run(command, verb)

    async def place(
        self,
        key: str | None = None,
        wait_ms: float = 30_000,
        api_key: str = "key_1",
        **order: Any,
    ) -> Answer:
        """Place an order of 0.1 lots."""
        request = OrderRequest(
            **{"symbol": "EURUSD", "type": OrderType.BUY, "volume": 0.1, **order}
        )
        subject = self.ids.make("ord_")
        verb = PlaceOrder(request)
        return await self.run(
            "order.place", subject, request, verb, key, wait_ms, api_key_id=api_key
        )

    async def send(
        self, delivery: Delivery, api_key_id: str = "key_1", wait_ms: float = 30_000, **order: Any
    ) -> Answer:
        """Place an order of 0.1 lots without a key, over a connection that can be lost."""
        request = OrderRequest(
            **{"symbol": "EURUSD", "type": OrderType.BUY, "volume": 0.1, **order}
        )
        verb = PlaceOrder(request)
        subject = self.ids.make("ord_")
        return await self.run(
            "order.place", subject, request, verb, None, wait_ms, delivery, api_key_id
        )

    async def close(self, position_id: str, key: str | None = None, wait_ms: float = 0) -> Answer:
        verb = ClosePosition(None, None)
        return await self.run("position.close", position_id, None, verb, key, wait_ms)

    async def stops(self, position_id: str, key: str | None = None, wait_ms: float = 0) -> Answer:
        patch = PositionPatch(sl=1.07)
        verb = ModifyPosition(patch)
        return await self.run("position.modify", position_id, patch, verb, key, wait_ms)

    async def report(self, number: int = 0) -> None:
        """The far terminal executes what it took, and says so."""
        command_id, request = self.far.taken[number]
        await self.lane.on_report(command_id, self.far.execute(request))

    def types(self, after: int = 2) -> list[str]:
        """The types of the journalled events, but for the deposit."""
        events = self.journal.events("acc_1", after, 100)
        return [event.type for event in events if not event.type.startswith("terminal.")]

    def orders(self) -> list[Any]:
        """The journalled orders, newest first."""
        return [order for _, order in self.journal.orders(OrderQuery(account_id="acc_1", limit=99))]


def again(b: Bench) -> Lane:
    """The lane that a restart would make of what is durable."""
    state = b.journal.open_account("acc_1", "usr_1", "epoch")
    return Lane(
        b.lane.account, b.connector, b.journal, b.lane._bus, b.clock, b.ids, state,
        lambda _: None, rules=b.lane.risk.book,
    )  # fmt: skip


def _fail(topic: str, error: Exception) -> None:
    raise error


def shown(answer: Answer) -> Any:
    return msgspec.json.decode(answer.body)


async def turn() -> None:
    """Let the loop turn once."""
    await asyncio.sleep(0)


def snapshot(b: Bench) -> Any:
    """What the terminal holds; positions that were rebuilt have lost our tag."""
    held = b.connector.broker.terminal_snapshot()
    positions = [replace(p, comment=untagged(p.comment)) for p in held.positions]
    return held.orders, positions, held.balance, b.connector.figures()


@asynccontextmanager
async def bench(
    folder: Path, kind: type[SimConnector] = SimConnector, profile_name: str = "standard"
) -> AsyncIterator[Bench]:
    journal = SqliteJournal(folder / "journal.db", asyncio.get_running_loop())
    try:
        bench = Bench(journal, kind, profile_name)
        await bench.open()
        yield bench
        await bench.connector.stop()
    finally:
        journal.close()


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """A journal whose disk is full."""
    other = sqlite3.connect(folder / "journal.db", isolation_level=None)
    other.execute(
        "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    try:
        yield
    finally:
        other.execute("DROP TRIGGER full")
        other.close()
