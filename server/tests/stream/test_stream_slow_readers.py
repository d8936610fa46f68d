"""Readers that do not read: who waits for them, what they are told, and when they are closed."""

import asyncio
import json
from itertools import pairwise

MARKET, EVENTS = 32_768, 131_072
TICK_BYTES = 190  # at most, with its WebSocket header
COUNT = 6_000  # about 1 MB: more than all buffers between server and a client that does not read


def wire_of(world, client):
    """The server's end of a raw client's socket."""
    port = client.sock.getsockname()[1]
    for connection in world.hub._connections:
        transport = connection.wire._transport.underlying_transport
        if transport.get_extra_info("peername")[1] == port:
            return connection.wire
    raise AssertionError("not connected")


async def until(condition):
    """Let the event loop turn until something holds; the watchdog bounds it."""
    for _ in range(10_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("never happened")


def is_held(world) -> bool:
    """Whether the feed waits at the gate."""
    return "acc_1" in world.hub._gate._held.accounts


def bids(frames):
    return [int(frame["bid"]) for frame in frames if frame["type"] == "tick"]


async def read_ticks(client, count):
    """The next `count` ticks; whatever else comes is left out."""
    ticks: list[dict] = []
    while len(ticks) < count:
        frame = await client.recv()
        if frame["type"] == "tick":
            ticks.append(frame)
    return ticks


def assert_every_tick_accounted_for(frames, feed):
    """In order, and each tick either arrived or lies in an announced gap, exactly."""
    numbers = [bid - 40_000 + 1 for bid in bids(frames)]
    assert all(a < b for a, b in pairwise(numbers))
    gaps = [frame for frame in frames if frame["type"] == "gap"]
    assert gaps
    missing = sorted(set(range(1, len(feed.ticks) + 1)) - set(numbers))
    told = [n for gap in gaps for n in range(gap["from"], gap["to"] + 1)]
    assert told == missing
    assert sum(gap["count"] for gap in gaps) == len(missing)
    assert {(g["channel"], g["symbol"], g["account_id"]) for g in gaps} == {
        ("ticks", "WS30", "acc_1")
    }


# --- a replay at `max` -----------------------------------------------------------------------


def test_a_max_replay_waits_for_a_full_reader_until_it_has_stalled(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.raw() as slow, world.client() as fast:
            await slow.send(action="subscribe", symbols=["WS30"])
            await fast.send(action="subscribe", symbols=["WS30"])
            wire = wire_of(world, slow)
            received = asyncio.create_task(read_ticks(fast, COUNT))
            await until(lambda: wire.is_full and is_held(world))
            stopped_at = feed.given
            assert 0 < stopped_at < COUNT
            world.timers.advance(1_999)
            for _ in range(50):
                await asyncio.sleep(0)
            assert feed.given == stopped_at, "the clock ran on before the reader had stalled"
            world.timers.advance(1)
            assert bids(await received) == [tick.bid for tick in feed.ticks]
            assert MARKET < wire.unsent_bytes() <= MARKET + TICK_BYTES
            last = float(feed.ticks[-1].bid)
            frames = await slow.up_to(lambda frame: frame.get("bid") == last)
            assert_every_tick_accounted_for(frames, feed)

    play(story, account=False, market_bytes=MARKET)


def test_a_slow_reader_that_keeps_reading_loses_nothing(play, make_feed, ticks_of):
    """It is full again and again, never for two seconds: the replay goes at its speed."""

    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.raw() as slow:
            await slow.send(action="subscribe", symbols=["WS30"])
            wire = wire_of(world, slow)
            times_full, frames = 0, []
            while feed.given < COUNT:
                await until(lambda: is_held(world) or feed.given == COUNT)
                if not times_full:
                    world.timers.advance(1_999)
                times_full += wire.is_full
                while wire.is_full:
                    frames.append(await slow.recv())
            last = float(feed.ticks[-1].bid)
            frames += await slow.up_to(lambda frame: frame.get("bid") == last)
            assert bids(frames) == [tick.bid for tick in feed.ticks]
            assert times_full > 10

    play(story, account=False, market_bytes=MARKET)


def test_a_full_reader_that_leaves_releases_the_replay_at_once(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=True)
        await world.link(feed=feed)
        async with world.client() as fast:
            async with world.raw() as slow:
                await slow.send(action="subscribe", symbols=["WS30"])
                await until(lambda: is_held(world))
                await fast.send(action="subscribe", symbols=["WS30"])
                await fast.until("subscribed")
                stopped_at = feed.given
            ticks = await read_ticks(fast, COUNT - stopped_at + 1)
            assert bids(ticks) == [tick.bid for tick in feed.ticks[stopped_at - 1 :]]

    play(story, account=False, market_bytes=MARKET)


# --- a live feed -----------------------------------------------------------------------------


def test_a_live_feed_conflates_a_full_reader_at_once_and_waits_for_nobody(
    play, make_feed, ticks_of
):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=False)
        await world.link(feed=feed)
        async with world.raw() as slow, world.client() as fast:
            await slow.send(action="subscribe", symbols=["WS30"])
            await fast.send(action="subscribe", symbols=["WS30"])
            ticks = await read_ticks(fast, COUNT)
            assert bids(ticks) == [tick.bid for tick in feed.ticks]
            assert MARKET < wire_of(world, slow).unsent_bytes() <= MARKET + TICK_BYTES
            last = float(feed.ticks[-1].bid)
            frames = await slow.up_to(lambda frame: frame.get("bid") == last)
            assert_every_tick_accounted_for(frames, feed)

    play(story, account=False, market_bytes=MARKET)


def test_each_symbol_is_conflated_and_counted_on_its_own(play, make_feed, ticks_of):
    async def story(world):
        symbols = ["WS30", "EURUSD", "GBPUSD"]
        ticks = ticks_of(world.clock, COUNT, tuple(symbols))
        feed = make_feed(world.clock, ticks, lossless=False)
        await world.link(feed=feed)
        async with world.raw() as slow:
            await slow.send(action="subscribe", symbols=symbols)
            await until(lambda: feed.given == COUNT)
            frames: list[dict] = []
            ended: set[str] = set()
            while ended != set(symbols):
                frames.append(await slow.recv())
                if frames[-2:-1] and frames[-2]["type"] == "gap":
                    ended.add(frames[-1]["symbol"])
            for symbol in symbols:
                mine = [frame for frame in frames if frame.get("symbol") == symbol]
                (gap,) = [frame for frame in mine if frame["type"] == "gap"]
                assert mine[-2:] == [gap, mine[-1]]
                assert len(mine) - 1 + gap["count"] == COUNT / 3

    play(story, account=False, market_bytes=MARKET)


def test_what_is_late_of_a_symbol_is_announced_when_its_subscription_ends(
    play, make_feed, ticks_of
):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=False)
        await world.link(feed=feed)
        async with world.raw() as slow:
            await slow.send(action="subscribe", symbols=["WS30"])
            await until(lambda: feed.given == COUNT)
            await slow.send(action="unsubscribe", symbols=["WS30"])
            frames = await slow.up_to(lambda frame: frame["type"] == "unsubscribed")
            assert_every_tick_accounted_for(frames, feed)
            assert frames[-2]["type"] == "gap"
            assert frames[-2]["to"] == COUNT

    play(story, account=False, market_bytes=MARKET)


