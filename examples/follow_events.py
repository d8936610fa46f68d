"""Follow an account's log of events from any place in it, without a hole, by long-polling.

    python examples/follow_events.py --after 0

The log is numbered 1, 2, 3. Keep the last number that you have worked off and give it as `--after`
next time: nothing is missed and nothing comes twice. Needs a server (`make run`) and its key in
FXSOCKET_API_KEY; FXSOCKET_BASE_URL says where it is.
"""

import argparse
from collections.abc import Iterator

from fxsocket import Event, FxSocketClient

WAIT_MS = 20_000


def events(client: FxSocketClient, after: int) -> Iterator[Event]:
    """Every event above `after`, for ever; the epoch makes sure that it is still the same log."""
    epoch = client.events.list(limit=1).epoch
    while True:  # until the caller stops asking
        for event in client.events.list(after=after, epoch=epoch, wait_ms=WAIT_MS):
            assert event.seq == after + 1, f"a hole after {after}"
            after = event.seq
            yield event


def describe(event: Event) -> str:
    """One line: number, what happened, and to what."""
    if event.order is not None:
        order = event.order
        text = f"{order.id} {order.type} {order.volume} {order.symbol} {order.status}"
    elif event.deal is not None:
        text = f"{event.deal.id} {event.deal.type} profit {event.deal.profit}"
    elif event.position is not None:
        text = f"{event.position.id} {event.position.status} {event.position.volume} lots"
    else:
        text = str(event.raw.get("balance", ""))
    return f"{event.seq} {event.type} {text}"


def main(after: int, count: int | None) -> None:
    """Print events as they come."""
    with FxSocketClient() as client:
        for number, event in enumerate(events(client, after), start=1):
            print(describe(event), flush=True)
            if number == count:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--after", type=int, default=0, help="the last number worked off")
    parser.add_argument("--count", type=int, help="stop after so many; for ever when left out")
    arguments = parser.parse_args()
    main(arguments.after, arguments.count)
