"""Links accounts whose terminals dial in, in a data folder that no server has open."""

import os
from pathlib import Path

from msgspec import Struct

from fxsocket_server.bootstrap.accounts import new_terminal_account
from fxsocket_server.bootstrap.data_folder import DataFolder
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, Platform
from fxsocket_server.security.connector_tokens import mint_key, token_of
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.app.store import AppStore

LOCAL_USER = "usr_local"

_SERVER_CHARS = 64
_LOGIN_MAX = 2**53 - 1


class NewLink(Struct, frozen=True):
    """An account that was linked, and the connector token that is shown once."""

    account_id: str
    token: str


def link_account(data: Path, *, server: str, login: int, name: str, platform: Platform) -> NewLink:
    """Link the account of a login at a broker's server, and mint its terminal's token.

    SettingsError names the option that cannot be.
    """
    _check(server, login)
    folder = DataFolder(data)
    store = AppStore(folder.app_url)
    try:
        _refuse_linked(store, server, login)
        clock = SystemClock()
        now_ms = clock.wall_ms()
        store.ensure_user(LOCAL_USER, "Local user", now_ms)
        account = new_terminal_account(
            account_id=IdFactory(os.urandom, clock.wall_ms).make("acc_"),
            user_id=LOCAL_USER,
            name=name or f"{login} on {server}",
            server=server,
            login=login,
            platform=platform.value,
            now_ms=now_ms,
        )
        store.add_account(account)
        key = mint_key(os.urandom)
        store.add_connector_key(key, account, now_ms)
        return NewLink(account.id, token_of(folder.pepper(), key).text)
    finally:
        store.close()
        folder.release()


def linked_accounts(data: Path) -> list[Account]:
    """Every account of a data folder, oldest first."""
    folder = DataFolder(data)
    store = AppStore(folder.app_url)
    try:
        return store.accounts()
    finally:
        store.close()
        folder.release()


def _check(server: str, login: int) -> None:
    if not (0 < len(server) <= _SERVER_CHARS and server.isprintable() and "|" not in server):
        raise SettingsError(
            f"--server {server!r}: the broker server's name as the terminal shows it, "
            f"1 to {_SERVER_CHARS} characters without |"
        )
    if not 0 < login <= _LOGIN_MAX:
        raise SettingsError(f"--login {login}: the account's number, 1 to {_LOGIN_MAX}")


def _refuse_linked(store: AppStore, server: str, login: int) -> None:
    for account in store.accounts():
        is_terminal = account.kind is AccountKind.TERMINAL
        if is_terminal and (account.server, account.login) == (server, login):
            raise SettingsError(f"login {login} on {server!r} is linked already as {account.id}")
