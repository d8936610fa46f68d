"""Adds up deals: a position is the sum of its deals, the balance that of all of them.

MT4 closes the old ticket of a partial close whole and opens the rest anew: such a chain of tickets
is one position here. Volumes are signed, long is positive.
"""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from fxsocket_server.model.enums import DealEntry, DealType, Side
from fxsocket_server.model.records import Deal, Position


class CashSums:
    """What deals come to in minor units, credit apart."""

    def __init__(self) -> None:
        self.cash = 0
        self.credit = 0

    def add(self, deal: Deal) -> None:
        """Count a deal."""
        amount = deal.profit + deal.swap + deal.commission + deal.fee
        if deal.type is DealType.CREDIT:
            self.credit += amount
        else:
            self.cash += amount


class _Chain(Struct):
    """The tickets of one position: what they hold, and what their deals come to."""

    first: str
    is_whole: bool
    tickets: int = 0
    held: int = 0
    dealt: int = 0


class PositionSums:
    """Compares positions with their deals; deals are added first, then positions, oldest first."""

    def __init__(self) -> None:
        self._volumes: defaultdict[str, int] = defaultdict(int)
        self._profits: defaultdict[str, int] = defaultdict(int)
        self._opened_ms: dict[str, int] = {}
        self._chains: list[_Chain] = []
        self._continued: dict[str, _Chain] = {}  # by the id of the position that goes on

    def add_deal(self, deal: Deal) -> None:
        """Count a deal to its position."""
        if deal.position_id is None or deal.entry is None:
            return
        self._volumes[deal.position_id] += (
            deal.volume if deal.type is DealType.BUY else -deal.volume
        )
        if deal.entry is DealEntry.IN:
            self._opened_ms.setdefault(deal.position_id, deal.time_ms)
        else:
            self._profits[deal.position_id] += deal.profit

    def add_position(self, position: Position) -> str | None:
        """Count a position; returns what its closing deals do not bear out."""
        chain = self._chain_of(position)
        chain.tickets += 1
        chain.held += position.volume if position.side is Side.BUY else -position.volume
        chain.dealt += self._volumes[position.id]
        if position.continued_id is not None:
            self._continued[position.continued_id] = chain
        made = self._profits[position.id]
        if chain.is_whole and made != position.profit:
            return f"the deals of {position.id} made {made}, it says {position.profit}"
        return None

    def _chain_of(self, position: Position) -> _Chain:
        chain = self._continued.pop(position.id, None)
        if chain is None:
            # Whole: its opening deal is in this journal, which may be younger than the position.
            opened_ms = self._opened_ms.get(position.id, position.opened_ms + 1)
            chain = _Chain(position.id, opened_ms <= position.opened_ms)
            self._chains.append(chain)
        return chain

    @property
    def partial(self) -> int:
        """How many positions were opened by a deal that this journal does not hold."""
        return sum(chain.tickets for chain in self._chains if not chain.is_whole)

    def differences(self) -> Iterator[str]:
        """The positions that are not the sum of their deals."""
        for chain in self._chains:
            if chain.is_whole and chain.dealt != chain.held:
                yield f"the deals of {chain.first} come to {chain.dealt}, it holds {chain.held}"
