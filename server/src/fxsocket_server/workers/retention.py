"""Forgets what is too old: stored answers whose keys may be used again, samples of equity."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock


class Forgetful(Protocol):
    """A journal that can drop what no promise covers any more."""

    def forget_commands(self, before_ms: int) -> None:
        """Drop stored answers older than a moment."""
        ...

    def forget_equity(self, account_id: str, retention_ms: int) -> None:
        """Drop an account's samples that are so much older than its newest one."""
        ...


async def forget_old_rows(journal: Forgetful, account_ids: Iterable[str], clock: Clock) -> None:
    """Drop what is older than its retention, a little at a time, until cancelled."""
    while True:  # until cancelled at shutdown
        journal.forget_commands(clock.wall_ms() - limits.KEY_RETENTION_MS)
        for account_id in list(account_ids):
            journal.forget_equity(account_id, limits.EQUITY_RETENTION_MS)
        await asyncio.sleep(limits.RETENTION_MS / 1000)
