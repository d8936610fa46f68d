"""The trips of the broker bench on hftbacktest: a compiled loop that sees every quote.

Its strategies are compiled by numba, so this is no Python callback. A quote is four changes
of the book; orders cross the spread without delay or fees.
"""

from typing import Any

import numpy as np  # type: ignore[import-not-found]
from _broker_run import EVERY, HELD, POINT, SIZE, UNITS, Ticks, arguments, report, timed
from hftbacktest import (  # type: ignore[import-not-found]
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    event_dtype,
)
from numba import njit  # type: ignore[import-not-found]

LOT_SIZE = 1_000.0
EVENTS = 4  # of a tick
SECOND_NS = 10**9


@njit  # type: ignore[untyped-decorator]
def trade(hbt: Any, every: int, held: int, units: float) -> int:
    """Act by the number of the quote; a quote is several events."""
    seen = 0
    order = 0
    while hbt.wait_next_feed(False, 3600 * SECOND_NS * 1000) == 2:
        seen += 1
        if seen % EVENTS:
            continue
        tick = seen // EVENTS - 1
        depth = hbt.depth(0)
        if tick % every == 0:
            order += 1
            hbt.submit_buy_order(0, order, depth.best_ask, units, GTC, LIMIT, True)
        elif tick % every == held:
            order += 1
            hbt.submit_sell_order(0, order, depth.best_bid, units, GTC, LIMIT, True)
        if order:
            hbt.clear_inactive_orders(0)
    return seen


def events(ticks: Ticks) -> Any:
    """Ticks as events a nanosecond apart: on each side the old level goes, the new one comes."""
    times, bids, asks = (np.array(column, np.int64) for column in ticks)
    moments = times * 1_000_000 + np.arange(len(times)) * EVENTS
    rows = np.zeros(EVENTS * len(times), event_dtype)
    for side, prices, kind in ((0, bids, BUY_EVENT), (2, asks, SELL_EVENT)):
        for number, column, size in ((side, np.roll(prices, 1), 0), (side + 1, prices, SIZE)):
            part = rows[number::EVENTS]
            part["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | kind
            part["exch_ts"] = part["local_ts"] = moments + number
            part["px"] = column / POINT
            part["qty"] = size
    return rows


def backtest(rows: Any) -> Any:
    """An engine with these events."""
    asset = (
        BacktestAsset()
        .data(rows)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(1 / POINT)
        .lot_size(LOT_SIZE)
        .last_trades_capacity(0)
    )
    return HashMapMarketDepthBacktest([asset])


def main() -> None:
    """Compile on a few ticks, then measure the run alone."""
    ticks, count = arguments()
    # The engine reads the events where they are: they have to outlive it.
    few = events((ticks[0][:10], ticks[1][:10], ticks[2][:10]))
    trade(backtest(few), EVERY, HELD, float(UNITS))
    rows = events(ticks)
    engine = backtest(rows)
    seconds = timed(lambda: trade(engine, EVERY, HELD, float(UNITS)))
    state = engine.state_values(0)
    if state.position:
        raise SystemExit(f"a position of {state.position} is open")
    report("hftbacktest", "hftbacktest", count, seconds, 100 * state.balance)


if __name__ == "__main__":
    main()
