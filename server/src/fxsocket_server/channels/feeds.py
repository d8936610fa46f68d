"""The readers of every account's feed, and when the feed must wait for them.

A feed waits for a pacing reader that owes an acknowledgement. A lossless feed (a replay at `max`)
waits for an unpaced reader too while that one is full, which is: its unsent bytes are over their
limit. A reader that stays full for `stall_ms` has stalled: it is waited for no longer, its ticks
are conflated until it drains. A live feed conflates a full reader at once. Times are monotonic ms.
"""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from fxsocket_server.channels.pacing import PaceBarrier
from fxsocket_server.channels.subscriptions import Subscriptions, Watchers

R = TypeVar("R", bound=Hashable)


class FeedReaders(Generic[R]):
    """Tick subscriptions with pacing, full readers and stalls."""

    def __init__(self, stall_ms: float) -> None:
        self._stall_ms = stall_ms
        self._subscriptions: Subscriptions[R] = Subscriptions()
        self._barriers: dict[str, PaceBarrier[R]] = {}
        self._full_since_ms: dict[R, float] = {}
        self._lossless: set[str] = set()
        self._followers: dict[str, dict[R, None]] = {}

    # --- who reads ---------------------------------------------------------------------------

    def subscribe(self, reader: R, account_id: str, symbols: Iterable[str], pace: bool) -> None:
        """Subscribe symbols of an account, or change whether they are paced."""
        for symbol in symbols:
            self._subscriptions.add(reader, account_id, symbol, pace)
        self._enter_or_leave(reader, account_id)

    def unsubscribe(self, reader: R, account_id: str, symbols: Iterable[str]) -> None:
        """End subscriptions; ones that never were are fine."""
        for symbol in symbols:
            self._subscriptions.remove(reader, account_id, symbol)
        self._enter_or_leave(reader, account_id)

    def follow(self, reader: R, account_id: str) -> None:
        """A reader has what is made of an account's ticks: quotes or candles."""
        self._followers.setdefault(account_id, {})[reader] = None

    def unfollow(self, reader: R, account_id: str) -> None:
        """A reader has none of that any more."""
        followers = self._followers.get(account_id, {})
        followers.pop(reader, None)
        if not followers:
            self._followers.pop(account_id, None)

    def drop(self, reader: R) -> list[str]:
        """Forget a reader; returns the accounts whose feeds may go on because of it."""
        accounts = self._all_accounts(reader)
        for account_id in accounts:
            self.unfollow(reader, account_id)
        self._subscriptions.drop(reader)
        self._full_since_ms.pop(reader, None)
        for account_id in accounts:
            self._enter_or_leave(reader, account_id)
        return accounts

    def _enter_or_leave(self, reader: R, account_id: str) -> None:
        barrier = self._barriers.setdefault(account_id, PaceBarrier())
        if any(self.symbols(reader, account_id).values()):
            barrier.join(reader)
        else:
            barrier.leave(reader)

    def watchers(self, account_id: str, symbol: str) -> Watchers[R] | None:
        """Who wants a symbol's ticks; None when nobody does."""
        return self._subscriptions.watchers(account_id, symbol)

    def has_readers(self, account_id: str) -> bool:
        """Whether anybody wants any tick of an account, or what is made of them."""
        return self._subscriptions.has_readers(account_id) or account_id in self._followers

    def _all_accounts(self, reader: R) -> list[str]:
        followed = [a for a, followers in self._followers.items() if reader in followers]
        return list(dict.fromkeys(self.accounts(reader) + followed))

    def watched(self) -> dict[str, list[str]]:
        """The symbols of which somebody has ticks, by account."""
        return self._subscriptions.watched()

    def accounts(self, reader: R) -> list[str]:
        """The accounts of which a reader has ticks."""
        return self._subscriptions.accounts(reader)

    def symbols(self, reader: R, account_id: str) -> dict[str, bool]:
        """A reader's symbols of an account, each with whether it is paced."""
        return self._subscriptions.symbols(reader, account_id)

    def paced_accounts(self, reader: R) -> list[str]:
        """The accounts that a reader paces."""
        return [a for a in self.accounts(reader) if any(self.symbols(reader, a).values())]

    def count(self, reader: R) -> int:
        """How many symbols a reader has over all accounts."""
        return self._subscriptions.count(reader)

    # --- what they owe and what they hold ----------------------------------------------------

    def sent(self, reader: R, account_id: str, n: int) -> None:
        """A paced tick goes out."""
        self._barriers[account_id].sent(reader, n)

    def ack(self, reader: R, account_id: str, n: int) -> None:
        """A reader acknowledges the paced ticks of an account up to `n`."""
        if account_id in self._barriers:
            self._barriers[account_id].ack(reader, n)

    def filled(self, reader: R, now_ms: float) -> None:
        """A reader's unsent bytes have gone over their limit."""
        self._full_since_ms.setdefault(reader, now_ms)

    def drained(self, reader: R) -> list[str]:
        """A reader has room again; returns the accounts whose feeds may go on because of it."""
        if self._full_since_ms.pop(reader, None) is None:
            return []
        return self._all_accounts(reader)

    # --- what follows ------------------------------------------------------------------------

    def held(self, account_id: str, lossless: bool, now_ms: float) -> bool:
        """Whether an account's feed must wait; also notes which kind of feed it is."""
        if lossless:
            self._lossless.add(account_id)
        else:
            self._lossless.discard(account_id)
        if self._is_paced(account_id):
            return True
        return lossless and self._stall_left_ms(account_id, now_ms) > 0

    def wait_ms(self, account_id: str, lossless: bool, now_ms: float) -> float | None:
        """How long a held feed waits for stalls; None while only an acknowledgement can help."""
        if not lossless or self._is_paced(account_id):
            return None
        return self._stall_left_ms(account_id, now_ms)

    def conflates(self, reader: R, account_id: str, now_ms: float) -> bool:
        """Whether a reader's unpaced ticks of an account are to be conflated now."""
        since_ms = self._full_since_ms.get(reader)
        if since_ms is None:
            return False
        return account_id not in self._lossless or now_ms - since_ms >= self._stall_ms

    def _is_paced(self, account_id: str) -> bool:
        barrier = self._barriers.get(account_id)
        return barrier is not None and not barrier.clear()

    def _is_unpaced(self, reader: R, account_id: str) -> bool:
        """Whether a reader has anything of an account that it does not acknowledge."""
        if reader in self._followers.get(account_id, ()):
            return True
        return not all(self.symbols(reader, account_id).values())

    def _stall_left_ms(self, account_id: str, now_ms: float) -> float:
        """How long until every full, unpaced reader of an account has drained or stalled."""
        ends = [
            since_ms + self._stall_ms
            for reader, since_ms in self._full_since_ms.items()
            if self._is_unpaced(reader, account_id)
        ]
        return max(0.0, max(ends) - now_ms) if ends else 0.0
