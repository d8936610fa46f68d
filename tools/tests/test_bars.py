"""The bars tool: a real broker's bars, and small made-up ones with every kind of fault."""

import csv
import gzip
import io
from pathlib import Path

import pytest

import bars
from fxsocket_server.model.timeframe import Timeframe

HEADER = ["time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume"]
START = 1_735_776_000  # 2025-01-02 00:00
MINUTES = [  # 00:00 to 00:11 without 00:07
    [START + 60 * n, 1.1 + n * 1e-5, 1.1002 + n * 1e-5, 1.0998 - n * 1e-5, 1.1001, n + 1, n % 3, 7]
    for n in range(12)
    if n != 7
]


def five(first: int, last: int) -> list:
    """The bar of minutes number `first` to `last`, put together by hand."""
    rows = [row for row in MINUTES if first <= (row[0] - START) // 60 <= last]
    return [
        START + first * 60,
        rows[0][1],
        max(row[2] for row in rows),
        min(row[3] for row in rows),
        rows[-1][4],
        sum(row[5] for row in rows),
        min(row[6] for row in rows),
        sum(row[7] for row in rows),
    ]


FIVES = [five(0, 4), five(5, 9), five(10, 14)]


def write(path: Path, rows: list, columns: list[str] = HEADER) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([row[HEADER.index(name)] for name in columns] for row in rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "x_EURUSD_M1_2025.csv", MINUTES)
    write(tmp_path / "x_EURUSD_M5_2025.csv", FIVES)
    return tmp_path


def ends(capsys, folder: Path) -> tuple[int, list[str]]:
    code = bars.main([str(folder)])
    return code, capsys.readouterr().out.splitlines()


def change(folder: Path, row: int, column: str, value) -> None:
    rows = [list(bar) for bar in FIVES]
    rows[row][HEADER.index(column)] = value
    write(folder / "x_EURUSD_M5_2025.csv", rows)


def test_a_brokers_own_bars(shared_path, capsys):
    """Every bar of 20 timeframes; only the weeks cut by either end are left out."""
    code, (*frames, total) = ends(capsys, shared_path("data", "mt5_bars"))
    counts = [line.partition(": ")[2].partition(",")[0].split(" of ") for line in frames]
    assert code == 0
    assert len(frames) == len(Timeframe) - 1
    assert all(equal == compared for equal, compared in [*counts, total.split(" of ")])
    assert int(total.split(" of ")[0]) > 300_000
    assert [line for line in frames if "left out" in line] == [
        "icm_EURUSD_W1_2025H1.csv.gz: 25 of 25, 2 left out"
    ]


def test_equal_bars(folder, capsys):
    code, lines = ends(capsys, folder)
    assert (code, lines) == (0, ["x_EURUSD_M5_2025.csv: 3 of 3", "3 of 3"])


@pytest.mark.parametrize("column", HEADER[1:])
def test_each_column_counts(folder, capsys, column):
    change(
        folder, 1, column, FIVES[1][HEADER.index(column)] + (1 if column in HEADER[5:] else 1e-5)
    )
    code, lines = ends(capsys, folder)
    assert (code, lines[-1]) == (1, "2 of 3")
    assert lines[1].startswith(f"  x_EURUSD_M5_2025.csv 2025.01.02 00:05: {column} ")
    assert ", built " in lines[1]


def test_binary_noise_is_no_difference(folder, capsys):
    change(folder, 0, "close", 1.1000999999999999)
    assert ends(capsys, folder)[0] == 0


def test_a_bar_that_the_minutes_hold_in_part_is_left_out(folder, capsys):
    change(folder, 2, "tick_volume", FIVES[2][5] + 40)
    code, lines = ends(capsys, folder)
    assert (code, lines) == (0, ["x_EURUSD_M5_2025.csv: 2 of 2, 1 left out", "2 of 2"])


def test_a_bar_too_few_and_one_too_many(folder, capsys):
    late = [START + 1_200, *FIVES[0][1:]]
    write(folder / "x_EURUSD_M5_2025.csv", [FIVES[0], FIVES[2], late])
    code, lines = ends(capsys, folder)
    assert (code, lines[-1]) == (1, "2 of 3")
    assert lines[1].endswith("2025.01.02 00:05: the file has no such bar")
    assert "1 left out" in lines[0]  # whatever lies beyond the minutes


def test_optional_columns_and_gzip(tmp_path, capsys):
    write(tmp_path / "GOLD_M1.csv.gz", MINUTES, HEADER[:6])
    write(tmp_path / "GOLD_M5.csv.gz", FIVES, HEADER)
    assert ends(capsys, tmp_path) == (0, ["GOLD_M5.csv.gz: 3 of 3", "3 of 3"])


def test_several_symbols(folder, capsys):
    write(folder / "x_XAUUSD_M1_2025.csv", MINUTES)
    write(folder / "x_XAUUSD_M5_2025.csv", FIVES[:1])
    code, lines = ends(capsys, folder)
    assert (code, lines[-1]) == (1, "4 of 5")


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("x_EURUSD_M5_2025.csv", "time,open\n", "M5_2025.csv:1: high, low, close, tick_volume: no"),
        ("x_EURUSD_M5_2025.csv", "", "M5_2025.csv:1: time, open, high, low, close, tick_volume: "),
        ("x_EURUSD_M1_2025.csv", "1,2,x,4,5,6,7,8", "M1_2025.csv:2: high: 'x' is not a number"),
        ("x_EURUSD_M1_2025.csv", "1,2,3,4,5,6.5,7,8", ":2: tick_volume: '6.5' is not a whole numb"),
        ("x_EURUSD_M1_2025.csv", "1,2,3", "M1_2025.csv:2: low: is missing; the row is too short"),
        ("x_EURUSD_M1_2025.csv", "9,1,1,1,1,1,1,1\n9,1,1,1,1,1,1,1", ":3: time: not later than"),
        ("x_EURUSD_M1_2025.csv", "1,inf,1,1,1,1,1,1", ":2: the row holds a number out of range"),
        ("x_EURUSD_M1_2025.csv", "\n", "M1_2025.csv:2: time: is missing"),
    ],
)
def test_a_bad_file_is_named_with_line_and_column(folder, capsys, name, content, error):
    head = "" if name.endswith("M5_2025.csv") else ",".join(HEADER) + "\n"
    (folder / name).write_text(head + content)
    assert bars.main([str(folder)]) == 2
    assert error in capsys.readouterr().err


def test_a_broken_gzip_file(folder, capsys):
    (folder / "x_EURUSD_M5_2025.csv").unlink()
    write(folder / "x_EURUSD_M1_2025.csv.gz", MINUTES)
    (folder / "x_EURUSD_M5_2025.csv.gz").write_bytes(b"no gzip")
    assert bars.main([str(folder)]) == 2
    assert "x_EURUSD_M5_2025.csv.gz: cannot be read" in capsys.readouterr().err


def test_a_folder_without_pairs(tmp_path, capsys):
    write(tmp_path / "EURUSD_M1.csv", MINUTES)
    assert bars.main([str(tmp_path)]) == 2
    assert "no *_M1_*.csv file with another timeframe's beside it" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        bars.main(["--help"])
    assert stop.value.code == 0
    assert "python tools/bars.py ../shared/data/mt5_bars" in capsys.readouterr().out
