"""The asyncio stream against a real WebSocket server on loopback, its waits noted, not slept."""

import asyncio
import logging

import httpx2
import pytest

from fxsocket import (
    ChannelGap,
    ConnectError,
    Gap,
    Heartbeat,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderUpdate,
    RequestTimeout,
    Snapshot,
    Stale,
    StreamError,
    StreamErrorEvent,
    Subscribed,
    Tick,
    Unknown,
    ValidationError,
)
from fxsocket._stream.supervisor import Patience
from fxsocket.stream import AsyncStream

NOW = "2026-11-22T10:00:00.250Z"


def tick(n=None, **more):
    frame = {"type": "tick", "symbol": "EURUSD", "bid": 1.0834, "ask": 1.08343, "timestamp": NOW}
    return frame | {"account_id": "acc_1"} | ({} if n is None else {"n": n}) | more


def update(order, seq, prev_seq, epoch="e1"):
    return {"type": "order_update", "account_id": "acc_1", "seq": seq, "prev_seq": prev_seq,
            "epoch": epoch, "event": "order.filled", "order": order}  # fmt: skip


async def take(stream, count):
    return [await anext(stream) for _ in range(count)]


def test_subscribing_and_every_kind_of_event(go, streaming, order_row, key):
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
        await peer.say(**update(order_row(), 4, 3))
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
            events = await take(stream, 9)
            await stream.unsubscribe(["XXX"])
            assert (await anext(stream)).type == "unsubscribed"
        return events

    subscribed, error, snapshot, price, order, heartbeat, stale, gap, candle = go(main())
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
    assert isinstance(heartbeat, Heartbeat)
    assert stale == Stale(account_id="acc_1", channel="ticks")
    assert isinstance(gap, ChannelGap)
    assert gap.from_ == NOW
    assert isinstance(candle, Unknown)
    assert candle.raw["closed"] is True


def test_a_drop_is_followed_by_reconnecting_and_resubscribing(go, streaming):
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
            await take(stream, 2)
            await stream.ack(1)
            await anext(stream)
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


def test_it_never_gives_up_and_waits_longer_each_time(go, streaming):
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


def test_retry_after_on_the_upgrade_is_honoured_up_to_its_bound(go, streaming):
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
def test_a_final_close_code_ends_the_stream(go, streaming, code, reason):
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
        from fxsocket import AsyncFxSocketClient

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with listening:
            client = AsyncFxSocketClient("k", stream_url=f"ws://127.0.0.1:{port}/v1/stream")
            async with client.stream() as stream:
                with pytest.raises(StreamError, match="no WebSocket server"):
                    await anext(stream)

    go(main())


def test_paced_ticks_are_acknowledged_when_the_next_is_asked_for(go, streaming):
    acked = []

    async def server(peer):
        assert (await peer.hear())["pace"] is True
        for n in range(1, 4):
            await peer.say(**tick(n))
            ping = await peer.hear()  # an early acknowledgement would come before it
            assert ping["action"] == "ping"
            await peer.say(type="pong", id=ping["id"])
            acked.append(await peer.hear())
        await peer.say(type="done")
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            await stream.subscribe(["EURUSD"], pace=True)
            for n in range(1, 4):
                assert (await anext(stream)).n == n
                await stream.ping()
            assert (await anext(stream)).type == "done"

    go(main())
    assert acked == [{"action": "ack", "n": n, "account_id": "acc_1"} for n in (1, 2, 3)]


def test_pacing_by_hand(go, streaming):
    async def server(peer):
        await peer.hear()
        await peer.say(**tick(1))
        asked = await peer.hear()
        assert asked["action"] == "ping"
        await peer.say(type="pong", id=asked["id"])
        assert await peer.hear() == {"action": "ack", "n": 1}
        await peer.say(**tick(2))
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream(auto_ack=False) as stream:
            await stream.subscribe(["EURUSD"], pace=True)
            assert (await anext(stream)).n == 1
            assert await stream.get(timeout=0.01) is None  # asking acknowledges nothing
            await stream.ping()
            await stream.ack(1)
            assert (await anext(stream)).n == 2

    go(main())


