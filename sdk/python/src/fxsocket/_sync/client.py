# Made from _async/client.py by tools/make_sync.py; edit that file instead.
"""The client: settings in, resources out."""

from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2
import msgspec

from fxsocket import _policy, _runtime
from fxsocket._call import Call
from fxsocket._config import Config, configure
from fxsocket._retry import RetryBudget
from fxsocket._sync.accounts import AccountResource, AccountsResource
from fxsocket._sync.calc import CalcResource, StatsResource
from fxsocket._sync.history import DealsResource, EventsResource
from fxsocket._sync.keys import AuditResource, KeysResource, UsageResource
from fxsocket._sync.market import CandlesResource, QuotesResource, SymbolsResource
from fxsocket._sync.orders import OrdersResource
from fxsocket._sync.positions import PositionsResource
from fxsocket._sync.requester import Requester
from fxsocket._sync.sim import SimResource
from fxsocket._sync.transport import Transport

if TYPE_CHECKING:
    from fxsocket._sync.stream import Stream


class FxSocketClient:
    """One API key's view of its MetaTrader accounts.

    `api_key`, `base_url` and `stream_url` come from FXSOCKET_API_KEY, FXSOCKET_BASE_URL and
    FXSOCKET_STREAM_URL when left out; the addresses then default to this machine. `timeout` limits
    one attempt and `total_timeout` a whole call with its retries, in seconds. `transport` is an
    httpx2 transport for tests; `sleep`, `clock` and `rng` are there for tests too.
    Raises ConfigError when a setting is missing or wrong.
    """

    account: AccountResource
    accounts: AccountsResource
    audit: AuditResource
    calc: CalcResource
    candles: CandlesResource
    deals: DealsResource
    events: EventsResource
    keys: KeysResource
    orders: OrdersResource
    positions: PositionsResource
    quotes: QuotesResource
    sim: SimResource
    stats: StatsResource
    symbols: SymbolsResource
    usage: UsageResource

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
        transport: httpx2.BaseTransport | None = None,
        sleep: _runtime.Sleep = _runtime.sleep,
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
            Requester(
                config=config,
                transport=Transport(config, transport, clock),
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

    def stream(self, *, auto_ack: bool = True) -> "Stream":
        """A stream of ticks and order updates that reconnects and resubscribes by itself.

        With `auto_ack`, asking for the next event acknowledges the ticks of paced subscriptions.
        """
        # Imported on first use: the WebSocket library would double the time to import the SDK.
        from fxsocket._sync.stream import Stream

        return Stream(self._requester, auto_ack=auto_ack)

    def request(
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
        return self._requester.send(call)

    def close(self) -> None:
        """Close the connections; those of `with_options` are the same."""
        self._requester.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        config = self._config
        return (
            f"{type(self).__name__}(base_url={config.base_url!r}, account_id={config.account_id!r})"
        )

    @property
    def _config(self) -> Config:
        return self._requester.config

    def _bind(self, requester: Requester) -> None:
        self._requester = requester
        self.account = AccountResource(requester)
        self.accounts = AccountsResource(requester)
        self.audit = AuditResource(requester)
        self.calc = CalcResource(requester)
        self.candles = CandlesResource(requester)
        self.deals = DealsResource(requester)
        self.events = EventsResource(requester)
        self.keys = KeysResource(requester)
        self.orders = OrdersResource(requester)
        self.positions = PositionsResource(requester)
        self.quotes = QuotesResource(requester)
        self.sim = SimResource(requester)
        self.stats = StatsResource(requester)
        self.symbols = SymbolsResource(requester)
        self.usage = UsageResource(requester)
