"""Profiles cloned of a broker's symbols: what a dump becomes, and how it is told what is wrong."""

import json

import pytest
from typer.testing import CliRunner

from fxsocket_server.broker.clone import CloneError, profile_text
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.cli.app import app
from fxsocket_server.model.enums import (
    CalcMode,
    ChartMode,
    ExecutionMode,
    Filling,
    MarginMode,
    OrderType,
    SwapMode,
)
from fxsocket_server.model.units import LOT, volume_of

EURUSD = {
    "name": "EURUSD.r", "description": 'Euro "spot"', "digits": 5,
    "trade_contract_size": 100000.0,
    "currency_base": "EUR", "currency_profit": "USD", "currency_margin": "EUR",
    "trade_tick_size": 1e-05, "trade_tick_value": 1.0, "volume_min": 0.01, "volume_max": 500.0,
    "volume_step": 0.01, "volume_limit": 0.0, "trade_stops_level": 3, "trade_freeze_level": 1,
    "trade_mode": 4, "trade_exemode": 1, "filling_mode": 3, "order_mode": 55, "trade_calc_mode": 0,
    "margin_initial": 100000.0, "margin_hedged": 50000.0, "margin_hedged_use_leg": False,
    "swap_mode": 1, "swap_long": -11.0, "swap_short": 1.14064, "swap_rollover3days": 3,
    "spread": 8, "spread_float": True, "bid": 1.0834000000000001, "start_time": 0,
    "expiration_time": 0, "order_gtc_mode": 0,
}  # fmt: skip
FUTURE = EURUSD | {
    "name": "ESZ6", "digits": 2, "trade_calc_mode": 33, "trade_tick_size": 0.25,
    "trade_tick_value": 12.5, "trade_contract_size": 1.0, "bid": 5900.13, "filling_mode": 0,
    "expiration_time": 1781740800, "margin_maintenance": 900.0, "swap_rollover3days": 7,
    "order_mode": 127,
}  # fmt: skip
ACCOUNT = {
    "company": "Real Broker Ltd", "server": "Real-Demo", "currency": "EUR", "leverage": 500,
    "margin_mode": 0, "margin_so_mode": 0, "margin_so_call": 80.0, "margin_so_so": 50.0,
    "limit_orders": 200, "fifo_close": False,
}  # fmt: skip


def cloned(data):
    return parse_profile(profile_text(json.dumps(data), "mine"), "mine.toml")


def test_a_symbol_becomes_its_rules():
    spec = cloned([EURUSD]).symbols["EURUSD.r"]
    assert (spec.digits, spec.contract_size, spec.tick_size) == (5, 100_000 * LOT, 1)
    assert (spec.description, spec.calc_mode) == ('Euro "spot"', CalcMode.FOREX)
    assert (spec.volume_min, spec.volume_max) == (LOT // 100, 500 * LOT)
    assert (spec.stops_level, spec.freeze_level) == (3, 1)
    assert spec.execution_mode is ExecutionMode.INSTANT
    assert spec.filling_modes == (Filling.FOK, Filling.IOC)
    assert OrderType.BUY_STOP in spec.order_types
    assert OrderType.BUY_STOP_LIMIT not in spec.order_types
    assert not spec.close_by
    assert (spec.swap_mode, spec.swap_triple_day) == (SwapMode.POINTS, 3)
    assert (spec.swap_long, spec.swap_short) == (volume_of(-11.0), volume_of(1.14064))
    assert (spec.margin_initial, spec.margin_hedged) == (100_000 * LOT, 50_000 * LOT)


def test_prices_start_at_the_dump_s_bid_on_a_tick():
    profile = cloned([EURUSD, FUTURE])
    assert profile.generators["EURUSD.r"].bid == 108_340
    assert profile.generators["ESZ6"].bid == 590_025


def test_candles_are_made_of_what_the_chart_shows():
    assert cloned([EURUSD]).symbols["EURUSD.r"].chart_mode is ChartMode.BID
    chart = {**EURUSD, "chart_mode": 1}
    assert cloned([chart]).symbols["EURUSD.r"].chart_mode is ChartMode.LAST


def test_a_future_keeps_its_tick_value_and_its_end():
    spec = cloned([FUTURE]).symbols["ESZ6"]
    assert (spec.tick_size, spec.tick_value) == (25, volume_of(12.5))
    assert spec.filling_modes == (Filling.FOK,)
    assert (spec.close_by, spec.swap_triple_day) == (True, 7)
    assert spec.expiration_ms is not None


def test_an_account_becomes_the_terms():
    profile = cloned({"account": ACCOUNT, "symbols": {"EURUSD.r": EURUSD}})
    assert (profile.company, profile.server, profile.name) == (
        "Real Broker Ltd",
        "Real-Demo",
        "mine",
    )
    assert (profile.currency, profile.leverage) == ("EUR", 500)
    assert profile.rules.margin_mode is MarginMode.NETTING
    assert (profile.margin_call_level, profile.stop_out_level) == (8_000, 5_000)
    assert cloned([EURUSD]).rules.margin_mode is MarginMode.HEDGING


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"digits": None}, "EURUSD.r: digits: is missing; dump the whole symbol_info"),
        ({"digits": "5"}, "EURUSD.r: digits: must be a number, is '5'"),
        ({"digits": 5.5}, "EURUSD.r: digits: must be a whole number, is 5.5"),
        ({"currency_base": ""}, "EURUSD.r: currency_base: is missing"),
        ({"currency_base": 3}, "EURUSD.r: currency_base: must be text, is 3"),
        ({"trade_calc_mode": 36}, "EURUSD.r: trade_calc_mode: 36 is not simulated; known: 0 FOREX"),
        ({"bid": 0.0}, "EURUSD.r: bid: must be above 0; dump while the market is open"),
        ({"trade_tick_size": 0.0}, "EURUSD.r: trade_tick_size: must be above 0"),
        ({"spread_float": "yes"}, "EURUSD.r: spread_float: must be true or false, is 'yes'"),
        ({"swap_mode": 12}, "EURUSD.r: swap_mode: 12 is not simulated"),
        ({"name": ""}, "symbol 1: name: is missing"),
    ],
)
def test_an_error_names_symbol_and_field(change, error):
    with pytest.raises(CloneError) as raised:
        cloned([EURUSD | change])
    assert str(raised.value).startswith(error)


def test_a_dump_must_be_symbols():
    for text, error in (
        ("{", "line 1: not valid JSON"),
        ("[]", "holds no symbols"),
        ("3", "holds"),
    ):
        with pytest.raises(CloneError, match=error):
            profile_text(text, "x")


def test_the_command_writes_a_profile(tmp_path):
    dump = tmp_path / "symbols.json"
    dump.write_text(json.dumps([EURUSD]), encoding="utf-8")
    result = CliRunner().invoke(app, ["profile", "import", str(dump)])
    assert result.exit_code == 0, result.output
    written = (tmp_path / "symbols.toml").read_text(encoding="utf-8")
    assert parse_profile(written, "symbols.toml").symbols.keys() == {"EURUSD.r"}
    dump.write_text(json.dumps([EURUSD | {"volume_min": 0.015}]), encoding="utf-8")
    result = CliRunner().invoke(app, ["profile", "import", str(dump)])
    assert result.exit_code == 2
    assert "volume_min" in result.output
