"""Bars as ticks: the path through a bar, and what a broker does on it."""

from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.broker.bars import TICKS_A_BAR, Bar, path_of, ticks_of_bars
from fxsocket_server.broker.drive import replay
from fxsocket_server.broker.engine import Broker
from fxsocket_server.model.candle import CandleBuilder
from fxsocket_server.model.enums import Action, OrderStatus, OrderType, Reason
from fxsocket_server.model.facts import OrderFact, TradeRequest
from fxsocket_server.model.server_time import UTC
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.model.units import LOT

from .test_broker_margin import PROFILE

NOW = 1_736_337_600_000
MINUTE_MS = 60_000


def test_a_falling_bar_has_its_high_first_any_other_its_low():
    assert path_of(Bar(0, 50, 70, 30, 40)) == (50, 70, 30, 40)
    assert path_of(Bar(0, 40, 70, 30, 50)) == (40, 30, 70, 50)
    assert path_of(Bar(0, 50, 70, 30, 50)) == (50, 30, 70, 50)


def test_the_ticks_lie_inside_the_bar():
    columns = ticks_of_bars([Bar(NOW, 1, 2, 1, 2)], MINUTE_MS, 0)
    assert list(columns.times_ms) == [NOW, NOW + 20_000, NOW + 40_000, NOW + 59_999]


def test_an_unknown_spread_is_the_last_known():
    bars = [Bar(n, 100, 100, 100, 100, spread) for n, spread in enumerate((0, 7, 0, 3, 0))]
    asks = ticks_of_bars(bars, 1, spread=2).asks
    assert [ask - 100 for ask in asks[::TICKS_A_BAR]] == [2, 7, 7, 3, 3]


prices = st.integers(1_000, 2_000)
shapes = st.tuples(prices, prices, st.integers(0, 300), st.integers(0, 300), st.integers(0, 40))


@given(st.lists(st.tuples(shapes, st.integers(1, 5)), min_size=1, max_size=30))
def test_candles_made_of_the_ticks_are_the_bars(rows):
    bars, start_ms = [], NOW
    for (opened, closed, above, below, spread), pause in rows:
        high, low = max(opened, closed) + above, min(opened, closed) - below
        bars.append(Bar(start_ms, opened, high, low, closed, spread))
        start_ms += pause * MINUTE_MS
    builder = CandleBuilder(Timeframe.M1, UTC)
    ticks = zip(*ticks_of_bars(bars, MINUTE_MS, 0), strict=True)
    made = [*filter(None, [builder.add(*tick) for tick in ticks]), builder.live]
    assert [(c.time_ms, c.open, c.high, c.low, c.close) for c in made if c] == [
        bar[:5] for bar in bars
    ]
    assert all(candle and candle.tick_volume == TICKS_A_BAR for candle in made)


# --- stops inside a bar ----------------------------------------------------------------------


def ended_by(bar: Bar, sl: int, tp: int) -> tuple[Reason, int | None, int]:
    """What a buy before the bar meets first on its path: why, at what price, and when."""
    broker = Broker(PROFILE.terms(sessions_apply=False), {"EURUSD": PROFILE.symbols["EURUSD"]})
    broker.deposit(1_000_000, NOW)
    broker.on_tick("EURUSD", NOW, 108_340, 108_348)
    request = TradeRequest(
        action=Action.DEAL, command_id="c", deadline_ms=0, symbol="EURUSD",
        type=OrderType.BUY, volume=LOT // 10, sl=sl, tp=tp,
    )  # fmt: skip
    assert broker.request(request, NOW).facts
    told: list = []
    replay(broker, "EURUSD", *ticks_of_bars([bar], MINUTE_MS, 8), on_facts=told.append)
    (order, *_), *rest = told
    assert isinstance(order, OrderFact)
    assert not rest
    assert order.status is OrderStatus.FILLED
    return order.reason, order.filled_price, order.time_ms


def test_a_stop_inside_a_bar_fills_where_the_path_meets_it():
    start_ms = NOW + MINUTE_MS
    falling = Bar(start_ms, 108_340, 108_500, 108_200, 108_300)
    rising = Bar(start_ms, 108_340, 108_500, 108_200, 108_400)
    both = {"sl": 108_250, "tp": 108_450}
    assert ended_by(falling, **both) == (Reason.TP, 108_500, start_ms + 20_000)
    assert ended_by(rising, **both) == (Reason.SL, 108_200, start_ms + 20_000)
    assert ended_by(falling, sl=108_250, tp=108_900) == (Reason.SL, 108_200, start_ms + 40_000)
