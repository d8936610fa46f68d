"""Every call's way to the server and back: one key, retries, one deadline, typed errors."""

from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from fxsocket._async.transport import Answer, AsyncTransport
from fxsocket._call import Call, query_text
from fxsocket._config import Config
from fxsocket._problem import read_problem
from fxsocket._retry import Attempts, RetryBudget
from fxsocket._runtime import AsyncSleep, Clock, Draw, NewId
from fxsocket.errors import FxSocketError, ProtocolError, api_error

T = TypeVar("T")


@dataclass(frozen=True)
class AsyncRequester:
    """Sends calls; clock, sleeping, chance and ids are handed in, so that tests own them."""

    config: Config
    transport: AsyncTransport
    budget: RetryBudget
    sleep: AsyncSleep
    clock: Clock
    draw: Draw
    new_id: NewId

    def deadline(self) -> float:
        """The clock's reading at which a call that starts now must have ended."""
        return self.clock() + self.config.total_timeout

    async def send(self, call: Call[T]) -> T:
        """Send a call until it is answered, given up or out of time.

        Raises ApiError or TransportError; `maybe_executed` and `idempotency_key` are set on it.
        """
        call = self.with_key(call)
        attempts = self._attempts(call)
        # bounded by `attempts`, which counts them and knows the deadline
        while True:
            try:
                return await self._attempt(call, attempts.timeout_s(self.clock()))
            except FxSocketError as error:
                delay = attempts.failed(error, self.clock())
                if delay is None:
                    error.idempotency_key = call.idempotency_key
                    error.maybe_executed &= call.is_command
                    raise
            await self.sleep(delay)

    def with_key(self, call: Call[T]) -> Call[T]:
        """The same call under a key of its own, where it changes something and has none."""
        if not call.is_command or call.idempotency_key is not None:
            return call
        return replace(call, idempotency_key=self.new_id())

    def _attempts(self, call: Call[T]) -> Attempts:
        deadline = call.deadline if call.deadline is not None else self.deadline()
        return Attempts(
            max_retries=0 if call.once else self.config.max_retries,
            timeout=self.config.timeout + call.extra_wait_s,
            deadline=deadline + call.extra_wait_s,
            budget=self.budget,
            draw=self.draw,
        )

    async def _attempt(self, call: Call[T], timeout_s: float) -> T:
        answer = await self.transport.send(
            call.method,
            call.path,
            params={name: query_text(value) for name, value in (call.params or {}).items()},
            headers=self._headers(call, timeout_s),
            content=None if call.body is None else msgspec.json.encode(call.body),
            timeout_s=timeout_s,
        )
        if not 200 <= answer.status < 300:
            body = self.config.key.redact(answer.body)
            raise api_error(read_problem(answer.status, answer.headers, body))
        self.budget.refill()
        return _decode(call, answer)

    def _headers(self, call: Call[T], timeout_s: float) -> dict[str, str]:
        headers = {"X-Request-Timeout-Ms": str(max(1, int(timeout_s * 1000)))}
        if self.config.account_id is not None:
            headers["X-Account-Id"] = self.config.account_id
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return headers


def _decode(call: Call[T], answer: Answer) -> T:
    try:
        return call.decode(answer.body)
    except msgspec.MsgspecError as error:
        request_id = answer.headers.get("x-request-id")
        raise ProtocolError(
            f"{call.method} {call.path}: the answer is not what this SDK knows: {error} "
            f"(request {request_id}); is the server newer or older than the SDK?"
        ) from error
