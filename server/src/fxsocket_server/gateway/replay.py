"""Replays an account's events into the state that they tell of.

The newest event of an order, deal or position carries it whole, so the state at any point of a log
is the newest event of each up to there, and of the balance.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct

from fxsocket_server.gateway.changes import Event

T = TypeVar("T")

BALANCE = "balance"  # the balance has no id: this stands for it


class _Record(Struct, frozen=True, gc=False):
    id: str


class _Balance(Struct, frozen=True, gc=False):
    currency: str


class _Payload(Struct, frozen=True, gc=False):
    """The id of the one thing that an event is about; events of other things change no state."""

    order: _Record | None = None
    deal: _Record | None = None
    position: _Record | None = None
    balance: _Balance | None = None


_Members = dict[str, dict[str, object]]

_payload = msgspec.json.Decoder(_Payload)
_members = msgspec.json.Decoder(_Members)


class BadPayload(Exception):
    """What an event carries is no payload: it was damaged."""


class Replay:
    """The state that the events applied so far tell of: the `seq` of the newest one of each record.

    `first_balance` is the event that told of a balance first, `currency` the account's.
    """

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        self.first_balance: int | None = None
        self.currency: str | None = None

    def apply(self, event: Event) -> None:
        """Go on by an event; raises BadPayload."""
        payload = _read(_payload, event.payload)
        record = payload.order or payload.deal or payload.position
        if record is not None:
            self.newest[record.id] = event.seq
        elif payload.balance is not None:
            self.newest[BALANCE] = event.seq
            self.currency = payload.balance.currency
            self.first_balance = self.first_balance or event.seq


def differing(event_payload: bytes, record_payload: bytes) -> list[str]:
    """The members of an event in which its record differs.

    A member that the event lacks is no difference: the server that wrote it did not know it yet.
    Raises BadPayload.
    """
    if event_payload == record_payload:
        return []
    told, is_ = (_flat(_read(_members, payload)) for payload in (event_payload, record_payload))
    return [name for name, value in told.items() if name not in is_ or is_[name] != value]


def _read(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(b"{" + payload + b"}")
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        raise BadPayload from None


def _flat(members: _Members) -> dict[str, object]:
    return {f"{kind}.{name}": value for kind, of in members.items() for name, value in of.items()}