def test_a_number_of_an_earlier_connection_is_not_acknowledged(go, streaming):
    async def first(peer):
        await peer.hear()
        await peer.say(**tick(41))
        await peer.close(4000)

    again: list[asyncio.Event] = []

    async def second(peer):
        await peer.hear()
        again[0].set()
        await peer.say(**tick(1))
        assert await peer.hear() == {"action": "ack", "n": 1, "account_id": "acc_1"}
        await peer.say(**tick(2))
        await peer.stay()

    async def main():
        again.append(asyncio.Event())
        async with streaming(first, second) as at, at.client().stream() as stream:
            await stream.subscribe(["EURUSD"], pace=True)
            before = await anext(stream)
            await again[0].wait()
            return [event.n for event in (before, *await take(stream, 2))]

    assert go(main()) == [41, 1, 2]


def test_two_paced_accounts_are_acknowledged_by_name(go, streaming):
    async def server(peer):
        await peer.say(**tick(7, account_id="acc_1"))
        assert await peer.hear() == {"action": "ack", "n": 7, "account_id": "acc_1"}
        await peer.say(**tick(9, account_id="acc_2"))
        assert await peer.hear() == {"action": "ack", "n": 9, "account_id": "acc_2"}
        await peer.say(type="done")
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            return [type(event) for event in await take(stream, 3)]

    assert go(main()) == [Tick, Tick, Unknown]


def test_a_reconnect_resumes_the_log(go, streaming, order_row):
    async def first(peer):
        await peer.say(**update(order_row(), 4, 3))
        await peer.close(4000)

    async def second(peer):
        frame = await peer.hear()
        assert frame == {"action": "resume", "id": frame["id"], "account_id": "acc_1", "after": 4,
                         "epoch": "e1", "channels": []}  # fmt: skip
        await peer.say(**update(order_row(), 6, 4))
        await peer.say(type="resumed", id=frame["id"], account_id="acc_1", after=4, head=9,
                       epoch="e1")  # fmt: skip
        await peer.say(**update(order_row(), 10, 6))
        await peer.close(4000)

    async def third(peer):
        frame = await peer.hear()
        assert frame["after"] == 10
        await peer.say(type="reset", id=frame["id"], account_id="acc_1", reason="restored", head=2,
                       epoch="e2")  # fmt: skip
        await peer.stay()

    async def main():
        async with streaming(first, second, third) as at, at.client().stream() as stream:
            return await take(stream, 4)

    *updates, gap = go(main())
    assert [event.seq for event in updates] == [4, 6, 10]
    assert gap == Gap(account_id="acc_1", from_seq=0, to_seq=2, epoch="e2", epoch_changed=True)


def test_a_gap_over_a_reconnect_is_announced(go, streaming, order_row):
    async def first(peer):
        await peer.say(**update(order_row(), 4, 3))
        await peer.close(4000)

    async def second(peer):
        await peer.say(**update(order_row(), 4, 3))  # repeated
        await peer.say(type="deal", account_id="acc_1", seq=8, prev_seq=7, epoch="e1")
        await peer.say(**update(order_row(), 9, 8))
        await peer.stay()

    async def main():
        async with streaming(first, second) as at, at.client().stream() as stream:
            return await take(stream, 4)

    before, gap, deal, after = go(main())
    assert before.seq == 4
    assert gap == Gap(account_id="acc_1", from_seq=4, to_seq=7, epoch="e1")
    assert (deal.type, after.seq) == ("deal", 9)


def test_nothing_missed_is_no_gap(go, streaming, order_row):
    async def first(peer):
        await peer.say(**update(order_row(), 4, 3))
        await peer.close(4000)

    async def second(peer):
        await peer.say(**update(order_row(), 6, 4))  # 5 was not for this connection
        await peer.stay()

    async def main():
        async with streaming(first, second) as at, at.client().stream() as stream:
            return [event.seq for event in await take(stream, 2)]

    assert go(main()) == [4, 6]


