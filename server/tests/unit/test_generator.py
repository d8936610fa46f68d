"""The generated market: repeatable from a seed, snapshotable, and like a market."""

import hashlib
import random
from array import array
from collections import Counter
from itertools import combinations, pairwise
from statistics import fmean

import msgspec
import pytest

from fxsocket_server.broker.generator import (
    GAP_MAX_MS,
    GAP_MIN_MS,
    GeneratorSymbol,
    PriceGenerator,
    Tick,
    volatility_of,
)

START = 1_767_571_200_000  # 2026-01-05 00:00 UTC
EURUSD = GeneratorSymbol(
    symbol="EURUSD", digits=5, bid=108_340, spread=8, volatility=volatility_of(108_340, 450_000)
)
XAUUSD = GeneratorSymbol(symbol="XAUUSD", digits=2, bid=433_000, spread=12, volatility=13.0)
WS30 = GeneratorSymbol(symbol="WS30", digits=0, bid=48_000, spread=2, volatility=1.3)
SYMBOLS = (EURUSD, XAUUSD, WS30)

FIRST_TICK_OF_42 = (1767571200544, "XAUUSD", 433003, 433016)
DIGEST_OF_42 = "9950369750183b93b7a4f1528a340025c1d05fb4a5bfb94e5a0b8c33ba7a5f37"


def ticks_of(generator: PriceGenerator, count: int) -> list[Tick]:
    return [generator.next_tick() for _ in range(count)]


def one(spec: GeneratorSymbol, seed: int, count: int) -> list[Tick]:
    return ticks_of(PriceGenerator([spec], seed, START), count)


class TestRepeatable:
    def test_same_seed_same_ticks(self, seed: int) -> None:
        first, second = (PriceGenerator(SYMBOLS, seed, START) for _ in range(2))
        assert ticks_of(first, 5_000) == ticks_of(second, 5_000)

    def test_other_seeds_other_ticks(self, seed: int) -> None:
        walks = [[tick[2:] for tick in one(EURUSD, seed + n, 200)] for n in range(20)]
        assert all(a != b for a, b in combinations(walks, 2))

    def test_the_same_on_every_platform(self) -> None:
        ticks = ticks_of(PriceGenerator(SYMBOLS, 42, START), 10_000)
        digest = hashlib.sha256(repr(ticks).encode()).hexdigest()
        assert ticks[0] == FIRST_TICK_OF_42
        assert digest == DIGEST_OF_42

    def test_a_symbol_does_not_depend_on_the_others(self, seed: int) -> None:
        together = ticks_of(PriceGenerator(SYMBOLS, seed, START), 3_000)
        alone = iter(one(WS30, seed, 3_000))
        for tick in together:
            if tick[1] == "WS30":
                assert tick == next(alone)

    def test_symbols_do_not_move_together(self, seed: int) -> None:
        twins = [msgspec.structs.replace(EURUSD, symbol=name) for name in ("A", "B")]
        walks = [[tick[2:] for tick in one(twin, seed, 100)] for twin in twins]
        assert walks[0] != walks[1]


class TestSnapshot:
    def test_same_future_from_any_point(self, seed: int, rng: random.Random) -> None:
        for _ in range(10):
            generator = PriceGenerator(SYMBOLS, seed, START)
            ticks_of(generator, rng.randrange(3_000))
            if rng.random() < 0.5:
                generator.set_price("XAUUSD", 430_000, 430_040)
            snapshot = generator.snapshot()
            expected = ticks_of(generator, 500)
            for seed_of_other in (seed, seed + 1):
                other = PriceGenerator(SYMBOLS, seed_of_other, START - 5_000)
                ticks_of(other, rng.randrange(50))
                other.restore(snapshot)
                assert other.snapshot() == snapshot
                assert ticks_of(other, 500) == expected

    def test_going_on_does_not_change_it(self, seed: int) -> None:
        generator = PriceGenerator(SYMBOLS, seed, START)
        snapshot = generator.snapshot()
        kept = bytes(snapshot)
        ticks_of(generator, 100)
        assert snapshot == kept
        assert generator.snapshot() != kept

    def test_is_integers(self) -> None:
        state = msgspec.json.decode(PriceGenerator(SYMBOLS, 1, START).snapshot())
        assert sorted(state) == ["EURUSD", "WS30", "XAUUSD"]
        assert {type(value) for values in state.values() for value in values} == {int}

    def test_of_a_profile_that_has_changed(self, seed: int) -> None:
        """Symbols in both go on, a new one starts, one that is gone is forgotten."""
        old = PriceGenerator([EURUSD, XAUUSD], seed, START)
        ticks_of(old, 1_000)
        new = PriceGenerator([EURUSD, WS30], seed, START)
        new.restore(old.snapshot())
        fresh = iter(one(WS30, seed, 2_000))
        expected = iter([tick for tick in ticks_of(old, 3_000) if tick[1] == "EURUSD"])
        counts: Counter[str] = Counter()
        for tick in ticks_of(new, 2_000):
            assert tick == next(fresh if tick[1] == "WS30" else expected)
            counts[tick[1]] += 1
        assert min(counts.values()) > 500

    @pytest.mark.parametrize("snapshot", [b"", b"{", b"[1]", b'{"EURUSD":[1,2]}', b"\xff"])
    def test_refused(self, snapshot: bytes) -> None:
        generator = PriceGenerator(SYMBOLS, 1, START)
        before = generator.snapshot()
        with pytest.raises(ValueError, match="not a snapshot of generated prices"):
            generator.restore(snapshot)
        assert generator.snapshot() == before


