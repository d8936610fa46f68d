"""The replay tool: real statements, and made-up ones with every kind of fault."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest

import replay

SPEC = {
    "symbol": "USDJPY",
    "digits": 3,
    "point": 0.001,
    "contract_size": 100000,
    "calc_mode": "FOREX",
    "leverage": 100,
    "deposit_currency": "USD",
    "profit_currency": "JPY",
    "swap_mode": "CURRENCY_DEPOSIT",
    "swap_triple_day": "WEDNESDAY",
    "server_midnight_rollover": True,
    "swap_long": 1.25,
    "swap_short": -3.5,
    "commission_per_lot_in": 3.0,
    "commission_per_lot_out": 2.0,
}
TRIP = {
    "symbol": "USDJPY",
    "side": "buy",
    "volume": "0.2",
    "open_time": "2025.01.07 11:30:00",
    "open": "110.933",
    "close_time": "2025.01.09 12:22:19",
    "close": "110.866",
    "profit": "-12.09",  # -1340 yen at the close
    "swap": "1.0",  # 0.25 on Tuesday, 0.75 on Wednesday
    "commission_in": "-0.6",
    "commission_out": "-0.4",
    "close_comment": "sl 110.866",
    "in_deal": "2",
    "out_deal": "3",
}
DEAL_COLUMNS = "time,deal,symbol,type,direction,volume,price,order,commission,swap,profit,balance"
DEALS = [
    "2025.01.01 00:00:00,1,,balance,,,,,0.0,0.0,1000.0,1000.0",
    "2025.01.07 11:30:00,2,USDJPY,buy,in,0.2,110.933,2,-0.6,0.0,0.0,999.4",
    "2025.01.09 12:22:19,3,USDJPY,sell,out,0.2,110.866,3,-0.4,1.0,-12.09,987.91",
]


class Report:
    """A report's three files."""

    def __init__(self, folder: Path) -> None:
        self.trips_path = folder / "demo_trips.csv"
        self.deals_path = folder / "demo_deals.csv.gz"
        self.spec_path = folder / "demo_spec.json"
        self.spec, self.trips, self.deals = dict(SPEC), [dict(TRIP)], list(DEALS)

    def write(self) -> Path:
        with self.trips_path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.trips[0]))
            writer.writeheader()
            writer.writerows(self.trips)
        text = "\n".join([DEAL_COLUMNS, *self.deals]) + "\n"
        self.deals_path.write_bytes(gzip.compress(text.encode()))
        self.spec_path.write_text(json.dumps(self.spec))
        return self.trips_path


@pytest.fixture
def report(tmp_path):
    return Report(tmp_path)


def run(capsys, *paths: Path) -> tuple[int, list[str], str]:
    code = replay.main([str(path) for path in paths])
    shown = capsys.readouterr()
    return code, shown.out.splitlines(), shown.err


# --- real statements -------------------------------------------------------------------------


def test_real_statements(shared_path, capsys):
    folder = shared_path("data", "statements")
    trips = sorted(folder.glob("mt5tester_*_trips.csv.gz"))
    code, lines, _ = run(capsys, folder / "mt4_replay_cases.json", *trips)
    assert code == 0
    assert lines[0] == "mt4_replay_cases.json: 17 of 17"
    assert "mt5tester_xauusd_market_trips.csv.gz: 30 of 30" in lines
    equal, compared = lines[-1].split(" of ")
    assert equal == compared


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("swap_long", -65.5),
        ("swap_triple_day", "FRIDAY"),
        ("commission_per_lot_in", 7),
        ("contract_size", 10),
    ],
)
def test_rates_come_from_the_spec(shared_path, tmp_path, capsys, field, value):
    for path in shared_path("data", "statements").glob("mt5tester_xauusd_market_*"):
        shutil.copyfile(path, tmp_path / path.name)
    spec = tmp_path / "mt5tester_xauusd_market_spec.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), field: value}))
    code, lines, _ = run(capsys, tmp_path / "mt5tester_xauusd_market_trips.csv.gz")
    equal, compared = lines[-1].split(" of ")
    assert (code, compared) == (1, "30")
    assert int(equal) < 30


# --- MT4 cases -------------------------------------------------------------------------------

CASE = {
    "account_currency": "USD",
    "symbol": "usdchf",
    "side": "sell",
    "volume": 0.1,
    "contract_size": 100000.0,
    "open": "0.99846",
    "close": "0.99674",
    "expected_profit": 17.26,
}


def cases(tmp_path, *changes: dict) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([{**CASE, **change} for change in changes]))
    return path


