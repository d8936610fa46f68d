"""Forgets stored answers once their keys may be used again."""

import asyncio
from collections.abc import Callable

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock

_EVERY_S = 3_600


async def forget_old_commands(forget: Callable[[int], None], clock: Clock) -> None:
    """Drop answers older than the retention, hourly, until cancelled."""
    while True:  # until cancelled at shutdown
        forget(clock.wall_ms() - limits.KEY_RETENTION_MS)
        await asyncio.sleep(_EVERY_S)
