"""Broker profiles: the standard one, what a file may say, and how it is told what is wrong."""

import json
from pathlib import Path

import pytest

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.profile import ProfileError, parse_profile, with_file_digits
from fxsocket_server.model.enums import (
    CalcMode,
    ChartMode,
    CommissionEntry,
    ExecutionMode,
    Filling,
    MarginMode,
    OrderType,
    Platform,
    SwapMode,
    TradeMode,
)
from fxsocket_server.model.leverage import Tier
from fxsocket_server.model.server_time import NEW_YORK_CLOSE
from fxsocket_server.model.sessions import is_open
from fxsocket_server.model.symbol import Session
from fxsocket_server.model.units import LOT, volume_of

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"

SMALL = """\
name = "small"
company = "C"
server = "S"
currency = "EUR"
leverage = 30
margin_call_level = 100
stop_out_level = 49.5
zone = "UTC+02:00"

[sessions.day]
monday = ["09:00-12:00", "13:00-24:00"]

[groups.fx]
contract_size = 100_000
calc_mode = "FOREX"
volume_min = 0.01
volume_max = 50
volume_step = 0.01
stops_level = 30

[symbols."EURUSD.ecn"]
group = "fx"
description = "Euro"
digits = 5
currency_base = "EUR"
currency_profit = "USD"
stops_level = 3
sessions = "day"
start_bid = 1.1
daily_move = 0.5
"""


@pytest.fixture(scope="module")
def standard():
    return parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)


# --- the standard profile --------------------------------------------------------------------


