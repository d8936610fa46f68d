"""What is not to be trusted now, why, and since when: pure rules over what is told from outside.

A price is stale when its market is open and it is older than its limit. Everything of an account is
stale while its terminal is away, and everything of all accounts while the bus is lost: nobody would
hear of a change. Each reason begins and ends on its own.
"""

from collections.abc import Iterable
from typing import NamedTuple

NO_TICK, TERMINAL_LOST, BUS_LOST = "no_tick", "terminal_lost", "bus_lost"


class Condition(NamedTuple):
    """A reason not to trust a symbol's price, or (`symbol` None) anything of an account."""

    account_id: str
    symbol: str | None
    reason: str


def is_old(age_ms: int, limit_ms: float) -> bool:
    """Whether a price of an open market is too old, by the account's broker clock."""
    return age_ms > limit_ms


class Staleness:
    """The conditions that hold, each with the UTC milliseconds of its beginning, if known."""

    def __init__(self) -> None:
        self._since_ms: dict[Condition, int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._since_ms)

    def begins(self, condition: Condition, since_ms: int | None) -> bool:
        """Note that a condition holds; says whether that is new."""
        if condition in self._since_ms:
            return False
        self._since_ms[condition] = since_ms
        return True

    def ends(self, condition: Condition) -> bool:
        """Note that a condition holds no more; says whether it did."""
        if condition not in self._since_ms:
            return False
        del self._since_ms[condition]
        return True

    def since_ms(self, condition: Condition) -> int | None:
        """When a condition that holds began."""
        return self._since_ms[condition]

    def holding(self, account_id: str, symbols: Iterable[str]) -> list[Condition]:
        """What holds of an account and of some of its symbols."""
        places = (None, *symbols)
        reasons = (BUS_LOST, TERMINAL_LOST, NO_TICK)
        asked = (Condition(account_id, place, reason) for place in places for reason in reasons)
        return [condition for condition in asked if condition in self._since_ms]

    def quiet(self) -> list[Condition]:
        """The symbols that have had no tick."""
        return [condition for condition in self._since_ms if condition.reason == NO_TICK]
