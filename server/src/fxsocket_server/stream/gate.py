"""Lets an account's feed wait for its readers: the asyncio side of `channels.feeds`."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.core.clock import Clock
from fxsocket_server.stream.timers import Timers
from fxsocket_server.stream.waiters import Waiters

R = TypeVar("R", bound=Hashable)


class Gate(Generic[R]):
    """Holds feeds and wakes them; whoever changes what readers owe calls `release`."""

    def __init__(self, readers: FeedReaders[R], clock: Clock, timers: Timers) -> None:
        self._readers = readers
        self._clock = clock
        self._timers = timers
        self._held = Waiters()
        self._unread = Waiters()
        self._is_shut = False

    def held(self, account_id: str, lossless: bool) -> bool:
        """Whether the feed must wait for a reader now."""
        return self._is_shut or self._readers.held(account_id, lossless, self._clock.monotonic_ms())

    def shut(self) -> None:
        """Hold every feed from now on: its readers leave only because the server stops."""
        self._is_shut = True

    async def wait(self, account_id: str, lossless: bool) -> None:
        """Return once the feed may deliver its next tick."""
        while self.held(account_id, lossless):
            now_ms = self._clock.monotonic_ms()
            left_ms = self._readers.wait_ms(account_id, lossless, now_ms)
            timer = None
            if left_ms is not None:
                timer = self._timers.after(left_ms, lambda: self.release((account_id,)))
            try:
                await self._held.wait(account_id)
            finally:
                if timer is not None:
                    timer.cancel()

    async def first_reader(self, account_id: str) -> None:
        """Return once somebody has subscribed to the account's ticks."""
        while not self._readers.has_readers(account_id):
            await self._unread.wait(account_id)

    def release(self, accounts: Iterable[str]) -> None:
        """Let the feeds of these accounts look again whether they must wait."""
        for account_id in accounts:
            self._held.wake(account_id)

    def arrived(self, account_id: str) -> None:
        """A reader has subscribed to ticks of an account."""
        self._unread.wake(account_id)
