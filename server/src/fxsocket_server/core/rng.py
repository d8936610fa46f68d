"""Seeded random numbers with a one-integer state, the same on every platform."""

_MASK = (1 << 64) - 1


class SplitMix64:
    """Steele, Lea and Flood's splitmix64: 64 bits of state, so a snapshot is one integer."""

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK

    def next_u64(self) -> int:
        """The next 64 random bits as an integer."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """An integer in [0, bound); the bias of the modulo is under 2^-40 for our bounds."""
        return self.next_u64() % bound

    def bytes(self, count: int) -> bytes:
        """`count` random bytes, for seeded ids."""
        words = (count + 7) // 8
        return b"".join(self.next_u64().to_bytes(8, "big") for _ in range(words))[:count]
