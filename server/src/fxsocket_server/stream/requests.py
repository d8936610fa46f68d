"""The frames that clients send, strict: an unknown field is refused by name."""

from typing import Annotated

from msgspec import Meta, Struct

from fxsocket_server.channels.frames import FrameId
from fxsocket_server.core import limits

Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0, le=limits.STREAM_RATE_PER_S_MAX)]


class ClientFrame(Struct, kw_only=True, forbid_unknown_fields=True):
    """What every frame has; the answer carries the same `id`."""

    action: str
    id: FrameId = None


class Auth(ClientFrame):
    """The first frame of a connection that sent no Authorization header."""

    api_key: str


class Subscription(ClientFrame):
    """`subscribe` and `unsubscribe`; without `channels` it means ticks.

    `rate` is how many quotes, or states of a candle, a symbol sends at most in a second.
    """

    channels: tuple[str, ...] = ("ticks",)
    symbols: tuple[str, ...] = ()
    account_id: str | None = None
    pace: bool = False
    rate: Rate = limits.STREAM_RATE_PER_S


class Ack(ClientFrame):
    """Acknowledges the paced ticks up to `n`."""

    n: Count
    account_id: str | None = None


class Resume(ClientFrame):
    """Asks for the events above `after`."""

    after: Count
    account_id: str | None = None
    epoch: str | None = None
    channels: tuple[str, ...] = ()
