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

    async def halt(self, account_id: str, reason: str) -> Account:
        """Stop opening on an account until `resume`; closing and cancelling go on."""
        return await self._send(account_id, "halt", reason)

    async def resume(self, account_id: str, reason: str) -> Account:
        """Allow opening again."""
        return await self._send(account_id, "resume", reason)

    async def _send(self, account_id: str, verb: str, reason: str) -> Account:
        where = path("accounts", account_id, verb)
        call = Call("POST", where, _read_account, None, {"reason": reason})
        return await self._requester.send(call)
