"""Records as rows of journal.db: the columns that are searched, and the record itself.

The audit makes the same rows again from what it decodes, so a column that says something else than
its record is found.
"""

import msgspec

from fxsocket_server.model.enums import DONE_STATUSES, DealEntry, PositionStatus
from fxsocket_server.model.records import Deal, Order, Position

Row = tuple[object, ...]

ORDER_COLUMNS = (
    "id, account_id, user_id, client_order_id, status, symbol, magic, created_ms, ticket,"
    " tag, done_ms, body"
)
POSITION_COLUMNS = (
    "id, account_id, user_id, status, symbol, magic, opened_ms, ticket, closed_ms, body"
)
DEAL_COLUMNS = (
    "account_id, user_id, ticket, order_id, position_id, closing, symbol, magic, time_ms, body"
)

_encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_position = msgspec.msgpack.Decoder(Position).decode
decode_deal = msgspec.msgpack.Decoder(Deal).decode


def tag(order: Order) -> str | None:
    """The tag by which a terminal's word on an order is recognised, until it has a number."""
    return order.tag or None if order.ticket is None else None


def done_ms(order: Order) -> int | None:
    """When an order was done, None while it is live."""
    return order.updated_ms if order.status in DONE_STATUSES else None


def closed_ms(position: Position) -> int | None:
    """When a position was closed, None while it is open."""
    return position.updated_ms if position.status is PositionStatus.CLOSED else None


def order_row(o: Order) -> Row:
    """An order under ORDER_COLUMNS."""
    return (
        o.id, o.account_id, o.user_id, o.client_order_id, o.status.value, o.symbol, o.magic,
        o.created_ms, o.ticket, tag(o), done_ms(o), _encode(o),
    )  # fmt: skip


def position_row(p: Position) -> Row:
    """A position under POSITION_COLUMNS."""
    return (
        p.id, p.account_id, p.user_id, p.status.value, p.symbol, p.magic, p.opened_ms, p.ticket,
        closed_ms(p), _encode(p),
    )  # fmt: skip


def deal_row(d: Deal) -> Row:
    """A deal under DEAL_COLUMNS."""
    closing = d.entry not in (None, DealEntry.IN)
    return (
        d.account_id, d.user_id, d.ticket, d.order_id, d.position_id, closing, d.symbol, d.magic,
        d.time_ms, _encode(d),
    )  # fmt: skip
