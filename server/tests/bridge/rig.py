"""Both ends of the bridge in one process, over a real socket, on a market that stands still."""

import asyncio
from pathlib import Path

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.bootstrap.crash import never
from fxsocket_server.bootstrap.terminal import (
    connect_terminal,
    deposit_once,
    described,
    kept_epochs,
    ledger_id,
)
from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.bridge.listener import BridgeListener, Peer
from fxsocket_server.connectors.terminal.dialer import Dialer, Identity
from fxsocket_server.connectors.terminal.terminal import Terminal
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.fxb.messages import TerminalAccount
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.facts import Fact, Quote, Report
from fxsocket_server.security.connector_tokens import ConnectorToken, token_of
from fxsocket_server.storage.terminal_ledger import TerminalLedger

from ..api.world import StillFeed

LOGIN, SERVER = 1_234_567, "FxSocket-Demo"
TOKEN = token_of(b"p" * 32, "k" * 16)
BALANCE = 10_000.0


class Signal:
    """Things that happened, and waiting for the next."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self._changed = asyncio.Event()

    def put(self, thing: object) -> None:
        self.seen.append(thing)
        self._changed.set()

    async def count(self, count: int) -> None:
        """Return once so many things happened."""
        while len(self.seen) < count:  # bounded by the test's watchdog
            self._changed.clear()
            await self._changed.wait()


class Door:
    """The server's end: a listener and the connector of one account."""

    def __init__(self, clock: ManualClock, seed: int = 1) -> None:
        self.opened: list[TerminalAccount] = []
        self.logged: list[object] = []
        self.listener = BridgeListener("127.0.0.1", 0, clock, SplitMix64(seed).bytes)
        self.connector = BridgeConnector("acc_1", clock, self._opened, self._log)
        self.listener.peers[TOKEN.key] = Peer(TOKEN, LOGIN, SERVER, self.connector)
        self.port = 0

    async def _opened(self, account: TerminalAccount) -> None:
        self.opened.append(account)

    def _log(self, text: str, **parts: object) -> None:
        self.logged.append((text, parts))

    async def start(self, port: int = 0) -> None:
        self.listener._port = port
        self.port = await self.listener.start()

    async def stop(self) -> None:
        """What a server's end does; a killed one differs by nothing that a terminal sees."""
        await self.connector.stop()
        await self.listener.stop()


class Booth:
    """The terminal's end: a simulated broker with a ledger in a folder, and its dialer."""

    def __init__(
        self,
        folder: Path,
        clock: ManualClock,
        *,
        sessions: bool = False,
        reach: Reach = never,
        seed: int = 2,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.clock = clock
        self.ledger = TerminalLedger(folder / "ledger.db")
        profile = load_profile("standard")
        terms = profile.terms(currency="USD", leverage=100, sessions_apply=sessions)
        self.connector = connect_terminal(terms, profile, StillFeed(clock), self.ledger)
        account = described(terms, profile)
        self.terminal = Terminal(self.connector, account, self.ledger, clock.wall_ms, reach)
        deposit_once(self.connector, self.terminal, self.ledger, terms, BALANCE)
        self.sessions = Signal()
        self._rng = SplitMix64(seed)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Show the market."""
        await self.connector.start(self.terminal)

    def dial(
        self,
        port: int,
        *,
        token: ConnectorToken = TOKEN,
        login: int = LOGIN,
        server: str = SERVER,
    ) -> None:
        """Dial, again and again."""
        identity = Identity(
            host="127.0.0.1",
            port=port,
            token=token,
            login=login,
            server=server,
            ledger=ledger_id(self.ledger),
            boot=self._rng.bytes(16).hex(),
        )
        dialer = Dialer(
            self.terminal,
            identity,
            kept_epochs(self.ledger),
            self.clock,
            self._rng,
            lambda epoch, why: self.sessions.put(why if epoch is None else epoch),
        )
        self._tasks.append(asyncio.create_task(dialer.run(), name="dialer"))

    async def hang_up(self) -> None:
        """Cut the line and dial no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def kill(self) -> None:
        """End without a word; what is in the ledger stays."""
        await self.hang_up()
        await self.connector.stop()
        self.ledger.close()


class Sink:
    """What a lane would be told; `refuse` makes the next facts not durable."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.deliveries = 0
        self.reports: dict[str, list[Report]] = {}
        self.ticks: list[Quote] = []
        self.terminal = Signal()
        self.words = Signal()
        self.refuse: Exception | None = None
        self.hold: asyncio.Event | None = None

    async def on_tick(self, quote: Quote) -> None:
        self.ticks.append(quote)
        self.words.put(quote)

    async def on_facts(self, facts: tuple[Fact, ...], time_ms: int) -> None:
        self.words.put(facts)
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            refusal, self.refuse = self.refuse, None
            raise refusal
        self.deliveries += 1
        self.facts += facts

    async def on_report(self, command_id: str, report: Report) -> None:
        self.reports.setdefault(command_id, []).append(report)
        self.facts += report.facts
        self.words.put(report)

    async def on_terminal(self, connected: bool, detail: str) -> None:
        self.terminal.put((connected, detail))
