"""What the API answers, as immutable records with the API's own names.

Prices are in the symbol's quote currency, volumes in lots, money in the account's currency, times
timezone-aware UTC datetimes. Fields that a newer server adds are ignored, and words it adds to an
enum are kept as they are: the `Literal` names below list what version 1 knows.
"""

from datetime import date, datetime
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")

OrderType: TypeAlias = Literal[
    "BUY",
    "SELL",
    "BUY_LIMIT",
    "SELL_LIMIT",
    "BUY_STOP",
    "SELL_STOP",
    "BUY_STOP_LIMIT",
    "SELL_STOP_LIMIT",
    "CLOSE_BY",
]
OrderStatus: TypeAlias = Literal[
    "PENDING",
    "PLACED",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "REJECTED",
    "EXPIRED",
    "UNKNOWN",
]
PositionStatus: TypeAlias = Literal["OPEN", "CLOSED"]
TimeInForce: TypeAlias = Literal["GTC", "DAY", "SPECIFIED", "SPECIFIED_DAY"]
ExecutionMode: TypeAlias = Literal["REQUEST", "INSTANT", "MARKET", "EXCHANGE"]
DealEntry: TypeAlias = Literal["IN", "OUT", "INOUT", "OUT_BY"]
AccountStatus: TypeAlias = Literal["connecting", "connected", "disconnected", "error"]
Timeframe: TypeAlias = Literal[
    "M1", "M2", "M3", "M4", "M5", "M6", "M10", "M12", "M15", "M20", "M30",
    "H1", "H2", "H3", "H4", "H6", "H8", "H12", "D1", "W1", "MN1",
]  # fmt: skip


class Order(Struct, frozen=True, kw_only=True):
    """An instruction to trade and what has become of it.

    `price` is the volume-weighted fill price once anything filled, before that the requested price
    or None. `status` is an OrderStatus: PENDING has no outcome yet, PLACED rests at the broker.
    """

    id: str
    account_id: str
    client_order_id: str | None = None
    symbol: str
    type: str
    status: str
    volume: float
    filled_volume: float = 0.0
    requested_price: float | None = None
    price: float | None = None
    stop_limit_price: float | None = None
    sl: float | None = None
    tp: float | None = None
    deviation: int | None = None
    filling: str | None = None
    time_in_force: str | None = None
    expires_at: datetime | None = None
    magic: int | None = None
    comment: str | None = None
    ticket: int | None = None
    position_id: str | None = None
    retcode: int | None = None
    retcode_name: str | None = None
    reason: str | None = None
    cancel_requested: bool = False
    created_at: datetime
    updated_at: datetime


class Position(Struct, frozen=True, kw_only=True):
    """An open or closed entry; `type` is BUY or SELL, `status` a PositionStatus."""

    id: str
    ticket: int | None = None
    account_id: str
    symbol: str
    type: str
    volume: float
    open_price: float
    current_price: float | None = None
    sl: float | None = None
    tp: float | None = None
    swap: float = 0.0
    profit: float = 0.0
    commission: float = 0.0
    magic: int | None = None
    comment: str | None = None
    opened_at: datetime
    order_id: str | None = None
    status: str
    closed_volume: float = 0.0
    closed_at: datetime | None = None


class CloseResult(Struct, frozen=True, kw_only=True):
    """What closing did; `already` is True when the position had been closed before.

    `remaining_position_id` holds what is still open: the position itself, on MT4 a new one.
    """

    id: str
    order_id: str | None = None
    status: str
    closed_volume: float
    remaining_volume: float
    close_price: float | None = None
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    already: bool = False
    close_order_id: str | None = None
    remaining_position_id: str | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """Why one part of a command was not done; `code` as in the errors of the API."""

    code: str
    detail: str
    status: int | None = None
    retryable: bool = False
    retcode: int | None = None
    retcode_name: str | None = None
    order: Order | None = None


class OrderResult(Struct, frozen=True, kw_only=True):
    """One order of a batch: the `order`, or the `error` that it met."""

    order: Order | None = None
    error: Refusal | None = None


class PositionResult(Struct, frozen=True, kw_only=True):
    """One position of several: how it closed, or the `error` that it met."""

    position_id: str
    result: CloseResult | None = None
    error: Refusal | None = None


class CanceledOrder(Struct, frozen=True, kw_only=True):
    """One order of several that were to be cancelled: the `order`, or the `error` that it met."""

    order_id: str
    order: Order | None = None
    error: Refusal | None = None


class ClosedAll(Struct, frozen=True, kw_only=True):
    """What closing all did to each position, and to each order where orders were meant, too."""

    results: tuple[PositionResult, ...] = ()
    orders: tuple[CanceledOrder, ...] = ()


