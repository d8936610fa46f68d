"""An event loop whose time is simulated: it jumps to the next timer, and a seed repeats it exactly.

Callbacks run first in, first out, as asyncio promises; all that is random in a world comes from
its latencies, losses and crashes. Time starts at 0: a float of seconds since 1970 has too coarse a
resolution for timers to fall due.

A simulated process is a context: whatever its code schedules belongs to it. Once it is dead
nothing of it runs again, not even `finally`, as after a SIGKILL.
"""

import asyncio
from asyncio.events import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any, NoReturn, Protocol, TypeVar

T = TypeVar("T")
ProtocolFactory = Callable[[], asyncio.BaseProtocol]

_OWNER: ContextVar["SimProcess | None"] = ContextVar("owner", default=None)


class Stuck(Exception):
    """The world can never end: nothing is left to run, or it ran past its bounds."""


class SimProcess:
    """The code that dies together; `crash_at` ends it in the middle of its n-th step from now."""

    def __init__(self, name: str, loop: "SimLoop", died: "Callable[[SimProcess], None]") -> None:
        self.name = name
        self.alive = True
        self._loop = loop
        self._died = died
        self._steps_left = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(_OWNER.set, self)

    def context(self) -> Context:
        """A context of this process, for a callback that enters it from outside."""
        return self._context.copy()

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        """Run a coroutine as part of this process."""
        return self._loop.create_task(work, context=self.context())

    def crash_at(self, step: int) -> None:
        """Let the process die within its `step`-th step from now (0: take that back)."""
        self._steps_left = min(step, self._steps_left or step)

    def step(self) -> bool:
        """Count one effect of this process; False once it is dead and has none."""
        if self._steps_left:
            self._steps_left -= 1
            if not self._steps_left:
                self.kill()
        return self.alive

    def kill(self) -> None:
        """Die now. The step under way goes on in vain: none of its effects leaves the process."""
        if self.alive:
            self.alive = False
            self._loop.forget(self)
            self._died(self)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold a task of this process, so that it is never collected at a random moment."""
        self._tasks.append(task)

    def bury(self) -> list[BaseException]:
        """Drop the tasks; returns the exceptions that nobody had asked for."""
        lost = []
        for task in self._tasks:
            if not task.done():
                _close(task)
            elif not task.cancelled() and (error := _unread(task)) is not None:
                lost.append(error)
        self._tasks = []
        return lost


def _unread(task: asyncio.Task[Any]) -> BaseException | None:
    """The exception of a task that nobody has asked for it."""
    return task.exception() if task._log_traceback else None


def _close(task: asyncio.Task[Any]) -> None:
    """Unwind a task that was killed: its `finally` blocks run now, and reach nothing."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert isinstance(coroutine, Coroutine)
    with suppress(RuntimeError):  # it awaits in a `finally`: the dead wait for nothing
        coroutine.close()


def owner() -> SimProcess | None:
    """The simulated process whose code runs."""
    return _OWNER.get()


class Net(Protocol):
    """What carries connections in place of sockets."""

    def listen(self, factory: ProtocolFactory, host: str, port: int) -> Any:
        """Accept connections at an address for the process that asks."""
        ...

    async def connect(
        self, factory: ProtocolFactory, host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect the process that asks; raises ConnectionRefusedError."""
        ...


class SimLoop(asyncio.BaseEventLoop):
    """asyncio without sockets, threads or real time, bounded in steps and in simulated seconds."""

    net: Net
    _ready: deque[Handle]  # asyncio's own, in the order in which they run
    _scheduled: list[TimerHandle]

    def __init__(self, max_steps: int = 1_000_000, max_seconds: float = 3_600) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = 1e-6
        self._selector = self
        self.steps_left = max_steps
        self._max_seconds = max_seconds
        self.errors: list[str] = []
        self.had_deaths = False
        self.set_exception_handler(self._on_error)
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Simulated seconds since the world began."""
        return self._now

    async def elapse(self, seconds: float) -> None:
        """Let simulated seconds pass."""
        await asyncio.sleep(seconds)

    def select(self, timeout: float | None) -> list[object]:
        """In place of waiting for sockets: let the time pass."""
        if timeout is None:
            raise Stuck("nothing is left to run: the world waits for ever")
        self._now += timeout
        self.steps_left -= 1
        if self.steps_left < 0 or self._now > self._max_seconds:
            raise Stuck(f"no end in sight after {self._now:.3f} simulated seconds")
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nothing waits that would have to be woken."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> NoReturn:
        """Refused: a thread is not deterministic."""
        raise RuntimeError(f"{func} would run in a thread; a simulated world has none")

    async def create_server(  # type: ignore[override]
        self, factory: ProtocolFactory, host: str, port: int, **_: Any
    ) -> Any:
        """Listen on the simulated net."""
        return self.net.listen(factory, host, port)

    async def create_connection(  # type: ignore[override]
        self, factory: ProtocolFactory, host: str, port: int, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect over the simulated net."""
        return await self.net.connect(factory, host, port)

    # --- what belongs to whom ----------------------------------------------------------------

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Run a callback in this turn, unless the process that it belongs to is dead."""
        handle = Handle(callback, args, self, context)
        process = _context_of(handle).get(_OWNER)
        if process is None or process.step():
            self._ready.append(handle)
        else:
            handle.cancel()
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """There is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> TimerHandle:
        """Run a callback at a time, unless the process that it belongs to is dead by then."""
        handle = super().call_at(when, callback, *args, context=context)
        process = _context_of(handle).get(_OWNER)
        if process is not None and not process.alive:
            handle.cancel()
        return handle

    def forget(self, process: SimProcess) -> None:
        """Drop all that a dead process had scheduled."""
        self.had_deaths = True
        for handle in (*self._ready, *self._scheduled):
            if _context_of(handle).get(_OWNER) is process:
                handle.cancel()

    def _on_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.had_deaths and "future" in context:
            return  # whoever waited for it may be dead
        self.errors.append(f"{context.get('message')}: {error!r}")


def _context_of(handle: Handle) -> Context:
    context: Context = handle._context  # type: ignore[attr-defined]
    return context


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None, **_: Any
) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    process = _OWNER.get() if context is None else context.get(_OWNER)
    if process is not None:
        process.keep(task)
    return task
