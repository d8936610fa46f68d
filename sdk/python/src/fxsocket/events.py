"""What a stream yields. Match on the class; prices as the symbol quotes them, times UTC."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from fxsocket.models import Account, Candle, Deal, Order, Position, Quote


class Tick(Struct, frozen=True, kw_only=True, tag_field="type", tag="tick"):
    """A new price; `n` numbers the ticks of a paced subscription."""

    symbol: str
    bid: float
    ask: float
    timestamp: datetime
    account_id: str | None = None
    last: float | None = None
    volume: float | None = None
    flags: int | None = None
    n: int | None = None


class OrderUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="order_update"):
    """Something happened to an order: `event` says what, `order` is how it stands now.

    `seq` is its place in the account's log of this `epoch`, `prev_seq` the one before it that this
    connection was to see.
    """

    account_id: str
    seq: int
    prev_seq: int | None = None
    epoch: str | None = None
    event: str | None = None
    order: Order


class DealUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="deal"):
    """A deal was made; comes when the channel `deals` is subscribed. Places as in OrderUpdate."""

    account_id: str
    seq: int
    prev_seq: int | None = None
    epoch: str | None = None
    event: str | None = None
    deal: Deal


class PositionUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="position"):
    """A position changed; comes when `positions` is subscribed. Places as in OrderUpdate."""

    account_id: str
    seq: int
    prev_seq: int | None = None
    epoch: str | None = None
    event: str | None = None
    position: Position


class Terminal(Struct, frozen=True, kw_only=True):
    """Whether an account's terminal can be reached; `detail` says who came, or why it went."""

    connected: bool
    detail: str = ""


class TerminalUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="terminal"):
    """A terminal came, was reconciled, or went; comes when `terminal` is subscribed."""

    account_id: str
    seq: int
    prev_seq: int | None = None
    epoch: str | None = None
    event: str | None = None
    terminal: Terminal


class QuoteUpdate(Quote, frozen=True, kw_only=True, tag_field="type", tag="quote"):
    """A Quote as it is now, at most `rate` times a second; comes when `quotes` is subscribed."""

    account_id: str


class CandleUpdate(Candle, frozen=True, kw_only=True, tag_field="type", tag="candle"):
    """A Candle, `closed` or still changing; comes when `candles:M1` or the like is subscribed."""

    account_id: str
    symbol: str
    timeframe: str
    closed: bool


class AccountUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="account"):
    """Figures that changed, at most four times a second; comes when `account` is subscribed."""

    account_id: str
    account: Account


class MarketOpen(Struct, frozen=True, kw_only=True, tag_field="type", tag="market_open"):
    """A market opened or closed; comes when `market_open` is subscribed."""

    account_id: str
    symbol: str
    market_open: bool
    next_open: datetime | None = None
    next_close: datetime | None = None


class Subscribed(Struct, frozen=True, kw_only=True, tag_field="type", tag="subscribed"):
    """The server took a subscription, also after each reconnect."""

    id: str | None = None
    channels: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    account_id: str | None = None


class LiveCandle(Candle, frozen=True, kw_only=True):
    """A candle of a snapshot, `closed` or still changing."""

    symbol: str
    timeframe: str
    closed: bool


class Market(Struct, frozen=True, kw_only=True):
    """Whether a symbol's market is open, in a snapshot."""

    symbol: str
    market_open: bool
    next_open: datetime | None = None
    next_close: datetime | None = None


