"""Small changes to the trade's arithmetic and to orders, made by mutmut, are noticed."""

from pathlib import Path

import pytest

import mutation


@pytest.mark.soak
@pytest.mark.timeout(6 * 3_600)
def test_most_small_changes_are_noticed(tmp_path: Path, seed: int) -> None:
    figures = mutation.measure(tmp_path, 600, seed % 2**32)
    assert figures["tried"] == 600
    assert figures["killed_share"] >= 0.85, figures
