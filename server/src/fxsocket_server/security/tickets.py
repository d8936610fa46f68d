"""Tickets for browsers, which cannot send a header with a WebSocket: one use, half a minute.

A ticket stands for the key that asked for it and can do no more. Only its digest is kept, in
memory: a restart forgets all tickets.
"""

import hashlib

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.security.principal import Principal


class TicketMessage(Struct, frozen=True):
    """On `tickets.KEY`: a ticket was given out."""

    digest: bytes
    principal: Principal


class _Ticket(Struct, frozen=True, gc=False):
    principal: Principal
    until_ms: float


def ticket_digest(ticket: str) -> bytes:
    """What is kept of a ticket."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogateescape")).digest()


class TicketBook:
    """Tickets that nobody has used; times are monotonic. Past its bound the oldest goes."""

    def __init__(self, tickets_max: int = limits.STREAM_TICKETS) -> None:
        self._tickets_max = tickets_max
        self._by_digest: dict[bytes, _Ticket] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._by_digest)

    def put(self, message: TicketMessage, now_ms: float) -> None:
        """Know a ticket from now on, as long as it is valid."""
        self._forget_old(now_ms)
        if len(self._by_digest) >= self._tickets_max:
            del self._by_digest[next(iter(self._by_digest))]
        until_ms = now_ms + limits.STREAM_TICKET_MS
        self._by_digest[message.digest] = _Ticket(message.principal, until_ms)

    def redeem(self, ticket: str, now_ms: float) -> Principal | None:
        """Who a ticket stands for, once; None of one that is unknown, used or too old."""
        self._forget_old(now_ms)
        found = self._by_digest.pop(ticket_digest(ticket), None)
        return None if found is None else found.principal

    def _forget_old(self, now_ms: float) -> None:
        for digest, ticket in list(self._by_digest.items()):
            if ticket.until_ms > now_ms:
                return
            del self._by_digest[digest]
