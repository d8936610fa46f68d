"""Samples each account's money once per minute of its own broker clock.

A clock of its own is what a replay has: its minutes pass as fast as its ticks, so they are watched
there. Everywhere else a look each second finds the minute that has begun.
"""

import asyncio

from fxsocket_server.core import limits
from fxsocket_server.gateway.changes import EquitySample
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.model.enums import AccountKind, AccountStatus

_MINUTE_MS = 60_000


class EquitySampler:
    """Keeps which minute of each account was sampled last."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._minutes: dict[str, int] = {}
        self._unsaved: list[EquitySample] = []

    def look(self) -> None:
        """Sample every account whose next minute has begun, and save what was sampled."""
        for linked in list(self._gateway.accounts.values()):
            if linked.lane is not None and linked.status is AccountStatus.CONNECTED:
                self._watch(linked, linked.lane)
                self._sample(linked.lane)
        self._save()

    def _watch(self, linked: LinkedAccount, lane: Lane) -> None:
        """See every tick of a replay from its first minute on."""
        account = linked.account
        if account.kind is AccountKind.REPLAY and account.id not in self._minutes:
            self._gateway.bus.subscribe("ticks." + account.id, lambda _: self._sample(lane))

    def _sample(self, lane: Lane) -> None:
        minute = lane.connector.time_ms() // _MINUTE_MS
        if self._minutes.get(lane.account.id) == minute:
            return
        self._minutes[lane.account.id] = minute
        figures = lane.connector.figures()
        self._unsaved.append(
            EquitySample(
                lane.account.id,
                minute * _MINUTE_MS,
                lane.account.user_id,
                figures.balance,
                figures.credit,
                figures.equity,
                figures.margin,
            )
        )
        if len(self._unsaved) >= limits.EQUITY_BUFFER_SAMPLES:
            self._save()

    def _save(self) -> None:
        if self._unsaved:
            self._gateway.journal.save_equity(self._unsaved)
            self._unsaved = []


async def keep_equity(sampler: EquitySampler) -> None:
    """Sample until cancelled."""
    while True:  # until cancelled at shutdown
        sampler.look()
        await asyncio.sleep(limits.EQUITY_LOOK_MS / 1000)
