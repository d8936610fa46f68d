"""Who has subscribed what of the channels whose newest value counts: quotes, candles, accounts.

A reader has a topic at one rate at most; readers with equal rates share what is made for them.
"""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R", bound=Hashable)


class Topic(NamedTuple):
    """A channel of an account, of one symbol where the channel has symbols."""

    account_id: str
    channel: str
    symbol: str | None = None


class Topics(Generic[R]):
    """All subscriptions, found by topic and rate, and by reader."""

    def __init__(self) -> None:
        self._readers: dict[Topic, dict[float, dict[R, None]]] = {}
        self._rates: dict[R, dict[Topic, float]] = {}

    def add(self, reader: R, topic: Topic, rate: float) -> None:
        """Subscribe a topic that the reader does not have."""
        assert topic not in self._rates.get(reader, ())
        self._readers.setdefault(topic, {}).setdefault(rate, {})[reader] = None
        self._rates.setdefault(reader, {})[topic] = rate

    def remove(self, reader: R, topic: Topic) -> float | None:
        """End a subscription; returns its rate if nobody is left there, else None."""
        rates = self._rates.get(reader, {})
        rate = rates.pop(topic, None)
        if rate is None:
            return None
        if not rates:
            del self._rates[reader]
        by_rate = self._readers[topic]
        del by_rate[rate][reader]
        if by_rate[rate]:
            return None
        del by_rate[rate]
        if not by_rate:
            del self._readers[topic]
        return rate

    def readers(self, topic: Topic, rate: float) -> tuple[R, ...]:
        """Who has a topic at a rate; a copy, for whoever is told may leave."""
        return tuple(self._readers.get(topic, {}).get(rate, ()))

    def all_readers(self, topic: Topic) -> list[R]:
        """Who has a topic, whatever the rate."""
        return [reader for by in self._readers.get(topic, {}).values() for reader in by]

    def of_reader(self, reader: R) -> dict[Topic, float]:
        """A reader's topics in the order of subscription, each with its rate; a copy."""
        return dict(self._rates.get(reader, ()))
