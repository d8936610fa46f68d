"""Keeps a stream connected: connect, resubscribe, read, and again after a drop, for ever.

```
connecting -> live -> dropped -> waiting -> connecting ...
           -> ended (close code 4500 and above, or an upgrade refused for good)
```
"""

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)

from fxsocket import _policy
from fxsocket._config import Config
from fxsocket._problem import retry_after_s
from fxsocket._retry import STREAM_BACKOFF
from fxsocket._runtime import AsyncSleep, Draw
from fxsocket._stream.inbox import Arrived, Inbox
from fxsocket._stream.link import Link, open_socket
from fxsocket._stream.session import Session
from fxsocket.errors import ConnectError, ConnectionLost, StreamError
from fxsocket.events import (
    Reconnected,
    StreamErrorEvent,
    StreamEvent,
    Unknown,
    read_event,
    read_object,
)

_log = logging.getLogger("fxsocket.stream")

# While someone waits for an answer, the reader may hold this many times the inbox's limit.
_WAITING_TIMES = 16
_FATAL_CLOSE_CODE = 4500
_EVENT_BYTES = 100  # what an event of our own counts in the inbox


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence after which a ping goes out, its pong is late, the server is dead.

    A live server sends heartbeats, so one that only answers pings is dead as well.
    """

    ping_s: float = _policy.STREAM_PING_MS / 1000
    pong_s: float = _policy.STREAM_PONG_MS / 1000
    dead_after_s: float = _policy.STREAM_DEAD_AFTER_MS / 1000


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a connection ended; `wait_s` is what the server asked for."""

    reason: str
    wait_s: float = 0.0


class Supervisor:
    """Runs in one task; hands events to the inbox and the live link to who wants to send."""

    def __init__(
        self,
        config: Config,
        session: Session,
        inbox: Inbox,
        *,
        sleep: AsyncSleep,
        draw: Draw,
        patience: Patience,
    ) -> None:
        self._config = config
        self._session = session
        self._inbox = inbox
        self._sleep = sleep
        self._draw = draw
        self._patience = patience
        self.connections = 0
        self.last_drop: str | None = None
        self._broken_by: str | None = None  # what ended the last connection that there was
        self._failures = 0
        self._live = asyncio.Event()
        self.link: Link | None = None

    async def run(self) -> None:
        """Stay connected until cancelled; whatever ends the stream reaches the consumer."""
        try:
            # until cancelled, or until the server says that coming back is useless
            while True:
                drop = await self._connect_once()
                self.last_drop = drop.reason
                self._broken_by = self._broken_by or drop.reason
                delay = self._delay_s(drop)
                _log.warning("stream dropped (%s); connecting again in %.1f s", drop.reason, delay)
                await self._sleep(delay)
        # tidy: broad-except because the consumer is to see it, whatever it is
        except Exception as error:
            self._inbox.fail(error)
        finally:
            self._live.set()  # who waits for a connection must learn that none will come

    async def live_link(self) -> Link:
        """Wait for a connection; raises ConnectError when the stream has ended."""
        while self.link is None:
            if self._live.is_set():
                raise ConnectError("the stream has ended, nothing was sent")
            await self._live.wait()
        return self.link

    async def _connect_once(self) -> Drop:
        try:
            async with open_socket(self._config) as socket:
                return await self._serve(socket)
        except InvalidStatus as error:
            return _refused(error)
        except ConnectionClosed as error:
            return _closed(error)
        except ConnectionLost as error:
            return _closed(error.__cause__)
        except InvalidHandshake as error:
            return _not_a_stream(error)
        except ssl.SSLCertVerificationError as error:
            raise StreamError(1015, f"the server's certificate is not trusted: {error}") from error
        except (OSError, TimeoutError, EOFError, WebSocketException) as error:
            return Drop(str(error) or type(error).__name__)

    async def _serve(self, socket: ClientConnection) -> Drop:
        self.connections += 1
        link = Link(socket, self.connections)
        try:
            # Live before the frames are sent: what is subscribed meanwhile goes out by itself.
            self.link = link
            self._live.set()
            self._tell_of_reconnect(link)
            with contextlib.suppress(ConnectionLost):  # reading tells why, after what came before
                for frame in self._session.greeting():
                    await link.send(frame)
            return await self._read(link)
        except asyncio.CancelledError:
            await link.close()
            raise
        finally:
            self.link = None
            self._live.clear()
            link.lost()

    def _tell_of_reconnect(self, link: Link) -> None:
        """Prices of the meantime are lost, and nothing else would say so."""
        if link.number > 1:
            event = Reconnected(connection=link.number, reason=self._broken_by or "")
            self._inbox.put(Arrived(event, _EVENT_BYTES, link.number))
        self._broken_by = None

    async def _read(self, link: Link) -> Drop:
        try:
            # until the connection ends
            while True:
                frame = await self._hear(link)
                self._failures = 0
                self._sort(link, frame)
                await self._wait_for_room(link)
        except TimeoutError:
            link.abort()
            return Drop("the server fell silent")

    async def _hear(self, link: Link) -> bytes:
        """The next frame; raises TimeoutError when the server is dead."""
        clock = asyncio.get_running_loop().time
        dead_at = clock() + self._patience.dead_after_s
        while (left_s := dead_at - clock()) > 0:
            try:
                async with asyncio.timeout(min(self._patience.ping_s, left_s)):
                    return await link.receive()
            except TimeoutError:
                async with asyncio.timeout(self._patience.pong_s):
                    await link.ping()
        raise TimeoutError

    def _sort(self, link: Link, frame: bytes) -> None:
        event = read_event(frame)
        if link.is_waiting and _is_answer(link, event, frame):
            return
        for admitted in self._session.admit(event):
            self._inbox.put(Arrived(admitted, len(frame), link.number))

    async def _wait_for_room(self, link: Link) -> None:
        while self._inbox.is_full(_WAITING_TIMES if link.is_waiting else 1):
            await self._inbox.room()

    def _delay_s(self, drop: Drop) -> float:
        delay = STREAM_BACKOFF.delay_s(self._failures, self._draw())
        self._failures += 1
        return max(delay, min(drop.wait_s, _policy.RETRY_AFTER_MAX_MS / 1000))


