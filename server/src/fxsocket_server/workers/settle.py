"""Looks after commands that have no outcome yet, and after terminals that are not reconciled."""

import asyncio
from collections.abc import Callable

from fxsocket_server.core import limits
from fxsocket_server.gateway.lane import Lane


async def settle_commands(lanes: Callable[[], list[Lane]]) -> None:
    """Look after every lane each second, until cancelled; a slow terminal delays only its own."""
    under_way: dict[str, asyncio.Task[None]] = {}
    while True:  # until cancelled at shutdown
        await asyncio.sleep(limits.SETTLE_MS / 1000)
        for lane in lanes():
            task = under_way.get(lane.account.id)
            if task is None or task.done():
                under_way[lane.account.id] = asyncio.create_task(_look_after(lane), name="settle")


async def _look_after(lane: Lane) -> None:
    try:
        await lane.look_after()
    # tidy: broad-except because one terminal's nonsense must not end the watch over it
    except Exception as error:
        lane.alarm("looking after an account failed", account_id=lane.account.id, exc_info=error)
