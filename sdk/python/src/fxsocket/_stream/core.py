"""One stream inside one event loop: what the asyncio and the blocking stream both drive."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from fxsocket._call import Call
from fxsocket._config import Config
from fxsocket._problem import problem_of
from fxsocket._retry import may_have_executed
from fxsocket._runtime import AsyncSleep, Draw
from fxsocket._stream.inbox import Arrived, Inbox
from fxsocket._stream.session import Session, about
from fxsocket._stream.supervisor import Patience, Supervisor
from fxsocket.errors import (
    ConnectError,
    ConnectionLost,
    FxSocketError,
    ProtocolError,
    RequestTimeout,
    TransportError,
    api_error,
)
from fxsocket.events import StreamEvent, StreamStats, Tick

T = TypeVar("T")

# What a trade command's answer is called, by what it is.
_ANSWERS = ("order", "position", "result")


class StreamCore:
    """Subscriptions, commands and arriving events of one stream."""

    def __init__(
        self,
        config: Config,
        *,
        sleep: AsyncSleep,
        draw: Draw,
        auto_ack: bool,
        queue_bytes: int,
        patience: Patience,
    ) -> None:
        self._account_id = config.account_id
        self._timeout = min(config.timeout, config.total_timeout)
        self._session = Session(config.account_id)
        self._inbox = Inbox(queue_bytes)
        self._supervisor = Supervisor(
            config, self._session, self._inbox, sleep=sleep, draw=draw, patience=patience
        )
        self._auto_ack = auto_ack
        self._unacked: dict[str | None, Arrived] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Begin to connect; once."""
        if self._closed:
            raise ConnectError("the stream was closed, nothing was sent")
        if self._task is None:
            self._task = asyncio.create_task(self._supervisor.run(), name="fxsocket-stream")

    async def subscribe(
        self,
        symbols: Iterable[str],
        channels: Iterable[str],
        pace: bool,
        account_id: str | None,
        rate: float | None,
    ) -> None:
        """Note a subscription, and send it when there is a connection."""
        frame = self._session.subscribe(symbols, channels, pace, account_id, rate)
        await self._send_if_live(frame)

    async def unsubscribe(
        self, symbols: Iterable[str], channels: Iterable[str], account_id: str | None
    ) -> None:
        """Forget a subscription, and say so when there is a connection."""
        await self._send_if_live(self._session.unsubscribe(symbols, channels, account_id))

    async def ack(self, n: int, account_id: str | None) -> None:
        """Acknowledge tick `n`; without a connection there is nothing to acknowledge."""
        await self._send_if_live({"action": "ack", "n": n, **about(account_id)})

    async def ping(self, timeout_s: float) -> float:
        """Seconds that a message takes there and back."""
        clock = asyncio.get_running_loop().time
        start = clock()
        await self._ask({"action": "ping", "id": self._session.next_id()}, timeout_s)
        return clock() - start

    async def command(self, call: Call[T]) -> T:
        """Send a trade command, once; its errors are those of REST, with `maybe_executed` set."""
        frame = {
            **(call.frame or {}),
            "id": self._session.next_id(),
            "idempotency_key": call.idempotency_key,
            "timeout_ms": int(self._timeout * 1000),
            **about(self._account_id),
        }
        try:
            return _answer(call, await self._ask(frame, self._timeout))
        except FxSocketError as error:
            error.idempotency_key = call.idempotency_key
            raise

    def stats(self) -> StreamStats:
        """How the stream stands now."""
        return StreamStats(
            connected=self._supervisor.link is not None,
            connections=self._supervisor.connections,
            last_drop=self._supervisor.last_drop,
            waiting_events=len(self._inbox),
            waiting_bytes=self._inbox.held_bytes,
            is_behind=self._inbox.is_full(),
            seen=self._session.seen(),
        )

    async def batch(self, most: int) -> list[StreamEvent]:
        """Acknowledge what was handed out before, then wait for up to `most` events.

        An empty list says that the stream was closed; raises what else ended it.
        """
        if self._closed:
            return []
        await self.start()
        await self._ack_handed_out()
        arrived = await self._inbox.take(most)
        for each in arrived:
            if isinstance(each.event, Tick) and each.event.n is not None:
                self._unacked[each.event.account_id] = each
        return [each.event for each in arrived]

    async def close(self) -> None:
        """Close the connection and wait until it is closed; twice is fine."""
        self._closed = True
        self._inbox.close()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _ack_handed_out(self) -> None:
        for account_id, arrived in list(self._unacked.items()):
            if self._auto_ack:
                await self._ack_arrived(arrived)
            del self._unacked[account_id]

    async def _ack_arrived(self, arrived: Arrived) -> None:
        link, tick = self._supervisor.link, arrived.event
        # A number of an earlier connection means nothing on this one.
        if link is None or link.number != arrived.connection or not isinstance(tick, Tick):
            return
        if tick.n is not None:
            await self.ack(tick.n, tick.account_id)

    async def _send_if_live(self, frame: dict[str, Any]) -> None:
        await self.start()
        link = self._supervisor.link
        if link is not None:
            with contextlib.suppress(ConnectionLost):  # the next connection knows what is wanted
                await link.send(frame)

    async def _ask(self, frame: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a frame and wait for its answer; raises ConnectError when it could not be sent."""
        await self.start()
        sent = False
        try:
            async with asyncio.timeout(timeout_s):
                link = await self._supervisor.live_link()
                sent = True
                self._inbox.make_room()
                return _accepted(await link.ask(frame))
        except TimeoutError:
            raise _late(sent, timeout_s) from None


def _late(sent: bool, timeout_s: float) -> TransportError:
    if not sent:
        return ConnectError(f"no connection within {timeout_s:g} s, nothing was sent")
    error = RequestTimeout(f"no answer on the stream within {timeout_s:g} s")
    error.maybe_executed = True
    return error


def _accepted(reply: dict[str, Any]) -> dict[str, Any]:
    if reply.get("type") != "error":
        return reply
    error = api_error(problem_of(reply))
    error.maybe_executed = may_have_executed(error)
    raise error


def _answer(call: Call[T], reply: dict[str, Any]) -> T:
    told = next((reply[name] for name in _ANSWERS if name in reply), None)
    try:
        return call.decode(msgspec.json.encode(told))
    except msgspec.MsgspecError as error:
        failure = ProtocolError(f"the stream's answer is not what this SDK knows: {error}")
        failure.maybe_executed = True
        raise failure from error
