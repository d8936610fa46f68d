"""One world from one seed: it runs, breaks, heals, and is then held against its promises."""

import asyncio
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.testkit.clock import WallClock
from fxsocket_server.testkit.disk import SimDisk
from fxsocket_server.testkit.loop import SimLoop, Stuck
from fxsocket_server.testkit.net import SimNet
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.chaos import Chaos
from fxsocket_server.testkit.sim.check_heard import check_heard, last_told
from fxsocket_server.testkit.sim.checks import check_world
from fxsocket_server.testkit.sim.clients import Bot, PlainBot
from fxsocket_server.testkit.sim.host import Host, Program
from fxsocket_server.testkit.sim.listener import Listener
from fxsocket_server.testkit.sim.parts import account_of, profile
from fxsocket_server.testkit.sim.plan import BotPlan, Plan, plan_of
from fxsocket_server.testkit.sim.server import Deadline, Machine, SimServer
from fxsocket_server.testkit.sim.terminal import LedgerFile, SimLedger, SimTerminal
from fxsocket_server.testkit.sim.trace import Trace, Violation
from fxsocket_server.testkit.sim.ways import OverHttp, OverStream

P = TypeVar("P", bound=Program)

_HTTP_LOG = "uvicorn.error"
_PATIENCE_S = 16  # what a client that knows no better waits between its tries
_UNKNOWN_S = 16 * 11  # by then a bot has made all its attempts
_MS_S = 0.0011  # the server tells its clock in whole milliseconds
_HEAL_S = 30  # after everything was put right, all is settled within this


class Outcome(Struct):
    """What came of a seed."""

    seed: int
    plan: Plan
    violations: list[Violation]
    digest: str
    trace: Trace
    orders: int
    crashes: int


