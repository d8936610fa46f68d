"""FXB/1 bytes to messages and back; whatever the bytes, a message comes out or a FrameError."""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from fxsocket_server.core import limits
from fxsocket_server.fxb import messages
from fxsocket_server.fxb.bounds import check
from fxsocket_server.fxb.frames import FrameError, FrameReader, framed
from fxsocket_server.fxb.messages import ToGateway, ToTerminal
from fxsocket_server.model.facts import TradeRequest

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

_encode = msgspec.json.Encoder().encode
_OWN_TRADE_FIELDS = ("command_id", "deadline_ms")  # the server's own; `id` and `exp` stand for them


class _Head(Struct):
    t: str


_decode_head = msgspec.json.Decoder(_Head).decode


def pack(message: ToGateway | ToTerminal) -> bytes:
    """A message as it travels."""
    return framed(_encode(message))


def raw(value: object) -> Raw:
    """Arguments or a result, to stand in a message."""
    return Raw(_encode(value))


def unpack(value: Raw | UnsetType, into: type[S]) -> S:
    """Arguments or a result out of a message, in bounds; FrameError otherwise."""
    if value is UNSET:
        raise FrameError(f"a {into.__name__} is missing")
    result: S = _decoded(value, into)
    check(result)
    return result


def _decoded(body: bytes | Raw, into: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=into)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise FrameError(str(error)[:200]) from None
    except RecursionError:
        raise FrameError("nested too deep") from None


def trade_arguments(request: TradeRequest) -> Raw:
    """The arguments of `trade`: what is not as usual."""
    parts = {
        name: value
        for name, value in msgspec.to_builtins(request).items()
        if name not in _OWN_TRADE_FIELDS and value is not None
    }
    return raw(parts)


def trade_request(arguments: Raw | UnsetType, exp: int | None) -> TradeRequest:
    """The trade request that a terminal was sent; its tag stands for the command."""
    parts = _decoded(b"{}" if arguments is UNSET else arguments, dict[str, Any])
    own = {"command_id": parts.get("tag", ""), "deadline_ms": float(exp or 0)}
    try:
        request = msgspec.convert({**parts, **own}, TradeRequest)
    except msgspec.ValidationError as error:
        raise FrameError(str(error)[:200]) from None
    check(request)
    return request


class Decoder(Generic[T]):
    """Turns a connection's bytes into messages of one direction; counts kinds it does not know."""

    def __init__(self, kinds: Any, known: frozenset[str], limit_bytes: int) -> None:
        self.frames = FrameReader(limit_bytes)
        self.unknown = 0
        self._known = known
        self._decode = msgspec.json.Decoder(kinds).decode

    def feed(self, data: bytes) -> list[T]:
        """The messages that are whole now; FrameError ends the connection."""
        decoded = (self._message(body) for body in self.frames.feed(data))
        return [message for message in decoded if message is not None]

    def _message(self, body: bytes) -> T | None:
        try:
            message = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            if self._is_newer(body):
                self.unknown += 1
                return None
            raise FrameError(str(error)[:200]) from None
        except RecursionError:
            raise FrameError("nested too deep") from None
        check(message)
        return message  # type: ignore[no-any-return]

    def _is_newer(self, body: bytes) -> bool:
        """Whether this is a well-formed message of a kind that a later version may know."""
        try:
            return _decode_head(body).t not in self._known
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
            return False


def _tags(kinds: tuple[type[Struct], ...]) -> frozenset[str]:
    return frozenset(str(kind.__struct_config__.tag) for kind in kinds)


_TO_GATEWAY = _tags(messages.ToGateway.__args__)
_TO_TERMINAL = _tags(messages.ToTerminal.__args__)


def gateway_decoder(limit_bytes: int = limits.BRIDGE_FRAME_BYTES) -> Decoder[ToGateway]:
    """Reads what a terminal sends."""
    return Decoder(ToGateway, _TO_GATEWAY, limit_bytes)


def terminal_decoder() -> Decoder[ToTerminal]:
    """Reads what the server sends."""
    return Decoder(ToTerminal, _TO_TERMINAL, limits.BRIDGE_TERMINAL_FRAME_BYTES)
