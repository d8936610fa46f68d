"""Examples of the golden kinds with other combinations of inputs, through the same adapter.

Those named MQ are worked examples of MetaQuotes' manuals; the others were calculated by hand.
"""

from typing import Any

import pytest

from .adapter import answers
from .test_golden import agrees

EUR = {"contract_size": 100_000, "leverage": 100, "volume": 1}
LEGS = [
    ["buy", 1, 1.16214],
    ["buy", 2, 1.16207],
    ["sell", 1, 1.16184],
    ["sell", 1, 1.16189],
]

MARGINS = {
    "MQ Ask of the pair itself": (
        {**EUR, "symbol": "EURUSD", "side": "buy", "ask": 1.279, "deposit_ccy": "USD"},
        {"margin": 1_279, "margin_ccy": "EUR"},
    ),
    "MQ margin rate": (
        {**EUR, "symbol": "EURUSD", "ask": 1.279, "margin_rate": 1.15, "deposit_ccy": "USD"},
        {"margin": 1_470.85},
    ),
    "MQ stocks at the Ask": (
        {"calc_mode": "EXCH_STOCKS", "volume": 1, "contract_size": 100, "side": "buy", "ask": 33},
        {"margin": 3_300},
    ),
    "Bid for a sell": (
        {**EUR, "symbol": "EURUSD", "side": "sell", "bid": 1.1, "ask": 1.2, "deposit_ccy": "USD"},
        {"margin": 1_100},
    ),
    "a cross in dollars": (
        {
            **EUR, "symbol": "EURJPY", "side": "sell", "EURUSD_bid": 1.1, "EURUSD_ask": 1.2,
            "deposit_ccy": "USD",
        },
        {"margin": 1_100, "margin_ccy": "EUR"},
    ),
    "a cross by way of the dollar": (
        {**EUR, "symbol": "AUDNZD", "AUDUSD": 0.65, "GBPUSD": 1.25, "deposit_ccy": "GBP"},
        {"margin": 520},
    ),
    "dollars need no rate": (
        {**EUR, "USDJPY": 150.25, "deposit_ccy": "USD"},
        {"margin": 1_000, "margin_ccy": "USD"},
    ),
    "whole yen": (
        {**EUR, "volume": 0.01, "symbol": "EURUSD", "EURJPY": 160.256, "deposit_ccy": "JPY"},
        {"margin": 1_603},
    ),
    "index": (
        {
            "calc_mode": "CFDINDEX", "volume": 2, "contract_size": 10, "price": 34_000,
            "tick_value": 0.5, "tick_size": 0.1, "margin_rate": 0.05,
        },
        {"margin": 170_000},
    ),
    "bonds by face value": (
        {
            "calc_mode": "EXCH_BONDS", "volume": 10, "contract_size": 1, "face_value": 1_000,
            "price": 98.5, "margin_rate": 0.1,
        },
        {"margin": 985},
    ),
    "premium of an option": (
        {"calc_mode": "EXCH_OPTIONS", "volume": 300, "contract_size": 1, "ask": 0.14},
        {"margin": 42},
    ),
    "future, held": (
        {
            "calc_mode": "FUTURES", "volume": 3, "margin_initial": 6_600,
            "margin_maintenance": 6_000, "is_open": True,
        },
        {"margin": 18_000},
    ),
    "fixed margin with leverage": (
        {"calc_mode": "FOREX", "volume": 2, "margin_initial": 100_000, "leverage": 30},
        {"margin": 6_666.67},
    ),
    "collateral": (
        {"calc_mode": "SERV_COLLATERAL", "volume": 5, "contract_size": 100, "price": 12},
        {"margin": 0},
    ),
    "percentage of a CFD in pounds": (
        {"volume": 2, "contract_size": 10, "price": 7_500, "margin_pct": 5, "GBPUSD": 1.25},
        {"margin": 9_375},
    ),
    "MQ MT4 percentage": (
        {**EUR, "symbol": "EURUSD", "open": 1.279, "percentage": 115, "deposit_ccy": "USD"},
        {"margin": 1_470.85},
    ),
    "MT4 converts at the middle": (
        {**EUR, "symbol": "EURJPY", "EURUSD_bid": 1.1, "EURUSD_ask": 1.2, "deposit_ccy": "USD"},
        {"margin": 1_150},
    ),
    "MQ pending order beside positions": (
        {
            "calc_mode": "CFDLEVERAGE", "contract_size": 5_000, "leverage": 100,
            "positions": [["buy", 1, 15.436], ["buy", 2, 15.432]],
            "orders": [["buy_limit", 1, 15.412]],
        },
        {"total": 3_085.60},
    ),
    "MQ larger leg": (
        {
            "calc_mode": "FOREX", "contract_size": 100_000, "leverage": 100, "deposit_ccy": "USD",
            "positions": LEGS, "use_larger_leg": True,
            "orders": [
                ["buy_limit", 1, 1.16053], ["sell_stop", 1, 1.15808], ["sell_stop", 1, 1.16067],
            ],
        },
        {"total": 4_646.81, "long_leg": 4_646.81, "short_leg": 4_642.48},
    ),
    "MQ MT4 larger leg": (
        {
            "calc_mode": "FOREX", "contract_size": 100_000, "leverage": 100,
            "positions": [
                ["buy", 2, 1.38905], ["buy", 2, 1.38605], ["sell", 2, 1.38986],
                ["sell", 1, 1.38995],
            ],
            "use_larger_leg": True,
        },
        {"total": 4_000, "short_leg": 3_000},
    ),
    "MT4 hedged number is per two legs": (
        {
            "calc_mode": "FOREX", "contract_size": 100_000, "leverage": 100,
            "margin_hedged": 50_000, "positions": [["buy", 1, 1.1], ["sell", 1, 1.1]],
        },
        {"total": 1_000, "covered_volume": 1},
    ),
    "MQ FORTS": (
        {
            "calc_mode": "EXCH_FUTURES_FORTS", "position": ["buy", 3, 73_640],
            "orders": [["buy_limit", 2, 73_000], ["sell_limit", 10, 74_500]],
            "settlement": 73_638, "initial_buy": 7_665.41, "initial_sell": 7_739.59,
            "tick_value": 1, "tick_size": 1,
        },
        {"margin": 45_563.13, "margin_buy": 37_057.05, "margin_sell": 45_563.13},
    ),
    "MQ floating leverage by volume": (
        {
            "symbol": "USDCHF", "contract_size": 100_000, "leverage": 100, "deposit_ccy": "USD",
            "positions": [["buy", 12, 0.9]], "orders": [["buy_limit", 10, 0.9]],
            "tiers": [[10, 1], [20, 2], [None, 3]], "by": "volume",
        },
        {"before_rule": 22_000, "after_rule": 36_000},
    ),
    "MQ floating leverage of a cross": (
        {
            "symbol": "AUDCHF", "contract_size": 100_000, "leverage": 100, "deposit_ccy": "USD",
            "positions": [["buy", 100, 0.57]], "AUDUSD": 0.63014,
            "tiers": [
                [100_000, 0.33], [300_000, 0.5], [500_000, 0.75], [2_500_000, 1], [None, 1.1],
            ],
        },
        {"notional": 6_301_400, "after_rule": 64_645.40},
    ),
    "netting: smaller opposite order": (
        {
            "calc_mode": "FOREX", "contract_size": 100_000, "leverage": 100,
            "margin_mode": "NETTING", "position": ["buy", 1, 1.1], "new_order": ["sell", 1, 1.1],
        },
        {"margin_now": 1_000, "required_when_placing": 1_000, "after_filled": 0},
    ),
    "netting: larger opposite order": (
        {
            "calc_mode": "FOREX", "contract_size": 100_000, "leverage": 100,
            "margin_mode": "NETTING", "position": ["buy", 1, 1.1], "new_order": ["sell", 3, 1.1],
        },
        {"required_when_placing": 3_000, "after_filled": 2_000},
    ),
    "fixed margins, partly covered": (
        {
            "calc_mode": "FUTURES", "margin_initial": 1_000, "margin_maintenance": 400,
            "margin_hedged": 300, "position": ["sell", 3], "new_order": ["buy", 5],
        },
        {"margin_now": 1_200, "required_when_placing": 4_100, "after_open": 1_700},
    ),
}  # fmt: skip
MT4 = frozenset(name for name in MARGINS if "MT4" in name)