def test_ping(go, streaming):
    async def server(peer):
        frame = await peer.hear()
        assert frame == {"action": "ping", "id": "1"}
        await peer.say(type="pong", id="1")
        assert (await peer.hear())["action"] == "ping"
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            assert 0 < await stream.ping() < 10
            with pytest.raises(RequestTimeout):
                await stream.ping(timeout=0.02)

    go(main())


def order(stream, **more):
    return stream.place_order(symbol="EURUSD", type="BUY", volume=0.1, **more)


def test_an_order_over_the_stream(go, streaming, order_row):
    async def server(peer):
        frame = await peer.hear()
        assert frame == {
            "action": "order.place",
            "id": "1",
            "order": {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "sl": 1.07,
                      "client_order_id": "mine"},
        }  # fmt: skip
        await peer.say(**update(order_row(), 4, 3))
        await peer.say(type="result", id="1", order=order_row())
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            placed = await order(stream, sl=1.07, tp=None, client_order_id="mine")
            assert placed.price == 1.0834
            assert (await anext(stream)).order == placed

    go(main())


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": 422, "code": "invalid_volume", "detail": "no"}, ValidationError),
        ({"status": 422, "code": "requote", "detail": "no", "retcode": 10004}, OrderRejected),
    ],
)
def test_a_refusal_over_the_stream(go, streaming, fields, kind):
    async def server(peer):
        frame = await peer.hear()
        await peer.say(type="error", id=frame["id"], **fields)
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            with pytest.raises(kind) as caught:
                await order(stream)
            return caught.value

    error = go(main())
    assert (error.code, error.maybe_executed) == (fields["code"], False)


def looked_up(answers):
    """A REST side that answers lookups, and notes their paths."""
    paths = []

    def answer(request):
        paths.append(request.url.path)
        return answers.pop(0)

    return httpx2.MockTransport(answer), paths


@pytest.mark.parametrize("how", ["drop", "silence", "in flight", "unreadable"])
def test_an_order_whose_answer_is_lost_is_looked_up_never_sent_again(go, streaming, order_row, how):
    sent = []

    async def server(peer):
        sent.append(await peer.hear())
        if how == "drop":
            await peer.close(4000)
        elif how == "in flight":
            await peer.say(type="error", id="1", status=409, code="idempotency_in_flight")
        elif how == "unreadable":
            await peer.say(type="result", id="1", order={})
        await peer.stay()

    answers = [httpx2.Response(404, json={}), httpx2.Response(200, json=order_row())]
    patience = {"silence": 0.6}.get(how, 30.0)
    transport, paths = looked_up(answers)

    async def main():
        async with streaming(server) as at:
            client = at.client(transport=transport, total_timeout=patience, clock=lambda: 0.0)
            async with client.stream() as stream:
                return await order(stream, client_order_id="mine")

    assert go(main()).id == "ord_1"
    assert paths == ["/v1/orders/by-client-id/mine"] * 2
    assert len(sent) == 1


def test_an_order_that_cannot_be_found_is_unknown(go, streaming):
    async def server(peer):
        await peer.hear()
        await peer.close(4000)

    transport, _ = looked_up([httpx2.Response(404, json={}) for _ in range(99)])

    async def main():
        async with streaming(server) as at:
            now = [0.0]

            async def sleep(seconds):
                now[0] += seconds
                await asyncio.sleep(0)

            client = at.client(transport=transport, sleep=sleep, clock=lambda: now[0])
            async with client.stream() as stream:
                with pytest.raises(OrderOutcomeUnknown) as caught:
                    await order(stream, client_order_id="mine")
                return caught.value.client_order_id

    assert go(main()) == "mine"


def test_without_a_connection_no_order_is_sent(go, streaming):
    async def main():
        async with streaming(*[503] * 10_000) as at:
            async with at.client(total_timeout=0.03).stream() as stream:
                with pytest.raises(ConnectError, match="nothing was sent") as caught:
                    await order(stream)
            at.scripts.clear()
            return caught.value.maybe_executed

    assert go(main()) is False


def bounded(at, queue_bytes):
    return AsyncStream(at.client()._requester, queue_bytes=queue_bytes)


