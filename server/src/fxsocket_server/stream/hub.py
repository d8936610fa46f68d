"""All connections of the stream: who they are, what reaches them, and the feeds they hold back."""

import asyncio
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger

from fxsocket_server.channels import frames
from fxsocket_server.channels.close_codes import CloseCode
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.frames import FrameId, TickFrame
from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.codec import convert, decode_object
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.messages import BUS_LINK, KeyMessage
from fxsocket_server.gateway.ports import Bus, TickMessage
from fxsocket_server.gateway.views import time_text
from fxsocket_server.security.ip_rules import TrustedProxies
from fxsocket_server.security.keys import bearer
from fxsocket_server.security.principal import Principal
from fxsocket_server.security.scopes import stream_scopes
from fxsocket_server.security.tickets import TicketBook, TicketMessage
from fxsocket_server.stream.actions import Actions
from fxsocket_server.stream.backend import Backend
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.commands import Commands
from fxsocket_server.stream.connection import Connection, Credentials
from fxsocket_server.stream.fanout import Fanout
from fxsocket_server.stream.gate import Gate
from fxsocket_server.stream.holdings import Holdings
from fxsocket_server.stream.latest import Latest
from fxsocket_server.stream.log_reader import EventBatch, LogReader
from fxsocket_server.stream.replies import problem_frame
from fxsocket_server.stream.requests import Auth
from fxsocket_server.stream.snapshots import Snapshots
from fxsocket_server.stream.stale import StaleWatch
from fxsocket_server.stream.subscribe import Subscribe
from fxsocket_server.stream.timers import LoopTimers, Timer, Timers
from fxsocket_server.stream.unread import Unread, unread_of
from fxsocket_server.stream.values import Desk
from fxsocket_server.stream.wire import Wire

# Frames after which a client may still want to resume before it hears of events.
_STILL_HOLDING = ("resume", "auth")