PROFITS = {
    "sell": (
        {"symbol": "EURUSD", "side": "sell", "open": 1.1, "close": 1.09, **EUR},
        {"profit": 1_000, "profit_ccy": "USD"},
    ),
    "MQ the pair's own close": (
        {
            "symbol": "USDCHF", "side": "buy", "open": 0.9, "close": 0.91, **EUR,
            "deposit_ccy": "USD",
        },
        {"profit": 1_098.90},
    ),
    "closing a buy takes the Ask": (
        {
            "symbol": "EURJPY", "side": "buy", "open": 160, "close": 161, **EUR,
            "USDJPY_bid": 150, "USDJPY_ask": 151, "deposit_ccy": "USD",
        },
        {"profit": 666.67},
    ),
    "closing a sell takes the Bid": (
        {
            "symbol": "EURJPY", "side": "sell", "open": 160, "close": 161, **EUR,
            "USDJPY_bid": 150, "USDJPY_ask": 151, "deposit_ccy": "USD",
        },
        {"profit": -662.25},
    ),
    "a CFD's profit takes the Bid": (
        {
            "calc_mode": "CFD", "volume": 2, "contract_size": 1, "open": 15_000, "close": 15_100,
            "profit_ccy": "EUR", "EURUSD_bid": 1.1, "EURUSD_ask": 1.2, "deposit_ccy": "USD",
        },
        {"profit": 220},
    ),
    "a CFD's loss takes the Ask": (
        {
            "calc_mode": "CFD", "volume": 2, "contract_size": 1, "open": 15_100, "close": 15_000,
            "profit_ccy": "EUR", "EURUSD_bid": 1.1, "EURUSD_ask": 1.2, "deposit_ccy": "USD",
        },
        {"profit": -240},
    ),
    "Forex by market": (
        {
            "symbol": "GBPCHF", "side": "buy", "open": 1.12, "close": 1.11, **EUR,
            "USDCHF_bid": 0.9, "USDCHF_ask": 0.91, "by_market": True, "deposit_ccy": "USD",
        },
        {"profit": -1_111.11},
    ),
    "futures by ticks": (
        {
            "calc_mode": "EXCH_FUTURES", "side": "sell", "volume": 3, "open": 4_500,
            "close": 4_490.25, "tick_value": 12.5, "tick_size": 0.25,
        },
        {"profit": 1_462.5},
    ),
    "bonds with interest": (
        {
            "calc_mode": "EXCH_BONDS", "side": "buy", "volume": 10, "contract_size": 1,
            "face_value": 1_000, "open": 98.5, "close": 99.1, "open_accrued": 1.2,
            "close_accrued": 4.7,
        },
        {"profit": 95},
    ),
    "whole yen": (
        {
            "symbol": "EURUSD", "side": "buy", "open": 1.1, "close": 1.10005, "volume": 0.01,
            "contract_size": 100_000, "USDJPY": 150.7, "deposit_ccy": "JPY",
        },
        {"profit": 8},
    ),
    "collateral": (
        {
            "calc_mode": "SERV_COLLATERAL", "volume": 1, "contract_size": 1, "open": 1, "close": 2,
        },
        {"profit": 0},
    ),
}  # fmt: skip

