"""Passwords of brokers: sealed by the vault, bound to their account, in plain text nowhere."""

from collections.abc import Callable
from typing import Protocol

from fxsocket_server.core.secret import Secret
from fxsocket_server.model.account import Account
from fxsocket_server.security.rotation import SealedRow
from fxsocket_server.security.vault import Vault, place_of_secret


class PasswordStore(Protocol):
    """Where sealed passwords are kept."""

    def password(self, account_id: str) -> SealedRow | None:
        """The sealed password of an account."""
        ...

    def put_password(self, account: Account, row: SealedRow) -> None:
        """Store a newer one."""
        ...

    def drop_password(self, account_id: str) -> None:
        """Forget it."""
        ...


class Passwords:
    """Seals and opens the passwords of accounts; every call may block."""

    def __init__(self, vault: Vault, store: PasswordStore) -> None:
        self._vault = vault
        self._store = store

    def change(self, account: Account, password: Secret | None, secret_id: str) -> None:
        """Store another password for an account, or forget the one it has."""
        if password is None:
            self._store.drop_password(account.id)
            return
        self.store_sealed(
            account, password, secret_id, lambda row: self._store.put_password(account, row)
        )

    def store_sealed(
        self,
        account: Account,
        password: Secret,
        secret_id: str,
        store: Callable[[SealedRow], None],
    ) -> None:
        """Seal a password under the next version of its data key, and have it stored."""
        with self._vault.keys.held():
            before = self._store.password(account.id)
            row = secret_id if before is None else before.place.row
            version = 1 if before is None else before.place.key_version + 1
            place = place_of_secret(row, account.id, version)
            store(SealedRow(place, self._vault.seal(password, place)))

    def password_of(self, account: Account) -> Secret | None:
        """The password for whoever signs in at the broker; VaultError when it cannot be opened."""
        with self._vault.keys.held():
            row = self._store.password(account.id)
            return None if row is None else self._vault.open(row.sealed, row.place)
