"""How a channel stands when it is subscribed, sent before anything live."""

from collections.abc import Iterable

from fxsocket_server.channels import frames
from fxsocket_server.channels.names import (
    ACCOUNT,
    CANDLES,
    MARKET_OPEN,
    POSITIONS,
    QUOTES,
    TERMINAL,
    TICKS,
    Channel,
)
from fxsocket_server.gateway.terminal import TerminalView
from fxsocket_server.gateway.views import time_text
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.stream.backend import StreamAccount
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.latest import Latest, market_row
from fxsocket_server.stream.values import Desk


class Snapshots:
    """Makes the snapshots of one subscription; deals have none, their history is REST's."""

    def __init__(self, desk: Desk, latest: Latest) -> None:
        self._desk = desk
        self._latest = latest

    def send(
        self, connection: Connection, seen: StreamAccount, channels: Iterable[Channel],
        symbols: list[str], *, paced: bool,
    ) -> None:  # fmt: skip
        """Send each channel's; one that must be asked for follows when it is there."""
        for channel in channels:
            frame = self._at_once(seen, channel, symbols, paced=paced)
            if frame is not None:
                connection.send(frame)
            elif channel.kind == ACCOUNT:
                self._desk.spawn(self._account(connection, seen.account.id))
            elif channel.kind == POSITIONS:
                self._desk.spawn(self._positions(connection, seen.account.id))

    def _at_once(
        self, seen: StreamAccount, channel: Channel, symbols: list[str], *, paced: bool
    ) -> bytes | None:
        account_id = seen.account.id
        if channel.kind == TICKS:
            return None if paced else _ticks(seen, symbols)
        if channel.kind == QUOTES:
            quotes = [self._desk.quote_view(seen, symbol) for symbol in symbols]
            return frames.snapshot(account_id, channel.name, quotes=quotes)
        if channel.kind == CANDLES:
            candles = self._latest.live_candles(account_id, channel, symbols)
            return frames.snapshot(account_id, channel.name, candles=candles)
        if channel.kind == MARKET_OPEN:
            markets = [market_row(symbol, seen.market(symbol)) for symbol in symbols]
            return frames.snapshot(account_id, channel.name, markets=markets)
        if channel.kind == TERMINAL:
            return frames.snapshot(account_id, channel.name, terminal=_terminal(seen))
        return None

    async def _account(self, connection: Connection, account_id: str) -> None:
        view = await self._desk.backend.figures(account_id)
        connection.send(frames.snapshot(account_id, ACCOUNT, account=view))

    async def _positions(self, connection: Connection, account_id: str) -> None:
        now = await self._desk.backend.positions(account_id)
        told = {"epoch": now.epoch, "head": now.head, "positions": now.rows}
        connection.send(frames.snapshot(account_id, POSITIONS, **told))


def _ticks(seen: StreamAccount, symbols: list[str]) -> bytes | None:
    """The newest tick of each symbol that has one."""
    specs, account_id = seen.specs(), seen.account.id
    quotes = [quote for symbol in symbols if (quote := seen.quote(symbol)) is not None]
    ticks = [
        frames.tick(account_id, q, specs[q.symbol].digits, time_text(q.time_ms)) for q in quotes
    ]
    return frames.tick_snapshot(account_id, ticks) if ticks else None


def _terminal(seen: StreamAccount) -> TerminalView:
    return TerminalView(seen.status is AccountStatus.CONNECTED, seen.error or "")
