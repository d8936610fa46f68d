"""The stream behind a unix socket, in the test's own event loop."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.stream.apart.far import FarBackend
from fxsocket_server.stream.apart.near import NearEnd
from fxsocket_server.stream.in_process import GatewayBackend


class Apart:
    """The stream behind a unix socket, as if it were a process of its own."""

    def __init__(self, world: Any, backend: GatewayBackend, ids: IdFactory, pepper: bytes) -> None:
        self._world = world
        self._folder = Path(tempfile.mkdtemp(prefix="fxsocket-test-"))
        self._bus = InProcessBus(lambda topic, error: world.errors.append(error))
        self.far = FarBackend(self._bus, world.clock, ids)
        self.near = NearEnd(
            world.gateway, backend, world.bus, world.keyring, pepper, structlog.get_logger()
        )
        self._sent = self._received = self._reading = 0
        self._count()

    def _count(self) -> None:
        """Count what goes down and what is read, so that a test can wait until it has arrived."""
        send, receive, ask = self.near._send, self.far._received, self.far._ask

        def counted_send(message: Any) -> None:
            if self.near._link is not None:
                self._sent += 1
            send(message)

        def counted_receive(body: bytes) -> None:
            receive(body)
            self._received += 1

        def counted_ask(kind: str, about: object, then: Callable[[Any, Any], None]) -> None:
            def answered(*answer: Any) -> None:
                self._reading -= 1
                then(*answer)

            self._reading += kind != "run"
            ask(kind, about, then if kind == "run" else answered)

        self.far._ask = counted_ask  # type: ignore[method-assign]
        self.near._send = counted_send  # type: ignore[method-assign]
        self.far._received = counted_receive  # type: ignore[method-assign]

    @property
    def end(self) -> tuple[Any, Any]:
        """What the hub works with: the far backend and its bus."""
        return self.far, self._bus

    async def start(self) -> None:
        path = self._folder / "bus"
        await self.near.start(path)
        self._dialling = asyncio.create_task(self.far.keep_linked(str(path), lambda: False))
        await self.far.greeted.wait()

    async def caught_up(self) -> None:
        """Return when the stream has heard of everything."""
        self.near._send_copies()
        while self._received < self._sent:  # noqa: ASYNC110 - bounded by the watchdog
            await asyncio.sleep(0)

    async def idle(self) -> None:
        """Return when nothing is on its way, neither read nor published."""
        await self.caught_up()
        while self._reading:  # noqa: ASYNC110 - bounded by the watchdog
            await asyncio.sleep(0)
        await self.caught_up()

    async def stop(self) -> None:
        await self.near.stop()
        self.far.close()
        await self._dialling
        shutil.rmtree(self._folder)
