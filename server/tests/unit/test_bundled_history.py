"""The bundled candles: what they hold, how frames are made from them, and damaged files."""

import csv
import gzip
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from fxsocket_server.model.candle import Candle, aggregate
from fxsocket_server.model.server_time import EET, NEW_YORK_CLOSE
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.storage.history.bundled import DATA, BundledHistory, HistoryError, Source

ALWAYS = (0, 10**15)
HOUR = 3_600_000
SOURCES = [
    ("USDJPY", Timeframe.H1, 3, 57_600),
    ("XAUUSD", Timeframe.H1, 2, 57_600),
    ("EURUSD", Timeframe.D1, 5, 2_400),
    ("EURUSD", Timeframe.H1, 5, 6_225),
]


@pytest.fixture(scope="module")
def history() -> BundledHistory:
    return BundledHistory()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def source_of(history: BundledHistory, symbol: str, frame: Timeframe) -> Source:
    source = history.source(symbol, frame)
    assert source is not None
    return source


class TestContents:
    def test_symbols_and_frames(self, history: BundledHistory) -> None:
        assert history.symbols() == ["EURUSD", "USDJPY", "WS30", "XAUUSD"]
        hours_and_longer = [frame for frame in Timeframe if frame.seconds >= 3600]
        assert history.timeframes("USDJPY") == hours_and_longer
        assert history.timeframes("EURUSD") == hours_and_longer
        assert history.timeframes("WS30") == list(Timeframe)
        assert history.timeframes("NOPE") == []

    def test_nothing_where_nothing_is_bundled(self, history: BundledHistory) -> None:
        assert history.candles("NOPE", Timeframe.H1, 5, *ALWAYS) == []
        assert history.candles("USDJPY", Timeframe.M1, 3, *ALWAYS) == []
        assert history.span("NOPE") is None
        assert history.span("USDJPY", Timeframe.M1) is None

    @pytest.mark.parametrize(("symbol", "frame", "digits", "rows"), SOURCES)
    def test_prices_are_those_of_the_file(
        self, history: BundledHistory, symbol: str, frame: Timeframe, digits: int, rows: int
    ) -> None:
        source = source_of(history, symbol, frame)
        candles = history.candles(symbol, frame, digits, *ALWAYS)
        with gzip.open(DATA / source.file, "rt") as file:
            cells = list(csv.reader(file))[1:]
        assert len(candles) == len(cells) == rows
        unit = 10**digits if source.price_factor > 1 else 1
        for candle, row in zip(candles, cells, strict=True):
            ours = (candle.open, candle.high, candle.low, candle.close)
            assert ours == tuple(round(float(cell) * unit) for cell in row[1:5])
            assert candle.tick_volume + candle.real_volume == round(float(row[5]))
            assert candle.spread == 0

    @pytest.mark.parametrize("symbol", ["EURUSD", "USDJPY", "WS30", "XAUUSD"])
    def test_spans_are_those_of_the_data(self, history: BundledHistory, symbol: str) -> None:
        spans = []
        for frame in Timeframe:
            source = history.source(symbol, frame)
            if source and source.timeframe is frame and source.format == "bars":
                candles = history.candles(symbol, frame, source.digits, *ALWAYS)
                ends_ms = candles[-1].time_ms + frame.seconds * 1000
                assert history.span(symbol, frame) == (candles[0].time_ms, ends_ms)
                spans.append((candles[0].time_ms, ends_ms))
        if symbol == "WS30":
            candles = history.candles(symbol, Timeframe.M1, 0, *ALWAYS)
            spans.append((candles[0].time_ms, candles[-1].time_ms + 60_000))
        starts, ends = zip(*spans, strict=True)
        assert history.span(symbol) == (min(starts), max(ends))

    def test_every_file_has_its_terms(self) -> None:
        notice = (DATA / "NOTICE.md").read_text()
        licences = " ".join(path.name for path in (DATA / "LICENSES").iterdir())
        history = BundledHistory()
        for symbol in history.symbols():
            for frame in history.timeframes(symbol):
                source = source_of(history, symbol, frame)
                assert f"`{source.file}`" in notice
                assert source.commit in notice
                assert source.license.split("-")[0] in licences

    def test_files_are_the_published_ones(self, shared_path: Callable[..., Path]) -> None:
        files = sorted(DATA.glob("*.gz"))
        assert len(files) == 5
        for path in files:
            assert path.read_bytes() == shared_path("data", path.name).read_bytes()


