"""Connections inside one process: late, torn into pieces, cut, or swallowed without a word.

Protocols of the product (a bridge session, an HTTP connection) are given these transports in
place of sockets. Bytes of one direction arrive in order or not at all, as TCP promises.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from msgspec import Struct

from fxsocket_server.testkit.loop import ProtocolFactory, SimLoop, SimProcess, owner
from fxsocket_server.testkit.rng import Chance

_STEP_S = 1e-9  # two arrivals at one instant would come in any order


class Weather(Struct):
    """How the net treats a connection; changing it changes what is sent from now on."""

    low_ms: float = 0.1
    high_ms: float = 2.0
    slow: float = 0.0  # probability of a delay of up to `slow_ms`
    slow_ms: float = 0.0
    split: float = 0.0  # probability that a write arrives in pieces


class Link:
    """One connection, seen from outside: what the chaos takes hold of."""

    def __init__(self, net: "SimNet", address: str, here: "SimTransport") -> None:
        self.net = net
        self.address = address
        self.ends = [here]
        self.swallows = False
        self._under_way: list[asyncio.TimerHandle] = []

    @property
    def is_open(self) -> bool:
        """Whether any end still believes in it."""
        return any(end.is_open for end in self.ends)

    def cut(self) -> None:
        """Break it: what is under way is lost, both ends hear of it."""
        self._lose()
        for end in self.ends:
            self.later(end, end.lost, ConnectionResetError("the link was cut"))

    def swallow(self) -> None:
        """Turn it into a black hole: whatever is sent is lost and nobody hears of it."""
        self.swallows = True
        self._lose()

    def stall(self, seconds: float) -> None:
        """Let what is sent from now on arrive later; bytes stay in order."""
        self.net.slowest_s = max(self.net.slowest_s, seconds)
        for end in self.ends:
            end.arrives_s = max(end.arrives_s, self.net.loop.time() + seconds)

    def end_of_process(self, process: SimProcess, silent: bool) -> None:
        """Its process died: the other end hears it, unless the whole machine is gone."""
        for end in self.ends:
            if end.process is process:
                end.is_open = False
                if silent:
                    self.swallow()
                else:
                    self.later(end.peer, end.peer.lost, ConnectionResetError("the peer died"))

    def later(self, to: "SimTransport", callback: Callable[..., object], *args: Any) -> None:
        """Call the end `to` after everything that is on its way to it."""
        if self.swallows:
            return
        handle = self.net.at_end(to, callback, *args)
        self._under_way = [h for h in self._under_way if h.when() > self.net.loop.time()]
        self._under_way.append(handle)

    def _lose(self) -> None:
        for handle in self._under_way:
            handle.cancel()
        self._under_way = []


class _Socket:
    """What protocols ask of a transport's socket; writing to it directly fails, as it should."""

    def __init__(self, name: tuple[str, int]) -> None:
        self._name = name

    def fileno(self) -> int:
        """None that could be written to."""
        return -1

    def getpeername(self) -> tuple[str, int]:
        """The other end."""
        return self._name

    def getsockname(self) -> tuple[str, int]:
        """This end."""
        return self._name

    def setsockopt(self, *_: object) -> None:
        """A net of this size needs no tuning."""

    def getsockopt(self, *_: object) -> int:
        """None is set."""
        return 0


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    peer: "SimTransport"
    link: Link

    def __init__(self, protocol: asyncio.BaseProtocol, name: tuple[str, int]) -> None:
        super().__init__({"peername": name, "sockname": name, "socket": _Socket(name)})
        self.process = owner()
        self.context: Context = copy_context()
        self.is_open = True
        self.is_made = False  # a connection that breaks before it was accepted is never heard of
        self.was_reset = False
        self.arrives_s = 0.0  # when the last of what is on its way here arrives
        self.got = 0  # bytes that have arrived here
        self._protocol = protocol
        self._closing = False
        self._half_closed = False  # we send no more, but still read
        self._reading = True
        self._waiting: list[Callable[[], None]] = []
        self._sent = 0
        self._confirmed = 0
        self._confirmations: list[tuple[float, int]] = []  # when they come, and of how much

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who reads here."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol read."""
        self._protocol = protocol

    # --- sending -----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; like a socket, says nothing about their arrival."""
        if not data or self._half_closed or not self._may_send():
            return
        self._sent += len(data)
        for piece in self.link.net.pieces(bytes(data)):
            self.link.later(self.peer, self.peer.received, piece, self.got)

    def _may_send(self) -> bool:
        lives = self.process is None or self.process.step()
        return lives and self.is_open and not self._closing

    def unacknowledged(self) -> int:
        """Bytes that the other end has not confirmed, as far as this one can know now."""
        now = self.link.net.loop.time()
        for at, count in self._confirmations:
            if at <= now:
                self._confirmed = max(self._confirmed, count)
        self._confirmations = [known for known in self._confirmations if known[0] > now]
        return self._sent - self._confirmed

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Say goodbye after what was written."""
        if self._may_send():
            if not self._half_closed:
                self.link.later(self.peer, self.peer.ended, self.got)
            self._closing = True
            self._leave(None)

    def abort(self) -> None:
        """Reset the connection."""
        if self._may_send():
            self._closing = True
            self.link.later(self.peer, self.peer.lost, ConnectionResetError("reset by the peer"))
            self._leave(None)

    def _leave(self, error: Exception | None) -> None:
        loop = self.link.net.loop
        loop.call_soon(self._gone, error, context=self.context.copy())

    def is_closing(self) -> bool:
        """Whether it closes or is closed."""
        return self._closing or not self.is_open

    def can_write_eof(self) -> bool:
        """Connections can be closed by halves."""
        return True

    def write_eof(self) -> None:
        """Send no more, but go on reading."""
        if not self._half_closed and self._may_send():
            self._half_closed = True
            self.link.later(self.peer, self.peer.ended, self.got)

    def get_write_buffer_size(self) -> int:
        """Nothing: a net of this size swallows what it is given."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    # --- receiving ---------------------------------------------------------------------------

    def make(self) -> None:
        """Give the connection to its protocol."""
        self.is_made = True
        self._protocol.connection_made(self)

    def pause_reading(self) -> None:
        """Leave what arrives in the kernel."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read again, beginning with what has waited."""
        self._reading = True
        waiting, self._waiting = self._waiting, []
        for arrival in waiting:
            self._take(arrival)

    def is_reading(self) -> bool:
        """Whether arrivals are read."""
        return self._reading and self.is_open

    def received(self, data: bytes, confirmed: int) -> None:
        """Bytes arrived, and with them word of how much of ours did."""
        if not self.is_open:  # nobody is there: the kernel says so
            self.link.later(self.peer, self.peer.lost, ConnectionResetError("nobody reads there"))
            return
        self._confirmed = max(self._confirmed, confirmed)
        self.got += len(data)
        self.peer.confirm(self.got)
        self._take(lambda: self._data(data))

    def confirm(self, count: int) -> None:
        """The kernel of the other end says how much has arrived; word of it is under way."""
        net = self.link.net
        self._confirmations.append((net.loop.time() + net.delay_s(), count))

    def ended(self, confirmed: int) -> None:
        """The peer sends no more."""
        self._confirmed = max(self._confirmed, confirmed)
        self._take(self._end)

    def _take(self, arrival: Callable[[], None]) -> None:
        if not self.is_open:
            return
        if self._reading:
            arrival()
        else:
            self._waiting.append(arrival)

    def _data(self, data: bytes) -> None:
        if not self.is_open or self._closing:
            return
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            self._fill(self._protocol, data)
        else:
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.data_received(data)

    def _fill(self, protocol: asyncio.BufferedProtocol, data: bytes) -> None:
        while data and not self._closing:
            buffer = memoryview(protocol.get_buffer(len(data)))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            data = data[size:]
            protocol.buffer_updated(size)

    def _end(self) -> None:
        assert isinstance(self._protocol, asyncio.Protocol | asyncio.BufferedProtocol)
        if self.is_open and not self._protocol.eof_received():
            self.close()

    def lost(self, error: Exception) -> None:
        """The connection broke."""
        self.was_reset = isinstance(error, ConnectionResetError)
        self._gone(error)

    def _gone(self, error: Exception | None) -> None:
        if self.is_open:
            self.is_open = False
            self._closing = True
            if self.is_made:
                self._protocol.connection_lost(error)


