"""Accounts: the figures of one, the list of all."""

import builtins

from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call, path, reader
from fxsocket.models import Account, AccountSummary
from fxsocket.pages import rows_reader

_read_account = reader(Account)
_read_summary = reader(AccountSummary)
_read_accounts = rows_reader(AccountSummary)


class AsyncAccountResource:
    """`client.account`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def get(self) -> Account:
        """Balance, equity, margin and the rest of the account in use."""
        return await self._requester.send(Call("GET", "/account", _read_account))


class AsyncAccountsResource:
    """`client.accounts`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def list(self) -> builtins.list[AccountSummary]:
        """Every account that the key may use; give an `id` as the client's `account_id`."""
        return await self._requester.send(Call("GET", "/accounts", _read_accounts))

    async def get(self, account_id: str) -> AccountSummary:
        """One account, connected or not; raises NotFoundError."""
        return await self._requester.send(Call("GET", path("accounts", account_id), _read_summary))
