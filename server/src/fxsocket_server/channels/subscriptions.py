"""Who wants the ticks of which symbol of which account, and who of them paces."""

from collections.abc import Hashable
from typing import Generic, TypeVar

R = TypeVar("R", bound=Hashable)


class Watchers(Generic[R]):
    """The readers of one symbol as tuples, so that a fan-out survives whoever leaves during it."""

    __slots__ = ("_pace", "free", "paced")

    def __init__(self) -> None:
        self._pace: dict[R, bool] = {}
        self.free: tuple[R, ...] = ()
        self.paced: tuple[R, ...] = ()

    def put(self, reader: R, pace: bool) -> None:
        """Add a reader, or change whether it paces."""
        self._pace[reader] = pace
        self._index()

    def remove(self, reader: R) -> bool:
        """Drop a reader; says whether nobody is left."""
        del self._pace[reader]
        self._index()
        return not self._pace

    def _index(self) -> None:
        self.free = tuple(reader for reader, pace in self._pace.items() if not pace)
        self.paced = tuple(reader for reader, pace in self._pace.items() if pace)


class Subscriptions(Generic[R]):
    """All tick subscriptions, found by account and symbol and by reader."""

    def __init__(self) -> None:
        self._watchers: dict[str, dict[str, Watchers[R]]] = {}
        self._pace: dict[R, dict[str, dict[str, bool]]] = {}

    def add(self, reader: R, account_id: str, symbol: str, pace: bool) -> None:
        """Subscribe a symbol, or change whether it is paced."""
        symbols = self._watchers.setdefault(account_id, {})
        symbols.setdefault(symbol, Watchers()).put(reader, pace)
        self._pace.setdefault(reader, {}).setdefault(account_id, {})[symbol] = pace

    def remove(self, reader: R, account_id: str, symbol: str) -> None:
        """End one subscription; one that never was is fine."""
        accounts = self._pace.get(reader, {})
        if symbol not in accounts.get(account_id, {}):
            return
        del accounts[account_id][symbol]
        if not accounts[account_id]:
            del accounts[account_id]
        if not accounts:
            del self._pace[reader]
        if self._watchers[account_id][symbol].remove(reader):
            self._forget(account_id, symbol)

    def _forget(self, account_id: str, symbol: str) -> None:
        symbols = self._watchers[account_id]
        del symbols[symbol]
        if not symbols:
            del self._watchers[account_id]

    def drop(self, reader: R) -> None:
        """End every subscription of a reader."""
        for account_id in self.accounts(reader):
            for symbol in list(self.symbols(reader, account_id)):
                self.remove(reader, account_id, symbol)

    def watchers(self, account_id: str, symbol: str) -> Watchers[R] | None:
        """Who wants a symbol's ticks; None when nobody does."""
        symbols = self._watchers.get(account_id)
        return None if symbols is None else symbols.get(symbol)

    def watched(self) -> dict[str, list[str]]:
        """The symbols that somebody wants, by account."""
        return {account_id: list(symbols) for account_id, symbols in self._watchers.items()}

    def has_readers(self, account_id: str) -> bool:
        """Whether anybody wants any tick of an account."""
        return account_id in self._watchers

    def accounts(self, reader: R) -> list[str]:
        """The accounts of which a reader has ticks, in the order of subscription."""
        return list(self._pace.get(reader, ()))

    def symbols(self, reader: R, account_id: str) -> dict[str, bool]:
        """A reader's symbols of an account, each with whether it is paced."""
        return self._pace.get(reader, {}).get(account_id, {})

    def count(self, reader: R) -> int:
        """How many symbols a reader has over all accounts."""
        return sum(len(symbols) for symbols in self._pace.get(reader, {}).values())
