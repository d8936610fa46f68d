"""Tells when the markets of accounts open and close, each by its account's broker clock.

A replay's clock passes as fast as its ticks, so it is looked at with each of its minutes.
Everywhere else a look each second finds the market that has changed.
"""

import asyncio
from collections.abc import Callable, Iterable

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.messages import MarketMessage, market_state
from fxsocket_server.gateway.ports import Bus
from fxsocket_server.model.enums import AccountKind

_MINUTE_MS = 60_000
Accounts = Callable[[], Iterable[LinkedAccount]]


class MarketWatch:
    """Remembers which market was open at the last look."""

    def __init__(self, accounts: Accounts, bus: Bus) -> None:
        self._accounts = accounts
        self._bus = bus
        self._open: dict[str, dict[str, bool]] = {}  # by account and symbol
        self._minutes: dict[str, int] = {}  # of replays

    def look(self) -> None:
        """Look at every account."""
        for linked in list(self._accounts()):
            if linked.lane is not None:
                self._follow(linked, linked.lane)
                self._look_at(linked.lane)

    def _follow(self, linked: LinkedAccount, lane: Lane) -> None:
        account = linked.account
        if account.kind is AccountKind.REPLAY and account.id not in self._minutes:
            self._minutes[account.id] = -1
            self._bus.subscribe("ticks." + account.id, lambda _: self._on_replayed(lane))

    def _on_replayed(self, lane: Lane) -> None:
        minute = lane.connector.time_ms() // _MINUTE_MS
        if self._minutes[lane.account.id] != minute:
            self._minutes[lane.account.id] = minute
            self._look_at(lane)

    def _look_at(self, lane: Lane) -> None:
        connector, now_ms = lane.connector, lane.connector.time_ms()
        try:
            now = {symbol: connector.market_open(symbol, now_ms) for symbol in connector.specs()}
        except Problem:  # its terminal was not here yet
            return
        before = self._open.get(lane.account.id, now)
        self._open[lane.account.id] = now
        for symbol, is_open in now.items():
            if before.get(symbol, is_open) != is_open:
                self._tell(lane, symbol, now_ms)

    def _tell(self, lane: Lane, symbol: str, now_ms: int) -> None:
        state = market_state(lane.connector.specs()[symbol], lane.connector)
        message = MarketMessage(lane.account.id, symbol, now_ms, state)
        self._bus.publish("market." + lane.account.id, message)


async def watch_markets(watch: MarketWatch) -> None:
    """Look until cancelled."""
    while True:  # until cancelled at shutdown
        watch.look()
        await asyncio.sleep(limits.MARKET_LOOK_MS / 1000)
