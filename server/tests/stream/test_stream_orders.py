"""order.place: results and refusals by id, keys, scopes, limits."""

import asyncio
import socket
import struct

import pytest
import uvloop

from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.stream.unread import Unread

BUY = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}


def test_an_order_is_answered_with_the_order(play):
    async def story(world):
        async with world.client("trade") as client:
            await client.send(action="order.place", id="r1", order=BUY | {"sl": 1.08, "magic": 7})
            result = await client.until("result")
            assert (result["id"], result["replayed"]) == ("r1", False)
            order = result["order"]
            assert order["status"] == "FILLED"
            assert (order["price"], order["sl"], order["magic"]) == (1.08348, 1.08, 7)
            assert world.journal.order("acc_1", order["id"]).magic == 7

    play(story)


def test_a_refusal_names_the_field_and_the_fix_without_using_the_journal(play):
    async def story(world):
        async with world.client() as client:
            head = world.lane().book.head_seq
            error = await client.ask(action="order.place", id=9, order=BUY | {"volume": 0.015})
            assert (error["type"], error["id"]) == ("error", 9)
            assert (error["code"], error["status"]) == ("invalid_volume", 422)
            assert error["errors"][0]["pointer"] == "/volume"
            assert "nearest 0.01 or 0.02" in error["detail"]
            assert error["instance"].startswith("req_")
            assert world.lane().book.head_seq == head

    play(story)


def test_a_broker_s_refusal_carries_retcode_and_order(play):
    async def story(world):
        async with world.client() as client:
            await client.send(action="order.place", id="big", order=BUY | {"volume": 100})
            error = await client.until("error")
            assert (error["id"], error["code"]) == ("big", "not_enough_money")
            assert error["retcode_name"] == "NO_MONEY"
            assert error["order"]["status"] == "REJECTED"

    play(story)


def test_malformed_orders_are_refused_by_field(play):
    async def story(world):
        async with world.client() as client:
            for order, pointer in (
                ({}, "/symbol"),
                (BUY | {"lots": 1}, "/lots"),
                (BUY | {"type": "HOLD"}, "/type"),
                (BUY | {"volume": "0.01"}, "/volume"),
                (BUY | {"symbol": "NOPE"}, "/symbol"),
                (BUY | {"sl": -1}, "/sl"),
            ):
                error = await client.ask(action="order.place", id="x", order=order)
                assert (error["id"], error["status"]) == ("x", 422)
                assert error["errors"][0]["pointer"] == pointer
            error = await client.ask(action="order.place", order=BUY)
            assert error["errors"][0]["pointer"] == "/id"
            error = await client.ask(action="order.place", id="x", order=[BUY])
            assert error["errors"][0]["pointer"] == "/order"
            assert client is not None

    play(story)


def test_a_key_that_may_only_read_cannot_trade(play):
    async def story(world):
        async with world.client("read") as client:
            error = await client.ask(action="order.place", id="r1", order=BUY)
            assert (error["code"], error["status"], error["id"]) == ("forbidden", 403, "r1")

    play(story)


def test_the_same_key_gets_the_same_order(play):
    async def story(world):
        async with world.client() as client:
            first = await world.trade(client, idempotency_key="k1")
            again = await world.trade(client, idempotency_key="k1")
            assert again["order"] == first["order"]
            assert (first["replayed"], again["replayed"]) == (False, True)
            other = await world.trade(client, type_="SELL", idempotency_key="k1")
            assert other["code"] == "idempotency_key_reused"

    play(story)


def test_client_order_id_works_over_reconnects(play):
    async def story(world):
        order = BUY | {"client_order_id": "mine-1"}
        orders = []
        for _ in range(2):
            async with world.client() as client:
                await client.send(action="order.place", id="1", order=order)
                orders.append((await client.until("result"))["order"])
        assert orders[0] == orders[1]

    play(story)


async def answered_and_gone(world, *, reset, goes_on):
    """A client gets its answer, perhaps says something more, and is gone; its order."""
    gone = asyncio.Event()
    on_gone = world.hub.gone

    def watch(connection):
        on_gone(connection)
        gone.set()

    world.hub.gone = watch
    async with world.raw() as client:
        await client.send(action="order.place", id="1", order=BUY)
        answer = (await client.up_to(lambda frame: frame["type"] == "result"))[-1]
        if goes_on:
            await client.send(action="ping", id="2")
            await client.up_to(lambda frame: frame["type"] == "pong")
        if reset:
            linger = struct.pack("ii", 1, 0)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            client.sock.shutdown(socket.SHUT_WR)
            await client.rest()
    await gone.wait()
    world.hub.gone = on_gone
    return answer["order"]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_that_a_reset_overtook_is_owed_to_a_retry(play, loop):
    async def story(world):
        lost = await answered_and_gone(world, reset=True, goes_on=False)
        async with world.client() as client:
            await client.send(action="order.place", id="1", order=BUY)
            assert (await client.until("result"))["order"] == lost

    play(story, loop=loop)


