"""Backtest a moving-average crossover on years of USDJPY candles from the API, in pure Python.

    python examples/moving_average_backtest.py --from 2018-01-01 --to 2020-01-01

The candles ship with the server, so nothing is downloaded. A trade opens at the candle after the
signal and is reversed by the next one. Needs a server (`make run`) and its key in FXSOCKET_API_KEY;
FXSOCKET_BASE_URL says where it is.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from fxsocket import Candle, FxSocketClient

SYMBOL, TIMEFRAME = "USDJPY", "H1"
FAST, SLOW = 20, 100
LOTS, LOT_UNITS = 0.1, 100_000
POINT, SPREAD_POINTS = 0.001, 9


@dataclass(frozen=True)
class Trade:
    """One position, from its opening to its closing; prices as they were dealt."""

    side: str
    opened: datetime
    open_price: float
    close_price: float

    @property
    def profit(self) -> float:
        """In USD: the yen earned, at the closing price."""
        points = self.close_price - self.open_price
        yen = (points if self.side == "BUY" else -points) * LOTS * LOT_UNITS
        return round(yen / self.close_price, 2)


def price(candle: Candle, side: str) -> float:
    """What a deal at the candle's open costs: candles are Bid, buyers pay the spread."""
    spread = SPREAD_POINTS * POINT if side == "BUY" else 0.0
    return round(candle.open + spread, 3)


def signals(candles: list[Candle]) -> Iterator[tuple[Candle, str]]:
    """The candle to trade at, and the side that the means of the closes before it ask for."""
    totals = [0.0, *accumulate(candle.close for candle in candles)]
    for i in range(SLOW, len(candles)):
        fast = (totals[i] - totals[i - FAST]) / FAST
        slow = (totals[i] - totals[i - SLOW]) / SLOW
        yield candles[i], "BUY" if fast > slow else "SELL"


def backtest(candles: list[Candle]) -> Iterator[Trade]:
    """Reverse whenever the side changes; the last position closes at the last candle."""
    held: tuple[str, Candle] | None = None
    for candle, side in signals(candles):
        if held is None or held[0] != side:
            if held is not None:
                yield closed(*held, candle)
            held = side, candle
    if held is not None:
        yield closed(*held, candles[-1])


def closed(side: str, opened: Candle, candle: Candle) -> Trade:
    """The trade that ends at this candle's open."""
    opposite = "SELL" if side == "BUY" else "BUY"
    return Trade(side, opened.time, price(opened, side), price(candle, opposite))


def report(trades: Iterable[Trade]) -> None:
    """Print every trade, then what they came to."""
    balance, peak, drawdown, wins, count = 0.0, 0.0, 0.0, 0, 0
    for trade in trades:
        count += 1
        wins += trade.profit > 0
        balance += trade.profit
        peak = max(peak, balance)
        drawdown = max(drawdown, peak - balance)
        print(
            f"{trade.opened:%Y-%m-%d %H:%M} {trade.side:4} {trade.open_price:.3f} -> "
            f"{trade.close_price:.3f} {trade.profit:+.2f}"
        )
    print(
        f"{count} trades, {wins} won, net {balance:+.2f} USD, drawdown {drawdown:.2f} USD,"
        f" {LOTS} lots each"
    )


def main(from_: str, to: str) -> None:
    """Read the candles and run the strategy over them."""
    with FxSocketClient() as client:
        candles = list(client.candles.iter(SYMBOL, TIMEFRAME, from_, to, limit=10_000))
    if len(candles) <= SLOW:
        raise SystemExit(f"only {len(candles)} candles there; ask for more than {SLOW}")
    print(f"{len(candles)} candles, {candles[0].time:%Y-%m-%d} to {candles[-1].time:%Y-%m-%d}")
    report(backtest(candles))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="from_", default="2018-01-01")
    parser.add_argument("--to", default="2020-01-01")
    arguments = parser.parse_args()
    main(arguments.from_, arguments.to)
