"""Keeps a terminal's session alive: dials, proves the token, checks the server, dials again."""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from fxsocket_server.connectors.bridge.wire import Wire
from fxsocket_server.connectors.terminal.terminal import Terminal
from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.fxb.codec import terminal_decoder
from fxsocket_server.fxb.frames import FrameError
from fxsocket_server.fxb.messages import (
    VERSION,
    Ack,
    Auth,
    Bye,
    Challenge,
    Cr,
    Hello,
    Ping,
    Pong,
    Ready,
    Req,
    State,
    ToTerminal,
)
from fxsocket_server.security.connector_tokens import (
    ConnectorToken,
    is_proof,
    server_proof,
    terminal_proof,
)


class Identity(Struct, frozen=True, kw_only=True):
    """Who dials where; `boot` is new at every start of the terminal."""

    host: str
    port: int
    token: ConnectorToken
    login: int
    server: str
    ledger: str
    boot: str


class Epochs:
    """The highest epoch that the terminal has obeyed, kept where a restart finds it."""

    def __init__(self, highest: int, keep: Callable[[int], None]) -> None:
        self.highest = highest
        self._keep = keep

    def obey(self, epoch: int) -> None:
        """Obey a server; FrameError when a newer one was obeyed before."""
        if epoch <= self.highest:
            raise FrameError(f"epoch {epoch} is over: a server with {self.highest} was obeyed")
        self.highest = epoch
        self._keep(epoch)


class Dialer:
    """One terminal's way to its server; `on_change` hears of sessions that begin and end."""

    def __init__(
        self,
        terminal: Terminal,
        identity: Identity,
        epochs: Epochs,
        clock: Clock,
        rng: SplitMix64,
        on_change: Callable[[int | None, str], None],
    ) -> None:
        self._terminal = terminal
        self._identity = identity
        self._epochs = epochs
        self._clock = clock
        self._rng = rng
        self._on_change = on_change
        self._backoff_ms = limits.BRIDGE_BACKOFF_MS[0]
        self._link: _Link | None = None

    def server_ms(self) -> float:
        """The server's clock as this session has heard it: it can only be behind."""
        return float("-inf") if self._link is None else self._link.server_ms()

    async def run(self) -> None:
        """Dial again and again until cancelled."""
        while True:  # until cancelled
            link = _Link(self._terminal, self._identity, self._epochs, self._clock, self._rng)
            self._link = link
            link.on_ready = self._on_ready
            why = await link.live()
            self._on_change(None, why)
            await asyncio.sleep(self._pause_ms(link.retry_ms) / 1000)

    def _on_ready(self, epoch: int) -> None:
        self._backoff_ms = limits.BRIDGE_BACKOFF_MS[0]
        self._on_change(epoch, "")

    def _pause_ms(self, asked_ms: int) -> int:
        """The server's wish, or a doubling backoff; both with jitter, so that many do not rush."""
        low, high = limits.BRIDGE_BACKOFF_MS
        pause = min(asked_ms, limits.BRIDGE_RETRY_MS) if asked_ms else self._backoff_ms
        self._backoff_ms = min(2 * self._backoff_ms, high)
        pause = max(pause, low)
        return pause // 2 + self._rng.below(pause // 2 + 1)


