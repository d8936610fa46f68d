"""A simulated client that follows every account's log over reconnects: no hole, nothing twice."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from fxsocket_server.testkit.loop import SimLoop
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.trace import Trace
from fxsocket_server.testkit.sim.ways import connect
from fxsocket_server.testkit.ws_client import WebSocket

CHANNELS = ("deals", "positions")
FAMILIES = ("order", "deal", "position")
_EVENTS = ("order_update", "deal", "position")


class Heard(Struct):
    """What was heard of one account's log."""

    epoch: str | None = None
    last_seq: int = 0
    events: list[tuple[int, str]] = []


class Listener:
    """Resumes where it stood after every end of its connection, and now and then hangs up."""

    def __init__(
        self,
        number: int,
        account_ids: list[str],
        loop: SimLoop,
        chance: Chance,
        trace: Trace,
        wrong: Callable[[str, str], None],
    ) -> None:
        self.name = f"listener{number}"
        self.heard = {account_id: Heard(events=[]) for account_id in account_ids}
        self._loop = loop
        self._chance = chance
        self._trace = trace
        self._wrong = wrong
        self._stream: WebSocket | None = None
        self._resumed: set[str] = set()  # on the connection of now

    async def follow(self) -> None:
        """Follow until cancelled."""
        while True:  # until the world ends
            try:
                await self._follow_once()
            except ConnectionError as error:
                self._trace.mark(f"listener.{type(error).__name__}")
            await asyncio.sleep(self._chance.between(0.05, 1))

    async def _follow_once(self) -> None:
        self._resumed = set()
        stream = self._stream = await connect(self._loop, self._on_text)
        for account_id, heard in self.heard.items():
            resume = {
                "action": "resume", "id": account_id, "account_id": account_id,
                "after": heard.last_seq, "channels": CHANNELS,
            }  # fmt: skip
            stream.send(msgspec.json.encode({**resume, "epoch": heard.epoch}))
        await asyncio.wait((stream.ended,), timeout=self._chance.between(1, 20))
        stream.close()

    def _on_text(self, text: bytes) -> None:
        frame = msgspec.json.decode(text)
        kind = frame["type"]
        if kind in _EVENTS:
            self._on_event(frame)
        elif kind == "error":  # the account's terminal was never here: try again
            self._hang_up()
        elif kind == "reset":
            self._wrong("I12", f"{self.name} was reset without a cause: {frame}")
        elif kind == "resumed":
            self._trace.mark("listener.resumed")
            self._resumed.add(frame["account_id"])
            self.heard[frame["account_id"]].epoch = frame["epoch"]

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _on_event(self, frame: dict[str, Any]) -> None:
        heard = self.heard[frame["account_id"]]
        seq, prev_seq = frame["seq"], frame["prev_seq"]
        if prev_seq != heard.last_seq and frame["account_id"] not in self._resumed:
            return  # live events came before the resume did: they come again behind it
        if prev_seq != heard.last_seq or seq <= prev_seq:
            detail = f"event {seq} came after {prev_seq}, the last one heard is {heard.last_seq}"
            self._wrong("I12", f"{self.name} {frame['account_id']}: {detail}")
        heard.last_seq = seq
        heard.events.append((seq, frame["event"]))
