"""Orders over the stream: sent once, answered by id, looked up when the answer is lost."""

import asyncio
from typing import Any

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
            "id": frame["id"],
            "order": {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "sl": 1.07,
                      "client_order_id": "mine"},
            "idempotency_key": "mine",
            "timeout_ms": 10_000,
        }  # fmt: skip
        await peer.say(**update(4, 3))
        await peer.say(type="result", id=frame["id"], order=order_row())
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


def rest_side(answers):
    """A REST side that answers in turn, and notes what it was asked."""
    asked = []

    def answer(request):
        key = request.headers.get("Idempotency-Key")
        asked.append((request.method, request.url.raw_path.decode(), key))
        return answers.pop(0)

    return httpx2.MockTransport(answer), asked


LOST = ["drop", "silence", "in flight", "unreadable"]


@pytest.mark.parametrize("how", LOST)
def test_an_order_whose_answer_is_lost_goes_out_again_under_its_key(go, streaming, order_row, how):
    sent = []

    async def server(peer):
        sent.append(await peer.hear())
        if how == "drop":
            await peer.close(4000)
        elif how == "in flight":
            await peer.say(type="error", id=sent[0]["id"], status=409, code="idempotency_in_flight")
        elif how == "unreadable":
            await peer.say(type="result", id=sent[0]["id"], order={})
        await peer.stay()

    busy = httpx2.Response(409, json={"code": "idempotency_in_flight"})
    transport, asked = rest_side([busy, httpx2.Response(200, json=order_row())])
    timeout = 0.2 if how == "silence" else 10.0

    async def main():
        async with streaming(server) as at:
            client = at.client(transport=transport, timeout=timeout, clock=lambda: 0.0)
            async with client.stream() as stream:
                return await order(stream, client_order_id="mine")

    assert go(main()).id == "ord_1"
    assert asked == [("POST", "/v1/orders", "mine")] * 2
    assert len(sent) == 1


def test_an_order_without_an_answer_anywhere_is_unknown(go, streaming):
    async def server(peer):
        await peer.hear()
        await peer.close(4000)

    transport, asked = rest_side(
        [httpx2.Response(503, json={}) for _ in range(3)]
        + [httpx2.Response(404, json={}) for _ in range(99)]
    )

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
    assert asked[3][:2] == ("GET", "/v1/orders/by-client-id/mine")


CLOSED = {"id": "pos_1", "order_id": "ord_2", "status": "CLOSED", "closed_volume": 0.1,
          "remaining_volume": 0.0, "close_price": 1.08, "profit": 1.0, "swap": 0.0,
          "commission": 0.0, "already": False}  # fmt: skip
POSITION = {"id": "pos_1", "account_id": "acc_1", "symbol": "EURUSD", "type": "BUY",
            "volume": 0.1, "open_price": 1.08, "opened_at": "2026-11-22T10:00:00.000Z",
            "status": "OPEN"}  # fmt: skip
SEVERAL = {"results": [{"position_id": "pos_1", "result": CLOSED}], "orders": []}
REVERSED = SEVERAL | {"order": None, "error": None}

# Each command: how it is called, its frame, what answers it, and the same call over REST.
COMMANDS: dict[str, Any] = {
    "order.modify": (
        lambda s: s.orders.modify("ord_1", sl=1.07, tp=None, idempotency_key="k"),
        {"order_id": "ord_1", "patch": {"sl": 1.07, "tp": None}},
        ("order", None),
        ("PATCH", "/v1/orders/ord_1"),
    ),
    "order.cancel": (
        lambda s: s.orders.cancel("ord_1", deviation=3, idempotency_key="k"),
        {"order_id": "ord_1", "deviation": 3},
        ("order", None),
        ("DELETE", "/v1/orders/ord_1?deviation=3"),
    ),
    "order.batch": (
        lambda s: s.orders.create_many(
            [{"symbol": "EURUSD", "type": "BUY", "volume": 1, "client_order_id": "a"}],
            idempotency_key="k",
        ),
        {"orders": [{"symbol": "EURUSD", "type": "BUY", "volume": 1, "client_order_id": "a"}]},
        ("result", {"results": []}),
        ("POST", "/v1/orders/batch"),
    ),
    "position.modify": (
        lambda s: s.positions.modify("pos_1", tp=1.2, idempotency_key="k"),
        {"position_id": "pos_1", "patch": {"tp": 1.2}},
        ("position", POSITION),
        ("PATCH", "/v1/positions/pos_1"),
    ),
    "position.close": (
        lambda s: s.positions.close("pos_1", volume=0.1, idempotency_key="k"),
        {"position_id": "pos_1", "volume": 0.1},
        ("result", CLOSED),
        ("DELETE", "/v1/positions/pos_1?volume=0.1"),
    ),
    "position.close_by": (
        lambda s: s.positions.close_by("pos_1", "pos_2", idempotency_key="k"),
        {"position_id": "pos_1", "by": "pos_2"},
        ("result", SEVERAL),
        ("POST", "/v1/positions/pos_1/close-by"),
    ),
    "position.reverse": (
        lambda s: s.positions.reverse("pos_1", idempotency_key="k"),
        {"position_id": "pos_1"},
        ("result", REVERSED),
        ("POST", "/v1/positions/pos_1/reverse"),
    ),
    "position.close_all": (
        lambda s: s.positions.close_all(symbol="EURUSD", idempotency_key="k"),
        {"symbol": "EURUSD", "include_orders": False},
        ("result", SEVERAL),
        ("POST", "/v1/positions/close-all"),
    ),
}


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize("action", COMMANDS)
def test_every_command_goes_over_the_stream_and_when_its_answer_is_lost_over_rest(
    go, streaming, order_row, action, lost
):
    use, members, (name, answer), (method, path) = COMMANDS[action]
    answer = order_row() if answer is None else answer
    heard = []

    async def server(peer):
        heard.append(await peer.hear())
        if lost:
            await peer.close(4000)
        else:
            await peer.say(type="result", id=heard[0]["id"], replayed=False, **{name: answer})
        await peer.stay()

    transport, asked = rest_side([httpx2.Response(200, json=answer)])

    async def main():
        async with streaming(server) as at:
            client = at.client(transport=transport)
            async with client.stream() as stream:
                return await use(stream), await use(client) if not lost else None

    over_stream, over_rest = go(main())
    sent = {"action": action, "idempotency_key": "k", "timeout_ms": 10_000, **members}
    assert [{n: v for n, v in frame.items() if n != "id"} for frame in heard] == [sent]
    assert asked == [(method, path, "k")]
    assert lost or over_stream == over_rest


def test_what_only_reads_goes_over_rest(go, streaming, order_row):
    transport, asked = rest_side([httpx2.Response(200, json=order_row())])

    async def main():
        async with streaming() as at, at.client(transport=transport).stream() as stream:
            return await stream.orders.get("ord_1")

    assert go(main()).id == "ord_1"
    assert asked == [("GET", "/v1/orders/ord_1", None)]


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
