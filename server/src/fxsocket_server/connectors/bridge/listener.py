"""The bridge's door: terminals dial in, prove their token, and get a session of their account."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.bridge.wire import Wire
from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.fxb.codec import gateway_decoder
from fxsocket_server.fxb.frames import FrameError
from fxsocket_server.fxb.messages import (
    VERSION,
    Auth,
    Challenge,
    Hello,
    Ready,
    ToGateway,
)
from fxsocket_server.security.connector_tokens import (
    ConnectorToken,
    is_proof,
    server_proof,
    terminal_proof,
)

_NONCE_BYTES = 16
_NONCE_CHARS = 2 * _NONCE_BYTES


class Peer(Struct, frozen=True):
    """Whom a token lets in: the terminal of one account."""

    token: ConnectorToken
    login: int
    server: str
    connector: BridgeConnector


class BridgeListener:
    """Listens for terminals; `peers` are those that may come, by the names of their tokens."""

    def __init__(
        self, host: str, port: int, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.peers: dict[str, Peer] = {}
        self._host = host
        self._port = port
        self._clock = clock
        self._random_bytes = random_bytes
        self._server: asyncio.Server | None = None
        self._guests: set[Wire[ToGateway]] = set()

    async def start(self) -> int:
        """Listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._wire, self._host, self._port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and hang up on whoever has no session."""
        if self._server is None:
            return
        self._server.close()
        for wire in tuple(self._guests):
            wire.cut("the server stops")
        await self._server.wait_closed()

    def _wire(self) -> Wire[ToGateway]:
        return Wire(gateway_decoder(limits.BRIDGE_GREETING_BYTES), self._greet)

    def _greet(self, wire: Wire[ToGateway]) -> None:
        if len(self._guests) >= limits.BRIDGE_CONNECTIONS:
            wire.end("busy", "too many connections", limits.BRIDGE_RETRY_MS)
            return
        self._guests.add(wire)
        nonce = self._random_bytes(_NONCE_BYTES).hex()
        _Greeting(wire, self.peers, self._clock, nonce, lambda: self._guests.discard(wire))


class _Greeting:
    """One handshake: hello, challenge, proof, ready; it ends within BRIDGE_HELLO_MS."""

    def __init__(
        self,
        wire: Wire[ToGateway],
        peers: dict[str, Peer],
        clock: Clock,
        nonce: str,
        ended: Callable[[], None],
    ) -> None:
        self._wire = wire
        self._peers = peers
        self._clock = clock
        self._nonce = nonce
        self._ended = ended
        self._hello: Hello | None = None
        wire.on_message = self._on_message
        wire.on_lost = self._on_lost
        seconds = limits.BRIDGE_HELLO_MS / 1000
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_late)

    def _on_late(self) -> None:
        self._wire.end("auth", f"no proof within {limits.BRIDGE_HELLO_MS} ms")

    def _on_lost(self, _why: str) -> None:
        self._timer.cancel()
        self._ended()

    def _on_message(self, message: ToGateway) -> None:
        if self._hello is None:
            self._on_hello(message)
        elif isinstance(message, Auth):
            self._on_auth(self._hello, message)
        else:
            raise FrameError('the challenge is answered with "t":"auth"')

    def _on_hello(self, message: ToGateway) -> None:
        if not isinstance(message, Hello):
            raise FrameError('the first frame must have "t":"hello"')
        if VERSION not in message.v:
            versions = ", ".join(map(str, message.v))[:64]
            self._refuse("version", f"this server speaks FXB/{VERSION}, the terminal {versions}")
            return
        if len(message.cn) != _NONCE_CHARS or "|" in message.boot + message.server:
            raise FrameError(f"cn must be {_NONCE_CHARS} characters; boot and server have no |")
        self._hello = message
        self._wire.send(Challenge(v=VERSION, sn=self._nonce, gw_ms=self._now_ms()))

    def _on_auth(self, hello: Hello, auth: Auth) -> None:
        peer = self._peers.get(hello.key)
        if peer is None or not is_proof(auth.mac, self._expected(peer, hello)):
            self._refuse("auth", "the connector token is unknown or was revoked")
            return
        if (hello.login, hello.server) != (peer.login, peer.server):
            why = (
                f"this token is for login {peer.login} on {peer.server!r}, the terminal is logged "
                f"in as {hello.login} on {hello.server!r}"
            )
            peer.connector.turned_down(why)
            self._refuse("policy", why)
            return
        if peer.connector.refusal:
            why = f"the account is {peer.connector.refusal}"
            self._wire.end("policy", why, limits.BRIDGE_BACKOFF_MS[1])
            return
        self._admit(peer, hello)

    def _expected(self, peer: Peer, hello: Hello) -> str:
        nonces = (hello.boot, hello.cn, self._nonce)
        return terminal_proof(peer.token, hello.login, hello.server, nonces)

    def _admit(self, peer: Peer, hello: Hello) -> None:
        self._timer.cancel()
        self._ended()
        wire = self._wire
        wire.decoder.frames.limit_bytes = limits.BRIDGE_FRAME_BYTES
        session, known_q = peer.connector.greet(wire, hello)
        wire.send(
            Ready(
                mac=server_proof(peer.token, (hello.cn, self._nonce)),
                epoch=session.epoch,
                gw_ms=self._now_ms(),
                hb_ms=limits.BRIDGE_HEARTBEAT_MS,
                credit=limits.BRIDGE_TICK_CREDIT,
                rx=known_q,
            )
        )
        peer.connector.open(session)

    def _refuse(self, code: str, detail: str) -> None:
        self._wire.end(code, detail, limits.BRIDGE_RETRY_MS)

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_ms())
