"""The SDK's stream over restarts of a real server, and over connections that break at any byte."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from fxsocket import (
    AccountUpdate,
    AsyncFxSocketClient,
    CandleUpdate,
    ChannelGap,
    DealUpdate,
    FxSocketClient,
    FxSocketError,
    Gap,
    NotFoundError,
    OrderUpdate,
    PositionUpdate,
    QuoteUpdate,
    Reconnected,
    Snapshot,
    StreamErrorEvent,
    StreamEvent,
    Subscribed,
    Tick,
    Unknown,
    ValidationError,
)
from fxsocket.stream import AsyncStream
from fxsocket_server.testkit.process import ServerProcess
from fxsocket_server.testkit.proxy import Cut, CuttingProxy

RESTARTS = 3
BREAKS = 100
SOAK_BREAKS = 1_000
WATCHDOG_S = 120
LOGGED = (OrderUpdate, DealUpdate, PositionUpdate)
FAMILIES = ("order", "deal", "position")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def soon(_seconds: float) -> None:
    """The SDK's sleep between two connections, shortened."""
    # tidy: sleep because this is the pause between two tries of the code under test
    await asyncio.sleep(0.02)


class Listener:
    """Takes every event of a stream; `waited` ends when something is so."""

    def __init__(self, stream: AsyncStream) -> None:
        self.events: list[StreamEvent] = []
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._listen(stream))

    async def _listen(self, stream: AsyncStream) -> None:
        async for event in stream:
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    async def waited(self, until: Callable[[], bool]) -> None:
        """Return once something is so; the test's watchdog bounds it."""
        async with self._changed:
            await self._changed.wait_for(until)

    def of(self, *kinds: type) -> list[Any]:
        """The events of these classes."""
        return [event for event in self.events if isinstance(event, kinds)]

    async def end(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def listening(client: AsyncFxSocketClient) -> AsyncIterator[tuple[AsyncStream, Listener]]:
    """A stream of everything about the account, and who listens to it."""
    async with client.stream() as stream:
        await stream.subscribe(channels=["deals", "positions"])
        await stream.subscribe(["EURUSD", "GBPUSD"])
        listener = Listener(stream)
        await listener.waited(lambda: len(listener.of(Snapshot)) > 0)
        yield stream, listener
        await listener.end()


async def trade(stream: AsyncStream, name: str) -> None:
    """Open a position over the stream and close it, however often it has to be sent."""
    order = await again(
        lambda: stream.orders.create(symbol="EURUSD", type="BUY", volume=0.01, client_order_id=name)
    )
    await again(lambda: stream.positions.close(order.position_id, idempotency_key=f"{name}-close"))


async def again(send: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat a command until it is answered, as long as that may help."""
    while True:  # the test's watchdog bounds it
        try:
            return await send()
        except FxSocketError as error:
            if isinstance(error, ValidationError | NotFoundError):
                raise
            await soon(0)


async def logged(client: AsyncFxSocketClient) -> list[int]:
    """Every event of the account's log that this stream is to hear."""
    seqs, after = [], 0
    while True:  # until the last page
        page = await client.events.list(after=after, limit=1_000)
        seqs += [e.seq for e in page.data if e.type.partition(".")[0] in FAMILIES]
        if page.next_cursor is None:
            return seqs
        after = page.data[-1].seq


async def check(client: AsyncFxSocketClient, listener: Listener, orders: int) -> None:
    """Every order traded once; every event came once and in order."""
    wanted = await logged(client)
    await listener.waited(lambda: bool(listener.of(*LOGGED)) and last(listener) >= wanted[-1])
    assert [event.seq for event in listener.of(*LOGGED)] == wanted
    assert listener.of(Gap) == []
    assert len([e for e in listener.of(DealUpdate) if e.deal.entry == "IN"]) == orders
    assert await client.positions.list() == []


def last(listener: Listener) -> int:
    """The last event of the log that came."""
    return int(listener.of(*LOGGED)[-1].seq)


def test_every_frame_has_a_class_of_its_own(server: ServerProcess) -> None:
    at = server.addresses
    channels = ("account", "positions", "deals", "terminal")
    of_symbols = ("ticks", "quotes", "candles:M1", "market_open")
    wanted = {
        Tick, QuoteUpdate, CandleUpdate, AccountUpdate, OrderUpdate, DealUpdate, PositionUpdate,
        Subscribed,
    }  # fmt: skip
    with (
        FxSocketClient("test-key", base_url=at.rest, stream_url=at.stream) as client,
        client.stream() as stream,
    ):
        stream.subscribe(channels=channels)
        stream.subscribe(["EURUSD"], of_symbols)
        order = stream.orders.create(symbol="EURUSD", type="BUY", volume=0.1)
        stream.positions.close(order.position_id or "")
        events: list[StreamEvent] = []
        while not wanted <= {type(event) for event in events}:  # pytest's watchdog bounds it
            events.append(next(stream))
    assert [event for event in events if isinstance(event, Unknown | StreamErrorEvent)] == []
    snapshots = {event.channel for event in events if isinstance(event, Snapshot)}
    assert snapshots == {"account", "positions", "terminal", *of_symbols}


def test_a_graceful_restart_is_survived_by_itself(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--stream-port", str(free_port()))
    server = ServerProcess(tmp_path / "data", "--seed", "3", *ports)

    async def main() -> None:
        addresses = server.start()
        client = AsyncFxSocketClient(
            "test-key", base_url=addresses.rest, stream_url=addresses.stream, sleep=soon
        )
        async with client, listening(client) as (stream, listener):
            await trade(stream, "first")
            for number in range(RESTARTS):
                trading = asyncio.create_task(trade(stream, f"during-{number}"))
                assert await asyncio.to_thread(server.stop) == 0
                await asyncio.to_thread(server.start)
                await trading
                await trade(stream, f"after-{number}")
                await listener.waited(lambda: len(listener.of(Reconnected)) > number)  # noqa: B023
            await check(client, listener, 1 + 2 * RESTARTS)
            reasons = [event.reason for event in listener.of(Reconnected)]
            assert any(reason.startswith("closed with 4000") for reason in reasons), reasons

    with server.ending():
        asyncio.run(asyncio.wait_for(main(), WATCHDOG_S))


class Plan:
    """Where the proxy's connections break; `ends` lets the next one live."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.ends = False

    def __call__(self) -> Cut:
        rng = self._rng
        if self.ends:
            return Cut()
        # The upgrade takes some 300 bytes up and 130 down; a good part is to get beyond it.
        down = rng.choice((rng.randint(1, 400), rng.randint(400, 20_000)))
        up = rng.choice((None, None, rng.randint(1, 1_500)))
        return Cut(down=down, up=up, reset=rng.random() < 0.5)


def segments(events: list[StreamEvent]) -> list[list[Any]]:
    """The prices and gaps of each connection."""
    found: list[list[Any]] = [[]]
    for event in events:
        if isinstance(event, Reconnected):
            found.append([])
        elif isinstance(event, Tick | ChannelGap):
            found[-1].append(event)
    return found


def place(tick: Tick) -> tuple[object, ...]:
    """What tells a tick from all others."""
    return tick.symbol, tick.timestamp, tick.bid, tick.ask


async def check_ticks(torn: Listener, whole: Listener) -> int:
    """Within a connection no tick is missing, doubled or out of order; how many there were."""
    heard = torn.events.copy()
    newest = place([event for event in heard if isinstance(event, Tick)][-1])
    await whole.waited(lambda: newest in {place(tick) for tick in whole.of(Tick)})
    assert whole.of(ChannelGap) == []
    numbers = {place(tick): number for number, tick in enumerate(whole.of(Tick))}
    count = 0
    for segment in segments(heard):
        assert not any(isinstance(event, ChannelGap) for event in segment)  # nobody was slow
        places = [numbers[place(tick)] for tick in segment]
        assert all(after == before + 1 for before, after in pairwise(places)), places
        count += len(places)
    return count


async def break_often(server: ServerProcess, rng: Random, breaks: int) -> None:
    parts, plan = urlsplit(server.addresses.stream), Plan(rng)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = CuttingProxy(parts.hostname, parts.port, plan)
    torn_url = f"ws://127.0.0.1:{await proxy.start()}{parts.path}"
    rest = server.addresses.rest
    straight = AsyncFxSocketClient("test-key", base_url=rest, stream_url=server.addresses.stream)
    client = AsyncFxSocketClient("test-key", base_url=rest, stream_url=torn_url, sleep=soon)
    plan.ends = True  # until it knows where the log stands
    async with (
        client, straight, listening(straight) as (_, whole), listening(client) as (stream, torn),
    ):  # fmt: skip
        await stream.ping()  # it knows where the log stands
        plan.ends, orders = False, 0
        proxy.break_all()
        while proxy.broken < breaks:
            await trade(stream, f"o{orders}")
            orders += 1
            bid = round(1.08 + orders % 1_000 / 100_000, 5)
            await again(lambda: straight.sim.set_price("EURUSD", bid, bid + 0.0001))  # noqa: B023
        plan.ends = True
        await torn.waited(lambda: bool(torn.of(Tick)))
        await check(client, torn, orders)
        await check(straight, whole, orders)
        assert await check_ticks(torn, whole) > 0
        assert len(torn.of(Reconnected)) > breaks / 4
    await proxy.stop()


def run_breaks(folder: Path, rng: Random, breaks: int, watchdog_s: float) -> None:
    with ServerProcess(folder / "data", "--seed", "3", "--balance", "1000000") as server:
        asyncio.run(asyncio.wait_for(break_often(server, rng, breaks), watchdog_s))


def test_a_hundred_breaks_of_real_sockets(tmp_path: Path, rng: Random) -> None:
    run_breaks(tmp_path, rng, BREAKS, WATCHDOG_S)


@pytest.mark.soak
def test_a_thousand_breaks_of_real_sockets(tmp_path: Path, rng: Random) -> None:
    run_breaks(tmp_path, rng, SOAK_BREAKS, 30 * WATCHDOG_S)
