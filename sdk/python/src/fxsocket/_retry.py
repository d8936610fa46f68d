"""When to try again, decided without doing anything: no clock, no chance, no sleeping here."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from fxsocket import _policy
from fxsocket.errors import (
    ApiError,
    ConnectError,
    FxSocketError,
    ProtocolError,
    RequestTimeout,
    TransportError,
)

# 2**32 backoff steps are beyond any cap; without this bound a float would overflow one day.
_EXPONENT_MAX = 32
_NOT_REACHED = frozenset({401, 403, 425, 429, 503})


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waiting with jitter; `draw` in [0, 1) shortens a wait by up to `jitter`."""

    initial_s: float
    max_s: float
    jitter: float

    def delay_s(self, retry: int, draw: float) -> float:
        """Seconds to wait before retry number `retry`, counted from 0."""
        grown: float = self.initial_s * _policy.BACKOFF_FACTOR ** min(retry, _EXPONENT_MAX)
        return min(grown, self.max_s) * (1 - self.jitter * draw)


REQUEST_BACKOFF = Backoff(
    _policy.BACKOFF_INITIAL_MS / 1000, _policy.BACKOFF_MAX_MS / 1000, _policy.JITTER
)
STREAM_BACKOFF = Backoff(
    _policy.STREAM_BACKOFF_INITIAL_MS / 1000,
    _policy.STREAM_BACKOFF_MAX_MS / 1000,
    _policy.STREAM_JITTER,
)


class RetryBudget:
    """Tokens that retries cost and successes refill, so that a broken server is left in peace."""

    def __init__(self, capacity: int = _policy.RETRY_BUDGET_CAPACITY) -> None:
        self._capacity = capacity
        self._tokens = capacity
        self._lock = threading.Lock()

    def spend(self, error: FxSocketError) -> bool:
        """Pay for one retry after `error`; False when the budget is used up."""
        timed_out = isinstance(error, RequestTimeout)
        cost = _policy.RETRY_BUDGET_COST_TIMEOUT if timed_out else _policy.RETRY_BUDGET_COST
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def refill(self) -> None:
        """Count one success."""
        with self._lock:
            more = self._tokens + _policy.RETRY_BUDGET_REFILL_ON_SUCCESS
            self._tokens = min(more, self._capacity)


class Attempts:
    """The attempts of one call: how long each may take, and whether another one follows."""

    def __init__(
        self,
        *,
        max_retries: int,
        timeout: float,
        deadline: float,
        budget: RetryBudget,
        draw: Callable[[], float],
    ) -> None:
        self._max_retries = max_retries
        self._timeout = timeout
        self._deadline = deadline
        self._budget = budget
        self._draw = draw
        self._retries = 0
        self._maybe_executed = False

    def timeout_s(self, now: float) -> float:
        """Seconds that the next attempt may take; the total deadline wins."""
        return min(self._timeout, self._deadline - now)

    def failed(self, error: FxSocketError, now: float) -> float | None:
        """Note a failed attempt; gives the seconds to wait before the next one, None to give up."""
        self._maybe_executed |= may_have_executed(error)
        delay = self._delay_s(error)
        if delay is None or now + delay >= self._deadline or not self._budget.spend(error):
            error.maybe_executed = self._maybe_executed and not is_final_word(error)
            return None
        self._retries += 1
        return delay

    def _delay_s(self, error: FxSocketError) -> float | None:
        if self._retries >= self._max_retries or not is_transient(error):
            return None
        asked = error.retry_after if isinstance(error, ApiError) else None
        if asked:
            # Waiting less than asked would only be refused again, so a longer wish ends the call.
            return asked if asked <= _policy.RETRY_AFTER_MAX_MS / 1000 else None
        return REQUEST_BACKOFF.delay_s(self._retries, self._draw())


def is_transient(error: FxSocketError) -> bool:
    """Whether the same request, with the same key, may succeed a moment later."""
    if isinstance(error, ApiError):
        if error.problem.should_retry is not None:
            return error.problem.should_retry
        return error.status in _policy.RETRY_STATUS or _in_flight(error)
    return isinstance(error, TransportError) and not isinstance(error, ProtocolError)


def may_have_executed(error: FxSocketError) -> bool:
    """Whether a trade command that ended so may have been carried out all the same."""
    if isinstance(error, ApiError):
        lost = error.status == 408 or error.status >= 500
        return _in_flight(error) or (lost and error.status not in _NOT_REACHED)
    return isinstance(error, TransportError) and not isinstance(error, ConnectError)


def is_final_word(error: FxSocketError) -> bool:
    """Whether the server looked the key up and refused: then no earlier attempt was executed."""
    if not isinstance(error, ApiError) or may_have_executed(error):
        return False
    return 400 <= error.status < 500 and error.status not in _NOT_REACHED


def _in_flight(error: ApiError) -> bool:
    return error.status == 409 and error.code in _policy.RETRY_409_CODES
