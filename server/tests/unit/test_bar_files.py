"""Recorded bars: what is read from files of several makers, and what is said about bad ones."""

import csv
import gzip
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fxsocket_server.model.candle import Candle, CandleBuilder
from fxsocket_server.model.server_time import NEW_YORK_CLOSE, UTC
from fxsocket_server.model.timeframe import Timeframe
from fxsocket_server.storage.bar_files import BarTerms, has_bars, load_bars
from fxsocket_server.storage.table_files import TickFileError
from fxsocket_server.storage.tick_files import RecordedTicks, load_ticks, merge

T0_S = 1_735_776_000  # 2025-01-02 00:00, server time
TERMS = BarTerms(symbol="EURUSD", digits=5, price=108_340, spread=8, to_utc_ms=UTC.to_utc_ms)
HEADER = "time,open,high,low,close,tick_volume,spread"
ROW = f"{T0_S},1.1,1.3,1.0,1.2,4,7"
BIDS = [110_000, 100_000, 130_000, 120_000]


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines to a CSV file."""

    def write(*lines: str, name: str = "bars.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def first_bar(ticks: RecordedTicks) -> tuple[int, list[int]]:
    return ticks.times_ms[0], list(ticks.bids[:4])


class TestForms:
    @pytest.mark.parametrize(
        ("header", "row"),
        [
            (HEADER, ROW),
            ("close,low,high,open,Date", f"1.2,1.0,1.3,1.1,{T0_S * 1000}"),
            ("Time,Open,High,Low,Close,Volume", "02.01.2025 00:00:00.000,1.1,1.3,1,1.2,9.5"),
            ("timestamp,open,high,low,close", "2025-01-02 00:00:00+00:00,1.1,1.3,1,1.2"),
            ("Date,open,high,low,close", "2025-01-02,1.1,1.3,1,1.2"),
            ("Date;open;high;low;close", "2025.01.02;1.1;1.3;1;1.2"),
            (
                "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
                "2025.01.02\t00:00:00\t1.1\t1.3\t1.0\t1.2\t4\t0\t7",
            ),
            ("time,open,high,low,close", f"{T0_S},1.0999999999999,1.3,1.0,1.2000000000001"),
            ("time,open,high,low,close", f"{T0_S},110000,130000.0,99999.99999999999,120000"),
        ],
    )
    def test_what_terminals_and_vendors_write(self, header, row, csv_file) -> None:
        path = csv_file(header, row)
        assert has_bars(path)
        ticks = load_bars(path, TERMS)
        assert first_bar(ticks) == (T0_S * 1000, BIDS)
        assert (len(ticks), ticks.digits, ticks.symbol) == (4, 5, "EURUSD")

    def test_parquet(self, tmp_path: Path) -> None:
        path = tmp_path / "bars.parquet"
        columns = {"open": [1.1], "high": [1.3], "low": [1.0], "close": [1.2]}
        pq.write_table(pa.table({"date": [date(2025, 1, 2)], **columns}), path)
        assert has_bars(path)
        assert first_bar(load_bars(path, TERMS)) == (T0_S * 1000, BIDS)

    def test_ticks_are_no_bars(self, csv_file) -> None:
        assert not has_bars(csv_file("time,bid,ask", "1,2,3"))
        assert not has_bars(csv_file("time,bid,ask,open", "1,2,3,4"))

    def test_times_are_server_time_unless_a_zone_is_written(self, csv_file) -> None:
        def read(moment: str) -> int:
            path = csv_file("time,open,high,low,close", f"{moment},1,1,1,1")
            terms = BarTerms(
                symbol="X", digits=0, price=1, spread=0, to_utc_ms=NEW_YORK_CLOSE.to_utc_ms
            )
            return load_bars(path, terms).times_ms[0]

        assert read(str(T0_S)) == (T0_S - 7_200) * 1000
        assert read("2025-01-02 00:00") == (T0_S - 7_200) * 1000
        assert read("2025-07-02 00:00") == read("2025-07-01T21:00Z")
        assert read("2025-01-02T00:00Z") == T0_S * 1000

    def test_a_bar_lasts_as_long_as_the_smallest_distance(self, csv_file) -> None:
        starts = (0, 7_200, 10_800, 18_000)
        path = csv_file("time,open,high,low,close", *(f"{T0_S + s},1,1,1,1" for s in starts))
        ticks = load_bars(path, TERMS)
        assert [at - T0_S * 1000 for at in ticks.times_ms[4:8]] == [
            7_200_000, 8_400_000, 9_600_000, 10_799_999,
        ]  # fmt: skip

    def test_spread_from_the_bar_the_one_before_or_the_profile(self, csv_file) -> None:
        spreads = ("", "0", "7", "0")
        rows = (f"{T0_S + 60 * n},1.0,1.0,1.0,1.0,1,{s}" for n, s in enumerate(spreads))
        ticks = load_bars(csv_file(HEADER, *rows), TERMS)
        wide = [ask - bid for bid, ask in zip(ticks.bids, ticks.asks, strict=True)]
        assert wide[::4] == [8, 8, 7, 7]

    def test_more_digits_in_the_file(self, csv_file) -> None:
        path = csv_file("time,open,high,low,close", f"{T0_S},1.0833405,1.09,1.08,1.08334")
        ticks = load_bars(path, TERMS)
        assert (ticks.digits, ticks.bids[0]) == (7, 10_833_405)
        assert ticks.asks[0] - ticks.bids[0] == 800  # as much money as before

    @pytest.mark.parametrize(("price", "expected"), [(2_650, 2_600), (26_500, 26_000)])
    def test_whole_prices_are_points_only_when_that_is_nearer(self, price, expected, csv_file):
        path = csv_file("time,open,high,low,close", f"{T0_S},2600,2600,2600,2600")
        terms = BarTerms(symbol="X", digits=1, price=price, spread=1, to_utc_ms=UTC.to_utc_ms)
        assert load_bars(path, terms).bids[0] == expected


class TestRefusals:
    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["time,open,high,low", "1,2,3,4"], "line 1: no column close; it has time, open"),
            (["open,high,low,close"], "line 1: no column timestamp or datetime or time or date"),
            ([HEADER], "no bars in it"),
            ([HEADER, ROW, ROW], "line 3: column time: not after the bar above; sort the file"),
            (
                [HEADER, f"{T0_S},1,2,3,1,4,7"],
                "line 2: columns low and high: open 1 and close 1 do",
            ),
            ([HEADER, f"{T0_S},1,2,x,1,4,7"], "line 2: column low: 'x' is not a number"),
            ([HEADER, f"{T0_S},0,2,1,1,4,7"], "line 2: column open: '0' is not a price above 0"),
            ([HEADER, "soon,1,2,1,1,4,7"], "line 2: column time: 'soon' is neither ISO 8601 nor"),
            ([HEADER, f"{T0_S},1,2,1,1,4,-7"], "line 2: column spread: '-7' is not a spread; give"),
            ([HEADER, f"{T0_S},1,2,1,1,4,.5"], "line 2: column spread: '.5' is not a number"),
            ([HEADER, f"{T0_S},1,2,1"], "line 2: the row ends before all of time, open, high"),
            (
                ["date,time,open,high,low,close", "2025.01.02,noon,1,1,1,1"],
                "line 2: is not ISO 8601",
            ),
        ],
    )
    def test_rows(self, lines: list[str], message: str, csv_file) -> None:
        path = csv_file(*lines)
        with pytest.raises(TickFileError, match=message) as caught:
            load_bars(path, TERMS)
        assert str(caught.value).startswith(f"{path}: ")


# --- real bars -------------------------------------------------------------------------------


def candles(ticks: RecordedTicks, timeframe: Timeframe) -> list[Candle]:
    builder = CandleBuilder(timeframe, UTC)
    made = [builder.add(at, bid, ask) for at, _, bid, ask, _ in ticks.rows()]
    return [*filter(None, made), *filter(None, [builder.live])]


@pytest.mark.parametrize("name", ["M12", "M30", "H1", "H4", "H12", "D1"])
def test_candles_made_of_a_terminals_bars_are_these_bars(name, shared_path) -> None:
    path = shared_path("data", "mt5_bars", f"icm_EURUSD_{name}_2025H1.csv.gz")
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    made = candles(load_bars(path, TERMS), Timeframe[name])
    places = Decimal("0.00001")
    assert [(c.time_ms // 1000, c.open, c.high, c.low, c.close) for c in made] == [
        (
            int(row["time"]),
            *(int(Decimal(row[k]).quantize(places) / places) for k in HEADER.split(",")[1:5]),
        )
        for row in rows
    ]
    assert len(made) == len(rows) > 100


def test_bars_and_ticks_are_merged_by_time(csv_file) -> None:
    bars = load_bars(csv_file(HEADER, ROW), TERMS)
    at = (T0_S * 1000, T0_S * 1000 + 30_000)
    ticks = load_ticks(
        csv_file("time,bid,ask", *(f"{ms},150.1,150.2" for ms in at), name="t.csv"), "USDJPY", 3
    )
    merged = list(merge([bars, ticks]))
    assert [row[1] for row in merged] == ["EURUSD", "USDJPY", "EURUSD", "USDJPY"] + ["EURUSD"] * 2
    assert [row[0] for row in merged] == sorted(row[0] for row in merged)
