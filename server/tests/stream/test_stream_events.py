"""Account events: unasked, once, in order, with `prev_seq`; and resuming them without a hole."""

import random

import pytest


def seqs(frames) -> list[int]:
    return [frame["seq"] for frame in frames if "seq" in frame]


def assert_chained(frames, first_prev_seq: int) -> None:
    """Each event names the one before it that this connection got."""
    prev_seq = first_prev_seq
    for frame in (f for f in frames if "seq" in f):
        assert frame["prev_seq"] == prev_seq < frame["seq"]
        prev_seq = frame["seq"]


def logged(world, *families: str, after: int = 0, account_id: str = "acc_1") -> list[int]:
    events = world.journal.events(account_id, after, 100_000)
    return [e.seq for e in events if e.type.partition(".")[0] in families]


# --- unasked ---------------------------------------------------------------------------------


def test_order_updates_come_unasked_on_every_connection_that_may_see_the_account(play):
    async def story(world):
        await world.link("acc_2")
        world.key("narrow", accounts=("acc_2",))
        world.key("foreign", user_id="usr_2")
        async with (
            world.client("full") as trader,
            world.client("read") as watcher,
            world.client("narrow") as narrow,
            world.client("foreign") as foreign,
        ):
            for client in (trader, watcher, narrow, foreign):
                await client.settle()
            head = world.lane().published_seq
            await world.trade(trader, account_id="acc_1")
            updates = await watcher.settle()
            assert [f["type"] for f in updates] == ["order_update", "order_update"]
            assert [f["event"] for f in updates] == ["order.pending", "order.filled"]
            assert_chained(updates, head)
            last = updates[-1]
            assert (last["account_id"], last["epoch"]) == ("acc_1", "epoch-acc_1")
            assert (last["order"]["status"], last["order"]["price"]) == ("FILLED", 1.08348)
            assert last["time"] == last["order"]["updated_at"]
            assert await narrow.settle() == []
            assert await foreign.settle() == []

    play(story)


def test_the_update_is_sent_before_the_result(play):
    async def story(world):
        async with world.client() as client:
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}
            await client.send(action="order.place", id="1", order=order)
            kinds = [(await client.recv())["type"] for _ in range(3)]
            assert kinds == ["order_update", "order_update", "result"]

    play(story)


def test_deals_and_positions_come_when_subscribed_and_filters_are_no_gaps(play):
    async def story(world):
        async with world.client() as all_, world.client() as deals, world.client() as orders:
            await all_.ask(action="subscribe", channels=["deals", "positions"])
            await all_.until("snapshot")
            await deals.ask(action="subscribe", channels=["deals"])
            await orders.settle()
            head = world.lane().published_seq
            await world.trade(orders)
            await world.trade(orders, type_="SELL")
            for client, families, types in (
                (all_, ("order", "deal", "position"), {"order_update", "deal", "position"}),
                (deals, ("order", "deal"), {"order_update", "deal"}),
            ):
                frames = await client.settle()
                assert {frame["type"] for frame in frames} == types
                assert seqs(frames) == logged(world, *families, after=head)
                assert_chained(frames, head)
                deal = next(frame for frame in frames if frame["type"] == "deal")
                assert deal["deal"]["symbol"] == "EURUSD"
            frames = await all_.settle()
            assert frames == []

    play(story)


def test_unsubscribing_deals_ends_them_and_the_chain_goes_on(play):
    async def story(world):
        async with world.client() as client:
            head = world.lane().published_seq
            await client.ask(action="subscribe", channels=["deals", "positions"])
            await client.until("snapshot")
            await client.send(
                action="order.place",
                id="1",
                order={"symbol": "EURUSD", "type": "BUY", "volume": 0.01},
            )
            frames = [await client.recv()]
            while frames[-1]["type"] != "result":
                frames.append(await client.recv())
            ended = await client.ask(action="unsubscribe", channels=["deals", "positions"])
            assert ended["type"] == "unsubscribed"
            await client.send(
                action="order.place",
                id="2",
                order={"symbol": "EURUSD", "type": "SELL", "volume": 0.01},
            )
            while frames[-1].get("id") != "2":
                frames.append(await client.recv())
            assert_chained(frames, head)
            split = next(i for i, f in enumerate(frames) if f.get("id") == "1")
            assert {f["type"] for f in frames[:split]} == {"order_update", "deal", "position"}
            assert {f["type"] for f in frames[split + 1 : -1]} == {"order_update"}

    play(story)