class World:
    """Everything that lives in one simulated loop."""

    def __init__(self, seed: int, folder: Path, plan: Plan | None = None) -> None:
        """A plan is given where not all that the seed chose is to be there."""
        self._chance = Chance(seed)
        self.seed = seed
        self.plan = plan or plan_of(self._chance.split("plan"))
        self.loop = SimLoop()
        self.trace = Trace(self.loop.time)
        self.net = self.loop.net = SimNet(self.loop, self._chance.split("net"))
        self.wall = WallClock(self.loop)
        self.disk = SimDisk(folder / "server", self.loop, self._chance.split("disk"))
        self.told: dict[tuple[str, int], Event] = {}
        # Of each tag that was handed over: its deadline, and the server's clock, by the loop.
        self.deadlines: dict[str, Deadline] = {}
        self.violations: list[Violation] = []
        self._ledgers = {
            plan.id: LedgerFile(folder, plan.id, self._chance.split(f"ledger {plan.id}"))
            for plan in self.plan.accounts
            if plan.terminal
        }
        self.machine = self._machine()
        self.server = self._host("server", self._make_server, self._server_crashed)
        self.terminals = {
            account_id: self._host(
                account_id,
                partial(self._make_terminal, account_id),
                partial(self._terminal_crashed, account_id),
            )
            for account_id in self._ledgers
        }
        self.chaos = Chaos(
            self.plan,
            self._chance.split("chaos"),
            self.trace,
            self.net,
            self.disk,
            self.wall,
            self.server,
            list(self.terminals.values()),
        )
        self.bots = [self._bot(plan) for plan in self.plan.bots]
        self.listeners = [self._listener(number) for number in self.plan.listeners]

    def _machine(self) -> Machine:
        return Machine(
            loop=self.loop,
            disk=self.disk,
            wall=self.wall,
            accounts={plan.id: account_of(plan) for plan in self.plan.accounts},
            brokers={plan.id: profile(plan.profile) for plan in self.plan.accounts},
            ready=asyncio.Event(),
            tell=self._tell,
            handed=self.deadlines.__setitem__,
        )

    def _host(
        self, name: str, make: Callable[[Chance], P], crashed: Callable[[P], None]
    ) -> Host[P]:
        kind = "server" if name == "server" else "terminal"
        return Host(name, kind, self.net, self._chance.split(name), self.trace, make, crashed)

    def _make_server(self, chance: Chance) -> SimServer:
        return SimServer(self.machine, chance, self._reach)

    def _make_terminal(self, account_id: str, chance: Chance) -> SimTerminal:
        path = self._ledgers[account_id].path
        ledger = SimLedger(path, partial(self._began, account_id))
        account, broker = self.machine.accounts[account_id], self.machine.brokers[account_id]
        return SimTerminal(self.loop, self.wall, ledger, broker, account, chance, self._reach)

    def _reach(self, point: str) -> None:
        self.chaos.reach(point)

    def _bot(self, plan: BotPlan) -> Bot:
        kind, way = (PlainBot if plan.plain else Bot), (OverStream if plan.streams else OverHttp)
        return kind(plan, self._chance.split(f"bot{plan.number}"), self.trace, way(self.loop))

    def _listener(self, number: int) -> Listener:
        chance = self._chance.split(f"listener{number}")
        account_ids = [account.id for account in self.plan.accounts]
        return Listener(number, account_ids, self.loop, chance, self.trace, self.wrong)

    # --- what it watches ---------------------------------------------------------------------

    def wrong(self, invariant: str, detail: str) -> None:
        """A promise was broken."""
        self.trace.note(f"VIOLATION {invariant}: {detail}")
        self.violations.append(Violation(invariant, detail))

    def _tell(self, message: object) -> None:
        """Events that the server published: none may ever change or vanish."""
        assert isinstance(message, list)
        for event in message:
            known = self.told.setdefault((event.account_id, event.seq), event)
            if known != event:
                self.wrong("I7", f"seq {event.seq} was told as {known.type} and as {event.type}")

    def _began(self, account_id: str, tag: str) -> None:
        """A terminal begins a command: its intent must be durable, and its time not be over."""
        self.trace.note(f"terminal begins {tag}")
        now_s, deadline = self.loop.time(), self.deadlines[tag]
        dialer = self.terminals[account_id].program.dialer
        heard_s = (dialer.server_ms() - deadline.origin_ms) / 1000  # what it takes the time for
        if heard_s > deadline.at_s or now_s - heard_s > self.net.slowest_s + _MS_S:
            self.wrong(
                "I4",
                f"{tag} was begun {now_s - deadline.at_s:.3f} s after its deadline, at"
                f" {heard_s:.3f} of {deadline.at_s:.3f} by its terminal's clock",
            )

    def _server_crashed(self, _: SimServer) -> None:
        self.machine.ready.clear()
        self.disk.crash()

    def _terminal_crashed(self, account_id: str, terminal: SimTerminal) -> None:
        """What was written, the system has: only a power cut takes what the disk has not."""
        if terminal.ledger.power_fails:
            self.trace.mark(f"power.lost_{bool(terminal.ledger.unsynced_bytes())}")
            self._ledgers[account_id].lose_power(terminal.ledger)

    # --- the run -----------------------------------------------------------------------------

    async def _until_failed(self) -> None:
        """Live, unless a program itself ends: then nothing else matters."""
        living = asyncio.ensure_future(self._live())
        ends = [living, *(host.failed for host in self._hosts)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for ended in ends:
            if ended.done() and (error := ended.exception()) is not None:
                self.wrong("error", "".join(traceback.format_exception(error)))

    @property
    def _hosts(self) -> list[Host[Any]]:
        return [self.server, *self.terminals.values()]

    async def _live(self) -> None:
        for host in self._hosts:
            host.start()
        trading = [
            asyncio.ensure_future(bot.trade(self.plan.deeds, self.plan.pause_s))
            for bot in self.bots
        ]
        following = [asyncio.ensure_future(listener.follow()) for listener in self.listeners]
        await self.chaos.rage()
        _, late = await asyncio.wait(trading, timeout=_HEAL_S + self._unfinished_s())
        if late and self._is_unknown():  # what nobody knows the end of is asked for longer
            await asyncio.wait(late, timeout=_UNKNOWN_S)
        done, late = await asyncio.wait(trading, timeout=0)
        for error in [task.exception() for task in trading if task in done]:
            if error is not None:
                self.wrong("error", f"a bot failed: {error!r}")
        if late:
            self.wrong("liveness", f"{len(late)} bots have no answer {_HEAL_S} s after healing")
        await self._settle()
        await check_world(self)
        await self._hear_all()
        for task in following:
            task.cancel()
        check_heard(self)

    def _is_unknown(self) -> bool:
        """Whether a terminal began a command and does not know its end."""
        return any(host.program.ledger.begun() for host in self.terminals.values())

    def _unfinished_s(self) -> float:
        """How long the bots still want to trade, were everything answered at once."""
        return self.plan.deeds * (2 * self.plan.pause_s + 1) + _PATIENCE_S

    async def _settle(self) -> None:
        """Let what is under way come to its end; only what nobody knows takes all the time."""
        await self.machine.ready.wait()
        for _ in range(_HEAL_S):
            await asyncio.sleep(1)
            if all(_is_settled(lane) for lane in self.server.program.lanes()):
                break
        await asyncio.sleep(1)

    async def _hear_all(self) -> None:
        """Let every listener come back and hear the end of each log."""
        for _ in range(_HEAL_S):
            if all(map(self._has_heard_all, self.listeners)):
                return
            await asyncio.sleep(1)

    def _has_heard_all(self, listener: Listener) -> bool:
        return all(
            listener.heard[lane.account.id].last_seq >= last_told(lane)
            for lane in self.server.program.lanes()
        )

    def run(self) -> Outcome:
        """Run the world to its end."""
        asyncio.set_event_loop(self.loop)
        with listening(_HTTP_LOG) as log:
            try:
                self.loop.run_until_complete(self._until_failed())
            except Stuck as stuck:
                self.wrong("stuck", str(stuck))
            finally:
                errors = [*log]
                self._bury()
        for text in errors:
            self.wrong("error", text)
        return Outcome(
            self.seed,
            self.plan,
            self.violations,
            self.trace.digest(),
            self.trace,
            orders=sum(len(deed.magics) for bot in self.bots for deed in bot.deeds),
            crashes=sum(len(host.lives) - 1 for host in self._hosts),
        )

    def _bury(self) -> None:
        for host in self._hosts:
            for text in host.bury():
                self.wrong("error", text)
        for terminal in self.terminals.values():
            for _, program in terminal.lives:
                program.ledger.close()
        for text in self.loop.errors:
            self.wrong("error", text)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.disk.close()
        self.loop.close()
        asyncio.set_event_loop(None)


def _is_settled(lane: Lane) -> bool:
    """Whether an account is reconciled with its terminal, and owes no outcome."""
    return lane.terminal.connected and not lane.terminal.fault and not lane.commands.outstanding


@contextmanager
def listening(name: str) -> Iterator[list[str]]:
    """What a library logs as a warning or worse, kept from the terminal."""
    logger, lines = logging.getLogger(name), list[str]()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def run_seed(seed: int, folder: Path, plan: Plan | None = None) -> Outcome:
    """Run one seed, or what a plan leaves of it, in a folder of its own that is removed then."""
    world = World(seed, folder, plan)
    try:
        return world.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
