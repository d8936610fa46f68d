"""Quotes, candles, account, positions, terminal and market hours: snapshots, rates, and what comes.

The world's clock stands still unless a test moves it.
"""

import pytest

from fxsocket_server.gateway.market import CandleRange
from fxsocket_server.gateway.market_views import candle_view, symbol_view
from fxsocket_server.gateway.messages import MarketMessage, MarketState
from fxsocket_server.model.timeframe import Timeframe

MINUTE_MS = 60_000


async def subscribed(client, *channels, **more):
    """Subscribe, and give back the frames up to the snapshot of the last channel."""
    await client.send(action="subscribe", channels=list(channels), **more)
    frames = [await client.until("subscribed", "error")]
    assert frames[0]["type"] == "subscribed", frames
    while frames[-1].get("channel") != channels[-1]:
        frames.append(await client.recv())
    return frames


def of_type(frames, kind):
    return [frame for frame in frames if frame["type"] == kind]


# --- quotes ----------------------------------------------------------------------------------


def test_a_quote_s_snapshot_and_frames_are_those_of_rest(play):
    async def story(world):
        async with world.client() as client:
            _, snapshot = await subscribed(client, "quotes", symbols=["EURUSD"])
            assert snapshot == {
                "type": "snapshot",
                "channel": "quotes",
                "account_id": "acc_1",
                "quotes": [
                    {
                        "symbol": "EURUSD", "bid": 1.0834, "ask": 1.08348, "last": None,
                        "volume": None, "timestamp": "2026-01-05T00:00:00.000Z", "spread": 8,
                        "age_ms": 0, "market_open": True, "stale": False,
                    }
                ],
            }  # fmt: skip
            world.clock.advance(1_000)
            await world.price("EURUSD", 108_350)
            quote = await client.recv()
            assert (quote["type"], quote["account_id"], quote["bid"]) == ("quote", "acc_1", 1.0835)
            assert quote.keys() - {"type", "account_id"} == snapshot["quotes"][0].keys()

    play(story)


def test_quotes_come_at_the_rate_asked_for_and_end_with_the_newest(play):
    async def story(world):
        async with world.client() as four, world.client() as ten:
            await subscribed(four, "quotes", symbols=["EURUSD"])
            await subscribed(ten, "quotes", symbols=["EURUSD"], rate=10)
            for n in range(200):  # two seconds of a tick each 10 ms
                await world.price("EURUSD", 108_000 + n)
                world.timers.advance(10)
            world.timers.advance(250)
            for client, most in ((four, 9), (ten, 21)):
                bids = [frame["bid"] for frame in of_type(await client.settle(), "quote")]
                assert most - 1 <= len(bids) <= most
                assert bids == sorted(set(bids))
                assert (bids[0], bids[-1]) == (1.08, 1.08199)

    play(story)


def test_another_rate_takes_the_place_of_the_first(play):
    async def story(world):
        async with world.client() as client:
            await subscribed(client, "quotes", symbols=["EURUSD"], rate=1)
            again, _ = await subscribed(client, "quotes", symbols=["EURUSD"], rate=100)
            assert again["rate"] == 100
            for n in range(5):
                await world.price("EURUSD", 108_000 + n)
                world.timers.advance(10)
            assert len(of_type(await client.settle(), "quote")) == 5

    play(story)


@pytest.mark.parametrize("rate", [0, -1, 100.5, "fast", True])
def test_a_rate_that_cannot_be_is_refused_by_name(play, rate):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(
                action="subscribe", channels=["quotes"], symbols=["EURUSD"], rate=rate
            )
            assert (error["type"], error["errors"][0]["pointer"]) == ("error", "/rate")

    play(story)


# --- candles ---------------------------------------------------------------------------------


async def rest_rows(world, timeframe, symbol="EURUSD"):
    """What GET /candles answers."""
    market = world.gateway.accounts["acc_1"].market
    spec = market.lane.connector.specs()[symbol]
    asked = CandleRange(timeframe=timeframe, from_ms=None, to_ms=None, limit=None)
    views = [candle_view(c, spec.digits) for c in (await market.candles(spec, asked)).candles]
    return [{name: getattr(view, name) for name in view.__struct_fields__} for view in views]


def rows_of(frames, timeframe):
    """Closed candles in their order, then the live one as it stood last."""
    mine = [f for f in frames if f["type"] == "candle" and f["timeframe"] == timeframe]
    own = ("type", "account_id", "symbol", "timeframe", "closed")
    bare = [{k: v for k, v in f.items() if k not in own} for f in mine]
    closed = [row for row, f in zip(bare, mine, strict=True) if f["closed"]]
    return closed + ([] if mine[-1]["closed"] else bare[-1:])


