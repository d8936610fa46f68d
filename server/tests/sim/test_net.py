"""The simulated net: order, pieces, cuts, black holes and goodbyes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from fxsocket_server.testkit.loop import SimLoop, SimProcess
from fxsocket_server.testkit.net import SimNet, SimTransport
from fxsocket_server.testkit.rng import Chance


class End(asyncio.Protocol):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: list[Exception | None] = []
        self.transport: SimTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SimTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class Bed:
    """A net with one listener; `far` are its ends."""

    def __init__(self, seed: int) -> None:
        self.loop = SimLoop(max_steps=100_000)
        self.net = self.loop.net = SimNet(self.loop, Chance(seed))
        self.far: list[End] = []

    def accept(self) -> End:
        self.far.append(End())
        return self.far[-1]

    async def connected(self) -> tuple[End, End]:
        await self.loop.create_server(self.accept, "gateway", 1)
        _, near = await self.loop.create_connection(End, "gateway", 1)
        assert isinstance(near, End)
        await self.loop.elapse(1)
        return near, self.far[-1]

    def run(self, play: Callable[[], Awaitable[None]]) -> None:
        async def work() -> None:
            await play()

        self.loop.run_until_complete(self.loop.create_task(work()))


@pytest.fixture
def bed(seed: int) -> Iterator[Bed]:
    bed = Bed(seed)
    yield bed
    bed.loop.close()


def test_bytes_arrive_in_order_however_late_and_torn(bed: Bed) -> None:
    async def play() -> None:
        bed.net.weather.split, bed.net.weather.slow, bed.net.weather.slow_ms = 0.5, 0.5, 900
        near, far = await bed.connected()
        for number in range(300):
            near.transport.write(b"%d," % number)
            far.transport.write(b"%d;" % number)
        near.transport.write_eof()
        await bed.loop.elapse(60)
        assert far.heard == b"".join(b"%d," % number for number in range(300))
        assert near.heard == b"".join(b"%d;" % number for number in range(300))
        assert (near.lost, far.lost) == ([None], [None])

    bed.run(play)


def test_a_cut_loses_what_is_under_way_and_both_hear_of_it(bed: Bed) -> None:
    async def play() -> None:
        near, far = await bed.connected()
        near.transport.write(b"arrives")
        await bed.loop.elapse(1)
        near.transport.write(b"lost")
        bed.net.open_links()[0].cut()
        await bed.loop.elapse(1)
        near.transport.write(b"too late")
        assert far.heard == b"arrives"
        assert [type(error) for error in near.lost + far.lost] == [ConnectionResetError] * 2
        assert bed.net.open_links() == []

    bed.run(play)


def test_a_black_hole_swallows_in_silence(bed: Bed) -> None:
    async def play() -> None:
        near, far = await bed.connected()
        bed.net.open_links()[0].swallow()
        near.transport.write(b"lost")
        near.transport.close()
        await bed.loop.elapse(100)
        assert (far.heard, near.lost, far.lost) == (b"", [None], [])

    bed.run(play)


def test_whoever_left_without_reading_is_known(bed: Bed) -> None:
    async def play() -> None:
        near, far = await bed.connected()
        far.transport.write(b"read")
        await bed.loop.elapse(1)
        assert far.transport.unacknowledged() == 0
        near.transport.close()
        far.transport.write(b"crosses the goodbye")
        assert far.transport.unacknowledged() == len(b"crosses the goodbye")
        await bed.loop.elapse(1)
        assert near.heard == b"read"
        assert far.transport.unacknowledged() > 0

    bed.run(play)


def test_reading_can_be_put_off(bed: Bed) -> None:
    async def play() -> None:
        near, far = await bed.connected()
        far.transport.pause_reading()
        near.transport.write(b"later")
        near.transport.close()
        await bed.loop.elapse(5)
        assert (far.heard, far.lost) == (b"", [])
        far.transport.resume_reading()
        await bed.loop.elapse(5)
        assert (far.heard, far.lost) == (b"later", [None])

    bed.run(play)


def test_the_death_of_a_process_resets_its_connections(bed: Bed) -> None:
    async def play() -> None:
        server = SimProcess("server", bed.loop, bed.net.end_of_process)
        await server.spawn(bed.loop.create_server(bed.accept, "gateway", 1))
        _, near = await bed.loop.create_connection(End, "gateway", 1)
        assert isinstance(near, End)
        await bed.loop.elapse(1)
        bed.far[0].transport.write(b"last words")
        server.kill()
        bed.far[0].transport.write(b"of the dead")
        await bed.loop.elapse(1)
        assert near.heard == b"last words"
        assert [type(error) for error in near.lost] == [ConnectionResetError]
        with pytest.raises(ConnectionRefusedError, match="nobody listens"):
            await bed.loop.create_connection(End, "gateway", 1)

    bed.run(play)
