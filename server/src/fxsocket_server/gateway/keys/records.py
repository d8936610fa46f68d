"""The audit log and the usage of keys, as a key may read them."""

import asyncio
from datetime import UTC, datetime

from fxsocket_server.core.clock import Clock
from fxsocket_server.gateway.keys.ports import (
    AuditEntry,
    AuditQuery,
    KeyStore,
    UsageQuery,
    UsageRow,
)
from fxsocket_server.gateway.keys.service import Actor, entry_of
from fxsocket_server.security.keys import Keyring
from fxsocket_server.security.usage import Count, KeyUse

_DAY_S = 86_400


class Records:
    """Who did what, and how much."""

    def __init__(self, store: KeyStore, clock: Clock, keyring: Keyring, use: KeyUse) -> None:
        self._store = store
        self._clock = clock
        self._keyring = keyring
        self._use = use
        self._written_ms: dict[str, int] = {}

    async def note(
        self,
        actor: Actor,
        action: str,
        target: str,
        account_id: str | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        """Add to the audit log what an actor did."""
        entry = entry_of(actor, self._clock.wall_ms(), action, target, account_id, details)
        await asyncio.to_thread(self._store.append, entry)

    async def audit(self, query: AuditQuery) -> list[AuditEntry]:
        """Entries, newest first."""
        return await asyncio.to_thread(self._store.audit, query)

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """What keys did by day, oldest first, up to now."""
        await self.write_down()
        return await asyncio.to_thread(self._store.usage, query)

    async def write_down(self) -> None:
        """Store what was counted since the last time; what cannot be stored is counted still."""
        taken = self._use.take()
        used = {
            key_id: moment
            for key_id, moment in self._keyring.used_ms.items()
            if self._written_ms.get(key_id) != moment
        }
        if not taken and not used:
            return
        rows = [_row(*of, count) for of, count in taken.items()]
        try:
            await asyncio.to_thread(self._store.write_down, used, rows)
        except BaseException:
            self._use.give_back(taken)
            raise
        self._written_ms |= used


def day_text(day: int) -> str:
    """A day since 1970 as 2026-11-30."""
    return datetime.fromtimestamp(day * _DAY_S, UTC).date().isoformat()


def _row(day: int, key_id: str, count: Count) -> UsageRow:
    return UsageRow(
        key_id=key_id,
        day=day_text(day),
        user_id=count.user_id,
        requests=count.requests,
        orders=count.orders,
    )
