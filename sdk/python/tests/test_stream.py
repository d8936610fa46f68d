"""The asyncio stream against a real WebSocket server on loopback, its waits noted, not slept."""

import asyncio
import logging

import httpx2
import pytest

from fxsocket import (
    AsyncFxSocketClient,
    ChannelGap,
    ConnectError,
    DealUpdate,
    Gap,
    Heartbeat,
    OrderUpdate,
    PositionUpdate,
    Reconnected,
    Snapshot,
    StreamError,
    StreamErrorEvent,
    Subscribed,
    Tick,
    Unknown,
)

NOW = "2026-11-22T10:00:00.250Z"
DEAL = {"id": "deal_1", "type": "SELL", "profit": -0.7, "time": NOW}
POSITION = {"id": "pos_1", "account_id": "acc_1", "symbol": "EURUSD", "type": "BUY", "volume": 0.1,
            "open_price": 1.0834, "opened_at": NOW, "status": "OPEN"}  # fmt: skip


async def take(stream, count):
    return [await anext(stream) for _ in range(count)]


def test_subscribing_and_every_kind_of_event(go, streaming, key, tick, update):
    async def server(peer):
        assert peer.headers["Authorization"] == f"Bearer {key}"
        assert peer.headers["User-Agent"].startswith("fxsocket-python/")
        assert peer.path == "/v1/stream"
        asked = await peer.hear()
        assert asked == {"action": "subscribe", "id": asked["id"], "channels": ["ticks"],
                         "symbols": ["EURUSD", "XXX"], "pace": False}  # fmt: skip
        await peer.say(type="subscribed", id="1", channels=["ticks"], symbols=["EURUSD"],
                       account_id="acc_1")  # fmt: skip
        await peer.say(type="error", id="1", code="invalid_symbol", detail="no XXX; see /symbols")
        await peer.say(type="snapshot", channel="ticks", account_id="acc_1", ticks=[tick()])
        await peer.say(**tick(last=None, volume=None, flags=6))
        await peer.say(**update(4, 3))
        await peer.say(type="deal", account_id="acc_1", seq=5, prev_seq=4, epoch="e1",
                       event="deal.added", deal=DEAL)  # fmt: skip
        await peer.say(type="position", account_id="acc_1", seq=6, prev_seq=5, epoch="e1",
                       event="position.opened", position=POSITION)  # fmt: skip
        await peer.say(type="heartbeat", time=NOW)
        await peer.say(type="stale", account_id="acc_1", channel="ticks", since=NOW)
        await peer.say(type="gap", account_id="acc_1", channel="ticks", **{"from": NOW, "to": NOW})
        await peer.say(type="candle", symbol="EURUSD", closed=True)
        ended = await peer.hear()
        assert ended == {"action": "unsubscribe", "id": ended["id"], "channels": ["ticks"],
                         "symbols": ["XXX"]}  # fmt: skip
        assert ended["id"] != asked["id"]
        await peer.say(type="unsubscribed", id=ended["id"])
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            await stream.subscribe(["EURUSD", "XXX"])
            events = await take(stream, 11)
            await stream.unsubscribe(["XXX"])
            assert (await anext(stream)).type == "unsubscribed"
        return events

    subscribed, error, snapshot, price, order, deal, position, heartbeat, stale, gap, candle = go(
        main()
    )
    assert subscribed == Subscribed(
        id="1", channels=("ticks",), symbols=("EURUSD",), account_id="acc_1"
    )
    assert error == StreamErrorEvent(id="1", code="invalid_symbol", detail="no XXX; see /symbols")
    assert isinstance(snapshot, Snapshot)
    assert snapshot.ticks[0].bid == 1.0834
    assert isinstance(price, Tick)
    assert (price.bid, price.flags, price.timestamp.microsecond, price.n) == (
        1.0834,
        6,
        250_000,
        None,
    )
    assert isinstance(order, OrderUpdate)
    assert (order.seq, order.event, order.order.price) == (4, "order.filled", 1.0834)
    assert isinstance(deal, DealUpdate)
    assert (deal.seq, deal.deal.profit) == (5, -0.7)
    assert isinstance(position, PositionUpdate)
    assert (position.prev_seq, position.position.volume) == (5, 0.1)
    assert isinstance(heartbeat, Heartbeat)
    assert (stale.account_id, stale.channel, stale.symbol, stale.stale) == (
        "acc_1", "ticks", None, True,
    )  # fmt: skip
    assert stale.since == price.timestamp
    assert isinstance(gap, ChannelGap)
    assert gap.from_ == NOW
    assert isinstance(candle, Unknown)  # not whole: kept, never an exception
    assert candle.raw["closed"] is True


