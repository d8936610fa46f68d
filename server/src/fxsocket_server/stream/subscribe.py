"""`subscribe`, `unsubscribe` and `list`: what a client asks for, checked, and what it is told."""

from collections.abc import Iterable
from typing import Any

from fxsocket_server.channels import frames
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.names import (
    ACCOUNT,
    CANDLES,
    MARKET_OPEN,
    OFFERED,
    QUOTES,
    TICKS,
    Channel,
    channel_of,
    families,
)
from fxsocket_server.core import limits
from fxsocket_server.core.codec import convert
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.requests import known_symbol
from fxsocket_server.model.enums import Platform
from fxsocket_server.model.symbol_group import chosen, is_in_vain, is_mask
from fxsocket_server.model.timeframe import MT4_TIMEFRAMES, MT5_TIMEFRAMES
from fxsocket_server.stream.accounts import any_account, live_account, standing
from fxsocket_server.stream.backend import Backend, StreamAccount
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.gate import Gate
from fxsocket_server.stream.holdings import Holdings
from fxsocket_server.stream.latest import Latest, topics_of
from fxsocket_server.stream.requests import ClientFrame, Subscription
from fxsocket_server.stream.snapshots import Snapshots
from fxsocket_server.stream.stale import StaleWatch

_HINTED_SYMBOLS = 5  # unknown symbols that are answered with a hint each
_RATED = frozenset((QUOTES, CANDLES))
_LATEST = frozenset((QUOTES, CANDLES, ACCOUNT, MARKET_OPEN))


class Subscribe:
    """Takes subscriptions and ends them."""

    def __init__(
        self,
        backend: Backend,
        readers: FeedReaders[Connection],
        gate: Gate[Connection],
        latest: Latest,
        holdings: Holdings,
        snapshots: Snapshots,
        stale: StaleWatch,
        bounds: StreamBounds,
    ) -> None:
        self._backend = backend
        self._readers = readers
        self._gate = gate
        self._latest = latest
        self._holdings = holdings
        self._snapshots = snapshots
        self._stale = stale
        self._bounds = bounds

    # --- subscribe ---------------------------------------------------------------------------

    def subscribe(self, connection: Connection, frame: dict[str, Any]) -> None:
        """Subscribe what there is; what there is not is named in error frames."""
        asked = convert(frame, Subscription)
        _check_form(asked)
        seen = live_account(self._backend, connection.identity, asked.account_id)
        channels = offered(connection, seen, asked.channels, asked.id)
        symbols: list[str] = []
        if any(channel.has_symbols for channel in channels):
            symbols = _known(connection, seen, asked)
        if not symbols:
            channels = [channel for channel in channels if not channel.has_symbols]
        if not channels:
            return  # error frames have said why
        self._check_room(connection, seen.account.id, channels, symbols)
        self._stale.look_again(seen, symbols)
        self._take(connection, seen.account.id, channels, symbols, asked)
        connection.send(_reply("subscribed", asked, seen.account.id, channels, symbols))
        self._snapshots.send(connection, seen, channels, symbols, paced=asked.pace)
        self._stale.greet(connection, seen.account.id, channels, symbols)
        self._gate.arrived(seen.account.id)

    def _take(
        self, connection: Connection, account_id: str, channels: list[Channel],
        symbols: list[str], asked: Subscription,
    ) -> None:  # fmt: skip
        connection.log.follow(account_id, families(channels))
        for channel in channels:
            if channel.kind == TICKS:
                self._take_ticks(connection, account_id, symbols, asked.pace)
            elif channel.kind in _LATEST:
                rate = limits.STREAM_ACCOUNT_PER_S if channel.kind == ACCOUNT else asked.rate
                self._latest.subscribe(connection, account_id, channel, symbols, rate)

    def _take_ticks(
        self, connection: Connection, account_id: str, symbols: list[str], pace: bool
    ) -> None:
        self._readers.subscribe(connection, account_id, symbols, pace)
        if pace:
            _abandon_late(connection, account_id, symbols)
        self._gate.release((account_id,))

    def _check_room(
        self, connection: Connection, account_id: str, channels: list[Channel], symbols: list[str]
    ) -> None:
        held = self._latest.topics(connection)
        ticks = self._readers.symbols(connection, account_id)
        new = 0
        for channel in channels:
            if channel.kind == TICKS:
                new += sum(symbol not in ticks for symbol in symbols)
            elif channel.kind in _LATEST:
                new += sum(t not in held for t in topics_of(account_id, channel, symbols))
        count = self._holdings.count(connection) + new
        if count > self._bounds.subscriptions:
            raise Problem(
                "validation_error",
                f"a connection may subscribe {self._bounds.subscriptions} symbols, this "
                f"would make {count}; unsubscribe some or open another connection",
                pointer="/symbols",
            )

    # --- unsubscribe, list -------------------------------------------------------------------

    def unsubscribe(self, connection: Connection, frame: dict[str, Any]) -> None:
        """End subscriptions; without symbols those of all symbols."""
        asked = convert(frame, Subscription)
        _check_form(asked)
        seen = any_account(self._backend, connection.identity, asked.account_id)
        account_id = seen.account.id
        channels = offered(connection, seen, asked.channels, asked.id)
        ended: dict[str, None] = {}
        for channel in channels:
            ended |= dict.fromkeys(self._end(connection, account_id, channel, asked.symbols))
        connection.log.unfollow(account_id, families(channels))
        if channels:
            connection.send(_reply("unsubscribed", asked, account_id, channels, list(ended)))

    def _end(
        self, connection: Connection, account_id: str, channel: Channel, asked: tuple[str, ...]
    ) -> list[str]:
        """End one channel; returns the symbols that it was ended of."""
        if channel.kind == TICKS:
            symbols = chosen(self._readers.symbols(connection, account_id), asked)
            self._readers.unsubscribe(connection, account_id, symbols)
            _abandon_late(connection, account_id, symbols)
            self._gate.release((account_id,))
            return symbols
        topics = [
            topic for topic in self._latest.topics(connection)
            if topic.account_id == account_id and topic.channel == channel.name
        ]  # fmt: skip
        symbols = chosen([t.symbol for t in topics if t.symbol is not None], asked)
        ended = [t for t in topics if t.symbol is None or t.symbol in symbols]
        self._latest.unsubscribe(connection, ended)
        self._gate.release((account_id,))
        return symbols

    def list(self, connection: Connection, frame: dict[str, Any]) -> None:
        """What is subscribed, and where the logs stand."""
        asked = convert(frame, ClientFrame)
        connection.send(
            frames.reply(
                "list",
                asked.id,
                subscriptions=[
                    self._holdings.subscription(connection, account_id)
                    for account_id in self._holdings.accounts(connection)
                ],
                accounts=standing(self._backend, connection.identity),
            )
        )


