"""The owner of a data folder at the command line: manages keys while a server may run on it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fxsocket_server.bootstrap.data_folder import APP, app_url, pepper_of
from fxsocket_server.bootstrap.linking import LOCAL_USER
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.keys.requests import Accounts
from fxsocket_server.gateway.keys.service import Actor, Keys, Minting
from fxsocket_server.security.keys import Keyring
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.app.store import AppStore

T = TypeVar("T")

OWNER = Actor(user_id=LOCAL_USER)


@contextmanager
def managed_keys(data: Path) -> Iterator[Keys]:
    """The keys of a data folder; a server that runs there takes a change within a second."""
    if not (data / APP).is_file():
        raise SettingsError(f"--data {data}: holds no app.db; start a server on it first")
    store = AppStore(app_url(data))
    try:
        yield _keys(store, pepper_of(data))
    finally:
        store.close()


def _keys(store: AppStore, pepper: bytes) -> Keys:
    clock = SystemClock()

    def accounts(user_id: str) -> Accounts:
        return {a.id: a.kind for a in store.accounts() if a.user_id == user_id}

    async def no_rules_to_reload() -> None:
        """The server reads them again by itself."""

    return Keys(
        store.keys,
        Keyring(pepper, store.keys.valid(), clock.wall_ms),
        InProcessBus(lambda _topic, _error: None),
        clock,
        IdFactory(os.urandom, clock.wall_ms),
        Minting(pepper, os.urandom),
        accounts,
        no_rules_to_reload,
    )


def as_owner(data: Path, work: Callable[[Keys, Actor], Awaitable[T]]) -> T:
    """Do something with the keys of a data folder; SettingsError says what cannot be."""

    async def run() -> T:
        with managed_keys(data) as keys:
            return await work(keys, OWNER)

    try:
        return asyncio.run(run())
    except Problem as problem:
        raise SettingsError(problem.detail) from None
