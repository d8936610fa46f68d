"""One world from one seed: it runs, breaks, heals, and is then held against its promises."""

import asyncio
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from msgspec import Struct

from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.gateway.changes import Event
from fxsocket_server.testkit.clock import WallClock
from fxsocket_server.testkit.disk import SimDisk
from fxsocket_server.testkit.loop import SimLoop, SimProcess, Stuck
from fxsocket_server.testkit.net import SimNet
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.chaos import Chaos
from fxsocket_server.testkit.sim.checks import check_world
from fxsocket_server.testkit.sim.clients import Bot
from fxsocket_server.testkit.sim.plan import Plan, plan_of
from fxsocket_server.testkit.sim.server import Machine, SimServer, sim_account
from fxsocket_server.testkit.sim.trace import Trace, Violation

_OUTSIDE = copy_context()  # belongs to no simulated process
_HTTP_LOG = "uvicorn.error"
_HEAL_S = 30  # after everything was put right, all is settled within this


class Outcome(Struct):
    """What came of a seed."""

    seed: int
    plan: Plan
    violations: list[Violation]
    digest: str
    trace: Trace
    orders: int
    deals: int
    crashes: int


class World:
    """Everything that lives in one simulated loop."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._chance = Chance(seed)
        self.seed = seed
        self.plan = plan_of(self._chance.split("plan"))
        self.loop = SimLoop()
        self.trace = Trace(self.loop.time)
        self.net = self.loop.net = SimNet(self.loop, self._chance.split("net"))
        self.wall = WallClock(self.loop)
        self.disk = SimDisk(folder, self.loop, self._chance.split("disk"))
        accounts = [sim_account(number + 1) for number in range(self.plan.accounts)]
        self.machine = Machine(self.loop, self.disk, self.wall, accounts)
        self.lives: list[tuple[SimProcess, SimServer]] = []
        self.up = asyncio.Event()  # the server serves
        self.failed: asyncio.Future[None] = self.loop.create_future()
        self.told: dict[tuple[str, int], Event] = {}
        self.violations: list[Violation] = []
        self.chaos = Chaos(
            self.plan,
            self._chance.split("chaos"),
            self.trace,
            self.net,
            self.disk,
            self.wall,
            lambda: self.lives[-1][0] if self.lives and self.lives[-1][0].alive else None,
        )
        self.bots = [self._bot(number) for number in range(self.plan.bots)]

    def _bot(self, number: int) -> Bot:
        name = f"bot{number}"
        account = self.machine.accounts[number % len(self.machine.accounts)]
        return Bot(name, account.id, number, self.loop, self._chance.split(name), self.trace)

    @property
    def server(self) -> SimServer:
        """The server that lives now, or lived last."""
        return self.lives[-1][1]

    def wrong(self, invariant: str, detail: str) -> None:
        """A promise was broken."""
        self.trace.note(f"VIOLATION {invariant}: {detail}")
        self.violations.append(Violation(invariant, detail))

    # --- the server's lives ------------------------------------------------------------------

    def start_server(self) -> None:
        """Start the server, on whatever its last life left."""
        life = len(self.lives)
        server = SimServer(self.machine, self._chance.split(f"server{life}"), self.chaos.reach)
        process = SimProcess(f"server{life}", self.loop, self._died)
        self.lives.append((process, server))
        self.trace.note(f"{process.name} starts")
        task = process.spawn(server.run(self._tell, self.up))
        task.add_done_callback(self._ended, context=process.context())

    def _ended(self, task: "asyncio.Future[None]") -> None:
        """A server that ends by itself has failed to start; only its disk excuses that."""
        error = task.exception()
        if isinstance(error, JournalUnavailable):
            self.lives[-1][0].kill()
        else:
            self.failed.set_exception(error or RuntimeError("the server ended"))

    def _tell(self, message: object) -> None:
        """Events that the server published: none may ever change or vanish."""
        assert isinstance(message, list)
        for event in message:
            known = self.told.setdefault((event.account_id, event.seq), event)
            if known != event:
                self.wrong("I7", f"seq {event.seq} was told as {known.type} and as {event.type}")

    def _died(self, process: SimProcess) -> None:
        self.trace.note(f"{process.name} dies")
        self.up.clear()
        self.disk.crash()
        self.net.end_of_process(process)
        pause_s = self._chance.split(process.name).between(0.01, 3)
        self.loop.call_later(pause_s, self.start_server, context=_OUTSIDE.copy())

    # --- the run -----------------------------------------------------------------------------

    async def _until_failed(self) -> None:
        """Live, unless the server itself ends: then nothing else matters."""
        living = asyncio.ensure_future(self._live())
        await asyncio.wait((living, self.failed), return_when=asyncio.FIRST_COMPLETED)
        for ended in (living, self.failed):
            if ended.done() and (error := ended.exception()) is not None:
                self.wrong("error", f"{error!r}\n{''.join(traceback.format_exception(error))}")

    async def _live(self) -> None:
        self.start_server()
        trading = [
            asyncio.ensure_future(bot.trade(self.plan.deeds, self.plan.pause_s))
            for bot in self.bots
        ]
        await self.chaos.rage()
        done, late = await asyncio.wait(trading, timeout=_HEAL_S + self._unfinished_s())
        for error in [task.exception() for task in trading if task in done]:
            if error is not None:
                self.wrong("error", f"a bot failed: {error!r}")
        if late:
            self.wrong("liveness", f"{len(late)} bots have no answer {_HEAL_S} s after healing")
        await self._settle()
        await check_world(self)

    def _unfinished_s(self) -> float:
        """How long the bots still want to trade, were everything answered at once."""
        return self.plan.deeds * (2 * self.plan.pause_s + 1)

    async def _settle(self) -> None:
        """Let what is under way come to its end."""
        await self.up.wait()
        await asyncio.sleep(2)

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
            orders=sum(d.path == "/v1/orders" for bot in self.bots for d in bot.deeds),
            deals=0,
            crashes=len(self.lives) - 1,
        )

    def _bury(self) -> None:
        for process, server in self.lives:
            process.alive = False
            for error in process.bury():
                self.wrong("error", f"{process.name}: {error!r}")
            for text in server.errors:
                self.wrong("error", f"{process.name}: {text}")
        for text in self.loop.errors:
            self.wrong("error", text)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.disk.close()
        self.loop.close()
        asyncio.set_event_loop(None)


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


def run_seed(seed: int, folder: Path, watch: Callable[[World], None] | None = None) -> Outcome:
    """Run one seed in an empty folder of its own, which is removed afterwards."""
    world = World(seed, folder)
    if watch is not None:
        watch(world)
    try:
        return world.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
