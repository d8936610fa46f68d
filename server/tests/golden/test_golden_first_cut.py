"""Published worked examples that the broker's arithmetic and checks must reproduce.

Each test reads its example's inputs and hands them to the product's own functions; the expected
values and the tolerance come from the file.
"""

import csv
import gzip
import json

import pytest

from fxsocket_server.broker.checks import volume_limit_refusal
from fxsocket_server.broker.stops import pending_stops_refusal, position_stops_refusal
from fxsocket_server.model import money
from fxsocket_server.model.enums import CalcMode, OrderType, Side
from fxsocket_server.model.money import ONE, Leg
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import fixed_of, volume_of

DIGITS = 5
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


@pytest.fixture(scope="module")
def examples(shared_path):
    text = shared_path("golden", "golden-public.json").read_text(encoding="utf-8")
    return {example["id"]: example for example in json.loads(text)["examples"]}


@pytest.fixture
def example(request, examples):
    return examples[request.param]


def ids(*names: str):
    return pytest.mark.parametrize("example", names, indirect=True, ids=str)


def points(price: float, digits: int = DIGITS) -> int:
    return fixed_of(price, digits)


def rate(price: float):
    return money.price_ratio(points(price), DIGITS)


def check(example, **got) -> None:
    """Amounts in minor units (or exact ratios) against the published numbers."""
    for name, value in got.items():
        number = value[0] / value[1] if isinstance(value, tuple) else value / 100
        assert number == pytest.approx(example["expected"][name], abs=example["tolerance"]), name


# --- margin ----------------------------------------------------------------------------------


@ids("G001", "G002", "G003")
def test_margin_by_mode(example):
    given = example["inputs"]
    margin = money.margin(
        CalcMode(given["calc_mode"]),
        volume_of(given["volume"]),
        contract_size=volume_of(given["contract_size"]),
        price=rate(given.get("ask", 1)),
        leverage=given.get("leverage", 1),
        margin_rate=volume_of(given["margin_rate"]),
    )
    check(example, margin=margin)


@ids("G008", "G009", "G010", "G011", "G012", "G013")
def test_margin_in_the_deposit_currency(example):
    given = example["inputs"]
    conversions = {
        "G008": ONE,
        "G009": rate(given.get("open", 1)),
        "G010": ONE,
        "G011": money.product(
            rate(given.get("CADCHF", 1)), money.inverse(rate(given.get("USDCHF", 1)))
        ),
        "G012": rate(given.get("EURUSD", 1)),
        "G013": rate(given.get("EURUSD", 1)),
    }
    margin = money.margin(
        CalcMode.FOREX,
        volume_of(given["volume"]),
        contract_size=volume_of(given["contract_size"]),
        leverage=given["leverage"],
        conversion=conversions[example["id"]],
    )
    check(example, margin=margin)


@ids("G014")
def test_margin_of_a_share_of_the_value(example):
    given = example["inputs"]
    margin = money.margin(
        CalcMode.CFD,
        volume_of(given["volume"]),
        contract_size=volume_of(given["contract_size"]),
        price=rate(given["price"]),
        margin_rate=fixed_of(given["margin_pct"], 6),
        conversion=money.inverse(rate(given["USDHKD"])),
    )
    check(example, margin=margin)


def legs(positions, **rates) -> tuple[Leg, Leg]:
    """Both sides of [side, lots, open price] rows."""
    sides = {}
    for name in SIDES:
        rows = [(volume_of(lots), points(price)) for side, lots, price in positions if side == name]
        volume, turnover = sum(row[0] for row in rows), sum(row[0] * row[1] for row in rows)
        sides[name] = Leg(volume, turnover, margin_rate=volume_of(rates.get(name, 1)))
    return sides["buy"], sides["sell"]


