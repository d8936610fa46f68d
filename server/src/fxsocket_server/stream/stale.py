"""Tells clients when what they read is not to be trusted, and when it is again."""

from collections.abc import Callable, Iterable, Iterator

from fxsocket_server.channels import frames
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.names import CANDLES, QUOTES, TICKS, Channel
from fxsocket_server.channels.staleness import (
    BUS_LOST,
    NO_TICK,
    TERMINAL_LOST,
    Condition,
    Staleness,
    is_old,
)
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.messages import LinkMessage
from fxsocket_server.gateway.ports import TickMessage
from fxsocket_server.gateway.terminal import TerminalMessage
from fxsocket_server.gateway.views import time_or_none
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.stream.backend import Backend, StreamAccount
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.holdings import Holdings
from fxsocket_server.stream.latest import Latest

_PRICED = frozenset((TICKS, QUOTES, CANDLES))


class StaleWatch:
    """Looks at prices that somebody reads, and hears of terminals and of the bus."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        readers: FeedReaders[Connection],
        latest: Latest,
        holdings: Holdings,
        everybody: Callable[[], Iterable[Connection]],
        limit_ms: int,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._readers = readers
        self._latest = latest
        self._holdings = holdings
        self._everybody = everybody
        self._limit_ms = limit_ms
        self._staleness = Staleness()
        self._is_cut_off = False
        self._looked_ms: dict[tuple[str, str], int] = {}

    # --- what happens ------------------------------------------------------------------------

    def on_tick(self, message: TickMessage) -> None:
        """A price came: it is fresh."""
        if self._staleness:
            self._end(Condition(message.account_id, message.quote.symbol, NO_TICK))

    def on_terminal(self, message: object) -> None:
        """A terminal has come or gone."""
        assert isinstance(message, TerminalMessage)
        self._note_terminal(message.account_id, message.status)

    def _note_terminal(self, account_id: str, status: AccountStatus) -> None:
        lost = Condition(account_id, None, TERMINAL_LOST)
        if status is AccountStatus.CONNECTED:
            self._end(lost)
        else:
            self._begin(lost, self._clock.wall_ms())

    def on_link(self, message: object) -> None:
        """The bus was lost, or is back."""
        assert isinstance(message, LinkMessage)
        self._is_cut_off = not message.is_up
        held = (a for c in self._everybody() for a in self._holdings.accounts(c))
        for account_id in dict.fromkeys(held):
            self._note_link(account_id)

    def _note_link(self, account_id: str) -> None:
        lost = Condition(account_id, None, BUS_LOST)
        if self._is_cut_off:
            self._begin(lost, self._clock.wall_ms())
        else:
            self._end(lost)

    def scan(self) -> None:
        """Look at the age of every price that somebody reads."""
        watched = set(self._watched())
        for account_id, symbol in watched:
            self._look(account_id, symbol)
        for place in [place for place in self._looked_ms if place not in watched]:
            del self._looked_ms[place]
        for condition in self._staleness.quiet():
            if (condition.account_id, condition.symbol) not in watched:
                self._staleness.ends(condition)

    def _watched(self) -> Iterator[tuple[str, str]]:
        for account_id, symbols in self._readers.watched().items():
            for symbol in symbols:
                yield account_id, symbol
        yield from self._latest.watched()

    def _look(self, account_id: str, symbol: str) -> None:
        condition = Condition(account_id, symbol, NO_TICK)
        try:
            seen = self._backend.account(account_id)
            quote, now_ms = seen.quote(symbol), seen.time_ms()
        except (LookupError, Problem):  # the account was removed, or its terminal never came
            return
        # A price that never came is waited for from the first look on.
        waited_from_ms = self._looked_ms.setdefault((account_id, symbol), now_ms)
        age_ms = now_ms - (waited_from_ms if quote is None else quote.time_ms)
        # Whether the market is open is asked last: it costs most.
        if is_old(age_ms, self._limit_ms) and seen.market(symbol).is_open:
            self._begin(condition, None if quote is None else quote.time_ms)
        else:
            self._end(condition)

    # --- what is told ------------------------------------------------------------------------

    def look_again(self, seen: StreamAccount, symbols: Iterable[str]) -> None:
        """See what holds of an account, before another client is told."""
        account_id = seen.account.id
        self._note_terminal(account_id, seen.status)
        self._note_link(account_id)
        for symbol in symbols:
            self._look(account_id, symbol)

    def greet(
        self, connection: Connection, account_id: str, channels: Iterable[Channel],
        symbols: Iterable[str],
    ) -> None:  # fmt: skip
        """Tell a client that has just subscribed what is stale of it."""
        for condition in self._staleness.holding(account_id, symbols):
            since_ms = self._staleness.since_ms(condition)
            for channel in channels:
                if condition.symbol is None or channel.kind in _PRICED:
                    connection.send(_frame(channel.name, condition, since_ms, is_stale=True))

    def _begin(self, condition: Condition, since_ms: int | None) -> None:
        if self._staleness.begins(condition, since_ms):
            self._tell(condition, since_ms, is_stale=True)

    def _end(self, condition: Condition) -> None:
        if self._staleness.ends(condition):
            self._tell(condition, self._clock.wall_ms(), is_stale=False)

    def _tell(self, condition: Condition, since_ms: int | None, *, is_stale: bool) -> None:
        for channel, connections in self._readers_of(condition).items():
            frame = _frame(channel, condition, since_ms, is_stale=is_stale)
            for connection in connections:
                connection.send(frame)

    def _readers_of(self, condition: Condition) -> dict[str, list[Connection]]:
        account_id, symbol, _ = condition
        if symbol is None:
            return self._readers_of_account(account_id)
        readers = self._latest.channels_of_symbol(account_id, symbol)
        watchers = self._readers.watchers(account_id, symbol)
        if watchers is not None:
            readers[TICKS] = [*watchers.free, *watchers.paced]
        return readers

    def _readers_of_account(self, account_id: str) -> dict[str, list[Connection]]:
        readers: dict[str, list[Connection]] = {}
        for connection in self._everybody():
            for channel in self._holdings.channels(connection, account_id):
                readers.setdefault(channel, []).append(connection)
        return readers


def _frame(channel: str, condition: Condition, since_ms: int | None, *, is_stale: bool) -> bytes:
    return frames.stale(channel, condition, is_stale=is_stale, since=time_or_none(since_ms))
