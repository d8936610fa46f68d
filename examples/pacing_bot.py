"""A moving-average bot in lockstep with a replay: every fill is at the price it was shown.

Start a replay of the day of WS30 ticks that ships with the server:

    make run ARGS="--replay \
server/src/fxsocket_server/storage/history/data/darwinex_ticks_WS30_2018-10-01.csv.gz --speed max"

    python examples/pacing_bot.py --ticks 5000

The subscription is paced: the account's clock stands at each tick until the bot asks for the next
one. So the market waits while the bot thinks and trades, however fast the replay could run.
FXSOCKET_API_KEY is the key; FXSOCKET_BASE_URL and FXSOCKET_STREAM_URL say where the server is.
"""

import argparse
from collections import deque
from collections.abc import Iterator
from itertools import islice

from fxsocket import FxSocketClient, Heartbeat, Order, Tick
from fxsocket.stream import Stream

SYMBOL = "WS30"
LOTS = 1.0
FAST, SLOW = 100, 400
PATIENCE_S = 10.0


class Crossover:
    """BUY while the fast mean of the last bids is above the slow one, SELL while it is below."""

    def __init__(self, fast: int, slow: int) -> None:
        self._fast = fast
        self._bids: deque[float] = deque(maxlen=slow)

    def side(self, bid: float) -> str | None:
        """What to hold after this bid; None until there are enough of them."""
        self._bids.append(bid)
        if len(self._bids) < (self._bids.maxlen or 0):
            return None
        newest = islice(reversed(self._bids), self._fast)
        fast, slow = sum(newest) / self._fast, sum(self._bids) / len(self._bids)
        return "BUY" if fast > slow else "SELL" if fast < slow else None


def ticks(stream: Stream, most: int) -> Iterator[Tick]:
    """Up to `most` ticks; a silence says that the replay is over."""
    while most:  # bounded by `most`
        event = stream.get(timeout=PATIENCE_S)
        if event is None or isinstance(event, Heartbeat):
            return
        if isinstance(event, Tick):
            most -= 1
            yield event


def close(client: FxSocketClient, held: Order, n: int | None) -> None:
    """Close what an order opened, and print how it went."""
    assert held.position_id is not None
    result = client.positions.close(held.position_id)
    print(f"tick {n}: close {held.type} at {result.close_price}, profit {result.profit}")


def main(most: int) -> None:
    """Always hold the side of the faster mean."""
    crossover, held, trades, last = Crossover(FAST, SLOW), None, 0, None
    with FxSocketClient() as client, client.stream() as stream:
        stream.subscribe([SYMBOL], pace=True)
        for tick in ticks(stream, most):
            last = tick
            side = crossover.side(tick.bid)
            if side is None or (held is not None and held.type == side):
                continue
            if held is not None:
                close(client, held, tick.n)
            held = client.orders.create(symbol=SYMBOL, type=side, volume=LOTS)
            trades += 1
            print(f"tick {tick.n}: {side} {LOTS} lots at {held.price}")
        if held is not None and last is not None:
            close(client, held, last.n)
        print(f"{trades} trades, balance {client.account.get().balance}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=5000, help="stop after so many")
    main(parser.parse_args().ticks)