class Reversed(Struct, frozen=True, kw_only=True):
    """What reversing did: the position in `results`, and the `order` that opened the opposite.

    With an `error` the position is closed and the opposite was not opened.
    """

    results: tuple[PositionResult, ...] = ()
    order: Order | None = None
    error: Refusal | None = None


class OrderCheck(Struct, frozen=True, kw_only=True):
    """What an order would lead to: `retcode` 0 and the figures after it, or the broker's refusal.

    `code` is the error that placing it would raise, None when it would be taken.
    """

    allowed: bool
    retcode: int
    retcode_name: str | None = None
    code: str | None = None
    comment: str = ""
    margin_needed: float
    balance: float
    equity: float
    profit: float
    margin: float
    free_margin: float
    margin_level: float | None = None
    currency: str | None = None


class Account(Struct, frozen=True, kw_only=True):
    """Figures of one account; margin levels are percentages, None while nothing is open."""

    id: str
    name: str | None = None
    platform: str
    kind: str
    broker: str | None = None
    server: str | None = None
    login: int | str | None = None
    mode: str | None = None
    margin_mode: str | None = None
    currency: str
    leverage: int
    balance: float
    credit: float
    equity: float
    profit: float
    margin: float
    free_margin: float
    margin_level: float | None = None
    stop_out_level: float | None = None
    margin_call_level: float | None = None
    trade_allowed: bool
    status: str
    server_time: datetime | None = None
    server_utc_offset_s: int | None = None


class AccountSummary(Struct, frozen=True, kw_only=True):
    """One linked account in the list of accounts; `status` is an AccountStatus.

    `is_default` marks the one that is meant when neither client nor call names one.
    """

    id: str
    name: str | None = None
    broker: str | None = None
    server: str | None = None
    login: int | str | None = None
    platform: str
    kind: str
    mode: str | None = None
    currency: str | None = None
    status: str
    error: str | None = None
    is_default: bool = False
    leverage: int | None = None
    driver: str | None = None
    profile: str | None = None
    seed: int | None = None
    created_at: datetime | None = None


class CreatedAccount(AccountSummary, frozen=True, kw_only=True):
    """A new account; `connector_token` lets its terminal dial in, and is told this once."""

    connector_token: str | None = None

    def __repr__(self) -> str:
        return f"CreatedAccount(id={self.id!r}, kind={self.kind!r}, status={self.status!r}, ...)"


class KeyLimits(Struct, frozen=True, kw_only=True):
    """Risk rules of a key; None bounds nothing."""

    max_order_volume: float | None = None
    max_open_volume: float | None = None
    symbols: str | None = None
    hours: str | None = None
    hours_zone: str | None = None
    orders_per_minute: int | None = None
    max_daily_loss: str | None = None
    max_drawdown: str | None = None
    on_loss: str | None = None
    reduce_only: bool | None = None


class Key(Struct, frozen=True, kw_only=True):
    """An API key without its secret; `accounts` None means all, empty `ip_rules` any address.

    `kind` is live or test, as its secret begins; `old_secret_until` ends a rotation's overlap.
    """

    id: str
    name: str
    kind: str
    scope: str
    accounts: tuple[str, ...] | None = None
    default_account_id: str | None = None
    ip_rules: tuple[str, ...] = ()
    limits: KeyLimits = KeyLimits()
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    old_secret_until: datetime | None = None


class NewKey(Key, frozen=True, kw_only=True):
    """An API key with its secret, which is shown this once; its repr hides it."""

    secret: str

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r}, name={self.name!r}, secret='***')"


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One thing that somebody did to `target`; `key_id` None is the server's command line."""

    seq: int
    time: datetime
    action: str
    target: str
    account_id: str | None = None
    key_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    details: dict[str, Any] = {}


class Usage(Struct, frozen=True, kw_only=True):
    """What a key did in one UTC day."""

    key_id: str
    date: date
    requests: int = 0
    orders: int = 0


class Symbol(Struct, frozen=True, kw_only=True):
    """The broker's rules for one symbol; levels are in points, volumes in lots."""

    symbol: str
    description: str | None = None
    digits: int
    point: float
    contract_size: float
    currency_base: str | None = None
    currency_profit: str | None = None
    currency_margin: str | None = None
    tick_size: float
    tick_value: float | None = None
    volume_min: float
    volume_max: float
    volume_step: float
    volume_limit: float | None = None
    stops_level: int = 0
    freeze_level: int = 0
    execution_mode: str | None = None
    filling_modes: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    trade_mode: str | None = None
    calc_mode: str | None = None
    margin_initial: float | None = None
    margin_hedged: float | None = None
    swap_mode: str | None = None
    swap_long: float | None = None
    swap_short: float | None = None
    swap_triple_day: str | int | None = None
    spread: int | None = None
    spread_floating: bool | None = None
    bid: float | None = None
    ask: float | None = None
    sessions: dict[str, Any] | None = None
    market_open: bool | None = None
    next_open: datetime | None = None
    next_close: datetime | None = None


