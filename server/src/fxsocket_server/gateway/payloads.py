"""What the events of records carry: the JSON fragments that every surface wraps in its own frame.

A record has exactly one public form, so the newest event of a record tells what the record is.
"""

from fxsocket_server.core.codec import encode
from fxsocket_server.gateway.views import BalanceView, deal_view, order_view, position_view
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.model.units import POWERS


def order_payload(order: Order) -> bytes:
    """An order as its events show it."""
    return b'"order":' + encode(order_view(order))


def deal_payload(deal: Deal, money_digits: int) -> bytes:
    """A deal as its event shows it."""
    return b'"deal":' + encode(deal_view(deal, money_digits))


def position_payload(position: Position, money_digits: int) -> bytes:
    """A position as its events show it: with the price and profit of what was closed so far."""
    view = position_view(position, position.close_price, position.profit, money_digits)
    return b'"position":' + encode(view)


def balance_payload(balance: int, credit: int, currency: str, money_digits: int) -> bytes:
    """Balance and credit as their event shows them."""
    scale = POWERS[money_digits]
    return b'"balance":' + encode(BalanceView(balance / scale, credit / scale, currency))