class _Link:
    """One connection, from the hello to its end."""

    def __init__(
        self,
        terminal: Terminal,
        identity: Identity,
        epochs: Epochs,
        clock: Clock,
        rng: SplitMix64,
    ) -> None:
        self.retry_ms = 0
        self.on_ready: Callable[[int], None] = _ignore
        self._terminal = terminal
        self._identity = identity
        self._epochs = epochs
        self._clock = clock
        self._nonce = rng.bytes(16).hex()
        self._server_nonce = ""
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._wire: Wire[ToTerminal] | None = None
        self._epoch = 0
        self._head_q = 0
        self._ahead_ms = float("-inf")  # by how much the server's clock is ahead of ours
        self._silence: asyncio.TimerHandle | None = None
        self._silence_ms = limits.BRIDGE_HELLO_MS

    async def live(self) -> str:
        """Connect and serve until the connection ends; returns why it did."""
        loop, who = asyncio.get_running_loop(), self._identity
        try:
            async with asyncio.timeout(limits.BRIDGE_HELLO_MS / 1000):
                await loop.create_connection(
                    lambda: Wire(terminal_decoder(), self._on_made), who.host, who.port
                )
        except (OSError, TimeoutError) as error:
            return f"{who.host}:{who.port} cannot be reached: {error}"
        try:
            return await self._ended
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        terminal = self._terminal
        terminal.outbox.close()
        terminal.send, terminal.on_state = None, _nothing
        if self._silence is not None:
            self._silence.cancel()
        assert self._wire is not None
        self._wire.cut("the terminal stops")

    def _on_made(self, wire: Wire[ToTerminal]) -> None:
        self._wire = wire
        wire.on_message, wire.on_lost = self._on_message, self._on_lost
        who = self._identity
        self._head_q = self._terminal.outbox.head_q
        wire.send(
            Hello(
                v=(VERSION,),
                impl="sim-terminal",
                key=who.token.key,
                login=who.login,
                server=who.server,
                boot=who.boot,
                cn=self._nonce,
                ledger=who.ledger,
                q=self._head_q,
                epoch=self._epochs.highest,
            )
        )
        self._listen()

    def _on_lost(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_result(why)

    def _listen(self) -> None:
        """A server that is silent for too long is left."""
        if self._silence is not None:
            self._silence.cancel()
        assert self._wire is not None
        loop, why = asyncio.get_running_loop(), f"it was silent for {self._silence_ms} ms"
        self._silence = loop.call_later(self._silence_ms / 1000, self._wire.cut, why)

    # --- what the server says ----------------------------------------------------------------

    def _on_message(self, message: ToTerminal) -> None:
        assert self._wire is not None
        self._listen()
        if isinstance(message, Bye):
            self.retry_ms = message.retry_ms
            self._wire.gone(f"{message.code}: {message.detail}")
        elif isinstance(message, Challenge):
            self._on_challenge(message)
        elif isinstance(message, Ready):
            self._on_ready(message)
        elif not self._epoch:
            raise FrameError("the server has not proved itself")
        else:
            self._on_word(message)
            self._terminal.outbox.pump()

    def _on_challenge(self, challenge: Challenge) -> None:
        assert self._wire is not None
        if challenge.v != VERSION:
            raise FrameError(f"this terminal speaks FXB/{VERSION}, the server FXB/{challenge.v}")
        who, self._server_nonce = self._identity, challenge.sn
        self._hear_clock(challenge.gw_ms)
        nonces = (who.boot, self._nonce, challenge.sn)
        mac = terminal_proof(who.token, who.login, who.server, nonces)
        self._wire.send(Auth(mac=mac))

    def _on_ready(self, ready: Ready) -> None:
        assert self._wire is not None
        expected = server_proof(self._identity.token, (self._nonce, self._server_nonce))
        if not self._server_nonce or self._epoch or not is_proof(ready.mac, expected):
            raise FrameError("the server does not know the token")
        self._epochs.obey(ready.epoch)
        self._epoch = ready.epoch
        self._hear_clock(ready.gw_ms)
        self._silence_ms = ready.hb_ms * (limits.BRIDGE_MISSED_BEATS + 1)
        terminal, wire = self._terminal, self._wire
        terminal.send, terminal.on_state = wire.send, self._tell_state
        self.on_ready(ready.epoch)
        if not terminal.connected:
            self._tell_state()
        received_q = self._head_q if ready.rx is None else ready.rx
        terminal.outbox.open(wire.send, received_q, ready.credit)

    def _on_word(self, message: Any) -> None:
        assert self._wire is not None
        if isinstance(message, Req):
            expired = message.exp is not None and self.server_ms() > message.exp
            for result in self._terminal.answer(message, expired=expired):
                self._wire.send(result)
        elif isinstance(message, Ack):
            self._terminal.outbox.acknowledge(message.q)
        elif isinstance(message, Cr):
            self._terminal.outbox.give_credit(message.n)
        elif isinstance(message, Ping):
            self._hear_clock(message.gw_ms)
            dropped = self._terminal.outbox.dropped_ticks
            self._wire.send(Pong(n=message.n, conn=self._terminal.connected, drop=dropped))

    def _tell_state(self) -> None:
        assert self._wire is not None
        self._wire.send(State(conn=self._terminal.connected, why=self._terminal.fault))

    # --- the server's clock ------------------------------------------------------------------

    def _hear_clock(self, gw_ms: int) -> None:
        """What took least on its way tells most: later word can only make the clock too slow."""
        self._ahead_ms = max(self._ahead_ms, gw_ms - self._clock.monotonic_ms())

    def server_ms(self) -> float:
        """The server's clock as it was heard."""
        return self._clock.monotonic_ms() + self._ahead_ms


def _ignore(_: Any) -> None:
    pass


def _nothing() -> None:
    pass