class TestClock:
    """Market hours in New York tell whether times were turned into UTC rightly."""

    @staticmethod
    def weekly_ends(candles: list[Candle]) -> Iterator[datetime]:
        """Ends of the last busy hour of each whole week, in New York."""
        new_york = ZoneInfo("America/New_York")
        busy = [candle for candle in candles if candle.tick_volume > 10]
        for candle, following in pairwise(busy):
            end = datetime.fromtimestamp(candle.time_ms / 1000 + 3600, UTC).astimezone(new_york)
            if following.time_ms - candle.time_ms > 40 * HOUR and end.weekday() == 4:
                yield end

    @pytest.mark.parametrize(("symbol", "digits"), [("USDJPY", 3), ("XAUUSD", 2)])
    def test_weeks_end_at_five_in_new_york(
        self, history: BundledHistory, symbol: str, digits: int
    ) -> None:
        ends = list(self.weekly_ends(history.candles(symbol, Timeframe.H1, digits, *ALWAYS)))
        at_five = sum(end.hour == 17 for end in ends)
        assert len(ends) > 450
        assert at_five / len(ends) > 0.95  # the rest are shortened days before holidays

    def test_weeks_in_which_only_one_continent_saves_daylight(
        self, history: BundledHistory
    ) -> None:
        """22:00 to 23:00 server time is the last hour before the close at 21:00 UTC."""
        starts = [candle.time_ms for candle in history.candles("XAUUSD", Timeframe.H1, 2, *ALWAYS)]
        for last in ("2014-03-14", "2017-03-24", "2019-11-01", "2021-11-05"):
            close = ms(f"{last}T21:00:00+00:00")
            assert EET.to_server_ms(close) % (24 * HOUR) == 23 * HOUR
            assert close - HOUR in starts
            assert close not in starts

    def test_a_second_broker_agrees_hour_by_hour(
        self, history: BundledHistory, shared_path: Callable[..., Path]
    ) -> None:
        """USDJPY of February 2013, on the clock that the file left in 2014."""
        path = shared_path("data", "nautilus_fxcm_usdjpy-m1-bid-2013.csv.gz")
        closes = {}
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                start = datetime.fromisoformat(row["timestamp"])
                closes[int(start.timestamp()) // 3600] = round(float(row["close"]) * 1000)
        ours = history.candles(
            "USDJPY", Timeframe.H1, 3, ms("2013-02-01T00:00Z"), ms("2013-03-01T00:00Z")
        )
        pairs = [
            (candle.close, closes[candle.time_ms // HOUR])
            for candle in ours
            if candle.time_ms // HOUR in closes
        ]
        assert len(pairs) > 450
        assert sum(abs(one - other) for one, other in pairs) / len(pairs) < 10  # points

    def test_days_and_hours_of_eurusd_agree(self, history: BundledHistory) -> None:
        """Highs of Bid days lie just below those of the Ask hours between their bounds."""
        hours = history.candles("EURUSD", Timeframe.H1, 5, *ALWAYS)
        near = checked = 0
        for day in history.candles("EURUSD", Timeframe.D1, 5, *ALWAYS):
            inside = [c for c in hours if day.time_ms <= c.time_ms < day.time_ms + 24 * HOUR]
            if len(inside) == 24:
                checked += 1
                near += abs(max(c.high for c in inside) - day.high) <= 15
        assert checked > 200
        assert near / checked > 0.95


class TestRanges:
    def test_from_inclusive_to_exclusive(self, history: BundledHistory) -> None:
        every = history.candles("USDJPY", Timeframe.H1, 3, *ALWAYS)
        part = history.candles("USDJPY", Timeframe.H1, 3, every[10].time_ms, every[20].time_ms)
        assert part == every[10:20]
        between = history.candles(
            "USDJPY", Timeframe.H1, 3, every[10].time_ms + 1, every[20].time_ms + 1
        )
        assert between == every[11:21]

    @pytest.mark.parametrize(
        ("from_ms", "to_ms"), [(5, 5), (9, 3), (0, 1), (10**15, 2 * 10**15), (-(10**15), 0)]
    )
    def test_empty(self, history: BundledHistory, from_ms: int, to_ms: int) -> None:
        for frame in (Timeframe.H1, Timeframe.MN1):
            assert history.candles("USDJPY", frame, 3, from_ms, to_ms) == []

    @pytest.mark.parametrize("frame", [Timeframe.H4, Timeframe.D1, Timeframe.W1, Timeframe.MN1])
    def test_longer_frames_of_any_range(
        self, history: BundledHistory, frame: Timeframe, rng: random.Random
    ) -> None:
        """A range cuts the list of candles, never a candle."""
        hours = history.candles("XAUUSD", Timeframe.H1, 2, *ALWAYS)
        every = aggregate(hours, frame, NEW_YORK_CLOSE)
        assert history.candles("XAUUSD", frame, 2, *ALWAYS) == every
        for _ in range(20):
            from_ms, to_ms = sorted(
                rng.randrange(every[0].time_ms, every[-1].time_ms + HOUR) for _ in range(2)
            )
            expected = [candle for candle in every if from_ms <= candle.time_ms < to_ms]
            assert history.candles("XAUUSD", frame, 2, from_ms, to_ms) == expected

    def test_days_are_the_brokers(self) -> None:
        for zone in (NEW_YORK_CLOSE, EET):
            days = BundledHistory(zone).candles("USDJPY", Timeframe.D1, 3, *ALWAYS)
            assert {zone.to_server_ms(day.time_ms) % (24 * HOUR) for day in days} == {0}

    def test_the_longest_fitting_file_answers(self, history: BundledHistory) -> None:
        """Weeks of EURUSD come from ten years of Bid days, not from one year of Ask hours."""
        assert source_of(history, "EURUSD", Timeframe.W1).timeframe is Timeframe.D1
        assert source_of(history, "EURUSD", Timeframe.D1).price_side == "bid"
        assert source_of(history, "EURUSD", Timeframe.H12).timeframe is Timeframe.H1
        assert len(history.candles("EURUSD", Timeframe.W1, 5, *ALWAYS)) > 480


class TestDigits:
    def test_more(self, history: BundledHistory) -> None:
        exact = history.candles("USDJPY", Timeframe.H1, 3, *ALWAYS)[0]
        more = history.candles("USDJPY", Timeframe.H1, 5, *ALWAYS)[0]
        assert (more.open, more.high, more.low, more.close) == (
            100 * exact.open,
            100 * exact.high,
            100 * exact.low,
            100 * exact.close,
        )
        assert more.tick_volume == exact.tick_volume

    def test_fewer_round_half_up(self, history: BundledHistory) -> None:
        exact = history.candles("USDJPY", Timeframe.H1, 3, *ALWAYS)
        fewer = history.candles("USDJPY", Timeframe.H1, 2, *ALWAYS)
        assert [c.close for c in fewer] == [(c.close + 5) // 10 for c in exact]
        assert all(c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high for c in fewer)

    def test_spread_too(self, history: BundledHistory) -> None:
        minutes = history.candles("WS30", Timeframe.M1, 2, *ALWAYS)
        assert {minute.spread % 100 for minute in minutes} == {0}
        assert max(minute.spread for minute in minutes) >= 100


def test_minutes_of_ws30_are_made_from_its_ticks(
    history: BundledHistory, shared_path: Callable[..., Path]
) -> None:
    groups: dict[int, list[tuple[int, int]]] = {}
    with gzip.open(shared_path("data", "darwinex_ticks_WS30_2018-10-01.csv.gz"), "rt") as file:
        for row in csv.DictReader(file):
            since = datetime.fromisoformat(row["timestamp"]) - datetime(1970, 1, 1, tzinfo=UTC)
            minute = since // timedelta(minutes=1) * 60_000
            tick = (int(float(row["bid"])), int(float(row["ask"])))
            groups.setdefault(minute, []).append(tick)
    expected = []
    for minute, ticks in groups.items():
        bids = [bid for bid, _ in ticks]
        spread = min(ask - bid for bid, ask in ticks)
        expected.append(
            Candle(minute, bids[0], max(bids), min(bids), bids[-1], len(bids), 0, spread)
        )
    assert history.candles("WS30", Timeframe.M1, 0, *ALWAYS) == expected


class TestDamage:
    MANIFEST = """
[[source]]
symbol = "X"
timeframe = "{frame}"
file = "x.csv.gz"
format = "{format}"
columns = ["time", "open", "high", "low", "close", "tick_volume"]
digits = 1
price_side = "bid"
time_zone = "UTC"
starts = 2020-01-01T00:00:00Z
ends = 2020-01-02T00:00:00Z
repository = "none"
commit = "none"
license = "MIT"
"""
    GOOD = ("2020-01-01 00:00:00,10,12,9,11,5", "2020-01-01 01:00:00,11,12,9,11,5")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        text = self.MANIFEST.format(frame="H1", format="bars")
        (tmp_path / "manifest.toml").write_text(text)
        return tmp_path

    @staticmethod
    def write(folder: Path, *rows: str) -> BundledHistory:
        text = "\n".join(("Date,open,high,low,close,tick_volume", *rows)) + "\n"
        (folder / "x.csv.gz").write_bytes(gzip.compress(text.encode()))
        return BundledHistory(folder=folder)

    def test_good_rows(self, folder: Path) -> None:
        history = self.write(folder, *self.GOOD)
        expected = [
            Candle(ms("2020-01-01T00:00Z"), 10, 12, 9, 11, 5, 0, 0),
            Candle(ms("2020-01-01T01:00Z"), 11, 12, 9, 11, 5, 0, 0),
        ]
        assert history.candles("X", Timeframe.H1, 1, *ALWAYS) == expected

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2020-01-01 02:00:00,x,12,9,11,5", "could not convert string to float"),
            ("2020-01-01 02:00:00,nan,12,9,11,5", "cannot convert float NaN"),
            ("2020-01-01 02:00:00,10,inf,9,11,5", "cannot convert float infinity"),
            ("2020-01-01 02:00:00,10,1e300,9,11,5", "are no candle"),
            ("2020-01-01 02:00:00,10,12,10.9,11,5", "open 10, high 12, low 11, close 11 are no"),
            ("2020-01-01 02:00:00,13,12,9,11,5", "are no candle"),
            ("2020-01-01 02:00:00,10,12,0,11,5", "are no candle"),
            ("2020-01-01 02:00:00,10,12,9,11,-5", "-5 is no volume"),
            ("2020-01-01 02:00:00,10,12,9", "index out of range"),
            ("2020-01-41 02:00:00,10,12,9,11,5", "day"),
            ("2020-01-01 01:00:00,10,12,9,11,5", "its time is not after that of the row above"),
            ("2020-01-01T02:00:00Z,10,12,9,11,5", "offset"),
        ],
    )
    def test_a_row(self, row: str, message: str, folder: Path) -> None:
        history = self.write(folder, *self.GOOD, row)
        with pytest.raises(HistoryError, match=message) as caught:
            history.candles("X", Timeframe.H1, 1, *ALWAYS)
        assert str(caught.value).startswith(f"{folder / 'x.csv.gz'}: line 4: ")
        assert str(caught.value).endswith("; reinstall the server")

    def test_a_file_mended_is_read_again(self, folder: Path) -> None:
        history = self.write(folder, "bad")
        with pytest.raises(HistoryError):
            history.candles("X", Timeframe.H1, 1, *ALWAYS)
        self.write(folder, *self.GOOD)
        assert len(history.candles("X", Timeframe.H1, 1, *ALWAYS)) == 2

    def test_no_rows(self, folder: Path) -> None:
        with pytest.raises(HistoryError, match="no rows in it"):
            self.write(folder).candles("X", Timeframe.H1, 1, *ALWAYS)

    @pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"a\n" * 9000)[:40]])
    def test_not_a_whole_gzip_file(self, content: bytes, folder: Path) -> None:
        (folder / "x.csv.gz").write_bytes(content)
        with pytest.raises(HistoryError, match=r"x\.csv\.gz"):
            BundledHistory(folder=folder).candles("X", Timeframe.H1, 1, *ALWAYS)

    def test_missing_file(self, folder: Path) -> None:
        with pytest.raises(HistoryError, match=r"x\.csv\.gz"):
            BundledHistory(folder=folder).candles("X", Timeframe.H1, 1, *ALWAYS)

    def test_ticks(self, folder: Path) -> None:
        manifest = self.MANIFEST.format(frame="M1", format="ticks")
        (folder / "manifest.toml").write_text(manifest)
        text = b"time,bid,ask\n1577836800000,10,11\n1577836800001,x,11\n"
        (folder / "x.csv.gz").write_bytes(gzip.compress(text))
        with pytest.raises(HistoryError, match=r"x\.csv\.gz: line 3: column bid: 'x'"):
            BundledHistory(folder=folder).candles("X", Timeframe.M1, 1, *ALWAYS)
