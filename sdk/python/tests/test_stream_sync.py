"""The blocking stream: the same behaviour from a thread of its own, nothing lost in between."""

import asyncio
import threading

import httpx2
import pytest

from fxsocket import (
    ConnectError,
    FxSocketClient,
    OrderRejected,
    Reconnected,
    StreamError,
    Subscribed,
    Tick,
)
from fxsocket._stream.supervisor import Patience
from fxsocket.stream import Stream


@pytest.fixture
def blocking(go, streaming, key):
    """`blocking(use, *scripts)` runs `use(client)` in a thread, beside the stream server."""

    def play(use, *scripts, **options):
        async def main():
            async with streaming(*scripts) as at:
                client = FxSocketClient(key, stream_url=at.url, rng=lambda: 1.0, **options)
                return await asyncio.to_thread(use, client)

        return go(main())

    return play


def no_thread_is_left():
    return not [thread for thread in threading.enumerate() if thread.name == "fxsocket-stream"]


def test_subscribing_and_iterating(blocking, tick):
    count = 1000

    async def server(peer):
        asked = await peer.hear()
        await peer.say(type="subscribed", id=asked["id"], symbols=asked["symbols"])
        for number in range(count):
            await peer.say(**tick(flags=number))
        await peer.stay()

    def use(client):
        seen = []
        with client.stream() as stream:
            stream.subscribe(["EURUSD"])
            for event in stream:
                if isinstance(event, Tick):
                    seen.append(event.flags)
                else:
                    assert event == Subscribed(id=event.id, symbols=("EURUSD",))
                if len(seen) == count:
                    break
        return seen

    assert blocking(use, server) == list(range(count))
    assert no_thread_is_left()


def test_it_reconnects_and_subscribes_again(blocking, tick):
    async def first(peer):
        assert (await peer.hear())["symbols"] == ["EURUSD"]
        await peer.say(**tick(flags=1))
        await peer.close(4000)

    async def second(peer):
        assert (await peer.hear())["symbols"] == ["EURUSD"]
        await peer.say(**tick(flags=2))
        assert (await peer.hear())["action"] == "unsubscribe"
        await peer.say(type="unsubscribed")
        await peer.stay()

    def use(client):
        with client.stream() as stream:
            stream.subscribe(["EURUSD"])
            seen = [next(stream).flags]
            assert isinstance(next(stream), Reconnected)
            seen.append(next(stream).flags)
            stream.unsubscribe()
            assert next(stream).type == "unsubscribed"
            return seen

    assert blocking(use, first, second) == [1, 2]


def test_paced_ticks_are_acknowledged_when_the_next_is_asked_for(blocking, tick):
    acked = []

    async def server(peer):
        await peer.hear()
        for n in range(1, 4):
            await peer.say(**tick(n))
            acked.append((await peer.hear())["n"])
        await peer.say(type="done")
        await peer.stay()

    def use(client):
        with client.stream() as stream:
            stream.subscribe(["EURUSD"], pace=True)
            for n in range(1, 4):
                assert next(stream).n == n
                assert acked == list(range(1, n))
            assert next(stream).type == "done"

    blocking(use, server)
    assert acked == [1, 2, 3]


def test_pacing_by_hand(blocking, tick):
    async def server(peer):
        await peer.hear()
        await peer.say(**tick(1))
        assert await peer.hear() == {"action": "ack", "n": 1}
        await peer.say(**tick(2))
        await peer.stay()

    def use(client):
        with client.stream(auto_ack=False) as stream:
            stream.subscribe(["EURUSD"], pace=True)
            assert next(stream).n == 1
            assert stream.get(timeout=0.01) is None
            stream.ack(1)
            return next(stream).n

    assert blocking(use, server) == 2


def test_waiting_with_a_limit_loses_nothing(blocking, tick):
    async def server(peer):
        for number in range(50):
            frame = await peer.hear()
            await peer.say(type="pong", id=frame["id"])
            await peer.say(**tick(flags=number))
        await peer.stay()

    def use(client):
        seen: list[int] = []
        with client.stream() as stream:
            while len(seen) < 50:
                assert stream.ping() > 0
                event = stream.get(timeout=0)
                while event is None:
                    event = stream.get(timeout=0.001)
                seen.append(event.flags)
        return seen

    assert blocking(use, server) == list(range(50))