@ids("G004")
def test_hedged_margin(example):
    given = example["inputs"]
    result = money.hedged_margin(
        CalcMode(given["calc_mode"]),
        *legs(given["positions"], buy=given["rate_buy"], sell=given["rate_sell"]),
        contract_size=volume_of(given["contract_size"]),
        margin_hedged=volume_of(given["margin_hedged"]),
        digits=DIGITS,
        leverage=given["leverage"],
        margin_initial=volume_of(given["margin_initial"]),
        price_converts=True,
    )
    check(
        example,
        uncovered_volume=(result.uncovered_volume, volume_of(1)),
        covered_volume=(result.covered_volume, volume_of(1)),
        uncovered_avg_open=result.uncovered_price,
        covered_avg_open=result.covered_price,
        uncovered_margin=result.uncovered,
        covered_margin=result.covered,
        total=result.total,
    )


@ids("G006")
def test_margin_of_one_side_and_of_the_rest(example):
    given = example["inputs"]
    held = (*given["position"], 1)
    added = {
        "margin_now": [],
        "after_opposite_buy_0_03_filled": [("buy", 0.03, 1)],
        "while_same_side_sell_0_03_started": [("sell", 0.03, 1)],
    }
    for name, more in added.items():
        result = money.hedged_margin(
            CalcMode(given["calc_mode"]),
            *legs([held, *more]),
            contract_size=volume_of(given["contract_size"]),
            margin_hedged=0,
            digits=DIGITS,
            leverage=given["leverage"],
        )
        check(example, **{name: result.total})


# --- profit ----------------------------------------------------------------------------------


def profit_of(given, side: Side, open_price: int, close_price: int, mode: CalcMode) -> int:
    return money.profit(
        mode,
        side,
        volume_of(given["volume"]),
        contract_size=volume_of(given["contract_size"]),
        open_price=open_price,
        close_price=close_price,
        digits=DIGITS,
    )


@ids("G015", "G016", "G017", "G021")
def test_profit(example):
    given = example["inputs"]
    mode = CalcMode(given.get("calc_mode", "CFD"))
    opened, closed = points(given["open"]), points(given["close"])
    check(example, profit=profit_of(given, SIDES[given["side"]], opened, closed, mode))


@ids("G018")
def test_profit_converts_at_the_deals_own_price(example):
    given = example["inputs"]
    move = given["move_points"] * points(given["point"])
    bid, ask = points(given["bid"]), points(given["ask"])
    for side, opened, closed in ((Side.BUY, ask, ask + move), (Side.SELL, bid, bid - move)):
        yen = profit_of(given, side, opened, closed, CalcMode.FOREX)
        own = money.inverse(money.price_ratio(closed, DIGITS))
        check(example, **{side.lower(): money.converted(yen, own)})


@ids("G019", "G020")
def test_profit_converted(example):
    given = example["inputs"]
    mode = CalcMode.FOREX if example["id"] == "G019" else CalcMode.CFD
    amount = profit_of(given, Side.BUY, points(given["open"]), points(given["close"]), mode)
    price = given.get("USDHKD", given["close"])
    check(example, profit=money.converted(amount, money.inverse(rate(price))))


@ids("G044")
def test_tick_values(example):
    given = example["inputs"]
    for name, price in (("tick_value_profit", "USDJPY_ask"), ("tick_value_loss", "USDJPY_bid")):
        value = money.tick_value(
            points(given["tick_size"]),
            DIGITS,
            volume_of(given["contract_size"]),
            money.inverse(rate(given[price])),
        )
        check(example, **{name: value})


# --- account ---------------------------------------------------------------------------------


@ids("G034", "G035")
def test_figures(example):
    given = example["inputs"]
    cents = {name: fixed_of(amount, 2) for name, amount in given.items()}
    figures = money.account_figures(
        cents["balance"], cents.get("credit", 0), cents["profit"], cents["margin"]
    )
    level = money.margin_level(figures.equity, figures.margin)
    assert level is not None
    check(example, equity=figures.equity, free_margin=figures.free_margin, margin_level=level)