SWAPS = {
    "MQ small volumes round to nothing": (
        {
            "swap_mode": "POINTS", "volume": 0.01, "contract_size": 1_000, "point": 1e-05,
            "swap_long": -13, "symbol": "EURUSD",
        },
        {"point_price": 0, "swap": 0},
    ),
    "money per lot, against the client": (
        {
            "swap_mode": "CURRENCY_SYMBOL", "volume": 2, "swap_long": -3.5, "symbol": "EURUSD",
            "EURUSD_bid": 1.1, "EURUSD_ask": 1.2, "deposit_ccy": "USD",
        },
        {"swap": -8.4},
    ),
    "money paid to the client": (
        {
            "swap_mode": "CURRENCY_SYMBOL", "volume": 2, "swap_short": 3.5, "symbol": "EURUSD",
            "EURUSD_bid": 1.1, "EURUSD_ask": 1.2, "deposit_ccy": "USD",
        },
        {"swap": 7.7},
    ),
    "deposit currency": (
        {
            "swap_mode": "CURRENCY_DEPOSIT", "volume": 0.3, "swap_long": -4.21, "symbol": "EURUSD",
            "deposit_ccy": "USD",
        },
        {"swap": -1.26},
    ),
    "interest on Forex is on the base currency": (
        {
            "swap_mode": "INTEREST_CURRENT", "volume": 1, "contract_size": 100_000,
            "swap_long": -3.6, "symbol": "EURUSD", "EURUSD_bid": 1.1, "EURUSD_ask": 1.2,
            "deposit_ccy": "USD",
        },
        {"swap": -11},
    ),
    "interest on the open price, 365 days": (
        {
            "swap_mode": "INTEREST_OPEN", "volume": 2, "contract_size": 10, "open": 7_300,
            "price": 9_000, "swap_short": 2.5, "days_in_year": 365,
        },
        {"swap": 10},
    ),
    "a weekend of gold": (
        {
            "swap_mode": "POINTS", "swap_long": -65.94, "swap_short": 40.23, "side": "sell",
            "volume": 0.1, "contract_size": 100, "point": 0.01,
            "trip": ["2025.02.14 12:00:00", "2025.02.20 01:00:00"],
        },
        {"swap": 24.13},  # 4.023 on Fri, Mon and Tue, 12.069 on Wed
    ),
    "triple on Friday": (
        {
            "swap_mode": "POINTS", "swap_long": -5, "volume": 1, "contract_size": 100,
            "point": 0.01, "triple_day": "Friday",
            "trip": ["2025.02.13 12:00:00", "2025.02.15 00:00:00"],
        },
        {"swap": -20},
    ),
    "days that an article counts at once": (
        {
            "swap_mode": "POINTS", "swap_long": -13.472, "volume": 1, "contract_size": 100_000,
            "point": 1e-05, "days": 3,
        },
        {"swap": -40.42},
    ),
    "every day of the week": (
        {
            "swap_mode": "POINTS", "swap_long": -5, "volume": 1, "contract_size": 100,
            "point": 0.01, "swap_days": [1, 1, 1, 1, 1, 1, 1],
            "trip": ["2025.02.13 12:00:00", "2025.02.20 00:00:00"],
        },
        {"swap": -35},
    ),
    "reopened short": (
        {
            "swap_mode": "REOPEN_BID", "bid": 1.39805, "swap_short_points": 2, "point": 1e-05,
            "side": "sell",
        },
        {"reopen": 1.39803},
    ),
    "whole yen": (
        {
            "swap_mode": "POINTS", "swap_long": 12.46, "volume": 0.5, "contract_size": 100_000,
            "point": 0.001, "symbol": "USDJPY", "deposit_ccy": "JPY",
        },
        {"swap": 623},
    ),
}  # fmt: skip

