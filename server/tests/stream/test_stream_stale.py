"""Staleness on the socket: a silent market, a lost terminal, a lost bus; and that all come back."""

from fxsocket_server.core import limits
from fxsocket_server.gateway.messages import BUS_LINK, LinkMessage

LIMIT_MS = limits.QUOTE_STALE_MS
CHANNELS = ["ticks", "quotes", "candles:M1"]


def stale_frames(frames):
    return [frame for frame in frames if frame["type"] == "stale"]


async def listening(client, *channels, **more):
    """Subscribe and read everything that is sent at once."""
    await client.send(action="subscribe", channels=list(channels), **more)
    return await client.settle()


def test_a_market_that_falls_silent_is_told_on_every_connection_and_channel(play):
    async def story(world):
        async with world.client() as one, world.client() as two, world.client() as other:
            await listening(one, *CHANNELS, symbols=["EURUSD"])
            await listening(two, "ticks", symbols=["EURUSD", "GBPUSD"])
            await listening(other, "account", "deals")
            world.timers.advance(LIMIT_MS)
            await world.price("GBPUSD", 127_001)
            assert stale_frames(await one.settle() + await two.settle()) == []
            world.timers.advance(1_000)
            told = stale_frames(await one.settle())
            assert told == [
                {
                    "type": "stale", "account_id": "acc_1", "symbol": "EURUSD", "channel": channel,
                    "stale": True, "since": "2026-01-05T00:00:00.000Z", "reason": "no_tick",
                }
                for channel in ("candles:M1", "quotes", "ticks")
            ]  # fmt: skip
            assert [f["symbol"] for f in stale_frames(await two.settle())] == ["EURUSD"]
            world.timers.advance(5_000)
            assert stale_frames(await one.settle()) == []  # it is said once
            await world.price("EURUSD", 108_400)
            fresh = stale_frames(await one.settle())
            assert [(f["channel"], f["stale"]) for f in fresh] == [
                ("candles:M1", False), ("quotes", False), ("ticks", False)
            ]  # fmt: skip
            assert [f["stale"] for f in stale_frames(await two.settle())] == [False]
            assert stale_frames(await other.settle()) == []

    play(story)


def test_who_subscribes_late_is_told_what_is_stale_already(play):
    async def story(world):
        async with world.client() as early, world.client() as late:
            await listening(early, "ticks", symbols=["EURUSD"])
            world.timers.advance(LIMIT_MS + 1_000)
            await early.settle()
            frames = await listening(late, "ticks", symbols=["EURUSD", "GBPUSD"])
            told = [f["type"] for f in frames if f["type"] != "heartbeat"]
            assert told == ["subscribed", "snapshot", "stale", "stale"]
            assert {f["symbol"] for f in stale_frames(frames)} == {"EURUSD", "GBPUSD"}
            assert stale_frames(await early.settle()) == []

    play(story)


def test_a_closed_market_is_not_stale(play):
    async def story(world):
        connector = world.lane().connector
        open_ = {"EURUSD": True}
        connector.market_open = lambda symbol, utc_ms: open_.get(symbol, True)
        async with world.client() as client:
            await listening(client, "ticks", symbols=["EURUSD"])
            open_["EURUSD"] = False
            world.timers.advance(2 * LIMIT_MS)
            assert stale_frames(await client.settle()) == []
            open_["EURUSD"] = True
            world.timers.advance(1_000)
            assert [f["stale"] for f in stale_frames(await client.settle())] == [True]
            open_["EURUSD"] = False
            world.timers.advance(1_000)
            assert [f["stale"] for f in stale_frames(await client.settle())] == [False]

    play(story)


def test_a_symbol_that_never_had_a_price_is_stale_after_a_while(play):
    async def story(world):
        async with world.client() as client:
            assert stale_frames(await listening(client, "ticks", symbols=["USDJPY"])) == []
            world.timers.advance(LIMIT_MS + 1_000)
            [told] = stale_frames(await client.settle())
            assert (told["symbol"], told["stale"], told["since"]) == ("USDJPY", True, None)

    play(story)


def test_a_lost_terminal_makes_all_of_its_account_stale_and_no_other(play):
    async def story(world):
        await world.link("acc_2")
        channels = ["ticks", "account", "positions", "deals", "terminal", "market_open"]
        async with world.client() as client, world.client() as other:
            await listening(client, *channels, symbols=["EURUSD"], account_id="acc_1")
            await listening(other, *channels, symbols=["EURUSD"], account_id="acc_2")
            await world.lane().on_terminal(False, "the wire was cut")
            told = stale_frames(await client.settle())
            assert {f["channel"] for f in told} == set(channels)
            assert {(f["account_id"], f["symbol"], f["stale"], f["reason"]) for f in told} == {
                ("acc_1", None, True, "terminal_lost")
            }
            assert all(f["since"] == "2026-01-05T00:00:00.000Z" for f in told)
            await listening(other, "ticks", symbols=["EURUSD"], account_id="acc_1")
            await world.lane().on_terminal(True, "")
            back = stale_frames(await client.settle())
            assert {f["channel"] for f in back} == set(channels)
            assert {f["stale"] for f in back} == {False}
            assert [f["account_id"] for f in stale_frames(await other.settle())] == ["acc_1"]

    play(story)


def test_a_lost_bus_makes_everything_stale_until_it_is_back(play):
    async def story(world):
        await world.link("acc_2")
        async with world.client() as client, world.client() as late:
            for account_id in ("acc_1", "acc_2"):
                await listening(client, "ticks", symbols=["EURUSD"], account_id=account_id)
            world.bus.publish(BUS_LINK, LinkMessage(is_up=False))
            told = stale_frames(await client.settle())
            assert [(f["account_id"], f["reason"], f["stale"]) for f in told] == [
                ("acc_1", "bus_lost", True), ("acc_2", "bus_lost", True)
            ]  # fmt: skip
            frames = await listening(late, "ticks", symbols=["EURUSD"], account_id="acc_1")
            assert [f["reason"] for f in stale_frames(frames)] == ["bus_lost"]
            world.bus.publish(BUS_LINK, LinkMessage(is_up=True))
            assert [f["stale"] for f in stale_frames(await client.settle())] == [False, False]
            assert [f["stale"] for f in stale_frames(await late.settle())] == [False]

    play(story)


def test_what_nobody_reads_any_more_is_forgotten(play):
    async def story(world):
        async with world.client() as client:
            await listening(client, "ticks", "quotes", symbols=["EURUSD"])
            world.timers.advance(LIMIT_MS + 1_000)
            assert len(stale_frames(await client.settle())) == 2
            await client.ask(action="unsubscribe", channels=["ticks", "quotes"])
            world.timers.advance(1_000)
            assert not world.hub._stale._staleness
            assert world.hub._stale._looked_ms == {}

    play(story)


def test_a_replay_that_waits_for_its_reader_is_not_stale(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, 5), lossless=True)
        await world.link(feed=feed)
        async with world.client() as client:
            await client.send(action="subscribe", symbols=["WS30"], pace=True)
            assert (await client.until("tick"))["n"] == 1
            world.timers.advance(5 * LIMIT_MS)
            assert stale_frames(await client.settle()) == []
            await client.send(action="ack", n=1)
            assert (await client.until("tick"))["n"] == 2

    play(story, account=False)
