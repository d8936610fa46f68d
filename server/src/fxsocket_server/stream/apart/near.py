"""The gateway's end: copies and publications go down, questions are answered, feeds held."""

import asyncio
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway, Sender
from fxsocket_server.gateway.messages import KeyMessage, MarketMessage, market_state
from fxsocket_server.gateway.ports import Bus, TickMessage
from fxsocket_server.gateway.terminal import TerminalMessage
from fxsocket_server.gateway.trades import TRADES
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.security.keys import Keyring
from fxsocket_server.security.principal import Principal, Scope
from fxsocket_server.security.tickets import TicketMessage
from fxsocket_server.stream.apart.asks import CandleAsk, EventsAsk, RunAsk
from fxsocket_server.stream.apart.gate import FarGate
from fxsocket_server.stream.apart.link import Link
from fxsocket_server.stream.apart.messages import (
    AccountCopy,
    Answered,
    Ask,
    Copies,
    Delivered,
    Greeting,
    KeyChanged,
    KeyUsed,
    Listening,
    MarketChanged,
    Message,
    Passed,
    Published,
    ReaderCame,
    Refused,
    Stop,
    TerminalChanged,
    Ticked,
    TicketGiven,
    ZoneCopy,
    decode_up,
)
from fxsocket_server.stream.backend import Backend, Command

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


