"""Cancel every resting order and close every position: the red button.

Safe to run twice: closing what is closed answers how it was closed. Needs a server (`make run`) and
its key in FXSOCKET_API_KEY; FXSOCKET_BASE_URL says where it is.
"""

from fxsocket import FxSocketClient, FxSocketError


def cancel_orders(client: FxSocketClient) -> int:
    """Cancel what rests, so that nothing opens behind our back; how many there were."""
    orders = list(client.orders.iter(status="PLACED"))
    for order in orders:
        client.orders.cancel(order.id)
        print(f"cancelled {order.type} {order.volume} {order.symbol} at {order.price}")
    return len(orders)


def close_positions(client: FxSocketClient) -> tuple[int, float]:
    """Close each position, going on when one cannot be closed; how many, and their profit."""
    count, profit = 0, 0.0
    for position in client.positions.list():
        try:
            result = client.positions.close(position.id)
        except FxSocketError as error:
            print(f"NOT closed: {position.type} {position.volume} {position.symbol}: {error}")
            continue
        count, profit = count + 1, profit + (result.profit or 0.0)
        print(f"closed {position.type} {result.closed_volume} {position.symbol} {result.profit}")
    return count, profit


def main() -> None:
    """Orders first, then positions."""
    with FxSocketClient() as client:
        cancelled = cancel_orders(client)
        closed, profit = close_positions(client)
        currency = client.account.get().currency
        left = len(client.positions.list())
    print(f"{cancelled} orders cancelled, {closed} positions closed, {profit:.2f} {currency}")
    if left:
        raise SystemExit(f"{left} positions are still open")


if __name__ == "__main__":
    main()
