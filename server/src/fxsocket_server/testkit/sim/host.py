"""A machine that runs one program, and starts it again after every crash."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Generic, Protocol, TypeVar

from fxsocket_server.core.errors import JournalUnavailable
from fxsocket_server.testkit.loop import SimLoop, SimProcess
from fxsocket_server.testkit.net import SimNet
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.trace import Trace

OUTSIDE = copy_context()  # belongs to no simulated process


class Program(Protocol):
    """One life of a program; `errors` are what it logged as wrong."""

    errors: list[str]

    def run(self) -> Awaitable[None]:
        """Run until the process dies."""
        ...


P = TypeVar("P", bound=Program)


class Host(Generic[P]):
    """Where a program lives; `crashed` is called at each death, before anything else happens."""

    def __init__(
        self,
        name: str,
        kind: str,
        net: SimNet,
        chance: Chance,
        trace: Trace,
        make: Callable[[Chance], P],
        crashed: Callable[[P], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.lives: list[tuple[SimProcess, P]] = []
        self.failed: asyncio.Future[None] = net.loop.create_future()
        self._net = net
        self._chance = chance
        self._trace = trace
        self._make = make
        self._crashed = crashed

    @property
    def _loop(self) -> SimLoop:
        return self._net.loop

    @property
    def process(self) -> SimProcess | None:
        """The process that lives now."""
        if self.lives and self.lives[-1][0].alive:
            return self.lives[-1][0]
        return None

    @property
    def program(self) -> P:
        """The program that lives now, or lived last."""
        return self.lives[-1][1]

    def start(self) -> None:
        """Begin a life on whatever the last one left."""
        name = f"{self.name}{len(self.lives)}"
        process = SimProcess(name, self._loop, self._died)
        self._trace.note(f"{name} starts")
        process.spawn(self._live(process, self._chance.split(name))).add_done_callback(
            lambda task: self._ended(process, task), context=process.context()
        )

    async def _live(self, process: SimProcess, chance: Chance) -> None:
        program = self._make(chance)
        self.lives.append((process, program))
        await program.run()

    def _ended(self, process: SimProcess, task: "asyncio.Future[None]") -> None:
        """A program that ends by itself has failed to start; only its disk excuses that."""
        error = task.exception()
        if isinstance(error, JournalUnavailable):
            process.kill()
        elif not self.failed.done():
            self.failed.set_exception(error or RuntimeError(f"{process.name} ended"))

    def _died(self, process: SimProcess) -> None:
        self._trace.note(f"{process.name} dies")
        self._trace.mark(f"death.{self.kind}")
        if self.lives and self.lives[-1][0] is process:
            self._crashed(self.program)
        self._net.end_of_process(process)
        pause_s = self._chance.split(f"after {process.name}").between(0.01, 3)
        self._loop.call_later(pause_s, self.start, context=OUTSIDE.copy())

    def bury(self) -> list[str]:
        """End it for good; returns what had gone wrong unheard."""
        wrong = []
        for process, program in self.lives:
            process.alive = False
            wrong += [f"{process.name}: {error!r}" for error in process.bury()]
            wrong += [f"{process.name}: {text}" for text in program.errors]
        return wrong
