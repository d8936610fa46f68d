"""Connections that break at any byte, thousands of times: no event is missed, doubled, reordered.

Three clients with filters of their own follow two accounts that trade and tick on, while their
connections break, up or down the stream; now and then one stops reading, until its prices are
conflated or the server parts with it. Each of them must end with every event of its families in
order, and within each connection with every tick or a gap that says what was left out.
"""

import asyncio
from itertools import count
from random import Random
from typing import Any

import pytest

from fxsocket import Gap
from fxsocket.events import ChannelGap, Logged, Snapshot, StreamEvent, Tick
from fxsocket_server.gateway.gateway import Sender
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.model.enums import OrderType

from .torn import TornClient

CUTS = 2_000
SOAK_CUTS = 100_000
ACCOUNTS = ("acc_1", "acc_2")
MARKET, EVENTS = 2_000, 6_000  # small bounds, so that a reader that stops meets them
EVER = 1 << 40
FAMILIES = {"deals": "deal", "positions": "position"}


class Market:
    """The accounts' trading and ticks; every tick can be told by its Bid."""

    def __init__(self, world: Any, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._ids = (f"req_{number}" for number in count(1))
        self._open: dict[str, list[str]] = {account: [] for account in ACCOUNTS}

    def ticks_of(self, account: str) -> int:
        """How many ticks there were."""
        return int(self._world.lane(account)._tick_count)

    async def move(self) -> None:
        """One to thirty things happen."""
        for _ in range(self._rng.choice((1, 1, 2, 3, 5, 30))):
            account = self._rng.choice(ACCOUNTS)
            if self._rng.random() < 0.85:
                await self.tick(account)
            else:
                await self._trade(account)

    async def tick(self, account: str) -> None:
        await self._world.price("EURUSD", bid_of(self.ticks_of(account) + 1), account_id=account)

    async def _trade(self, account: str) -> None:
        lane, gateway = self._world.lane(account), self._world.gateway
        sender = Sender(request_id=next(self._ids))
        if len(self._open[account]) > 4:
            verb = ClosePosition(None, None)
            position = self._open[account].pop(0)
            await gateway.run(lane, "position.close", position, (None, None), None, sender, verb)
        else:
            order = OrderRequest(symbol="EURUSD", type=OrderType.BUY, volume=0.01)
            await gateway.place(lane, order, sender)
            self._open[account].append(list(lane.book.positions)[-1])


def bid_of(number: int) -> int:
    """The Bid of an account's n-th tick, in points."""
    return 100_000 + number % 50_000


class Follower:
    """A client and what it heard."""

    def __init__(
        self, world: Any, market: Market, rng: Random, tick_accounts: tuple[str, ...],
        channels: dict[str, tuple[str, ...]],
    ) -> None:  # fmt: skip
        self.client = TornClient(world.hub, "full", rng, self._hear)
        self._world = world
        self._market = market
        self._families = {
            account: {"order", *(FAMILIES[c] for c in channels.get(account, ()))}
            for account in ACCOUNTS
        }
        self._seqs: dict[str, list[int]] = {account: [] for account in ACCOUNTS}
        self._first: dict[str, int] = {}
        self._tick: dict[str, tuple[int, int]] = {}  # connection and number of the last one
        self._is_reading = True
        self.ticks = self.left_out = 0
        for account in tick_accounts:
            self.client.session.subscribe(["EURUSD"], ["ticks"], False, account)
        for account, names in channels.items():
            self.client.session.subscribe([], names, False, account)

    def _hear(self, event: StreamEvent) -> None:
        assert not isinstance(event, Gap), event
        if isinstance(event, Tick):
            self._take(event)
        elif isinstance(event, Snapshot):
            for tick in event.ticks:
                self._tick[tick.account_id or ""] = self._numbered(tick)
        elif isinstance(event, ChannelGap):
            assert event.account_id is not None
            _, last = self._tick[event.account_id]
            assert event.from_ == last + 1
            self._tick[event.account_id] = (self.client.connections, event.to)
            self.left_out += event.to - event.from_ + 1
        elif isinstance(event, Logged):
            self._seqs[event.account_id].append(event.seq)

    def _take(self, tick: Tick) -> None:
        """A tick follows the last one of its connection, or the gap that told of those between."""
        connection, number = self._numbered(tick)
        last = self._tick.get(tick.account_id or "")
        if last is not None and last[0] == connection:
            assert number == last[1] + 1, (last, number)
        self._tick[tick.account_id or ""] = (connection, number)
        self.ticks += 1

    def _numbered(self, tick: Tick) -> tuple[int, int]:
        total = self._market.ticks_of(tick.account_id or "")
        back = (bid_of(total) - round(tick.bid * 100_000)) % 50_000
        return self.client.connections, total - back

    def reads_on(self, rng: Random) -> None:
        """Read, or stop for a while."""
        if rng.random() < 0.15:
            self._is_reading = not self._is_reading
        self.client.read(is_reading=self._is_reading)

    def starts_here(self) -> None:
        """From now on every event is to come."""
        for account in ACCOUNTS:
            self._first[account] = self._world.lane(account).published_seq

    def check(self) -> int:
        """Every event of its families came once and in order; how many there were."""
        for account, after in self._first.items():
            logged = self._world.journal.events(account, after, 10_000_000)
            families = self._families[account]
            wanted = [e.seq for e in logged if e.type.partition(".")[0] in families]
            assert self._seqs[account] == wanted
        return sum(map(len, self._seqs.values()))


async def turns(number: int = 6) -> None:
    """Let what is due happen."""
    for _ in range(number):
        await asyncio.sleep(0)


async def break_often(world: Any, rng: Random, cuts: int) -> dict[str, int]:
    """Trade until so many connections are broken; what was heard."""
    await world.link("acc_2")
    market = Market(world, rng)
    for account in ACCOUNTS:  # the opening price says nothing of its number
        await market.tick(account)
    followers = [
        Follower(world, market, rng, ACCOUNTS, {}),
        Follower(world, market, rng, ("acc_2",), dict.fromkeys(ACCOUNTS, ("deals", "positions"))),
        Follower(world, market, rng, ("acc_1",), {"acc_2": ("deals",)}),
    ]
    for follower in followers:
        follower.client.connect(EVER, EVER)
        await turns()
        follower.starts_here()
    broken = 0
    while broken < cuts:
        await market.move()
        for follower in followers:
            client = follower.client
            if client.is_up and client.connections > 1:
                follower.reads_on(rng)
            elif rng.random() < 0.7:
                broken += 1
                client.connect(
                    rng.randint(1, 12_000), rng.choice((EVER, EVER, rng.randint(1, 900)))
                )
        await turns(rng.choice((0, 1, 6)))
    for follower in followers:
        follower.client.connect(EVER, EVER)
    await turns(2_000)
    return {
        "events": sum(follower.check() for follower in followers),
        "ticks": sum(follower.ticks for follower in followers),
        "left out": sum(follower.left_out for follower in followers),
        "slow readers": sum(follower.client.codes.count(4008) for follower in followers),
    }


def test_two_thousand_breaks_at_any_byte(play: Any, rng: Random) -> None:
    async def story(world: Any) -> None:
        heard = await break_often(world, rng, CUTS)
        least = {"events": 5_000, "ticks": 1_000, "left out": 20, "slow readers": 1}
        assert all(heard[name] >= number for name, number in least.items()), heard

    play(story, market_bytes=MARKET, event_bytes=EVENTS, page_events=8)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SOAK_CUTS // CUTS))
def test_a_hundred_thousand_breaks_at_any_byte(number: int, play: Any, rng: Random) -> None:
    async def story(world: Any) -> None:
        heard = await break_often(world, rng, CUTS)
        print(f"round {number}: {CUTS} passing, {heard}")

    play(story, market_bytes=MARKET, event_bytes=EVENTS, page_events=8)
