"""The records hold exactly the fields that the API's contract names."""

import re
from typing import get_args

import pytest

from fxsocket import models

ROWS = [
    ("| GET `/account` |", 0, models.Account),
    ("| GET `/symbols`", 0, models.Symbol),
    ("| GET `/quotes/{symbol}`", 0, models.Quote),
    ("| GET `/candles` |", 0, models.Candle),
    ("| GET `/positions`", 1, models.Position),
    ("| GET `/positions`", 2, models.CloseResult),
    ("| GET `/history/orders`", 0, models.Deal),
    ("Order object:", 0, models.Order),
]


def objects_in(line: str) -> list[list[str]]:
    """Every `{a, b, c}` of a line of the contract as its field names."""
    flat = re.sub(r"(\w)\{[^{}]*\}", r"\1", line)  # `sessions{trade,quote}` is one field
    flat = re.sub(r"/\{\w+\}", "", flat)
    found = [inner.split(",") for inner in re.findall(r"\{([^{}]*)\}", flat)]
    return [[re.findall(r"\w+", part)[0] for part in parts] for parts in found]


@pytest.mark.parametrize(("start", "index", "kind"), ROWS, ids=lambda v: getattr(v, "__name__", ""))
def test_fields_are_those_of_the_contract(shared_path, start, index, kind):
    contract = shared_path("design", "API-v1.md").read_text(encoding="utf-8")
    (line,) = [line for line in contract.splitlines() if line.startswith(start)]
    assert set(kind.__struct_fields__) >= set(objects_in(line)[index])


def test_enums_are_those_of_the_contract(shared_path):
    contract = shared_path("design", "API-v1.md").read_text(encoding="utf-8")
    known = {
        word
        for alias in (
            models.OrderType,
            models.OrderStatus,
            models.PositionStatus,
            models.Timeframe,
        )
        for word in get_args(alias)
    }
    (line,) = [line for line in contract.splitlines() if line.startswith("Enums upper case")]
    (frames,) = [line for line in contract.splitlines() if line.startswith("timeframes `M1")]
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", line + frames.partition("(")[0]))
    assert known == named - {"POST"}