def test_mt4_cases(tmp_path, capsys):
    yen = {"account_currency": "JPY", "symbol": "USDJPYm", "open": 110, "close": 110.0014}
    path = cases(tmp_path, {}, {**yen, "expected_profit": -14}, {"expected_profit": 17.27})
    code, lines, _ = run(capsys, path)
    assert code == 1
    assert lines[0].endswith("case 3: usdchf profit 17.27, calculated 17.26")
    assert lines[1:] == ["cases.json: 2 of 3", "2 of 3"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"symbol": "EURJPY"}, "case 1: symbol: EURJPY makes JPY, and no rate leads to USD"),
        ({"symbol": "US30"}, "case 1: profit_currency: is missing; add it"),
        ({"volume": None}, "case 1: volume: is missing; add it"),
        ({"open": "high"}, "case 1: open: 'high' is not a number"),
        ({"open": 1e999}, "case 1: open: inf is not a number"),
        ({"side": "long"}, "case 1: side: 'long' is neither buy nor sell"),
        ({"calc_mode": "FX"}, "case 1: calc_mode: 'FX' is none of FOREX, FUTURES"),
        ({"symbol": 5}, "case 1: symbol: 5 is not text"),
        ({"volume": True}, "case 1: volume: True is not a number"),
    ],
)
def test_a_bad_case_is_named(tmp_path, capsys, change, error):
    code, _, shown = run(capsys, cases(tmp_path, change))
    assert code == 2
    assert error in shown


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", "is not JSON"), ("{}", "must be a list of cases"), ("[1]", "must be a list of cases")],
)
def test_a_file_that_holds_no_cases(tmp_path, capsys, text, error):
    path = tmp_path / "cases.json"
    path.write_text(text)
    code, _, shown = run(capsys, path)
    assert code == 2
    assert error in shown


# --- MT5 reports -----------------------------------------------------------------------------


def test_a_report(report, capsys):
    assert run(capsys, report.write())[:2] == (0, ["demo_trips.csv: 1 of 1", "1 of 1"])


@pytest.mark.parametrize("column", ["profit", "swap", "commission_in", "commission_out"])
def test_each_figure_of_a_trip_counts(report, capsys, column):
    report.trips[0][column] = "0.01"
    code, lines, _ = run(capsys, report.write())
    assert (code, lines[-1]) == (1, "0 of 1")
    assert lines[0] == (f"  demo_trips.csv:2: {column} 0.01, calculated {float(TRIP[column]):.2f}")


@pytest.mark.parametrize(
    ("old", "new", "miss"),
    [
        ("-12.09,987.91", "-12.10,987.90", "demo_deals.csv.gz:4: profit -12.10, calculated -12.09"),
        ("-12.09,987.91", "-12.09,987.92", "demo_deals.csv.gz:4: balance 987.92, calculated 987.9"),
        ("2,-0.6,0.0", "2,-0.5,0.0", "demo_deals.csv.gz:3: commission -0.50, calculated -0.60"),
        ("3,-0.4,1.0", "3,-0.4,0.9", "demo_deals.csv.gz:4: swap 0.90, calculated 1.00"),
    ],
)
def test_each_figure_of_a_deal_counts(report, capsys, old, new, miss):
    report.deals = [deal.replace(old, new) for deal in report.deals]
    code, lines, _ = run(capsys, report.write())
    assert (code, lines[-1]) == (1, "0 of 1")
    assert miss in lines[0]


def test_a_balance_that_goes_wrong_between_trips(report, capsys):
    report.deals.insert(1, "2025.01.02 00:00:00,9,,balance,,,,,0.0,0.0,50.0,1051.0")
    report.deals[2] = report.deals[2].replace("999.4", "1050.4")
    report.deals[3] = report.deals[3].replace("987.91", "1038.91")
    code, lines, _ = run(capsys, report.write())
    assert (code, lines[-1]) == (1, "1 of 2")
    assert lines[0] == "  demo_deals.csv.gz:3: balance 1051.00, calculated 1050.00"


def test_optional_columns(report, capsys):
    for column in ("symbol", "swap", "commission_in", "commission_out", "close_comment"):
        del report.trips[0][column]
    assert run(capsys, report.write())[0] == 0
    for column in ("in_deal", "out_deal"):
        del report.trips[0][column]
    assert run(capsys, report.write())[0] == 0


def test_a_position_closed_in_two_parts(report, capsys):
    parts = {"volume": "0.1", "profit": "-6.04", "swap": "0.51", "commission_out": "-0.2"}
    report.spec["swap_long"] = 1.27  # a night of 0.1 lot is 0.127
    report.trips = [{**TRIP, **parts}, {**TRIP, **parts, "out_deal": "4"}]
    report.deals[2:] = [
        "2025.01.09 12:22:19,3,USDJPY,sell,out,0.1,110.866,3,-0.2,0.51,-6.04,993.67",
        "2025.01.09 12:22:19,4,USDJPY,sell,out,0.1,110.866,4,-0.2,0.51,-6.04,987.94",
    ]
    assert run(capsys, report.write())[:2] == (0, ["demo_trips.csv: 2 of 2", "2 of 2"])


