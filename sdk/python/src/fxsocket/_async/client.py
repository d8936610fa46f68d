"""The client: settings in, resources out."""

from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2
import msgspec

from fxsocket import _policy, _runtime
from fxsocket._async.accounts import AsyncAccountResource, AsyncAccountsResource
from fxsocket._async.calc import AsyncCalcResource, AsyncStatsResource
from fxsocket._async.history import AsyncDealsResource, AsyncEventsResource
from fxsocket._async.keys import AsyncAuditResource, AsyncKeysResource, AsyncUsageResource
from fxsocket._async.market import AsyncCandlesResource, AsyncQuotesResource, AsyncSymbolsResource
from fxsocket._async.orders import AsyncOrdersResource
from fxsocket._async.positions import AsyncPositionsResource
from fxsocket._async.requester import AsyncRequester
from fxsocket._async.sim import AsyncSimResource
from fxsocket._async.transport import AsyncTransport
from fxsocket._call import Call
from fxsocket._config import Config, configure
from fxsocket._retry import RetryBudget

if TYPE_CHECKING:
    from fxsocket._async.stream import AsyncStream


class AsyncFxSocketClient:
    """One API key's view of its MetaTrader accounts.

    `api_key`, `base_url` and `stream_url` come from FXSOCKET_API_KEY, FXSOCKET_BASE_URL and
    FXSOCKET_STREAM_URL when left out; the addresses then default to this machine. `timeout` limits
    one attempt and `total_timeout` a whole call with its retries, in seconds. `transport` is an
    httpx2 transport for tests; `sleep`, `clock` and `rng` are there for tests too.
    Raises ConfigError when a setting is missing or wrong.
    """

    account: AsyncAccountResource
    accounts: AsyncAccountsResource
    audit: AsyncAuditResource
    calc: AsyncCalcResource
    candles: AsyncCandlesResource
    deals: AsyncDealsResource
    events: AsyncEventsResource
    keys: AsyncKeysResource
    orders: AsyncOrdersResource
    positions: AsyncPositionsResource
    quotes: AsyncQuotesResource
    sim: AsyncSimResource
    stats: AsyncStatsResource
    symbols: AsyncSymbolsResource
    usage: AsyncUsageResource

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        stream_url: str | None = None,
        account_id: str | None = None,
        max_retries: int = _policy.MAX_RETRIES,
        timeout: float = _policy.ATTEMPT_TIMEOUT_MS / 1000,
        total_timeout: float = _policy.TOTAL_TIMEOUT_MS / 1000,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: _runtime.AsyncSleep = _runtime.async_sleep,
        clock: _runtime.Clock = _runtime.monotonic,
        rng: _runtime.Draw = _runtime.draw,
        new_id: _runtime.NewId = _runtime.new_id,
    ) -> None:
        config = configure(
            api_key=api_key,
            base_url=base_url,
            stream_url=stream_url,
            account_id=account_id,
            max_retries=max_retries,
            timeout=timeout,
            total_timeout=total_timeout,
            environ=_runtime.environ,
        )
        self._bind(
            AsyncRequester(
                config=config,
                transport=AsyncTransport(config, transport, clock),
                budget=RetryBudget(),
                sleep=sleep,
                clock=clock,
                draw=rng,
                new_id=new_id,
            )
        )

    def with_options(
        self,
        *,
        account_id: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> Self:
        """The same client with other settings, sharing its connections; None keeps a setting."""
        now = self._config
        config = configure(
            api_key=now.key.reveal(),
            base_url=now.base_url,
            stream_url=now.stream_url,
            account_id=now.account_id if account_id is None else account_id,
            max_retries=now.max_retries if max_retries is None else max_retries,
            timeout=now.timeout if timeout is None else timeout,
            total_timeout=now.total_timeout if total_timeout is None else total_timeout,
            environ={},
        )
        other = copy(self)
        other._bind(replace(self._requester, config=config))
        return other

    def stream(self, *, auto_ack: bool = True) -> "AsyncStream":
        """A stream of ticks and order updates that reconnects and resubscribes by itself.

        With `auto_ack`, asking for the next event acknowledges the ticks of paced subscriptions.
        """
        # Imported on first use: the WebSocket library would double the time to import the SDK.
        from fxsocket._async.stream import AsyncStream

        return AsyncStream(self._requester, auto_ack=auto_ack)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Call a path that this SDK has no method for, such as `GET /stats`; gives decoded JSON.

        Key, retries, deadline and errors are those of every other call.
        """
        call = Call(method.upper(), path, msgspec.json.decode, params, body, idempotency_key)
        return await self._requester.send(call)

    async def close(self) -> None:
        """Close the connections; those of `with_options` are the same."""
        await self._requester.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        config = self._config
        return (
            f"{type(self).__name__}(base_url={config.base_url!r}, account_id={config.account_id!r})"
        )

    @property
    def _config(self) -> Config:
        return self._requester.config

    def _bind(self, requester: AsyncRequester) -> None:
        self._requester = requester
        self.account = AsyncAccountResource(requester)
        self.accounts = AsyncAccountsResource(requester)
        self.audit = AsyncAuditResource(requester)
        self.calc = AsyncCalcResource(requester)
        self.candles = AsyncCandlesResource(requester)
        self.deals = AsyncDealsResource(requester)
        self.events = AsyncEventsResource(requester)
        self.keys = AsyncKeysResource(requester)
        self.orders = AsyncOrdersResource(requester)
        self.positions = AsyncPositionsResource(requester)
        self.quotes = AsyncQuotesResource(requester)
        self.sim = AsyncSimResource(requester)
        self.stats = AsyncStatsResource(requester)
        self.symbols = AsyncSymbolsResource(requester)
        self.usage = AsyncUsageResource(requester)
