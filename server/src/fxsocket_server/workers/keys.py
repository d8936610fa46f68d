"""Takes over what other processes did to keys, and writes down how keys were used."""

import asyncio
from collections.abc import Awaitable, Callable

from fxsocket_server.core import limits
from fxsocket_server.gateway.keys.ports import KeyStore
from fxsocket_server.gateway.keys.service import admit
from fxsocket_server.gateway.ports import Bus
from fxsocket_server.security.keys import Keyring

Log = Callable[..., None]


class KeySync:
    """Follows the store from a version on: the command line and other servers write there too."""

    def __init__(self, store: KeyStore, keyring: Keyring, bus: Bus, version: int) -> None:
        self._store = store
        self._keyring = keyring
        self._bus = bus
        self._version = version

    async def look(self) -> None:
        """Put in force what was changed since the last look."""
        changed, version = await asyncio.to_thread(self._store.changed_since, self._version)
        for key in changed:
            admit(self._keyring, self._bus, key)
        self._version = version


async def repeat(work: Callable[[], Awaitable[None]], every_ms: int, log: Log) -> None:
    """Do some work again and again until cancelled."""
    while True:  # until cancelled at shutdown
        await asyncio.sleep(every_ms / 1000)
        await attempt(work, log)


async def attempt(work: Callable[[], Awaitable[None]], log: Log) -> None:
    """Do some work; a failure is logged."""
    try:
        await work()
    # tidy: broad-except because a store that fails must end neither the watch nor a stop half-way
    except Exception as error:
        log("keeping keys failed", exc_info=error)


async def keep_keys(sync: KeySync, log: Log) -> None:
    """Look for changed keys until cancelled."""
    await repeat(sync.look, limits.KEYS_LOOK_MS, log)


async def keep_usage(write_down: Callable[[], Awaitable[None]], log: Log) -> None:
    """Write down how keys were used until cancelled."""
    await repeat(write_down, limits.KEYS_USED_MS, log)
