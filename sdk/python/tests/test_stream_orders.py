"""Orders over the stream: sent once, answered by id, looked up when the answer is lost."""

import asyncio

import httpx2
import pytest

from fxsocket import (
    ConnectError,
    OrderOutcomeUnknown,
    OrderRejected,
    ValidationError,
)
from fxsocket.stream import AsyncStream


async def take(stream, count):
    return [await anext(stream) for _ in range(count)]


def bounded(at, queue_bytes):
    return AsyncStream(at.client()._requester, queue_bytes=queue_bytes)


def order(stream, **more):
    return stream.place_order(symbol="EURUSD", type="BUY", volume=0.1, **more)


def test_an_order_over_the_stream(go, streaming, order_row, update):
    async def server(peer):
        frame = await peer.hear()
        assert frame == {
            "action": "order.place",
            "id": "1",
            "order": {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "sl": 1.07,
                      "client_order_id": "mine"},
        }  # fmt: skip
        await peer.say(**update(4, 3))
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


def test_an_order_gets_its_answer_from_behind_a_full_inbox(go, streaming, order_row, tick):
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
            for _ in range(100_000):
                if stream._core._inbox.is_full():
                    break
                await asyncio.sleep(0)
            for _ in range(100):  # the reader then waits for room
                await asyncio.sleep(0)
            placed = await order(stream)
            return await take(stream, 300), placed

    ticks, placed = go(main())
    assert [event.flags for event in ticks] == list(range(300))
    assert placed.id == "ord_1"


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
