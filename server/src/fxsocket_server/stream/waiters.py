"""Whoever waits until something happens to an account."""

import asyncio


class Waiters:
    """Coroutines by the account that they wait for."""

    def __init__(self) -> None:
        self._by_account: dict[str, set[asyncio.Future[None]]] = {}

    @property
    def accounts(self) -> list[str]:
        """The accounts that are waited for."""
        return [account_id for account_id, waiting in self._by_account.items() if waiting]

    async def wait(self, account_id: str) -> None:
        """Return at the account's next `wake`."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._by_account.setdefault(account_id, set())
        waiting.add(woken)
        try:
            await woken
        finally:
            waiting.discard(woken)

    def wake(self, account_id: str) -> None:
        """Let everybody who waits for an account go on."""
        for woken in self._by_account.pop(account_id, ()):
            if not woken.done():
                woken.set_result(None)
