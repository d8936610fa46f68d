"""Timers of the event loop, injected so that a seeded world can drive them by its own clock."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that has not happened yet."""

    def cancel(self) -> object:
        """Do not make the call; one that was made already is fine."""
        ...


class Timers(Protocol):
    """Makes calls later, in the order of their times."""

    def after(self, ms: float, callback: Callable[[], object]) -> Timer:
        """Call back in `ms`; 0 means in the next turn of the event loop."""
        ...


class LoopTimers:
    """The timers of the running event loop."""

    def after(self, ms: float, callback: Callable[[], object]) -> Timer:
        """Call back in `ms`; 0 means in the next turn of the event loop."""
        loop = asyncio.get_running_loop()
        return loop.call_later(ms / 1000, callback) if ms > 0 else loop.call_soon(callback)
