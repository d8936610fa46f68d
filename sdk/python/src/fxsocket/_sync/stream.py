"""The stream for blocking code: the asyncio one in a background thread."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from fxsocket import _policy, _runtime
from fxsocket._call import Call
from fxsocket._orders import OrderRequest
from fxsocket._retry import is_final_word
from fxsocket._stream.core import StreamCore
from fxsocket._stream.link import CLOSE_TIMEOUT_S
from fxsocket._stream.supervisor import Patience
from fxsocket._sync.orders import OrdersResource
from fxsocket._sync.positions import PositionsResource
from fxsocket._sync.requester import Requester
from fxsocket.errors import ConnectError, FxSocketError
from fxsocket.events import StreamEvent, StreamStats
from fxsocket.models import Order

T = TypeVar("T")

# Crossing to the thread and back costs far more than an event, so events cross in batches.
BATCH_MAX: Final = 256


@dataclass(frozen=True)
class OverStream(Requester):
    """Sends trade commands over the stream, and everything else as before.

    A command whose answer is lost goes out again over REST, under the same key: the server gives
    the answer that it had, or runs it if it never came.
    """

    core: StreamCore
    thread: "_LoopThread"

    def send(self, call: Call[T]) -> T:
        """Send a call; errors as over REST."""
        if call.frame is None:
            return super().send(call)
        call = self.with_key(call)
        try:
            return self.thread.run(self.core.command(call))
        except FxSocketError as error:
            if not error.maybe_executed:
                raise
        try:
            return super().send(call)
        except FxSocketError as error:
            error.maybe_executed = not is_final_word(error)  # the stream's attempt counts, too
            raise


class Stream:
    """Ticks and order updates as they happen; `with client.stream() as stream`.

    Iterating yields the classes of `fxsocket.events`. The stream reconnects for ever and
    subscribes again by itself, and yields a Gap when account events were missed meanwhile.
    Order updates come without being subscribed. Iterating raises StreamError when the server ends
    the stream for good, such as for a revoked key. Trade commands of `orders` and `positions` go
    over its connection.
    """

    orders: OrdersResource
    positions: PositionsResource

    def __init__(
        self,
        requester: Requester,
        *,
        auto_ack: bool = True,
        queue_bytes: int = _policy.STREAM_QUEUE_BYTES,
        patience: Patience | None = None,
        sleep: _runtime.AsyncSleep = _runtime.async_sleep,
    ) -> None:
        self._core = StreamCore(
            requester.config,
            sleep=sleep,
            draw=requester.draw,
            auto_ack=auto_ack,
            queue_bytes=queue_bytes,
            patience=patience or Patience(),
        )
        # tidy: unbounded because it holds one batch, of BATCH_MAX events at most
        self._ready: deque[StreamEvent] = deque()
        self._pending: Future[list[StreamEvent]] | None = None
        self._thread = _LoopThread()
        over = OverStream(**vars(requester), core=self._core, thread=self._thread)
        self.orders = OrdersResource(over)
        self.positions = PositionsResource(over)

    def subscribe(
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
        self._thread.run(self._core.subscribe(symbols, channels, pace, account_id, rate))

    def unsubscribe(
        self,
        symbols: Iterable[str] = (),
        channels: Iterable[str] = ("ticks",),
        *,
        account_id: str | None = None,
    ) -> None:
        """End a subscription; without symbols, every symbol of the channels."""
        self._thread.run(self._core.unsubscribe(symbols, channels, account_id))

    def ack(self, n: int, *, account_id: str | None = None) -> None:
        """Acknowledge paced tick `n`, so that the clock goes on."""
        self._thread.run(self._core.ack(n, account_id))

    def ping(self, timeout: float = 10.0) -> float:
        """Seconds that a message takes there and back; raises RequestTimeout or ConnectError."""
        return self._thread.run(self._core.ping(timeout))

    def place_order(self, **order: Unpack[OrderRequest]) -> Order:
        """Place an order over the stream's connection; the same as `stream.orders.create`."""
        return self.orders.create(**order)

    def stats(self) -> StreamStats:
        """How the stream stands now: connected, how often, how much waits, what was seen."""
        return self._core.stats()

    def get(self, timeout: float | None = None) -> StreamEvent | None:
        """The next event; None when none came within `timeout` seconds or the stream was closed."""
        try:
            self._fill(timeout)
        except TimeoutError:
            return None
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        """Close the connection and end the iteration; closing twice is fine."""
        self._ready.clear()
        self._thread.stop(self._core.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        self._fill(None)
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def __enter__(self) -> Self:
        self._thread.run(self._core.start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _fill(self, timeout: float | None) -> None:
        """Wait for events when none is ready.

        An interrupted wait is taken up again by the next call: events that arrive in between are
        not lost.
        """
        if self._ready or self._thread.stopped:
            return
        if self._pending is None:
            self._pending = self._thread.submit(self._core.batch(BATCH_MAX))
        try:
            self._ready.extend(self._pending.result(timeout))
        except TimeoutError:
            raise  # it still waits
        except Exception:
            self._pending = None
            raise
        self._pending = None


class _LoopThread:
    """An event loop in a thread of its own, started on first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.stopped = False

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the thread; raises ConnectError when it was stopped."""
        with self._lock:
            if not self.stopped:
                return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        coroutine.close()
        raise ConnectError("the stream was closed, nothing was sent")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread and wait for its result."""
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupted caller no longer waits for it
            raise

    def stop(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `close`, let everything that waits come to its end, then end the thread."""
        with self._lock:
            stopped, self.stopped = self.stopped, True
        if stopped or self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_wind_up(close), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="fxsocket-stream", daemon=True
            )
            self._thread.start()
        return self._loop


async def _wind_up(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, stuck = await asyncio.wait(others, timeout=CLOSE_TIMEOUT_S)
        for task in stuck:
            task.cancel()
