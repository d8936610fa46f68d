"""What goes wrong in a world, and how it is put right again."""

import asyncio
from collections.abc import Callable

from fxsocket_server.testkit.clock import WallClock
from fxsocket_server.testkit.disk import SimDisk, Wear
from fxsocket_server.testkit.loop import SimProcess
from fxsocket_server.testkit.net import SimNet, Weather
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.plan import POINTS, Plan
from fxsocket_server.testkit.sim.trace import Trace

_HOUR_MS = 3_600_000


class Chaos:
    """Strikes at random moments, until it is told to heal everything."""

    def __init__(
        self,
        plan: Plan,
        chance: Chance,
        trace: Trace,
        net: SimNet,
        disk: SimDisk,
        wall: WallClock,
        server: Callable[[], SimProcess | None],
    ) -> None:
        self._plan = plan
        self._chance = chance
        self._trace = trace
        self._net = net
        self._disk = disk
        self._wall = wall
        self._server = server
        self._point = ""
        self._point_in = 0

    async def rage(self) -> None:
        """Let one fault after the other strike."""
        end_s = self._net.loop.time() + self._plan.chaos_s
        while self._plan.faults and self._net.loop.time() < end_s:
            await asyncio.sleep(self._chance.between(0, 2 * self._plan.gap_s))
            fault = self._chance.choice(self._plan.faults)
            self._trace.mark(f"fault.{fault}")
            getattr(self, f"_{fault}")()
        self.heal()

    def heal(self) -> None:
        """Put everything right."""
        self._trace.note("all is well again")
        self._net.weather = Weather()
        self._disk.wear = Wear()
        self._point_in = 0
        server = self._server()
        if server is not None:
            server.crash_at(0)
        for link in self._net.open_links():
            if link.swallows:
                link.swallows = False
                link.cut()

    def reach(self, point: str) -> None:
        """A named point of the order path was reached."""
        self._trace.mark(f"reach.{point}")
        if point == self._point and self._point_in:
            self._point_in -= 1
            server = self._server()
            if not self._point_in and server is not None and server.alive:
                self._trace.mark(f"crash.{point}")
                server.kill()

    # --- faults ------------------------------------------------------------------------------

    def _crash(self) -> None:
        server = self._server()
        if server is not None:
            server.crash_at(1 + self._chance.below(self._chance.choice((20, 400))))

    def _crash_at_point(self) -> None:
        self._point = self._chance.choice(POINTS)
        self._point_in = 1 + self._chance.below(5)

    def _cut(self) -> None:
        links = self._net.open_links()
        if links:
            self._chance.choice(links).cut()

    def _swallow(self) -> None:
        links = self._net.open_links()
        if links:
            self._chance.choice(links).swallow()

    def _slow_net(self) -> None:
        self._net.weather.slow = self._chance.between(0, 0.5)
        self._net.weather.slow_ms = self._chance.choice((50, 500, 6_000))

    def _split(self) -> None:
        self._net.weather.split = self._chance.between(0, 1)

    def _slow_disk(self) -> None:
        self._disk.wear.slow_ms = self._chance.choice((0, 20, 500, 9_000))

    def _full_disk(self) -> None:
        self._disk.wear.full = not self._disk.wear.full

    def _failing_disk(self) -> None:
        self._disk.wear.fails = self._chance.choice((0, 0.1, 0.5, 1))

    def _wall_clock(self) -> None:
        self._wall.jump_ms += self._chance.choice((-_HOUR_MS, _HOUR_MS, -1_500, 1_500))