def _is_answer(link: Link, event: StreamEvent, frame: bytes) -> bool:
    if isinstance(event, StreamErrorEvent):
        return link.answer(event.id, read_object(frame))
    return isinstance(event, Unknown) and link.answer(_id(event.raw), event.raw)


def _id(raw: dict[str, Any]) -> str | None:
    value = raw.get("id")
    return value if isinstance(value, str) else None


def _refused(error: InvalidStatus) -> Drop:
    """An HTTP answer to the upgrade: wait and retry, or end the stream."""
    status = error.response.status_code
    if status in _policy.RETRY_STATUS:
        headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
        return Drop(f"upgrade answered {status}", retry_after_s(headers) or 0.0)
    fix = {
        401: "the API key was refused; check api_key or FXSOCKET_API_KEY",
        403: "the API key may not use the stream from here",
        404: "no stream at this address; check stream_url or FXSOCKET_STREAM_URL",
    }
    raise StreamError(status, fix.get(status, f"the upgrade was answered {status}")) from None


def _closed(error: BaseException | None) -> Drop:
    """A close frame, or none: its code says whether to come back."""
    frame = error.rcvd if isinstance(error, ConnectionClosed) else None
    code, reason = (frame.code, frame.reason) if frame else (1006, "the connection broke")
    if code >= _FATAL_CLOSE_CODE:
        raise StreamError(code, reason or "closed for good by the server") from None
    return Drop(f"closed with {code} {reason}".rstrip())


def _not_a_stream(error: InvalidHandshake) -> Drop:
    # A broken answer may come from a server that is starting; anything else will not mend itself.
    if isinstance(error, InvalidMessage | ProxyError):
        return Drop(str(error))
    raise StreamError(1002, f"no WebSocket server at this address: {error}") from error
