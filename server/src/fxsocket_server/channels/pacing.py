"""Lockstep of an account's clock with the clients that asked for it.

A pacing reader owes an acknowledgement of every tick that was sent to it. Acknowledgements are
cumulative: `n` settles all ticks up to `n`. The account's clock may go on when nobody owes one.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

R = TypeVar("R", bound=Hashable)


class PaceBarrier(Generic[R]):
    """The pacing readers of one account, and who of them owes an acknowledgement."""

    def __init__(self) -> None:
        self._sent: dict[R, int] = {}
        self._owing: set[R] = set()

    def join(self, reader: R) -> None:
        """Begin to pace; it owes nothing yet."""
        self._sent.setdefault(reader, 0)

    def leave(self, reader: R) -> None:
        """Stop pacing: what was owed is owed no more."""
        self._sent.pop(reader, None)
        self._owing.discard(reader)

    def sent(self, reader: R, n: int) -> None:
        """Tick `n` goes out to a reader; one that does not pace owes nothing."""
        if reader in self._sent:
            self._sent[reader] = n
            self._owing.add(reader)

    def ack(self, reader: R, n: int) -> None:
        """A reader acknowledges every tick up to `n`; no tick can be acknowledged in advance."""
        if n >= self._sent.get(reader, 0):
            self._owing.discard(reader)

    def clear(self) -> bool:
        """Whether the clock may go on."""
        return not self._owing
