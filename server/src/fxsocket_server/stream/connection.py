"""One client: who it is, what it may still be sent, and the ticks that it was too slow for."""

from collections.abc import Callable
from typing import Protocol

from fxsocket_server.channels import frames
from fxsocket_server.channels.conflation import LateTicks, LateValues
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.frames import TickFrame
from fxsocket_server.channels.topics import Topic
from fxsocket_server.core.clock import Clock
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.security.ip_rules import Address
from fxsocket_server.security.principal import Principal
from fxsocket_server.stream.gate import Gate
from fxsocket_server.stream.log_reader import LogReader
from fxsocket_server.stream.timers import Timer
from fxsocket_server.stream.wire import Wire


class Credentials(Protocol):
    """What came with the upgrade request."""

    @property
    def authorization(self) -> str | None:
        """The Authorization header."""
        ...

    @property
    def ticket(self) -> str | None:
        """What stood in the address as `?ticket=`."""
        ...

    @property
    def forwarded(self) -> tuple[str, ...]:
        """The values of X-Forwarded-For, in order."""
        ...


class Owner(Protocol):
    """Who knows all connections."""

    def opened(self, connection: "Connection") -> None:
        """The connection is up and may authenticate."""
        ...

    def received(self, connection: "Connection", message: bytes) -> None:
        """A message came."""
        ...

    def ended(self, connection: "Connection") -> None:
        """Nothing goes in or out any more."""
        ...

    def gone(self, connection: "Connection") -> None:
        """The socket is closed."""
        ...


class Connection:
    """The handler of a wire; `principal` is None until the client has authenticated."""

    def __init__(
        self,
        wire: Wire,
        log: LogReader,
        readers: FeedReaders["Connection"],
        gate: Gate["Connection"],
        clock: Clock,
        owner: Owner,
        credentials: Credentials,
    ) -> None:
        self.wire = wire
        self.log = log
        self.credentials = credentials
        self.principal: Principal | None = None
        self.address: Address | None = None
        self.timer: Timer | None = None
        self.pending_commands = 0
        self.unanswered: set[Delivery] = set()  # of commands without an answer yet
        # Answers, and where each ends in what was sent: not with the kernel yet, and since the
        # client's last word.
        self._leaving: list[tuple[Delivery, int]] = []
        self._written: list[tuple[Delivery, int]] = []
        self._readers = readers
        self._gate = gate
        self._clock = clock
        self._owner = owner
        self._late = LateTicks()
        self._values = LateValues()
        # Takes a tick that need not be acknowledged; it is called for every reader of every tick,
        # so a client that keeps up costs no more than an append.
        self.take: Callable[[TickFrame], None] = wire.outbox.append

    @property
    def identity(self) -> Principal:
        """Who the client is; only after authentication."""
        assert self.principal is not None
        return self.principal

    def send(self, frame: bytes) -> None:
        """Send a reply."""
        self.wire.send(frame)

    def answer(self, frame: bytes, delivery: Delivery) -> None:
        """Send a trade command's answer, and say whether it has left for the client."""
        self.send(frame)
        self.unanswered.discard(delivery)
        if self.wire.is_closing:
            delivery.connection_lost(reset=False)
        else:
            self._leaving.append((delivery, self.wire.sent_bytes))
            self._look_what_left()

    def _look_what_left(self) -> None:
        if self._leaving and not self.wire.is_closing and not self.wire.unsent_bytes():
            for delivery, _ in self._leaving:
                delivery.answer_written()
            self._written += self._leaving
            self._leaving = []

    # --- ticks -------------------------------------------------------------------------------

    def _take_behind(self, tick: TickFrame) -> None:
        """Keep only the newest tick of each symbol, unless the feed waits for this client."""
        if self._conflates(tick.account_id):
            self._late.put((tick.account_id, tick.symbol), tick.n, tick.plain)
        else:
            self.wire.outbox.append(tick)

    def paced_tick(self, tick: TickFrame) -> None:
        """Send a tick that the client has to acknowledge."""
        self._readers.sent(self, tick.account_id, tick.n)
        self.wire.send(tick.numbered)

    def _conflates(self, account_id: str) -> bool:
        # What is late already goes first, or a symbol's ticks would change their order.
        if self._late:
            return True
        return self._readers.conflates(self, account_id, self._clock.monotonic_ms())

    def _send_late(self) -> None:
        while self._late and not self.wire.is_full:
            (account_id, symbol), late = self._late.oldest()
            if late.skipped:
                self.wire.send(frames.tick_gap(account_id, symbol, late))
            self.wire.send(late.frame)

    def abandon_late(self, account_id: str, symbol: str) -> None:
        """Announce what is late of a symbol as left out: its subscription ends or changes."""
        late = self._late.abandon((account_id, symbol))
        if late is not None:
            self.wire.send(frames.tick_gap(account_id, symbol, late))

    # --- newest values -----------------------------------------------------------------------

    def latest(self, topic: Topic, frame: bytes, closed: str | None) -> None:
        """Send a newest value, or keep it instead of the one before while the client is behind."""
        if self._values or (self.wire.is_full and self._conflates(topic.account_id)):
            self._values.put(topic, frame, closed)
        else:
            self.wire.send(frame)

    def _send_late_values(self) -> None:
        while self._values and not self.wire.is_full:
            topic, late = self._values.oldest()
            if late.lost:
                self.wire.send(frames.candle_gap(topic, late))
            self.wire.send(late.frame)

    def abandon_value(self, topic: Topic) -> None:
        """Forget what is late of a topic: its subscription ends or changes."""
        late = self._values.abandon(topic)
        if late is not None:
            self.wire.send(frames.candle_gap(topic, late))

    # --- what the wire calls -----------------------------------------------------------------

    def opened(self) -> None:
        """The connection is up."""
        self._owner.opened(self)

    def received(self, message: bytes) -> None:
        """A message came: who goes on has read what was written before."""
        self._look_what_left()
        self._written.clear()
        self._owner.received(self, message)

    def filled(self) -> None:
        """The client is behind: from now on a live feed's ticks are conflated."""
        self.take = self._take_behind
        self._readers.filled(self, self._clock.monotonic_ms())

    def drained(self) -> None:
        """The client has caught up: late ticks first (few), then the log, then the feeds."""
        self._look_what_left()
        accounts = self._readers.drained(self)
        self._send_late()
        self._send_late_values()
        if not self.wire.is_full:
            self.take = self.wire.outbox.append
        self.log.drained()
        self._gate.release(accounts)

    def ended(self) -> None:
        """Let go of everything at once: no feed waits for a client that is leaving."""
        if self.timer is not None:
            self.timer.cancel()
        self._gate.release(self._readers.drop(self))
        self._owner.ended(self)

    def gone(self) -> None:
        """The socket is closed: answers that did not leave, or that crossed its end, are lost."""
        for delivery in (*(leaving for leaving, _ in self._leaving), *self.unanswered):
            delivery.connection_lost(reset=False)
        unread = self.wire.unread
        read_bytes = self.wire.sent_bytes - unread.unconfirmed_bytes
        for delivery, end in self._written:
            if unread.reset or end > read_bytes:
                delivery.connection_lost(reset=True)
        self._owner.gone(self)
