"""The link between gateway and stream: what crosses it, and what its loss does."""

import asyncio

import msgspec

from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.model.enums import AccountStatus


async def until(condition):
    """Let the event loop turn until something holds; the watchdog bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def frames_of(frames, kind):
    return [frame for frame in frames if frame["type"] == kind]


async def told_of_the_bus(client):
    """The next word on the bus."""
    frame = await client.until("stale")
    while frame["reason"] != "bus_lost":
        frame = await client.until("stale")
    return frame["stale"]


def test_a_lost_link_is_stale_on_every_subscribed_connection_until_it_is_back(play):
    async def story(world):
        async with world.client() as one, world.client("read") as two, world.client() as idle:
            for client in (one, two):
                await client.send(action="subscribe", symbols=["EURUSD"])
                await client.settle()
            await idle.settle()
            world.apart.near.cut()
            assert [await told_of_the_bus(client) for client in (one, two)] == [True, True]
            assert [await told_of_the_bus(client) for client in (one, two)] == [False, False]
            await world.price("EURUSD", 108_500)
            for client in (one, two):
                tick = await client.until("tick")
                assert tick["bid"] == 1.085
            assert frames_of(await idle.settle(), "stale") == []

    play(story)


def test_events_that_were_committed_while_the_link_was_down_arrive_once_and_in_order(play):
    async def story(world):
        async with world.client() as client:
            await client.settle()
            await world.trade(client)
            await client.settle()
            head = world.lane().published_seq
            far = world.apart.far
            world.apart.near.cut()
            await until(lambda: far._link is None)
            for time_ms in range(3):
                facts = world.lane().connector.broker.deposit(1_000, time_ms, "while away")
                await world.lane().on_facts(facts, world.lane().connector.time_ms())
            assert world.lane().published_seq > head
            await until(lambda: far._views["acc_1"].head == world.lane().published_seq)
            await world.trade(client)
            seqs = [frame["seq"] for frame in await client.settle() if "seq" in frame]
            assert seqs == sorted(set(seqs))
            cursor = next(iter(world.hub._connections)).log._cursors["acc_1"]
            assert cursor.position == world.lane().published_seq

    play(story)


def test_a_command_that_crosses_the_loss_of_the_link_is_unavailable_and_done_once(play):
    async def story(world):
        placed, release = asyncio.Event(), asyncio.Event()
        place = world.gateway.place

        async def slow(*args):
            placed.set()
            await release.wait()
            return await place(*args)

        world.gateway.place = slow
        async with world.client() as client:
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "client_order_id": "c1"}
            await client.send(action="order.place", id="1", order=order)
            await placed.wait()
            world.apart.near.cut()
            error = await client.until("error")
            assert (error["id"], error["code"], error["retryable"]) == ("1", "unavailable", True)
            release.set()
            world.gateway.place = place
            await client.until("order_update")
            await client.send(action="order.place", id="2", order=order)
            result = await client.until("result", "error")
            assert (result["type"], result["replayed"]) == ("result", True)
            assert len(world.lane().book.positions) == 1

    play(story)


def test_a_pacing_reader_that_the_link_loses_holds_no_feed(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, 50), lossless=True)
        await world.link(feed=feed)
        async with world.client() as client:
            await client.send(action="subscribe", symbols=["WS30"], pace=True)
            for n in range(1, 4):
                tick = await client.until("tick")
                assert (tick["n"], feed.given) == (n, n + 1)
                await client.send(action="ack", n=n)
            world.apart.far.close()
            await until(lambda: feed.given == 50)

    play(story, account=False)


def test_an_account_that_comes_later_is_known_and_one_that_goes_is_not(play):
    async def story(world):
        async with world.client() as client:
            await world.link("acc_2")
            listed = await client.ask(action="list")
            assert [a["account_id"] for a in listed["accounts"]] == ["acc_1", "acc_2"]
            world.gateway.remove(world.gateway.accounts["acc_2"])
            await world.apart.caught_up()
            listed = await client.ask(action="list")
            assert [a["account_id"] for a in listed["accounts"]] == ["acc_1"]

    play(story)


def test_an_account_without_a_terminal_reads_as_unavailable(play):
    async def story(world):
        account = world.gateway.accounts["acc_1"].account
        away = msgspec.structs.replace(account, id="acc_2")
        world.gateway.accounts["acc_2"] = LinkedAccount(away, AccountStatus.CONNECTING)
        await world.apart.caught_up()
        async with world.client() as client:
            error = await client.ask(action="subscribe", symbols=["EURUSD"], account_id="acc_2")
            assert error["code"] == "unavailable"
            assert "acc_2 is connecting" in error["detail"]

    play(story)
