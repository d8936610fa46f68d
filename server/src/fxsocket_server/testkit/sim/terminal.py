"""A terminal as a simulated process: the parts of `sim-terminal`, dialling the bridge."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fxsocket_server.bootstrap.terminal import (
    connect_terminal,
    deposit_once,
    described,
    kept_epochs,
    ledger_id,
)
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.broker.profile import Profile
from fxsocket_server.connectors.sim.connector import SimCheckpoint
from fxsocket_server.connectors.sim.feeds import LiveFeed
from fxsocket_server.connectors.terminal.dialer import Dialer, Identity
from fxsocket_server.connectors.terminal.terminal import Terminal
from fxsocket_server.core import limits
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.fxb.messages import Req, Res
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.account import Account
from fxsocket_server.model.facts import Fact, Lookup, Report
from fxsocket_server.storage.terminal_ledger import TerminalLedger
from fxsocket_server.testkit.clock import SimClock, WallClock
from fxsocket_server.testkit.loop import SimLoop, owner
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.parts import BRIDGE_PORT, HOST, connector_token

_BALANCE = 100_000.0
_SYNCED = 2  # SQLite's synchronous=FULL


class SimLedger(TerminalLedger):
    """A ledger that the dead do not write to; `began` hears of each tag that is begun.

    A process dies between two transactions, never in one: SQLite would roll that back.
    """

    def __init__(self, path: Path, began: Callable[[str], None]) -> None:
        super().__init__(path, synced=True)
        self._db.execute("PRAGMA wal_autocheckpoint = 0")  # so that its log only grows
        self._log = path.with_name(path.name + "-wal")
        self._process = owner()
        self._began = began
        self._in_transaction = False
        self.power_fails = False  # with the next death
        self.synced_bytes = self._written_bytes()

    def _written_bytes(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def _note_synced(self) -> None:
        (mode,) = self._db.execute("PRAGMA synchronous").fetchone()
        if mode >= _SYNCED:
            self.synced_bytes = self._written_bytes()

    def unsynced_bytes(self) -> int:
        """What a power cut can take."""
        return self._written_bytes() - self.synced_bytes

    @contextmanager
    def _transaction(self) -> Iterator[bool]:
        """Whether a transaction may begin; what belongs to one is written in any case."""
        if self._in_transaction:
            yield True
            return
        self._in_transaction = True
        try:
            yield self._process is None or self._process.step()
        finally:
            self._in_transaction = False
            self._note_synced()

    def keep(self, name: str, value: bytes) -> None:
        """Keep a value under a name."""
        with self._transaction() as lives:
            if lives:
                super().keep(name, value)

    def book(self, facts: tuple[Fact, ...], time_ms: int) -> int:
        """Make facts true, and an event of them."""
        with self._transaction() as lives:
            return super().book(facts, time_ms) if lives else 0

    def start(self, tag: str, time_ms: int) -> None:
        """A command begins."""
        with self._transaction() as lives:
            if lives:
                super().start(tag, time_ms)
                self._began(tag)

    def rule_out(self, tag: str, time_ms: int) -> None:
        """A command that has not begun never will."""
        with self._transaction() as lives:
            if lives:
                super().rule_out(tag, time_ms)

    def finish(self, tag: str, report: Report) -> None:
        """A command is done."""
        with self._transaction() as lives:
            if lives:
                super().finish(tag, report)

    def acknowledge(self, q: int) -> None:
        """Forget events up to a number."""
        with self._transaction() as lives:
            if lives:
                super().acknowledge(q)


class LedgerFile:
    """Where a terminal's ledger lies; after a power cut, what is left of it lies elsewhere."""

    def __init__(self, folder: Path, name: str, chance: Chance) -> None:
        self._folder = folder
        self._name = name
        self._chance = chance
        self._generation = 0

    @property
    def path(self) -> Path:
        """Where it lies now."""
        return self._folder / f"{self._name}-{self._generation}.db"

    def lose_power(self, ledger: SimLedger) -> None:
        """Keep what was synced, and of the rest as much as chance left."""
        kept = ledger.synced_bytes + self._chance.below(ledger.unsynced_bytes() + 1)
        before = self.path
        self._generation += 1
        shutil.copyfile(before, self.path)
        log = before.with_name(before.name + "-wal")
        self.path.with_name(self.path.name + "-wal").write_bytes(log.read_bytes()[:kept])


class _MarkedTerminal(Terminal):
    """A terminal whose answers leave a mark, so that a run shows what it came through."""

    mark: Reach

    def answer(self, request: Req, *, expired: bool) -> Iterator[Res]:
        """The results of a request."""
        if expired:
            self.mark("terminal.expired")
        return super().answer(request, expired=expired)

    def lookup(self, tag: str, since_ms: int) -> Lookup:
        """What became of a tag."""
        found = super().lookup(tag, since_ms)
        self.mark(f"lookup.{found.state.name}")
        return found


class SimTerminal:
    """One life of a terminal."""

    def __init__(
        self,
        loop: SimLoop,
        wall: WallClock,
        ledger: SimLedger,
        broker: Profile,
        account: Account,
        chance: Chance,
        reach: Reach,
    ) -> None:
        self.errors: list[str] = []
        self.ledger = ledger
        clock = SimClock(loop, wall, chance.below(10**9))
        if ledger.note("id") is None:
            ledger.keep("id", chance.bytes(16).hex().encode())
        terms = broker.terms(currency="USD", leverage=100, sessions_apply=False)
        feed = LiveFeed(_generator(broker, ledger, account.login, clock.wall_ms()), clock)
        self.connector = connect_terminal(terms, broker, feed, ledger)
        self.terminal = _MarkedTerminal(
            self.connector, described(terms, broker), ledger, clock.wall_ms, reach
        )
        self.terminal.mark = reach
        deposit_once(self.connector, self.terminal, ledger, terms, _BALANCE)
        identity = Identity(
            host=HOST,
            port=BRIDGE_PORT,
            token=connector_token(account.id),
            login=account.login,
            server=account.server,
            ledger=ledger_id(ledger),
            boot=chance.bytes(16).hex(),
        )
        rng = SplitMix64(chance.below(2**63))
        self.dialer = Dialer(
            self.terminal, identity, kept_epochs(ledger), clock, rng, lambda *_: None
        )

    async def run(self) -> None:
        """Let the market run and dial the server, until the process dies."""
        await self.connector.start(self.terminal)
        await asyncio.gather(self.dialer.run(), self._keep_checkpoints())

    async def _keep_checkpoints(self) -> None:
        while True:  # until the process dies
            await asyncio.sleep(limits.CHECKPOINT_MS / 1000)
            self.ledger.keep("checkpoint", self.connector.checkpoint() or b"")


def _generator(broker: Profile, ledger: SimLedger, seed: int, now_ms: int) -> PriceGenerator:
    generator = PriceGenerator(broker.generators.values(), seed, now_ms)
    kept = ledger.note("checkpoint")
    if kept:
        saved = msgspec.msgpack.decode(kept, type=SimCheckpoint).feed
        if saved is not None:
            generator.restore(saved)
    return generator
