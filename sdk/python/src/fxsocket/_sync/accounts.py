# Made from _async/accounts.py by tools/make_sync.py; edit that file instead.
"""Accounts: the figures of one, the list of all."""

import builtins

from fxsocket._call import Call, path, reader
from fxsocket._sync.requester import Requester
from fxsocket.models import Account, AccountSummary
from fxsocket.pages import rows_reader

_read_account = reader(Account)
_read_summary = reader(AccountSummary)
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