class _Listener:
    """What `create_server` gives back."""

    def __init__(self, net: "SimNet", factory: ProtocolFactory, name: tuple[str, int]) -> None:
        self._net = net
        self.name = name
        self.factory = factory
        self.process = owner()
        self.context = copy_context()
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        """Host and port."""
        return self.name

    def close(self) -> None:
        """Accept no more."""
        self._net.listeners.pop(self.name, None)

    async def wait_closed(self) -> None:
        """Closed at once."""


class SimNet:
    """All connections of one world."""

    def __init__(self, loop: SimLoop, chance: Chance) -> None:
        self.loop = loop
        self.weather = Weather()
        self.listeners: dict[tuple[str, int], _Listener] = {}
        self.links: list[Link] = []
        self._chance = chance
        self._port = 40_000
        self.slowest_s = 0.0  # the longest that anything was under way

    def listen(self, factory: ProtocolFactory, host: str, port: int) -> Any:
        """Accept connections at an address for the process that asks."""
        self._port += not port
        listener = _Listener(self, factory, (host, port or self._port))
        self.listeners[listener.name] = listener
        return listener

    async def connect(
        self, factory: ProtocolFactory, host: str, port: int
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        """Connect the process that asks; raises ConnectionRefusedError."""
        await asyncio.sleep(self.delay_s())
        listener = self.listeners.get((host, port))
        if listener is None or (listener.process is not None and not listener.process.alive):
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        protocol = factory()
        near = SimTransport(protocol, listener.name)
        self._join(near, listener)
        near.make()
        return near, protocol

    def _join(self, near: SimTransport, listener: _Listener) -> None:
        far = listener.context.copy().run(_accepted, listener)
        link = Link(self, f"{listener.name[0]}:{listener.name[1]}", near)
        link.ends.append(far)
        near.peer, far.peer = far, near
        near.link = far.link = link
        self.links = [known for known in self.links if known.is_open]
        self.links.append(link)
        link.later(far, far.make)

    def end_of_process(self, process: SimProcess, silent: bool = False) -> None:
        """A process died: its connections break, its listeners are gone."""
        for name in [n for n, known in self.listeners.items() if known.process is process]:
            del self.listeners[name]
        for link in self.links:
            link.end_of_process(process, silent)

    def open_links(self) -> list[Link]:
        """The connections that stand, oldest first."""
        return [link for link in self.links if link.is_open]

    # --- weather -----------------------------------------------------------------------------

    def delay_s(self) -> float:
        """How long the next bytes are under way."""
        weather = self.weather
        ms = self._chance.between(weather.low_ms, weather.high_ms)
        if weather.slow and self._chance.happens(weather.slow):
            ms += self._chance.between(0, weather.slow_ms)
        self.slowest_s = max(self.slowest_s, ms / 1000)
        return ms / 1000

    def pieces(self, data: bytes) -> list[bytes]:
        """A write as it arrives."""
        if len(data) < 2 or not self._chance.happens(self.weather.split):
            return [data]
        at = 1 + self._chance.below(len(data) - 1)
        return [data[:at], data[at:]]

    def at_end(
        self, to: SimTransport, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Call an end after a delay, and after all that was sent to it before."""
        to.arrives_s = max(self.loop.time() + self.delay_s(), to.arrives_s + _STEP_S)
        return self.loop.call_at(to.arrives_s, callback, *args, context=to.context.copy())


def _accepted(listener: _Listener) -> SimTransport:
    """Inside the listening process: its end of a new connection, with a protocol."""
    return SimTransport(listener.factory(), listener.name)
