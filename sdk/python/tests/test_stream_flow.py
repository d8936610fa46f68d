"""Nobody runs ahead of anybody: pacing, the bounded inbox, and servers that fall silent."""

import asyncio

import pytest

from fxsocket import Reconnected, RequestTimeout, StreamStats, Tick, Unknown
from fxsocket._stream.supervisor import Patience
from fxsocket.stream import AsyncStream


async def take(stream, count):
    return [await anext(stream) for _ in range(count)]


def test_paced_ticks_are_acknowledged_when_the_next_is_asked_for(go, streaming, tick):
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


def test_pacing_by_hand(go, streaming, tick):
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


def test_a_number_of_an_earlier_connection_is_not_acknowledged(go, streaming, tick):
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
            assert isinstance(await anext(stream), Reconnected)
            return [event.n for event in (before, *await take(stream, 2))]

    assert go(main()) == [41, 1, 2]


def test_two_paced_accounts_are_acknowledged_by_name(go, streaming, tick):
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


def bounded(at, queue_bytes):
    return AsyncStream(at.client()._requester, queue_bytes=queue_bytes)


async def turns(count, until=lambda: False):
    """Let every task of the loop run so often, or until something is so."""
    for _ in range(count):
        if until():
            return
        await asyncio.sleep(0)


def test_the_inbox_is_bounded_and_drops_nothing(go, streaming, tick):
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


def test_a_silent_server_is_left(go, streaming, tick):
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
                again, price = await take(stream, 2)
                assert again == Reconnected(connection=2, reason="the server fell silent")
                assert isinstance(price, Tick)
            return at.slept

    assert go(main())[:1] == pytest.approx([0.1])
    assert codes[:1] == [1006]  # cut off: a dead server would not answer a closing handshake


def test_a_server_that_answers_no_ping_is_left(go, streaming, tick):
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
            assert [type(event) for event in await take(stream, 2)] == [Reconnected, Tick]
            await stream.close()

    go(main())


def test_ping(go, streaming):
    async def server(peer):
        frame = await peer.hear()
        assert frame == {"action": "ping", "id": frame["id"]}
        await peer.say(type="pong", id=frame["id"])
        assert (await peer.hear())["action"] == "ping"
        await peer.stay()

    async def main():
        async with streaming(server) as at, at.client().stream() as stream:
            assert 0 < await stream.ping() < 10
            with pytest.raises(RequestTimeout):
                await stream.ping(timeout=0.02)

    go(main())


def test_stats_tell_of_a_reader_that_is_behind(go, streaming, tick, update):
    async def first(peer):
        await peer.say(**update(4, 3))
        await peer.close(4008, "over 1048576 bytes unread")

    async def second(peer):
        for number in range(50):
            await peer.say(**tick(flags=number))
        await peer.stay()

    async def main():
        async with streaming(first, second) as at:
            stream = bounded(at, 4_000)
            assert stream.stats() == StreamStats(
                connected=False, connections=0, last_drop=None, waiting_events=0, waiting_bytes=0,
                is_behind=False, seen={},
            )  # fmt: skip
            async with stream:
                assert (await anext(stream)).seq == 4
                again = await anext(stream)
                assert again.reason == "closed with 4008 over 1048576 bytes unread"
                await turns(100_000, until=lambda: stream.stats().is_behind)
                behind = stream.stats()
                await take(stream, 50)
                return behind, stream.stats()

    behind, after = go(main())
    assert (behind.connected, behind.connections, behind.seen) == (True, 2, {"acc_1": 4})
    assert behind.is_behind
    assert behind.waiting_bytes >= 4_000
    assert behind.waiting_events > 10
    assert (after.is_behind, after.waiting_events, after.waiting_bytes) == (False, 0, 0)


def test_the_reason_is_what_broke_the_connection_not_what_delayed_the_next(go, streaming, tick):
    async def first(peer):
        await peer.say(**tick())
        await peer.close(4000, "restart")

    async def main():
        async with streaming(first, 503, 429, first) as at, at.client().stream() as stream:
            _, again, _ = await take(stream, 3)
            return again, stream.stats().last_drop

    again, last_drop = go(main())
    assert again == Reconnected(connection=2, reason="closed with 4000 restart")
    assert last_drop in ("upgrade answered 429", "closed with 4000 restart")