def _check_form(asked: Subscription) -> None:
    if not asked.channels:
        raise Problem(
            "validation_error",
            f"channels is empty; leave it out for ticks, or name some of {', '.join(OFFERED)}",
            pointer="/channels",
        )
    if asked.pace and TICKS not in asked.channels:
        raise Problem(
            "validation_error",
            "pace goes with the channel ticks; name it, or leave pace out",
            pointer="/pace",
        )


def offered(
    connection: Connection, seen: StreamAccount, names: Iterable[str], frame_id: frames.FrameId
) -> list[Channel]:
    """The channels that exist; the others are named in an error frame."""
    is_mt4 = seen.account.platform == Platform.MT4
    timeframes = MT4_TIMEFRAMES if is_mt4 else MT5_TIMEFRAMES
    channels, missing, why = [], [], ""
    for name in dict.fromkeys(names):
        try:
            channels.append(channel_of(name, timeframes))
        except ValueError as error:
            missing.append(name)
            why = why or str(error)
    if missing:
        detail = f"{why}; available are {', '.join(OFFERED)}"
        connection.send(frames.error("unsupported_channel", detail, frame_id, channels=missing))
    return channels


def _reply(
    kind: str, asked: Subscription, account_id: str, channels: list[Channel], symbols: list[str]
) -> bytes:
    return frames.reply(
        kind,
        asked.id,
        account_id=account_id,
        channels=[channel.name for channel in channels],
        symbols=symbols,
        pace=asked.pace,
        rate=asked.rate if any(channel.kind in _RATED for channel in channels) else None,
    )


# --- symbols ---------------------------------------------------------------------------------


def _known(connection: Connection, seen: StreamAccount, asked: Subscription) -> list[str]:
    """The symbols that the account has; the others are named in an error frame."""
    if not asked.symbols:
        raise Problem(
            "validation_error",
            'symbols is empty; name at least one, such as ["EURUSD"], or a group, such as '
            '["*USD*","!*JPY"]',
            pointer="/symbols",
        )
    specs = seen.specs()
    unknown = [text for text in dict.fromkeys(asked.symbols) if is_in_vain(text, specs)]
    if unknown:
        hints = "; ".join(_hint(seen, text) for text in unknown[:_HINTED_SYMBOLS])
        connection.send(frames.error("invalid_symbol", hints, asked.id, symbols=unknown))
    symbols = chosen(specs, asked.symbols)
    if not symbols and not unknown:
        detail = "every symbol that these groups hold is taken out again"
        connection.send(
            frames.error("invalid_symbol", detail, asked.id, symbols=list(asked.symbols))
        )
    return symbols


def _hint(seen: StreamAccount, symbol: str) -> str:
    if is_mask(symbol):
        return f"no symbol is in the group {symbol[:64]!r}"
    try:
        known_symbol(seen.specs(), symbol)
    except Problem as problem:
        return problem.detail
    return symbol


def _abandon_late(connection: Connection, account_id: str, symbols: Iterable[str]) -> None:
    for symbol in symbols:
        connection.abandon_late(account_id, symbol)
