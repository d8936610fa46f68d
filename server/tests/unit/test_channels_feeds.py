"""Who reads which ticks, and when a feed waits: pacing, full readers, stalls."""

import random

from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.subscriptions import Subscriptions

STALL_MS = 2_000.0
ACC = "acc_1"


def readers() -> FeedReaders[str]:
    return FeedReaders(STALL_MS)


def watching(feeds: FeedReaders[str], symbol: str, account_id: str = ACC):
    watchers = feeds.watchers(account_id, symbol)
    return None if watchers is None else (watchers.free, watchers.paced)


# --- subscriptions ---------------------------------------------------------------------------


def test_subscriptions_agree_with_a_plain_set(rng: random.Random):
    """Random changes; every index is compared with a set of (reader, account, symbol) -> pace."""
    index: Subscriptions[str] = Subscriptions()
    plain: dict[tuple[str, str, str], bool] = {}
    for _ in range(2_000):
        key = (rng.choice("abc"), rng.choice(("x", "y")), rng.choice(("E", "G", "U")))
        action = rng.randrange(10)
        if action < 5:
            pace = rng.random() < 0.5
            index.add(*key, pace)
            plain[key] = pace
        elif action < 9:
            index.remove(*key)
            plain.pop(key, None)
        else:
            index.drop(key[0])
            plain = {k: pace for k, pace in plain.items() if k[0] != key[0]}
        assert_same(index, plain)


def assert_same(index: Subscriptions[str], plain: dict[tuple[str, str, str], bool]) -> None:
    for account in ("x", "y"):
        assert index.has_readers(account) == any(a == account for _, a, _ in plain)
        for symbol in ("E", "G", "U"):
            wanted = {r: pace for (r, a, s), pace in plain.items() if (a, s) == (account, symbol)}
            found = index.watchers(account, symbol)
            if not wanted:
                assert found is None
                continue
            assert found is not None
            assert set(found.free) == {r for r, pace in wanted.items() if not pace}
            assert set(found.paced) == {r for r, pace in wanted.items() if pace}
    for reader in "abc":
        assert index.count(reader) == sum(r == reader for r, _, _ in plain)
        assert set(index.accounts(reader)) == {a for r, a, _ in plain if r == reader}
        for account in ("x", "y"):
            mine = {s: p for (r, a, s), p in plain.items() if (r, a) == (reader, account)}
            assert index.symbols(reader, account) == mine


def test_a_reader_that_leaves_during_a_fan_out_disturbs_nobody():
    feeds = readers()
    for reader in "abc":
        feeds.subscribe(reader, ACC, ["EURUSD"], pace=False)
    found = feeds.watchers(ACC, "EURUSD")
    assert found is not None
    reached = []
    for reader in found.free:
        feeds.drop("b")
        reached.append(reader)
    assert reached == ["a", "b", "c"]
    assert watching(feeds, "EURUSD") == (("a", "c"), ())


def test_pace_belongs_to_the_symbol():
    feeds = readers()
    feeds.subscribe("a", ACC, ["EURUSD"], pace=True)
    feeds.subscribe("a", ACC, ["GBPUSD"], pace=False)
    assert watching(feeds, "EURUSD") == ((), ("a",))
    assert watching(feeds, "GBPUSD") == (("a",), ())
    assert feeds.paced_accounts("a") == [ACC]
    feeds.subscribe("a", ACC, ["EURUSD"], pace=False)
    assert watching(feeds, "EURUSD") == (("a",), ())
    assert feeds.paced_accounts("a") == []


# --- pacing ----------------------------------------------------------------------------------


def test_a_feed_is_held_from_a_paced_tick_to_its_ack():
    feeds = readers()
    feeds.subscribe("a", ACC, ["EURUSD"], pace=True)
    for lossless in (True, False):
        assert not feeds.held(ACC, lossless, 0)
    feeds.sent("a", ACC, 1)
    for lossless in (True, False):
        assert feeds.held(ACC, lossless, 1e9)
        assert feeds.wait_ms(ACC, lossless, 1e9) is None
    assert not feeds.held("acc_2", True, 0)
    feeds.ack("a", ACC, 1)
    assert not feeds.held(ACC, True, 0)


