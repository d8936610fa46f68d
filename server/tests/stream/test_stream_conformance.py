"""The WebSocket protocol itself: another library's client, and each frame's right close code.

`websockets` is written by others than the server's library; what both agree on is the protocol. The
judge below says for any single frame how it is to be answered, from RFC 6455 and our own rules; no
part of it is the server's.
"""

import asyncio
import json
from collections import Counter
from itertools import product
from random import Random
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from fxsocket_server.core import limits

FRAMES = 300
SOAK_FRAMES = 20_000
FIN, RSV = 0x80, 0x70
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PING_FRAME = b'{"action":"ping","id":"p"}'


# --- another library's client ----------------------------------------------------------------


def test_pings_of_any_size_come_back_as_they_were(play):
    async def story(world):
        async with world.client() as client:
            for size in (0, 1, 125):
                await (await client.socket.ping(bytes(size)))
            waiters = [await client.socket.ping(b"%d" % n) for n in range(20)]
            await asyncio.gather(*waiters)

    play(story)


@pytest.mark.parametrize("pieces", [1, 2, 7, 40])
def test_a_message_in_fragments_with_pings_between(play, pieces):
    async def story(world):
        text = PING_FRAME.decode().ljust(1_000)
        step = -(-len(text) // pieces)

        async def fragments():
            for start in range(0, len(text), step):
                yield text[start : start + step]
                await client.socket.ping()

        async with world.client() as client:
            await client.socket.send(fragments())
            assert (await client.recv()) == {"type": "pong", "id": "p"}

    play(story)


def test_the_largest_messages_both_ways(play):
    async def story(world):
        async with world.client() as client:
            await client.socket.send(PING_FRAME.decode().ljust(limits.STREAM_FRAME_BYTES))
            assert (await client.recv())["type"] == "pong"
            # A batch whose answer has a length that takes eight bytes.
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "comment": "\u20ac" * 31}
            await client.send(action="order.batch", id="b", orders=[order] * 100)
            while '"type":"result"' not in (text := await client.socket.recv()):
                pass  # the events of its orders; the watchdog bounds it
            assert len(json.loads(text)["result"]["results"]) == 100
            assert len(text.encode()) > 65_536

    play(story)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_the_closing_handshake_is_clean_from_both_sides(play, code):
    async def story(world):
        async with world.client() as client:
            await client.socket.close(code, "bye")
            assert client.socket.close_code == code
        async with world.client() as client:
            await client.settle()
            stopping = asyncio.create_task(world.hub.stop(5_000))
            closed, _ = await client.closed()
            assert closed == 4000
            assert client.socket.close_reason == "the server stops or restarts; reconnect"
            await stopping

    play(story)


def test_a_clean_close_while_frames_are_on_their_way(play):
    async def story(world):
        async with world.client() as client:
            for number in range(200):
                await client.send(action="ping", id=number)
            await client.socket.close()
            code, frames = await client.closed()
            assert code == 1000
            assert [frame["id"] for frame in frames] == list(range(len(frames)))

    play(story)


@pytest.mark.parametrize(
    "offer",
    [
        ClientPerMessageDeflateFactory(),
        ClientPerMessageDeflateFactory(client_max_window_bits=15, server_max_window_bits=8),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True),
    ],
)
def test_compression_is_offered_and_declined(play, offer):
    async def story(world):
        async with connect(
            f"ws://127.0.0.1:{world.port}/v1/stream",
            additional_headers={"Authorization": "Bearer full"},
            extensions=[offer], proxy=None,
        ) as socket:  # fmt: skip
            assert socket.protocol.extensions == []
            await socket.send(PING_FRAME.decode())
            assert json.loads(await socket.recv())["type"] == "pong"

    play(story)


# --- single frames ---------------------------------------------------------------------------


