"""The trips of the broker bench on backtrader: a strategy that sees every tick as a bar.

A bar opens at the Ask and closes at the Bid. A market order fills at the next bar's open, so the
buy is placed a tick before; the sale fills at its own bar's close.
"""

from datetime import UTC, datetime
from typing import Any

import backtrader as bt  # type: ignore[import-not-found]
from _broker_run import POINT, UNITS, arguments, report, timed, trips

CASH = 1_000_000.0
STEP_DAYS = 1e-5  # about a second


class Ticks(bt.feed.DataBase):  # type: ignore[misc]
    """Ticks in memory as bars, after one bar more that lets the first order be placed."""

    params = (("rows", ()),)

    def start(self) -> None:
        """Begin at the first tick."""
        super().start()
        self.rows = iter(self.p.rows)

    def _load(self) -> bool:
        row = next(self.rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0], ask, bid = row
        lines.open[0] = lines.high[0] = ask
        lines.low[0] = lines.close[0] = bid
        lines.volume[0] = lines.openinterest[0] = 0.0
        return True


class Trips(bt.Strategy):  # type: ignore[misc]
    """Buys, and sells again later, by the number of the tick."""

    params = (("count", 0),)

    def __init__(self) -> None:
        self.plan = trips(self.p.count)
        self.due, self.buys = next(self.plan)
        self.seen = -1  # the bar before the first tick

    def next(self) -> None:
        """Act when it is time."""
        if self.seen == self.due - self.buys:
            if self.buys:
                self.buy(size=UNITS, coc=False)
            else:
                self.sell(size=UNITS)
            self.due, self.buys = next(self.plan, (-9, False))
        self.seen += 1


def bars(times: list[int], bids: list[int], asks: list[int]) -> list[tuple[float, float, float]]:
    """Ticks as backtrader's date numbers and prices, the first one twice.

    No two have the same moment, for an order fills only after the moment at which it was placed.
    """
    first = bt.date2num(datetime.fromtimestamp(times[0] / 1000, UTC))
    prices = [(asks[0], bids[0]), *zip(asks, bids, strict=True)]
    return [
        (first + number * STEP_DAYS, ask / POINT, bid / POINT)
        for number, (ask, bid) in enumerate(prices)
    ]


def main() -> None:
    """Build the engine and its bars, then measure the run alone."""
    columns, count = arguments()
    cerebro: Any = bt.Cerebro(stdstats=False)
    cerebro.broker.set_cash(CASH)
    cerebro.broker.set_coc(True)
    feed = Ticks(rows=bars(*columns), timeframe=bt.TimeFrame.Ticks)
    cerebro.adddata(feed)
    cerebro.addstrategy(Trips, count=count)
    seconds = timed(cerebro.run)
    report("backtrader", "backtrader", count, seconds, 100 * (cerebro.broker.getvalue() - CASH))


if __name__ == "__main__":
    main()