class Snapshot(Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """How a channel stands, sent after a subscription that is not paced.

    Only what the channel is of is filled in: the newest `ticks`, `quotes` or `candles`, the open
    `positions` with the log's place (`epoch`, `head`), the `account`, `terminal` or `markets`.
    """

    channel: str
    account_id: str | None = None
    ticks: tuple[Tick, ...] = ()
    quotes: tuple[Quote, ...] = ()
    candles: tuple[LiveCandle, ...] = ()
    positions: tuple[Position, ...] = ()
    markets: tuple[Market, ...] = ()
    account: Account | None = None
    terminal: Terminal | None = None
    epoch: str | None = None
    head: int | None = None


class StreamErrorEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The server refused one frame (such as an unknown symbol); the stream goes on."""

    code: str
    detail: str = ""
    id: str | None = None


class Heartbeat(Struct, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    """The server is there and had nothing to say."""

    account_id: str | None = None


class Stale(Struct, frozen=True, kw_only=True, tag_field="type", tag="stale"):
    """What comes on a channel is not to be trusted `since`, or with `stale` False it is again.

    `symbol` None means all of the account. `reason` is no_tick (the market is open and silent),
    terminal_lost or bus_lost; each begins and ends on its own.
    """

    account_id: str | None = None
    channel: str | None = None
    symbol: str | None = None
    stale: bool = True
    since: datetime | None = None
    reason: str | None = None


class ChannelGap(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="gap", rename={"from_": "from"}
):
    """The server left out `count` things of a channel, for this program read too slowly.

    `from_` and `to` are the first and last of them: ticks by number, candles by time.
    """

    account_id: str | None = None
    channel: str | None = None
    symbol: str | None = None
    from_: Any = None
    to: Any = None
    count: int | None = None


class Gap(Struct, frozen=True, kw_only=True):
    """Account events were missed: those above `from_seq`, up to and including `to_seq`.

    Read them with `client.events.list(after=gap.from_seq)`. With `epoch_changed` the log is another
    one (the account was restored), so everything known of the account is to be read again.
    """

    account_id: str
    from_seq: int
    to_seq: int
    epoch: str | None = None
    epoch_changed: bool = False


class Reconnected(Struct, frozen=True, kw_only=True):
    """The connection broke, for `reason`, and another one is there, the `connection`-th.

    Account events go on where they stopped, or a Gap says otherwise. Prices of the meantime are
    lost; subscriptions are made again. A reason that begins with "closed with 4008" says that this
    program reads too slowly.
    """

    connection: int
    reason: str


class StreamStats(Struct, frozen=True, kw_only=True):
    """How a stream stands, from `stream.stats()`.

    `waiting_events` and `waiting_bytes` have arrived and are not yet taken. Once they reach the
    stream's bound the stream `is_behind`: it stops to read, and the server leaves out prices (a
    ChannelGap says which) or, past 1 MiB of unread events, closes the connection.
    `seen` is the last event of each account that arrived.
    """

    connected: bool
    connections: int
    last_drop: str | None
    waiting_events: int
    waiting_bytes: int
    is_behind: bool
    seen: dict[str, int]


class Unknown(Struct, frozen=True, kw_only=True):
    """A frame of a type that this SDK has no class for."""

    type: str
    raw: dict[str, Any]


Logged: TypeAlias = OrderUpdate | DealUpdate | PositionUpdate | TerminalUpdate
MarketData: TypeAlias = Tick | QuoteUpdate | CandleUpdate | AccountUpdate | MarketOpen
Frame: TypeAlias = (
    MarketData | Logged | Subscribed | Snapshot | StreamErrorEvent | Heartbeat | Stale | ChannelGap
)
StreamEvent: TypeAlias = Frame | Gap | Reconnected | Unknown

_read_frame: Callable[[bytes], Frame] = msgspec.json.Decoder(Frame).decode
_TEXT_LENGTH_MAX = 200


def read_event(frame: bytes) -> StreamEvent:
    """Read one frame; what is not understood comes as Unknown, never as an exception."""
    try:
        return _read_frame(frame)
    except msgspec.MsgspecError:
        raw = read_object(frame)
        return Unknown(type=str(raw.get("type", "")), raw=raw)


def read_object(frame: bytes) -> dict[str, Any]:
    """Read a frame as a plain object; a frame that is none is kept as `text`."""
    try:
        value = msgspec.json.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        value = None
    if isinstance(value, dict):
        return value
    return {"text": frame[:_TEXT_LENGTH_MAX].decode("utf-8", "replace")}
