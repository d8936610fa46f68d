"""What clients get wrong, on the level of JSON and of WebSocket frames; heartbeats and pings."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

TEXT, BINARY, CONTINUATION, FIN = 1, 2, 0, 0x80


@pytest.mark.parametrize("frame_id", ["p1", 7, None])
def test_ping_is_answered_with_its_id(play, frame_id):
    async def story(world):
        async with world.client() as client:
            pong = await client.ask(action="ping", id=frame_id)
            assert pong == {"type": "pong", "id": frame_id}

    play(story)


def test_websocket_pings_are_answered(play):
    async def story(world):
        async with world.client() as client:
            await (await client.socket.ping(b"are you there"))

    play(story)


def test_a_client_that_offers_compression_is_served_without(play):
    async def story(world):
        url = f"ws://127.0.0.1:{world.port}/v1/stream"
        key = {"Authorization": "Bearer read"}
        async with connect(url, additional_headers=key, proxy=None) as socket:
            assert socket.request is not None
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" in socket.request.headers
            assert "Sec-WebSocket-Extensions" not in socket.response.headers
            await socket.send('{"action":"ping"}')
            assert json.loads(await socket.recv())["type"] == "pong"

    play(story)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "malformed_json", "empty"),
        ("{", "malformed_json", "not JSON"),
        ("{'action':'ping'}", "malformed_json", "not JSON"),
        ('{"action":"ping","id":NaN}', "malformed_json", "NaN"),
        ("[" * 30_000, "malformed_json", ""),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "malformed_json", "deeper"),
        ("[]", "validation_error", "object"),
        ('"ping"', "validation_error", "object"),
        ('{"action":"ping","action":"ping"}', "validation_error", "twice"),
        ("{}", "validation_error", "action must be one of"),
        ('{"action":"fly"}', "validation_error", "subscribe"),
        ('{"action":["ping"]}', "validation_error", "action must be one of"),
        ('{"action":"ping","id":true}', "validation_error", "id"),
        ('{"action":"ping","when":1}', "validation_error", "when"),
        ('{"action":"subscribe","symbols":"EURUSD"}', "validation_error", "symbols"),
        ('{"action":"subscribe","symbols":[1]}', "validation_error", "symbols"),
        ('{"action":"subscribe","symbols":["EURUSD"],"pace":1}', "validation_error", "pace"),
        (
            '{"action":"subscribe","symbols":["EURUSD"],"channels":[]}',
            "validation_error",
            "channels",
        ),
        ('{"action":"ack"}', "validation_error", "n"),
        ('{"action":"ack","n":-1}', "validation_error", "n"),
        ('{"action":"ack","n":1e999}', "validation_error", "out of range"),
        ('{"action":"resume"}', "validation_error", "after"),
        ('{"action":"resume","after":-1}', "validation_error", "after"),
    ],
)
def test_a_bad_message_is_told_why_and_the_connection_lives(play, text, code, said):
    async def story(world):
        async with world.client() as client:
            await client.socket.send(text)
            frames = await client.settle()
            assert [(f["type"], f["code"]) for f in frames] == [("error", code)]
            assert said in frames[0]["detail"]

    play(story)


def test_errors_carry_the_id_and_the_field(play):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(action="ack", id="a1", n="one")
            assert (error["id"], error["status"]) == ("a1", 422)
            assert error["errors"][0]["pointer"] == "/n"
            unknown = await client.ask(action="fly", id="f1")
            assert (unknown["id"], unknown["errors"][0]["pointer"]) == ("f1", "/action")

    play(story)


# --- frames of the WebSocket protocol --------------------------------------------------------


async def end_of(raw) -> tuple[int | None, list[str]]:
    code, frames = await raw.rest()
    return code, [frame["code"] for frame in frames]


def ping(frame_id: str) -> bytes:
    return json.dumps({"action": "ping", "id": frame_id}).encode()


def test_binary_frames_are_refused_with_4506(play):
    async def story(world):
        async with world.client() as client:
            await client.socket.send(b'{"action":"ping"}')
            code, frames = await client.closed()
            assert (code, frames[0]["code"]) == (4506, "unsupported_media_type")

    play(story)


@pytest.mark.parametrize("fragments", [1, 3])
def test_a_frame_over_the_limit_is_refused_with_4506(play, masked_frame, fragments):
    async def story(world):
        limit = world.hub.bounds.frame_bytes
        for excess in (0, 1):
            payload = ping("x").ljust(limit + excess)
            step = -(-len(payload) // fragments)
            async with world.raw(receive_bytes=65_536) as raw:
                for start in range(0, len(payload), step):
                    opcode = CONTINUATION if start else TEXT
                    fin = FIN if start + step >= len(payload) else 0
                    await raw.write(masked_frame(fin | opcode, payload[start : start + step]))
                if excess:
                    assert await end_of(raw) == (4506, ["payload_too_large"])
                else:
                    assert (await raw.recv())["type"] == "pong"

    play(story)


def test_a_frame_that_is_far_too_large_is_not_even_read(play):
    async def story(world):
        async with world.raw() as raw:
            await raw.write(b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4))
            assert await end_of(raw) == (1009, [])

    play(story)


def test_bad_utf8_is_told_why_and_closed_with_4506(play, masked_frame):
    async def story(world):
        for payload in (b'{"action":"\xff"}', b"\xc3\x28", b'{"action":"ping"}\xe2\x82'):
            async with world.raw() as raw:
                await raw.write(masked_frame(FIN | TEXT, payload))
                assert await end_of(raw) == (4506, ["malformed_json"])

    play(story)


def test_a_message_may_come_in_fragments_with_pings_between(play, masked_frame):
    async def story(world):
        async with world.raw() as raw:
            message = ping("whole")
            await raw.write(masked_frame(TEXT, message[:5]))
            await raw.write(masked_frame(FIN | 9, b"alive"))
            await raw.write(masked_frame(CONTINUATION, b""))
            await raw.write(masked_frame(FIN | CONTINUATION, message[5:]))
            assert await raw.frame() == (10, b"alive")
            assert await raw.recv() == {"type": "pong", "id": "whole"}
            await raw.write(masked_frame(FIN | TEXT, ping("next")))
            assert await raw.recv() == {"type": "pong", "id": "next"}

    play(story)


@pytest.mark.parametrize(
    ("first_bytes", "code"),
    [
        ((FIN | CONTINUATION,), 4506),
        ((TEXT, FIN | TEXT), 4506),
        ((FIN | TEXT | 0x40,), 4506),
        ((FIN | TEXT | 0x10,), 4506),
        ((FIN | 3,), 1002),
        ((FIN | 11,), 1002),
        ((9,), 1002),
    ],
)
def test_frames_against_the_protocol_close_the_connection(play, masked_frame, first_bytes, code):
    async def story(world):
        async with world.raw() as raw, world.client() as other:
            for first_byte in first_bytes:
                await raw.write(masked_frame(first_byte, b"{}"))
            assert (await end_of(raw))[0] == code
            assert await other.settle() == []

    play(story)


def test_an_unmasked_frame_closes_the_connection(play):
    async def story(world):
        async with world.raw() as raw:
            await raw.write(b"\x81\x02{}")
            assert (await end_of(raw))[0] == 1002

    play(story)


def test_messages_after_a_refused_one_are_not_acted_upon(play, masked_frame):
    async def story(world):
        async with world.raw() as raw:
            head = world.lane().book.head_seq
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}
            late = json.dumps({"action": "order.place", "id": 1, "order": order}).encode()
            refused = masked_frame(FIN | BINARY, b"{}")
            await raw.write(refused + masked_frame(FIN | TEXT, late) * 2)
            assert await end_of(raw) == (4506, ["unsupported_media_type"])
            assert world.lane().book.head_seq == head

    play(story)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4321])
def test_a_client_s_close_is_answered_with_its_code(play, code):
    async def story(world):
        async with world.client() as client:
            await client.socket.close(code, "bye")
            assert client.socket.close_code == code

    play(story)


def test_a_close_without_a_code_is_answered(play, masked_frame):
    async def story(world):
        async with world.raw() as raw:
            await raw.write(masked_frame(FIN | 8, b""))
            assert await raw.rest() == (1000, [])

    play(story)


@pytest.mark.parametrize(
    "payload",
    [b"\x03", *(code.to_bytes(2, "big") for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000))],
)
def test_a_close_with_a_code_that_none_may_have_is_a_protocol_error(play, masked_frame, payload):
    async def story(world):
        async with world.raw() as raw:
            await raw.write(masked_frame(FIN | 8, payload))
            assert await raw.rest() == (1002, [])

    play(story)


def test_a_client_that_never_answers_a_close_is_dropped(play):
    async def story(world):
        async with world.raw() as raw:
            world.revoke("full")
            await raw.recv()
            assert (await raw.frame())[0] == 8
            assert len(world.hub._connections) == 1
            world.timers.advance(world.hub.bounds.close_ms)
            assert await raw.rest() == (None, [])

    play(story)


def test_a_plain_http_request_is_answered_in_words(play):
    async def story(world):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"WebSocket" in answer
        writer.close()
        await writer.wait_closed()

    play(story)


# --- heartbeats ------------------------------------------------------------------------------


def test_a_heartbeat_comes_into_silence_only(play):
    async def story(world):
        async with world.client() as quiet, world.client("read") as busy:
            for _ in range(3):
                world.timers.advance(4_000)
                assert (await busy.ask(action="ping"))["type"] == "pong"
            frames = await quiet.settle()
            assert {frame["type"] for frame in frames} == {"heartbeat"}
            assert frames[0]["time"].startswith("2026-01-05T00:00:0")
            assert len(frames) == 2
            assert await busy.settle() == []

    play(story)


def test_there_is_a_frame_in_every_heartbeat_time(play):
    async def story(world):
        async with world.client() as client:
            await client.settle()
            for _ in range(5):
                world.timers.advance(world.hub.bounds.heartbeat_ms)
                assert [f["type"] for f in await client.settle()] == ["heartbeat"]

    play(story)