COMMISSIONS = {
    "per lot both ways": (
        {"per_lot": 3.5, "volume": 0.01, "deals": ["buy in", "sell out"]},
        {"total": -0.08},  # 0.035 rounds to 0.04, twice
    ),
    "exits only": (
        {"entry_mode": "OUT", "per_deal": 1, "deals": ["buy in", "sell in", "close by"]},
        {"total": -2, "first_out_by": -2, "second_out_by": 0},
    ),
    "percent of the value": (
        {"percent": 0.0325, "volume": 0.2, "contract_size": 1, "price": 65_000},
        {"commission": -4.23},
    ),
    "percent of Forex in dollars": (
        {
            "percent": 0.005, "volume": 2, "contract_size": 100_000, "symbol": "EURUSD",
            "price": 1.1, "deposit_ccy": "USD",
        },
        {"commission": -11},
    ),
    "a loss is paid back": (
        {"mode": "PERCENT_PROFIT", "percent": 10, "profit": -55},
        {"commission": 5.5},
    ),
    "but for a minimum": (
        {"mode": "PERCENT_PROFIT", "percent": 10, "profit": -55, "min": 0},
        {"commission": 0},
    ),
    "bounded": (
        {"per_lot": 4, "min": 1, "max": 20, "volumes": [0.1, 1, 50]},
        {"commission": [-1, -4, -20]},
    ),
    "MQ tiers by volume": (
        {"tiers": [[0, 10, 5], [12, 20, 4]], "volumes": [10, 11, 15]},
        {"commission": [-50, 0, -60]},
    ),
    "pips": (
        {
            "pips": 2, "volume": 3, "contract_size": 100_000, "point": 1e-05, "symbol": "EURUSD",
            "deposit_ccy": "USD",
        },
        {"commission": -6},
    ),
    "a day's turnover reaches the next tier": (
        {
            "charge": "DAILY", "range": "TURNOVER_VOLUME", "tiers": [[0, 10, 5], [10.01, 100, 3]],
            "volumes": [6, 5],
        },
        {"total": -33},
    ),
}  # fmt: skip

