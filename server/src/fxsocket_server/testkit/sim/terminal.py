"""A terminal as a simulated process: the parts of `sim-terminal`, dialling the bridge."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
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
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.account import Account
from fxsocket_server.model.facts import Fact, Lookup, Report
from fxsocket_server.security.connector_tokens import ConnectorToken
from fxsocket_server.storage.terminal_ledger import TerminalLedger
from fxsocket_server.testkit.clock import SimClock, WallClock
from fxsocket_server.testkit.loop import SimLoop, owner
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.parts import BRIDGE_PORT, HOST, SYMBOLS, profile

_BALANCE = 100_000.0


@lru_cache(maxsize=1)
def _small() -> Profile:
    """The broker of every terminal: few symbols, so that a world is quick."""
    whole = profile()
    return msgspec.structs.replace(
        whole,
        symbols={name: whole.symbols[name] for name in SYMBOLS},
        generators={name: whole.generators[name] for name in SYMBOLS},
    )


class SimLedger(TerminalLedger):
    """A ledger that the dead do not write to; `began` hears of each tag that is begun.

    A process dies between two transactions, never in one: SQLite would roll that back.
    """

    def __init__(self, path: Path, began: Callable[[str], None]) -> None:
        super().__init__(path)
        self._process = owner()
        self._began = began
        self._in_transaction = False

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


class _MarkedTerminal(Terminal):
    """A terminal whose look-ups leave a mark, so that a run shows which answers it came through."""

    mark: Reach

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
        account: Account,
        token: ConnectorToken,
        chance: Chance,
        reach: Reach,
    ) -> None:
        self.errors: list[str] = []
        self.ledger = ledger
        clock = SimClock(loop, wall, chance.below(10**9))
        if ledger.note("id") is None:
            ledger.keep("id", chance.bytes(16).hex().encode())
        terms = _small().terms(currency="USD", leverage=100, sessions_apply=False)
        feed = LiveFeed(_generator(ledger, account.seed, clock.wall_ms()), clock)
        self.connector = connect_terminal(terms, _small(), feed, ledger)
        self.terminal = _MarkedTerminal(
            self.connector, described(terms, _small()), ledger, clock.wall_ms, reach
        )
        self.terminal.mark = reach
        deposit_once(self.connector, self.terminal, ledger, terms, _BALANCE)
        identity = Identity(
            host=HOST,
            port=BRIDGE_PORT,
            token=token,
            login=account.login,
            server=account.server,
            ledger=ledger_id(ledger),
            boot=chance.bytes(16).hex(),
        )
        rng = SplitMix64(chance.below(2**63))
        self._dialer = Dialer(
            self.terminal, identity, kept_epochs(ledger), clock, rng, lambda *_: None
        )

    async def run(self) -> None:
        """Let the market run and dial the server, until the process dies."""
        await self.connector.start(self.terminal)
        await asyncio.gather(self._dialer.run(), self._keep_checkpoints())

    async def _keep_checkpoints(self) -> None:
        while True:  # until the process dies
            await asyncio.sleep(limits.CHECKPOINT_MS / 1000)
            self.ledger.keep("checkpoint", self.connector.checkpoint() or b"")


def _generator(ledger: SimLedger, seed: int, now_ms: int) -> PriceGenerator:
    generator = PriceGenerator(_small().generators.values(), seed, now_ms)
    kept = ledger.note("checkpoint")
    if kept:
        saved = msgspec.msgpack.decode(kept, type=SimCheckpoint).feed
        if saved is not None:
            generator.restore(saved)
    return generator
