"""Who may do what to whose on the stream: every action, every scope, own and foreign accounts."""

from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from fxsocket_server.channels.names import OFFERED
from fxsocket_server.gateway.messages import MarketMessage, MarketState
from fxsocket_server.security.principal import Scope

ORDER = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}
# A sound frame of each action that means an account.
FRAMES: dict[str, dict[str, Any]] = {
    "order.place": {"order": ORDER},
    "order.batch": {"orders": [ORDER]},
    "order.modify": {"order_id": "ord_none", "patch": {"sl": 1.0}},
    "order.cancel": {"order_id": "ord_none"},
    "position.close": {"position_id": "pos_none"},
    "position.modify": {"position_id": "pos_none", "patch": {"sl": 1.0}},
    "position.close_by": {"position_id": "pos_none", "by": "pos_none"},
    "position.reverse": {"position_id": "pos_none"},
    "position.close_all": {},
    "resume": {"after": 0},
    "subscribe": {
        "symbols": ["EURUSD"],
        "channels": [name.replace("TIMEFRAME", "M1") for name in OFFERED],
    },
    "unsubscribe": {"symbols": ["EURUSD"]},
}
WITHOUT_ACCOUNT = {"ack", "auth", "list", "ping"}
SHUT = MarketState(False, None, None)
UNASKED_OR_SUBSCRIBED = {
    "tick", "quote", "candle", "account", "position", "deal", "order_update", "terminal",
    "market_open", "stale", "result",
}  # fmt: skip
TRADES = ("order.", "position.")


async def strangers(world):
    """An account of this user that the key may not see, and one of another user."""
    await world.link("acc_sibling")
    await world.link("acc_foreign", user_id="usr_2")
    for scope in ("read", "trade", "full"):
        world.key(f"own-{scope}", scope=Scope[scope.upper()], accounts=("acc_1",))
    world.key("foreign", user_id="usr_2")


async def told(client, action, account_id):
    """What an action is answered, without what comes by itself."""
    await client.send(action=action, id="x", account_id=account_id, **FRAMES[action])
    frames = await client.settle()
    return [frame for frame in frames if frame.get("id") == "x"]


def test_every_action_is_tried_here(play):
    async def story(world):
        offered = set(world.actions)
        assert offered - WITHOUT_ACCOUNT <= set(FRAMES)
        assert offered >= WITHOUT_ACCOUNT

    play(story)


@pytest.mark.parametrize(
    ("who", "wanted"),
    [("none", 4501), ("wrong", 4501), ("revoked", 4501), ("expired", 4501), ("far", 4503)],
)
def test_without_a_valid_key_no_action_is_done(play, who, wanted):
    async def story(world):
        world.key("revoked")
        world.revoke("revoked")
        world.key("expired", expires_ms=world.clock.wall_ms())
        world.key("far", ip_rules=("203.0.113.0/24", "::/0"))
        head = world.lane().book.head_seq
        for action in sorted(world.actions):
            frame = {"action": action, "id": "x", **FRAMES.get(action, {})}
            if action == "auth":
                frame["api_key"] = "nobody"
            async with world.client(None if who == "none" else who) as client:
                with suppress(ConnectionClosed):  # the server may have been faster
                    await client.send(**frame)
                code, frames = await client.closed()
            assert (code, [frame["type"] for frame in frames]) == (wanted, ["error"]), action
        assert world.lane().book.head_seq == head

    play(story)


@pytest.mark.parametrize("scope", ["read", "trade", "full"])
def test_the_account_of_another_is_as_if_it_were_not(play, scope):
    async def story(world):
        await strangers(world)
        heads = [world.lane(a).book.head_seq for a in ("acc_sibling", "acc_foreign")]
        async with world.client(f"own-{scope}") as client:
            for action in sorted(set(world.actions) - WITHOUT_ACCOUNT):
                may_trade = scope != "read" or not action.startswith(TRADES)
                wanted = "not_found" if may_trade else "forbidden"
                answers = [
                    await told(client, action, account)
                    for account in ("acc_nobody", "acc_sibling", "acc_foreign")
                ]
                for [frame] in answers:
                    assert (frame["type"], frame["code"]) == ("error", wanted), (action, frame)
                words = [
                    str({k: v for k, v in frame.items() if k != "instance"}).replace(account, "ID")
                    for [frame], account in zip(
                        answers, ("acc_nobody", "acc_sibling", "acc_foreign"), strict=True
                    )
                ]
                assert len(set(words)) == 1, words
        assert heads == [world.lane(a).book.head_seq for a in ("acc_sibling", "acc_foreign")]

    play(story)


@pytest.mark.parametrize("scope", ["read", "trade", "full"])
def test_a_key_does_what_its_scope_allows_and_nothing_else(play, scope):
    async def story(world):
        await strangers(world)
        async with world.client(f"own-{scope}") as client:
            for action in sorted(set(world.actions) - WITHOUT_ACCOUNT):
                head = world.lane().book.head_seq
                answers = await told(client, action, "acc_1")
                codes = {frame["code"] for frame in answers if frame["type"] == "error"}
                if action.startswith(TRADES) and scope == "read":
                    assert codes == {"forbidden"}, (action, answers)
                    assert world.lane().book.head_seq == head
                else:
                    assert "forbidden" not in codes, (action, answers)

    play(story)


def test_nobody_hears_of_the_accounts_of_others(play):
    async def story(world):
        await strangers(world)
        async with world.client("own-full") as own, world.client("foreign") as foreign:
            for client in (own, foreign):
                await client.send(action="resume", after=0)
                await client.send(action="subscribe", **FRAMES["subscribe"])
                await client.settle()
            for client in (own, foreign):
                await client.send(action="order.place", id="x", order=ORDER)
            async with world.client("full") as both:  # a key of every account of its user
                frame = {"action": "order.place", "id": "x", "account_id": "acc_sibling"}
                await both.send(**frame, order=ORDER)
                await both.until("result")
            for n, account in enumerate(("acc_sibling", "acc_foreign", "acc_1")):
                await world.price("EURUSD", 108_400 + n, account_id=account)
                world.bus.publish(f"market.{account}", MarketMessage(account, "EURUSD", 0, SHUT))
                await world.lane(account).on_terminal(False, "cut")
            world.timers.advance(20_000)  # figures are due, prices are stale
            for client, account in ((own, "acc_1"), (foreign, "acc_foreign")):
                heard = [await client.recv()]
                while heard[-1]["type"] != "result":
                    heard.append(await client.recv())
                heard += await client.settle()
                assert {frame["type"] for frame in heard} >= UNASKED_OR_SUBSCRIBED
                assert {frame.get("account_id", account) for frame in heard} == {account}
                accounts = (await client.ask(action="list"))["accounts"]
                assert [row["account_id"] for row in accounts] == [account]

    play(story)