@pytest.mark.parametrize(("unconfirmed", "owed"), [(0, False), (1, True), (10_000, True)])
def test_an_answer_that_crossed_the_end_of_its_connection_is_owed(play, unconfirmed, owed):
    async def story(world):
        world.hub._unread_of = lambda _: Unread(unconfirmed_bytes=unconfirmed)
        first = await answered_and_gone(world, reset=False, goes_on=False)
        async with world.client() as client:
            await client.send(action="order.place", id="1", order=BUY)
            assert ((await client.until("result"))["order"] == first) is owed

    play(story)


@pytest.mark.parametrize(("reset", "goes_on"), [(True, True), (False, False)])
def test_an_answer_that_was_read_is_owed_to_nobody(play, reset, goes_on):
    async def story(world):
        read = await answered_and_gone(world, reset=reset, goes_on=goes_on)
        async with world.client() as client:
            await client.send(action="order.place", id="1", order=BUY)
            assert (await client.until("result"))["order"]["id"] != read["id"]

    play(story)


def test_many_commands_run_at_once_and_are_answered_by_id(play):
    async def story(world):
        async with world.client() as client:
            for n in range(100):
                volume = 0.01 if n % 5 else 0.015
                await client.send(action="order.place", id=n, order=BUY | {"volume": volume})
            answers = [await client.until("result", "error") for _ in range(100)]
            assert sorted(a["id"] for a in answers) == list(range(100))
            assert {a["id"] for a in answers if a["type"] == "error"} == set(range(0, 100, 5))
            tickets = {a["order"]["ticket"] for a in answers if a["type"] == "result"}
            assert len(tickets) == 80

    play(story)


def test_commands_under_way_are_bounded(play):
    async def story(world):
        release = asyncio.Event()
        place = world.gateway.place

        async def slow(*args):
            await release.wait()
            return await place(*args)

        world.gateway.place = slow
        async with world.client() as client:
            for n in range(4):
                await client.send(action="order.place", id=n, order=BUY)
            error = await client.recv()
            assert (error["id"], error["code"]) == (3, "rate_limited")
            assert error["retry_after_s"] == 1
            assert "3 commands" in error["detail"]
            release.set()
            assert {(await client.until("result"))["id"] for _ in range(3)} == {0, 1, 2}
            assert (await world.trade(client))["type"] == "result"

    play(story, pending_commands=3)


def test_the_trade_bucket_limits_commands_and_nothing_else(play):
    async def story(world):
        async with world.client("trade") as client, world.client("full") as other:
            for _ in range(2):
                assert (await world.trade(client))["type"] == "result"
            error = await world.trade(client)
            assert (error["code"], error["status"]) == ("rate_limited", 429)
            assert error["retry_after_s"] >= 1
            assert (await client.ask(action="ping"))["type"] == "pong"
            assert (await world.trade(other))["type"] == "result"
            world.clock.advance(60_000)
            assert (await world.trade(client))["type"] == "result"

    play(story, limiter=RateLimiter(1 / 30, 2))


def test_an_unforeseen_failure_is_answered_and_hurts_nothing_else(play):
    async def story(world):
        async def broken(*args):
            raise ZeroDivisionError

        place, world.gateway.place = world.gateway.place, broken
        async with world.client() as client:
            error = await world.trade(client)
            assert (error["code"], error["id"]) == ("unavailable", "trade")
            assert "look the order up" in error["detail"]
            world.gateway.place = place
            assert (await world.trade(client))["type"] == "result"

    play(story)


def test_a_command_goes_on_when_its_client_leaves(play):
    async def story(world):
        release = asyncio.Event()
        placed = asyncio.Event()
        place = world.gateway.place

        async def slow(*args):
            await release.wait()
            answer = await place(*args)
            placed.set()
            return answer

        world.gateway.place = slow
        async with world.client() as client:
            await client.send(action="order.place", id="1", order=BUY)
            await client.settle()
        release.set()
        await placed.wait()
        types = [event.type for event in world.journal.events("acc_1", 0, 100)]
        assert "order.filled" in types

    play(story)
