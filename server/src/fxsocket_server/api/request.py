"""What every endpoint needs of a request: who asks, for which account, with which parameters."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.addresses import client_address
from fxsocket_server.api.context import Context
from fxsocket_server.core import limits
from fxsocket_server.core.codec import convert, decode_object, encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.delivery import Delivery
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Sender
from fxsocket_server.gateway.keys.records import Records
from fxsocket_server.gateway.keys.service import Actor, Keys
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.trades import TRADES, CloseRequest
from fxsocket_server.security.principal import Principal

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_JSON = b"application/json"
_REPLAYED = (b"idempotency-replayed", b"true")
_INFERRED = (b"idempotency-replayed", b"inferred")


def context_of(request: Request) -> Context:
    """The parts of the server that endpoints use."""
    context: Context = request.scope["fxs.context"]
    return context


def principal_of(request: Request) -> Principal:
    """Who asks."""
    principal: Principal = request.scope["fxs.principal"]
    return principal


def actor_of(request: Request) -> Actor:
    """Who asks, as the audit log remembers it."""
    principal, address = principal_of(request), client_address(request.scope)
    return Actor(
        user_id=principal.user_id,
        key_id=principal.key_id,
        address=None if address is None else str(address),
        request_id=request.scope["fxs.request_id"],
    )


def keys_of(request: Request) -> Keys:
    """Who makes and changes keys."""
    return _kept(context_of(request).keys)


def records_of(request: Request) -> Records:
    """The audit log and the usage of keys."""
    return _kept(context_of(request).records)


def _kept(part: T | None) -> T:
    if part is None:
        raise Problem("unavailable", "this server keeps no keys", retry_after_s=1)
    return part


async def note(
    request: Request, action: str, target: str, account_id: str | None = None, **details: object
) -> None:
    """Add to the audit log what a request has done; it is done, whatever becomes of the entry."""
    context = context_of(request)
    if context.records is None:
        return
    try:
        await context.records.note(actor_of(request), action, target, account_id, details)
    # tidy: broad-except because a halt on a full disk must not look as if it had failed
    except Exception as error:
        context.log("an entry of the audit log is lost", action=action, exc_info=error)


def header_of(request: Request, name: bytes) -> str | None:
    """A header by its lower-case name; of a repeated one the last."""
    value: bytes | None = request.scope["fxs.headers"].get(name)
    return None if value is None else value.decode("latin-1")


def _account_id(request: Request) -> str | None:
    header = header_of(request, b"x-account-id")
    if header == "":
        raise Problem("validation_error", "X-Account-Id is empty; name an account, or leave it out")
    parameter = text_parameter(request, "account_id")
    if header and parameter and header != parameter:
        raise Problem(
            "validation_error",
            "X-Account-Id and ?account_id= name different accounts; send one",
            pointer="?account_id",
        )
    return header or parameter


def lane_of(request: Request) -> Lane:
    """The lane of the account that the request means."""
    return context_of(request).gateway.lane(principal_of(request), _account_id(request))


def account_of(request: Request) -> LinkedAccount:
    """The account that the request means, connected or not."""
    return context_of(request).gateway.choose(principal_of(request), _account_id(request))


def body_of(request: Request, into: type[T]) -> T:
    """The JSON body as a Struct; raises 400, 413, 415 or 422."""
    return convert(object_of(request), into)


def object_of(request: Request) -> dict[str, Any]:
    """The JSON body as it came; raises 400, 413, 415 or 422."""
    kind = (header_of(request, b"content-type") or "").partition(";")[0].strip()
    if kind.lower() not in ("application/json", ""):
        raise Problem("unsupported_media_type", f"send application/json, not {kind[:64]}")
    return decode_object(request.scope["fxs.body"])


def optional_body_of(request: Request, into: type[T]) -> T:
    """The same of a body that may be left out, which is as good as `{}`."""
    if not request.scope["fxs.body"]:
        return convert({}, into)
    return body_of(request, into)


def sender_of(request: Request) -> Sender:
    """Key, patience and id of a trade command, and the way back to who sent it."""
    timeout = header_of(request, b"x-request-timeout-ms")
    delivery: Delivery = request.scope["fxs.delivery"]
    return Sender(
        api_key_id=principal_of(request).key_id,
        delivery=delivery,
        request_id=request.scope["fxs.request_id"],
        key=header_of(request, b"idempotency-key"),
        timeout_ms=None if timeout is None else whole_number("X-Request-Timeout-Ms", timeout, 1),
    )


async def run_trade(
    request: Request, name: str, read: Callable[[Request], Struct] | None = None
) -> Response:
    """Run a trade command; its body is the request's, or what `read` makes of the request."""
    trade, lane = TRADES[name], lane_of(request)
    body = body_of(request, trade.body) if read is None else read(request)
    subject_id = request.path_params.get("id", "")
    gateway = context_of(request).gateway
    return answer_response(await trade.run(gateway, lane, subject_id, body, sender_of(request)))


