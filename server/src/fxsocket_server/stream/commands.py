"""Trade commands over the socket: bounded, answered out of order by `id`, never cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from structlog.typing import FilteringBoundLogger

from fxsocket_server.channels.frames import FrameId
from fxsocket_server.core.codec import convert
from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.gateway import Sender
from fxsocket_server.gateway.trades import TRADES
from fxsocket_server.stream.accounts import live_account
from fxsocket_server.stream.backend import Backend, Command
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.replies import answer_frame, problem_frame
from fxsocket_server.stream.trade_requests import TRADE_FRAMES


class Commands:
    """Runs the trade commands of all connections."""

    def __init__(
        self,
        backend: Backend,
        logger: FilteringBoundLogger,
        bounds: StreamBounds,
    ) -> None:
        self._backend = backend
        self._log = logger
        self._bounds = bounds
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, connection: Connection, frame: dict[str, Any]) -> None:
        """Begin a trade command: its outcome follows as `result`, a refusal as `error`."""
        asked = convert(frame, TRADE_FRAMES[frame["action"]])
        self._admit(connection)
        seen = live_account(self._backend, connection.identity, asked.account_id)
        body = convert(asked.body(), TRADES[asked.action].body)
        sender = Sender(
            request_id=self._backend.new_request_id(),
            key=asked.idempotency_key,
            timeout_ms=asked.timeout_ms,
            api_key_id=connection.identity.key_id,
            delivery=Delivery(),
        )
        command = Command(
            name=asked.action,
            account_id=seen.account.id,
            subject_id=asked.subject_id,
            body=body,
            sender=sender,
        )
        connection.pending_commands += 1
        self._spawn(self._run(connection, asked.id, command))

    def _admit(self, connection: Connection) -> None:
        if connection.pending_commands >= self._bounds.pending_commands:
            raise Problem(
                "rate_limited",
                f"{connection.pending_commands} commands of this connection are under way; "
                "wait for their answers",
                retry_after_s=1,
            )

    def _spawn(self, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: Connection, frame_id: FrameId, command: Command) -> None:
        request_id, delivery = command.sender.request_id, command.sender.delivery
        assert delivery is not None
        connection.unanswered.add(delivery)
        try:
            answer = await self._backend.run(connection.identity, command)
            frame = answer_frame(command.name, answer, frame_id)
        except Problem as problem:
            frame = problem_frame(_in_a_frame(problem), frame_id, request_id)
        # tidy: broad-except because the client must hear of a failure that nobody foresaw
        except Exception as error:
            self._log.error("stream command failed", request_id=request_id, exc_info=error)
            frame = problem_frame(_unexpected(request_id), frame_id, request_id)
        finally:
            connection.pending_commands -= 1
        connection.answer(frame, delivery)

    async def finish(self, timeout_ms: float) -> None:
        """Wait for the commands under way; none is cancelled, for it may be half done."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_ms / 1000)


def _in_a_frame(problem: Problem) -> Problem:
    """A problem whose field is a query parameter over REST: on the socket it is a member."""
    problem.errors = tuple(
        FieldError("/" + error.pointer[1:], error.message)
        if error.pointer.startswith("?")
        else error
        for error in problem.errors
    )
    return problem


def _unexpected(request_id: str) -> Problem:
    return Problem(
        "unavailable",
        f"the server failed on this command ({request_id}); look the order up before you send "
        "another, or send it again with the same key",
        retry_after_s=1,
    )