class Quote(Struct, frozen=True, kw_only=True):
    """The latest price of a symbol; `spread` is in points, `stale` says that it is too old."""

    symbol: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    volume: float | None = None
    timestamp: datetime | None = None
    spread: int | None = None
    age_ms: int | None = None
    market_open: bool | None = None
    stale: bool = False


class SimFault(Struct, frozen=True, kw_only=True):
    """A fault in force on a simulated account, with the `times` that it has left."""

    scenario: str | None = None
    delay_ms: int = 0
    delay_shape: str = "FIXED"
    retcode: int | None = None
    lose_reply: bool = False
    freeze: bool = False
    disconnect: bool = False
    partial_volume: float | None = None
    price_jump_points: int = 0
    spread_points: int = 0
    trade_disabled: bool = False
    off_quotes: bool = False
    duplicate_events: bool = False
    reorder_events: bool = False
    rollover_spread_points: int = 0
    weekend_gap_points: int = 0
    times: int | None = None
    seed: int = 0


class SimFaults(Struct, frozen=True):
    """The faults in force, and every scenario that there is."""

    data: list[SimFault]
    scenarios: list[str]


class Candle(Struct, frozen=True):
    """One candle; `time` is its opening time, `spread` is in points."""

    time: datetime
    open: float
    high: float
    low: float
    close: float
    tick_volume: int
    real_volume: int = 0
    spread: int = 0


class Deal(Struct, frozen=True, kw_only=True):
    """An execution or a balance operation; `entry` is a DealEntry, None for balance operations."""

    id: str
    ticket: int | None = None
    order_id: str | None = None
    position_id: str | None = None
    symbol: str | None = None
    type: str
    entry: str | None = None
    volume: float | None = None
    price: float | None = None
    profit: float
    swap: float = 0.0
    commission: float = 0.0
    fee: float = 0.0
    magic: int | None = None
    comment: str | None = None
    reason: str | None = None
    time: datetime


class TradeFigures(Struct, frozen=True, kw_only=True):
    """What some closed positions add up to; money in the account's currency, volume in lots.

    `win_rate` is in percent. Rates and means are None where there is nothing to divide by.
    """

    trades: int
    wins: int
    losses: int
    win_rate: float | None = None
    net_profit: float
    gross_profit: float
    gross_loss: float
    profit_factor: float | None = None
    expectancy: float | None = None
    max_drawdown: float
    average_hold_s: float | None = None
    volume: float
    swap: float
    commission: float
    fee: float = 0.0


class TradeGroup(TradeFigures, frozen=True, kw_only=True):
    """The figures of the trades that share what they were grouped by; the rest of it is None."""

    magic: int | None = None
    symbol: str | None = None
    comment: str | None = None


class CurvePoint(Struct, frozen=True, kw_only=True):
    """An account's money in one minute."""

    time: datetime
    balance: float
    equity: float
    margin: float


class Stats(Struct, frozen=True, kw_only=True):
    """Statistics of closed trades, in all and by group, and the curve of balance and equity."""

    currency: str | None = None
    total: TradeFigures
    groups: tuple[TradeGroup, ...] = ()
    max_equity_drawdown: float = 0.0
    max_equity_drawdown_percent: float = 0.0
    curve: tuple[CurvePoint, ...] = ()


class Event(Struct, frozen=True, kw_only=True):
    """One line of an account's log; `raw` holds every field of it, `order` and so on the parts."""

    seq: int
    type: str
    time: datetime
    raw: dict[str, Any]

    @property
    def order(self) -> Order | None:
        """The order that the event is about, if it carries one."""
        return lenient(Order, self.raw.get("order"))

    @property
    def deal(self) -> Deal | None:
        """The deal that the event is about, if it carries one."""
        return lenient(Deal, self.raw.get("deal"))

    @property
    def position(self) -> Position | None:
        """The position that the event is about, if it carries one."""
        return lenient(Position, self.raw.get("position"))


def lenient(kind: type[T], value: Any) -> T | None:
    """Read a part that may be missing, or be a mere id; None when it is no `kind`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
