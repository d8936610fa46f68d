"""Which connections may stay: so many in all, and so many of one address that showed no key yet.

A bot farm behind one address or a reverse proxy may hold as many as it likes once its keys are
known; who has shown none makes room for the next one, so that nobody can fill the house.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

G = TypeVar("G", bound=Hashable)


class Doorkeeper(Generic[G]):
    """The guests of one port; decides only, whoever must go is returned."""

    def __init__(self, total: int, strangers_per_address: int) -> None:
        self._total = total
        self._per_address = strangers_per_address
        self._guests: set[G] = set()
        self._strangers: dict[G, str] = {}  # oldest first
        self._by_address: dict[str, dict[G, None]] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, guest: G, address: str) -> G | None:
        """Let a guest in; returns who must go for it: an older stranger, itself, or nobody."""
        goes = self._who_goes(guest, address)
        if goes is guest:
            return guest
        if goes is not None:
            self.leave(goes)
        self._guests.add(guest)
        self._strangers[guest] = address
        self._by_address.setdefault(address, {})[guest] = None
        return goes

    def _who_goes(self, guest: G, address: str) -> G | None:
        of_address = self._by_address.get(address, {})
        if len(of_address) >= self._per_address:
            return next(iter(of_address))
        if len(self._guests) >= self._total:
            return next(iter(self._strangers), guest)
        return None

    def trust(self, guest: G) -> None:
        """The guest has shown a key: its address no longer counts."""
        address = self._strangers.pop(guest, None)
        if address is None:
            return
        of_address = self._by_address[address]
        del of_address[guest]
        if not of_address:
            del self._by_address[address]

    def leave(self, guest: G) -> None:
        """The guest has gone; one that was never let in changes nothing."""
        self.trust(guest)
        self._guests.discard(guest)