def test_a_final_close_code_is_raised_where_it_is_iterated(blocking):
    async def server(peer):
        await peer.close(4501, "unauthorised")

    def use(client):
        with client.stream() as stream:
            for _ in range(2):
                with pytest.raises(StreamError) as caught:
                    next(stream)
            return caught.value.code

    assert blocking(use, server) == 4501
    assert no_thread_is_left()


def test_the_users_own_exception_passes_through(blocking, tick):
    async def server(peer):
        await peer.say(**tick(flags=1))
        await peer.stay()

    def use(client):
        def consume():
            with client.stream() as stream:
                for event in stream:
                    event.flags / 0

        with pytest.raises(ZeroDivisionError):
            consume()

    blocking(use, server)
    assert no_thread_is_left()


def test_orders_over_the_stream(blocking, order_row):
    async def server(peer):
        frame = await peer.hear()
        assert frame["order"]["client_order_id"] == "mine"
        await peer.say(type="result", id=frame["id"], order=order_row())
        frame = await peer.hear()
        await peer.say(type="error", id=frame["id"], status=422, code="requote", retcode=10004)
        await peer.stay()

    def use(client):
        fields = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1}
        with client.stream() as stream:
            placed = stream.place_order(**fields, client_order_id="mine")
            with pytest.raises(OrderRejected):
                stream.place_order(**fields)
            return placed.id

    assert blocking(use, server) == "ord_1"


def test_an_order_whose_answer_is_lost_is_sent_again_under_its_key(blocking, order_row):
    sent = []

    def answer(request):
        sent.append((request.method, request.url.path, request.headers["Idempotency-Key"]))
        return httpx2.Response(200, json=order_row())

    async def server(peer):
        await peer.hear()
        await peer.close(4000)

    def use(client):
        with client.stream() as stream:
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 1, "client_order_id": "mine"}
            return stream.place_order(**order).id

    assert blocking(use, server, transport=httpx2.MockTransport(answer)) == "ord_1"
    assert sent == [("POST", "/v1/orders", "mine")]


def test_closing_from_another_thread_ends_the_iteration(blocking, tick):
    waiting = threading.Event()

    async def server(peer):
        await peer.say(**tick(flags=1))
        await peer.hear()
        waiting.set()
        await peer.stay()

    def use(client):
        stream = client.stream()
        closer = threading.Thread(target=lambda: (waiting.wait(), stream.close()))
        closer.start()
        seen = []
        for event in stream:
            seen.append(event)
            stream.ack(0)
        closer.join()
        stream.close()
        with pytest.raises(ConnectError, match="closed"):
            stream.subscribe(["EURUSD"])
        assert stream.get() is None
        return len(seen)

    assert blocking(use, server) == 1
    assert no_thread_is_left()


def test_after_closing_nothing_that_was_read_ahead_comes(blocking, tick):
    async def server(peer):
        for number in range(3):
            await peer.say(**tick(flags=number))
        frame = await peer.hear()
        await peer.say(type="pong", id=frame["id"])
        await peer.stay()

    def use(client):
        with client.stream() as stream:
            stream.ping()  # all three are in the inbox now
            assert next(stream).flags == 0
        return list(stream)

    assert blocking(use, server) == []


def test_closing_an_unused_stream(blocking):
    blocking(lambda client: client.stream().close())
    assert no_thread_is_left()


def test_a_silent_server_is_left(blocking, tick):
    async def silent(peer):
        await peer.stay()

    async def alive(peer):
        await peer.say(**tick(flags=5))
        await peer.stay()

    def use(client):
        patience = Patience(ping_s=0.01, pong_s=5.0, dead_after_s=0.03)
        with Stream(client._requester, patience=patience) as stream:
            assert isinstance(next(stream), Reconnected)
            event = next(stream)
            assert isinstance(event, Tick)
            return event.flags

    assert blocking(use, silent, alive) == 5
