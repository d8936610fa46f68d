"""What the socket tells of each answer: written, ended before, or reset."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from .port import BIG, Line, open_port
from .world import WATCHDOG_S


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on the loop that the server runs on."""

    @functools.wraps(test)
    def run(*fixtures: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(*fixtures, **named), WATCHDOG_S))

    return run


@on_uvloop
async def test_an_answer_that_was_read_is_written_and_stays_so() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/now")
        assert (await line.answer()).endswith(b"xx")
        line.close()
        await port.until(lambda: port.left == 1)
        await port.told(["written"])


@on_uvloop
async def test_a_sender_that_leaves_before_the_answer_has_not_got_it() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/wait")
        await port.until(lambda: port.served)
        line.close()
        await port.told(["ended"])
        port.gate.set()
        await port.until(lambda: port.left == 1)
        assert port.watches[0].told[0] == "ended"


@on_uvloop
async def test_a_reset_before_the_answer_is_told_at_once() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/wait")
        await port.until(lambda: port.served)
        line.reset()
        await port.told(["reset"])
        assert port.left == 1


@on_uvloop
async def test_a_reset_after_the_whole_answer_is_told() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/now")
        await port.told(["written"])
        line.reset()
        await port.told(["written", "reset"])


@on_uvloop
async def test_a_sender_that_leaves_with_the_answer_unread_resets_it() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/now")
        await port.told(["written"])
        line.close()  # unread bytes make this a reset
        await port.told(["written", "reset"])


@on_uvloop
async def test_the_next_request_proves_that_the_answer_before_it_was_read() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/now")
        await line.answer()
        await line.post("/wait")
        await port.until(lambda: len(port.served) == 2)
        line.reset()
        await port.told(["written"], ["reset"])


@on_uvloop
async def test_half_of_a_large_answer_is_none() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/big")
        await line.read(BIG // 8)
        assert port.watches[0].told == []
        line.reset()
        await port.told(["reset"])


@on_uvloop
async def test_a_large_answer_is_written_when_its_last_byte_has_left() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/big")
        await line.head()
        await line.read(BIG // 8)
        assert port.watches[0].told == []
        await line.read(BIG - BIG // 8)
        await port.told(["written"])
        await line.post("/now")
        assert (await line.answer()).endswith(b"xx")
        await port.told(["written"], ["written"])


@on_uvloop
async def test_pipelined_requests_do_not_prove_each_other() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.send(b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 3)
        await port.told(["written"], ["written"], ["written"])
        assert port.served == ["/now"] * 3
        line.reset()
        await port.told(*[["written", "reset"]] * 3)


@on_uvloop
async def test_pipelined_behind_a_running_one_are_lost_with_it() -> None:
    """Nobody reads on behind a queued request: the sender's end is only seen after the answer."""
    async with open_port() as port:
        line = await port.connect()
        await line.post("/wait")
        await port.until(lambda: port.served)
        await line.post("/now")
        await port.until(lambda: len(port.watches) == 2)
        line.close()
        port.gate.set()
        await port.until(lambda: port.left == 1)
        assert [watch.told[-1] in ("ended", "reset") for watch in port.watches] == [True, True]


@on_uvloop
async def test_a_last_answer_that_is_not_read_is_lost() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/now", "Connection: close")
        await port.told(["written"])
        line.close()
        await port.told(["written", "reset"])


@on_uvloop
async def test_nothing_is_served_after_the_last_answer() -> None:
    async with open_port(requests=1, close_ms=10 * WATCHDOG_S * 1000) as port:
        line = await port.connect()
        await line.send(b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 3)
        answers = await line.rest()
        assert answers.count(b"HTTP/1.1 200 OK") == 1
        assert answers.count(b"connection: close") == 1
        assert port.served == ["/now"]
        line.close()
        await port.until(lambda: port.left == 1)  # long before the server would cut it


@on_uvloop
async def test_a_half_closed_sender_still_gets_its_answer() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/wait")
        line.half_close()
        await port.told(["ended"])  # nothing tells it from one that has given up
        port.gate.set()
        assert (await line.rest()).endswith(b"xx")
        await port.until(lambda: port.left == 1)


@on_uvloop
async def test_a_sender_that_ends_in_its_body_is_closed() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.send(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        await port.until(lambda: port.served)
        line.half_close()
        await port.told(["ended"])
        assert await line.rest() == b""


@on_uvloop
async def test_an_answer_before_a_close_that_was_asked_for_is_written() -> None:
    async with open_port() as port:
        line = await port.connect()
        await line.post("/now", "Connection: close")
        assert (await line.rest()).endswith(b"xx")
        line.close()
        await port.until(lambda: port.left == 1)
        await port.told(["written"])


@pytest.mark.parametrize("round_", range(20))
def test_a_quick_reader_that_closes_at_once_has_got_its_answer(round_: int) -> None:
    """The answer is read and the connection closed within one turn of the server's loop."""

    @on_uvloop
    async def test() -> None:
        async with open_port() as port:
            for _ in range(25):
                line = await port.connect()
                await line.post("/now")
                await asyncio.get_running_loop().run_in_executor(None, _read_and_close, line)
            await port.until(lambda: port.left == 25)
            assert [watch.told for watch in port.watches] == [["written"]] * 25

    test()


def _read_and_close(line: Line) -> None:
    line.socket.settimeout(WATCHDOG_S)
    data = b""
    while not data.endswith(b"xx"):
        data += line.socket.recv(4096)
    line.close()