@pytest.mark.parametrize("case", range(5))
def test_candles_over_the_socket_are_those_of_rest(play, rng, case):
    async def story(world):
        frames = [Timeframe.M1, Timeframe.M3, Timeframe.H1, Timeframe.D1]
        async with world.client() as client:
            for _ in range(rng.randint(0, 40)):  # the subscription begins within a candle
                await world.price("EURUSD", 108_000 + rng.randint(-50, 50), None)
                world.timers.advance(rng.randint(0, 30_000))
            names = [f"candles:{frame}" for frame in frames]
            asked = await subscribed(client, *names, symbols=["EURUSD"])
            begun = {f["channel"]: f["candles"] for f in asked if f["type"] == "snapshot"}
            assert list(begun) == names
            for frame in frames:
                row = dict(begun[f"candles:{frame}"][0])
                assert (row.pop("symbol"), row.pop("timeframe")) == ("EURUSD", frame)
                assert row.pop("closed") is False
                assert row == (await rest_rows(world, frame))[-1]
            before = {frame: len(await rest_rows(world, frame)) - 1 for frame in frames}
            heard = []
            for _ in range(120):
                bid = 108_000 + rng.randint(-500, 500)
                await world.price("EURUSD", bid, bid + rng.randint(0, 30))
                world.timers.advance(rng.choice((0, 10, 900, 20_000, 70_000, 400_000)))
                heard += await client.settle()
            world.timers.advance(1_000)
            heard += await client.settle()
            for frame in frames:
                assert rows_of(heard, frame) == (await rest_rows(world, frame))[before[frame] :]

    play(story)


def test_a_closed_candle_is_told_at_once_and_live_ones_at_the_rate(play):
    async def story(world):
        async with world.client() as client:
            await subscribed(client, "candles:M1", symbols=["EURUSD"], rate=1)
            for n in range(10):
                await world.price("EURUSD", 108_000 + n)
            world.timers.advance(MINUTE_MS - 1)
            await client.settle()
            await world.price("EURUSD", 108_100)
            world.timers.advance(1)
            await world.price("EURUSD", 108_200)
            told = of_type(await client.settle(), "candle")
            assert [(f["closed"], f["close"]) for f in told] == [(False, 1.081), (True, 1.081)]
            world.timers.advance(1_000)
            told = of_type(await client.settle(), "candle")
            assert [(f["closed"], f["close"]) for f in told] == [(False, 1.082)]

    play(story)


@pytest.mark.parametrize("name", ["candles", "candles:", "candles:M7", "candles:m1", "M1"])
def test_a_timeframe_that_is_not_is_named(play, name):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(action="subscribe", channels=[name], symbols=["EURUSD"])
            assert (error["code"], error["channels"]) == ("unsupported_channel", [name])
            assert "candles:TIMEFRAME" in error["detail"]

    play(story)


def test_a_pacing_client_hears_of_a_closed_candle_before_the_tick_that_closed_it(
    play, make_feed, ticks_of
):
    async def story(world):
        ticks = ticks_of(world.clock, 4)
        late = [type(t)(0, t.time_ms + n * MINUTE_MS, t.symbol, t.bid, t.ask)
                for n, t in enumerate(ticks)]  # fmt: skip
        await world.link(feed=make_feed(world.clock, late, lossless=True))
        async with world.client() as client:
            await client.send(
                action="subscribe", channels=["ticks", "candles:M1"], symbols=["WS30"], pace=True
            )
            frames: list[dict] = []
            while len(of_type(frames, "tick")) < 4:
                frames.append(await client.recv())
                if frames[-1]["type"] == "tick":
                    await client.send(action="ack", n=frames[-1]["n"])
            told = [f for f in frames if f["type"] == "tick" or f.get("closed")]
            kinds = [f["type"] for f in told]
            assert kinds == ["tick", "candle", "tick", "candle", "tick", "candle", "tick"]

    play(story, account=False)


