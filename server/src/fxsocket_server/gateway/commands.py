"""What a trade command is on its way through its account's lane."""

import asyncio
import hashlib
from collections.abc import Callable

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Order


class Answer(Struct, frozen=True, gc=False):
    """What a trade command is answered: an HTTP status and a JSON body.

    `inferred` says that no key proved it a retry: an equal command's answer had not arrived.
    """

    status: int
    body: bytes
    replayed: bool = False
    inferred: bool = False


class Command(Struct, frozen=True, kw_only=True, gc=False):
    """A trade command as it came in; `wait_ms` is how long its sender waits.

    `delivery` tells whether the answer reached its sender, where that can be known.
    """

    id: str
    kind: str
    subject_id: str
    fingerprint: bytes
    key: str | None
    wait_ms: float
    api_key_id: str = ""
    delivery: Delivery | None = None


class Intent(Struct, frozen=True, kw_only=True, gc=False):
    """What a command wants of the broker; `order` is the order that it creates, if any.

    `opens` says that it may add exposure: such a command waits until the account is reconciled.
    """

    request: TradeRequest
    order: Order | None
    opens: bool = False


Telling = Callable[[], Answer]  # called once all that it may tell of is durable


class Running(Struct, kw_only=True, gc=False):
    """A command under way; whoever asks the same joins `outcome`.

    `request` is what the broker was or will be asked, `handed_ms` (monotonic) when. A `guarded`
    one has no key, but its answer may be owed to a retry. `standing` tells how a command of several
    legs stands, `work` is what runs them.
    """

    id: str
    kind: str
    subject_id: str
    fingerprint: bytes
    key: str | None
    api_key_id: str
    created_ms: int
    order_id: str | None
    request: TradeRequest | None
    outcome: asyncio.Future[Answer]
    guarded: bool = False
    handed_ms: float | None = None
    looking: bool = False
    concluded: bool = False
    unknown: bool = False
    standing: Callable[[], bytes] | None = None
    work: asyncio.Task[None] | None = None


def fingerprint_of(kind: str, subject_id: str, body: object) -> bytes:
    """A digest of what a command asks, so that a reused key can be told from a retry."""
    return hashlib.blake2b(encode((kind, subject_id, body)), digest_size=16).digest()


def wait_of(timeout_ms: float | None) -> float:
    """How long a command's sender waits: the server's bound, or less when it says so."""
    if timeout_ms is None:
        return limits.ORDER_WAIT_MS
    return max(0.0, min(timeout_ms, limits.ORDER_WAIT_MS))
