"""Market hours from the account's own clock to the socket."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.workers.market import MarketWatch


def away():
    raise Problem("unavailable", "its terminal was not here yet")


async def subscribed(client, *symbols):
    await client.send(action="subscribe", channels=["market_open"], symbols=list(symbols))
    await client.until("snapshot")


def test_a_market_that_closes_and_opens_is_told_once_each_time(play):
    async def story(world):
        lane = world.lane()
        is_open = dict.fromkeys(lane.connector.specs(), True)
        lane.connector.market_open = lambda symbol, utc_ms: is_open[symbol]
        watch = MarketWatch(world.gateway.accounts.values, world.bus)
        async with world.client() as client:
            await subscribed(client, "EURUSD", "WS30")
            watch.look()
            is_open["WS30"] = is_open["GBPUSD"] = False
            watch.look()
            watch.look()
            told = await client.settle()
            assert [(f["symbol"], f["market_open"]) for f in told] == [("WS30", False)]
            is_open["WS30"] = True
            watch.look()
            told = await client.settle()
            assert [(f["symbol"], f["market_open"]) for f in told] == [("WS30", True)]

    play(story)


def test_a_terminal_that_never_came_is_passed_over(play):
    async def story(world):
        lane = await world.link("acc_2")
        lane.connector.specs = away
        watch = MarketWatch(world.gateway.accounts.values, world.bus)
        watch.look()
        assert set(watch._open) == {"acc_1"}

    play(story)
