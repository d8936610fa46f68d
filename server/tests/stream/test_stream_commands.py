"""The trade commands besides order.place: fields, buckets, and answers that were lost."""

import asyncio
import socket
import struct
from typing import Any

import pytest

from fxsocket_server.gateway.trades import TRADES
from fxsocket_server.security.rate_limit import RateLimiter

BUY = {"symbol": "EURUSD", "type": "BUY", "volume": 0.02}
LIMIT = {"symbol": "EURUSD", "type": "BUY_LIMIT", "volume": 0.01, "price": 1.0}


async def opened(client: Any) -> tuple[Any, str, str]:
    """A bought, a sold position and a resting order."""
    placed = []
    for n, order in enumerate((BUY, BUY | {"type": "SELL"}, LIMIT)):
        await client.send(action="order.place", id=f"o{n}", order=order, idempotency_key=f"o{n}")
        placed.append((await client.until("result"))["order"])
    bought, sold, resting = placed
    return bought, sold["position_id"], resting["id"]


def commands(bought: Any, sold: str, resting: str) -> dict[str, dict[str, Any]]:
    """One frame of each command that does something in the opened account."""
    return {
        "order.place": {"order": BUY},
        "order.batch": {"orders": [BUY, LIMIT]},
        "order.modify": {"order_id": resting, "patch": {"price": 1.01, "tp": 1.2}},
        "order.cancel": {"order_id": resting},
        "position.modify": {"position_id": bought["position_id"], "patch": {"tp": 1.2}},
        "position.close": {"position_id": bought["position_id"], "volume": 0.01},
        "position.close_by": {"position_id": bought["position_id"], "by": sold},
        "position.reverse": {"position_id": bought["position_id"]},
        "position.close_all": {"side": "BUY", "include_orders": True},
    }


def test_every_trade_command_is_here(play):
    async def story(world):
        names = {action for action in world.actions if "." in action}
        assert names == TRADES.keys() == commands({"position_id": ""}, "", "").keys()

    play(story)


async def lose(world: Any, frame: dict[str, Any]) -> Any:
    """A client gets its answer and is reset before it could go on: it may not have read it."""
    gone, on_gone = asyncio.Event(), world.hub.gone

    def watch(connection: Any) -> None:
        on_gone(connection)
        gone.set()

    world.hub.gone = watch
    async with world.raw() as client:
        await client.send(**frame)
        answer = (await client.up_to(lambda told: told["type"] in ("result", "error")))[-1]
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await gone.wait()
    world.hub.gone = on_gone
    return answer


@pytest.mark.parametrize("action", TRADES)
def test_a_command_that_is_repeated_because_its_answer_was_lost_takes_effect_once(play, action):
    async def story(world):
        async with world.client() as client:
            members = commands(*await opened(client))[action]
        frame = {"action": action, "id": "lost", **members}
        first = await lose(world, frame)
        assert first["type"] == "result", first
        head = world.lane().published_seq
        async with world.client() as client:
            await client.send(**frame)
            again = await client.until("result", "error")
        assert again == first | {"replayed": True}
        assert world.lane().published_seq == head

    play(story)


@pytest.mark.parametrize("action", TRADES)
def test_a_key_gives_the_answer_that_its_command_had(play, action):
    async def story(world):
        async with world.client() as client:
            members = commands(*await opened(client))[action]
            frame = {"action": action, "id": "k", "idempotency_key": "k", **members}
            answers = []
            for _ in range(2):
                await client.send(**frame)
                answers.append(await client.until("result", "error"))
                head = world.lane().published_seq
            assert [answer["type"] for answer in answers] == ["result"] * 2
            assert answers[1] == answers[0] | {"replayed": True}
            assert world.lane().published_seq == head

    play(story)


@pytest.mark.parametrize(
    ("action", "members", "pointer"),
    [
        ("order.modify", {"patch": {"tp": 1.2}}, "/order_id"),
        ("order.modify", {"order_id": "ord_1"}, "/patch"),
        ("order.modify", {"order_id": "ord_1", "patch": {"volume": 1}}, "/volume"),
        ("order.modify", {"order_id": "ord_1", "patch": {"tp": "1.2"}}, "/tp"),
        ("order.cancel", {"order_id": 1}, "/order_id"),
        ("order.cancel", {"order_id": "ord_1", "volume": "all"}, "/volume"),
        ("order.cancel", {"order_id": "ord_1", "deviation": -1}, "/deviation"),
        ("order.batch", {"orders": {}}, "/orders"),
        ("position.close", {"position_id": "pos_1", "lots": 1}, "/lots"),
        ("position.close", {"position_id": "pos_1", "deviation": 0.5}, "/deviation"),
        ("position.close_by", {"position_id": "pos_1"}, "/by"),
        ("position.close_all", {"side": "LONG"}, "/side"),
        ("position.close_all", {"include_orders": None}, "/include_orders"),
        ("position.close_all", {"symbol": "NOPE"}, "/symbol"),
        ("position.reverse", {"position_id": "pos_1", "volume": 1}, "/volume"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_done(play, action, members, pointer):
    async def story(world):
        async with world.client() as client:
            head = world.lane().book.head_seq
            error = await client.ask(action=action, id="x", **members)
            assert (error["type"], error["id"], error["status"]) == ("error", "x", 422)
            assert [field["pointer"] for field in error["errors"]] == [pointer]
            assert world.lane().book.head_seq == head

    play(story)


def test_a_volume_that_does_not_fit_is_named_as_a_member(play):
    async def story(world):
        async with world.client() as client:
            bought, _, _ = await opened(client)
            await client.settle()
            error = await client.ask(
                action="position.close", id="x", position_id=bought["position_id"], volume=0.015
            )
            assert (error["code"], error["errors"][0]["pointer"]) == ("invalid_volume", "/volume")

    play(story)


@pytest.mark.parametrize("action", sorted(TRADES.keys() - {"order.place", "order.batch"}))
def test_what_is_not_there_is_not_found(play, action):
    async def story(world):
        members = commands({"position_id": "pos_none"}, "pos_other", "ord_none")[action]
        async with world.client() as client:
            answer = await client.ask(action=action, id="x", **members)
            if action == "position.close_all":
                assert answer["result"] == {"results": [], "orders": []}
            else:
                assert (answer["code"], answer["status"]) == ("not_found", 404)

    play(story)


def test_what_reduces_risk_gets_through_when_opening_is_throttled(play):
    async def story(world):
        async with world.client() as client:
            await world.trade(client)
            bought = await world.trade(client)
            assert (await world.trade(client))["code"] == "rate_limited"
            for action, members in (
                ("position.reverse", {"position_id": bought["order"]["position_id"]}),
                ("order.modify", {"order_id": "ord_none", "patch": {"tp": 1.2}}),
            ):
                await client.send(action=action, id="x", **members)
                assert (await client.until("result", "error"))["code"] == "rate_limited"
            await client.send(
                action="position.close", id="c", position_id=bought["order"]["position_id"]
            )
            assert (await client.until("result", "error"))["type"] == "result"
            await client.send(action="position.close_all", id="a")
            told = await client.until("result", "error")
            assert len(told["result"]["results"]) == 1

    play(story, limiter=RateLimiter(1 / 30, 2))
