"""A change: everything that one trade command or one tick makes true, committed as one.

A change is numbered before it is written: its events carry the account's next `seq` values. The
journal makes changes durable in the order in which they were appended.
"""

from typing import Literal

from msgspec import Struct

from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Deal, Order, Position

Table = Literal["orders", "positions", "deals"]
Mark = tuple[int, int]  # where a row of history stands: its time and its row number


class Event(Struct, frozen=True, gc=False):
    """One row of an account's log and one public event.

    `payload` is a JSON fragment such as `"order":{...}` that every surface wraps in its own frame.
    """

    account_id: str
    seq: int
    type: str
    time_ms: int
    payload: bytes


class StoredCommand(Struct, frozen=True, kw_only=True, gc=False):
    """A trade command as journalled; `answer_body` is None until its outcome is final.

    `order_id` is the order that it made; `request` is kept where a terminal outside may have to be
    asked about it. `plan` holds the legs of a command that consists of several. `delivered` says
    that the answer to a command without a key has arrived.
    """

    command_id: str
    user_id: str
    account_id: str
    key: str | None
    kind: str
    subject_id: str
    fingerprint: bytes
    created_ms: int
    answer_status: int | None = None
    answer_body: bytes | None = None
    api_key_id: str = ""
    order_id: str | None = None
    request: TradeRequest | None = None
    plan: bytes | None = None
    delivered: bool = False


class Change(Struct, kw_only=True, gc=False):
    """Records and events that commit together; built by the lane, then never touched again.

    `order_json` is the public form of each order, encoded once for events and answers.
    """

    user_id: str
    account_id: str
    time_ms: int
    events: list[Event] = []
    orders: dict[str, Order] = {}
    order_json: dict[str, bytes] = {}
    positions: dict[str, Position] = {}
    deals: list[Deal] = []
    command: StoredCommand | None = None
    balance: int | None = None
    credit: int | None = None
    risk: bytes | None = None


class AccountState(Struct, frozen=True, kw_only=True):
    """What the journal knows of an account: enough to rebuild its book and simulated broker."""

    epoch: str
    head_seq: int
    last_deal_ms: int = 0
    balance: int
    credit: int
    last_order_ticket: int
    last_position_ticket: int
    last_deal_ticket: int
    orders: list[Order]
    positions: list[Position]
    checkpoint: bytes | None
    risk: bytes | None = None


class EquitySample(Struct, frozen=True, gc=False):
    """An account's money once per minute of its broker clock, in minor units."""

    account_id: str
    minute_ms: int
    user_id: str
    balance: int
    credit: int
    equity: int
    margin: int


class OrderQuery(Struct, frozen=True, kw_only=True):
    """Which orders (newest first) or deals (oldest first) to list; `cursor` is a row number."""

    account_id: str
    limit: int
    cursor: int | None = None
    statuses: tuple[str, ...] = ()
    symbol: str | None = None
    magic: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """Which done orders or closed positions to list, oldest first by when they were.

    `after` is where the last one that is known stands (the cursor).
    """

    account_id: str
    limit: int
    after: Mark | None = None
    symbol: str | None = None
    magic: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