def test_the_standard_profile_has_what_the_samples_need(standard):
    assert {"EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "BTCUSD", "WS30"} <= standard.symbols.keys()
    assert standard.zone is NEW_YORK_CLOSE
    assert (standard.currency, standard.leverage) == ("USD", 100)
    assert standard.generators["EURUSD"].bid == 108_340
    euro, index = standard.symbols["EURUSD"], standard.symbols["WS30"]
    assert euro.stops_level < 108_340 - 107_200
    assert (index.digits, index.contract_size, index.currency_profit) == (0, LOT, "USD")
    assert index.calc_mode is CalcMode.CFD


def test_every_generated_market_can_start(standard):
    for name, generator in standard.generators.items():
        assert generator.symbol == name
        assert generator.digits == standard.symbols[name].digits
        assert generator.bid > generator.spread > 0
        assert generator.volatility > 0


def test_every_symbol_opens_and_crypto_never_closes(standard):
    friday_night, wednesday_noon = 1_736_553_600_000, 1_736_337_600_000
    for name, spec in standard.symbols.items():
        assert is_open(spec.trade_sessions, wednesday_noon), name
        assert is_open(spec.trade_sessions, friday_night) == (name in ("BTCUSD", "ETHUSD")), name
        assert spec.quote_sessions == spec.trade_sessions


def test_figures_are_those_of_real_brokers(standard, shared_path):
    rows = json.loads(shared_path("golden", "symbol-specs.json").read_text())["symbols"]
    real = {(row["symbol"], row["broker"]): row for row in rows}
    euro = real["EURUSD", "retail demo (mt5-httpapi docs)"]
    gold = real["XAUUSD", "TradeMaxGlobal-Demo"]
    for name, row in (("EURUSD", euro), ("XAUUSD", gold)):
        spec = standard.symbols[name]
        assert spec.stops_level == row["stops_level"]
        assert spec.contract_size == row["contract_size"] * LOT
        assert spec.margin_hedged == row["margin_hedged"] * LOT
        for field in ("min", "max", "step"):
            assert getattr(spec, f"volume_{field}") == volume_of(row[f"vol_{field}"])
        for field in ("swap_long", "swap_short"):
            assert getattr(spec, field) == volume_of(row[field])


# --- what a file may say ---------------------------------------------------------------------


def test_a_symbol_takes_from_its_group_what_it_does_not_say():
    small = parse_profile(SMALL, "small.toml")
    spec = small.symbols["EURUSD.ecn"]
    assert (spec.volume_max, spec.stops_level) == (50 * LOT, 3)
    assert spec.tick_size == 1
    assert spec.currency_margin == "EUR"
    assert spec.filling_modes == (Filling.FOK, Filling.IOC)
    assert OrderType.CLOSE_BY not in spec.order_types
    assert len(spec.order_types) == 8
    assert spec.trade_mode is TradeMode.FULL
    assert spec.trade_sessions == (Session(1, 540, 720), Session(1, 780, 1440))
    assert small.stop_out_level == 4_950
    assert small.limit_orders == 0
    assert small.zone.offset_s(0) == 7_200
    assert small.generators["EURUSD.ecn"].bid == 110_000


def test_volatility_is_a_day_s_move_per_root_second():
    generator = parse_profile(SMALL, "small.toml").generators["EURUSD.ecn"]
    assert generator.volatility * 86_400**0.5 == pytest.approx(550)  # 0.5 % of 1.10000


def test_terms_of_an_account():
    terms = parse_profile(SMALL, "small.toml").terms(currency="JPY", sessions_apply=False)
    assert (terms.currency, terms.money_digits, terms.leverage) == ("JPY", 0, 30)
    assert not terms.sessions_apply
    assert parse_profile(SMALL, "small.toml").terms(leverage=5).leverage == 5


def test_more_digits_keep_levels_in_money():
    text = SMALL.replace('"FOREX"', '"FOREX"\nswap_mode = "POINTS"\nswap_long = -1.5\nspread = 8')
    spec = parse_profile(text, "small.toml").symbols["EURUSD.ecn"]
    finer = with_file_digits(spec, 7)
    assert (finer.digits, finer.tick_size) == (7, 1)
    assert (finer.stops_level, finer.spread) == (300, 800)
    assert finer.swap_long == volume_of(-150.0)
    assert with_file_digits(spec, 5) is spec
    assert with_file_digits(spec, 3) is spec
    with pytest.raises(ValueError, match=r"EURUSD.ecn: prices have 9 digits, at most 8"):
        with_file_digits(spec, 9)


def test_money_swaps_do_not_depend_on_digits(standard):
    bitcoin = standard.symbols["BTCUSD"]
    assert bitcoin.swap_mode is SwapMode.INTEREST_CURRENT
    assert with_file_digits(bitcoin, 4).swap_long == bitcoin.swap_long


# --- every bundled profile -------------------------------------------------------------------


@pytest.fixture(params=sorted(path.stem for path in STANDARD.parent.glob("*.toml")))
def bundled(request):
    path = STANDARD.parent / f"{request.param}.toml"
    return parse_profile(path.read_text(encoding="utf-8"), path.name)


def test_a_bundled_profile_is_complete(bundled):
    assert bundled.name
    assert {spec.currency_profit for spec in bundled.symbols.values()}
    for name, spec in bundled.symbols.items():
        generator = bundled.generators[name]
        assert generator.bid % spec.tick_size == 0
        assert spec.trade_sessions
    assert bundled.terms(currency="JPY").money_digits == 0
    assert bundled.terms().margin_mode is bundled.rules.margin_mode


def test_what_the_profiles_are_for():
    def named(name):
        path = STANDARD.parent / f"{name}.toml"
        return parse_profile(path.read_text(encoding="utf-8"), path.name)

    assert all(name.endswith(".ecn") for name in named("ecn").symbols)
    assert all(spec.commissions for spec in named("ecn").symbols.values())
    assert named("instant").symbols["EURUSD"].execution_mode is ExecutionMode.INSTANT
    assert named("micro").symbols["EURUSDm"].volume_min == LOT // 1000
    prop = named("prop")
    assert (prop.margin_call_level, prop.stop_out_level) == (10_000, 5_000)
    assert prop.rules.limit_positions
    assert named("mt4").rules.platform is Platform.MT4
    assert named("netting").rules.margin_mode is MarginMode.NETTING
    exchange = named("exchange")
    assert exchange.rules.margin_mode is MarginMode.EXCHANGE
    assert {spec.chart_mode for spec in exchange.symbols.values()} == {ChartMode.LAST}
    assert all(spec.depth for spec in exchange.symbols.values())


def test_what_a_file_may_say_of_money():
    text = SMALL.replace(
        "[groups.fx]",
        """[commissions.side]
tiers = [[10, 7], [0, 3.5]]
unit = "MONEY_PROFIT"
entry = "IN"
minimum = 1

[groups.fx]
commissions = ["side"]
margin_rates = [1, 1, 0.5, 0.5, 0, 0, 0, 0]
leverage_tiers = [[200000, 0.1], [0, 1]]
holidays = ["2025-12-25"]
expiration_date = "2026-01-01"
swap_multipliers = [0, 1, 1, 3, 1, 1, 0]""",
    )
    spec = parse_profile(text, "small.toml").symbols["EURUSD.ecn"]
    (rule,) = spec.commissions
    first, rest = rule.tiers
    assert (first.lower, first.upper, first.rate) == (0, 10 * LOT, 7 * LOT)
    assert (rest.lower, rest.upper, rest.rate) == (10 * LOT, None, LOT * 7 // 2)
    assert (first.minimum, first.maximum) == (100, None)
    assert rule.entry is CommissionEntry.IN
    assert spec.margin_rates[:4] == (LOT, LOT, LOT // 2, LOT // 2)
    assert spec.leverage_tiers == (Tier(200_000 * LOT, LOT // 10), Tier(None, LOT))
    assert spec.holidays == (20_447,)
    assert spec.expiration_ms == 1_767_225_600_000 - 7_200_000  # 00:00 server time, UTC+2
    assert spec.swap_multipliers[3] == 3 * LOT


# --- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('name = "small"', "", "small.toml:1: name: is missing; add it"),
        ('name = "small"', "name = 3", "small.toml:1: name: must be text in quotes, is 3"),
        ("leverage = 30", "leverage = 0", "5: leverage: must be a whole number from 1 to 10000"),
        ("leverage = 30", "leverage = true", "5: leverage: must be a whole number"),
        ("leverage = 30", "levrage = 30", "5: levrage: unknown key; did you mean leverage?"),
        ("leverage = 30", "leverage = ", "small.toml:5: not valid TOML: Invalid value"),
        ('"UTC+02:00"', '"Mars"', '8: zone: must be one of "UTC"'),
        ('"09:00-12:00"', '"12:00-09:00"', "11: sessions.day.monday: must be spans such as"),
        ('"09:00-12:00"', '"9-12"', "11: sessions.day.monday: must be spans such as"),
        ("13:00-24:00", "13:00-24:01", "11: sessions.day.monday: must be spans such as"),
        ("monday =", "moonday =", "did you mean monday?"),
        ("volume_min = 0.01", "volume_min = -1", "16: groups.fx.volume_min: must be a number from"),
        ("volume_min = 0.01", "volume_min = nan", "16: groups.fx.volume_min: must be a number"),
        ("volume_min = 0.01", "volume_min = 1e999999", "groups.fx.volume_min: must be a number"),
        (
            "volume_min = 0.01",
            "volume_min = 0.015",
            "volume_min: must be a multiple of volume_step",
        ),
        ("volume_min = 0.01", "volume_min = 0", "volume_min: must be above 0"),
        ("volume_max = 50", "volume_max = 0", "volume_max: must not be below volume_min"),
        ("volume_step = 0.01", "volume_step = 0.000000001", "has more than 8 decimals"),
        ("digits = 5", "digits = 9", "must be a whole number from 0 to 8, is 9"),
        ("digits = 5", 'digits = "5"', "must be a whole number from 0 to 8, is '5'"),
        ('"FOREX"', '"FUTURE"', "15: groups.fx.calc_mode: must be one of FOREX, FUTURES"),
        ('group = "fx"', 'group = "gx"', "22: symbols.EURUSD.ecn.group: no [groups.gx]; known: fx"),
        ('sessions = "day"', 'sessions = "night"', "no [sessions.night]; known: day"),
        ("start_bid = 1.1", "start_bid = 1.100001", "has more than 5 decimals"),
        ("start_bid = 1.1", "start_bid = 0", "start_bid: must be above 0"),
        ("start_bid = 1.1", "", "21: symbols.EURUSD.ecn.start_bid: is missing; add it"),
        ("stops_level = 3\n", 'order_types = ["BUY", "SEL"]\n', "must be one of BUY, SELL"),
        ("stops_level = 3\n", 'filling_modes = "FOK"\n', "filling_modes: must be a list of names"),
        ("stops_level = 3\n", "spread_floating = 1\n", "spread_floating: must be true or false"),
        ("stops_level = 3\n", 'execution_mode = "NEVER"\n', "must be one of REQUEST"),
        ("stops_level = 3\n", 'commissions = ["x"]\n', "no [commissions.x]; known: none"),
        ("stops_level = 3\n", "margin_rates = [1]\n", "margin_rates: must be 8 numbers, is 1"),
        ("stops_level = 3\n", "margin_rates = 1\n", "margin_rates: must be a list of numbers"),
        ("stops_level = 3\n", "margin_rates = [true]\n", "margin_rates: must be a number from 0"),
        ("stops_level = 3\n", "leverage_tiers = [1]\n", "must be a list of [number, number]"),
        ("stops_level = 3\n", 'holidays = ["2025-02-30"]\n', "must be a date such as"),
        ("stops_level = 3\n", "start_date = 2025\n", "start_date: must be a date such as"),
        ("leverage = 30", 'leverage = 30\nmargin_mode = "NET"', "6: margin_mode: must be one of"),
        (
            "leverage = 30",
            'leverage = 30\nplatform = "MT4"\nmargin_mode = "NETTING"',
            "7: margin_mode: must be HEDGING with platform MT4",
        ),
        (
            "[groups.fx]",
            "[commissions.x]\ntiers = [[5, 1], [4, 1]]\n[groups.fx]",
            "14: commissions.x.tiers: must rise",
        ),
        ("[groups.fx]", "[commissions.x]\n[groups.fx]", "commissions.x.rate: is missing; add it"),
        ("stops_level = 3\n", 'swap_triple_day = "midweek"\n', "must be one of sunday"),
    ],
)
def test_an_error_names_file_line_field_and_fix(old, new, error):
    assert old in SMALL
    with pytest.raises(ProfileError) as raised:
        parse_profile(SMALL.replace(old, new), "small.toml")
    assert error in str(raised.value)
    assert str(raised.value).startswith("small.toml:")


def test_a_profile_needs_symbols():
    with pytest.raises(ProfileError, match=r"symbols: is missing; add at least one"):
        parse_profile('name = "x"\n', "x.toml")
    with pytest.raises(ProfileError, match=r"symbols: must be a table"):
        parse_profile("symbols = 3\n", "x.toml")
