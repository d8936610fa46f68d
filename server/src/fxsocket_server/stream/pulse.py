"""Lets a value out at most so many times a second: at once after a pause, else when it is time."""

from collections.abc import Callable

from fxsocket_server.channels.throttle import Throttle
from fxsocket_server.core.clock import Clock
from fxsocket_server.stream.timers import Timer, Timers


class Pulse:
    """Calls `emit` once for each touch, or for several that came too soon after one another."""

    def __init__(self, rate: float, clock: Clock, timers: Timers, emit: Callable[[], None]) -> None:
        self._throttle = Throttle(rate)
        self._clock = clock
        self._timers = timers
        self._emit = emit
        self._timer: Timer | None = None

    def touch(self) -> None:
        """There is a new value."""
        if self._timer is not None:
            return
        wait_ms = self._throttle.wait_ms(self._clock.monotonic_ms())
        if wait_ms > 0:
            self._timer = self._timers.after(wait_ms, self._due)
        else:
            self._due()

    def _due(self) -> None:
        self._timer = None
        self.sent()
        self._emit()

    def sent(self) -> None:
        """A value goes out now: the next one waits from here."""
        self._throttle.sent(self._clock.monotonic_ms())

    def stop(self) -> None:
        """Emit no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
