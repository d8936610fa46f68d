"""The stream for asyncio."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar, Unpack

from fxsocket import _policy
from fxsocket._async.orders import AsyncOrdersResource
from fxsocket._async.positions import AsyncPositionsResource
from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call
from fxsocket._orders import OrderRequest
from fxsocket._retry import is_final_word
from fxsocket._stream.core import StreamCore
from fxsocket._stream.supervisor import Patience
from fxsocket.errors import FxSocketError
from fxsocket.events import StreamEvent, StreamStats
from fxsocket.models import Order

T = TypeVar("T")


@dataclass(frozen=True)
class AsyncOverStream(AsyncRequester):
    """Sends trade commands over the stream, and everything else as before.

    A command whose answer is lost goes out again over REST, under the same key: the server gives
    the answer that it had, or runs it if it never came.
    """

    core: StreamCore

    async def send(self, call: Call[T]) -> T:
        """Send a call; errors as over REST."""
        if call.frame is None:
            return await super().send(call)
        call = self.with_key(call)
        try:
            return await self.core.command(call)
        except FxSocketError as error:
            if not error.maybe_executed:
                raise
        try:
            return await super().send(call)
        except FxSocketError as error:
            error.maybe_executed = not is_final_word(error)  # the stream's attempt counts, too
            raise


class AsyncStream:
    """Ticks and order updates as they happen; `async with client.stream() as stream`.

    Iterating yields the classes of `fxsocket.events`. The stream reconnects for ever and
    subscribes again by itself, and yields a Gap when account events were missed meanwhile.
    Order updates come without being subscribed. Iterating raises StreamError when the server ends
    the stream for good, such as for a revoked key. Trade commands of `orders` and `positions` go
    over its connection.
    """

    orders: AsyncOrdersResource
    positions: AsyncPositionsResource

    def __init__(
        self,
        requester: AsyncRequester,
        *,
        auto_ack: bool = True,
        queue_bytes: int = _policy.STREAM_QUEUE_BYTES,
        patience: Patience | None = None,
    ) -> None:
        self._core = StreamCore(
            requester.config,
            sleep=requester.sleep,
            draw=requester.draw,
            auto_ack=auto_ack,
            queue_bytes=queue_bytes,
            patience=patience or Patience(),
        )
        over = AsyncOverStream(**vars(requester), core=self._core)
        self.orders = AsyncOrdersResource(over)
        self.positions = AsyncPositionsResource(over)

    async def subscribe(
        self,
        symbols: Iterable[str] = (),
        channels: Iterable[str] = ("ticks",),
        *,
        pace: bool = False,
        account_id: str | None = None,
        rate: float | None = None,
    ) -> None:
        """Subscribe now and after every reconnect; the server's answer comes as Subscribed.

        `symbols` may be masks such as `*USD*` and `!XAU*`. With `pace` the account's clock stands
        still until each tick is acknowledged. `rate` is how many quotes, or states of a candle, a
        symbol may send in a second.
        """
        await self._core.subscribe(symbols, channels, pace, account_id, rate)

    async def unsubscribe(
        self,
        symbols: Iterable[str] = (),
        channels: Iterable[str] = ("ticks",),
        *,
        account_id: str | None = None,
    ) -> None:
        """End a subscription; without symbols, every symbol of the channels."""
        await self._core.unsubscribe(symbols, channels, account_id)

    async def ack(self, n: int, *, account_id: str | None = None) -> None:
        """Acknowledge paced tick `n`, so that the clock goes on."""
        await self._core.ack(n, account_id)

    async def ping(self, timeout: float = 10.0) -> float:
        """Seconds that a message takes there and back; raises RequestTimeout or ConnectError."""
        return await self._core.ping(timeout)

    async def place_order(self, **order: Unpack[OrderRequest]) -> Order:
        """Place an order over the stream's connection; the same as `stream.orders.create`."""
        return await self.orders.create(**order)

    def stats(self) -> StreamStats:
        """How the stream stands now: connected, how often, how much waits, what was seen."""
        return self._core.stats()

    async def get(self, timeout: float | None = None) -> StreamEvent | None:
        """The next event; None when none came within `timeout` seconds or the stream was closed."""
        try:
            async with asyncio.timeout(timeout):
                return await anext(self, None)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Close the connection and end the iteration; closing twice is fine."""
        await self._core.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        for event in await self._core.batch(1):
            return event
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        await self._core.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
