"""Prices and candles of one account: stored history first, then what the feed has shown."""

import asyncio
from collections import deque
from itertools import pairwise

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.ports import Bus, History, TickMessage
from fxsocket_server.model.candle import Candle, CandleBuilder, aggregate
from fxsocket_server.model.enums import ChartMode
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.server_time import ServerZone
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.timeframe import Timeframe

FAR_PAST_MS = -(2**62)
FAR_FUTURE_MS = 2**62


class CandleRange(Struct, frozen=True, kw_only=True):
    """Which candles are asked: [from_ms, to_ms), at most `limit` from the side that is given."""

    timeframe: Timeframe
    from_ms: int | None
    to_ms: int | None
    limit: int | None


class CandleRows(Struct, frozen=True):
    """Candles in ascending order, whether the source had all, and where the next page begins."""

    candles: list[Candle]
    complete: bool
    next_ms: int | None


class MarketData:
    """Builds M1 candles of every symbol from the account's ticks and answers candle queries."""

    def __init__(self, lane: Lane, bus: Bus, history: History, zone: ServerZone) -> None:
        self.lane = lane
        self._history = history
        self.zone = zone
        self._builders: dict[str, CandleBuilder] = {}
        self._closed: dict[str, deque[Candle]] = {}
        self._loading = asyncio.Lock()
        self.close = bus.subscribe("ticks." + lane.account.id, self._on_tick)

    def _on_tick(self, message: object) -> None:
        assert isinstance(message, TickMessage)
        quote = message.quote
        builder = self._builders.get(quote.symbol)
        if builder is None:
            builder = self._builders[quote.symbol] = CandleBuilder(Timeframe.M1, self.zone)
            self._closed[quote.symbol] = deque(maxlen=limits.LIVE_CANDLES)
        closed = add_quote(builder, quote, self.lane.connector.specs()[quote.symbol])
        if closed is not None:
            self._closed[quote.symbol].append(closed)

    async def candles(self, spec: SymbolSpec, asked: CandleRange) -> CandleRows:
        """Candles of a symbol, stored and live joined; prices in points of the symbol."""
        from_ms = FAR_PAST_MS if asked.from_ms is None else asked.from_ms
        to_ms = FAR_FUTURE_MS if asked.to_ms is None else asked.to_ms
        async with self._loading:  # the first read of a symbol parses its file
            stored = await asyncio.to_thread(
                self._history.candles, spec.symbol, asked.timeframe, spec.digits, from_ms, to_ms
            )
        rows = self._joined(stored, self._live(spec.symbol, asked.timeframe), from_ms, to_ms)
        return _page(rows, asked)

    def live_candle(self, symbol: str, timeframe: Timeframe) -> Candle | None:
        """The candle that the newest tick fell into; None before the first tick."""
        live = self._live(symbol, timeframe)
        return live[-1] if live else None

    def _live(self, symbol: str, timeframe: Timeframe) -> list[Candle]:
        builder = self._builders.get(symbol)
        if builder is None or builder.live is None:
            return []
        return aggregate([*self._closed[symbol], builder.live], timeframe, self.zone)

    def _joined(
        self, stored: list[Candle], live: list[Candle], from_ms: int, to_ms: int
    ) -> list[Candle]:
        """Stored candles, then the live ones after them that the range holds."""
        start = stored[-1].time_ms if stored else FAR_PAST_MS
        return stored + [c for c in live if c.time_ms > start and from_ms <= c.time_ms < to_ms]


def add_quote(builder: CandleBuilder, quote: Quote, spec: SymbolSpec) -> Candle | None:
    """Add a price to a candle: the Bid, or the Last of a symbol whose chart shows it.

    Returns the candle that it closed, if any.
    """
    shows_last = quote.last and spec.chart_mode is ChartMode.LAST
    price = quote.last if shows_last else quote.bid
    return builder.add(quote.time_ms, price, price + quote.ask - quote.bid)


# A weekend and a holiday may lie between the edge of a range and its nearest candle.
_CLOSED_MS = 4 * 24 * 3_600_000


def _page(rows: list[Candle], asked: CandleRange) -> CandleRows:
    """Cut a page: forward from `from_ms` when given, else the newest."""
    limit = len(rows) if asked.limit is None else asked.limit
    if asked.from_ms is None:
        page = rows[-limit:] if limit else []
        enough = asked.limit is None or len(page) == limit
        return CandleRows(page, complete=enough and _covers(page, asked), next_ms=None)
    next_ms = rows[limit].time_ms if len(rows) > limit else None
    return CandleRows(rows[:limit], _covers(rows, asked), next_ms)


def _covers(rows: list[Candle], asked: CandleRange) -> bool:
    """Whether the candles reach from one end of the asked range to the other, closed days apart."""
    if not rows:
        return False
    slack_ms = asked.timeframe.seconds * 1000 + _CLOSED_MS
    from_ms = rows[0].time_ms if asked.from_ms is None else asked.from_ms
    to_ms = rows[-1].time_ms if asked.to_ms is None else asked.to_ms
    if rows[0].time_ms - from_ms > slack_ms or to_ms - rows[-1].time_ms > slack_ms:
        return False
    return all(after.time_ms - before.time_ms <= slack_ms for before, after in pairwise(rows))
