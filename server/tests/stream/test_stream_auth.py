"""Authentication: header, first frame, what is refused and how, revocation, crowds."""

import pytest
from websockets.exceptions import InvalidStatus


async def refused(client) -> str:
    """The detail of the error frame that comes before close code 4501."""
    code, frames = await client.closed()
    assert code == 4501
    assert [frame["type"] for frame in frames] == ["error"]
    assert frames[0]["code"] == "unauthorized"
    assert frames[0]["status"] == 401
    return frames[0]["detail"]


def test_a_bad_key_in_the_header_is_told_why_and_closed_with_4501(play):
    async def story(world):
        async with world.client("nobody") as client:
            assert "unknown or was revoked" in await refused(client)

    play(story)


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "nonsense"])
def test_a_header_of_another_form_is_told_the_right_one(play, header):
    async def story(world):
        async with world.client(None, Authorization=header) as client:
            assert "Bearer YOUR_KEY" in await refused(client)

    play(story)


def test_a_key_may_hold_any_text(play):
    async def story(world):
        secret = "schlüssel-日本"
        world.key(secret)
        async with world.raw(secret) as raw:
            await raw.send(action="ping", id=1)
            assert await raw.recv() == {"type": "pong", "id": 1}

    play(story)


def test_the_first_frame_authenticates_and_lists_the_accounts(play):
    async def story(world):
        async with world.client(None) as client:
            answer = await client.ask(action="auth", api_key="read", id="a")
            assert answer == {
                "type": "authenticated",
                "id": "a",
                "accounts": [
                    {
                        "account_id": "acc_1",
                        "epoch": "epoch-acc_1",
                        "head": world.lane().published_seq,
                    }
                ],
            }
            world.timers.advance(10_000)
            assert (await client.settle())[0]["type"] == "heartbeat"

    play(story)


def test_authenticating_again_is_harmless(play):
    async def story(world):
        async with world.client() as client:
            for key in ("read", "nobody"):
                assert (await client.ask(action="auth", api_key=key))["type"] == "authenticated"
            assert (await world.trade(client))["type"] == "result"

    play(story)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"action": "subscribe", "symbols": ["EURUSD"]}, "unauthorized"),
        ({"action": "ping"}, "unauthorized"),
        ({"action": "auth", "api_key": "nobody"}, "unauthorized"),
        ({"action": "auth", "api_key": "\ud800"}, "unauthorized"),
        ({"action": "auth"}, "validation_error"),
        ({"action": "auth", "api_key": 5}, "validation_error"),
    ],
)
def test_any_other_first_frame_is_refused(play, frame, code):
    async def story(world):
        async with world.client(None) as client:
            await client.send(id="f", **frame)
            closed, frames = await client.closed()
            assert closed == 4501
            assert [frame["code"] for frame in frames] == [code]

    play(story)


@pytest.mark.parametrize("text", ["{", "[1]", "not json", "\N{BOM}"])
def test_a_first_frame_that_is_no_object_is_refused(play, text):
    async def story(world):
        async with world.client(None) as client:
            await client.socket.send(text)
            assert "first frame" in await refused(client)

    play(story)


def test_a_client_that_says_nothing_is_closed_in_time(play):
    async def story(world):
        async with world.client(None) as silent, world.client() as other:
            world.timers.advance(999)
            world.timers.advance(1)
            assert "within 1000 ms" in await refused(silent)
            assert await other.settle() == []

    play(story, auth_ms=1_000)


def test_events_and_ticks_do_not_reach_the_unauthenticated(play):
    async def story(world):
        async with world.client(None) as waiting, world.client() as client:
            await world.trade(client)
            await world.price("EURUSD", 108_341)
            world.timers.advance(world.hub.bounds.auth_ms)
            await refused(waiting)

    play(story)


def test_a_ticket_is_told_that_it_comes_later(play):
    async def story(world):
        async with world.client(None, path="/v1/stream?ticket=abc") as client:
            assert "tickets are not available yet" in await refused(client)
        async with world.client(path="/v1/stream?ticket=abc") as client:
            assert (await client.ask(action="ping"))["type"] == "pong"

    play(story)


def test_a_key_in_the_address_is_no_key(play):
    async def story(world):
        async with world.client(None, path="/v1/stream?api_key=full") as client:
            await client.send(action="ping")
            await refused(client)

    play(story)


def test_revoking_a_key_closes_its_connections_only(play):
    async def story(world):
        world.key("other")
        async with (
            world.client("full") as one,
            world.client("full") as two,
            world.client("other") as other,
            world.client(None) as waiting,
        ):
            world.revoke("full")
            for client in (one, two):
                assert await refused(client) == "the API key was revoked"
            assert await other.settle() == []
            assert (await waiting.ask(action="auth", api_key="other"))["type"] == "authenticated"

    play(story)


def test_other_paths_are_404(play):
    async def story(world):
        for path in ("", "/", "/v1/stream/", "/v1/streams", "/V1/stream"):
            with pytest.raises(InvalidStatus) as refusal:
                async with world.client(path=path):
                    pass
            assert refusal.value.response.status_code == 404
            assert b"/v1/stream" in refusal.value.response.body

    play(story)


def test_one_connection_too_many_is_503_until_one_leaves(play):
    async def story(world):
        async with world.client():
            async with world.client(None):
                with pytest.raises(InvalidStatus) as refusal:
                    async with world.client():
                        pass
                assert refusal.value.response.status_code == 503
            async with world.client() as client:
                assert (await client.ask(action="ping"))["type"] == "pong"

    play(story, connections=2)


def test_a_browser_s_connection_header_is_accepted(play):
    async def story(world):
        async with world.raw("full", Connection="keep-alive, Upgrade") as raw:
            await raw.send(action="ping")
            assert (await raw.recv())["type"] == "pong"

    play(story)
