"""The hash chain of an account's event log: what makes a changed, lost or moved row show.

Each event's hash is the first 16 bytes of SHA-256 over the hash before it and the event's canonical
bytes: the MessagePack array [account_id, seq, user_id, type, time_ms, payload]. The first one
stands on a genesis made of account and epoch, so that a log cannot pass for another.
"""

import hashlib

import msgspec

from fxsocket_server.gateway.changes import Event

HASH_BYTES = 16  # forging a row needs 2**128 tries

_canonical = msgspec.msgpack.Encoder().encode


def genesis(account_id: str, epoch: str) -> bytes:
    """What the first event of a log stands on."""
    return _digest(_canonical(("fxsocket journal", account_id, epoch)))


def link(before: bytes, user_id: str, event: Event) -> bytes:
    """The hash of an event that follows the one with the hash `before`."""
    row = (event.account_id, event.seq, user_id, event.type, event.time_ms, event.payload)
    return _digest(before + _canonical(row))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:HASH_BYTES]
