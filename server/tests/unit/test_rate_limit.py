"""GCRA: bursts, refills, waits, and that keys do not share a bucket."""

import random
from fractions import Fraction

import pytest

from fxsocket_server.security.rate_limit import RateLimiter


def passed(limiter: RateLimiter, key: str, now_ms: float) -> int:
    count = 0
    while limiter.take(key, now_ms).allowed:
        count += 1
    return count


@pytest.mark.parametrize(("per_s", "burst"), [(10, 5), (20_000, 40_000), (3, 7), (0.5, 1)])
def test_a_burst_passes_whole_and_no_more(per_s: float, burst: int) -> None:
    limiter = RateLimiter(per_s, burst)
    assert passed(limiter, "key", 1_000) == burst
    assert passed(limiter, "key", 1_000) == 0


def test_the_bucket_fills_at_its_rate() -> None:
    limiter = RateLimiter(per_s=10, burst=5)
    passed(limiter, "key", 0)
    assert passed(limiter, "key", 99) == 0
    assert passed(limiter, "key", 100) == 1
    assert passed(limiter, "key", 350) == 2
    assert passed(limiter, "key", 1_000_000) == 5


def test_keys_have_buckets_of_their_own() -> None:
    limiter = RateLimiter(per_s=10, burst=5)
    passed(limiter, "one", 0)
    assert passed(limiter, "other", 0) == 5


def test_a_verdict_says_what_is_left_and_how_long_to_wait() -> None:
    limiter = RateLimiter(per_s=10, burst=3)
    told = [limiter.take("key", 0) for _ in range(4)]
    assert [verdict.remaining for verdict in told] == [2, 1, 0, 0]
    assert [verdict.allowed for verdict in told] == [True, True, True, False]
    assert [verdict.reset_s for verdict in told] == pytest.approx([0, 0, 0, 0.1])
    assert [verdict.full_s for verdict in told] == pytest.approx([0.1, 0.2, 0.3, 0.3])


def test_a_refusal_costs_nothing() -> None:
    limiter = RateLimiter(per_s=10, burst=3)
    passed(limiter, "key", 0)
    for _ in range(100):
        assert not limiter.take("key", 50).allowed
    assert passed(limiter, "key", 100) == 1


def test_no_span_passes_more_than_burst_and_rate(rng: random.Random) -> None:
    limiter, now, times = RateLimiter(per_s=50, burst=8), 0.0, []
    for _ in range(2_000):
        now += rng.expovariate(1 / 12)
        if limiter.take("key", now).allowed:
            times.append(now)
    for start in range(0, len(times), 7):
        for end in range(start, min(start + 60, len(times))):
            span_ms = times[end] - times[start]
            assert end - start + 1 <= 8 + span_ms * 50 / 1_000 + 1e-6


class SlidingList:
    """The same promise by counting: no span of time passes more than the burst and its rate."""

    def __init__(self, per_ms: Fraction, burst: int) -> None:
        self._per_ms, self._burst = per_ms, burst
        self._passed: list[int] = []

    def take(self, now_ms: int) -> bool:
        spans = ((n, now_ms - then) for n, then in enumerate(reversed(self._passed), start=2))
        allowed = all(count <= self._burst + self._per_ms * span for count, span in spans)
        if allowed:
            self._passed.append(now_ms)
        return allowed


@pytest.mark.parametrize("per_s", [1, 4, 10, 125, 1_000])
@pytest.mark.parametrize("burst", [1, 2, 7, 40])
def test_it_decides_as_a_sliding_list_does(rng: random.Random, per_s: int, burst: int) -> None:
    limiter, slow = RateLimiter(per_s, burst), SlidingList(Fraction(per_s, 1000), burst)
    now, told = 0, []
    for _ in range(200):
        now += rng.choice((0, 0, 1, rng.randint(0, 2_000 // per_s), rng.randint(0, 50)))
        verdict = limiter.take("key", now)
        assert verdict.allowed == slow.take(now), now
        told.append(verdict.allowed)
    assert True in told


def test_after_the_told_wait_one_passes_and_not_before(rng: random.Random) -> None:
    limiter, now = RateLimiter(per_s=8, burst=3), 0.0  # 125 ms apart: exact in binary
    for _ in range(300):
        now += rng.choice((0, 1, 60, 125))
        verdict = limiter.take("key", now)
        if not verdict.allowed:
            assert not limiter.take("key", now + verdict.reset_s * 1000 - 0.5).allowed
            now += verdict.reset_s * 1000
            assert limiter.take("key", now).allowed


def test_whole_buckets_are_forgotten() -> None:
    limiter = RateLimiter(per_s=10, burst=5)
    for number in range(10_000):
        limiter.take(f"key {number}", now_ms=number * 100.0)
        assert limiter.known <= 2


def test_a_flood_of_new_keys_is_bounded_and_spares_the_busy() -> None:
    limiter = RateLimiter(per_s=1, burst=2, keys_max=100)
    passed(limiter, "busy", 0)
    for number in range(5_000):
        limiter.take(f"key {number}", now_ms=0)
        assert not limiter.take("busy", 0).allowed
        assert limiter.known <= 100