class TestTime:
    def test_one_to_five_ticks_a_second_in_time_order(self, seed: int) -> None:
        ticks = ticks_of(PriceGenerator(SYMBOLS, seed, START), 20_000)
        assert all(a[0] <= b[0] for a, b in pairwise(ticks))
        for spec in SYMBOLS:
            times = [START, *[tick[0] for tick in ticks if tick[1] == spec.symbol]]
            gaps = [b - a for a, b in pairwise(times)]
            assert GAP_MIN_MS <= min(gaps) < GAP_MIN_MS + 20
            assert GAP_MAX_MS - 20 < max(gaps) <= GAP_MAX_MS
            assert 580 < fmean(gaps) < 620


class TestPrices:
    def test_quotes_are_possible(self, seed: int) -> None:
        for time_ms, _symbol, bid, ask in ticks_of(PriceGenerator(SYMBOLS, seed, START), 20_000):
            assert {type(time_ms), type(bid), type(ask)} == {int}
            assert 0 < bid < ask

    def test_begins_where_told(self, seed: int) -> None:
        _, symbol, bid, ask = one(EURUSD, seed, 1)[0]
        assert symbol == "EURUSD"
        assert abs(bid - 108_340) < 80
        assert 4 <= ask - bid <= 12

    def test_fixed_spread(self, seed: int) -> None:
        fixed = msgspec.structs.replace(EURUSD, spread_floating=False)
        assert {ask - bid for _, _, bid, ask in one(fixed, seed, 5_000)} == {8}

    def test_spread_has_a_minimum(self, seed: int) -> None:
        spec = msgspec.structs.replace(EURUSD, spread_min=7)
        spreads = Counter(ask - bid for _, _, bid, ask in one(spec, seed, 5_000))
        assert min(spreads) == 7
        assert max(spreads) > 9

    def test_tick_size(self, seed: int) -> None:
        spec = msgspec.structs.replace(XAUUSD, tick_size=25, spread=50, spread_min=25)
        ticks = one(spec, seed, 5_000)
        assert {bid % 25 for _, _, bid, _ in ticks} == {0}
        assert len({ask - bid for _, _, bid, ask in ticks}) > 1
        assert {(ask - bid) % 25 for _, _, bid, ask in ticks} == {0}

    def test_a_penny_symbol_never_falls_to_zero(self, seed: int) -> None:
        spec = msgspec.structs.replace(EURUSD, bid=2, spread=3, half_life_s=60)
        bids = [bid for _, _, bid, _ in one(spec, seed, 5_000)]
        assert min(bids) == 1

    def test_without_volatility_only_the_spread_moves(self, seed: int) -> None:
        spec = msgspec.structs.replace(EURUSD, volatility=0)
        assert {bid + ask for _, _, bid, ask in one(spec, seed, 2_000)} <= {
            216_687,
            216_688,
            216_689,
        }