async def turns(count, until=lambda: False):
    """Let every task of the loop run so often, or until something is so."""
    for _ in range(count):
        if until():
            return
        await asyncio.sleep(0)


def test_the_inbox_is_bounded_and_drops_nothing(go, streaming):
    count, limit = 3000, 10_000

    async def server(peer):
        for number in range(count):
            await peer.say(**tick(flags=number))
        await peer.stay()

    async def main():
        async with streaming(server) as at, bounded(at, limit) as stream:
            inbox = stream._core._inbox
            await turns(100_000, until=inbox.is_full)
            await turns(1000)  # enough to read all that was sent, were there no bound
            held = inbox.held_bytes
            return [event.flags for event in await take(stream, count)], held

    seen, held = go(main())
    assert seen == list(range(count))
    assert limit <= held < limit + 500


def test_an_order_gets_its_answer_from_behind_a_full_inbox(go, streaming, order_row):
    async def server(peer):
        for number in range(200):
            await peer.say(**tick(flags=number))
        frame = await peer.hear()
        for number in range(200, 300):
            await peer.say(**tick(flags=number))
        await peer.say(type="result", id=frame["id"], order=order_row())
        await peer.stay()

    async def main():
        async with streaming(server) as at, bounded(at, 4000) as stream:
            await turns(100_000, until=stream._core._inbox.is_full)
            await turns(100)  # the reader now waits for room
            placed = await order(stream)
            return await take(stream, 300), placed

    ticks, placed = go(main())
    assert [event.flags for event in ticks] == list(range(300))
    assert placed.id == "ord_1"


def test_a_silent_server_is_left(go, streaming):
    codes = []

    async def silent(peer):
        await peer.stay()
        codes.append(peer.socket.close_code)

    async def alive(peer):
        await peer.say(**tick())
        await peer.stay()

    async def main():
        patience = Patience(ping_s=0.01, pong_s=5.0, dead_after_s=0.03)
        async with streaming(silent, alive) as at:
            async with AsyncStream(at.client()._requester, patience=patience) as stream:
                assert isinstance(await anext(stream), Tick)
            return at.slept

    assert go(main())[:1] == pytest.approx([0.1])
    assert codes[:1] == [1006]  # cut off: a dead server would not answer a closing handshake


def test_a_server_that_answers_no_ping_is_left(go, streaming):
    over: list[asyncio.Event] = []

    async def deaf(peer):
        peer.socket.transport.pause_reading()
        await over[0].wait()

    async def alive(peer):
        await peer.say(**tick())
        over[0].set()
        await peer.stay()

    async def main():
        over.append(asyncio.Event())
        patience = Patience(ping_s=0.01, pong_s=0.01, dead_after_s=60.0)
        async with streaming(deaf, alive) as at:
            stream = AsyncStream(at.client()._requester, patience=patience)
            assert isinstance(await anext(stream), Tick)
            await stream.close()

    go(main())


def test_closing_ends_the_iteration_and_may_be_done_twice(go, streaming):
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


def test_closing_is_a_normal_close(go, streaming):
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


def test_the_client_s_account_is_meant_and_may_be_overruled(go, streaming, order_row):
    async def server(peer):
        assert (await peer.hear())["account_id"] == "acc_7"
        assert (await peer.hear())["account_id"] == "acc_8"
        frame = await peer.hear()
        assert (frame["action"], frame["account_id"]) == ("order.place", "acc_7")
        await peer.say(type="result", id=frame["id"], order=order_row())
        await peer.stay()

    async def main():
        async with streaming(server) as at:
            stream = at.client(account_id="acc_7").stream()
            await stream.subscribe(["EURUSD"])
            await stream.subscribe(["GBPUSD"], account_id="acc_8")
            await order(stream)
            await stream.close()

    go(main())


def test_a_bug_reaches_the_consumer(go, streaming):
    async def main():
        async with streaming(503) as at:

            async def broken(seconds):
                raise ZeroDivisionError

            async with at.client(sleep=broken).stream() as stream:
                with pytest.raises(ZeroDivisionError):
                    await anext(stream)

    go(main())


def test_no_log_shows_the_key(go, streaming, caplog, key, reply):
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
