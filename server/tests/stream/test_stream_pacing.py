"""Lockstep: the account's clock stands at a tick until every pacing reader has acknowledged it."""

import asyncio

import pytest

COUNT = 60


async def subscribed(client, **extra):
    reply = await client.ask(action="subscribe", symbols=["WS30"], **extra)
    assert reply["type"] == "subscribed"


@pytest.mark.parametrize("lossless", [True, False])
def test_three_pacing_readers_move_the_clock_together(play, make_feed, ticks_of, rng, lossless):
    async def story(world):
        ticks = ticks_of(world.clock, 1, ("EURUSD",)) + ticks_of(world.clock, COUNT)[1:]
        lane = await world.link(feed=make_feed(world.clock, ticks, lossless=lossless))
        async with world.client() as one, world.client() as two, world.client() as three:
            clients = [one, two, three]
            # The first tick stops the clock until all three are in.
            await one.send(action="subscribe", symbols=["EURUSD"], pace=True)
            assert (await one.until("tick"))["n"] == 1
            for client in clients:
                await subscribed(client, pace=True)
            await one.send(action="ack", n=1)
            for n in range(2, COUNT + 1):
                seen = [await client.until("tick") for client in clients]
                assert [frame["n"] for frame in seen] == [n] * 3
                assert {frame["bid"] for frame in seen} == {float(ticks[n - 1].bid)}
                assert lane.connector.time_ms() == ticks[n - 1].time_ms
                for client in rng.sample(clients, 3):
                    assert world.hub.held("acc_1", lossless)
                    assert await client.settle() == []
                    await client.send(action="ack", n=n)
            for client in clients:
                assert await client.settle() == []

    play(story, account=False)


def test_an_unpaced_reader_sees_no_n_and_owes_nothing(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.client() as pacing, world.client() as free:
            await subscribed(pacing, pace=True)
            assert (await pacing.until("tick"))["n"] == 1
            await subscribed(free)
            assert (await free.recv())["type"] == "snapshot"
            for n in range(2, COUNT + 1):
                await pacing.send(action="ack", n=n - 1)
                assert (await pacing.until("tick"))["n"] == n
                frame = await free.recv()
                assert "n" not in frame
                assert frame["bid"] == float(feed.ticks[n - 1].bid)

    play(story, account=False)


def test_only_ticks_that_were_sent_need_an_ack(play, make_feed, ticks_of):
    """The reader paces one of two symbols; the other's ticks do not stop the clock."""

    async def story(world):
        ticks = ticks_of(world.clock, 6, ("WS30", "EURUSD"))
        await world.link(feed=make_feed(world.clock, ticks, lossless=True))
        async with world.client() as client:
            await subscribed(client, pace=True)
            numbers = []
            for _ in range(3):
                numbers.append((await client.until("tick"))["n"])
                await client.send(action="ack", n=numbers[-1])
            assert numbers == [1, 3, 5]

    play(story, account=False)


def test_paced_and_unpaced_symbols_of_one_connection(play, make_feed, ticks_of):
    async def story(world):
        ticks = ticks_of(world.clock, 4, ("WS30", "EURUSD"))
        await world.link(feed=make_feed(world.clock, ticks, lossless=True))
        async with world.client() as client:
            await client.send(action="subscribe", symbols=["WS30"], pace=True)
            await client.send(action="subscribe", symbols=["EURUSD"])
            frames = []
            for _ in range(4):
                frames.append(await client.until("tick"))
                if "n" in frames[-1]:
                    await client.send(action="ack", n=frames[-1]["n"])
            assert [(f["symbol"], f.get("n")) for f in frames] == [
                ("WS30", 1),
                ("EURUSD", None),
                ("WS30", 3),
                ("EURUSD", None),
            ]

    play(story, account=False)


def leave_by_close(client):
    return client.socket.close()


def leave_by_unsubscribing(client):
    return client.send(action="unsubscribe")


def leave_by_unpacing(client):
    return client.send(action="subscribe", symbols=["WS30"], pace=False)


async def leave_by_tearing(client):
    client.socket.transport.abort()


@pytest.mark.parametrize(
    "leave", [leave_by_close, leave_by_unsubscribing, leave_by_unpacing, leave_by_tearing]
)
def test_a_reader_that_leaves_releases_the_feed_at_once(play, make_feed, ticks_of, leave):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.client() as client, world.client() as free:
            await subscribed(client, pace=True)
            await client.until("tick")
            await subscribed(free)
            await free.settle()
            assert world.hub.held("acc_1", True)
            await leave(client)
            await world.hub.wait("acc_1", True)
            last = await free.until("tick")
            while last["bid"] != float(feed.ticks[-1].bid):
                last = await free.until("tick")

    play(story, account=False)


def test_closing_a_reader_from_our_side_releases_the_feed_too(play, make_feed, ticks_of):
    """Even when the client does not answer the close."""

    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.raw() as raw:
            await raw.send(action="subscribe", symbols=["WS30"], pace=True)
            while (await raw.recv())["type"] != "tick":
                pass
            assert world.hub.held("acc_1", True)
            world.revoke("full")
            assert not world.hub.held("acc_1", True)

    play(story, account=False)


def test_an_ack_names_its_account_when_several_are_paced(play, make_feed, ticks_of):
    async def story(world):
        feeds = {}
        for account_id in ("acc_1", "acc_2"):
            feeds[account_id] = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
            await world.link(account_id, feed=feeds[account_id])
        async with world.client() as client:
            for account_id in feeds:
                await client.send(
                    action="subscribe", symbols=["WS30"], pace=True, account_id=account_id
                )
            for _ in feeds:
                assert (await client.until("tick"))["n"] == 1
            await client.send(action="ack", n=1, id="which")
            error = await client.until("error")
            assert (error["code"], error["id"]) == ("account_required", "which")
            assert "acc_1, acc_2" in error["detail"]
            await client.send(action="ack", n=1, account_id="acc_2")
            tick = await client.until("tick")
            assert (tick["account_id"], tick["n"]) == ("acc_2", 2)
            assert world.hub.held("acc_1", True)

    play(story, account=False)


def test_an_ack_without_anything_to_acknowledge_is_harmless(play):
    async def story(world):
        async with world.client() as client:
            for frame in ({"n": 5}, {"n": 5, "account_id": "acc_1"}, {"n": 5, "account_id": "x"}):
                await client.send(action="ack", **frame)
            assert await client.settle() == []

    play(story)


def test_acks_are_cumulative_and_never_in_advance(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.client() as client:
            await subscribed(client, pace=True)
            await client.until("tick")
            await client.send(action="ack", n=0)
            assert await client.settle() == []
            await client.send(action="ack", n=1_000)
            assert (await client.until("tick"))["n"] == 2
            assert await client.settle() == []

    play(story, account=False)


def test_the_feed_begins_with_the_first_subscription(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.client() as client:
            await client.ask(action="subscribe", channels=["deals"])
            await client.settle()
            assert feed.given == 0
            await subscribed(client)
            ticks = [await client.until("tick") for _ in range(COUNT)]
            assert [tick["bid"] for tick in ticks] == [float(tick.bid) for tick in feed.ticks]

    play(story, account=False)


def test_a_stopping_server_does_not_let_a_paced_clock_run_on(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        lane = await world.link(feed=feed)
        async with world.client() as client:
            await subscribed(client, pace=True)
            await client.until("tick")
            await world.server.stop()
            assert (await client.closed())[0] == 4000
            await asyncio.sleep(0)
            assert lane.connector.time_ms() == feed.ticks[0].time_ms

    play(story, account=False)