class TestSetPrice:
    def test_goes_on_there(self, seed: int) -> None:
        generator = PriceGenerator(SYMBOLS, seed, START)
        ticks_of(generator, 500)
        generator.set_price("EURUSD", 120_000, 120_050)
        first = next(tick for tick in iter(generator.next_tick, None) if tick[1] == "EURUSD")
        assert abs(first[2] - 120_000) < 150
        later = [tick for tick in ticks_of(generator, 30_000) if tick[1] == "EURUSD"]
        assert all(abs(bid - 120_000) < 740 for _, _, bid, _ in later)
        assert 6 < fmean(ask - bid for _, _, bid, ask in later[1_000:]) < 12

    def test_leaves_times_and_other_symbols_alone(self, seed: int) -> None:
        moved, left = (PriceGenerator(SYMBOLS, seed, START) for _ in range(2))
        moved.set_price("EURUSD", 120_000, 120_008)
        for ours, theirs in zip(ticks_of(moved, 500), ticks_of(left, 500), strict=True):
            assert ours[:2] == theirs[:2]
            assert ours[1] == "EURUSD" or ours == theirs

    @pytest.mark.parametrize(
        ("symbol", "bid", "ask", "message"),
        [
            ("NOPE", 1, 2, "no symbol NOPE; there are EURUSD, XAUUSD, WS30"),
            ("EURUSD", 0, 2, "bid 0 must be above 0"),
            ("EURUSD", 5, 4, "bid 5 must be above 0 and not above ask 4"),
        ],
    )
    def test_refused(self, symbol: str, bid: int, ask: int, message: str) -> None:
        generator = PriceGenerator(SYMBOLS, 1, START)
        before = generator.snapshot()
        with pytest.raises(ValueError, match=message):
            generator.set_price(symbol, bid, ask)
        assert generator.snapshot() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bid": 0}, "EURUSD: bid must be at least 1"),
        ({"spread": -1}, "EURUSD: spread must be at least 0"),
        ({"tick_size": 0}, "EURUSD: tick_size must be at least 1"),
        ({"half_life_s": 0}, "EURUSD: half_life_s must be at least 1"),
        ({"volatility": -0.1}, "EURUSD: volatility must be a number from 0 up"),
        ({"volatility": float("nan")}, "EURUSD: volatility must be a number from 0 up"),
        ({"volatility": float("inf")}, "EURUSD: volatility must be a number from 0 up"),
    ],
)
def test_symbols_that_cannot_be(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(EURUSD, **change)


def test_no_symbols() -> None:
    with pytest.raises(ValueError, match="at least one symbol"):
        PriceGenerator([], 1, START)


def test_volatility_of_a_daily_move() -> None:
    """Independent moves of a day's seconds add up to the daily move."""
    per_second = volatility_of(108_340, 450_000)
    assert (86_400 * per_second**2) ** 0.5 == pytest.approx(108_340 * 0.0045)


WEEK_TICKS = 1_000_000


@pytest.fixture(scope="module")
def week() -> tuple["array[int]", "array[int]", "array[int]"]:
    """Times, bids and asks of EURUSD; always of the same seed, so that its figures are fixed."""
    next_tick = PriceGenerator([EURUSD], 2026, START).next_tick
    times_ms, bids, asks = array("q"), array("q"), array("q")
    for _ in range(WEEK_TICKS):
        time_ms, _symbol, bid, ask = next_tick()
        times_ms.append(time_ms)
        bids.append(bid)
        asks.append(ask)
    return times_ms, bids, asks


class TestLikeAMarket:
    """A week of EURUSD, a million ticks."""

    @staticmethod
    def minute_moves(week) -> list[int]:
        times_ms, bids, _ = week
        closes = {
            time_ms // 60_000: bid for time_ms, bid in zip(times_ms, bids, strict=True)
        }.values()
        return [b - a for a, b in pairwise(closes)]

    def test_stays_far_from_the_stops_of_the_first_order(self, week) -> None:
        """A first order's stops at 1.0720 and 1.0950 are out of reach."""
        _, bids, asks = week
        assert min(bids) > 107_600
        assert max(asks) < 109_100

    def test_but_moves_like_a_currency(self, week) -> None:
        """Each whole day ranges over 20 to 120 pips."""
        times_ms, bids, _ = week
        days: dict[int, list[int]] = {}
        for time_ms, bid in zip(times_ms, bids, strict=True):
            days.setdefault(time_ms // 86_400_000, []).append(bid)
        ranges = [max(day) - min(day) for day in list(days.values())[:-1]]
        assert len(ranges) >= 6
        assert all(200 < points < 1_200 for points in ranges)

    def test_moves_have_fat_tails(self, week) -> None:
        _, bids, _ = week
        for moves in ([b - a for a, b in pairwise(bids)], self.minute_moves(week)):
            mean = fmean(moves)
            variance = fmean((move - mean) ** 2 for move in moves)
            assert fmean((move - mean) ** 4 for move in moves) / variance**2 > 3.5

    def test_large_moves_come_together(self, week) -> None:
        sizes = [abs(move) for move in self.minute_moves(week)]
        mean = fmean(sizes)
        variance = fmean((size - mean) ** 2 for size in sizes)
        for minutes, least in ((1, 0.15), (10, 0.08)):
            pairs = zip(sizes, sizes[minutes:], strict=False)
            assert fmean((a - mean) * (b - mean) for a, b in pairs) / variance > least

    def test_the_next_move_cannot_be_told(self, week) -> None:
        moves = self.minute_moves(week)
        product = fmean(a * b for a, b in pairwise(moves))
        assert abs(product) / fmean(move * move for move in moves) < 0.05

    def test_london_and_new_york_are_busiest(self, week) -> None:
        times_ms, bids, _ = week
        square: Counter[int] = Counter()
        for n in range(1, WEEK_TICKS):
            square[times_ms[n] // 3_600_000 % 24] += (bids[n] - bids[n - 1]) ** 2
        assert min(square[hour] for hour in (13, 14, 15)) > 1.5 * max(
            square[hour] for hour in (2, 3, 4, 21, 22)
        )

    def test_the_spread_floats(self, week) -> None:
        _, bids, asks = week
        spreads = Counter(ask - bid for bid, ask in zip(bids, asks, strict=True))
        mean = sum(points * count for points, count in spreads.items()) / WEEK_TICKS
        assert 7 < mean < 9
        assert min(spreads) >= 1
        assert len(spreads) > 8
        assert max(spreads) < 40
