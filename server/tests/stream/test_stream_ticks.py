"""Tick subscriptions: the short form, several symbols and accounts, errors, snapshots."""


def test_the_short_form_streams_ticks(play):
    async def story(world):
        async with world.client() as client:
            subscribed = await client.ask(action="subscribe", symbols=["EURUSD", "GBPUSD"])
            assert subscribed == {
                "type": "subscribed",
                "id": None,
                "account_id": "acc_1",
                "channels": ["ticks"],
                "symbols": ["EURUSD", "GBPUSD"],
                "pace": False,
                "rate": None,
            }
            snapshot = await client.recv()
            assert snapshot["type"] == "snapshot"
            assert [(t["symbol"], t["bid"]) for t in snapshot["ticks"]] == [
                ("EURUSD", 1.0834),
                ("GBPUSD", 1.27),
            ]
            world.clock.advance(1_250)
            await world.price("EURUSD", 108_341, 108_350)
            await world.price("WS30", 42_001)
            await world.price("GBPUSD", 127_123, 127_130)
            assert await client.recv() == {
                "type": "tick",
                "account_id": "acc_1",
                "symbol": "EURUSD",
                "bid": 1.08341,
                "ask": 1.0835,
                "last": None,
                "volume": 0,
                "flags": 6,
                "timestamp": "2026-01-05T00:00:01.250Z",
            }
            second = await client.recv()
            assert (second["symbol"], second["bid"], second["ask"]) == ("GBPUSD", 1.27123, 1.2713)

    play(story)


def test_unknown_symbols_are_named_and_the_rest_is_subscribed(play):
    async def story(world):
        async with world.client() as client:
            asked = ["EURUSX", "GBPUSD", "NOPE", "GBPUSD"]
            error = await client.ask(action="subscribe", id="7", symbols=asked)
            assert (error["type"], error["id"]) == ("error", "7")
            assert (error["code"], error["symbols"]) == ("invalid_symbol", ["EURUSX", "NOPE"])
            assert "did you mean EURUSD" in error["detail"]
            subscribed = await client.recv()
            assert (subscribed["id"], subscribed["symbols"]) == ("7", ["GBPUSD"])

    play(story)


def test_a_request_of_only_unknown_symbols_is_an_error_alone(play):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(action="subscribe", id="7", symbols=["NOPE"])
            assert error["code"] == "invalid_symbol"
            assert await client.settle() == []
            assert (await client.ask(action="list"))["subscriptions"] == []

    play(story)


def test_unsupported_channels_are_named_and_the_rest_is_subscribed(play):
    async def story(world):
        async with world.client() as client:
            channels = ["candles:M7", "ticks", "news"]
            error = await client.ask(
                action="subscribe", id=1, channels=channels, symbols=["EURUSD"]
            )
            assert error["code"] == "unsupported_channel"
            assert error["channels"] == ["candles:M7", "news"]
            assert "available are ticks, quotes, candles:TIMEFRAME, positions" in error["detail"]
            assert (await client.recv())["channels"] == ["ticks"]

    play(story)


def test_ticks_need_symbols(play):
    async def story(world):
        async with world.client() as client:
            error = await client.ask(action="subscribe", id="x", symbols=[])
            assert (error["code"], error["id"]) == ("validation_error", "x")
            assert error["errors"][0]["pointer"] == "/symbols"

    play(story)


def test_unsubscribing_ends_ticks_of_those_symbols_only(play):
    async def story(world):
        async with world.client() as client:
            await client.ask(action="subscribe", symbols=["EURUSD", "GBPUSD"])
            await client.settle()
            ended = await client.ask(action="unsubscribe", id="u", symbols=["EURUSD", "WS30"])
            assert (ended["type"], ended["symbols"]) == ("unsubscribed", ["EURUSD"])
            await world.price("EURUSD", 1)
            await world.price("GBPUSD", 127_001)
            assert [frame["symbol"] for frame in await client.settle()] == ["GBPUSD"]
            rest = await client.ask(action="unsubscribe")
            assert rest["symbols"] == ["GBPUSD"]
            await world.price("GBPUSD", 127_002)
            assert await client.settle() == []

    play(story)


