# Made from _async/accounts.py by tools/make_sync.py; edit that file instead.
"""Accounts: the figures of one; all of them, made, changed, stopped and removed."""

import builtins

from fxsocket._call import KEEP, Call, Kept, changed, given, path, reader
from fxsocket._sync.requester import Requester
from fxsocket.models import Account, AccountSummary, CreatedAccount
from fxsocket.pages import rows_reader

_read_account = reader(Account)
_read_summary = reader(AccountSummary)
_read_created = reader(CreatedAccount)
_read_accounts = rows_reader(AccountSummary)


class AccountResource:
    """`client.account`"""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def get(self) -> Account:
        """Balance, equity, margin and the rest of the account in use."""
        return self._requester.send(Call("GET", "/account", _read_account))


class AccountsResource:
    """`client.accounts`"""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def list(self) -> builtins.list[AccountSummary]:
        """Every account that the key may use; give an `id` as the client's `account_id`."""
        return self._requester.send(Call("GET", "/accounts", _read_accounts))

    def get(self, account_id: str) -> AccountSummary:
        """One account, connected or not; raises NotFoundError."""
        return self._requester.send(Call("GET", path("accounts", account_id), _read_summary))

    def create(
        self,
        kind: str,
        *,
        platform: str | None = None,
        name: str | None = None,
        server: str | None = None,
        login: int | None = None,
        password: str | None = None,
        driver: str | None = None,
        profile: str | None = None,
        balance: float | None = None,
        leverage: int | None = None,
        currency: str | None = None,
        seed: int | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedAccount:
        """Make an account: `SIM` trades at once; the terminal of a `TERMINAL` one will dial in.

        What is left out is the server's choice. A retry makes no second one. Raises ConflictError
        for a login that is linked already, ValidationError naming the field.
        """
        fields = {"kind": kind, "platform": platform, "name": name, "server": server,
                  "login": login, "password": password, "driver": driver, "profile": profile,
                  "balance": balance, "leverage": leverage, "currency": currency,
                  "seed": seed}  # fmt: skip
        call = Call("POST", "/accounts", _read_created, None, given(fields), idempotency_key)
        return self._requester.send(call)

    def update(
        self,
        account_id: str,
        *,
        name: str | Kept = KEEP,
        is_default: bool | Kept = KEEP,
        password: str | Kept | None = KEEP,
    ) -> AccountSummary:
        """Rename an account, make it the default one, change its broker's password (None forgets).

        Whatever is left out stays as it is.
        """
        fields = changed({"name": name, "is_default": is_default, "password": password})
        where = path("accounts", account_id)
        return self._requester.send(Call("PATCH", where, _read_summary, None, fields))

    def connect(self, account_id: str) -> AccountSummary:
        """Let a disconnected account go on."""
        return self._turn(account_id, "connect")

    def disconnect(self, account_id: str) -> AccountSummary:
        """Stop an account until `connect`; it stays readable."""
        return self._turn(account_id, "disconnect")

    def _turn(self, account_id: str, verb: str) -> AccountSummary:
        where = path("accounts", account_id, verb)
        return self._requester.send(Call("POST", where, _read_summary))

    def remove(self, account_id: str) -> AccountSummary:
        """Remove an account; its id is not known any more.

        Raises ConflictError while an order of it has no outcome.
        """
        where = path("accounts", account_id)
        return self._requester.send(Call("DELETE", where, _read_summary))

    def halt(self, account_id: str, reason: str) -> Account:
        """Stop opening on an account until `resume`; closing and cancelling go on."""
        return self._send(account_id, "halt", reason)

    def resume(self, account_id: str, reason: str) -> Account:
        """Allow opening again."""
        return self._send(account_id, "resume", reason)

    def _send(self, account_id: str, verb: str, reason: str) -> Account:
        where = path("accounts", account_id, verb)
        call = Call("POST", where, _read_account, None, {"reason": reason})
        return self._requester.send(call)
