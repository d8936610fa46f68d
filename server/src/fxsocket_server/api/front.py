"""The front of every request: id, surface, key, limits, body, and problems as answers.

A plain ASGI layer around the router: one pass, no framework middleware, so that an order pays for
it only once.
"""

import asyncio
from collections.abc import Generator
from http import HTTPStatus
from math import ceil
from typing import Generic, TypeVar

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fxsocket_server.api.addresses import client_address, peer_of
from fxsocket_server.api.context import Context
from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.views import problem_view
from fxsocket_server.security.keys import bearer
from fxsocket_server.security.rate_limit import RateLimiter, Verdict

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]

_STATUS_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
_STATUS_LINES = {s.value: b"HTTP/1.1 %d %s\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}
_POSITIONS = "/v1/positions/"
_BODY_METHODS = frozenset(("POST", "PUT", "PATCH", "DELETE"))


class Front:
    """ASGI app: admits a request to the API's router, or answers why not."""

    def __init__(self, router: ASGIApp, open_paths: frozenset[str], context: Context) -> None:
        self._router = router
        self._open_paths = open_paths
        self._context = context
        self._policies = {
            id(limiter): (b'"%s"' % name, b";q=%d;w=%d" % (limiter.burst, limiter.window_s))
            for name, limiter in (
                (b"requests", context.requests),
                (b"risk-reducing", context.risk_reducing),
                (b"without-key", context.strangers),
            )
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] != "http":
            await _refuse_other(scope, send)
            return
        request_id = self._context.ids.make("req_")
        headers: Headers = [(b"x-request-id", request_id.encode())]
        scope["fxs.request_id"] = request_id
        scope["fxs.context"] = self._context
        scope["fxs.headers"] = dict(scope["headers"])
        scope["app"] = self
        sent = _Sent(send, headers)
        try:
            self._admit(scope, headers)
            if scope["method"] in _BODY_METHODS:
                scope["fxs.body"] = await _body_in_time(receive)
            await self._router(scope, receive, sent)
        except Problem as problem:
            await self._answer(sent, problem, request_id, headers)
        except HTTPException as error:
            await self._answer(sent, _http_problem(error, scope), request_id, headers)
        # tidy: broad-except because a client must get a problem, never a torn connection
        except Exception as error:
            self._context.log("request failed", request_id=request_id, exc_info=error)
            if sent.started:
                raise
            await self._answer(sent, _unexpected(request_id), request_id, headers)

    # --- admission ---------------------------------------------------------------------------

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Authenticate, then count the request against its bucket."""
        if scope["path"] in self._open_paths:
            headers += self._limit_headers(self._context.requests, None)
            return
        _check_size(scope)
        authorization = scope["fxs.headers"].get(b"authorization")
        if authorization is None and b"x-api-key" in scope["fxs.headers"]:
            raise Problem(
                "unauthorized",
                "X-API-Key belongs to a surface that this server does not offer yet; "
                "send Authorization: Bearer YOUR_KEY",
            )
        try:
            header = None if authorization is None else authorization.decode("latin-1")
            principal = self._context.keyring.authenticate(bearer(header))
            if principal.ip_rules:
                principal.require_address(client_address(scope))
        except Problem:
            # A key at an address that it may not be used from is as good as none: whoever stole it
            # must not use up its owner's bucket.
            self._count_stranger(scope, headers)
            raise
        scope["fxs.principal"] = principal
        self._context.gateway.use.request(principal.user_id, principal.key_id)
        trust = scope.get("fxs.trust")
        if trust is not None:
            trust()
        self._count(self._limiter(scope), principal.key_id, headers)

    def _count_stranger(self, scope: Scope, headers: Headers) -> None:
        """Count a request without a valid key against its address; a flood is cut off."""
        address = client_address(scope)
        try:
            self._count(self._context.strangers, str(address or peer_of(scope)), headers)
        except Problem:
            headers.append((b"connection", b"close"))
            raise

    def _count(self, limiter: RateLimiter, whose: str, headers: Headers) -> None:
        verdict = limiter.take(whose, self._context.clock.monotonic_ms())
        headers += self._limit_headers(limiter, verdict)
        if not verdict.allowed:
            raise Problem(
                "rate_limited",
                f"more than {limiter.per_s:g} requests a second",
                retry_after_s=ceil(verdict.reset_s),
            )

    def _limiter(self, scope: Scope) -> RateLimiter:
        # Closing, cancelling and halting must get through when opening is throttled.
        context = self._context
        return context.risk_reducing if _reduces_risk(scope) else context.requests

    def _limit_headers(self, limiter: RateLimiter, verdict: Verdict | None) -> Headers:
        remaining = limiter.burst if verdict is None else verdict.remaining
        reset = 0 if verdict is None else ceil(verdict.full_s)
        left, wait = b"%d" % remaining, b"%d" % reset
        name, policy = self._policies[id(limiter)]
        return [
            (b"ratelimit-policy", name + policy),
            (b"ratelimit", name + b";r=" + left + b";t=" + wait),
            (b"x-ratelimit-limit", b"%d" % limiter.burst),
            (b"x-ratelimit-remaining", left),
            (b"x-ratelimit-reset", wait),
        ]

    # --- problems ----------------------------------------------------------------------------

    async def _answer(
        self, send: "_Sent", problem: Problem, request_id: str, headers: Headers
    ) -> None:
        if len(headers) == 1:
            headers += self._limit_headers(self._context.requests, None)
        own, body = _answer_of(problem, request_id)
        await send({"type": "http.response.start", "status": problem.kind.status, "headers": own})
        await send({"type": "http.response.body", "body": body})

    def raw_answer(self, problem: Problem) -> bytes:
        """A whole HTTP answer to what never became a request; the connection closes after it."""
        request_id = self._context.ids.make("req_")
        own, body = _answer_of(problem, request_id)
        headers = [
            *own,
            (b"x-request-id", request_id.encode()),
            *self._limit_headers(self._context.requests, None),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return _STATUS_LINES[problem.kind.status] + lines + b"\r\n" + body


def _answer_of(problem: Problem, request_id: str) -> tuple[Headers, bytes]:
    """Headers and body that tell of a problem."""
    body = encode(problem_view(problem, request_id))
    headers: Headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
    ]
    if problem.kind.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if isinstance(problem, _MethodProblem):
        headers.append((b"allow", problem.allow.encode()))
    return headers, body


class _Sent:
    """Adds the front's headers to the answer and remembers that it began."""

    __slots__ = ("_headers", "_send", "started")

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self._headers = headers
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message["headers"], *self._headers]
        await self._send(message)


