"""The constants are those of `spec/sdk_policy.json`, which every SDK shares."""

import json
from pathlib import Path

import pytest

from fxsocket import _policy

SPEC = Path(__file__).parents[3] / "spec" / "sdk_policy.json"


def test_constants_equal_the_spec():
    if not SPEC.parent.is_dir():
        pytest.skip("the SDK stands alone, without spec/")
    spec = json.loads(SPEC.read_text())
    stream, budget = spec.pop("stream"), spec.pop("retry_budget")
    # The stream never gives up; what that means is shown by test_stream.py.
    assert stream.pop("give_up") is False
    wanted = {name.upper(): value for name, value in spec.items()}
    wanted |= {f"RETRY_BUDGET_{name.upper()}": value for name, value in budget.items()}
    wanted |= {f"STREAM_{name.upper()}": value for name, value in stream.items()}
    held = {name: getattr(_policy, name) for name in dir(_policy) if name.isupper()}
    assert {
        name: sorted(v) if isinstance(v, frozenset) else v for name, v in held.items()
    } == wanted
