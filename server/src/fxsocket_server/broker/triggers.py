"""Price levels that wait on one symbol: SL, TP and pending orders, as four heaps.

A level fires when the Bid falls to it (long SL, sell stop), the Bid rises to it (long TP, sell
limit), the Ask falls to it (short TP, buy limit) or the Ask rises to it (short SL, buy stop). The
nearest level on each edge is kept as a plain number, so that a tick which fires nothing costs four
comparisons however many levels wait. Keys are never searched for: a key whose ticket no longer
waits at that level is stale and dropped when it comes to the top.

A guard narrows the four numbers: it is the box of prices within which the account's owner knows
that nothing else has to be looked at.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

BID_FALLS, BID_RISES, ASK_FALLS, ASK_RISES = _EDGES = range(4)

Levels = tuple[int | None, int | None, int | None, int | None]
Hit = tuple[int, int]  # edge, ticket
Guard = tuple[int, int, int, int]  # as the four numbers: Bid above, Bid below, Ask above, below

NEVER = 1 << 62  # beyond any price
_TICKET_BITS = 40
_TICKET_MASK = (1 << _TICKET_BITS) - 1
_SIGNS = (-1, 1, -1, 1)  # heaps are smallest first; where prices fall the highest level is next
_STALE_MAX = 64
_NOWHERE: Levels = (None, None, None, None)

OPEN: Guard = (-NEVER, NEVER, -NEVER, NEVER)  # no price leaves it
SHUT: Guard = (NEVER, NEVER, NEVER, NEVER)  # every price has left it


class Triggers:
    """The waiting levels of one symbol: watch, forget, and the hits of a tick."""

    __slots__ = (
        "_heaps",
        "_levels",
        "_nearest",
        "ask_high",
        "ask_low",
        "bid_high",
        "bid_low",
        "guard",
    )

    def __init__(self) -> None:
        self.guard = OPEN
        self._heaps: tuple[list[int], ...] = ([], [], [], [])
        self._levels: dict[int, Levels] = {}
        self._nearest = [sign * NEVER for sign in _SIGNS]
        self._narrow()

    def __len__(self) -> int:
        return len(self._levels)

    def watch(self, ticket: int, levels: Levels) -> None:
        """Wait at one level per edge (None: not at all) instead of where the ticket waited."""
        before = self._levels.get(ticket, _NOWHERE)
        if levels == before:
            return
        if levels == _NOWHERE:
            self.forget(ticket)
            return
        self._levels[ticket] = levels
        for edge, level in enumerate(levels):
            if level is not None:
                self._push(edge, level, ticket)
        self._find(edge for edge in _EDGES if levels[edge] != before[edge])

    def forget(self, ticket: int) -> None:
        """Wait no longer."""
        levels = self._levels.pop(ticket, _NOWHERE)
        if levels is not _NOWHERE:
            self._find(edge for edge in _EDGES if levels[edge] is not None)

    def set_guard(self, guard: Guard) -> None:
        """Let ticks that leave this box be noticed too."""
        if guard is not self.guard:
            self.guard = guard
            self._narrow()

    def outside(self, bid: int, ask: int) -> bool:
        """Whether a tick has left the guard's box."""
        bid_low, bid_high, ask_low, ask_high = self.guard
        return not (bid_low < bid < bid_high and ask_low < ask < ask_high)

    def hits(self, bid: int, ask: int) -> list[Hit]:
        """The levels that a tick reaches; their tickets are forgotten."""
        found = {
            hit
            for edge, price in enumerate((bid, bid, ask, ask))
            for hit in self._reached(edge, price * _SIGNS[edge])
        }
        for _, ticket in found:
            self._levels.pop(ticket, None)
        if found:
            self._find(_EDGES)
        return list(found)

    def _reached(self, edge: int, price: int) -> list[Hit]:
        keys = self._heaps[edge]
        reached = []
        while keys and keys[0] >> _TICKET_BITS <= price:
            key = heappop(keys)
            if self._is_live(edge, key):
                reached.append((edge, key & _TICKET_MASK))
        return reached

    def _push(self, edge: int, level: int, ticket: int) -> None:
        keys = self._heaps[edge]
        heappush(keys, (level * _SIGNS[edge] << _TICKET_BITS) | ticket)
        if len(keys) > 2 * len(self._levels) + _STALE_MAX:
            keys[:] = {key for key in keys if self._is_live(edge, key)}
            heapify(keys)

    def _is_live(self, edge: int, key: int) -> bool:
        levels = self._levels.get(key & _TICKET_MASK)
        return levels is not None and levels[edge] == (key >> _TICKET_BITS) * _SIGNS[edge]

    def _find(self, edges: Iterable[int]) -> None:
        """The level that each of these edges reaches next; one that it never does if none waits."""
        for edge in edges:
            keys = self._heaps[edge]
            while keys and not self._is_live(edge, keys[0]):
                heappop(keys)
            self._nearest[edge] = _SIGNS[edge] * (keys[0] >> _TICKET_BITS if keys else NEVER)
        self._narrow()

    def _narrow(self) -> None:
        """Merge the nearest levels with the guard."""
        (low, high, down, up), (bid_low, bid_high, ask_low, ask_high) = self._nearest, self.guard
        self.bid_low = max(bid_low, low)
        self.bid_high = min(bid_high, high)
        self.ask_low = max(ask_low, down)
        self.ask_high = min(ask_high, up)
