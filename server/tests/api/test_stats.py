"""GET /stats: closed trades by group, held against sums of the deals in exact decimals."""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from fxsocket_server.gateway.changes import Change, EquitySample

from .client import Api, body
from .world import MONDAY_MS, USER, World

SYMBOLS = {"EURUSD": (1.0834, 0.0001, 5), "USDJPY": (151.0, 0.01, 3), "XAUUSD": (2650.0, 0.2, 2)}
PROFILES = ("standard", "netting", "mt4")


def exact(number: float) -> Decimal:
    return Decimal(repr(number))


def seconds(text: str) -> Decimal:
    return Decimal(round(datetime.fromisoformat(text).timestamp() * 1000)) / 1000


# --- a slow reference ------------------------------------------------------------------------


def trades_of(api: Api) -> list[dict[str, Any]]:
    """Every closed position with the sums of its deals."""
    deals = [deal for page in api.pages("/history/deals", limit=50) for deal in page]
    trades = []
    for page in api.pages("/history/positions", limit=7):
        for position in page:
            own = [deal for deal in deals if deal["position_id"] == position["id"]]
            sums = {
                name: sum((exact(deal[name]) for deal in own), Decimal(0))
                for name in ("profit", "swap", "commission", "fee")
            }
            hold = seconds(position["closed_at"]) - seconds(position["opened_at"])
            trades.append(position | sums | {"net": sum(sums.values(), Decimal(0)), "hold": hold})
    return trades


def figures_of(trades: list[dict[str, Any]]) -> dict[str, Any]:
    """The same as the server tells, by the definitions of the reference."""
    nets = [trade["net"] for trade in trades]
    curve = [sum(nets[:count], Decimal(0)) for count in range(len(nets) + 1)]
    falls = [max(curve[: n + 1]) - curve[n] for n in range(len(curve))]
    won, lost = [n for n in nets if n > 0], [n for n in nets if n < 0]
    return {
        "trades": len(nets),
        "wins": len(won),
        "losses": len(lost),
        "win_rate": Decimal(100 * len(won)) / len(nets) if nets else None,
        "net_profit": sum(nets, Decimal(0)),
        "gross_profit": sum(won, Decimal(0)),
        "gross_loss": sum(lost, Decimal(0)),
        "profit_factor": sum(won, Decimal(0)) / -sum(lost) if lost else None,
        "expectancy": sum(nets, Decimal(0)) / len(nets) if nets else None,
        "max_drawdown": max(falls),
        "average_hold_s": sum(t["hold"] for t in trades) / len(nets) if nets else None,
        "volume": sum((exact(t["closed_volume"]) for t in trades), Decimal(0)),
        "swap": sum((t["swap"] for t in trades), Decimal(0)),
        "commission": sum((t["commission"] for t in trades), Decimal(0)),
        "fee": sum((t["fee"] for t in trades), Decimal(0)),
    }


