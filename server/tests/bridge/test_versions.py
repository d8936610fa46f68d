"""FXB/1 between peers of other versions: they speak what both know, or part with the reason."""

import asyncio
from pathlib import Path

import pytest

from fxsocket_server.core.clock import ManualClock
from fxsocket_server.fxb import messages
from fxsocket_server.fxb.codec import pack, terminal_decoder

from ..api.world import MONDAY_MS, on_loop
from .rig import LOGIN, SERVER, TOKEN, Booth, Door


async def greeted(port: int, versions: tuple[int, ...]) -> messages.ToTerminal:
    """What the server says to a terminal that speaks these versions."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hello = messages.Hello(
        v=versions, key=TOKEN.key, login=LOGIN, server=SERVER, boot="b", cn="c" * 32
    )
    writer.write(pack(hello))
    decoder, heard = terminal_decoder(), list[messages.ToTerminal]()
    while not heard:  # until it answers
        heard = decoder.feed(await reader.read(65_536))
    writer.close()
    return heard[0]


@pytest.mark.parametrize("versions", [(1,), (1, 2), (3, 2, 1)])
def test_a_terminal_that_also_speaks_version_1_is_challenged(versions: tuple[int, ...]) -> None:
    @on_loop
    async def run() -> None:
        door = Door(ManualClock(MONDAY_MS))
        await door.start()
        answer = await greeted(door.port, versions)
        assert isinstance(answer, messages.Challenge)
        assert answer.v == 1
        await door.stop()

    run()


@pytest.mark.parametrize("versions", [(0,), (2, 3)])
def test_a_terminal_of_another_version_is_told_which_one_is_spoken(
    versions: tuple[int, ...],
) -> None:
    @on_loop
    async def run() -> None:
        door = Door(ManualClock(MONDAY_MS))
        await door.start()
        answer = await greeted(door.port, versions)
        assert isinstance(answer, messages.Bye)
        assert answer.code == "version"
        named = ", ".join(map(str, versions))
        assert answer.detail == f"this server speaks FXB/1, the terminal {named}"
        await door.stop()

    run()


@on_loop
async def test_a_server_of_another_version_is_left_with_the_reason(tmp_path: Path) -> None:
    async def newer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(pack(messages.Challenge(v=2, sn="s" * 32, gw_ms=0)))
        while await reader.read(65_536):
            pass
        writer.close()

    server = await asyncio.start_server(newer, "127.0.0.1", 0)
    booth = Booth(tmp_path / "terminal", ManualClock(MONDAY_MS))
    await booth.open()
    booth.dial(server.sockets[0].getsockname()[1])
    await booth.sessions.count(1)
    assert "this terminal speaks FXB/1, the server FXB/2" in str(booth.sessions.seen[0])
    await booth.kill()
    server.close()