class NearEnd:
    """Serves one stream process over a unix socket; a new one takes the old one's place."""

    def __init__(
        self,
        gateway: Gateway,
        backend: Backend,
        bus: Bus,
        keyring: Keyring,
        pepper: bytes,
        logger: FilteringBoundLogger,
    ) -> None:
        self._gateway = gateway
        self._backend = backend
        self._keyring = keyring
        self._pepper = pepper
        self._log = logger
        self._link: Link | None = None
        self._server: asyncio.Server | None = None
        self._copying: asyncio.Task[None] | None = None
        self._sent_accounts: dict[str, AccountCopy] = {}
        self._sent_defaults: dict[str, str] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.gate = FarGate(self._send)
        self.listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        bus.subscribe("ticks.*", self._on_tick)
        bus.subscribe("events.*", self._on_events)
        bus.subscribe("terminal.*", self._on_terminal)
        bus.subscribe("market.*", self._on_market)
        bus.subscribe("keys.*", self._on_key)
        bus.subscribe("tickets.*", self._on_ticket)

    async def start(self, path: Path) -> None:
        """Wait for the stream process at a path."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: Link(self._opened, self._received, self._lost), str(path)
        )
        self._copying = loop.create_task(self._keep_copies(), name="copies for the stream")

    async def stop(self) -> None:
        """Let the stream process part from its clients; it ends by itself."""
        self.gate.shut()
        self._send(Stop())
        if self._copying is not None:
            self._copying.cancel()
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        """End the link as if it had failed; the far end dials again."""
        if self._link is not None:
            self._link.cut()

    # --- the link ----------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        if self._link is not None:
            self._link.send(message)

    def _opened(self, link: Link) -> None:
        if self._link is not None:
            self._link.cut()
        self._link = link
        self._sent_accounts, self._sent_defaults = {}, {}
        self._send(Greeting(self._pepper, self._keyring.keys(), self._changed_copies()))
        self.gate.opened()

    def _lost(self, link: Link) -> None:
        if link is not self._link:
            return
        self._link = None
        self.gate.lost()
        lost, self._deliveries = self._deliveries, {}
        for delivery in lost.values():
            delivery.connection_lost(reset=True)

    def _received(self, body: bytes) -> None:
        message = decode_up(body)
        match message:
            case Passed(account_id, n):
                self.gate.passed(account_id, n)
            case ReaderCame(account_id):
                self.gate.reader_came(account_id)
            case Ask():
                self._answer(message)
            case KeyUsed(key_id, time_ms):
                self._keyring.used_ms[key_id] = time_ms
            case Delivered(request_id, delivered):
                self._on_delivered(request_id, delivered)
            case Listening(port):
                if not self.listening.done():
                    self.listening.set_result(port)

    # --- what is published -------------------------------------------------------------------

    def _on_tick(self, message: object) -> None:
        assert isinstance(message, TickMessage)
        lossless = self.gate.sent(message.account_id, message.n)
        self._send(Ticked(message, lossless))

    def _on_events(self, message: object) -> None:
        assert isinstance(message, list)
        events: list[Event] = message
        if events[0].account_id not in self._sent_accounts:
            self._send_copies()
        self._send(Published(events))

    def _on_terminal(self, message: object) -> None:
        assert isinstance(message, TerminalMessage)
        self._send_copies()
        self._send(TerminalChanged(message))

    def _on_market(self, message: object) -> None:
        assert isinstance(message, MarketMessage)
        self._send(MarketChanged(message))

    def _on_key(self, message: object) -> None:
        assert isinstance(message, KeyMessage)
        self._send(KeyChanged(message.key))

    def _on_ticket(self, message: object) -> None:
        assert isinstance(message, TicketMessage)
        # The far end knows the rules, whose IPv6 networks are too large for msgpack.
        stub = replace(message.principal, ip_rules=())
        self._send(TicketGiven(TicketMessage(message.digest, stub)))

    # --- copies ------------------------------------------------------------------------------

    async def _keep_copies(self) -> None:
        while True:  # until the server stops
            await asyncio.sleep(limits.STREAM_COPIES_MS / 1000)
            self._send_copies()

    def _send_copies(self) -> None:
        if self._link is None:
            return
        copies = self._changed_copies()
        if copies != Copies(defaults=copies.defaults) or copies.defaults != self._sent_defaults:
            self._sent_defaults = copies.defaults
            self._send(copies)

    def _changed_copies(self) -> Copies:
        accounts = self._gateway.accounts
        changed = [linked for id_, linked in accounts.items() if self._has_changed(id_, linked)]
        copies = Copies(
            accounts=[_copy_of(linked) for linked in changed],
            gone_accounts=[id_ for id_ in self._sent_accounts if id_ not in accounts],
            defaults=dict(self._gateway.default_accounts),
        )
        for id_ in copies.gone_accounts:
            del self._sent_accounts[id_]
        self._sent_accounts.update((copy.account.id, copy) for copy in copies.accounts)
        return copies

    def _has_changed(self, account_id: str, linked: LinkedAccount) -> bool:
        sent = self._sent_accounts.get(account_id)
        epoch = None if linked.lane is None else linked.lane.book.epoch
        now = (linked.account, linked.status, linked.error, epoch)
        return sent is None or now != (sent.account, sent.status, sent.error, sent.epoch)

    # --- questions ---------------------------------------------------------------------------

    def _answer(self, ask: Ask) -> None:
        if ask.kind == "events":
            about = _decode(ask.body, type=EventsAsk)
            self._backend.read_events(
                about.account_id, about.after, about.limit, lambda page: self._tell(ask.ask, page)
            )
        elif ask.kind == "candle":
            self._answer_candle(ask)
        else:
            answers = {
                "positions": self._backend.positions,
                "figures": self._backend.figures,
            }
            if ask.kind == "run":
                self._spawn(self._told(ask.ask, self._run(_decode(ask.body, type=RunAsk))))
            else:
                account_id = _decode(ask.body, type=str)
                self._spawn(self._told(ask.ask, answers[ask.kind](account_id)))

    def _answer_candle(self, ask: Ask) -> None:
        about = _decode(ask.body, type=CandleAsk)
        timeframe = Timeframe(about.timeframe)
        try:
            self._backend.read_candle(
                about.account_id, about.symbol, timeframe, lambda row: self._tell(ask.ask, row)
            )
        except Problem as problem:
            self._send(Refused.of(ask.ask, problem))

    def _tell(self, ask: int, answer: object) -> None:
        self._send(Answered(ask, _encode(answer)))

    async def _told(self, ask: int, answer: Awaitable[object]) -> None:
        try:
            self._tell(ask, await answer)
        except Problem as problem:
            self._send(Refused.of(ask, problem))
        # tidy: broad-except because whoever asks must have an answer
        except Exception as error:
            self._log.error("a question of the stream failed", exc_info=error)
            detail = (
                "the server failed on this; if it was a command, look the order up before you "
                "send another, or send it again with the same key"
            )
            self._send(Refused.of(ask, Problem("unavailable", detail, retry_after_s=1)))

    async def _run(self, about: RunAsk) -> object:
        delivery = Delivery()
        self._deliveries[about.request_id] = delivery
        if len(self._deliveries) > limits.STREAM_LINK_DELIVERIES:
            del self._deliveries[next(iter(self._deliveries))]
        command = Command(
            name=about.name,
            account_id=about.account_id,
            subject_id=about.subject_id,
            body=_decode(about.body, type=TRADES[about.name].body),
            sender=Sender(
                request_id=about.request_id,
                key=about.key,
                timeout_ms=about.timeout_ms,
                api_key_id=about.api_key_id,
                delivery=delivery,
            ),
        )
        return await self._backend.run(self._principal(about), command)

    def _principal(self, about: RunAsk) -> Principal:
        asking = Principal(
            user_id="",
            key_id=about.api_key_id,
            scope=Scope.READ,
            account_ids=(),
            default_account_id=None,
            generation=about.key_generation,
        )
        principal = self._backend.current(asking)
        if principal is None:
            raise Problem("unauthorized", "the API key was revoked")
        return principal

    def _on_delivered(self, request_id: str, delivered: bool) -> None:
        delivery = self._deliveries.get(request_id)
        if delivery is None:
            return
        if delivered:
            delivery.answer_written()
        else:
            delivery.connection_lost(reset=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _copy_of(linked: LinkedAccount) -> AccountCopy:
    lane, account = linked.lane, linked.account
    if lane is None:
        return AccountCopy(account=account, status=linked.status, error=linked.error)
    connector = lane.connector
    specs = connector.specs()
    quotes = [quote for name in specs if (quote := connector.quote(name)) is not None]
    zone = None if linked.market is None else linked.market.zone
    return AccountCopy(
        account=account,
        status=linked.status,
        error=linked.error,
        epoch=lane.book.epoch,
        head=lane.published_seq,
        specs=list(specs.values()),
        quotes=quotes,
        markets={name: market_state(spec, connector) for name, spec in specs.items()},
        zone=None if zone is None else ZoneCopy(zone.name, zone.standard_s),
    )
