"""What a client can ask for, one method per action; a refusal is raised as a Problem."""

from collections.abc import Callable, Iterable
from typing import Any

from fxsocket_server.channels import frames
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.core.codec import convert
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.requests import known_symbol
from fxsocket_server.gateway.views import time_text
from fxsocket_server.stream.accounts import any_account, live_account, standing
from fxsocket_server.stream.backend import Backend, StreamAccount
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.commands import Commands
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.gate import Gate
from fxsocket_server.stream.requests import Ack, Auth, ClientFrame, Resume, Subscription
from fxsocket_server.stream.trade_requests import TRADE_FRAMES

Action = Callable[[Connection, dict[str, Any]], None]

_TICKS = "ticks"
_EVENT_FAMILIES = {"deals": "deal", "positions": "position"}
_CHANNELS = (_TICKS, *_EVENT_FAMILIES)
_HINTED_SYMBOLS = 5  # unknown symbols that are answered with a hint each


class Actions:
    """Everything an authenticated client can ask for, by the name of its action."""

    def __init__(
        self,
        backend: Backend,
        readers: FeedReaders[Connection],
        gate: Gate[Connection],
        commands: Commands,
        bounds: StreamBounds,
    ) -> None:
        self._backend = backend
        self._readers = readers
        self._gate = gate
        self._bounds = bounds
        self.by_name: dict[str, Action] = {
            "ack": self._ack,
            "auth": self._auth,
            "list": self._list,
            "ping": self._ping,
            "resume": self._resume,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            **dict.fromkeys(TRADE_FRAMES, commands.take),
        }

    # --- subscriptions -----------------------------------------------------------------------

    def _subscribe(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, Subscription)
        seen = live_account(self._backend, connection.identity, asked.account_id)
        channels = _offered(connection, _named(asked.channels), asked.id)
        symbols: list[str] = []
        if _TICKS in channels:
            symbols = self._subscribe_ticks(connection, seen, asked)
            if not symbols:
                channels.remove(_TICKS)
        if not channels:
            return  # error frames have said why
        connection.log.follow(seen.account.id, _families(channels))
        connection.send(_standing_reply("subscribed", asked, seen.account.id, channels, symbols))
        if symbols and not asked.pace:
            self._send_snapshot(connection, seen, symbols)

    def _subscribe_ticks(
        self, connection: Connection, seen: StreamAccount, asked: Subscription
    ) -> list[str]:
        """Subscribe the symbols that the account knows, name the others in an error frame."""
        account_id = seen.account.id
        symbols = _known(connection, seen, asked)
        held = self._readers.symbols(connection, account_id)
        count = self._readers.count(connection) + sum(symbol not in held for symbol in symbols)
        if count > self._bounds.subscriptions:
            raise Problem(
                "validation_error",
                f"a connection may subscribe {self._bounds.subscriptions} symbols, this would "
                f"make {count}; unsubscribe some or open another connection",
                pointer="/symbols",
            )
        self._readers.subscribe(connection, account_id, symbols, asked.pace)
        if asked.pace:
            _abandon_late(connection, account_id, symbols)
        if symbols:
            self._gate.arrived(account_id)
        self._gate.release((account_id,))
        return symbols

    def _send_snapshot(
        self, connection: Connection, seen: StreamAccount, symbols: list[str]
    ) -> None:
        specs, account_id = seen.specs(), seen.account.id
        quotes = [q for s in symbols if (q := seen.quote(s)) is not None]
        ticks = [
            frames.tick(account_id, q, specs[q.symbol].digits, time_text(q.time_ms)) for q in quotes
        ]
        if ticks:
            connection.send(frames.tick_snapshot(account_id, ticks))

    def _unsubscribe(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, Subscription)
        account_id = any_account(self._backend, connection.identity, asked.account_id).account.id
        channels = _offered(connection, _named(asked.channels), asked.id)
        symbols: list[str] = []
        if _TICKS in channels:
            held = self._readers.symbols(connection, account_id)
            symbols = [s for s in dict.fromkeys(asked.symbols or held) if s in held]
            self._readers.unsubscribe(connection, account_id, symbols)
            _abandon_late(connection, account_id, symbols)
            self._gate.release((account_id,))
        connection.log.unfollow(account_id, _families(channels))
        if channels:
            connection.send(_standing_reply("unsubscribed", asked, account_id, channels, symbols))

    def _list(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, ClientFrame)
        accounts = dict.fromkeys(self._readers.accounts(connection) + connection.log.followed())
        connection.send(
            frames.reply(
                "list",
                asked.id,
                subscriptions=[self._subscription(connection, a) for a in accounts],
                accounts=standing(self._backend, connection.identity),
            )
        )

    def _subscription(self, connection: Connection, account_id: str) -> dict[str, object]:
        symbols = self._readers.symbols(connection, account_id)
        families = connection.log.families(account_id)
        followed = [name for name, family in _EVENT_FAMILIES.items() if family in families]
        return {
            "account_id": account_id,
            "channels": [_TICKS, *followed] if symbols else followed,
            "symbols": list(symbols),
            "paced": [symbol for symbol, pace in symbols.items() if pace],
        }

    def _ack(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, Ack)
        accounts = self._readers.paced_accounts(connection)
        if asked.account_id is not None:
            accounts = [a for a in accounts if a == asked.account_id]
        elif len(accounts) > 1:
            raise Problem(
                "account_required",
                f"name the account in account_id; paced are: {', '.join(accounts)}",
                pointer="/account_id",
            )
        # None is left when the ack crossed the end of its subscription: nothing is owed then.
        for account_id in accounts:
            self._readers.ack(connection, account_id, asked.n)
        self._gate.release(accounts)

    # --- events ------------------------------------------------------------------------------

    def _resume(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, Resume)
        seen = live_account(self._backend, connection.identity, asked.account_id)
        channels = _offered(connection, asked.channels, asked.id)
        connection.log.follow(seen.account.id, _families(channels))
        connection.log.resume(seen.account.id, asked.after, asked.epoch, asked.id)

    # --- the connection ----------------------------------------------------------------------

    def _ping(self, connection: Connection, frame: dict[str, Any]) -> None:
        connection.send(frames.reply("pong", convert(frame, ClientFrame).id))

    def _auth(self, connection: Connection, frame: dict[str, Any]) -> None:
        """Whoever is authenticated stays who it is."""
        self.greet(connection, convert(frame, Auth).id)

    def greet(self, connection: Connection, frame_id: frames.FrameId) -> None:
        """Say that the client is authenticated, and which accounts it can see."""
        accounts = standing(self._backend, connection.identity)
        connection.send(frames.reply("authenticated", frame_id, accounts=accounts))


