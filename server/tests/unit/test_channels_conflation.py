"""Late ticks: the newest of each symbol is kept, and every one that was left out is counted."""

import random

from fxsocket_server.channels.conflation import LateTicks


def key(symbol: str) -> tuple[str, str]:
    return ("acc_1", symbol)


def test_a_single_late_tick_skips_nothing():
    late = LateTicks()
    late.put(key("E"), 5, b"five")
    assert late
    found, tick = late.oldest()
    assert (found, tick.n, tick.frame, tick.skipped) == (key("E"), 5, b"five", 0)
    assert not late


def test_a_newer_tick_replaces_and_counts_the_older():
    late = LateTicks()
    for n in (5, 7, 9):
        late.put(key("E"), n, b"%d" % n)
    _, tick = late.oldest()
    assert (tick.n, tick.frame) == (9, b"9")
    assert (tick.first_skipped, tick.last_skipped, tick.skipped) == (5, 7, 2)


def test_symbols_come_out_in_the_order_of_their_newest_ticks():
    late = LateTicks()
    late.put(key("E"), 1, b"")
    late.put(key("G"), 2, b"")
    late.put(key("E"), 3, b"")
    assert [late.oldest()[0] for _ in range(2)] == [key("G"), key("E")]


def test_an_abandoned_tick_is_one_more_that_was_skipped():
    late = LateTicks()
    late.put(key("E"), 5, b"")
    once = late.abandon(key("E"))
    assert once is not None
    assert (once.first_skipped, once.last_skipped, once.skipped) == (5, 5, 1)
    assert late.abandon(key("E")) is None
    late.put(key("E"), 6, b"")
    late.put(key("E"), 8, b"")
    twice = late.abandon(key("E"))
    assert twice is not None
    assert (twice.first_skipped, twice.last_skipped, twice.skipped) == (6, 8, 2)
    assert not late


def test_delivered_and_skipped_add_up_to_every_tick(rng: random.Random):
    late = LateTicks()
    put, delivered, skipped = {"E": 0, "G": 0}, {"E": 0, "G": 0}, {"E": 0, "G": 0}
    for n in range(1, 3_000):
        symbol = rng.choice("EG")
        late.put(key(symbol), n, b"")
        put[symbol] += 1
        while late and rng.random() < 0.3:
            (_, found), tick = late.oldest()
            delivered[found] += 1
            skipped[found] += tick.skipped
    for symbol in "EG":
        left = late.abandon(key(symbol))
        skipped[symbol] += left.skipped if left else 0
    assert put == {symbol: delivered[symbol] + skipped[symbol] for symbol in "EG"}
    assert min(skipped.values()) > 100
