"""Quote sessions: generated prices come in them, and trades are refused outside the trade ones."""

import asyncio

from msgspec.structs import replace

from fxsocket_server.broker.engine import Broker
from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.connectors.sim.feeds import FeedTick
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.symbol import Session

from ..api.world import OpenGate, StillFeed, on_loop
from .broker_desk import PROFILE, request

WEDNESDAY_MS = 1_736_294_400_000  # 2025-01-08 00:00 UTC
HOUR_MS = 3_600_000
EURUSD = replace(
    PROFILE.symbols["EURUSD"],
    quote_sessions=(Session(3, 8 * 60, 20 * 60),),
    trade_sessions=(Session(3, 9 * 60, 18 * 60),),
)
SPECS = {**PROFILE.symbols, "EURUSD": EURUSD}
TERMS = PROFILE.terms(sessions_apply=True)
OFFSET_MS = TERMS.zone.offset_s(WEDNESDAY_MS) * 1000


def at(server_hour: int) -> int:
    return WEDNESDAY_MS - OFFSET_MS + server_hour * HOUR_MS


def test_prices_may_come_while_nothing_is_traded():
    broker = Broker(TERMS, SPECS)
    broker.deposit(10_000_000, at(0))
    assert [broker.quotes_open("EURUSD", at(hour)) for hour in (7, 8, 18, 20)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [broker.market_open("EURUSD", at(hour)) for hour in (8, 9, 18)] == [False, True, False]
    broker.on_tick("EURUSD", at(8), 108_340, 108_348)
    assert broker.request(request(), at(8)).retcode == Retcode.MARKET_CLOSED


class HourlyFeed(StillFeed):
    """A price every hour of a day, as the generator would make it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, ())
        self._hours = iter(range(24))

    def next(self) -> FeedTick | None:
        hour = next(self._hours, None)
        return None if hour is None else FeedTick(0, at(hour), "EURUSD", 108_340, 108_348)


class Sink:
    """Keeps the times of the prices that are shown."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.last = asyncio.Event()

    async def on_tick(self, quote: Quote) -> None:
        self.times.append(quote.time_ms)
        if quote.time_ms == at(19):
            self.last.set()


@on_loop
async def test_generated_prices_come_in_the_quote_sessions():
    connector = SimConnector("acc_1", TERMS, SPECS, HourlyFeed(ManualClock()), OpenGate())
    sink = Sink()
    await connector.start(sink)  # type: ignore[arg-type]
    await asyncio.wait_for(sink.last.wait(), 60)
    await connector.stop()
    assert sink.times == [at(hour) for hour in range(8, 20)]