def test_a_drop_is_followed_by_reconnecting_and_resubscribing(go, streaming, tick):
    heard = []

    async def listen(peer):
        frames = [await peer.hear() for _ in range(3)]
        heard.append(frames)
        await peer.say(**tick())

    async def closes(peer):
        await listen(peer)
        await peer.close(4000, "restart")

    async def breaks(peer):
        await listen(peer)
        assert (await peer.hear())["action"] == "ack"  # the consumer has the tick
        peer.socket.transport.abort()

    async def stays(peer):
        await listen(peer)
        await peer.stay()

    async def main():
        async with streaming(closes, breaks, stays) as at, at.client().stream() as stream:
            await stream.subscribe(["EURUSD"], pace=True)
            await stream.subscribe(["GBPUSD", "EURUSD"], ["ticks", "candles:M1"])
            await stream.subscribe(channels=["deals"], account_id="acc_2")
            await stream.unsubscribe(channels=["deals"], account_id="acc_2")
            await stream.unsubscribe(["EURUSD"], ["candles:M1"])
            await stream.unsubscribe(["GBPUSD"], ["ticks"])
            await take(stream, 3)
            await stream.ack(1)
            again, _ = await take(stream, 2)
            assert again == Reconnected(
                connection=3, reason="closed with 1006 the connection broke"
            )
            return at.slept

    slept = go(main())
    wanted = [
        {"channels": ["ticks"], "symbols": ["EURUSD"], "pace": True},
        {"channels": ["ticks"], "symbols": ["EURUSD"], "pace": False},
        {"channels": ["candles:M1"], "symbols": ["GBPUSD"], "pace": False},
    ]
    ids = [frame.pop("id") for frames in heard for frame in frames]
    assert heard == [[{"action": "subscribe"} | frame for frame in wanted]] * 3
    assert len(set(ids)) == len(ids)
    assert slept == pytest.approx([0.1, 0.1])  # 0.2 s, halved by the draw; a frame resets it


def test_it_never_gives_up_and_waits_longer_each_time(go, streaming, tick):
    refusals = [503] * 12

    async def server(peer):
        await peer.say(**tick())
        await peer.stay()

    async def main():
        async with streaming(*refusals, server) as at, at.client().stream() as stream:
            await anext(stream)
            return at.slept

    slept = go(main())
    grown = [min(0.2 * 2**n, 30.0) * 0.5 for n in range(12)]
    assert slept == pytest.approx(grown)


def test_a_server_that_is_not_there_yet_is_waited_for(go, streaming):
    async def main():
        async with streaming() as at:
            url = at.url
        slept = []

        async def sleep(seconds):
            slept.append(seconds)
            if len(slept) == 3:
                raise RuntimeError("enough")

        client = at.client(sleep=sleep)
        at.url = url
        async with client.stream() as stream:
            with pytest.raises(RuntimeError, match="enough"):
                await anext(stream)
        return slept

    assert go(main()) == pytest.approx([0.1, 0.2, 0.4])


def test_retry_after_on_the_upgrade_is_honoured_up_to_its_bound(go, streaming, tick):
    async def server(peer):
        await peer.say(**tick())
        await peer.stay()

    async def main(retry_after):
        async with streaming(429, server) as at, at.client().stream() as stream:
            at.retry_after = retry_after
            await anext(stream)
            return at.slept

    assert go(main("7")) == [7.0]
    assert go(main("3600")) == [60.0]
    assert go(main("soon")) == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("code", "reason"), [(4501, "unauthorised"), (4503, "forbidden"), (4506, "protocol error")]
)
def test_a_final_close_code_ends_the_stream(go, streaming, code, reason, tick):
    async def server(peer):
        await peer.say(**tick())
        await peer.close(code, reason)

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            assert isinstance(await anext(stream), Tick)
            for _ in range(2):
                with pytest.raises(StreamError) as caught:
                    await anext(stream)
            with pytest.raises(ConnectError, match="the stream has ended"):
                await stream.ping()
            assert at.slept == []
            return caught.value

    error = go(main())
    assert (error.code, error.reason, error.reconnectable) == (code, reason, False)


def test_a_final_code_while_subscriptions_are_sent_ends_the_stream(go, streaming):
    async def server(peer):
        await peer.close(4501, "revoked")

    async def main():
        async with streaming(server) as at:
            stream = at.client().stream()
            for number in range(300):
                stream._core._session.subscribe([f"S{number}"], [f"candles:{number}"], False, None)
            async with stream:
                with pytest.raises(StreamError) as caught:
                    await anext(stream)
                return caught.value.code

    assert go(main()) == 4501


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "FXSOCKET_API_KEY"), (403, "may not use the stream"), (404, "FXSOCKET_STREAM_URL"),
     (400, "answered 400")],
)  # fmt: skip
def test_a_refused_upgrade_ends_the_stream(go, streaming, status, says):
    async def main():
        async with streaming(status) as at, at.client().stream() as stream:
            with pytest.raises(StreamError, match=says) as caught:
                await anext(stream)
            assert at.slept == []
            return caught.value.code

    assert go(main()) == status


def test_a_plain_http_server_that_knows_no_websocket_ends_the_stream(go):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: other\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main():
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with listening:
            client = AsyncFxSocketClient("k", stream_url=f"ws://127.0.0.1:{port}/v1/stream")
            async with client.stream() as stream:
                with pytest.raises(StreamError, match="no WebSocket server"):
                    await anext(stream)

    go(main())


