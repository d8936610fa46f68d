"""Published worked examples, put to the product's own functions.

Each of the 44 feeds its inputs through the adapter and compares every expected value within the
example's tolerance. Two quote statement lines, whose fields must agree with one another.
"""

import json

import pytest

from fxsocket_server.model.account import account_figures
from fxsocket_server.model.units import fixed_of

from .adapter import CATEGORIES, answers

IDS = [f"G{number:03d}" for number in range(1, 45)]
# Their sources print what is charged without its sign.
MAGNITUDES = frozenset(("G027", "G028", "G031", "G032"))
# What a statement prints beside the figures that follow from its trade.
PRINTED = {
    "G009": {"equity", "free_margin", "balance", "floating"},
    "G021": {"swap", "balance_before", "balance_after"},
}


@pytest.fixture(scope="module")
def examples(shared_path):
    text = shared_path("golden", "golden-public.json").read_text(encoding="utf-8")
    return {example["id"]: example for example in json.loads(text)["examples"]}


def agrees(expected, found, tolerance: float, *, magnitude: bool) -> bool:
    """Whether an answer is the expected one: words and codes exactly, numbers within reach."""
    if isinstance(expected, list):
        return len(expected) == len(found) and all(
            agrees(*pair, tolerance, magnitude=magnitude)
            for pair in zip(expected, found, strict=True)
        )
    if isinstance(expected, str | bool):
        return expected == found
    reached = abs(found) if magnitude else found
    wanted = abs(expected) if magnitude else expected
    return reached == pytest.approx(wanted, abs=tolerance, rel=0)


@pytest.mark.parametrize("name", IDS)
def test_example(name, examples):
    example = examples[name]
    wanted = {
        key: value for key, value in example["expected"].items() if key not in PRINTED.get(name, ())
    }
    found = answers(example)
    assert wanted
    for key, value in wanted.items():
        assert key in found, f"{key} is not answered: {found}"
        magnitude = name in MAGNITUDES
        assert agrees(value, found[key], example["tolerance"], magnitude=magnitude), (
            f"{key}: expected {value}, found {found[key]}"
        )


def cents(example, *names: str) -> list[int]:
    return [fixed_of(example["expected"][name], 2) for name in names]


def test_a_statements_summary_agrees_with_its_open_trade(examples):
    """G009: balance and floating profit make the equity, less margin the free margin."""
    example = examples["G009"]
    balance, floating, margin = cents(example, "balance", "floating", "margin")
    figures = account_figures(balance, 0, floating, margin)
    assert [figures.equity, figures.free_margin] == cents(example, "equity", "free_margin")


def test_a_reports_balance_moves_by_profit_and_swap(examples):
    """G021: the balance after a closing deal is that before it, with its profit and swap."""
    before, profit, swap, after = cents(
        examples["G021"], "balance_before", "profit", "swap", "balance_after"
    )
    assert before + profit + swap == after


def test_no_example_is_left_out(examples):
    assert sorted(examples) == IDS
    assert {example["category"] for example in examples.values()} <= set(CATEGORIES)
