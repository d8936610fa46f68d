"""Rotation of the key over all secrets: beside a server that seals, and with every provider."""

import os
import threading
from base64 import b64encode
from pathlib import Path

import pytest
from msgspec.structs import replace

from fxsocket_server.bootstrap.linking import LOCAL_USER
from fxsocket_server.core.secret import Secret
from fxsocket_server.gateway.accounts.make import terminal_account
from fxsocket_server.gateway.accounts.passwords import Passwords
from fxsocket_server.model.account import Account
from fxsocket_server.security.rotation import RotatingKeys, rotate
from fxsocket_server.security.vault import Vault, VaultError
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.key_files import KeyFiles
from fxsocket_server.storage.key_sources import EnvironmentKeys


class Desk:
    """A store with accounts, and the passwords that were last set."""

    def __init__(self, folder: Path, keys: RotatingKeys) -> None:
        self.store = AppStore(f"sqlite:///{folder / 'app.db'}")
        self.store.ensure_user(LOCAL_USER, "", 0)
        self.use(keys)
        self.accounts: list[Account] = []
        self.set_to: dict[str, str] = {}

    def use(self, keys: RotatingKeys) -> None:
        self.keys = keys
        self.vault = Vault(keys, os.urandom)
        self.passwords = Passwords(self.vault, self.store)

    def link(self, count: int) -> None:
        for _ in range(count):
            number = len(self.accounts) + 1
            account = terminal_account(
                account_id=f"acc_{number}", user_id=LOCAL_USER, name="", server="S", login=number,
                platform="MT5", now_ms=number,
            )  # fmt: skip
            self.store.add_account(account)
            self.accounts.append(account)
            self.change(account, "first")

    def change(self, account: Account, text: str) -> None:
        self.passwords.change(account, Secret(text), f"sec_{account.login}")
        self.set_to[account.id] = text

    def rotate(self) -> int:
        return rotate(self.keys, self.vault, self.store.secrets, lambda done, total: None)

    def check(self) -> None:
        for account in self.accounts:
            opened = self.passwords.password_of(account)
            assert opened is not None
            assert opened.reveal() == self.set_to[account.id]
        assert self.store.secrets.count_not_under(self.keys.current()) == 0


def random_key() -> str:
    return b64encode(os.urandom(32)).decode()


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    desk, told = Desk(tmp_path, KeyFiles(tmp_path, os.urandom)), []
    desk.link(250)
    try:
        done = rotate(desk.keys, desk.vault, desk.store.secrets, lambda *step: told.append(step))
    except VaultError as lost:
        raise AssertionError("a password that is not under the new key yet is lost") from lost
    assert done == 250
    assert told == [(0, 250), (100, 250), (200, 250), (250, 250)]
    desk.check()
    desk.store.close()


def test_a_server_seals_meanwhile(tmp_path: Path) -> None:
    """Two stores on one folder, as two processes have them; every password is changed often."""
    desk = Desk(tmp_path, KeyFiles(tmp_path, os.urandom))
    desk.link(20)
    other = Desk(tmp_path, KeyFiles(tmp_path, os.urandom))
    over, failures = threading.Event(), []

    def rotate_again_and_again() -> None:
        try:
            for _ in range(15):
                other.rotate()
        except BaseException as error:
            failures.append(error)
        over.set()

    rotating = threading.Thread(target=rotate_again_and_again)
    rotating.start()
    changes = 0
    while not over.is_set():  # bounded by the fifteen rotations
        account = desk.accounts[changes % 20]
        desk.change(account, f"change {changes}")
        opened = desk.passwords.password_of(account)
        assert opened == Secret(f"change {changes}")
        changes += 1
    rotating.join()
    assert failures == []
    assert changes > 20
    desk.check()
    assert len(list(tmp_path.glob("kek*"))) == 1
    for each in (desk, other):
        each.store.close()


def test_a_row_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path, KeyFiles(tmp_path, os.urandom))
    desk.link(1)
    stale = desk.store.password("acc_1")
    assert stale is not None
    desk.change(desk.accounts[0], "second")
    desk.store.secrets.replace_sealed([(stale, desk.vault.rewrap(stale.sealed, stale.place))])
    desk.check()
    desk.store.close()


def test_swapped_rows_open_for_neither_account(tmp_path: Path) -> None:
    desk = Desk(tmp_path, KeyFiles(tmp_path, os.urandom))
    desk.link(2)
    one, two = (desk.store.password(account.id) for account in desk.accounts)
    assert one is not None
    assert two is not None
    desk.store.secrets.replace_sealed([(one, two.sealed), (two, one.sealed)])
    for account in desk.accounts:
        with pytest.raises(VaultError, match="moved"):
            desk.passwords.password_of(account)
    with pytest.raises(VaultError, match="moved"):
        desk.rotate()
    desk.store.close()


def test_an_older_version_of_a_row_does_not_open(tmp_path: Path) -> None:
    desk = Desk(tmp_path, KeyFiles(tmp_path, os.urandom))
    desk.link(1)
    old = desk.store.password("acc_1")
    desk.change(desk.accounts[0], "second")
    new = desk.store.password("acc_1")
    assert old is not None
    assert new is not None
    desk.store.secrets.replace_sealed([(new, old.sealed)])
    with pytest.raises(VaultError):
        desk.passwords.password_of(desk.accounts[0])
    assert replace(new.place, key_version=1) == old.place
    desk.store.close()


def test_keys_of_the_environment_rotate_by_their_owner(tmp_path: Path) -> None:
    first, second = random_key(), random_key()
    desk = Desk(tmp_path, EnvironmentKeys(first, None, os.urandom))
    desk.link(3)
    with pytest.raises(VaultError, match="FXSOCKET_KEK_OLD"):
        desk.rotate()
    desk.check()
    desk.use(EnvironmentKeys(second, first, os.urandom))
    assert desk.rotate() == 3
    desk.use(EnvironmentKeys(second, None, os.urandom))
    desk.check()
    desk.store.close()
