"""The stream's end: copies that answer at once, questions that cross, a bus fed from the link."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.directory import Directory, LinkedAccount, no_terminal
from fxsocket_server.gateway.market_views import AccountView
from fxsocket_server.gateway.messages import BUS_LINK, KeyMessage, LinkMessage, MarketState
from fxsocket_server.gateway.ports import Bus, FeedGate
from fxsocket_server.model.account import Account
from fxsocket_server.model.candle import Candle
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.server_time import ServerZone
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.security.keys import Keyring
from fxsocket_server.security.principal import Principal
from fxsocket_server.stream.apart.asks import CandleAsk, EventsAsk, RunAsk
from fxsocket_server.stream.apart.link import Link
from fxsocket_server.stream.apart.messages import (
    AccountCopy,
    Answered,
    Ask,
    AwaitReader,
    Copies,
    Delivered,
    Greeting,
    KeyChanged,
    KeyUsed,
    Listening,
    MarketChanged,
    Passed,
    Published,
    ReaderCame,
    Refused,
    Stop,
    TerminalChanged,
    Ticked,
    TicketGiven,
    decode_down,
)
from fxsocket_server.stream.backend import Command, Page, PositionsNow, StreamAccount

T = TypeVar("T")

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


class FarAccount:
    """A copy of an account, kept up by what is published."""

    def __init__(self, linked: LinkedAccount, copy: AccountCopy, clock: Clock) -> None:
        self.linked = linked
        self.epoch = copy.epoch
        self.head = copy.head
        self._clock = clock
        self._zone = None if copy.zone is None else copy.zone.zone()
        self._specs = {spec.symbol: spec for spec in copy.specs}
        self.quotes = {quote.symbol: quote for quote in copy.quotes}
        self.markets = dict(copy.markets)
        self.last_ms = max((quote.time_ms for quote in copy.quotes), default=0)

    @property
    def account(self) -> Account:
        """The account as it was linked."""
        return self.linked.account

    @property
    def status(self) -> AccountStatus:
        """Whether its terminal is there."""
        return self.linked.status

    @property
    def error(self) -> str | None:
        """Why its terminal is not there; None while it is."""
        return self.linked.error

    def specs(self) -> Mapping[str, SymbolSpec]:
        """Its symbols, by name."""
        return self._specs

    def quote(self, symbol: str) -> Quote | None:
        """A symbol's newest price, or None before the first."""
        return self.quotes.get(symbol)

    def market(self, symbol: str) -> MarketState:
        """Whether a symbol may be traded now."""
        return self.markets[symbol]

    def time_ms(self) -> int:
        """The broker clock: the wall clock, or the newest tick of a replay."""
        is_replay = self.account.kind is AccountKind.REPLAY
        return self.last_ms if is_replay else self._clock.wall_ms()

    @property
    def zone(self) -> ServerZone:
        """The wall clock of the broker's server."""
        if self._zone is None:
            raise Problem("unavailable", "the account has no prices yet", retry_after_s=1)
        return self._zone


