"""The stream's limits as one value, so that a test can tighten any of them."""

from msgspec import Struct

from fxsocket_server.core import limits


class StreamBounds(Struct, frozen=True, kw_only=True):
    """What `core.limits` says of the stream; units last."""

    connections: int = limits.STREAM_CONNECTIONS
    subscriptions: int = limits.STREAM_SUBSCRIPTIONS
    pending_commands: int = limits.STREAM_PENDING_COMMANDS
    page_events: int = limits.STREAM_PAGE_EVENTS
    frame_bytes: int = limits.STREAM_FRAME_BYTES
    market_bytes: int = limits.STREAM_MARKET_BYTES
    event_bytes: int = limits.STREAM_EVENT_BYTES
    auth_ms: int = limits.STREAM_AUTH_MS
    first_frame_ms: int = limits.STREAM_FIRST_FRAME_MS
    heartbeat_ms: int = limits.STREAM_HEARTBEAT_MS
    stall_ms: int = limits.STREAM_STALL_MS
    close_ms: int = limits.STREAM_CLOSE_MS
    flush_ms: float = limits.STREAM_FLUSH_MS
    queue_messages: int = limits.STREAM_QUEUE_MESSAGES
    group_readers: int = limits.STREAM_GROUP_READERS
    stale_ms: int = limits.QUOTE_STALE_MS