def test_a_tick_reaches_every_subscriber_in_the_same_bytes(play):
    async def story(world):
        async with world.client() as one, world.client("read") as two:
            for client in (one, two):
                await client.ask(action="subscribe", symbols=["EURUSD"])
                await client.settle()
            await world.price("EURUSD", 108_400)
            assert await one.socket.recv() == await two.socket.recv()

    play(story)


def test_all_accounts_of_a_key_share_a_connection(play):
    async def story(world):
        await world.link("acc_2")
        async with world.client() as client:
            error = await client.ask(action="subscribe", id="1", symbols=["EURUSD"])
            assert error["code"] == "account_required"
            assert "acc_1, acc_2" in error["detail"]
            assert "X-Account-Id" not in error["detail"]
            for account_id in ("acc_1", "acc_2"):
                await client.ask(action="subscribe", symbols=["EURUSD"], account_id=account_id)
                await client.settle()
            await world.price("EURUSD", 108_401, account_id="acc_2")
            await world.price("EURUSD", 108_402, account_id="acc_1")
            ticks = await client.settle()
            assert [(t["account_id"], t["bid"]) for t in ticks] == [
                ("acc_2", 1.08401),
                ("acc_1", 1.08402),
            ]

    play(story)


def test_foreign_accounts_do_not_exist(play):
    async def story(world):
        await world.link("acc_2", user_id="usr_2")
        world.key("narrow", accounts=("acc_3",))
        for secret, account_id in (("full", "acc_2"), ("narrow", "acc_1"), ("full", "acc_9")):
            async with world.client(secret) as client:
                error = await client.ask(
                    action="subscribe", symbols=["EURUSD"], account_id=account_id
                )
                assert error["code"] == "not_found"
                await world.price("EURUSD", 108_401, account_id="acc_1")
                assert await client.settle() == []

    play(story)


def test_the_list_says_what_is_subscribed_and_where_the_logs_stand(play):
    async def story(world):
        async with world.client() as client:
            await client.ask(action="subscribe", symbols=["EURUSD"], channels=["ticks", "deals"])
            await client.ask(action="subscribe", symbols=["GBPUSD"], pace=True)
            await client.settle()
            listed = await client.ask(action="list", id="l")
            assert listed == {
                "type": "list",
                "id": "l",
                "subscriptions": [
                    {
                        "account_id": "acc_1",
                        "channels": ["ticks", "deals"],
                        "symbols": ["EURUSD", "GBPUSD"],
                        "paced": ["GBPUSD"],
                        "by_channel": {"ticks": ["EURUSD", "GBPUSD"]},
                    }
                ],
                "accounts": [
                    {
                        "account_id": "acc_1",
                        "epoch": "epoch-acc_1",
                        "head": world.lane().published_seq,
                    }
                ],
            }

    play(story)


def test_subscriptions_of_a_connection_are_bounded(play):
    async def story(world):
        async with world.client() as client:
            await client.ask(action="subscribe", symbols=["EURUSD", "GBPUSD"])
            await client.settle()
            error = await client.ask(action="subscribe", symbols=["EURUSD", "WS30"])
            assert error["code"] == "validation_error"
            assert "2 symbols, this would make 3" in error["detail"]
            assert (await client.ask(action="list"))["subscriptions"][0]["symbols"] == [
                "EURUSD",
                "GBPUSD",
            ]
            again = await client.ask(action="subscribe", symbols=["EURUSD"])
            assert again["type"] == "subscribed"

    play(story, subscriptions=2)


def test_a_closed_client_is_forgotten(play):
    async def story(world):
        timers = world.timers.waiting
        async with world.client() as client:
            await client.ask(action="subscribe", symbols=["EURUSD"])
            assert world.hub._readers.has_readers("acc_1")
        assert not world.hub._readers.has_readers("acc_1")
        await world.price("EURUSD", 108_401)
        await world.hub._wait_until_empty(1_000)
        assert world.timers.waiting == timers

    play(story)


def test_a_paced_subscription_has_no_snapshot(play):
    async def story(world):
        async with world.client() as client:
            await client.ask(action="subscribe", symbols=["EURUSD"], pace=True)
            assert await client.settle() == []

    play(story)