class FarBackend:
    """Answers the stream from copies, and asks the gateway's process for the rest."""

    def __init__(self, bus: Bus, clock: Clock, ids: IdFactory) -> None:
        self._bus = bus
        self._clock = clock
        self._ids = ids
        self._directory = Directory(bus)
        self._keyring = Keyring(b"", (), clock.wall_ms)
        self._views: dict[str, FarAccount] = {}
        self._link: Link | None = None
        self._number = 0
        self._asked: dict[int, Callable[[bytes | None, Problem | None], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate: FeedGate
        self.stopped = asyncio.Event()
        self.greeted = asyncio.Event()

    # --- the link ----------------------------------------------------------------------------

    def serve(self, gate: FeedGate) -> None:
        """Let the readers behind a gate hold the feeds."""
        self._gate = gate

    async def keep_linked(self, path: str, is_orphan: Callable[[], bool]) -> None:
        """Dial the gateway's process whenever the link is down, until told to stop.

        An orphan, whose gateway's process is gone for good, stops by itself.
        """
        while not self.stopped.is_set():  # until told to stop
            if is_orphan():
                self.stopped.set()
            with contextlib.suppress(OSError):
                await self._linked(path)
            await asyncio.sleep(limits.STREAM_LINK_RETRY_MS / 1000)

    async def _linked(self, path: str) -> None:
        """Dial, and return when the link is lost again."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()
        await loop.create_unix_connection(
            lambda: Link(self._opened, self._received, lambda _: lost.set_result(None)), path
        )
        await lost
        self._lost()

    def _opened(self, link: Link) -> None:
        self._link = link

    def _lost(self) -> None:
        self._link = None
        self._bus.publish(BUS_LINK, LinkMessage(is_up=False))
        asked, self._asked = self._asked, {}
        problem = Problem(
            "unavailable",
            "the stream lost the gateway; look the order up, or send it again with the same key",
            retry_after_s=1,
        )
        for then in asked.values():
            then(None, problem)

    def close(self) -> None:
        """End the link for good."""
        self.stopped.set()
        if self._link is not None:
            self._link.cut()

    def listens(self, port: int) -> None:
        """Tell that clients may come."""
        self._send(Listening(port))

    def _send(self, message: Any) -> None:
        if self._link is not None:
            self._link.send(message)

    def _received(self, body: bytes) -> None:
        message = decode_down(body)
        match message:
            case Ticked():
                self._on_tick(message)
            case Published(events):
                self._publish(events)
            case Answered(ask, answer):
                self._asked.pop(ask)(answer, None)
            case Refused():
                self._asked.pop(message.ask)(None, message.problem())
            case TerminalChanged(changed):
                self._bus.publish("terminal." + changed.account_id, changed)
            case MarketChanged(market):
                self._views[market.account_id].markets[market.symbol] = market.state
                self._bus.publish("market." + market.account_id, market)
            case KeyChanged(key):
                self._keyring.put(key)
                self._bus.publish("keys." + key.id, KeyMessage(key))
            case TicketGiven(given):
                self._bus.publish("tickets." + given.principal.key_id, given)
            case AwaitReader(account_id):
                self._spawn(self._tell_reader(account_id))
            case Copies():
                self._copy(message)
            case Greeting():
                self._greet(message)
            case Stop():
                self.stopped.set()

    # --- copies ------------------------------------------------------------------------------

    def _greet(self, greeting: Greeting) -> None:
        known = self._keyring.keys()
        self._keyring = Keyring(greeting.pepper, greeting.keys, self._clock.wall_ms)
        for key in known:  # each may have changed meanwhile
            self._bus.publish("keys." + key.id, KeyMessage(key))
        heads = {id_: view.head for id_, view in self._views.items()}
        self._copy(greeting.copies)
        if self.greeted.is_set():
            self._bus.publish(BUS_LINK, LinkMessage(is_up=True))
        for account_id, head in heads.items():
            self._refill(account_id, head)
        self.greeted.set()

    def _refill(self, account_id: str, head: int | None) -> None:
        """Publish what was committed while the link was down, page by page."""
        view = self._views.get(account_id)
        if view is None or view.head is None or head is None or view.head <= head:
            return

        def take(page: Page | None) -> None:
            if page:
                self._bus.publish("events." + account_id, page)
                self._refill(account_id, page[-1].seq)

        self.read_events(account_id, head, limits.STREAM_PAGE_EVENTS, take)

    def _copy(self, copies: Copies) -> None:
        self._directory.default_accounts = copies.defaults
        for copy in copies.accounts:
            linked = LinkedAccount(copy.account, copy.status, error=copy.error)
            self._directory.accounts[copy.account.id] = linked
            self._views[copy.account.id] = FarAccount(linked, copy, self._clock)
        for account_id in copies.gone_accounts:
            linked = self._directory.accounts[account_id]
            self._directory.remove(linked)

    # --- what is published -------------------------------------------------------------------

    def _on_tick(self, message: Ticked) -> None:
        tick = message.tick
        view = self._views.get(tick.account_id)
        if view is None:
            return
        view.quotes[tick.quote.symbol] = tick.quote
        view.last_ms = max(view.last_ms, tick.quote.time_ms)
        self._bus.publish("ticks." + tick.account_id, tick)
        if message.lossless is None:
            return
        if self._gate.held(tick.account_id, message.lossless):
            self._spawn(self._pass(tick.account_id, tick.n, message.lossless))
        else:
            self._send(Passed(tick.account_id, tick.n))

    async def _pass(self, account_id: str, n: int, lossless: bool) -> None:
        await self._gate.wait(account_id, lossless)
        self._send(Passed(account_id, n))

    async def _tell_reader(self, account_id: str) -> None:
        await self._gate.first_reader(account_id)
        self._send(ReaderCame(account_id))

    def _publish(self, events: list[Event]) -> None:
        view = self._views[events[0].account_id]
        view.head = events[-1].seq
        self._bus.publish("events." + events[0].account_id, events)

    # --- Backend -----------------------------------------------------------------------------

    def authenticate(self, secret: str) -> Principal:
        """The principal of a key; raises `unauthorized`."""
        principal = self._keyring.authenticate(secret)
        self._send(KeyUsed(principal.key_id, self._clock.wall_ms()))
        return principal

    def current(self, principal: Principal) -> Principal | None:
        """Who somebody authenticated is now; None when its secret is void."""
        return self._keyring.current(principal)

    def visible(self, principal: Principal) -> list[StreamAccount]:
        """The accounts that a key may see, oldest first."""
        return [self._views[a.account.id] for a in self._directory.visible(principal)]

    def choose(self, principal: Principal, account_id: str | None) -> StreamAccount:
        """The account that a frame means; raises `not_found` and `account_required`."""
        return self._views[self._directory.choose(principal, account_id).account.id]

    def live(self, principal: Principal, account_id: str | None) -> StreamAccount:
        """The same; raises `unavailable` too, while the account has no terminal."""
        linked = self._directory.choose(principal, account_id)
        view = self._views[linked.account.id]
        if view.epoch is None:
            raise no_terminal(linked)
        return view

    def account(self, account_id: str) -> StreamAccount:
        """An account that has published; raises LookupError."""
        return self._views[account_id]

    def read_events(
        self, account_id: str, after: int, limit: int, then: Callable[[Page | None], None]
    ) -> None:
        """Give `then` the committed events above `after`, in order; None if unreadable."""

        def take(body: bytes | None, _problem: Problem | None) -> None:
            then(None if body is None else _decode(body, type=Page | None))

        self._ask("events", EventsAsk(account_id, after, limit), take)

    def read_candle(
        self,
        account_id: str,
        symbol: str,
        timeframe: Timeframe,
        then: Callable[[Candle | None], None],
    ) -> None:
        """Give `then` the candle that the newest tick fell into; None before the first."""

        def take(body: bytes | None, _problem: Problem | None) -> None:
            then(None if body is None else _decode(body, type=Candle | None))

        self._ask("candle", CandleAsk(account_id, symbol, timeframe.value), take)

    async def positions(self, account_id: str) -> PositionsNow:
        """The open positions, all that they tell being durable; raises Problem."""
        return _decode(await self._asked_for("positions", account_id), type=PositionsNow)

    async def figures(self, account_id: str) -> AccountView:
        """The account with its money of now, likewise; raises Problem."""
        return _decode(await self._asked_for("figures", account_id), type=AccountView)

    async def run(self, principal: Principal, command: Command) -> Answer:
        """Run a trade command; its answer's delivery is told across."""
        sender = command.sender
        about = RunAsk(
            key_generation=principal.generation,
            name=command.name,
            account_id=command.account_id,
            subject_id=command.subject_id,
            body=_encode(command.body),
            request_id=sender.request_id,
            key=sender.key,
            timeout_ms=sender.timeout_ms,
            api_key_id=principal.key_id,
        )
        if sender.delivery is not None:
            sender.delivery.listen(
                lambda delivered: self._send(Delivered(sender.request_id, delivered))
            )
        return _decode(await self._asked_for("run", about), type=Answer)

    def new_request_id(self) -> str:
        """An id for a command."""
        return self._ids.make("req_")

    # --- questions ---------------------------------------------------------------------------

    def _ask(
        self, kind: str, about: object, then: Callable[[bytes | None, Problem | None], None]
    ) -> None:
        if self._link is None:
            then(None, Problem("unavailable", "the stream has lost the gateway", retry_after_s=1))
            return
        self._number += 1
        self._asked[self._number] = then
        self._send(Ask(self._number, kind, _encode(about)))

    async def _asked_for(self, kind: str, about: object) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def take(body: bytes | None, problem: Problem | None) -> None:
            if answer.done():
                return
            if body is None:
                assert problem is not None
                answer.set_exception(problem)
            else:
                answer.set_result(body)

        self._ask(kind, about, take)
        return await answer

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