def test_what_is_late_of_a_symbol_is_announced_before_it_is_paced(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=False)
        await world.link(feed=feed)
        async with world.raw() as slow:
            await slow.send(action="subscribe", symbols=["WS30"])
            await until(lambda: feed.given == COUNT)
            await slow.send(action="subscribe", symbols=["WS30"], pace=True)
            frames = await slow.up_to(lambda frame: frame.get("pace") is True)
            assert_every_tick_accounted_for(frames, feed)
            assert frames[-2]["type"] == "gap"

    play(story, account=False, market_bytes=MARKET)


# --- events ----------------------------------------------------------------------------------


async def trade_until(world, trader, condition):
    """Trade until something holds; returns how many trades that took."""
    for count in range(1_000):
        if condition():
            return count
        await world.trade(trader)
    raise AssertionError("never happened")


def test_too_many_unread_events_close_with_4008_and_none_before_was_dropped(play):
    async def story(world):
        async with world.raw() as slow, world.client() as trader:
            await trader.settle()
            await slow.send(action="ping")
            await slow.recv()
            head, wire = world.lane().published_seq, wire_of(world, slow)
            await trade_until(world, trader, lambda: wire.is_closing)
            assert wire.unsent_bytes() <= EVENTS + 4_096
            code, frames = await slow.rest()
            assert code == 4008
            seqs = [frame["seq"] for frame in frames]
            events = world.journal.events("acc_1", head, 100_000)
            logged = [event.seq for event in events if event.type.startswith("order.")]
            assert seqs == logged[: len(seqs)]
            assert [frame["prev_seq"] for frame in frames] == [head, *seqs][: len(seqs)]
            async with world.client() as again:
                await again.send(action="resume", after=seqs[-1])
                missed = await again.settle()
                assert seqs + [f["seq"] for f in missed if "seq" in f] == logged
            assert (await world.trade(trader))["type"] == "result"

    play(story, market_bytes=MARKET, event_bytes=EVENTS)