def assert_same(told: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if value is None or isinstance(value, int):
            assert told[name] == value, name
        else:  # means are rounded to the cent and the millisecond, ratios are doubles
            assert told[name] == pytest.approx(float(value), rel=1e-12, abs=0.0051), name
    for name in ("net_profit", "gross_profit", "gross_loss", "max_drawdown", "swap", "commission"):
        assert exact(told[name]) == wanted[name], name


# --- random histories ------------------------------------------------------------------------


def trade_at_random(world: World, api: Api, rng: random.Random, count: int) -> None:
    """Open, close in parts, close and let time and prices move."""
    prices = dict(SYMBOLS)
    for _ in range(count):
        symbol = rng.choice(list(prices))
        middle, step, digits = prices[symbol]
        middle = round(middle + rng.gauss(0, 20 * step), digits)
        prices[symbol] = middle, step, digits
        api.set_price(symbol, middle, round(middle + step, digits))
        world.clock.advance(rng.choice((1, 5_000, 3_600_000, 40_000_000)))
        held = api.get("/positions")
        if held and rng.random() < 0.5:
            position = rng.choice(held)
            part = round(position["volume"] / 2, 2)
            query = f"?volume={part}" if part >= 0.01 and rng.random() < 0.4 else ""
            body(api.call("DELETE", f"/positions/{position['id']}{query}"))
        else:
            api.place(
                symbol=symbol,
                type=rng.choice(("BUY", "SELL")),
                volume=rng.randrange(1, 9) / 100,
                magic=rng.choice((0, 7, 42)),
                comment=rng.choice(("", "trend", "night")),
            )


@pytest.mark.parametrize("profile", PROFILES)
def test_every_figure_is_that_of_the_deals(
    profile: str, world: World, connect: Callable[..., Api], rng: random.Random
) -> None:
    account = world.add_account(profile=profile, balance=100_000)
    api = connect(world.add_key(accounts=(account,)))
    trade_at_random(world, api, rng, 120)
    trades = trades_of(api)
    assert len(trades) > 10
    assert any(trade["swap"] for trade in trades)
    plain = api.get("/stats")
    assert (plain["currency"], plain["groups"], plain["from"]) == ("USD", [], None)
    assert_same(plain["total"], figures_of(trades))
    for group_by in (["magic"], ["symbol", "comment"], ["magic", "symbol", "comment"]):
        assert_grouped(api, trades, group_by)
    start, end = trades[3]["closed_at"], trades[-3]["closed_at"]
    inside = [trade for trade in trades if start <= trade["closed_at"] < end]
    told = api.get("/stats", **{"from": start, "to": end})
    assert (told["from"], told["to"]) == (start, end)
    assert_same(told["total"], figures_of(inside))
    assert_same(
        api.get("/stats", magic=7)["total"], figures_of([t for t in trades if t["magic"] == 7])
    )


def assert_grouped(api: Api, trades: list[dict[str, Any]], group_by: list[str]) -> None:
    groups = defaultdict(list)
    for trade in trades:
        groups[tuple(trade[name] for name in group_by)].append(trade)
    told = api.get("/stats", group_by=",".join(group_by))["groups"]
    assert [tuple(group[name] for name in group_by) for group in told] == sorted(groups)
    for group in told:
        assert {n for n in ("magic", "symbol", "comment") if group[n] is not None} == set(group_by)
        assert_same(group, figures_of(groups[tuple(group[name] for name in group_by)]))


# --- edges -----------------------------------------------------------------------------------


def test_an_account_without_trades_has_no_rates(api: Api) -> None:
    api.place()
    total = api.get("/stats", group_by="magic")["total"]
    assert (total["trades"], total["net_profit"], total["max_drawdown"]) == (0, 0, 0)
    rates = ("win_rate", "profit_factor", "expectancy", "average_hold_s")
    assert [total[name] for name in rates] == [None] * 4


def test_a_position_closed_in_parts_is_one_trade(world: World, api: Api) -> None:
    position = api.place(volume=0.3)["position_id"]
    for bid, volume in ((1.09, 0.1), (1.07, 0.2)):
        api.set_price("EURUSD", bid, bid + 0.0001)
        world.clock.advance(60_000)
        body(api.call("DELETE", f"/positions/{position}?volume={volume}"))
    total = api.get("/stats")["total"]
    assert (total["trades"], total["wins"], total["losses"]) == (1, 0, 1)
    assert total["net_profit"] == total["gross_loss"] == -205.0  # 65 and -270
    assert total["max_drawdown"] == 205.0
    assert (total["average_hold_s"], total["volume"], total["profit_factor"]) == (120.0, 0.3, 0.0)


def test_more_groups_than_an_answer_holds_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for magic in range(3):
        body(api.call("DELETE", "/positions/" + api.place(magic=magic)["position_id"]))
    monkeypatch.setattr("fxsocket_server.core.limits.STATS_GROUPS", 3)
    assert len(api.get("/stats", group_by="magic")["groups"]) == 3
    monkeypatch.setattr("fxsocket_server.core.limits.STATS_GROUPS", 2)
    problem = api.refused("validation_error", "GET", "/stats?group_by=magic")
    assert "narrow" in problem["detail"]


def test_pages_of_positions_do_not_show(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        body(api.call("DELETE", "/positions/" + api.place()["position_id"]))
    whole = api.get("/stats")
    for size in (1, 2, 5):
        monkeypatch.setattr("fxsocket_server.core.limits.STATS_PAGE_POSITIONS", size)
        assert api.get("/stats") == whole
    assert whole["total"]["trades"] == 5


@pytest.mark.parametrize("query", ["group_by=day", "group_by=magic,magic", "from=yesterday"])
def test_bad_parameters_are_named(api: Api, query: str) -> None:
    problem = api.refused("validation_error", "GET", "/stats?" + query)
    assert problem["errors"][0]["pointer"] == "?" + query.partition("=")[0]


# --- the curve -------------------------------------------------------------------------------


def sampled(world: World, account: str, equities: list[int]) -> None:
    """One sample a minute from MONDAY on, as the sampler saves them."""
    samples = [
        EquitySample(account, MONDAY_MS + n * 60_000, USER, 1_000_000 + n, 0, equity, 7)
        for n, equity in enumerate(equities)
    ]
    world.run(_saved(world, account, samples))


async def _saved(world: World, account: str, samples: list[EquitySample]) -> None:
    world.journal.save_equity(samples)
    await world.journal.append(Change(user_id=USER, account_id=account, time_ms=MONDAY_MS))


def test_the_curve_is_what_was_sampled(world: World, api: Api, account: str) -> None:
    sampled(world, account, [1_000_000, 1_100_000, 990_000, 1_200_000, 1_150_000])
    told = api.get("/stats")
    assert [point["equity"] for point in told["curve"]] == [10000, 11000, 9900, 12000, 11500]
    assert told["curve"][1] == {
        "time": "2026-01-05T00:01:00.000Z", "balance": 10000.01, "equity": 11000, "margin": 0.07,
    }  # fmt: skip
    assert told["max_equity_drawdown"] == 1100.0
    assert told["max_equity_drawdown_percent"] == 10.0
    part = api.get("/stats", **{"from": "2026-01-05T00:02:00Z", "to": "2026-01-05T00:04:00Z"})
    assert [point["equity"] for point in part["curve"]] == [9900, 12000]
    assert part["max_equity_drawdown"] == 0


def test_a_long_curve_is_thinned_and_its_fall_is_not(
    world: World, api: Api, account: str, rng: random.Random
) -> None:
    count = rng.randrange(2_000, 5_000)
    equities = [rng.randrange(1, 10**7) for _ in range(count)]
    sampled(world, account, equities)
    told = api.get("/stats")
    points = [round(point["equity"] * 100) for point in told["curve"]]
    assert 450 < len(points) <= 1_000
    assert (points[0], points[-1]) == (equities[0], equities[-1])
    step = equities.index(points[1])
    assert points[:-1] == equities[::step][: len(points) - 1]
    peaks = [max(equities[: n + 1]) for n in range(count)]
    falls = [(peak, peak - equity) for peak, equity in zip(peaks, equities, strict=True)]
    assert told["max_equity_drawdown"] == max(fall for _, fall in falls) / 100
    deepest = max(fall * 100 / peak for peak, fall in falls)
    assert told["max_equity_drawdown_percent"] == pytest.approx(deepest)