class StreamHub:
    """Fans ticks and events out to connections; is the FeedGate of every account's feed."""

    def __init__(
        self,
        backend: Backend,
        bus: Bus,
        clock: Clock,
        logger: FilteringBoundLogger,
        *,
        bounds: StreamBounds | None = None,
        timers: Timers | None = None,
        unread_of: Callable[[Any], Unread] = unread_of,
        proxies: TrustedProxies | None = None,
    ) -> None:
        self.log = logger
        self.bounds = bounds or StreamBounds()
        self._backend = backend
        self._proxies = proxies or TrustedProxies()
        self._clock = clock
        self._timers = timers or LoopTimers()
        self._unread_of = unread_of
        self._readers: FeedReaders[Connection] = FeedReaders(self.bounds.stall_ms)
        self._gate = Gate(self._readers, clock, self._timers)
        self._commands = Commands(backend, logger, self.bounds)
        desk = Desk(backend, clock, self._timers, logger, self.bounds.stale_ms)
        self._latest = Latest(desk, self._readers)
        holdings = Holdings(self._readers, self._latest)
        self._stale = StaleWatch(
            backend, clock, self._readers, self._latest, holdings, self._everybody,
            self.bounds.stale_ms,
        )  # fmt: skip
        subscribe = Subscribe(
            backend, self._readers, self._gate, self._latest, holdings,
            Snapshots(desk, self._latest), self._stale, self.bounds,
        )  # fmt: skip
        self._actions = Actions(backend, self._readers, self._gate, self._commands, subscribe)
        self._fanout = Fanout(self._timers, self.bounds)
        self._scopes = stream_scopes(self._actions.by_name)
        self._tickets = TicketBook()
        self._connections: dict[Connection, None] = {}
        self._by_user: dict[str, dict[Connection, None]] = {}
        self._scan: Timer | None = None
        self._emptied: asyncio.Future[None] | None = None
        bus.subscribe("ticks.*", self._on_tick)
        bus.subscribe("events.*", self._on_events)
        bus.subscribe("tickets.*", self._on_ticket)
        bus.subscribe("terminal.*", self._stale.on_terminal)
        bus.subscribe("market.*", self._latest.on_market)
        bus.subscribe(BUS_LINK, self._stale.on_link)
        bus.subscribe("keys.*", self._on_key)

    # --- FeedGate ----------------------------------------------------------------------------

    def held(self, account_id: str, lossless: bool) -> bool:
        """Whether the feed must wait: a pacing reader owes an ack, or a reader has no room."""
        return self._gate.held(account_id, lossless)

    async def wait(self, account_id: str, lossless: bool) -> None:
        """Return once the feed may deliver its next tick."""
        await self._gate.wait(account_id, lossless)

    async def first_reader(self, account_id: str) -> None:
        """Return once somebody has subscribed to the account's ticks."""
        await self._gate.first_reader(account_id)

    # --- what is published -------------------------------------------------------------------

    def _on_tick(self, message: object) -> None:
        assert isinstance(message, TickMessage)
        quote, account_id = message.quote, message.account_id
        # First of all: a client that acknowledges the tick has seen what is made of it.
        self._latest.on_tick(message)
        self._stale.on_tick(message)
        watchers = self._readers.watchers(account_id, quote.symbol)
        if watchers is None:
            return
        plain = frames.tick(account_id, quote, message.digits, time_text(quote.time_ms))
        tick = TickFrame(account_id, quote.symbol, message.n, plain=plain)
        self._fanout.tick(tick, watchers)
        for connection in watchers.paced:
            connection.paced_tick(tick)

    def _on_events(self, message: object) -> None:
        assert isinstance(message, list)
        events: list[Event] = message
        account_id = events[0].account_id
        seen = self._backend.account(account_id)
        batch = EventBatch(account_id, seen.epoch or "", events)
        audience: list[Connection] = []
        commanders: list[Connection] = []
        for connection in self._by_user.get(seen.account.user_id, ()):
            if connection.identity.may_see(account_id):
                connection.log.publish(batch)
                # An answer on its way takes the events along: one write, read at once.
                (commanders if connection.pending_commands else audience).append(connection)
        self._fanout.flush(tuple(audience))
        self._fanout.flush_later(tuple(commanders))
        self._latest.on_change(account_id)

    def _on_ticket(self, message: object) -> None:
        assert isinstance(message, TicketMessage)
        self._tickets.put(message, self._clock.monotonic_ms())

    # --- connections -------------------------------------------------------------------------

    @property
    def is_crowded(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._connections) >= self.bounds.connections

    def accept(self, credentials: Credentials) -> Wire:
        """The end of a new connection, to be given to the socket server."""
        wire = Wire(self.bounds, self._timers, self._unread_of)
        log = LogReader(wire, self._backend, self._timers, self.bounds.page_events)
        wire.handler = Connection(
            wire, log, self._readers, self._gate, self._clock, self, credentials
        )
        return wire

    def opened(self, connection: Connection) -> None:
        """Authenticate by what came with the upgrade, or wait for the first frame."""
        self._connections[connection] = None
        credentials = connection.credentials
        connection.address = self._proxies.client(connection.wire.peer, credentials.forwarded)
        if credentials.authorization is not None:
            try:
                self._admit(connection, bearer(credentials.authorization))
            except Problem as problem:
                self._reject(connection, problem)
        elif credentials.ticket is not None:
            try:
                self._let_in(connection, self._redeemed(credentials.ticket))
            except Problem as problem:
                self._reject(connection, problem)
        else:
            connection.timer = self._timers.after(
                self.bounds.auth_ms, lambda: self._reject(connection, self._not_in_time())
            )

    def _not_in_time(self) -> Problem:
        return Problem(
            "unauthorized",
            "no key came in time; send the Authorization header, or "
            f'{{"action":"auth","api_key":"..."}} within {self.bounds.auth_ms} ms',
        )

    def _admit(self, connection: Connection, secret: str) -> None:
        """Let a client in; raises `unauthorized`, or `forbidden` where its key may not be used."""
        self._let_in(connection, self._authenticated(secret))

    def _redeemed(self, ticket: str) -> Principal:
        """Who a ticket stands for, as far as the key may still do; raises `unauthorized`."""
        asked = self._tickets.redeem(ticket, self._clock.monotonic_ms())
        principal = None if asked is None else self._backend.current(asked)
        if principal is None:
            raise Problem(
                "unauthorized",
                "the ticket is unknown, used or too old; ask for another with "
                "POST /v1/stream/tickets",
            )
        principal.check_valid(self._clock.wall_ms())
        return principal

    def _let_in(self, connection: Connection, principal: Principal) -> None:
        principal.require_address(connection.address)
        if connection.timer is not None:
            connection.timer.cancel()
        connection.principal = principal
        self._by_user.setdefault(principal.user_id, {})[connection] = None
        connection.timer = self._timers.after(self.bounds.first_frame_ms, connection.log.release)

    def _authenticated(self, secret: str) -> Principal:
        try:
            return self._backend.authenticate(secret)
        except UnicodeEncodeError:
            raise Problem("unauthorized", "the API key is not readable text") from None

    def _reject(self, connection: Connection, problem: Problem, frame_id: FrameId = None) -> None:
        connection.send(problem_frame(problem, frame_id))
        is_forbidden = problem.kind.status == 403
        code = CloseCode.FORBIDDEN if is_forbidden else CloseCode.UNAUTHORIZED
        connection.wire.close(code, problem.detail)

    def ended(self, connection: Connection) -> None:
        """Send it nothing any more."""
        self._latest.drop(connection)
        if connection.principal is not None:
            others = self._by_user[connection.principal.user_id]
            del others[connection]
            if not others:
                del self._by_user[connection.principal.user_id]

    def gone(self, connection: Connection) -> None:
        """The socket is closed."""
        self._connections.pop(connection, None)
        if self._emptied is not None and not self._connections and not self._emptied.done():
            self._emptied.set_result(None)

    # --- what clients send -------------------------------------------------------------------

    def received(self, connection: Connection, message: bytes) -> None:
        """Read a message, do what it asks, or say why not."""
        try:
            frame = decode_object(message)
        except Problem as problem:
            self._refuse_message(connection, message, problem)
            return
        frame_id = frame.get("id")
        if not isinstance(frame_id, str | int) or isinstance(frame_id, bool):
            frame_id = None
        try:
            if connection.principal is None:
                self._first_frame(connection, frame, frame_id)
            else:
                self._act(connection, frame)
        except Problem as problem:
            if connection.principal is None:
                self._reject(connection, problem, frame_id)
            else:
                connection.send(problem_frame(problem, frame_id))

    def _refuse_message(self, connection: Connection, message: bytes, problem: Problem) -> None:
        if connection.principal is None:
            self._reject(connection, self._not_auth())
            return
        connection.send(problem_frame(problem, None))
        try:
            message.decode()
        except UnicodeDecodeError:
            connection.wire.close(CloseCode.PROTOCOL_ERROR, problem.detail)

    def _first_frame(
        self, connection: Connection, frame: dict[str, Any], frame_id: FrameId
    ) -> None:
        if frame.get("action") != "auth":
            raise self._not_auth()
        self._admit(connection, convert(frame, Auth).api_key)
        self._actions.greet(connection, frame_id)

    def _not_auth(self) -> Problem:
        return Problem(
            "unauthorized",
            'the first frame must be {"action":"auth","api_key":"..."} when there is no '
            "Authorization header",
        )

    def _act(self, connection: Connection, frame: dict[str, Any]) -> None:
        name = frame.get("action")
        action = self._actions.by_name.get(name) if isinstance(name, str) else None
        if action is None:
            known = ", ".join(self._actions.by_name)
            raise Problem("validation_error", f"action must be one of {known}", pointer="/action")
        connection.identity.require(self._scopes[str(name)])
        if name not in _STILL_HOLDING:
            connection.log.release()
        action(connection, frame)

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send heartbeats."""
        self._scan = self._timers.after(
            self.bounds.heartbeat_ms / limits.STREAM_HEARTBEAT_SCANS, self._scan_all
        )

    def _scan_all(self) -> None:
        heartbeat = frames.heartbeat(time_text(self._clock.wall_ms()))
        for connection in tuple(self._connections):
            if connection.principal is not None and self._is_valid(connection):
                connection.wire.scan(heartbeat)
        self._stale.scan()
        self.start()

    def _everybody(self) -> list[Connection]:
        """All clients that have authenticated."""
        return [connection for others in self._by_user.values() for connection in others]

    # --- keys that change while they are in use ----------------------------------------------

    def _is_valid(self, connection: Connection) -> bool:
        """Whether a client's key is valid still; one whose time has passed is closed."""
        try:
            connection.identity.check_valid(self._clock.wall_ms())
        except Problem as problem:
            self._reject(connection, problem)
            return False
        return True

    def _on_key(self, message: object) -> None:
        """A key was made, changed or revoked, here or by another process."""
        assert isinstance(message, KeyMessage)
        for connection in tuple(self._by_user.get(message.key.user_id, ())):
            if connection.identity.key_id == message.key.id:
                self._renew(connection)

    def _renew(self, connection: Connection) -> None:
        """Go on under the key as it is now; what may do otherwise than before connects anew."""
        before, now = connection.identity, self._backend.current(connection.identity)
        if now is None:
            self._reject(connection, Problem("unauthorized", "the API key was revoked"))
        elif now.may_do_as(before):
            connection.principal = now
        else:
            connection.wire.close(CloseCode.RESTART, "the API key has changed; reconnect")

    async def stop(self, timeout_ms: float) -> None:
        """Finish commands, close every connection with 4000, and drop those that linger."""
        if self._scan is not None:
            self._scan.cancel()
        self._gate.shut()
        await self._commands.finish(timeout_ms / 2)
        for connection in tuple(self._connections):
            connection.wire.close(CloseCode.RESTART, "the server stops or restarts; reconnect")
        await self._wait_until_empty(timeout_ms / 2)
        for connection in tuple(self._connections):
            connection.wire.abort()

    async def _wait_until_empty(self, timeout_ms: float) -> None:
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._emptied,), timeout=timeout_ms / 1000)
