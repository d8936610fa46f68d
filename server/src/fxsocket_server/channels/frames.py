"""The frames that the server sends, as bytes: built once, however many connections get them.

A tick is encoded once for all its readers; the numbered form for pacing readers is cut from it.
An event's payload is encoded once by the gateway; only `prev_seq` differs between connections.
"""

from collections.abc import Sequence

from msgspec import Struct

from fxsocket_server.channels.conflation import LateTick, LateValue
from fxsocket_server.channels.staleness import Condition
from fxsocket_server.channels.topics import Topic
from fxsocket_server.core.codec import encode
from fxsocket_server.core.secret import redacted
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.units import POWERS

FrameId = str | int | None

EVENT_FRAMES = {
    "order": "order_update",
    "deal": "deal",
    "position": "position",
    "terminal": "terminal",
}
_TICK_FLAGS = 6  # MetaTrader's TICK_FLAG_BID and TICK_FLAG_ASK
_LAST_FLAG = 8  # TICK_FLAG_LAST


_TEXT = 0x81  # a whole text message in one frame


def framed(payload: bytes) -> bytes:
    """A message with its WebSocket header, as the server sends it (unmasked, RFC 6455 5.2)."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (_TEXT, size, payload)
    if size < 65_536:
        return b"%c\x7e%b%b" % (_TEXT, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (_TEXT, size.to_bytes(8, "big"), payload)


class Message(Struct, gc=False, eq=False, kw_only=True):
    """A message that several connections are sent; its header is made once for them all."""

    plain: bytes
    _framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        """The same with its WebSocket header."""
        if self._framed is None:
            self._framed = framed(self.plain)
        return self._framed


# --- ticks -----------------------------------------------------------------------------------


class TickFrame(Message):
    """One tick on its way to its readers; `n` is its number in the account's feed."""

    account_id: str
    symbol: str
    n: int
    _numbered: bytes | None = None

    @property
    def numbered(self) -> bytes:
        """The same with `n`, for readers that pace."""
        if self._numbered is None:
            self._numbered = b'%b,"n":%d}' % (self.plain[:-1], self.n)
        return self._numbered


class _Tick(Struct, tag_field="type", tag="tick", gc=False):
    account_id: str
    symbol: str
    bid: float
    ask: float
    last: float | None
    volume: int
    flags: int
    timestamp: str


def tick(account_id: str, quote: Quote, digits: int, timestamp: str) -> bytes:
    """A tick without `n`; prices are the shortest decimals of the nearest doubles."""
    scale = POWERS[digits]
    last, flags = None, _TICK_FLAGS
    if quote.last:
        last, flags = quote.last / scale, _TICK_FLAGS | _LAST_FLAG
    return encode(
        _Tick(
            account_id, quote.symbol, quote.bid / scale, quote.ask / scale, last, 0, flags,
            timestamp,
        )
    )  # fmt: skip


def tick_snapshot(account_id: str, ticks: Sequence[bytes]) -> bytes:
    """The newest tick of each symbol, sent after a subscription."""
    head = encode({"type": "snapshot", "channel": "ticks", "account_id": account_id})
    return b'%b,"ticks":[%b]}' % (head[:-1], b",".join(ticks))


def tick_gap(account_id: str, symbol: str, late: LateTick) -> bytes:
    """Ticks of a symbol that were left out because their reader was full."""
    return encode(
        {
            "type": "gap",
            "channel": "ticks",
            "account_id": account_id,
            "symbol": symbol,
            "from": late.first_skipped,
            "to": late.last_skipped,
            "count": late.skipped,
        }
    )


# --- events ----------------------------------------------------------------------------------


class EventFrame:
    """A logged event as a frame; only `prev_seq` is filled in per connection."""

    __slots__ = ("_after", "_frame", "_head", "_tail")

    def __init__(
        self, account_id: str, epoch: str, seq: int, event: str, time: str, payload: bytes
    ) -> None:
        kind = EVENT_FRAMES[event.partition(".")[0]]
        head = encode({"type": kind, "account_id": account_id, "seq": seq})
        tail = encode({"epoch": epoch, "event": event, "time": time})
        self._head = head[:-1] + b',"prev_seq":'
        self._tail = b",%b,%b}" % (tail[1:-1], payload)
        self._after = -1
        self._frame = Message(plain=b"")

    def after(self, prev_seq: int) -> Message:
        """The frame for a connection whose last event was `prev_seq`."""
        # Most connections follow the same channels, so the last frame made fits the next one too.
        if prev_seq != self._after:
            self._after = prev_seq
            self._frame = Message(plain=b"%b%d%b" % (self._head, prev_seq, self._tail))
        return self._frame


def resumed(account_id: str, frame_id: FrameId, after: int, head: int, epoch: str) -> bytes:
    """The seam: every event above `after` and up to `head` came before, the live ones follow."""
    return encode(
        {
            "type": "resumed",
            "id": frame_id,
            "account_id": account_id,
            "after": after,
            "head": head,
            "epoch": epoch,
        }
    )


def reset(account_id: str, frame_id: FrameId, reason: str, head: int, epoch: str) -> bytes:
    """Nothing can be resumed: the client reads the account anew; events above `head` follow."""
    return encode(
        {
            "type": "reset",
            "id": frame_id,
            "account_id": account_id,
            "reason": reason,
            "head": head,
            "epoch": epoch,
        }
    )


# --- replies ---------------------------------------------------------------------------------


def reply(kind: str, frame_id: FrameId, **members: object) -> bytes:
    """A plain answer to a client's frame."""
    return encode({"type": kind, "id": frame_id, **members})


def error(code: str, detail: str, frame_id: FrameId = None, **members: object) -> bytes:
    """A refusal that is no problem of the catalogue's whole form; it repeats no misplaced key."""
    frame = encode({"type": "error", "id": frame_id, "code": code, "detail": detail, **members})
    return redacted(frame.decode()).encode()


def result(frame_id: FrameId, member: str, body: bytes, replayed: bool) -> bytes:
    """What a trade command has made, as the gateway encoded it."""
    head = encode({"type": "result", "id": frame_id, "replayed": replayed})
    return b'%b,"%b":%b}' % (head[:-1], member.encode(), body)


def heartbeat(time: str) -> bytes:
    """Sent into a silence, so that a client can tell it from a dead connection."""
    return encode({"type": "heartbeat", "time": time})


# --- newest values ---------------------------------------------------------------------------


def flat(kind: str, account_id: str, value: object, **members: object) -> bytes:
    """A frame whose members are those of a value, such as a quote."""
    head = encode({"type": kind, "account_id": account_id, **members})
    return head[:-1] + b"," + encode(value)[1:]


def snapshot(account_id: str, channel: str, **members: object) -> bytes:
    """How a channel stands, sent after a subscription."""
    return encode({"type": "snapshot", "channel": channel, "account_id": account_id, **members})


def candle_gap(topic: Topic, late: LateValue) -> bytes:
    """Closed candles that were left out because their reader was full, by their times."""
    return encode(
        {
            "type": "gap",
            "channel": topic.channel,
            "account_id": topic.account_id,
            "symbol": topic.symbol,
            "from": late.first_lost,
            "to": late.last_lost,
            "count": late.lost,
        }
    )


def stale(channel: str, condition: Condition, *, is_stale: bool, since: str | None) -> bytes:
    """What comes on a channel is not to be trusted, or is again."""
    return encode(
        {
            "type": "stale",
            "account_id": condition.account_id,
            "symbol": condition.symbol,
            "channel": channel,
            "stale": is_stale,
            "since": since,
            "reason": condition.reason,
        }
    )