def test_market_data_alone_never_closes(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=False)
        await world.link(feed=feed)
        async with world.raw() as slow:
            await slow.send(action="subscribe", symbols=["WS30"])
            await until(lambda: feed.given == COUNT)
            assert not wire_of(world, slow).is_closing

    play(story, account=False, market_bytes=MARKET, event_bytes=MARKET + 1_024)


def test_a_client_that_asks_and_never_reads_is_closed_too(play, masked_frame):
    async def story(world):
        async with world.raw() as rude:
            ping = masked_frame(0x81, json.dumps({"action": "list", "id": "x" * 20_000}).encode())
            wire = wire_of(world, rude)
            for _ in range(200):
                if wire.is_closing:
                    break
                await rude.write(ping)
                await asyncio.sleep(0)
            await until(lambda: wire.is_closing)
            assert wire.unsent_bytes() <= EVENTS + 21_000
            assert (await rude.rest())[0] == 4008

    play(story, market_bytes=MARKET, event_bytes=EVENTS)


def test_a_long_resume_goes_at_the_reader_s_speed_and_never_closes_it(play):
    """Far more events than may be unread: they are read from the log as the client reads."""

    async def story(world):
        async with world.client() as trader, world.raw() as slow:
            await trader.settle()
            await trade_until(world, trader, lambda: world.lane().published_seq > 1_600)
            wire = wire_of(world, slow)
            await slow.send(action="resume", after=0, channels=["deals", "positions"])
            await until(lambda: wire.is_full)
            await trade_until(world, trader, lambda: world.lane().published_seq > 1_700)
            assert not wire.is_closing
            assert wire.unsent_bytes() < EVENTS
            frames = await slow.up_to(lambda frame: frame["type"] == "resumed")
            seqs = [frame["seq"] for frame in frames[:-1]]
            events = world.journal.events("acc_1", 0, 100_000)
            families = ("order", "deal", "position")
            assert seqs == [e.seq for e in events if e.type.partition(".")[0] in families]
            assert frames[-1]["head"] == world.lane().published_seq

    play(story, market_bytes=MARKET, event_bytes=EVENTS, page_events=20)


def test_a_full_reader_gets_no_heartbeats(play, make_feed, ticks_of):
    async def story(world):
        feed = make_feed(world.clock, ticks_of(world.clock, COUNT), lossless=False)
        await world.link(feed=feed)
        async with world.raw() as slow:
            await slow.send(action="subscribe", symbols=["WS30"])
            await until(lambda: feed.given == COUNT)
            unsent = wire_of(world, slow).unsent_bytes()
            world.timers.advance(60_000)
            assert wire_of(world, slow).unsent_bytes() == unsent

    play(story, account=False, market_bytes=MARKET)