def test_events_of_several_accounts_have_chains_of_their_own(play):
    async def story(world):
        await world.link("acc_2")
        async with world.client() as client, world.client("trade") as trader:
            await client.settle()
            heads = {a: world.lane(a).published_seq for a in ("acc_1", "acc_2")}
            for account_id in ("acc_1", "acc_2", "acc_1"):
                await world.trade(trader, account_id=account_id)
            frames = await client.settle()
            for account_id, head in heads.items():
                mine = [f for f in frames if f["account_id"] == account_id]
                assert_chained(mine, head)
                assert seqs(mine) == logged(world, "order", after=head, account_id=account_id)

    play(story)


# --- held back -------------------------------------------------------------------------------


def test_events_wait_for_the_first_frame_and_none_is_lost(play):
    async def story(world):
        async with world.client() as trader, world.client() as waiting:
            head = world.lane().published_seq
            await trader.settle()
            for _ in range(3):
                await world.trade(trader)
            frames = await waiting.settle()
            assert seqs(frames) == logged(world, "order", after=head)
            assert_chained(frames, head)
            await world.trade(trader)
            more = await waiting.settle()
            assert_chained(more, seqs(frames)[-1])
            assert seqs(frames + more) == logged(world, "order", after=head)

    play(story)


def test_events_wait_for_the_first_frame_two_seconds_at_most(play):
    async def story(world):
        async with world.client() as trader, world.client() as silent:
            head = world.lane().published_seq
            await trader.settle()
            await world.trade(trader)
            world.timers.advance(1_999)
            await world.trade(trader)
            world.timers.advance(1)
            await world.trade(trader)
            wanted = logged(world, "order", after=head)
            frames = [await silent.recv() for _ in wanted]
            assert seqs(frames) == wanted
            assert_chained(frames, head)

    play(story)


def test_the_frame_that_authenticates_leaves_room_for_a_resume(play):
    async def story(world):
        async with world.client() as trader, world.client(None) as client:
            await world.trade(trader)
            await client.ask(action="auth", api_key="read")
            await world.trade(trader)
            await client.send(action="resume", after=0, id="r")
            frames = await client.settle()
            assert seqs(frames) == logged(world, "order")
            assert frames[-1]["type"] == "resumed"

    play(story)


# --- resume ----------------------------------------------------------------------------------


def test_a_resume_sends_what_was_missed_then_says_where_live_begins(play):
    async def story(world):
        async with world.client() as trader:
            for _ in range(5):
                await world.trade(trader)
            after = logged(world, "order")[3]
            async with world.client() as client:
                await client.send(action="resume", id="r", after=after, epoch="epoch-acc_1")
                frames = await client.settle()
                assert frames.pop() == {
                    "type": "resumed",
                    "id": "r",
                    "account_id": "acc_1",
                    "after": after,
                    "head": world.lane().published_seq,
                    "epoch": "epoch-acc_1",
                }
                assert seqs(frames) == logged(world, "order", after=after)
                await world.trade(trader)
                frames += await client.settle()
                assert_chained(frames, after)
                assert seqs(frames) == logged(world, "order", after=after)

    play(story)


def test_a_resume_with_channels_includes_their_events_then_and_later(play):
    async def story(world):
        async with world.client() as trader:
            await world.trade(trader)
            async with world.client() as client:
                await client.send(action="resume", after=0, channels=["ticks", "deals"])
                await world.trade(trader)
                frames = await client.settle()
                assert seqs(frames) == logged(world, "order", "deal")
                assert_chained(frames, 0)
                listed = await client.ask(action="list")
                assert listed["subscriptions"][0]["channels"] == ["deals"]

    play(story)


