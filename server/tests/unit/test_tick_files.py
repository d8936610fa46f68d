"""Recorded ticks: what is read from files, and what is said about bad ones."""

import csv
import gzip
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fxsocket_server.storage.table_files import TickFileError
from fxsocket_server.storage.tick_files import (
    RecordedTicks,
    load_ticks,
    merge,
    symbol_of,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T0 = 1_538_352_001_196  # 2018-10-01 00:00:01.196 UTC


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines to a CSV file."""

    def write(*lines: str, name: str = "ticks.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def columns(ticks: RecordedTicks) -> tuple[list[int], list[int], list[int]]:
    return list(ticks.times_ms), list(ticks.bids), list(ticks.asks)


class TestRealFile:
    def test_every_tick_of_a_day(self, shared_path: Callable[..., Path]) -> None:
        path = shared_path("data", "darwinex_ticks_WS30_2018-10-01.csv.gz")
        ticks = load_ticks(path, "WS30", digits=0)
        with gzip.open(path, "rt") as file:
            rows = list(csv.DictReader(file))
        assert (len(ticks), ticks.digits, ticks.symbol) == (27_283, 0, "WS30")
        assert list(ticks.bids) == [Decimal(row["bid"]) for row in rows]
        assert list(ticks.asks) == [Decimal(row["ask"]) for row in rows]
        moments = [EPOCH + timedelta(milliseconds=ms) for ms in ticks.times_ms]
        assert moments == [datetime.fromisoformat(row["timestamp"]) for row in rows]

    def test_progress_counts_rows(self, shared_path: Callable[..., Path]) -> None:
        seen: list[int] = []
        path = shared_path("data", "darwinex_ticks_WS30_2018-10-01.csv.gz")
        load_ticks(path, "WS30", 0, progress=seen.append)
        assert seen == [27_283]


class TestColumns:
    @pytest.mark.parametrize(
        "header",
        ["time,bid,ask", "TIMESTAMP,Bid,Ask", " time_msc , bid_price,ASK_PRICE ", "Time,BID,ask"],
    )
    def test_names(self, header: str, csv_file: Callable[..., Path]) -> None:
        ticks = load_ticks(csv_file(header, f"{T0},1.5,1.6"), "X", 1)
        assert columns(ticks) == ([T0], [15], [16])

    def test_any_order_and_others_between(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("ask,flags,time,last,bid", f"1.6,6,{T0},,1.5")
        assert columns(load_ticks(path, "X", 1)) == ([T0], [15], [16])

    def test_time_msc_is_taken_before_time(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask,time_msc", f"{T0 // 1000},1,2,{T0}")
        assert list(load_ticks(path, "X", 0).times_ms) == [T0]

    def test_byte_order_mark_and_blank_lines(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("\ufefftime,bid,ask", "", f"{T0},1,2", "")
        assert len(load_ticks(path, "X", 0)) == 1

    @pytest.mark.parametrize("name", ["last", "Last_Price"])
    def test_last_prices(self, name: str, csv_file: Callable[..., Path]) -> None:
        path = csv_file(f"time,bid,ask,{name}", "5,1,2,1.25", "6,1,2,0", "7,1,2,")
        ticks = load_ticks(path, "X", 0)
        assert (ticks.digits, list(ticks.lasts)) == (2, [125, 0, 0])
        assert next(ticks.rows()) == (5000, "X", 100, 200, 125)

    def test_without_last_prices(self, csv_file: Callable[..., Path]) -> None:
        ticks = load_ticks(csv_file("time,bid,ask", "5,1,2"), "X", 0)
        assert list(ticks.rows()) == [(5000, "X", 1, 2, 0)]


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        [
            "2018-10-01 00:00:01.196000+00:00",
            "2018-10-01T00:00:01.196Z",
            "2018-10-01 00:00:01.196",
            "2018-10-01T02:00:01.196+02:00",
            "2018-09-30T20:00:01.196999999-04:00",
            "1538352001.196",
            "1538352001.1959999",
            "1538352001196",
            "1538352001196.0",
            "1.538352001196e12",
        ],
    )
    def test_forms(self, text: str, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask", f"{text},1,2")
        assert list(load_ticks(path, "X", 0).times_ms) == [T0]

    def test_whole_seconds(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask", "1538352001,1,2", "2018-10-01 00:00:02,1,2")
        assert list(load_ticks(path, "X", 0).times_ms) == [1_538_352_001_000, 1_538_352_002_000]

    def test_milliseconds_that_look_like_a_short_date(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask", "1510102012345,1,2")
        assert list(load_ticks(path, "X", 0).times_ms) == [1_510_102_012_345]

    def test_time_msc_is_milliseconds_whatever_its_size(
        self, csv_file: Callable[..., Path]
    ) -> None:
        path = csv_file("time_msc,bid,ask", "5000,1,2")
        assert list(load_ticks(path, "X", 0).times_ms) == [5000]

    def test_equal_times_keep_their_order(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask", f"{T0},3,4", f"{T0},1,2", f"{T0},5,6")
        assert list(load_ticks(path, "X", 0).bids) == [3, 1, 5]


class TestDigits:
    @pytest.mark.parametrize(
        ("bid", "ask", "digits", "expected"),
        [
            ("1.08", "1.10", 5, (5, 108_000, 110_000)),
            ("1.083410", "1.083420", 2, (5, 108_341, 108_342)),
            ("26598.0", "26599.0", 0, (0, 26_598, 26_599)),
            ("26598.0", "26599.5", 0, (1, 265_980, 265_995)),
            ("0.00001234", "0.00001235", 2, (8, 1_234, 1_235)),
            ("1e-05", "2E-5", 2, (5, 1, 2)),
            ("1.1780599999999999", "1.17807", 5, (5, 117_806, 117_807)),
            ("100", "200", 0, (0, 100, 200)),
            ("+7.5", "8", 0, (1, 75, 80)),
            (".5", "1", 0, None),
        ],
    )
    def test_of_the_file_or_the_profile(
        self,
        bid: str,
        ask: str,
        digits: int,
        expected: tuple[int, int, int] | None,
        csv_file: Callable[..., Path],
    ) -> None:
        path = csv_file("time,bid,ask", f"{T0},{bid},{ask}")
        if expected is None:
            with pytest.raises(TickFileError, match="is not a number"):
                load_ticks(path, "X", digits)
        else:
            ticks = load_ticks(path, "X", digits)
            assert (ticks.digits, ticks.bids[0], ticks.asks[0]) == expected

    def test_any_price_is_exact(self, rng: random.Random, csv_file: Callable[..., Path]) -> None:
        prices = sorted(
            Decimal(rng.randrange(1, 9 * 10**10)).scaleb(-rng.randrange(9)) for _ in range(500)
        )
        path = csv_file("time,bid,ask", *[f"{T0},{price:f},{price:f}" for price in prices])
        ticks = load_ticks(path, "X", 0)
        assert [Decimal(bid).scaleb(-ticks.digits) for bid in ticks.bids] == prices


class TestRefusals:
    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["time,bid", "1,2"], "line 1: no column ask or ask_price; it has time, bid"),
            (["date,bid,ask"], "line 1: no column time_msc or timestamp or time; it has date"),
            (["time|bid|ask"], r"line 1: no column time_msc or .*; it has time\|bid\|ask"),
            (["time,bid,ask"], "no ticks in it"),
            (["time,bid,ask", "5,1,2", "6,x,2"], "line 3: column bid: 'x' is not a number"),
            (["time,bid,ask", "5,1,2", "6,1,"], "line 3: column ask: '' is not a number"),
            (["time,bid,ask", "5,1,1_0"], "line 2: column ask: '1_0' is not a number"),
            (["time,bid,ask", "5,1,٣"], "line 2: column ask: '٣' is not a number"),
            (["time,bid,ask", "5,nan,1"], "line 2: column bid: 'nan' is not a number"),
            (["time,bid,ask", "5,1,1e999"], "line 2: column ask: '1e999' is not a number"),
            (["time,bid,ask", "5,0,1"], "line 2: column bid: '0' is not a price above 0"),
            (["time,bid,ask", "5,-1,1"], "line 2: column bid: '-1' is not a price above 0"),
            (["time,bid,ask", "5,1,1e20"], "line 2: column ask: '1e20' is not a price .* below"),
            (["time,bid,ask,last", "5,1,2,-1"], "line 2: column last: '-1' is not a price; leave"),
            (["time,bid,ask", "soon,1,2"], "line 2: column time: 'soon' is neither ISO 8601 nor"),
            (["time,bid,ask", "2018-13-01,1,2"], "column time: '2018-13-01' is not ISO 8601"),
            (["time,bid,ask", "1e15,1,2"], "line 2: column time: '1e15' is too large"),
            (["time,bid,ask", "5,3,2"], "line 2: column bid: bid 3 is above ask 2; remove the"),
            (["time,bid,ask", "5,1,2", "4,1,2"], "line 3: column time: 4 is before the tick above"),
            (["time,bid,ask", "5,1,2", "6,1"], "line 3: the row ends before all of time, bid, ask"),
            (["time,bid," + "k" * 200_000], "line 1: field larger than field limit"),
            (["time,bid,ask", "5,1," + "9" * 5_000], "line 2: column ask: '9.* Exceeds the limit"),
            (["time,bid,ask", "5,1," + "9" * 200_000], "line 2: field larger than field limit"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_rows(self, lines: list[str], message: str, csv_file: Callable[..., Path]) -> None:
        path = csv_file(*lines)
        with pytest.raises(TickFileError, match=message) as caught:
            load_ticks(path, "X", 2)
        assert str(caught.value).startswith(f"{path}: ")

    def test_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "ticks.csv"
        path.touch()
        with pytest.raises(TickFileError, match="the file is empty"):
            load_ticks(path, "X", 2)

    def test_not_gzip(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask", "5,1,2", name="ticks.csv.gz")
        with pytest.raises(TickFileError, match=r"not a whole gzip file .* drop \.gz"):
            load_ticks(path, "X", 2)

    def test_gzip_cut_short(self, tmp_path: Path, rng: random.Random) -> None:
        rows = "".join(f"{T0 + n},{rng.randint(1, 9)},10\n" for n in range(5_000))
        whole = gzip.compress(b"time,bid,ask\n" + rows.encode())
        path = tmp_path / "ticks.csv.gz"
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(TickFileError, match="not a whole gzip file"):
            load_ticks(path, "X", 2)

    def test_not_text(self, tmp_path: Path) -> None:
        path = tmp_path / "ticks.csv"
        path.write_bytes(b"time,bid,ask\n5,\xff,2\n")
        with pytest.raises(TickFileError, match="not text in UTF-8"):
            load_ticks(path, "X", 2)

    @pytest.mark.parametrize("name", ["ticks.txt", "ticks", "ticks.csv.zip", "csv"])
    def test_unknown_kind(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(TickFileError, match=r"unknown kind of file; name it \.csv,"):
            load_ticks(tmp_path / name, "X", 2)

    def test_no_such_file(self, tmp_path: Path) -> None:
        for name in ("a.csv", "a.csv.gz", "a.parquet"):
            with pytest.raises(TickFileError, match=r"(?i)no such file"):
                load_ticks(tmp_path / name, "X", 2)

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "ticks.csv").mkdir()
        with pytest.raises(TickFileError, match="Is a directory"):
            load_ticks(tmp_path / "ticks.csv", "X", 2)


class TestParquet:
    @staticmethod
    def write(path: Path, times: pa.Array, bids: pa.Array, asks: pa.Array) -> Path:
        pq.write_table(pa.table({"Timestamp": times, "bid_price": bids, "ask_price": asks}), path)
        return path

    @pytest.mark.parametrize(
        "times",
        [
            pa.array([T0, T0 + 5]),
            pa.array([T0 / 1000, (T0 + 5) / 1000]),
            pa.array([T0, T0 + 5], pa.timestamp("ms")),
            pa.array([T0, T0 + 5], pa.timestamp("ms", "UTC")),
            pa.array([T0, T0 + 5], pa.timestamp("ms", "Europe/Athens")),
            pa.array([T0 * 1000 + 999, T0 * 1000 + 5000], pa.timestamp("us")),
            pa.array([T0 * 10**6 + 999, (T0 + 5) * 10**6], pa.timestamp("ns", "UTC")),
            pa.array(["2018-10-01T00:00:01.196Z", "2018-10-01 00:00:01.201"]),
        ],
        ids=lambda times: str(times.type),
    )
    def test_times(self, times: pa.Array, tmp_path: Path) -> None:
        path = self.write(
            tmp_path / "a.parquet", times, pa.array([1.08341, 1.1]), pa.array([1.08342, 1.2])
        )
        expected = ([T0, T0 + 5], [108_341, 110_000], [108_342, 120_000])
        assert columns(load_ticks(path, "X", 2)) == expected

    @pytest.mark.parametrize(
        "prices",
        [
            pa.array([0.07, 1.1, 26598.25]),
            pa.array([Decimal("0.07"), Decimal("1.10"), Decimal("26598.25")]),
            pa.array(["0.07", "1.1", "26598.250"]),
        ],
        ids=lambda prices: str(prices.type),
    )
    def test_prices(self, prices: pa.Array, tmp_path: Path) -> None:
        path = self.write(tmp_path / "a.parquet", pa.array([5, 6, 7]), prices, prices)
        ticks = load_ticks(path, "X", 0)
        assert (ticks.digits, list(ticks.bids)) == (2, [7, 110, 2_659_825])

    def test_the_same_as_csv(self, rng: random.Random, tmp_path: Path) -> None:
        rows, bid = [], 108_340
        for n in range(2_000):
            bid += rng.randint(-4, 4)
            rows.append((T0 + 300 * n, bid / 100_000, (bid + rng.randint(0, 9)) / 100_000))
        text = "time,bid,ask\n" + "".join(f"{t},{b!r},{a!r}\n" for t, b, a in rows)
        (tmp_path / "a.csv").write_text(text)
        self.write(
            tmp_path / "a.parquet", *[pa.array(column) for column in zip(*rows, strict=True)]
        )
        packed = tmp_path / "b.parquet.gz"
        packed.write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
        expected = load_ticks(tmp_path / "a.csv", "X", 5)
        assert len(expected) == 2_000
        assert load_ticks(tmp_path / "a.parquet", "X", 5) == expected
        assert load_ticks(packed, "X", 5) == expected

    def test_bad_cell(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path / "a.parquet", pa.array([5, 6]), pa.array([1.0, None]), pa.array([2.0, 2.0])
        )
        with pytest.raises(TickFileError, match="row 2: column bid_price: None is not a number"):
            load_ticks(path, "X", 2)

    def test_missing_column(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"time": [1], "bid": [1.0]}), tmp_path / "a.parquet")
        with pytest.raises(TickFileError, match="no column ask or ask_price; it has time, bid"):
            load_ticks(tmp_path / "a.parquet", "X", 2)

    def test_not_parquet(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_text("time,bid,ask\n5,1,2\n" * 20)
        with pytest.raises(TickFileError, match="not a Parquet file"):
            load_ticks(tmp_path / "a.parquet", "X", 2)

    def test_without_pyarrow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(TickFileError, match=r"needs pyarrow; pip install .*\[parquet\]"):
            load_ticks(tmp_path / "a.parquet", "X", 2)

    def test_csv_never_imports_it(self, csv_file: Callable[..., Path]) -> None:
        path = csv_file("time,bid,ask", "5,1,2")
        code = (
            "import sys, pathlib\n"
            "from fxsocket_server.storage import tick_files, history\n"
            f"tick_files.load_ticks(pathlib.Path({str(path)!r}), 'X', 2)\n"
            "print(sorted({'pyarrow', 'numpy', 'pandas'} & set(sys.modules)))\n"
        )
        search = [entry for entry in sys.path if entry]
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {search!r}\n{code}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "[]"


class TestSymbolOf:
    KNOWN = ("EURUSD", "WS30", "EURUSD.r", "BTCUSD")

    @pytest.mark.parametrize(
        ("filename", "symbol"),
        [
            ("darwinex_ticks_WS30_2018-10-01.csv.gz", "WS30"),
            ("/some/BTCUSD_folder/eurusd.CSV", "EURUSD"),
            ("C:\\data\\EURUSD_2020.parquet", "EURUSD"),
            ("EURUSD.r_2020.csv", "EURUSD.r"),
            ("WS30_WS30.csv", "WS30"),
        ],
    )
    def test_found(self, filename: str, symbol: str) -> None:
        assert symbol_of(filename, self.KNOWN) == symbol

    def test_none(self) -> None:
        with pytest.raises(TickFileError) as caught:
            symbol_of("ticks_XAUUSD_1.csv", self.KNOWN)
        assert str(caught.value) == (
            "ticks_XAUUSD_1.csv: the parts ticks, XAUUSD, 1 of the name hold none of "
            "BTCUSD EURUSD EURUSD.r WS30; write SYMBOL=ticks_XAUUSD_1.csv to say which symbol it is"
        )

    def test_several(self) -> None:
        with pytest.raises(TickFileError, match=r"hold EURUSD and WS30; write SYMBOL="):
            symbol_of("EURUSD_WS30.csv", self.KNOWN)


class TestMerge:
    def test_time_order_and_stable(self, rng: random.Random, csv_file: Callable[..., Path]) -> None:
        recordings = []
        for symbol in ("C", "A", "B"):
            times = sorted(rng.randrange(50) for _ in range(80))
            rows = [f"{ms},{n + 1},{n + 1}" for n, ms in enumerate(times)]
            path = csv_file("time_msc,bid,ask", *rows, name=f"{symbol}.csv")
            recordings.append(load_ticks(path, symbol, 0))
        merged = list(merge(recordings))
        every = [tick for recording in recordings for tick in recording.rows()]
        assert merged == sorted(every, key=lambda tick: tick[0])

    def test_nothing(self) -> None:
        assert list(merge([])) == []
