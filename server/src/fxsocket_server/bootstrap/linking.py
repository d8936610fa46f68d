"""Makes and removes accounts in a data folder that no server has open."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from fxsocket_server.bootstrap.accounts import ServerProfiles
from fxsocket_server.bootstrap.data_folder import DataFolder
from fxsocket_server.bootstrap.vaults import rotating_vault
from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock, SystemClock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.accounts.passwords import Passwords
from fxsocket_server.gateway.accounts.registry import AccountRegistry
from fxsocket_server.gateway.accounts.requests import account_request
from fxsocket_server.model.account import Account
from fxsocket_server.security.vault import VaultError
from fxsocket_server.settings import KEK_FILE, Settings, SettingsError
from fxsocket_server.storage.app.store import AppStore

LOCAL_USER = "usr_local"


class NewLink(Struct, frozen=True, omit_defaults=True):
    """An account that was made and, of a terminal, the connector token that is shown once."""

    account_id: str
    token: str = ""

    def __repr__(self) -> str:
        return f"NewLink({self.account_id!r}, ***)"


def registry_of(
    settings: Settings, folder: DataFolder, store: AppStore, ids: IdFactory, clock: Clock
) -> AccountRegistry:
    """What makes and stores the accounts of a data folder."""
    return AccountRegistry(
        store,
        Passwords(rotating_vault(settings.kek, folder.path)[1], store),
        ServerProfiles(settings.profile),
        ids=ids,
        clock=clock,
        random_bytes=os.urandom,
        pepper=folder.pepper(),
        accounts_max=settings.account_limit,
    )


def add_account(data: Path, body: dict[str, Any], *, kek: str = KEK_FILE) -> NewLink:
    """Make the account that a body of POST /accounts describes.

    SettingsError names the option that cannot be.
    """
    settings = Settings(data=data, kek=kek, account_limit=limits.ACCOUNTS)
    with _refusals_as_options(), _opened(data) as (folder, store):
        clock = SystemClock()
        registry = registry_of(settings, folder, store, IdFactory(os.urandom, clock.wall_ms), clock)
        request = account_request(body)
        new = registry.design(LOCAL_USER, request, store.accounts())
        store.ensure_user(LOCAL_USER, "Local user", clock.wall_ms())
        registry.add(new)
        return NewLink(new.account.id, new.token or "")


def remove_account(data: Path, account_id: str) -> Account:
    """Remove an account; SettingsError names those that there are."""
    with _opened(data) as (_, store):
        held = {account.id: account for account in store.accounts()}
        if account_id not in held:
            there = ", ".join(held) or "none"
            raise SettingsError(f"there is no account {account_id!r}; there are: {there}")
        store.remove_account(held[account_id], SystemClock().wall_ms())
        return held[account_id]


def linked_accounts(data: Path) -> list[Account]:
    """Every account of a data folder, oldest first."""
    with _opened(data) as (_, store):
        return store.accounts()


@contextmanager
def _opened(data: Path) -> Iterator[tuple[DataFolder, AppStore]]:
    folder = DataFolder(data)
    try:
        store = AppStore(folder.app_url)
        try:
            yield folder, store
        finally:
            store.close()
    finally:
        folder.release()


@contextmanager
def _refusals_as_options() -> Iterator[None]:
    """Refusals of a body's fields name the options that they came from."""
    try:
        yield
    except Problem as problem:
        named = problem.errors[0].pointer.replace("/", "--") + ": " if problem.errors else ""
        raise SettingsError(named + problem.detail) from None
    except VaultError as error:
        raise SettingsError(f"--kek: {error}") from None