def test_conversion_by_rates_of_the_spec(report, capsys):
    report.spec |= {
        "symbol": "EURJPY",
        "rates": {"USDJPY": [150, 151]},
        "swap_mode": 1,
        "calc_mode": 0,
        "commission_percent_in": 0.01,
        "commission_per_lot_in": 0,
    }
    report.spec["rates"]["EURUSD"] = {"bid": 1.08, "ask": 1.1}
    # A buy's profit takes the Ask of yen in dollars, 1 / 150; a point of 0.2 lots is 0.13.
    report.trips[0] |= {
        "symbol": "EURJPY",
        "profit": "-8.93",
        "swap": "0.65",
        "commission_in": "-2.2",
        "in_deal": "",
        "out_deal": "",
    }
    report.deals = DEALS[:1]
    assert run(capsys, report.write())[:2] == (0, ["demo_trips.csv: 1 of 1", "1 of 1"])


def test_several_symbols(report, capsys):
    common = ("deposit_currency", "leverage", "server_midnight_rollover")
    own = {key: value for key, value in SPEC.items() if key not in common}
    gold = {**own, "calc_mode": "CFD", "digits": 2, "contract_size": 100, "profit_currency": "USD"}
    del gold["symbol"], own["symbol"]
    report.spec = {**{key: SPEC[key] for key in common}, "symbols": {"USDJPY": own, "GOLD": gold}}
    report.trips.append(
        {**TRIP, "symbol": "GOLD", "open": "2000", "close": "2001.5", "profit": "30", "in_deal": ""}
    )
    report.trips[1]["out_deal"] = ""
    assert run(capsys, report.write())[:2] == (0, ["demo_trips.csv: 2 of 2", "2 of 2"])


def test_swaps_by_interest_on_the_open_price(report, capsys):
    report.spec |= {
        "symbol": "DJI", "calc_mode": "CFD", "profit_currency": "USD", "contract_size": 1,
        "swap_mode": "INTEREST_OPEN", "swap_long": -3.6, "swap_year_days": 365,
        "swap_days": [0, 1, 1, 3, 1, 1, 0],
    }  # fmt: skip
    report.trips[0] |= {
        "symbol": "DJI", "open": "40000", "close": "40010.5", "profit": "2.1", "swap": "-3.16",
        "in_deal": "", "out_deal": "",
    }  # fmt: skip
    assert run(capsys, report.write())[0] == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"symbol": "EURUSD"}, "demo_trips.csv:2: symbol: USDJPY is not in the spec, which has EU"),
        ({"calc_mode": 99}, "demo_spec.json: calc_mode: 99 is none of FOREX"),
        ({"swap_mode": "POINTS"}, "demo_spec.json: rates: no rate from JPY to USD, which swaps ne"),
        ({"swap_long": None}, "demo_spec.json: swap_long: is missing; add it"),
        ({"deposit_currency": None}, "demo_spec.json: deposit_currency: is missing; add it"),
        ({"swap_triple_day": "SOMEDAY"}, "demo_spec.json: swap_triple_day: 'SOMEDAY' is no weekd"),
        ({"swap_days": [1, 2]}, "demo_spec.json: swap_days: must be seven numbers"),
        ({"server_midnight_rollover": False}, "server_midnight_rollover: must be true"),
        ({"rates": {"USDJPY": "x"}}, "demo_spec.json: rates: USDJPY: 'x' is neither a price nor"),
        ({"deposit_currency": "GBP"}, 'no rate from JPY to GBP, which profits need; add "rates"'),
        (
            {"swap_mode": "INTEREST_CURRENT", "calc_mode": "CFD"},
            "swap_mode: INTEREST_CURRENT goes by each night's price",
        ),
    ],
)
def test_a_bad_spec_is_named(report, capsys, change, error):
    report.spec |= change
    code, _, shown = run(capsys, report.write())
    assert code == 2
    assert error in shown


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"volume": "much"}, "demo_trips.csv:2: volume: 'much' is not a number"),
        ({"close": ""}, "demo_trips.csv:2: close: is empty; every row needs it"),
        ({"open_time": "yesterday"}, "demo_trips.csv:2: open_time: 'yesterday' is no time such as"),
        ({"side": "long"}, "demo_trips.csv:2: side: 'long' is neither buy nor sell"),
    ],
)
def test_a_bad_trip_is_named(report, capsys, change, error):
    report.trips[0] |= change
    code, _, shown = run(capsys, report.write())
    assert code == 2
    assert error in shown


def test_missing_files_and_columns(report, capsys):
    path = report.write()
    report.deals_path.unlink()
    assert "needs demo_deals.csv.gz beside it" in run(capsys, path)[2]
    report.write()
    report.spec_path.unlink()
    assert "demo_spec.json: no such file" in run(capsys, path)[2]
    report.write()
    del report.trips[0]["close"]
    assert (
        "demo_trips.csv:1: close: no such column; there are symbol"
        in run(capsys, report.write())[2]
    )
    assert "is not a *_trips.csv file" in run(capsys, report.deals_path)[2]
    assert "no such file" in run(capsys, path.with_name("none.json"))[2]
    assert "neither a .json list" in run(capsys, Path(__file__))[2]
    path.write_text(",".join(TRIP) + "\n1,2\n")
    assert "demo_trips.csv:2: 2 cells, but the header has" in run(capsys, path)[2]


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        replay.main(["--help"])
    assert stop.value.code == 0
    assert "30 of 30" in capsys.readouterr().out