def close_of(request: Request) -> CloseRequest:
    """`?volume=` and `?deviation=` of what cancels or closes."""
    return CloseRequest(
        volume=number_parameter(request, "volume"),
        deviation=integer_parameter(request, "deviation"),
    )


def number_of(name: str, text: str) -> float:
    """A finite number of a header or query string; raises `validation_error`."""
    try:
        value = msgspec.convert(text, float, strict=False)
    except msgspec.ValidationError:
        value = float("nan")
    if not -1e18 < value < 1e18:
        raise Problem("validation_error", f"{name} must be a number", pointer=name)
    return value


def text_parameter(request: Request, name: str, most: int = limits.PARAMETER_CHARS) -> str | None:
    """A query parameter of so many characters, None when absent; raises `validation_error`."""
    if not request.scope["query_string"]:
        return None
    text = request.query_params.get(name)
    if text is not None and len(text) > most:
        raise Problem("validation_error", f"{name} may have {most} characters", pointer="?" + name)
    return text


def symbol_filter(request: Request) -> str | None:
    """The symbol that a list is narrowed to; it need not be one of today's."""
    return text_parameter(request, "symbol", limits.SYMBOL_CHARS)


def integer_parameter(request: Request, name: str) -> int | None:
    """A whole number of the query string, 0 or more; raises `validation_error`."""
    text = text_parameter(request, name)
    return None if text is None else whole_number("?" + name, text)


def whole_number(name: str, text: str, least: int = 0) -> int:
    """A whole number of 64 bits in a header or query string; raises `validation_error`."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 19
    if not is_number or not least <= int(text) <= limits.MAGIC_MAX:
        what = f"{name.removeprefix('?')} must be a whole number from {least} to {limits.MAGIC_MAX}"
        raise Problem("validation_error", what, pointer=name)
    return int(text)


def required(request: Request, name: str) -> str:
    """A query parameter that must be there; raises `validation_error`."""
    text = text_parameter(request, name)
    if text is None:
        raise Problem("validation_error", f"{name} is missing", pointer="?" + name)
    return text


def choice_parameter(request: Request, name: str, choices: tuple[E, ...]) -> E:
    """A query parameter that names one of several words; raises `validation_error`."""
    text = required(request, name)
    for choice in choices:
        if choice == text:
            return choice
    raise Problem(
        "validation_error",
        f"{name} {text[:32]!r} is not one of {' '.join(choices)}",
        pointer="?" + name,
    )


def number_parameter(request: Request, name: str) -> float | None:
    """A number of the query string; raises `validation_error`."""
    text = text_parameter(request, name)
    return None if text is None else number_of("?" + name, text)


class Reply(Response):
    """An answer whose body is bytes already: no charset, cookies or header objects to work out."""

    def __init__(
        self, body: bytes, status: int = 200, kind: bytes = _JSON, *more: tuple[bytes, bytes]
    ) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        length = b"%d" % len(body)
        self.raw_headers = [(b"content-type", kind), (b"content-length", length), *more]


def json_response(value: object) -> Response:
    """A 200 with a JSON body."""
    return Reply(encode(value))


def raw_response(body: bytes) -> Response:
    """A 200 whose body is JSON already."""
    return Reply(body)


def answer_response(answer: Answer) -> Response:
    """What a trade command is answered; refusals are problems."""
    kind = _JSON if answer.status < 400 else b"application/problem+json"
    more = ((_INFERRED if answer.inferred else _REPLAYED),) if answer.replayed else ()
    return Reply(answer.body, answer.status, kind, *more)