def judged(first: int, payload: bytes, *, mask: bool) -> set[int | None]:
    """How a single frame may be answered: close codes, None where the connection lives on."""
    opcode, is_final, is_control = first & 15, bool(first & FIN), bool(first & 8)
    faults: set[int | None] = set()
    if not mask or opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        faults.add(1002)
    if is_control and (not is_final or len(payload) > 125):
        faults.add(1002)
    if first & RSV:
        faults |= {1002, 4506}
    if opcode == BINARY:
        faults.add(4506)
    if opcode == CONTINUATION:
        faults |= {1002, 4506}
    if opcode == TEXT and is_final and not _is_utf8(payload):
        faults |= {1007, 4506}
    if opcode == CLOSE and not _is_utf8(payload[2:]):
        faults |= {1002, 1007}
    if opcode == CLOSE and not faults:
        return {_answer(payload)}
    return faults or {None}


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _answer(payload: bytes) -> int:
    if not payload:
        return 1000
    code = int.from_bytes(payload[:2], "big")
    may_stand = (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    return code if may_stand and len(payload) > 1 else 1002


def frame_bytes(first: int, payload: bytes, *, mask: bool) -> bytes:
    """A frame as it goes over the wire."""
    bit, size = 0x80 if mask else 0, len(payload)
    head = bytes((first, bit | size)) if size < 126 else bytes((first, bit | 126))
    head += b"" if size < 126 else size.to_bytes(2, "big")
    return head + (bytes(4) if mask else b"") + payload


def drawn(rng: Random) -> tuple[int, bytes, bool]:
    """A frame of any kind."""
    known = FIN | rng.choice((TEXT, BINARY, CLOSE, PING, PONG))
    first = rng.choice((rng.randrange(256), known))
    texts = (b"", PING_FRAME, b"{}", b"\xff\xfe", "\u20ac".encode()[:2], b"[" * 40)
    codes = tuple(n.to_bytes(2, "big") for n in (0, 999, 1000, 1003, 1005, 1014, 2999, 3000, 5000))
    payload = rng.choice((*texts, *codes, rng.randbytes(rng.randint(1, 200))))
    return first, payload, rng.random() < 0.9


async def answer_to(world: Any, frame: bytes) -> int | None:
    """The close code that a frame is answered with, None when the connection goes on."""
    async with world.raw() as raw:
        await raw.write(frame)
        # A whole text closes a message that the frame may have begun.
        await raw.write(frame_bytes(FIN | PING, b"still there", mask=True))
        while True:  # until the pong or the close
            try:
                opcode, payload = await raw.frame()
            except (EOFError, ConnectionError):
                return 1006
            if opcode == PONG and payload == b"still there":
                return None
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else 1000


async def judge(world: Any, frames: list[tuple[int, bytes, bool]]) -> Counter[int | None]:
    """Send each on a connection of its own; what they were answered."""
    seen: Counter[int | None] = Counter()
    async with world.client("read") as other:
        for first, payload, mask in frames:
            wanted = judged(first, payload, mask=mask)
            code = await answer_to(world, frame_bytes(first, payload, mask=mask))
            assert code in wanted, (f"{first:#x}", payload, mask, code, wanted)
            seen[code] += 1
        assert await other.settle() == []
    return seen


def test_every_opcode_and_bit_is_answered_with_the_right_code(play):
    async def story(world):
        frames = [
            (fin | rsv | opcode, PING_FRAME[:120], mask)
            for fin, rsv, opcode, mask in product((0, FIN), (0, 0x40), range(16), (True, False))
            if opcode != CLOSE
        ]
        seen = await judge(world, frames)
        assert {1002, 4506, None} <= seen.keys()

    play(story)


def test_frames_of_any_kind_are_answered_with_the_right_code(play, rng):
    async def story(world):
        seen = await judge(world, [drawn(rng) for _ in range(FRAMES)])
        assert {1000, 1002, 4506, None} <= seen.keys(), seen

    play(story)


@pytest.mark.soak
def test_many_frames_of_any_kind_are_answered_with_the_right_code(play, rng):
    async def story(world):
        print(await judge(world, [drawn(rng) for _ in range(SOAK_FRAMES)]))

    play(story)