ACCOUNTS = {
    "no margin": ({"balance": 500, "profit": -20, "margin": 0}, {"equity": 480, "level": 0}),
    "credit": (
        {"balance": 100, "credit": 50, "profit": -20, "margin": 26},
        {"equity": 130, "free_margin": 104, "margin_level": 500},
    ),
    "at the level": ({"equity": 80, "margin": 200, "stop_out_pct": 40}, {"stop_out": False}),
    "below it": ({"equity": 79.99, "margin": 200, "stop_out_pct": 40}, {"stop_out": True}),
    "of an equity": (
        {"equity": 68_319.53, "margin": 51_193.67},
        {"free_margin": 17_125.86, "margin_level": 133.45308121101692},
    ),
    "in money": ({"equity": 79, "margin": 200, "stop_out_money": 80}, {"stop_out": True}),
    "MT5 comment": ({"equity": 99, "margin": 200}, {"comment": "[so 49.50%/99.00/200.00]"}),
    "orders first, the smallest profit at last": (
        {
            "orders": [["a", 20], ["b", 0], ["c", 30]],
            "positions": [["x", 5], ["y", 15], ["z", 1]],
        },
        {"first": "c", "second": "a", "third": "z", "fourth": "x", "fifth": "y"},
    ),
    "nothing to compensate": (
        {"balance_after_stop_out": 12.5, "compensate": True},
        {"so_compensation": 0, "balance": 12.5},
    ),
    "without compensation": (
        {"balance_after_stop_out": -12.5, "compensate": False},
        {"so_compensation": 0, "balance": -12.5},
    ),
}  # fmt: skip

