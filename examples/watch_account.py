"""Trade over the stream's own connection and watch the account move: asyncio, typed events.

    python examples/watch_account.py EURUSD --trades 2

Needs a server (`make run`) and its key in FXSOCKET_API_KEY. FXSOCKET_BASE_URL and
FXSOCKET_STREAM_URL say where it is.
"""

import argparse
import asyncio

from fxsocket import (
    AccountUpdate,
    AsyncFxSocketClient,
    CandleUpdate,
    ChannelGap,
    DealUpdate,
    Gap,
    PositionUpdate,
    QuoteUpdate,
    Reconnected,
    Stale,
    StreamErrorEvent,
    StreamEvent,
)
from fxsocket.stream import AsyncStream


def told(event: StreamEvent) -> str | None:
    """What is worth a line."""
    match event:
        case DealUpdate(deal=deal) if deal.entry is not None:
            return (
                f"deal {deal.entry} {deal.type} {deal.volume} at {deal.price}, {deal.profit:+.2f}"
            )
        case PositionUpdate(position=position):
            return f"position {position.id}: {position.status} {position.volume}"
        case AccountUpdate(account=account):
            return f"equity {account.equity:.2f} {account.currency}"
        case QuoteUpdate():
            return f"{event.symbol} {event.bid} / {event.ask}"
        case CandleUpdate(closed=True):
            return f"{event.symbol} {event.timeframe} closed at {event.close}"
        case Reconnected():
            return f"connected again ({event.reason}); prices of the meantime are lost"
        case Gap():
            return f"events {event.from_seq + 1} to {event.to_seq} are lost: read the account anew"
        case ChannelGap():
            return f"{event.count} of {event.channel} left out: this program reads too slowly"
        case Stale(stale=True):
            return f"{event.channel} of {event.symbol or 'the account'} stale: {event.reason}"
        case StreamErrorEvent():
            return f"refused: {event.detail}"
    return None


async def trade(stream: AsyncStream, symbol: str, trades: int) -> None:
    """Open and close; answers come while events go on."""
    for _ in range(trades):
        order = await stream.orders.create(symbol=symbol, type="BUY", volume=0.1)
        assert order.position_id is not None, f"no position yet: {order.status}"
        await stream.positions.close(order.position_id)


async def main(symbol: str, trades: int) -> None:
    """Watch until every trade was seen to close."""
    async with AsyncFxSocketClient() as client, client.stream() as stream:
        await stream.subscribe(channels=["account", "deals", "positions"])
        await stream.subscribe([symbol], ["quotes", "candles:M1"], rate=2)
        trading, closed = asyncio.create_task(trade(stream, symbol, trades)), 0
        while closed < trades:
            event = await anext(stream)
            if (line := told(event)) is not None:
                print(line)
            closed += isinstance(event, DealUpdate) and event.deal.entry == "OUT"
        await trading
        stats = stream.stats()
        print(f"{closed} trades, {stats.connections} connection, behind: {stats.is_behind}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("symbol", nargs="?", default="EURUSD")
    parser.add_argument("--trades", type=int, default=2, help="open and close so often (default 2)")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.symbol, arguments.trades))
