"""Keys that change while a connection uses them, and addresses that they may be used from."""

from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from fxsocket_server.security.ip_rules import TrustedProxies, ip_rule
from fxsocket_server.security.key_format import digest_of
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.scopes import ScopeError
from fxsocket_server.stream.hub import StreamHub

RESTART, UNAUTHORIZED, FORBIDDEN = 4000, 4501, 4503


async def closed(client):
    """The close code, and the detail of the error frame before it, if one came."""
    detail = None
    with suppress(ConnectionClosed):  # what it said before can be read still
        await client.send(action="ping", id="alive")
    try:
        while True:  # until the server closes
            frame = await client.recv()
            assert frame.get("id") != "alive", "it was not closed"
            detail = frame["detail"] if frame["type"] == "error" else detail
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else 1006, detail


def test_a_key_that_expires_while_connected_is_closed_within_a_second(play):
    async def story(world):
        world.key("short", expires_ms=world.clock.wall_ms() + 3_000)
        async with world.client("short") as client, world.client("full") as other:
            await client.settle()
            world.timers.advance(2_500)
            await client.settle()
            world.timers.advance(1_000)
            code, detail = await closed(client)
            assert (code, detail) == (UNAUTHORIZED, "the API key has expired; make a new one")
            await other.settle()

    play(story)


@pytest.mark.parametrize(
    "change",
    [{"scope": Scope.READ}, {"account_ids": ("acc_2",)}, {"ip_rules": ("203.0.113.0/24",)}],
)
def test_a_key_that_may_do_otherwise_connects_anew(play, change):
    async def story(world):
        async with world.client("full") as client, world.client("trade") as other:
            await client.settle()
            world.change("full", **change)
            assert (await closed(client))[0] == RESTART
            await other.settle()

    play(story)


def test_a_new_name_or_a_later_end_disturbs_nobody(play):
    async def story(world):
        end = world.clock.wall_ms() + 10_000
        async with world.client("full") as client:
            await client.settle()
            world.change("full", name="other", expires_ms=end)
            await client.settle()
            world.change("full", expires_ms=end + 60_000)
            await client.settle()
            world.timers.advance(20_000)
            await client.settle()
            world.timers.advance(60_000)
            assert (await closed(client))[0] == UNAUTHORIZED

    play(story)


def test_after_a_rotation_both_secrets_connect_until_the_overlap_ends(play):
    async def story(world):
        old = world.keyring.key("key_full")
        until = world.clock.wall_ms() + 5_000
        async with world.client("full") as before:
            await before.settle()
            world.change(
                "full", digest=digest_of(b"pepper" * 6, "newer"), old_digest=old.digest,
                old_until_ms=until, generation=2,
            )  # fmt: skip
            async with world.client("newer") as newer, world.client("full") as again:
                for client in (before, newer, again):
                    await client.settle()
                world.timers.advance(6_000)
                for client in (before, again):
                    code, detail = await closed(client)
                    assert (code, detail) == (
                        UNAUTHORIZED, "the API key was rotated; use its new secret",
                    )  # fmt: skip
                await newer.settle()

    play(story)


def test_a_key_is_refused_from_an_address_that_it_does_not_name(play):
    async def story(world):
        world.key("far", ip_rules=("203.0.113.0/24", "2001:db8::/32"))
        async with world.client("far", **{"X-Forwarded-For": "203.0.113.7"}) as client:
            code, detail = await closed(client)
            assert code == FORBIDDEN
            assert "127.0.0.1" in detail
        async with world.client(None) as client:
            await client.send(action="auth", api_key="far")
            assert (await closed(client))[0] == FORBIDDEN
        world.key("near", ip_rules=("127.0.0.0/8",))
        async with world.client("near") as client:
            await client.settle()

    play(story)


def test_behind_a_trusted_proxy_the_forwarded_address_counts(play):
    async def story(world):
        world.hub._proxies = TrustedProxies([ip_rule("127.0.0.1")])
        world.key("far", ip_rules=("203.0.113.0/24",))
        async with world.client("far", **{"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}) as client:
            await client.settle()
        for value in ("203.0.113.7, 6.6.6.6", "203.0.113.7,", "unknown"):
            async with world.client("far", **{"X-Forwarded-For": value}) as client:
                assert (await closed(client))[0] == FORBIDDEN

    play(story)


def test_an_action_without_a_scope_stops_the_start(play, monkeypatch):
    async def story(world):
        hub = world.hub
        actions = {**hub._actions.by_name, "order.teleport": lambda *_: None}
        monkeypatch.setattr(
            "fxsocket_server.stream.hub.Actions",
            lambda *_: type("Planted", (), {"by_name": actions})(),
        )
        with pytest.raises(ScopeError, match=r"order\.teleport"):
            StreamHub(hub._backend, world.bus, world.clock, hub.log)

    play(story)
