"""Saves what facts do not hold (last prices, generator state), so that a restart goes on there."""

import asyncio
from collections.abc import Callable, Iterable

from fxsocket_server.core import limits
from fxsocket_server.gateway.lane import Lane


def save_checkpoints(lanes: Iterable[Lane]) -> None:
    """Queue the checkpoint of every account that has one."""
    for lane in lanes:
        body = lane.connector.checkpoint()
        if body is not None:
            lane.journal.save_checkpoint(lane.account.id, body)


async def keep_checkpoints(lanes: Callable[[], Iterable[Lane]]) -> None:
    """Save checkpoints until cancelled."""
    while True:  # until cancelled at shutdown
        await asyncio.sleep(limits.CHECKPOINT_MS / 1000)
        save_checkpoints(lanes())
