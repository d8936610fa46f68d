"""Worked examples put to the product: category and inputs in, named answers out.

`answers` takes any example of the golden format and calls the product's public functions; all
arithmetic is theirs. It answers every name that the example may expect, as numbers and words.
"""

from collections.abc import Callable
from typing import Any

from . import accounts, checks, commissions, margins, profits, swaps
from .inputs import Inputs

Answers = dict[str, Any]

CATEGORIES: dict[str, Callable[[Inputs, Answers], Answers]] = {
    "margin": margins.answers,
    "profit": profits.answers,
    "swap": swaps.answers,
    "commission": commissions.answers,
    "account": accounts.answers,
    "validation": checks.answers,
    "quotes": profits.tick_values,
}


def answers(example: dict[str, Any]) -> Answers:
    """What the product says to an example, by the names of its `expected`.

    Of `expected` only names are used, and what they say about a case (`after_buy_0_03_filled`).
    """
    return CATEGORIES[example["category"]](Inputs(example), example.get("expected", {}))
