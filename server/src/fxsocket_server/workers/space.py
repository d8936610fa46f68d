"""Tries a disk that is full or fails again and again, so that opens return without a restart."""

import asyncio
from collections.abc import Callable

from fxsocket_server.core import limits


async def watch_space(check: Callable[[], None]) -> None:
    """Check until cancelled."""
    while True:  # until cancelled at shutdown
        await asyncio.sleep(limits.SPACE_CHECK_MS / 1000)
        check()
