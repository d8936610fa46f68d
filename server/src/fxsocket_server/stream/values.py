"""Makes the frames of which only the newest counts: quotes, candles, an account's figures.

Each feed serves all readers of its topic at one rate. A closed candle goes out at once and is never
left out by the feed; everything else waits for its pulse.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fxsocket_server.channels import frames
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.market import add_quote
from fxsocket_server.gateway.market_views import AccountView, QuoteView, candle_view, quote_view_at
from fxsocket_server.gateway.ports import TickMessage
from fxsocket_server.model.candle import Candle, CandleBuilder
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.stream.backend import Backend, StreamAccount
from fxsocket_server.stream.pulse import Pulse
from fxsocket_server.stream.timers import Timers

Tell = Callable[[bytes, str | None], None]  # a frame, and the time of the closed candle in it


class Feed(Protocol):
    """What makes the frames of one topic at one rate."""

    def on_tick(self, message: TickMessage) -> None:
        """There is a new price of the topic's symbol, or of any where the topic has none."""
        ...

    def stop(self) -> None:
        """Nobody reads it any more."""
        ...


class Desk:
    """What every feed works with: the backend, pulses, and tasks for what has to be asked."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        timers: Timers,
        logger: FilteringBoundLogger,
        stale_ms: int,
    ) -> None:
        self.backend = backend
        self._stale_ms = stale_ms
        self._clock = clock
        self._timers = timers
        self._log = logger
        self._tasks: set[asyncio.Task[None]] = set()

    def pulse(self, rate: float, emit: Callable[[], None]) -> Pulse:
        """A pulse of so many a second."""
        return Pulse(rate, self._clock, self._timers, emit)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that asks; an account that cannot answer now has nothing to show."""
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Problem as problem:
            self._log.debug("a channel has nothing to show", why=problem.detail)
        # tidy: broad-except because one account's failure must not end the others' channels
        except Exception as error:
            self._log.error("a channel failed", exc_info=error)

    def quote_view(self, seen: StreamAccount, symbol: str) -> QuoteView:
        """A symbol's newest price as GET /quotes shows it."""
        spec, is_open = seen.specs()[symbol], seen.market(symbol).is_open
        return quote_view_at(seen.time_ms(), spec, seen.quote(symbol), is_open, self._stale_ms)


class QuoteFeed:
    """The newest quote of a symbol."""

    def __init__(self, desk: Desk, account_id: str, symbol: str, rate: float, tell: Tell) -> None:
        self._desk = desk
        self._account_id = account_id
        self._symbol = symbol
        self._tell = tell
        self._pulse = desk.pulse(rate, self._emit)

    def on_tick(self, message: TickMessage) -> None:
        """There is a newer one."""
        self._pulse.touch()

    def _emit(self) -> None:
        seen = self._desk.backend.account(self._account_id)
        view = self._desk.quote_view(seen, self._symbol)
        self._tell(frames.flat("quote", self._account_id, view), None)

    def stop(self) -> None:
        """Nobody reads it any more."""
        self._pulse.stop()


class CandleFeed:
    """The candles of a symbol and timeframe; it goes on from the gateway's own live candle."""

    def __init__(
        self,
        desk: Desk,
        account_id: str,
        symbol: str,
        timeframe: Timeframe,
        rate: float,
        tell: Tell,
    ) -> None:
        self._desk = desk
        self._account_id = account_id
        self._symbol = symbol
        self._timeframe = timeframe
        self._tell = tell
        self._pulse = desk.pulse(rate, self._emit_live)
        self._builder: CandleBuilder | None = None
        desk.backend.read_candle(account_id, symbol, timeframe, self._begin)

    def _begin(self, live: Candle | None) -> None:
        zone = self._desk.backend.account(self._account_id).zone
        self._builder = CandleBuilder(self._timeframe, zone, live)

    def on_tick(self, message: TickMessage) -> None:
        """Add a price; one that comes before the gateway's candle is in that already."""
        spec = self._desk.backend.account(self._account_id).specs().get(self._symbol)
        if self._builder is None or spec is None:
            return
        closed = add_quote(self._builder, message.quote, spec)
        if closed is not None:
            row = candle_row(self._symbol, self._timeframe, closed, spec.digits, is_closed=True)
            self._tell(frames.flat("candle", self._account_id, row), str(row["time"]))
        self._pulse.touch()

    def live_row(self) -> dict[str, object] | None:
        """The candle that is not closed yet; None before the first tick."""
        live = None if self._builder is None else self._builder.live
        if live is None:
            return None
        spec = self._desk.backend.account(self._account_id).specs()[self._symbol]
        return candle_row(self._symbol, self._timeframe, live, spec.digits, is_closed=False)

    def _emit_live(self) -> None:
        row = self.live_row()
        if row is not None:
            self._tell(frames.flat("candle", self._account_id, row), None)

    def stop(self) -> None:
        """Nobody reads it any more."""
        self._pulse.stop()


def candle_row(
    symbol: str, timeframe: Timeframe, candle: Candle, digits: int, *, is_closed: bool
) -> dict[str, object]:
    """A candle as GET /candles shows it, with what it is a candle of."""
    view = candle_view(candle, digits)
    named = {name: getattr(view, name) for name in view.__struct_fields__}
    return {"symbol": symbol, "timeframe": timeframe, "closed": is_closed, **named}


class AccountFeed:
    """An account's figures, as often as they may have changed."""

    def __init__(self, desk: Desk, account_id: str, rate: float, tell: Tell) -> None:
        self._desk = desk
        self._account_id = account_id
        self._tell = tell
        self._pulse = desk.pulse(rate, self._emit)
        self._shown: AccountView | None = None
        self._is_asking = self._is_touched = False

    def on_tick(self, message: TickMessage) -> None:
        """A price has changed, and with it what is open."""
        self.touch()

    def touch(self) -> None:
        """Something that may show in the figures has happened."""
        if self._is_asking:
            self._is_touched = True
        else:
            self._pulse.touch()

    def _emit(self) -> None:
        self._is_asking = True
        self._desk.spawn(self._ask())

    async def _ask(self) -> None:
        try:
            view = await self._desk.backend.figures(self._account_id)
        finally:
            self._is_asking = False
        if not is_same(self._shown, view):
            self._shown = view
            self._pulse.sent()
            self._tell(frames.flat("account", self._account_id, {"account": view}), None)
        if self._is_touched:
            self._is_touched = False
            self.touch()

    def stop(self) -> None:
        """Nobody reads it any more."""
        self._pulse.stop()


def is_same(shown: AccountView | None, view: AccountView) -> bool:
    """Whether two views of an account differ in nothing but the time."""
    return shown is not None and replace(shown, server_time=view.server_time) == view
