"""A terminal's session after the handshake: heartbeat, questions, events in order, ticks."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from fxsocket_server.connectors.bridge.wire import Wire
from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.fxb.codec import unpack
from fxsocket_server.fxb.frames import FrameError
from fxsocket_server.fxb.messages import (
    Ack,
    Bye,
    Cr,
    Ev,
    Failure,
    Ping,
    Pong,
    Req,
    Res,
    State,
    Tk,
    ToGateway,
)
from fxsocket_server.gateway.ports import Unreachable

T = TypeVar("T", bound=Struct)


class Owner(Protocol):
    """Whom a session tells what its terminal says: the connector."""

    def on_event(self, event: Ev) -> "asyncio.Task[None] | None":
        """Facts; the task ends once they are durable."""
        ...

    def on_trade_result(self, result: Res) -> "asyncio.Task[None] | None":
        """A trade's report; the task ends once its facts are durable."""
        ...

    async def on_ticks(self, ticks: Tk) -> None:
        """Prices, once all facts that came before them are durable."""
        ...

    def on_state(self, state: State) -> None:
        """The terminal reaches its broker, or does not."""
        ...

    def on_over(self, session: "Session", why: str) -> None:
        """The session has ended."""
        ...


class _Ask:
    """A question under way, and the parts of its answer so far; `finish` takes them all."""

    def __init__(self, finish: Callable[[list[Res]], None]) -> None:
        self.finish = finish
        self.parts: list[Res] = []
        self.size = 0


