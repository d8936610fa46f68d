"""What the stream asks of the gateway's process, as it crosses."""

from msgspec import Struct


class EventsAsk(Struct, frozen=True):
    """Committed events above `after`."""

    account_id: str
    after: int
    limit: int


class CandleAsk(Struct, frozen=True):
    """The candle that the newest tick fell into."""

    account_id: str
    symbol: str
    timeframe: str


class RunAsk(Struct, frozen=True, kw_only=True):
    """A trade command; `body` is encoded, its name says as what.

    Who asks is found by key and generation: the keys are kept where the command runs.
    """

    key_generation: int
    name: str
    account_id: str
    subject_id: str
    body: bytes
    request_id: str
    key: str | None
    timeout_ms: float | None
    api_key_id: str
