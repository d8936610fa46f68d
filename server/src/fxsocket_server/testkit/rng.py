"""Seeded chance, split by name: one more draw in one component shifts nothing in another."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from fxsocket_server.core.rng import SplitMix64

T = TypeVar("T")

_FRACTION = 1 << 53


class Chance:
    """The random numbers of one component of a simulated world."""

    def __init__(self, seed: int, name: str = "") -> None:
        digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
        self._seed = seed
        self._name = name
        self._source = SplitMix64(int.from_bytes(digest, "big"))

    def split(self, name: str) -> "Chance":
        """The chance of a part, independent of how often this one was drawn from."""
        return Chance(self._seed, f"{self._name}/{name}")

    def bytes(self, count: int) -> bytes:
        """Random bytes, for ids and nonces."""
        return self._source.bytes(count)

    def below(self, bound: int) -> int:
        """An integer in [0, bound)."""
        return self._source.below(bound)

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return self._source.below(_FRACTION) / _FRACTION

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.fraction()

    def happens(self, probability: float) -> bool:
        """True with a probability."""
        return self.fraction() < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self._source.below(len(options))]