def test_a_max_replay_starts_for_candles_alone_and_leaves_none_out(play, make_feed, ticks_of):
    async def story(world):
        ticks = ticks_of(world.clock, 2_000)
        feed_ticks = [
            type(t)(0, t.time_ms + n * MINUTE_MS // 2, t.symbol, t.bid, t.ask)
            for n, t in enumerate(ticks)
        ]
        feed = make_feed(world.clock, feed_ticks, lossless=True)
        await world.link(feed=feed)
        assert feed.given == 0
        async with world.client() as client:
            await client.send(action="subscribe", channels=["candles:M1"], symbols=["WS30"])
            closed: list[str] = []
            while len(closed) < 999:
                frame = await client.until("candle", "gap")
                assert frame["type"] == "candle"
                closed += [frame["time"]] if frame["closed"] else []
            assert closed == sorted(set(closed))
            assert (
                closed
                == [row["time"] for row in await rest_rows(world, Timeframe.M1, "WS30")][:999]
            )

    play(story, account=False)


# --- account, positions, terminal, market hours ----------------------------------------------


def test_an_account_is_told_at_most_four_times_a_second_and_ends_with_the_truth(play):
    async def story(world):
        async with world.client() as client:
            _, snapshot = await subscribed(client, "account")
            assert snapshot["account"]["balance"] == 100_000
            await world.trade(client)
            times = []
            for n in range(400):  # four seconds
                await world.price("EURUSD", 108_000 + n)
                world.timers.advance(10)
                now = world.clock.monotonic_ms()
                times += [now for _ in of_type(await client.settle(), "account")]
            assert len(times) >= 15
            for n in range(len(times) - 4):
                assert times[n + 4] - times[n] >= 1_000
            world.timers.advance(1_000)
            told = of_type(await client.settle(), "account")
            backend = world.hub._backend
            if told:
                shown = told[-1]["account"]["equity"]
                assert shown == (await backend.figures("acc_1")).equity
            world.timers.advance(10_000)
            await world.price("GBPUSD", 127_001)
            world.timers.advance(1_000)
            assert of_type(await client.settle(), "account") == []  # nothing has changed

    play(story)


def test_an_account_s_frame_follows_a_fill_and_a_halt(play):
    async def story(world):
        async with world.client() as client, world.client() as trader:
            await subscribed(client, "account")
            await world.trade(trader)
            world.timers.advance(1_000)
            told = [await client.until("account")]
            while told[-1]["account"]["margin"] == 0:
                told.append(await client.until("account"))
            world.timers.advance(1_000)
            await world.lane().risk.halt("enough")
            world.timers.advance(1_000)
            frame = await client.until("account")
            assert frame["account"]["trade_allowed"] is False

    play(story)


def test_positions_come_with_a_snapshot_that_says_which_events_are_in_it(play):
    async def story(world):
        async with world.client() as client:
            await world.trade(client)
            _, snapshot = await subscribed(client, "positions")
            [position] = snapshot["positions"]
            assert (position["symbol"], position["status"]) == ("EURUSD", "OPEN")
            assert (snapshot["epoch"], snapshot["head"]) == (
                "epoch-acc_1", world.lane().published_seq
            )  # fmt: skip
            await world.trade(client, type_="SELL")
            world_frames = await client.settle()
            assert all(f["seq"] > snapshot["head"] for f in world_frames if "seq" in f)

    play(story)


def test_a_terminal_that_goes_and_comes_is_an_event_with_a_place(play):
    async def story(world):
        async with world.client() as client:
            _, snapshot = await subscribed(client, "terminal")
            assert snapshot["terminal"] == {"connected": True, "detail": ""}
            head = world.lane().published_seq
            await world.lane().on_terminal(False, "the wire was cut")
            told = await client.until("terminal")
            assert (told["event"], told["seq"], told["prev_seq"]) == (
                "terminal.disconnected", head + 1, head
            )  # fmt: skip
            assert told["terminal"] == {"connected": False, "detail": "the wire was cut"}
            _, snapshot = await subscribed(client, "terminal")
            assert snapshot["terminal"] == {"connected": False, "detail": "the wire was cut"}
            await client.send(action="resume", after=head, channels=["terminal"])
            again = await client.until("terminal")
            assert again["event"] == "terminal.disconnected"

    play(story)


def test_market_hours_come_with_a_snapshot_and_when_they_change(play):
    async def story(world):
        async with world.client() as client, world.client() as other:
            _, snapshot = await subscribed(client, "market_open", symbols=["EURUSD", "WS30"])
            connector, now = world.lane().connector, world.clock.wall_ms()
            views = [symbol_view(connector.specs()[s], connector) for s in ("EURUSD", "WS30")]
            assert snapshot["markets"] == [
                {
                    name: getattr(v, name)
                    for name in ("symbol", "market_open", "next_open", "next_close")
                }
                for v in views
            ]
            assert all(connector.market_open(s, now) for s in ("EURUSD", "WS30"))
            await subscribed(other, "market_open", symbols=["GBPUSD"])
            state = MarketState(False, world.clock.wall_ms() + 1_000, None)
            message = MarketMessage("acc_1", "EURUSD", world.clock.wall_ms(), state)
            world.bus.publish("market.acc_1", message)
            assert await client.recv() == {
                "type": "market_open",
                "account_id": "acc_1",
                "time": "2026-01-05T00:00:00.000Z",
                "symbol": "EURUSD",
                "market_open": False,
                "next_open": "2026-01-05T00:00:01.000Z",
                "next_close": None,
            }
            assert await other.settle() == []

    play(story)


# --- symbols, room, endings ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "has", "has_not"),
    [
        (["*USD*"], {"EURUSD", "USDJPY"}, {"EURJPY", "WS30"}),
        (["*USD*", "!EUR*"], {"GBPUSD", "USDJPY"}, {"EURUSD", "WS30"}),
        (["*USD*,!EUR*", "EURGBP"], {"GBPUSD", "EURGBP"}, {"EURUSD"}),
        (["*", "!*"], set(), {"EURUSD"}),
        (["EUR???"], {"EURUSD", "EURJPY"}, {"GBPUSD"}),
    ],
)
def test_groups_of_symbols_mean_what_they_mean_over_rest(play, asked, has, has_not):
    async def story(world):
        async with world.client() as client:
            answer = await client.ask(action="subscribe", symbols=asked)
            got = set(answer.get("symbols", ()))
            assert has <= got
            assert not has_not & got
            if not has:
                assert (answer["code"], answer["symbols"]) == ("invalid_symbol", asked)
            else:
                await client.until("snapshot")
                ended = await client.ask(action="unsubscribe", symbols=asked)
                assert set(ended["symbols"]) == got

    play(story)


