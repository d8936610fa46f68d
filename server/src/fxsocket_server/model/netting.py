"""Whose a netted position is: how much of it each order opened that is still open.

A deal in the position's direction adds to its order's share. One against it takes from the order
that it was meant to close, if it says one, then from the oldest.
"""

from fxsocket_server.model.enums import DealEntry
from fxsocket_server.model.records import Share

Shares = tuple[Share, ...]


def shares_after(
    shares: Shares,
    entry: DealEntry,
    volume: int,
    order_id: str,
    *,
    held: int,
    closes: str | None = None,
) -> Shares:
    """The shares after a deal of an order, on a position that held a volume before it."""
    if entry is DealEntry.IN:
        return _added(shares, order_id, volume)
    if entry is DealEntry.INOUT:
        return ((order_id, volume - held),)
    return _taken(shares, volume, closes)


def share_of(shares: Shares, order_id: str) -> int:
    """How much of what an order opened is open."""
    return sum(volume for owner, volume in shares if owner == order_id)


def _added(shares: Shares, order_id: str, volume: int) -> Shares:
    before = share_of(shares, order_id)
    if not before:
        return (*shares, (order_id, volume))
    return tuple((owner, before + volume if owner == order_id else own) for owner, own in shares)


def _taken(shares: Shares, volume: int, closes: str | None) -> Shares:
    left = dict(shares)
    for owner in sorted(left, key=lambda owner: owner != closes):  # stable: the rest by age
        part = min(left[owner], volume)
        left[owner] -= part
        volume -= part
    return tuple((owner, own) for owner, own in left.items() if own)