@ids("G036", "G037")
def test_levels(example):
    given = example["inputs"]
    level = money.margin_level(fixed_of(given["equity"], 2), fixed_of(given["margin"], 2))
    assert level is not None
    check(example, level=level)


# --- checks ----------------------------------------------------------------------------------


def code(refusal, accepted) -> str:
    return str(int(refusal.retcode)) if refusal else accepted


@ids("G040")
def test_sl_of_a_market_order(example):
    given = example["inputs"]
    answers = [
        position_stops_refusal(
            SIDES[given["side"]],
            bid=points(bid),
            ask=points(bid),
            sl=points(sl),
            tp=None,
            level=given["stops_level"],
            digits=DIGITS,
        )
        for bid, sl in given["trials"]
    ]
    assert [code(answer, "10009") for answer in answers] == example["expected"]["results"]


@ids("G041")
def test_sl_of_a_pending_order(example):
    given = example["inputs"]
    answers = [
        pending_stops_refusal(
            Side.BUY,
            price=points(price),
            sl=points(sl),
            tp=None,
            level=given["stops_level"],
            digits=DIGITS,
        )
        for price, sl in given["trials"]
    ]
    assert [code(answer, "10008") for answer in answers] == example["expected"]["results"]


@ids("G042")
def test_stops_on_the_wrong_sides(example):
    given = example["inputs"]
    sl, tp = points(given["sl"]), points(given["tp"])
    for stops in ((sl, tp), (sl, None), (None, tp)):
        refusal = position_stops_refusal(
            SIDES[given["side"]],
            bid=points(given["bid"]),
            ask=points(given["ask"]),
            sl=stops[0],
            tp=stops[1],
            level=given["stops_level"],
            digits=DIGITS,
        )
        assert refusal is not None
        assert refusal.retcode == example["expected"]["retcode"] == Retcode.INVALID_STOPS


@ids("G043")
def test_volume_limit(example):
    given = example["inputs"]
    side, lots = given["position"]
    held = {SIDES[side]: volume_of(lots)}
    answers = []
    for name, volume in given["requests"]:
        wanted = Side.BUY if OrderType(name.upper()).is_buy else Side.SELL
        limit = volume_of(given["volume_limit"])
        answers.append(
            volume_limit_refusal(limit, wanted, held.get(wanted, 0), 0, volume_of(volume))
        )
    assert [code(answer, "accept") for answer in answers] == example["expected"]["results"]


# --- real trades -----------------------------------------------------------------------------


def test_profits_of_a_real_statement(shared_path):
    """Every closed trade of an MT4 statement, to the cent."""
    text = shared_path("data", "statements", "mt4_replay_cases.json").read_text(encoding="utf-8")
    cases = json.loads(text)
    assert cases
    for case in cases:
        opened, closed = points(float(case["open"])), points(float(case["close"]))
        amount = profit_of(case, SIDES[case["side"]], opened, closed, CalcMode.FOREX)
        if case["symbol"].startswith(case["account_currency"]):
            amount = money.converted(amount, money.inverse(rate(float(case["close"]))))
        assert amount == fixed_of(case["expected_profit"], 2), case


def test_profits_of_a_real_report(shared_path):
    """Every round trip of an MT5 report on gold, to the cent."""
    folder = shared_path("data", "statements")
    spec = json.loads((folder / "mt5tester_xauusd_market_spec.json").read_text(encoding="utf-8"))
    with gzip.open(folder / "mt5tester_xauusd_market_trips.csv.gz", "rt") as file:
        trips = list(csv.DictReader(file))
    assert trips
    for trip in trips:
        given = {"volume": float(trip["volume"]), "contract_size": spec["contract_size"]}
        prices = points(float(trip["open"])), points(float(trip["close"]))
        amount = profit_of(given, SIDES[trip["side"]], *prices, CalcMode(spec["calc_mode"]))
        assert amount == fixed_of(float(trip["profit"]), 2), trip