CHECKS = {
    "TP of a sell": (
        {
            "stops_level": 10, "point": 0.01, "side": "sell",
            "trials": [[2_000.10, 2_000.01], [2_000.10, 2_000.00], [2_000.10, 1_999.50]],
            "fields": ["ask", "tp"],
        },
        {"results": ["10016", "10009", "10009"]},
    ),
    "price of a buy stop": (
        {
            "stops_level": 5, "point": 1e-05, "type": "buy_stop",
            "trials": [[1.1, 1.10001, 1.10005], [1.1, 1.10001, 1.10006], [1.1, 1.10001, 1.1]],
            "fields": ["bid", "ask", "price"],
        },
        {"results": ["10016", "10008", "10015"]},
    ),
    "freeze level, equality frozen": (
        {
            "freeze_level": 10, "point": 1e-05, "side": "buy",
            "trials": [[1.10010, 1.1], [1.10011, 1.1]], "fields": ["bid", "sl"],
        },
        {"results": ["10029", "10009"]},
    ),
    "SL of a sell limit": (
        {
            "stops_level": 0, "point": 1e-05, "type": "sell_limit", "price": 1.2,
            "trials": [[1.19999], [1.2], [1.20001]], "fields": ["sl"],
        },
        {"results": ["10016", "10016", "10008"]},
    ),
    "volumes": (
        {
            "volume_min": 0.1, "volume_max": 5, "volume_step": 0.1,
            "volumes": [0.1, 0.05, 0.15, 5, 5.1],
        },
        {"results": ["accept", "10014", "10014", "accept", "10014"]},
    ),
    "resting orders count": (
        {
            "volume_limit": 5, "position": ["sell", 2], "orders": [["sell_stop", 2]],
            "requests": [["sell", 1], ["sell_limit", 1.01], ["buy", 5]],
        },
        {"results": ["accept", "10034", "accept"]},
    ),
}  # fmt: skip

QUOTES = {
    "tick of the pair itself": (
        {
            "symbol": "USDJPY", "tick_size": 0.001, "contract_size": 100_000, "bid": 147.956,
            "ask": 148.011, "deposit_ccy": "USD",
        },
        {"tick_value_profit": 100 / 148.011, "tick_value_loss": 100 / 147.956},
    ),
    "tick in dollars": (
        {"symbol": "XAUUSD", "tick_size": 0.01, "contract_size": 100},
        {"tick_value": 1},
    ),
    # What a public dump of a pound account's USDJPY printed.
    "tick by way of the dollar": (
        {
            "symbol": "USDJPY", "tick_size": 0.001, "contract_size": 100_000,
            "GBPUSD_bid": 1.27142, "GBPUSD_ask": 1.27146, "USDJPY_bid": 147.956,
            "USDJPY_ask": 148.011, "deposit_ccy": "GBP",
        },
        {"tick_value_profit": 100 / 148.011 / 1.27146, "tick_value_loss": 100 / 147.956 / 1.27142},
    ),
}  # fmt: skip

KINDS: dict[str, dict[str, Any]] = {
    "margin": MARGINS,
    "profit": PROFITS,
    "swap": SWAPS,
    "commission": COMMISSIONS,
    "account": ACCOUNTS,
    "validation": CHECKS,
    "quotes": QUOTES,
}


@pytest.mark.parametrize(
    ("category", "name"), [(kind, name) for kind, cases in KINDS.items() for name in cases]
)
def test_example(category, name):
    inputs, expected = KINDS[category][name]
    platform = "mt4" if name in MT4 else "mt5"
    example = {"category": category, "inputs": inputs, "platform": platform}
    found = answers({**example, "expected": expected})
    for key, value in expected.items():
        assert agrees(value, found[key], 1e-9, magnitude=False), (
            f"{key}: expected {value}, found {found[key]}"
        )


def test_a_missing_rate_is_named():
    example = {
        "category": "profit",
        "inputs": {"symbol": "EURJPY", **EUR, "open": 160, "close": 161, "deposit_ccy": "USD"},
    }
    with pytest.raises(LookupError, match="no rate from JPY to USD"):
        answers(example)
