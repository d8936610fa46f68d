"""Every frame that the contract describes is sent, and frames are what it describes."""

import pytest

from fxsocket_server.gateway.messages import MarketMessage, MarketState
from fxsocket_server.model.facts import Quote

EVERY_CHANNEL = [
    "ticks", "quotes", "candles:M1", "positions", "account", "deals", "terminal", "market_open",
]  # fmt: skip
BUY = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}
REPLIES = ("result", "error", "pong", "list", "resumed", "reset", "subscribed", "unsubscribed")


async def asked(client, heard, **frame):
    """Send a frame and read up to its reply."""
    await client.send(id="it", **frame)
    while not heard or heard[-1].get("id") != "it" or heard[-1]["type"] not in REPLIES:
        heard.append(await client.recv())
    heard[-1]["id"] = "seen"
    return heard[-1]


async def what_channels_tell(world, client):
    """Ticks, figures, orders and all that is made of them."""
    heard: list[dict] = []
    await client.send(action="subscribe", channels=EVERY_CHANNEL, symbols=["EURUSD"])
    order = (await asked(client, heard, action="order.place", order=BUY))["order"]
    await asked(client, heard, action="list")
    for n in range(3):
        await world.price("EURUSD", 108_400 + n)
        world.timers.advance(60_000)
    state = MarketState(False, None, None)
    world.bus.publish("market.acc_1", MarketMessage("acc_1", "EURUSD", 0, state))
    await world.lane().on_terminal(False, "cut")
    await world.lane().on_terminal(True, "")
    position = order["position_id"]
    patch = {"sl": 1.0}
    await asked(client, heard, action="position.modify", position_id=position, patch=patch)
    await asked(client, heard, action="position.close", position_id=position)
    head = world.lane().published_seq
    await asked(client, heard, action="resume", after=head - 3)
    await asked(client, heard, action="resume", after=head + 3)
    await asked(client, heard, action="unsubscribe", channels=EVERY_CHANNEL)
    return heard + await client.settle()


async def what_a_slow_client_is_told(world):
    """Gaps of ticks and of closed candles: more than the wire holds, read late."""
    async with world.raw() as slow:
        channels = ["ticks", "candles:M1"]
        await slow.send(action="subscribe", channels=channels, symbols=["EURUSD"], rate=0.1)
        heard = await slow.up_to(lambda frame: frame.get("channel") == "candles:M1")
        for n in range(3_000):
            quote = Quote(
                symbol="EURUSD", bid=108_000 + n, ask=108_010 + n,
                time_ms=world.clock.wall_ms() + n * 60_000,
            )  # fmt: skip
            await world.lane().on_tick(quote)
        gaps: set[str] = set()
        while gaps != {"ticks", "candles:M1"}:
            heard.append(await slow.recv())
            gaps |= {heard[-1]["channel"]} if heard[-1]["type"] == "gap" else set()
        return heard


def test_every_described_frame_is_sent_and_every_frame_is_described(play, judge):
    async def story(world):
        async with world.client(None) as client:
            heard = [await client.ask(action="auth", api_key="full")]
            await client.send(action="ping")
            heard += await client.settle()
            await client.send(action="nothing")
            heard += await what_channels_tell(world, client)
        heard += await what_a_slow_client_is_told(world)
        async with world.client() as client:
            world.timers.advance(10_000)
            heard += await client.settle()
        for frame in heard:
            judge.judge(frame)
        assert judge.seen == judge.told

    play(story, market_bytes=64 * 1024, event_bytes=8 * 1024 * 1024)


def test_every_action_is_described_and_every_described_one_is_offered(play, judge):
    async def story(world):
        assert judge.asked == set(world.actions)

    play(story)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "news"},
        {"type": "pong"},
        {"type": "pong", "id": 1, "more": True},
        {"type": "heartbeat", "time": 5},
        {"type": "tick", "account_id": "acc_1", "symbol": "EURUSD", "bid": "1.1"},
    ],
)
def test_a_frame_that_is_not_described_is_noticed(judge, frame):
    with pytest.raises(AssertionError):
        judge.judge(frame)
