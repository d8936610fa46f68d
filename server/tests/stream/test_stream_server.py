"""Start and stop: free ports, goodbyes within their time, commands that are let finish."""

import asyncio

BUY = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}


def test_stopping_says_4000_to_every_client(play):
    async def story(world):
        async with world.client() as one, world.client(None) as two, world.raw() as three:
            await one.ask(action="subscribe", symbols=["EURUSD"], pace=True)
            stop = asyncio.create_task(world.server.stop())
            for client in (one, two):
                code, _ = await client.closed()
                assert code == 4000
            assert (await three.rest())[0] == 4000
            three.sock.close()
            await stop
            assert world.hub._connections == {}

    play(story)


def test_a_client_that_does_not_answer_cannot_hold_the_stop_up(play):
    async def story(world):
        async with world.raw() as deaf:
            await asyncio.wait_for(world.server.stop(), 5)
            assert (await deaf.rest())[0] == 4000

    play(story)


def test_no_client_is_taken_after_the_stop(play):
    async def story(world):
        await world.server.stop()
        await world.server.stop()
        try:
            async with world.client():
                raise AssertionError("taken")
        except OSError:
            pass

    play(story)


def test_a_command_under_way_is_answered_before_the_goodbye(play):
    async def story(world):
        async with world.client() as client:
            await client.settle()
            started, release = asyncio.Event(), asyncio.Event()
            place = world.gateway.place

            async def slow(*args):
                started.set()
                await release.wait()
                return await place(*args)

            world.gateway.place = slow
            await client.send(action="order.place", id="last", order=BUY)
            await started.wait()
            stop = asyncio.create_task(world.server.stop())
            await asyncio.sleep(0)
            release.set()
            code, frames = await client.closed()
            assert code == 4000
            assert [frame["type"] for frame in frames][-1] == "result"
            await stop

    play(story)


def test_a_stop_before_the_start_is_fine(play):
    async def story(world):
        from fxsocket_server.stream.server import StreamServer

        await StreamServer(world.hub, "127.0.0.1", 0).stop()
        async with world.client() as client:
            assert (await client.ask(action="ping"))["type"] == "pong"

    play(story)
