"""The feed gate of a gateway whose readers live in another process.

A feed gives out its next tick when the stream has passed the one before: so its clock stands where
a pacing reader, or a lossless one that is full, holds it. While the stream is away nobody reads,
and nothing is held.
"""

from collections.abc import Callable

from fxsocket_server.stream.apart.messages import AwaitReader, Message
from fxsocket_server.stream.waiters import Waiters


class FarGate:
    """Mirrors what the far end's gate says of each account."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._is_up = False
        self._is_shut = False
        self._lossless: dict[str, bool] = {}
        self._sent: dict[str, int] = {}
        self._passed: dict[str, int] = {}
        self._held = Waiters()
        self._unread = Waiters()

    # --- FeedGate ----------------------------------------------------------------------------

    def held(self, account_id: str, lossless: bool) -> bool:
        """Whether the stream has not passed the account's last tick yet."""
        self._lossless[account_id] = lossless
        if self._is_shut:
            return True
        return self._is_up and self._passed.get(account_id, 0) < self._sent.get(account_id, 0)

    async def wait(self, account_id: str, lossless: bool) -> None:
        """Return once the feed may deliver its next tick."""
        while self.held(account_id, lossless):
            await self._held.wait(account_id)

    async def first_reader(self, account_id: str) -> None:
        """Return once somebody has subscribed to the account's ticks."""
        self._send(AwaitReader(account_id))
        await self._unread.wait(account_id)

    # --- what the link tells -----------------------------------------------------------------

    def sent(self, account_id: str, n: int) -> bool | None:
        """A tick goes down; returns whether its feed is lossless, None if no feed waits."""
        if account_id in self._lossless:
            self._sent[account_id] = n
        return self._lossless.get(account_id)

    def passed(self, account_id: str, n: int) -> None:
        """The stream lets an account's feed go on after its tick `n`."""
        self._passed[account_id] = n
        self._held.wake(account_id)

    def reader_came(self, account_id: str) -> None:
        """Somebody reads an account."""
        self._unread.wake(account_id)

    def opened(self) -> None:
        """The stream is there: what was sent before is not waited for."""
        self._is_up = True
        self._passed.update(self._sent)
        for account_id in self._unread.accounts:
            self._send(AwaitReader(account_id))

    def lost(self) -> None:
        """The stream is gone, and its readers with it."""
        self._is_up = False
        for account_id in self._held.accounts:
            self._held.wake(account_id)

    def shut(self) -> None:
        """Hold every feed from now on: the server stops."""
        self._is_shut = True
