"""Every error that the SDK raises, as one tree.

```
FxSocketError
├── ConfigError                    wrong settings or arguments; nothing was sent
├── TransportError                 no answer to be had
│   ├── ConnectError               no connection; nothing was sent
│   ├── RequestTimeout             no answer in time
│   ├── ConnectionLost             the connection broke while waiting for the answer
│   └── ProtocolError              an answer came that is not what the API promises
├── ApiError                       status, code, detail, request_id, retryable, retry_after, errors
│   ├── AuthError            401
│   ├── ForbiddenError       403
│   ├── NotFoundError        404
│   ├── ConflictError        409
│   ├── ValidationError      422   errors[] point at the fields
│   │   └── OrderRejected          the broker said no: retcode, retcode_name, order
│   ├── RateLimitError       429   limit, remaining, reset
│   └── ServerError          5xx
├── OrderOutcomeUnknown            client_order_id, resolve()
└── StreamError                    code, reason, reconnectable
```

`maybe_executed` is True on an error after which a trade command may have been carried out all the
same. Repeat such a command only with the error's `idempotency_key`.
"""

from collections.abc import Callable
from typing import Any

from fxsocket._problem import FieldError, Problem
from fxsocket.models import Order, lenient

__all__ = [
    "ApiError",
    "AuthError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectionLost",
    "FieldError",
    "ForbiddenError",
    "FxSocketError",
    "NotFoundError",
    "OrderOutcomeUnknown",
    "OrderRejected",
    "Problem",
    "ProtocolError",
    "RateLimitError",
    "RequestTimeout",
    "ServerError",
    "StreamError",
    "TransportError",
    "ValidationError",
    "api_error",
]


class FxSocketError(Exception):
    """Base of every error of this SDK."""

    maybe_executed: bool = False
    idempotency_key: str | None = None


class ConfigError(FxSocketError):
    """A setting or an argument is wrong; nothing was sent."""


class TransportError(FxSocketError):
    """The server could not be reached or its answer did not arrive."""


class ConnectError(TransportError):
    """No connection came about, so nothing was sent."""


class RequestTimeout(TransportError):
    """The answer did not come in time; the request may have been carried out."""


class ConnectionLost(TransportError):
    """The connection broke before the answer; the request may have been carried out."""


class ProtocolError(TransportError):
    """An answer came that this SDK cannot read."""


class ApiError(FxSocketError):
    """The server answered with an error; the message names what is wrong and how to fix it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return self.problem.status

    @property
    def code(self) -> str:
        """Machine-readable name of what is wrong, such as `invalid_volume`."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """What is wrong and how to fix it, for people."""
        return self.problem.detail

    @property
    def request_id(self) -> str | None:
        """Id under which the server's logs know this request."""
        return self.problem.request_id

    @property
    def retryable(self) -> bool:
        """Whether the server says that the same request may succeed later."""
        return self.problem.retryable

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait before the next try."""
        return self.problem.retry_after_s

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """The fields at fault, as JSON pointers with a message each."""
        return self.problem.errors

    @property
    def raw(self) -> dict[str, Any]:
        """The whole problem document as it came."""
        return self.problem.raw

    def __str__(self) -> str:
        return str(self.problem)


class AuthError(ApiError):
    """401: the API key is missing, unknown, revoked or expired."""

    def __str__(self) -> str:
        return f"{self.problem}; check api_key or FXSOCKET_API_KEY"


class ForbiddenError(ApiError):
    """403: the key's scope, IP rules or limits do not allow this."""


class NotFoundError(ApiError):
    """404: no such thing, or not one that this key may see."""


class ConflictError(ApiError):
    """409: the request collides with one that is still running, or with what exists."""


class ValidationError(ApiError):
    """422: a field or a trading parameter is wrong; `errors` points at it."""


class OrderRejected(ValidationError):
    """The broker refused the order: not a bug, and not to be repeated as it is."""

    @property
    def retcode(self) -> int:
        """MetaTrader's return code, such as 10019."""
        return self.problem.retcode or 0

    @property
    def retcode_name(self) -> str | None:
        """MetaTrader's name of the code, such as `NO_MONEY`."""
        return self.problem.retcode_name

    @property
    def order(self) -> Order | None:
        """The order as it was journalled, when the server sent it along."""
        return lenient(Order, self.problem.raw.get("order"))


class RateLimitError(ApiError):
    """429: too many requests; wait `retry_after` seconds."""

    @property
    def limit(self) -> int | None:
        """Requests allowed in the current window."""
        return self.problem.limit

    @property
    def remaining(self) -> int | None:
        """Requests left in the current window."""
        return self.problem.remaining

    @property
    def reset(self) -> float | None:
        """Seconds until the window starts anew, as `X-RateLimit-Reset` says."""
        return self.problem.reset


class ServerError(ApiError):
    """5xx: the server, or a proxy before it, failed."""


class OrderOutcomeUnknown(FxSocketError):
    """The order may or may not have been placed; do not send it again under another id.

    `resolve()` asks the server by `client_order_id`; repeating `orders.create` with the same
    `client_order_id` is safe too.
    """

    maybe_executed = True

    def __init__(self, client_order_id: str, lookup: Callable[[float], Any] | None = None) -> None:
        super().__init__(client_order_id)
        self.client_order_id = client_order_id
        self.idempotency_key = client_order_id
        self._lookup = lookup

    def resolve(self, timeout: float = 30.0) -> Any:
        """Ask for the order until it is found or `timeout` seconds have passed.

        Gives the Order (from AsyncFxSocketClient: something to await) or raises
        OrderOutcomeUnknown again.
        """
        if self._lookup is None:
            raise ConfigError(
                f"this error has no client; use orders.get_by_client_id({self.client_order_id!r})"
            )
        return self._lookup(timeout)

    def __str__(self) -> str:
        return (
            f"no answer says whether order {self.client_order_id!r} was placed; call resolve(), "
            "or create it again with the same client_order_id"
        )


class StreamError(FxSocketError):
    """The stream ended: `code` is the WebSocket close code or the HTTP status of the upgrade."""

    def __init__(self, code: int, reason: str, reconnectable: bool = False) -> None:
        super().__init__(code, reason, reconnectable)
        self.code = code
        self.reason = reason
        self.reconnectable = reconnectable

    def __str__(self) -> str:
        return f"stream closed with {self.code}: {self.reason}"


_BY_STATUS: dict[int, type[ApiError]] = {
    401: AuthError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}


def api_error(problem: Problem) -> ApiError:
    """Choose the class for a problem: by retcode first, then by status."""
    if problem.retcode is not None:
        return OrderRejected(problem)
    if problem.status >= 500:
        return ServerError(problem)
    return _BY_STATUS.get(problem.status, ApiError)(problem)
