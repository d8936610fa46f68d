"""What risk rules remember of an account: a halt, the equity at midnight and at its highest.

Money in minor units; a day is counted from 1970-01-01 in the broker's server time.
"""

import msgspec
from msgspec import Struct

_DAY_MS = 86_400_000


class RiskState(Struct, kw_only=True):
    """Kept over a restart; `flattened` names the loss that everything was closed for."""

    halted: str | None = None
    day: int | None = None
    day_equity: int = 0
    peak_equity: int | None = None
    flattened: str | None = None

    def look(self, server_ms: int, equity: int, before_midnight: int | None) -> bool:
        """Take note of an equity; returns whether a day has begun.

        `before_midnight` is the last equity known of the day before, which a new day begins with.
        """
        if self.peak_equity is not None:
            self.peak_equity = max(self.peak_equity, equity)
        day = server_ms // _DAY_MS
        if self.day is not None and day <= self.day:
            return False
        self.day = day
        self.day_equity = equity if before_midnight is None else before_midnight
        return True

    def paid(self, amount: int) -> None:
        """A deposit, credit or withdrawal is neither won nor lost."""
        self.day_equity += amount
        if self.peak_equity is not None:
            self.peak_equity += amount


def encoded(state: RiskState) -> bytes:
    """The state as the journal keeps it."""
    return msgspec.msgpack.encode(state)


def decoded(body: bytes | None) -> RiskState:
    """The state that the journal kept, or that of an account without a past."""
    return RiskState() if body is None else msgspec.msgpack.decode(body, type=RiskState)
