"""Open a position with the SDK, move its stop, close it.

Needs a server (`make run`) and its key in FXSOCKET_API_KEY. FXSOCKET_BASE_URL says where it is.
"""

from fxsocket import FxSocketClient, OrderRejected, ValidationError


def main() -> None:
    """Trade EURUSD once, with stops that fit whatever the market is at."""
    with FxSocketClient() as client:
        symbol = client.symbols.get("EURUSD")
        quote = client.quotes.get("EURUSD")
        assert quote.bid is not None, "the market has no price yet"

        far = 1000 * symbol.point
        order = client.orders.create(
            symbol="EURUSD",
            type="BUY",
            volume=symbol.volume_min * 10,
            sl=round(quote.bid - far, symbol.digits),
            tp=round(quote.bid + far, symbol.digits),
            comment="sdk_first_order",
        )
        assert order.position_id is not None, f"no position yet: {order.status}"
        print(f"{order.status}: {order.volume} lots at {order.price}")

        nearer = round(quote.bid - far / 2, symbol.digits)
        position = client.positions.modify(order.position_id, sl=nearer)
        print(f"sl {position.sl}, tp {position.tp}")

        result = client.positions.close(order.position_id)
        print(f"{result.status} at {result.close_price}, profit {result.profit}")


if __name__ == "__main__":
    try:
        main()
    except OrderRejected as error:  # the broker said no: its retcode, and what would pass
        raise SystemExit(f"{error.retcode_name}: {error.detail}") from None
    except ValidationError as error:  # a field is wrong, and the message says how to mend it
        raise SystemExit(error.detail) from None