def test_nothing_to_resume_is_resumed_at_once(play):
    async def story(world):
        async with world.client() as client:
            head = world.lane().published_seq
            resumed = await client.ask(action="resume", after=head)
            assert (resumed["type"], resumed["after"], resumed["head"]) == ("resumed", head, head)

    play(story)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"after": 0, "epoch": "other"}, "epoch is epoch-acc_1, not other"),
        ({"after": 10**6}, "event 1000000 is beyond the head"),
        ({"after": 10**6, "epoch": "epoch-acc_1"}, "beyond the head"),
    ],
)
def test_what_cannot_be_resumed_is_reset_and_goes_on_live(play, asked, reason):
    async def story(world):
        async with world.client() as trader, world.client() as client:
            await world.trade(trader)
            head = world.lane().published_seq
            reset = await client.ask(action="resume", id="r", **asked)
            assert reason in reset.pop("reason", "no reset")
            assert reset == {
                "type": "reset",
                "id": "r",
                "account_id": "acc_1",
                "head": head,
                "epoch": "epoch-acc_1",
            }
            await world.trade(trader)
            frames = await client.settle()
            assert seqs(frames) == logged(world, "order", after=head)
            assert_chained(frames, head)

    play(story)


def test_a_log_that_was_cut_short_resets_instead_of_skipping(play):
    async def story(world):
        async with world.client() as trader:
            for _ in range(3):
                await world.trade(trader)
        kept = world.journal.events

        def cut(account_id, after, limit):
            return [e for e in kept(account_id, after, limit + 5) if e.seq > 5][:limit]

        world.journal.events = cut
        async with world.client() as client:
            reset = await client.ask(action="resume", id="r", after=2)
            assert (reset["type"], reset["id"]) == ("reset", "r")
            assert "does not hold event 3" in reset["reason"]
        async with world.client() as client:
            await client.send(action="resume", after=5)
            assert seqs(await client.settle()) == logged(world, "order", after=5)

    play(story)


def test_a_log_that_cannot_be_read_closes_so_that_the_client_comes_again(play):
    async def story(world):
        def broken(account_id, after, limit):
            raise OSError("disk")

        world.journal.events = broken
        for after in (0, 10**6):
            async with world.client() as client:
                await client.send(action="resume", after=after)
                assert await client.closed() == (4000, [])

    play(story)


def test_one_account_is_resumed_while_the_others_wait_their_turn(play):
    async def story(world):
        await world.link("acc_2")
        async with world.client() as trader:
            await trader.settle()
            async with world.client() as client:
                await client.ask(action="resume", account_id="acc_1", after=0)
                for account_id in ("acc_2", "acc_1"):
                    await world.trade(trader, account_id=account_id)
                await client.send(action="resume", account_id="acc_2", after=0)
                frames = await client.settle()
                for account_id in ("acc_1", "acc_2"):
                    mine = [f for f in frames if f["account_id"] == account_id]
                    assert seqs(mine) == logged(world, "order", account_id=account_id)
                    assert_chained(mine, 0)

    play(story)


@pytest.mark.parametrize("case", range(6))
def test_resuming_while_orders_are_filled_loses_and_doubles_nothing(play, rng, case):
    """Clients come and resume at random moments of a burst of commits; pages hold 7 events."""

    async def story(world):
        async with world.client() as trader:
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}
            for n in range(10):  # a past that every reader from 0 must hear
                await trader.send(action="order.place", id=n, order=order)
            await results(trader, 10)
            pending = 0
            got: list[tuple[int, list]] = []
            for turn in range(12):
                for n in range(rng.randint(1, 6)):
                    await trader.send(action="order.place", id=n, order=order)
                    pending += 1
                head = world.lane().published_seq
                after = rng.choice((0, rng.randint(0, head))) if turn else 0
                got.append(await visit(world, rng, after))
            await results(trader, pending)
        for after, frames in got:
            head = max([after, *seqs(frames)])
            wanted = [seq for seq in logged(world, "order", "deal", after=after) if seq <= head]
            assert seqs(frames) == wanted
            assert_chained(frames, after)
        assert len(got[0][1]) >= 10 * 3  # pending, filled and the deal of each

    async def results(trader, count: int):
        while count:
            count -= (await trader.recv())["type"] == "result"

    async def visit(world, rng: random.Random, after: int):
        async with world.client() as client:
            await client.send(action="resume", after=after, channels=["deals"])
            frames = [await client.recv()]
            live = rng.randint(0, 3)  # then some live ones too, if any more come
            while frames[-1]["type"] != "resumed":
                frames.append(await client.recv())
            for _ in range(live):
                frames += await client.settle()
            return after, frames

    play(story, page_events=7)