def test_whoever_leaves_stops_pacing_or_changes_its_mind_lets_the_feed_go():
    for leave in (
        lambda feeds: feeds.drop("a"),
        lambda feeds: feeds.unsubscribe("a", ACC, ["EURUSD"]),
        lambda feeds: feeds.subscribe("a", ACC, ["EURUSD"], pace=False),
    ):
        feeds = readers()
        feeds.subscribe("a", ACC, ["EURUSD"], pace=True)
        feeds.sent("a", ACC, 1)
        assert feeds.held(ACC, False, 0)
        leave(feeds)
        assert not feeds.held(ACC, False, 0)


def test_dropping_a_reader_names_the_feeds_that_may_go_on():
    feeds = readers()
    feeds.subscribe("a", "acc_1", ["EURUSD"], pace=True)
    feeds.subscribe("a", "acc_2", ["EURUSD"], pace=False)
    assert feeds.drop("a") == ["acc_1", "acc_2"]
    assert feeds.drop("a") == []


# --- full readers ----------------------------------------------------------------------------


def test_a_lossless_feed_waits_for_a_full_reader_until_it_has_stalled():
    feeds = readers()
    feeds.subscribe("slow", ACC, ["EURUSD"], pace=False)
    feeds.filled("slow", 1_000)
    assert feeds.held(ACC, True, 1_000)
    assert feeds.wait_ms(ACC, True, 1_500) == 1_500
    assert feeds.held(ACC, True, 2_999)
    assert not feeds.conflates("slow", ACC, 2_999)
    assert not feeds.held(ACC, True, 3_000)
    assert feeds.conflates("slow", ACC, 3_000)


def test_a_reader_that_drains_in_time_has_not_stalled():
    feeds = readers()
    feeds.subscribe("slow", ACC, ["EURUSD"], pace=False)
    feeds.filled("slow", 0)
    assert feeds.held(ACC, True, 1_999)
    assert feeds.drained("slow") == [ACC]
    assert feeds.drained("slow") == []
    assert not feeds.held(ACC, True, 1_999)
    feeds.filled("slow", 2_500)
    assert feeds.held(ACC, True, 4_499)


def test_the_feed_waits_for_the_last_of_several_full_readers():
    feeds = readers()
    for reader, since_ms in (("slow", 0), ("slower", 700)):
        feeds.subscribe(reader, ACC, ["EURUSD"], pace=False)
        feeds.filled(reader, since_ms)
    assert feeds.wait_ms(ACC, True, 1_000) == 1_700
    assert feeds.held(ACC, True, 2_100)
    assert not feeds.held(ACC, True, 2_700)


def test_a_live_feed_conflates_a_full_reader_at_once_and_never_waits():
    feeds = readers()
    feeds.subscribe("slow", ACC, ["EURUSD"], pace=False)
    assert not feeds.held(ACC, False, 0)
    assert not feeds.conflates("slow", ACC, 0)
    feeds.filled("slow", 0)
    assert not feeds.held(ACC, False, 0)
    assert feeds.conflates("slow", ACC, 0)


def test_one_full_reader_of_two_feeds_counts_as_each_feed_does():
    feeds = readers()
    feeds.subscribe("slow", "live", ["EURUSD"], pace=False)
    feeds.subscribe("slow", "max", ["EURUSD"], pace=False)
    feeds.filled("slow", 0)
    assert not feeds.held("live", False, 0)
    assert feeds.held("max", True, 0)
    assert feeds.conflates("slow", "live", 0)
    assert not feeds.conflates("slow", "max", 0)


def test_a_full_reader_of_other_accounts_or_only_paced_ticks_holds_nothing():
    feeds = readers()
    feeds.subscribe("elsewhere", "acc_2", ["EURUSD"], pace=False)
    feeds.subscribe("pacing", ACC, ["EURUSD"], pace=True)
    feeds.filled("elsewhere", 0)
    feeds.filled("pacing", 0)
    assert not feeds.held(ACC, True, 0)
