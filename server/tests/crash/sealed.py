"""A data folder full of stored passwords, and a rotation of the key over them that dies."""

import os
import subprocess
import sys
from pathlib import Path

from fxsocket_server.bootstrap.linking import LOCAL_USER
from fxsocket_server.bootstrap.vaults import rotating_vault
from fxsocket_server.core.secret import Secret
from fxsocket_server.gateway.accounts.make import terminal_account
from fxsocket_server.gateway.accounts.passwords import Passwords
from fxsocket_server.model.account import Account
from fxsocket_server.storage.app.store import AppStore

WATCHDOG_S = 60

# Runs `keys rotate-kek` and counts every call that it makes; SIGKILL at the call of that number.
_MORTAL = """
import os, signal, sys
from fxsocket_server.cli import keys
from fxsocket_server.cli.app import app

left, calls, rotate = int(sys.argv.pop(1)), 0, keys.rotate

def count(frame, event, argument):
    global calls
    calls += 1
    if calls == left:
        os.kill(os.getpid(), signal.SIGKILL)

def counted(*parts):
    sys.setprofile(count)
    try:
        return rotate(*parts)
    finally:
        sys.setprofile(None)
        print(calls)

keys.rotate = counted
app()
"""


class Sealed:
    """So many accounts at terminals, each with a password of its own."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.accounts = [self._account(number) for number in range(1, count + 1)]
        store = AppStore(self.url)
        store.ensure_user(LOCAL_USER, "", 0)
        passwords = self.passwords(store)
        for account in self.accounts:
            store.add_account(account)
            passwords.change(account, Secret(self.password(account)), f"sec_{account.login}")
        store.close()

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'app.db'}"

    def passwords(self, store: AppStore) -> Passwords:
        return Passwords(rotating_vault("file", self.folder)[1], store)

    def _account(self, number: int) -> Account:
        return terminal_account(
            account_id=f"acc_{number}", user_id=LOCAL_USER, name="", server="S", login=number,
            platform="MT5", now_ms=number,
        )  # fmt: skip

    def password(self, account: Account) -> str:
        return f"password of {account.id}"

    def keys(self) -> list[str]:
        """The key files, oldest first."""
        return sorted(path.name for path in self.folder.glob("kek*"))

    def check_all(self) -> None:
        """Every password opens, and is what it was."""
        store = AppStore(self.url)
        passwords = self.passwords(store)
        for account in self.accounts:
            opened = passwords.password_of(account)
            assert opened is not None
            assert opened.reveal() == self.password(account)
        store.close()

    def stale(self) -> int:
        """How many passwords are not under the key of now."""
        store = AppStore(self.url)
        keys, _ = rotating_vault("file", self.folder)
        count = store.secrets.count_not_under(keys.current())
        store.close()
        return count

    def rotate(self, dies_at: int = 0) -> int | None:
        """Rotate in a process of its own; how many calls it made, None when it was killed."""
        done = subprocess.run(
            [sys.executable, "-c", _MORTAL, str(dies_at), "keys", "rotate-kek",
             "--data", str(self.folder)],
            capture_output=True, check=False, timeout=WATCHDOG_S, env=dict(os.environ),
        )  # fmt: skip
        if done.returncode == -9:
            return None
        assert done.returncode == 0, done.stderr.decode()
        return int(done.stdout.split()[0])
