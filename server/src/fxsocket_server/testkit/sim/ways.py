"""How a simulated bot reaches the server: over HTTP, or by the actions of the stream."""

import asyncio
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from fxsocket_server.testkit.http_client import HttpConnection, Reply
from fxsocket_server.testkit.loop import SimLoop
from fxsocket_server.testkit.sim.deeds import Deed
from fxsocket_server.testkit.sim.parts import HOST, PORT, SECRET, STREAM_PATH, STREAM_PORT
from fxsocket_server.testkit.ws_client import WebSocket

BEARER = f"Bearer {SECRET}"


class Way(Protocol):
    """A way to the server."""

    async def send(self, deed: Deed) -> Reply:
        """Send a command and wait for its answer; raises ConnectionError."""
        ...

    def part(self) -> None:
        """Close the connection, if there is one: its answers have been read."""
        ...

    def hang_up(self) -> None:
        """Drop the connection, if there is one."""
        ...


class OverHttp:
    """One connection at a time, kept while it lasts."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._connection: HttpConnection | None = None

    async def send(self, deed: Deed) -> Reply:
        """Send a command and wait for its answer; raises ConnectionError."""
        if self._connection is None or not self._connection.is_open:
            _, connection = await self._loop.create_connection(HttpConnection, HOST, PORT)
            assert isinstance(connection, HttpConnection)
            self._connection = connection
        headers = {"authorization": BEARER, "x-account-id": deed.account_id}
        if deed.key is not None:
            headers["idempotency-key"] = deed.key
        if deed.body is not None:
            headers["content-type"] = "application/json"
        body = b"" if deed.body is None else msgspec.json.encode(deed.body)
        return await self._connection.request(deed.method, deed.path, headers, body)

    def part(self) -> None:
        """Close the connection, if there is one: its answers have been read."""
        self.hang_up()

    def hang_up(self) -> None:
        """Drop the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Head(Struct):
    """What tells a frame of the stream."""

    type: str
    id: str | int | None = None
    replayed: bool = False
    status: int = 200


class OverStream:
    """Every command goes over a stream of the bot's own."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._stream: WebSocket | None = None
        self._awaited: tuple[str, asyncio.Future[Reply]] | None = None

    async def send(self, deed: Deed) -> Reply:
        """Send a command and wait for its answer; raises ConnectionError."""
        stream = await self._open()
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._awaited = (deed.label, answer)
        stream.send(msgspec.json.encode(_frame_of(deed)))
        await asyncio.wait((answer, stream.ended), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionError("the stream ended")
        return answer.result()

    async def _open(self) -> WebSocket:
        if self._stream is None or not self._stream.is_open:
            self._stream = await connect(self._loop, self._on_text)
        return self._stream

    def _on_text(self, text: bytes) -> None:
        head = msgspec.json.decode(text, type=_Head)
        if self._awaited is None or head.type not in ("result", "error"):
            return
        label, answer = self._awaited
        if head.id == label and not answer.done():
            answer.set_result(_reply_of(head, text))

    def part(self) -> None:
        """Close the connection as one does who has read all that concerns him.

        Dropping it while frames are on their way would reset it, and nobody could tell whether the
        answer before them was read.
        """
        if self._stream is not None:
            self._stream.leave()
            self._stream = None

    def hang_up(self) -> None:
        """Drop the connection, if there is one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


async def connect(loop: SimLoop, on_text: Any) -> WebSocket:
    """A stream of the one key; raises ConnectionError."""
    headers = {"Authorization": BEARER}
    _, stream = await loop.create_connection(
        lambda: WebSocket(STREAM_PATH, headers, on_text), HOST, STREAM_PORT
    )
    assert isinstance(stream, WebSocket)
    return stream


def _frame_of(deed: Deed) -> dict[str, Any]:
    """The frame that asks for the same as a request over HTTP."""
    frame = {"id": deed.label, "account_id": deed.account_id, **_asked(deed)}
    return frame if deed.key is None else {**frame, "idempotency_key": deed.key}


def _asked(deed: Deed) -> dict[str, Any]:
    path, _, query = deed.path.removeprefix("/v1/").partition("?")
    kind, _, rest = path.partition("/")
    subject_id, _, verb = rest.partition("/")
    family, body = kind.removesuffix("s"), deed.body or {}
    if deed.path == "/v1/orders":
        return {"action": "order.place", "order": body}
    if rest in ("batch", "close-all"):
        return {"action": f"{family}.{rest.replace('-', '_')}", **body}
    of_subject = {f"{family}_id": subject_id}
    if verb:
        by = {"by": body["position_id"]} if verb == "close-by" else {}
        return {"action": f"{family}.{verb.replace('-', '_')}", **of_subject, **by}
    if deed.method == "PATCH":
        return {"action": f"{family}.modify", **of_subject, "patch": body}
    action = "order.cancel" if family == "order" else "position.close"
    volume = {"volume": float(query.removeprefix("volume="))} if query else {}
    return {"action": action, **of_subject, **volume}


def _reply_of(head: _Head, text: bytes) -> Reply:
    """A frame as the answer that HTTP would give."""
    headers = {"idempotency-replayed": "true"} if head.replayed else {}
    if head.type == "error":
        return Reply(head.status, headers, text)
    members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    (body,) = [value for name, value in members.items() if name not in _Head.__struct_fields__]
    return Reply(head.status, headers, bytes(body))
