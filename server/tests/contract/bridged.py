"""The simulated terminal behind the bridge, as a kind of terminal that plays the cards."""

from pathlib import Path

from msgspec.structs import replace

from fxsocket_server.core.clock import ManualClock
from fxsocket_server.gateway.ports import Capabilities, Connector
from fxsocket_server.model.account import Account
from fxsocket_server.model.facts import BalanceFact

from ..bridge.rig import Booth, Door
from .desk import SYMBOL, Desk, Setting


class BridgedTerminal:
    """A simulated terminal that dials in over a socket; its market is moved at its own end."""

    name = "simulated terminal over the bridge"

    def __init__(self) -> None:
        self._door: Door | None = None
        self._booth: Booth | None = None

    def open(self, account: Account, setting: Setting, clock: ManualClock) -> Connector:
        """The server's end, without a terminal yet."""
        self._door = Door(clock)
        return self._door.connector

    async def begin(self, desk: Desk, folder: Path) -> None:
        """Let a terminal with a deposit dial in."""
        assert self._door is not None
        sessions = desk.setting.market_closed
        booth = self._booth = Booth(folder / "terminal", desk.clock, sessions=sessions)
        await desk.connector.start(desk)
        await self._door.start()
        await booth.open()
        booth.dial(self._door.port)
        await desk.was_told("connected")
        paid_in = await desk.connector.history(0)
        balance, credit = booth.ledger.money
        await desk.record((*paid_in.deals, BalanceFact(balance=balance, credit=credit)))

    async def end(self, desk: Desk) -> None:
        """Stop both ends."""
        if self._booth is not None:
            await self._booth.kill()
        if self._door is not None:
            await self._door.stop()

    def capabilities(self, connector: Connector) -> Capabilities:
        """What it says; and the terminal's end can move its market."""
        return replace(connector.capabilities, price_control=True)

    async def price(self, desk: Desk, bid: int, ask: int) -> None:
        """Move the terminal's market."""
        assert self._booth is not None
        word = f"tick {SYMBOL} {bid}"
        seen = desk.told.count(word)
        await self._booth.connector.set_price(SYMBOL, bid, ask)
        await desk.was_told(word, seen + 1)
