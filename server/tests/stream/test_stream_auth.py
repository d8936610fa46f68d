"""Authentication: header, first frame, what is refused and how, revocation, crowds."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from fxsocket_server.core import limits
from fxsocket_server.security.tickets import TicketMessage, ticket_digest


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


async def ticket(world, secret="read", text="tkt_1") -> str:
    """Give a ticket out, as POST /stream/tickets does; returns the path that opens with it."""
    principal = world.keyring.authenticate(secret)
    message = TicketMessage(ticket_digest(text), principal)
    given = len(world.hub._tickets)
    world.bus.publish("tickets." + principal.key_id, message)
    for _ in range(10_000_000):  # until it has come to the stream, maybe from afar
        if len(world.hub._tickets) > given:
            break
        await asyncio.sleep(0)
    return f"/v1/stream?ticket={text}"


def test_a_ticket_opens_one_stream_with_what_its_key_may(play):
    async def story(world):
        path = await ticket(world)
        async with world.client(None, path=path) as client:
            listed = await client.ask(action="list")
            assert [row["account_id"] for row in listed["accounts"]] == ["acc_1"]
            assert (await world.trade(client))["code"] == "forbidden"
            async with world.client(None, path=path) as again:
                assert "used or too old" in await refused(again)

    play(story)


def test_a_ticket_is_void_after_its_time_and_with_its_key(play):
    async def story(world):
        late = await ticket(world, text="tkt_late")
        world.clock.advance(limits.STREAM_TICKET_MS)
        async with world.client(None, path=late) as client:
            assert "used or too old" in await refused(client)
        revoked = await ticket(world, text="tkt_revoked")
        world.revoke("read")
        for path in (revoked, "/v1/stream?ticket=", "/v1/stream?ticket=%ff"):
            async with world.client(None, path=path) as client:
                await refused(client)

    play(story)


def test_a_header_goes_before_a_ticket(play):
    async def story(world):
        async with world.client(path="/v1/stream?ticket=abc") as client:
            assert (await client.ask(action="ping"))["type"] == "pong"

    play(story)


def test_a_foreign_page_may_not_knock_without_a_header(play):
    async def story(world):
        for origin in ("https://evil.example.com", "null"):
            for path in ("/v1/stream", await ticket(world, text="tkt_" + origin[:4])):
                with pytest.raises(InvalidStatus) as refusal:
                    async with world.client(None, path=path, Origin=origin):
                        pass
                assert refusal.value.response.status_code == 403
                assert b"--allowed-origin" in refusal.value.response.body
        async with world.client(
            None, path=await ticket(world), Origin="http://127.0.0.1:3000"
        ) as own:
            assert (await own.ask(action="ping"))["type"] == "pong"
        async with world.client("full", Origin="https://evil.example.com") as no_browser:
            assert (await no_browser.ask(action="ping"))["type"] == "pong"

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
