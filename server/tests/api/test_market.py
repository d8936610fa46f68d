"""/v1/symbols, /v1/quotes, /v1/candles and /v1/sim/price: what the market is and was."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from fxsocket_server.model.enums import Filling

from .client import Api, order_of
from .world import PRICES, World

BUNDLED_HOURS = 57_000  # of USDJPY, 2012-11 to 2022-03; a little fewer than there are


# --- symbols ---------------------------------------------------------------------------------


def test_symbols_are_filtered_by_group(api: Api) -> None:
    every = {symbol["symbol"] for symbol in api.get("/symbols")}
    assert set(PRICES) < every

    def names(group: str) -> set[str]:
        return {symbol["symbol"] for symbol in api.get("/symbols", group=group)}

    assert names("*USD*") == {name for name in every if "USD" in name}
    assert names("*USD*,!*JPY*") == {n for n in every if "USD" in n and "JPY" not in n}
    assert names("*, !EUR*, EURUSD") == {n for n in every if n[:3] != "EUR"} | {"EURUSD"}
    assert names("WS30") == {"WS30"}
    assert names("eurusd") == set()
    assert names("*,!*") == set()


def test_symbols_are_shown_or_hidden(api: Api) -> None:
    assert api.get("/symbols", visible="true") == api.get("/symbols")
    assert api.get("/symbols", visible="false") == []
    problem = api.refused("validation_error", "GET", "/symbols?visible=yes")
    assert [error["pointer"] for error in problem["errors"]] == ["?visible"]


def test_a_symbol_tells_its_rules(api: Api) -> None:
    symbol = api.get("/symbols/EURUSD")
    assert symbol in api.get("/symbols")
    assert (symbol["digits"], symbol["point"], symbol["tick_size"]) == (5, 1e-5, 1e-5)
    assert (symbol["contract_size"], symbol["tick_value"]) == (100_000, 1)
    assert (symbol["volume_min"], symbol["volume_step"], symbol["volume_limit"]) == (
        0.01,
        0.01,
        None,
    )
    assert (symbol["bid"], symbol["ask"], symbol["spread"]) == (1.0834, 1.0835, 10)
    assert set(symbol["filling_modes"]) <= set(Filling)
    # This account trades round the clock: its sessions are known, but never close.
    assert (symbol["market_open"], symbol["next_open"], symbol["next_close"]) == (True, None, None)
    assert symbol["sessions"]["trade"][0]["day"] == "MONDAY"


def test_every_symbol_takes_its_smallest_order(world: World, api: Api) -> None:
    for symbol in api.get("/symbols"):
        if symbol["bid"] is None:
            problem = api.refused("price_off", "POST", "/orders", json=smallest(symbol))
            assert problem["retcode_name"] == "PRICE_OFF"
        else:
            assert api.place(**smallest(symbol))["price"] == symbol["ask"]


def smallest(symbol: dict[str, Any]) -> dict[str, Any]:
    return order_of(symbol=symbol["symbol"], volume=symbol["volume_min"])


def test_an_unknown_symbol_is_not_found(api: Api) -> None:
    api.refused("not_found", "GET", "/symbols/EURUSDm")
    api.refused("not_found", "GET", "/quotes/eurusd")
    problem = api.refused("invalid_symbol", "POST", "/orders", json=order_of(symbol="EURUDS"))
    assert "EURUSD" in problem["detail"]
    assert [error["pointer"] for error in problem["errors"]] == ["/symbol"]


# --- quotes and prices -----------------------------------------------------------------------


def test_a_quote_ages(world: World, api: Api) -> None:
    set_at = api.set_price("EURUSD", 1.0834, 1.08347)
    assert (set_at["bid"], set_at["ask"], set_at["spread"]) == (1.0834, 1.08347, 7)
    assert (set_at["age_ms"], set_at["stale"], set_at["market_open"]) == (0, False, True)
    world.clock.advance(10_001)
    quote = api.get("/quotes/EURUSD")
    assert quote == {**set_at, "age_ms": 10_001, "stale": True}
    fresh = api.set_price("EURUSD", 1.0834, 1.08347)
    assert (fresh["age_ms"], fresh["stale"]) == (0, False)


def test_quotes_come_in_the_order_asked(api: Api) -> None:
    quotes = api.get("/quotes", symbols="USDJPY, EURUSD")
    assert [quote["symbol"] for quote in quotes] == ["USDJPY", "EURUSD"]
    assert quotes[1] == api.get("/quotes/EURUSD")
    assert len(api.get("/quotes")) == len(api.get("/symbols"))
    problem = api.refused("invalid_symbol", "GET", "/quotes?symbols=EURUSD,EURUDS")
    assert [error["pointer"] for error in problem["errors"]] == ["?symbols"]


def test_a_symbol_without_a_price_is_stale(api: Api) -> None:
    quote = api.get("/quotes/USDCHF")
    assert (quote["bid"], quote["timestamp"], quote["stale"]) == (None, None, True)


@pytest.mark.parametrize(
    ("price", "code", "pointer"),
    [
        ({"bid": 0}, "invalid_price", "/bid"),
        ({"bid": -1}, "invalid_price", "/bid"),
        ({"ask": 1.08}, "invalid_price", "/ask"),
        ({"ask": 1e12}, "invalid_price", "/ask"),
        ({"bid": "1.08"}, "validation_error", "/bid"),
        ({"symbol": "EURUDS"}, "invalid_symbol", "/symbol"),
        ({"spread": 1}, "validation_error", "/spread"),
    ],
)
def test_a_wrong_price_is_named(api: Api, price: dict[str, Any], code: str, pointer: str) -> None:
    asked = {"symbol": "EURUSD", "bid": 1.0834, "ask": 1.0835, **price}
    problem = api.refused(code, "POST", "/sim/price", json=asked)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert api.get("/quotes/EURUSD")["bid"] == 1.0834


def test_accounts_have_markets_of_their_own(
    world: World, api: Api, connect: Callable[..., Api]
) -> None:
    other = connect(world.add_key(accounts=(world.add_account(),)))
    api.set_price("EURUSD", 1.2, 1.2001)
    assert other.get("/quotes/EURUSD")["bid"] == 1.0834


# --- candles ---------------------------------------------------------------------------------


def candles(api: Api, **params: Any) -> Any:
    return api.get("/candles", **{"symbol": "USDJPY", "timeframe": "H1", **params})


def test_real_years_come_in_pages_without_a_hole(api: Api) -> None:
    span = {"from": "2012-01-01", "to": "2022-12-31", "limit": 10_000}
    pages = list(api.pages("/candles", symbol="USDJPY", timeframe="H1", **span))
    assert {len(page) for page in pages[:-1]} == {10_000}
    rows = [row for page in pages for row in page]
    assert len(rows) > BUNDLED_HOURS
    times = [row["time"] for row in rows]
    assert times == sorted(set(times))
    assert (times[0][:7], times[-1][:7]) == ("2012-11", "2022-03")
    assert all(row["low"] <= min(row["open"], row["close"]) for row in rows)
    assert all(row["high"] >= max(row["open"], row["close"]) for row in rows)
    assert {datetime.fromisoformat(time).minute for time in times} == {0}


def test_a_page_starts_at_from_and_ends_before_to(api: Api) -> None:
    page = candles(api, **{"from": "2022-03-01T00:00:00Z"}, to="2022-03-01T03:00:00Z")
    assert [row["time"] for row in page["data"]] == [
        f"2022-03-01T{hour:02d}:00:00.000Z" for hour in range(3)
    ]
    assert (page["complete"], page["next_cursor"]) == (True, None)
    assert page["data"][0] == {
        "time": "2022-03-01T00:00:00.000Z",
        "open": 115.085,
        "high": 115.288,
        "low": 114.993,
        "close": 115.259,
        "tick_volume": 3319,
        "real_volume": 0,
        "spread": 0,
    }
    zoned = candles(api, **{"from": "2022-03-01T02:00:00+02:00"}, to="2022-03-01T03:00:00")
    assert zoned == page


def test_without_from_the_newest_candles_come(api: Api) -> None:
    page = candles(api, to="2022-03-04T20:00:00Z", limit=2)
    assert [row["time"][:13] for row in page["data"]] == ["2022-03-04T18", "2022-03-04T19"]
    assert page["next_cursor"] is None


def test_the_live_candle_follows_the_history(world: World, api: Api) -> None:
    api.set_price("USDJPY", 151.2, 151.25)
    api.set_price("USDJPY", 150.9, 150.91)
    [row] = candles(api, limit=1)["data"]
    assert (row["high"], row["low"], row["close"]) == (151.2, 150.9, 150.9)
    assert row["time"] > "2026-01-05"
    assert candles(api, limit=2)["complete"] is False  # nothing is known of the years between


def test_longer_timeframes_are_made_of_shorter_ones(api: Api) -> None:
    day = {"from": "2022-03-01T22:00:00Z", "to": "2022-03-02T22:00:00Z"}
    hours = candles(api, **day)["data"]
    [whole] = candles(api, timeframe="D1", **day)["data"]
    assert (whole["open"], whole["close"]) == (hours[0]["open"], hours[-1]["close"])
    assert whole["high"] == max(row["high"] for row in hours)
    assert whole["low"] == min(row["low"] for row in hours)
    assert whole["tick_volume"] == sum(row["tick_volume"] for row in hours)


def test_csv_answers_the_whole_range(api: Api) -> None:
    span = {"symbol": "USDJPY", "timeframe": "H1", "from": "2022-01-10", "to": "2022-03-01"}
    response = api.call("GET", "/candles", params=span, headers={"Accept": "text/csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    wanted = [row for page in api.pages("/candles", limit=300, **span) for row in page]
    assert len(rows) == len(wanted) > 800
    for row, candle in zip(rows, wanted, strict=True):
        assert {k: v if k == "time" else float(v) for k, v in row.items()} == candle


def test_a_csv_file_is_never_short(api: Api) -> None:
    span = {"symbol": "USDJPY", "timeframe": "H1", "from": "2012-01-01", "to": "2013-01-01"}
    assert candles(api, **span)["complete"] is False
    response = api.call("GET", "/candles", params=span, headers={"Accept": "text/csv"})
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("timeframe=H1", "validation_error", "?symbol"),
        ("symbol=USDJPY", "validation_error", "?timeframe"),
        ("symbol=USDJPY&timeframe=H5", "validation_error", "?timeframe"),
        ("symbol=USDJPY&timeframe=h1", "validation_error", "?timeframe"),
        ("symbol=USDYEN&timeframe=H1", "invalid_symbol", "?symbol"),
        ("symbol=USDJPY&timeframe=H1&limit=10001", "validation_error", "?limit"),
        ("symbol=USDJPY&timeframe=H1&from=2022-01-01&to=2022-01-01", "validation_error", "?to"),
        ("symbol=USDJPY&timeframe=H1&from=then", "validation_error", "?from"),
        ("symbol=USDJPY&timeframe=H1&cursor=x", "cursor_invalid", "?cursor"),
    ],
)
def test_a_wrong_query_is_named(api: Api, query: str, code: str, pointer: str) -> None:
    problem = api.refused(code, "GET", "/candles?" + query)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("timeframe", ["M1", "H1", "D1", "W1", "MN1"])
def test_the_ends_of_time_may_be_named(api: Api, timeframe: str) -> None:
    first, last = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
    assert candles(api, timeframe=timeframe, **{"from": last})["data"] == []
    rows = candles(api, timeframe=timeframe, limit=1, to=last, **{"from": first})["data"]
    assert len(rows) == 1
    assert api.get("/orders", **{"from": last})["data"] == []
    assert len(api.get("/history/deals", to=last, **{"from": first})["data"]) == 1


def test_a_symbol_without_history_has_no_candles(api: Api) -> None:
    page = candles(api, symbol="USDCHF")
    assert (page["data"], page["next_cursor"], page["complete"]) == ([], None, False)
