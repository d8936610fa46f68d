"""The frames that clients send, strict: an unknown field is refused by name."""

from typing import Annotated

from msgspec import Meta, Struct

from fxsocket_server.channels.frames import FrameId

Count = Annotated[int, Meta(ge=0)]


class ClientFrame(Struct, kw_only=True, forbid_unknown_fields=True):
    """What every frame has; the answer carries the same `id`."""

    action: str
    id: FrameId = None


class Auth(ClientFrame):
    """The first frame of a connection that sent no Authorization header."""

    api_key: str


class Subscription(ClientFrame):
    """`subscribe` and `unsubscribe`; without `channels` it means ticks."""

    channels: tuple[str, ...] = ("ticks",)
    symbols: tuple[str, ...] = ()
    account_id: str | None = None
    pace: bool = False


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
