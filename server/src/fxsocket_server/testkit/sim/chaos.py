"""What goes wrong in a world, and how it is put right again."""

import asyncio
from contextlib import suppress
from typing import Any

from fxsocket_server.broker.faults import Fault, FaultError
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.testkit.clock import WallClock
from fxsocket_server.testkit.disk import SimDisk, Wear
from fxsocket_server.testkit.loop import SimProcess, owner
from fxsocket_server.testkit.net import SimNet, Weather
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.host import OUTSIDE, Host
from fxsocket_server.testkit.sim.parts import BRIDGE_PORT, HOST
from fxsocket_server.testkit.sim.plan import POINTS, TERMINAL_POINTS, Plan
from fxsocket_server.testkit.sim.server import SimServer
from fxsocket_server.testkit.sim.terminal import SimTerminal
from fxsocket_server.testkit.sim.trace import Trace

_HOUR_MS = 3_600_000
_BROKER_FAULTS: tuple[dict[str, Any], ...] = (
    {"lose_reply": True},
    {"delay_ms": 500},
    {"delay_ms": 5_000},
    {"delay_ms": 12_000},
    {"retcode": 10_004},
    {"freeze": True},
    {"duplicate_events": True},
    {"reorder_events": True},
    {"disconnect": True},
)


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
        server: Host[SimServer],
        terminals: list[Host[SimTerminal]],
    ) -> None:
        self._plan = plan
        self._chance = chance
        self._trace = trace
        self._net = net
        self._disk = disk
        self._wall = wall
        self._server = server
        self._terminals = terminals
        self._doom: asyncio.TimerHandle | None = None
        self._armed: dict[str, int] = {}  # how often a point must still be reached to crash there

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
        self._armed = {}
        self._disk.on_commit = None
        if self._doom is not None:
            self._doom.cancel()
        for process in (self._server.process, *(host.process for host in self._terminals)):
            if process is not None:
                process.crash_at(0)
        for connector in self._connectors():
            connector.clear_faults()
        for link in self._net.open_links():
            if link.swallows:
                link.swallows = False
                link.cut()

    def reach(self, point: str) -> None:
        """A named point of the order path was reached, in the process whose code runs."""
        self._trace.mark(f"reach.{point}")
        if self._armed.get(point):
            self._armed[point] -= 1
            process = owner()
            if not self._armed[point] and process is not None and process.alive:
                self._trace.mark(f"crash.{point}")
                process.kill()

    # --- faults ------------------------------------------------------------------------------

    def _crash(self) -> None:
        self._crash_soon(self._server.process)

    def _terminal_crash(self) -> None:
        if self._terminals:
            self._crash_soon(self._chance.choice(self._terminals).process)

    def _crash_soon(self, process: SimProcess | None) -> None:
        if process is not None:
            process.crash_at(1 + self._chance.below(self._chance.choice((20, 400))))

    def _crash_at_point(self) -> None:
        self._armed[self._chance.choice(POINTS)] = 1 + self._chance.below(5)

    def _crash_in_commit(self) -> None:
        """Die at some moment of the next commit: what was told before its end was told too soon."""

        def begun(lasts_s: float) -> None:
            self._disk.on_commit = None
            if self._server.process is not None:
                at_s = self._chance.between(0, lasts_s)
                kill, loop = self._server.process.kill, self._net.loop
                self._doom = loop.call_later(at_s, kill, context=OUTSIDE.copy())

        self._disk.on_commit = begun

    def _terminal_power(self) -> None:
        for host in self._terminals:
            if host.process is not None and self._chance.happens(0.7):
                host.program.ledger.power_fails = True
                host.process.kill()

    def _terminal_crash_at_point(self) -> None:
        self._armed[self._chance.choice(TERMINAL_POINTS)] = 1 + self._chance.below(5)

    def _broker_fault(self) -> None:
        for connector in self._connectors():
            if self._chance.happens(0.7):
                self._put_fault(connector)

    def _connectors(self) -> list[SimConnector]:
        """The simulated brokers that live now, in the server and in the terminals."""
        found = [host.program.connector for host in self._terminals if host.process is not None]
        return found + (self._server.program.sim_connectors() if self._is_up() else [])

    def _is_up(self) -> bool:
        return self._server.process is not None and self._server.program.is_built

    def _put_fault(self, connector: SimConnector) -> None:
        kind = self._chance.choice(_BROKER_FAULTS)
        fault = Fault(**kind, times=1 + self._chance.below(4), seed=self._chance.below(99))
        self._trace.mark(f"broker.{','.join(kind)}")
        if self._chance.happens(0.2):
            connector.clear_faults()
        with suppress(FaultError):  # there are as many as there may be
            connector.put_fault(fault)

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
        self._net.weather.slow_ms = self._chance.choice((50, 500, 9_000))

    def _bridge_stall(self) -> None:
        bridge = f"{HOST}:{BRIDGE_PORT}"
        for link in [link for link in self._net.open_links() if link.address == bridge]:
            link.stall(self._chance.between(3, 9))

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