class _MethodProblem(Problem):
    """405, with the methods that the path has."""

    def __init__(self, method: str, allow: str) -> None:
        super().__init__("method_not_allowed", f"{method} is not offered here; use {allow}")
        self.allow = allow


def _http_problem(error: HTTPException, scope: Scope) -> Problem:
    if error.status_code == 405:
        return _MethodProblem(scope["method"], (error.headers or {}).get("Allow", ""))
    path = scope["path"][:128]
    code = _STATUS_CODES.get(error.status_code, "bad_request")
    if code == "not_found":
        return Problem(code, f"no such path {path!r}; /docs lists them all")
    return Problem(code, str(error.detail))


def _unexpected(request_id: str) -> Problem:
    return Problem(
        "unavailable",
        f"the server failed on this request ({request_id}); if it was a trade command, send it "
        "again with the same key or look it up before you send another",
        retry_after_s=1,
    )


def _too_large() -> Problem:
    return Problem(
        "payload_too_large", f"a body may hold {limits.BODY_BYTES} bytes; send a smaller one"
    )


def _reduces_risk(scope: Scope) -> bool:
    """Whether a request can only close, cancel or halt."""
    path: str = scope["path"]
    if scope["method"] == "DELETE":
        return path.startswith((_POSITIONS, "/v1/orders/"))
    if scope["method"] != "POST":
        return False
    if path.startswith("/v1/accounts/"):
        return path.endswith("/halt")
    return path.startswith(_POSITIONS) and path.endswith(("/close-by", "/close-all"))


def _check_size(scope: Scope) -> None:
    if len(scope["headers"]) > limits.HEADER_COUNT:
        raise Problem("headers_too_large", f"a request may have {limits.HEADER_COUNT} headers")
    size = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value)
    if size > limits.HEADER_BYTES:
        raise Problem(
            "headers_too_large", f"path, query and headers may hold {limits.HEADER_BYTES} bytes"
        )


class _Started(Generic[T]):
    """An awaitable that ran up to its first wait; awaiting this goes on from there."""

    def __init__(self, waits_for: object, steps: Generator[object, None, T]) -> None:
        self._waits_for = waits_for
        self._steps = steps

    def __await__(self) -> Generator[object, None, T]:
        yield self._waits_for
        return (yield from self._steps)


async def _body_in_time(receive: Receive) -> bytes:
    """The body. One that came along with its headers, as most do, never costs a timer."""
    steps = _read_body(receive).__await__()
    try:
        waits_for = next(steps)
    except StopIteration as whole:
        return bytes(whole.value)
    try:
        async with asyncio.timeout(limits.BODY_READ_MS / 1000):
            return await _Started(waits_for, steps)
    except TimeoutError:
        raise Problem(
            "request_timeout", f"the body did not arrive within {limits.BODY_READ_MS} ms"
        ) from None


async def _read_body(receive: Receive) -> bytes:
    """A body; past the limit it is read and dropped so that the sender hears why."""
    parts, size = [], 0
    while True:  # bounded by BODY_DRAIN_BYTES and BODY_READ_MS
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("bad_request", "the connection ended before the body did")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= limits.BODY_BYTES:
            parts.append(chunk)
        if size > limits.BODY_DRAIN_BYTES or not message.get("more_body", False):
            break
    if size > limits.BODY_BYTES:
        raise _too_large()
    return b"".join(parts)


async def _refuse_other(scope: Scope, send: Send) -> None:
    """WebSockets have a port of their own; lifespan is handled outside."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "the stream has its port"})
