"""Print live prices and order updates, and stop after some ticks.

    python examples/stream_prices.py EURUSD GBPUSD --ticks 50

Needs a server (`make run`) and its key in FXSOCKET_API_KEY. FXSOCKET_BASE_URL and
FXSOCKET_STREAM_URL say where it is.
"""

import argparse

from fxsocket import ChannelGap, FxSocketClient, Gap, OrderUpdate, StreamErrorEvent, Tick


def main(symbols: list[str], ticks: int) -> None:
    """Follow the stream; it reconnects and subscribes again by itself."""
    seen = 0
    with FxSocketClient() as client, client.stream() as stream:
        stream.subscribe(symbols)
        for event in stream:
            match event:
                case Tick():
                    seen += 1
                    print(f"{event.symbol} {event.bid} / {event.ask}")
                case OrderUpdate():
                    print(f"order {event.order.id}: {event.order.status}")
                case Gap():
                    print(f"missed events {event.from_seq + 1} to {event.to_seq}")
                case ChannelGap():
                    print(f"ticks of {event.symbol} were left out: this client reads too slowly")
                case StreamErrorEvent():
                    print(f"refused: {event.detail}")
            if seen == ticks:
                break
    print(f"{seen} ticks")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("symbols", nargs="*", default=["EURUSD", "GBPUSD", "USDJPY"])
    parser.add_argument("--ticks", type=int, default=20, help="stop after so many (default 20)")
    arguments = parser.parse_args()
    main(arguments.symbols, arguments.ticks)