def test_a_group_that_holds_nothing_is_named_and_the_rest_subscribed(play):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(action="subscribe", symbols=["XYZ*", "EURUSD"], id=1)
            assert (error["code"], error["symbols"]) == ("invalid_symbol", ["XYZ*"])
            assert "no symbol is in the group" in error["detail"]
            assert (await client.recv())["symbols"] == ["EURUSD"]

    play(story)


def test_every_channel_counts_towards_the_bound(play):
    async def story(world):
        async with world.client() as client:
            answer = await client.ask(
                action="subscribe", channels=["ticks", "quotes", "account"], symbols=["EURUSD"]
            )
            assert answer["type"] == "subscribed"
            await client.settle()
            error = await client.ask(
                action="subscribe", channels=["candles:M1"], symbols=["EURUSD"]
            )
            assert "3 symbols, this would make 4" in error["detail"]
            again = await client.ask(action="subscribe", channels=["quotes"], symbols=["EURUSD"])
            assert again["type"] == "subscribed"

    play(story, subscriptions=3)


def test_what_is_unsubscribed_comes_no_more_and_the_list_says_so(play):
    async def story(world):
        channels = ["quotes", "candles:M1", "account", "market_open", "terminal", "ticks"]
        async with world.client() as client:
            await subscribed(client, *channels, symbols=["EURUSD", "GBPUSD"])
            await client.settle()  # what had to be asked for comes last
            [held] = (await client.ask(action="list"))["subscriptions"]
            assert sorted(held["channels"]) == sorted(channels)
            assert held["by_channel"]["candles:M1"] == ["EURUSD", "GBPUSD"]
            ended = await client.ask(
                action="unsubscribe", channels=["quotes", "candles:M1"], symbols=["EURUSD"]
            )
            assert ended["symbols"] == ["EURUSD"]
            await client.ask(action="unsubscribe", channels=["quotes"])
            [held] = (await client.ask(action="list"))["subscriptions"]
            assert held["by_channel"] == {
                "ticks": ["EURUSD", "GBPUSD"],
                "candles:M1": ["GBPUSD"],
                "market_open": ["EURUSD", "GBPUSD"],
            }
            await client.ask(action="unsubscribe", channels=[*channels, "terminal"])
            assert (await client.ask(action="list"))["subscriptions"] == []
            await world.price("EURUSD", 108_400)
            world.timers.advance(1_000)
            assert of_type(await client.settle(), "quote") == []
            assert world.hub._latest._feeds == {}
            assert not world.hub._readers.has_readers("acc_1")

    play(story)


def test_a_client_that_leaves_takes_its_feeds_along(play):
    async def story(world):
        timers = world.timers.waiting
        async with world.client() as client:
            channels = ("quotes", "candles:M1", "account")
            await subscribed(client, *channels, symbols=["EURUSD"])
            for n in range(3):
                await world.price("EURUSD", 108_400 + n)
            await client.settle()
        await world.hub._wait_until_empty(1_000)
        assert world.hub._latest._feeds == {}
        assert world.timers.waiting == timers

    play(story)


def test_pace_without_ticks_is_refused(play):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(
                action="subscribe", channels=["quotes"], symbols=["EURUSD"], pace=True
            )
            assert error["errors"][0]["pointer"] == "/pace"

    play(story)