def _named(channels: tuple[str, ...]) -> tuple[str, ...]:
    if not channels:
        raise Problem(
            "validation_error",
            f"channels is empty; leave it out for ticks, or name some of {', '.join(_CHANNELS)}",
            pointer="/channels",
        )
    return channels


def _families(channels: Iterable[str]) -> frozenset[str]:
    return frozenset(_EVENT_FAMILIES[name] for name in channels if name in _EVENT_FAMILIES)


def _standing_reply(
    kind: str, asked: Subscription, account_id: str, channels: list[str], symbols: list[str]
) -> bytes:
    return frames.reply(
        kind,
        asked.id,
        account_id=account_id,
        channels=channels,
        symbols=symbols,
        pace=asked.pace,
    )


def _offered(
    connection: Connection, channels: tuple[str, ...], frame_id: frames.FrameId
) -> list[str]:
    """The channels that exist; the others are named in an error frame."""
    missing = [name for name in dict.fromkeys(channels) if name not in _CHANNELS]
    if missing:
        connection.send(
            frames.error(
                "unsupported_channel",
                f"no channel {', '.join(missing)[:128]}; available are {', '.join(_CHANNELS)}",
                frame_id,
                channels=missing,
            )
        )
    return [name for name in dict.fromkeys(channels) if name in _CHANNELS]


def _known(connection: Connection, seen: StreamAccount, asked: Subscription) -> list[str]:
    """The symbols that the account has; the others are named in an error frame."""
    if not asked.symbols:
        raise Problem(
            "validation_error",
            'symbols is empty; name at least one, such as ["EURUSD"]',
            pointer="/symbols",
        )
    specs = seen.specs()
    unknown = [symbol for symbol in dict.fromkeys(asked.symbols) if symbol not in specs]
    if unknown:
        hints = "; ".join(_hint(seen, symbol) for symbol in unknown[:_HINTED_SYMBOLS])
        connection.send(frames.error("invalid_symbol", hints, asked.id, symbols=unknown))
    return [symbol for symbol in dict.fromkeys(asked.symbols) if symbol in specs]


def _hint(seen: StreamAccount, symbol: str) -> str:
    try:
        known_symbol(seen.specs(), symbol)
    except Problem as problem:
        return problem.detail
    return symbol


def _abandon_late(connection: Connection, account_id: str, symbols: Iterable[str]) -> None:
    for symbol in symbols:
        connection.abandon_late(account_id, symbol)