def test_a_reconnect_resumes_the_log(go, streaming, update):
    async def first(peer):
        await peer.say(**update(4, 3))
        await peer.close(4000)

    async def second(peer):
        frame = await peer.hear()
        assert frame == {"action": "resume", "id": frame["id"], "account_id": "acc_1", "after": 4,
                         "epoch": "e1", "channels": []}  # fmt: skip
        await peer.say(**update(6, 4))
        await peer.say(type="resumed", id=frame["id"], account_id="acc_1", after=4, head=9,
                       epoch="e1")  # fmt: skip
        await peer.say(**update(10, 6))
        await peer.close(4000)

    async def third(peer):
        frame = await peer.hear()
        assert frame["after"] == 10
        await peer.say(type="reset", id=frame["id"], account_id="acc_1", reason="restored", head=2,
                       epoch="e2")  # fmt: skip
        await peer.stay()

    async def main():
        async with streaming(first, second, third) as at, at.client().stream() as stream:
            return await take(stream, 6)

    *updates, gap = go(main())
    again = [event for event in updates if isinstance(event, Reconnected)]
    assert again[0] == Reconnected(connection=2, reason="closed with 4000")
    assert [event.connection for event in again] == [2, 3]
    assert [event.seq for event in updates if isinstance(event, OrderUpdate)] == [4, 6, 10]
    assert gap == Gap(account_id="acc_1", from_seq=0, to_seq=2, epoch="e2", epoch_changed=True)


def test_a_gap_over_a_reconnect_is_announced(go, streaming, update):
    async def first(peer):
        await peer.say(**update(4, 3))
        await peer.close(4000)

    async def second(peer):
        await peer.say(**update(4, 3))  # repeated
        await peer.say(type="deal", account_id="acc_1", seq=8, prev_seq=7, epoch="e1")
        await peer.say(**update(9, 8))
        await peer.stay()

    async def main():
        async with streaming(first, second) as at, at.client().stream() as stream:
            return await take(stream, 5)

    before, again, gap, deal, after = go(main())
    assert isinstance(again, Reconnected)
    assert before.seq == 4
    assert gap == Gap(account_id="acc_1", from_seq=4, to_seq=7, epoch="e1")
    assert (deal.type, after.seq) == ("deal", 9)


def test_nothing_missed_is_no_gap(go, streaming, update):
    async def first(peer):
        await peer.say(**update(4, 3))
        await peer.close(4000)

    async def second(peer):
        await peer.say(**update(6, 4))  # 5 was not for this connection
        await peer.stay()

    async def main():
        async with streaming(first, second) as at, at.client().stream() as stream:
            return await take(stream, 3)

    first_event, again, last = go(main())
    assert isinstance(again, Reconnected)
    assert (first_event.seq, last.seq) == (4, 6)


def test_closing_ends_the_iteration_and_may_be_done_twice(go, streaming, tick):
    async def server(peer):
        await peer.say(**tick())
        await peer.stay()

    async def main():
        async with streaming(server) as at:
            stream = at.client().stream()
            seen = [event async for event in first_then_close(stream)]
            await stream.close()
            assert [event async for event in stream] == []
            with pytest.raises(ConnectError, match="closed"):
                await stream.subscribe(["EURUSD"])
            return len(seen)

    assert go(main()) == 1


async def first_then_close(stream):
    async for event in stream:
        yield event
        await stream.close()


def test_closing_is_a_normal_close(go, streaming, tick):
    codes = []

    async def server(peer):
        await peer.say(**tick())
        await peer.stay()
        codes.append(peer.socket.close_code)

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            await anext(stream)

    go(main())
    assert codes == [1000]


def test_closing_wakes_a_waiting_consumer(go, streaming):
    async def main():
        async with streaming() as at:
            stream = at.client().stream()
            waiting = asyncio.create_task(anext(stream, "ended"))
            await asyncio.sleep(0)
            await stream.close()
            return await waiting

    assert go(main()) == "ended"


def test_a_bug_reaches_the_consumer(go, streaming):
    async def main():
        async with streaming(503) as at:

            async def broken(seconds):
                raise ZeroDivisionError

            async with at.client(sleep=broken).stream() as stream:
                with pytest.raises(ZeroDivisionError):
                    await anext(stream)

    go(main())


def test_no_log_shows_the_key(go, streaming, caplog, key, reply, tick):
    async def server(peer):
        await peer.say(**tick())
        await peer.close(4000, "restart")

    async def main():
        transport = httpx2.MockTransport(lambda request: reply([]))
        async with streaming(server, 503) as at:
            client = at.client(transport=transport)
            await client.positions.list()
            async with client.stream() as stream:
                await anext(stream)

    with caplog.at_level(logging.DEBUG):
        go(main())
    ours = [record for record in caplog.records if record.name != "websockets.server"]
    lines = [record.getMessage() for record in ours]
    assert any("Authorization: ***" in line for line in lines)
    assert any("/v1/positions" in line for line in lines)
    assert key not in "\n".join(lines)
    assert not [record for record in ours if key in str(vars(record))]
