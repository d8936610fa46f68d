"""The trips of the broker bench on backtesting.py: a strategy that sees every tick as a bar.

A bar opens and closes at the Bid and is as high as the Ask. Orders are placed a tick before: the
buy as a stop at the next Ask, which that bar just reaches, the sale at the next bar's open.
"""

import warnings

import pandas as pd
from _broker_run import POINT, UNITS, arguments, report, timed, trips
from backtesting import Backtest, Strategy  # type: ignore[import-not-found]

CASH = 1_000_000.0
LEAD = 2  # bars before the first tick: the strategy is called from the second on


class Trips(Strategy):  # type: ignore[misc]
    """Buys, and sells again later, by the number of the tick."""

    count = 0
    asks: list[float] = []  # noqa: RUF012

    def init(self) -> None:
        """Begin before the first tick."""
        self.plan = trips(self.count)
        self.due, self.buys = next(self.plan)
        self.seen = -1

    def next(self) -> None:
        """Act when it is time."""
        if self.seen == self.due - 1:
            if self.buys:
                self.buy(size=UNITS, stop=self.asks[self.due])
            else:
                self.position.close()
            self.due, self.buys = next(self.plan, (-9, False))
        self.seen += 1


def bars(bids: list[float], asks: list[float]) -> pd.DataFrame:
    """Ticks as bars, after the bars that lead to the first one."""
    low, high = bids[:1] * LEAD + bids, asks[:1] * LEAD + asks
    return pd.DataFrame({"Open": low, "High": high, "Low": low, "Close": low})


def main() -> None:
    """Build the engine and its bars, then measure the run alone."""
    (_, bids, asks), count = arguments()
    warnings.simplefilter("ignore")
    low, high = [bid / POINT for bid in bids], [ask / POINT for ask in asks]
    test = Backtest(bars(low, high), Trips, cash=CASH, margin=0.01)
    result = []
    seconds = timed(lambda: result.append(test.run(count=count, asks=high)))
    (stats,) = result
    cents = 100 * (stats["Equity Final [$]"] - CASH)
    report("backtesting", "backtesting.py", count, seconds, cents)


if __name__ == "__main__":
    main()