class Session:
    """One live connection of one terminal; a later one of the same account supersedes it."""

    def __init__(
        self,
        wire: Wire[ToGateway],
        owner: Owner,
        clock: Clock,
        epoch: int,
        received_q: int | None,
    ) -> None:
        self.epoch = epoch
        self.received_q = self._acked_q = received_q or 0
        self._is_damaged = False  # an event could not be booked: those after it are told again
        self._wire = wire
        self._owner = owner
        self._clock = clock
        self._asks: dict[int, _Ask] = {}
        self._next_id = 1
        self._booking: deque[tuple[int, asyncio.Task[None]]] = deque(  # unacked, oldest first
            maxlen=2 * limits.BRIDGE_UNACKED_EVENTS
        )
        self._ticks: asyncio.Queue[tuple[Tk, tuple[asyncio.Task[None], ...]]] = asyncio.Queue(
            limits.BRIDGE_TICK_CREDIT
        )
        self._beats = 0
        self._heard = True
        self._missed = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take over the wire."""
        self._wire.on_message = self._on_message
        self._wire.on_lost = self._on_lost
        self._tasks = [asyncio.create_task(self._show_ticks(), name="bridge ticks")]
        self._arm_heartbeat()

    def end(self, code: str, detail: str, retry_ms: int = 0) -> None:
        """Say goodbye and close."""
        self._wire.end(code, detail, retry_ms)

    @property
    def resume_q(self) -> int:
        """The event after which the terminal's next session goes on."""
        return self._acked_q if self._is_damaged else self.received_q

    @property
    def over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._wire.over

    def _on_lost(self, why: str) -> None:
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        asks, self._asks = self._asks, {}
        for ask in asks.values():
            ask.finish([])
        self._owner.on_over(self, why)

    # --- heartbeat ---------------------------------------------------------------------------

    def _arm_heartbeat(self) -> None:
        seconds = limits.BRIDGE_HEARTBEAT_MS / 1000
        self._timer = asyncio.get_running_loop().call_later(seconds, self.beat)

    def beat(self) -> None:
        """Send a ping; a terminal that was silent for too many of them is left."""
        self._missed = 0 if self._heard else self._missed + 1
        self._heard = False
        if self._missed >= limits.BRIDGE_MISSED_BEATS:
            self._wire.cut(f"it was silent for {self._missed} heartbeats")
            return
        self._beats += 1
        self._wire.send(Ping(n=self._beats, gw_ms=int(self._clock.monotonic_ms())))
        self._arm_heartbeat()

    # --- questions and trades ----------------------------------------------------------------

    async def ask(
        self, op: str, arguments: Raw | None, into: type[T], then: Callable[[T], None] | None = None
    ) -> T:
        """Ask the terminal; Unreachable when it is away, refuses, or takes too long.

        `then` has the answer before anything that the terminal told after it.
        """
        if self.over or len(self._asks) >= limits.BRIDGE_PENDING_ASKS:
            raise Unreachable("the terminal is away" if self.over else "it owes too many answers")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        number = self._take_id()
        self._asks[number] = _Ask(lambda parts: self._finish(answer, parts, op, into, then))
        request = Req(id=number, op=op, ep=self.epoch)
        self._wire.send(request if arguments is None else replace(request, a=arguments))
        try:
            async with asyncio.timeout(limits.BRIDGE_ASK_MS / 1000):
                return await answer
        except TimeoutError:
            raise Unreachable(f"the terminal did not answer {op} in time") from None
        finally:
            self._asks.pop(number, None)

    def _finish(
        self,
        answer: "asyncio.Future[T]",
        parts: list[Res],
        op: str,
        into: type[T],
        then: Callable[[T], None] | None,
    ) -> None:
        if answer.done():
            return
        failure = parts[-1].e if parts else Failure("GONE", "the terminal went away")
        if failure is not None:
            answer.set_exception(Unreachable(f"{op} has no answer: {failure.c} {failure.m}"))
            return
        try:
            value = _merged([unpack(part.r, into) for part in parts])
        except FrameError as error:
            answer.set_exception(Unreachable(f"the terminal answered {op} wrongly: {error}"))
            raise
        if then is not None:
            then(value)
        answer.set_result(value)

    def trade(self, arguments: "Req") -> bool:
        """Write a trade, once; False when it surely was not written."""
        if self.over or self._wire.unsent_bytes > limits.BRIDGE_UNSENT_BYTES:
            return False
        self._wire.send(replace(arguments, id=self._take_id(), ep=self.epoch))
        return True

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    # --- what comes --------------------------------------------------------------------------

    def _on_message(self, message: ToGateway) -> None:
        self._heard = True
        if isinstance(message, Tk):
            self._on_ticks(message)
        elif isinstance(message, Ev):
            self._on_numbered(message.q, lambda: self._owner.on_event(message))
        elif isinstance(message, Res):
            self._on_result(message)
        elif isinstance(message, State):
            self._owner.on_state(message)
        elif isinstance(message, Bye):
            self._wire.gone(f"it said goodbye: {message.code} {message.detail}")
        elif not isinstance(message, Pong):
            raise FrameError("the handshake is over")

    def _on_result(self, result: Res) -> None:
        if result.tag:
            if result.q:
                self._on_numbered(result.q, lambda: self._owner.on_trade_result(result))
            else:
                self._owner.on_trade_result(result)
            return
        ask = self._asks.get(result.id)
        if ask is None or result.ep != self.epoch:
            return  # the answer to a question that nobody asks any more
        ask.parts.append(result)
        ask.size += 0 if result.r is UNSET else memoryview(result.r).nbytes
        if ask.size > limits.BRIDGE_ANSWER_BYTES:
            raise FrameError(f"an answer of more than {limits.BRIDGE_ANSWER_BYTES} bytes")
        if not result.more:
            del self._asks[result.id]
            ask.finish(ask.parts)

    def _on_numbered(self, q: int, book: Callable[[], "asyncio.Task[None] | None"]) -> None:
        """Book what has a number above all that was booked; what was there before changes nothing.

        Tasks begin in the order in which they were made, so that facts are decided in the
        terminal's order, and together share the journal's commits.
        """
        if q <= self.received_q:
            self._wire.send(Ack(q=q))
            return
        if len(self._booking) >= limits.BRIDGE_UNACKED_EVENTS:
            raise FrameError(f"more than {limits.BRIDGE_UNACKED_EVENTS} events without an ack")
        self.received_q = q
        task = book()
        if task is None:
            self._wire.send(Ack(q=q))
            return
        self._booking.append((q, task))
        task.add_done_callback(self._on_booked)

    def _on_booked(self, _: "asyncio.Task[None]") -> None:
        """Acknowledge what is durable now, as far as nothing before it is still open."""
        acked = 0
        while self._booking and self._booking[0][1].done():
            q, task = self._booking.popleft()
            if task.cancelled() or task.exception() is not None:
                self._is_damaged = True
                why = "events could not be made durable; tell them again"
                self.end("resync", why, limits.BRIDGE_BACKOFF_MS[1])
                return
            acked = q
        if acked and not self._is_damaged:
            self._acked_q = acked
            self._wire.send(Ack(q=acked))

    def _on_ticks(self, ticks: Tk) -> None:
        try:
            self._ticks.put_nowait((ticks, tuple(task for _, task in self._booking)))
        except asyncio.QueueFull:
            raise FrameError("more tick frames than were allowed") from None

    async def _show_ticks(self) -> None:
        while True:  # until the session is over
            ticks, before = await self._ticks.get()
            if before:
                await asyncio.wait(before)
            await self._owner.on_ticks(ticks)
            self._wire.send(Cr(n=1))


def _merged(parts: list[T]) -> T:
    """One answer from its parts: lists are joined, the rest is the last part's."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    lists = {
        name: tuple(item for part in parts for item in getattr(part, name))
        for name in last.__struct_fields__
        if isinstance(getattr(last, name), tuple)
    }
    return replace(last, **lists)
