"""The soak tool: examples are counted, and failures and lack of time are told."""

from pathlib import Path

import pytest

import soak

TESTS = """\
import pytest
from hypothesis import given, settings, strategies as st

@pytest.mark.soak
@settings(max_examples=30, database=None)
@given(st.integers(0, 10**9))
def test_good(number):
    assert number >= 0

@pytest.mark.soak
@settings(max_examples=30, database=None)
@given(st.integers(0, 10**9))
def test_bad(number):
    assert number < 0

def test_other():
    pass
"""
WATCHDOG_S = 120
OUTPUT = """\
  - during reuse phase (0.00 seconds):
    - 2 passing, 0 failing, and 0 invalid test cases
  - during generate phase (0.61 seconds):
    - 98 passing, 0 failing, and 3 invalid test cases
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "test_numbers.py"
    path.write_text(TESTS, encoding="utf-8")
    return path


def test_examples_of_all_phases_are_counted():
    assert soak.examples_of(OUTPUT) == 100
    assert soak.examples_of("1 passed in 0.01s") == 0


def test_what_passed_what_failed_and_what_had_no_time(path: Path):
    names = [test.rpartition("::")[2] for test in soak.tests_in([str(path)])]
    assert sorted(names) == ["test_bad", "test_good"]
    passed, failed = (soak.run(f"{path}::{name}", WATCHDOG_S) for name in ("test_good", "test_bad"))
    assert (passed.result, passed.examples) == ("passed", 30)
    assert (failed.result, failed.examples) == ("failed", 0)
    assert soak.run(f"{path}::test_good", 0).result == "unfinished"


def test_files_without_large_counts_are_refused(tmp_path: Path):
    path = tmp_path / "test_none.py"
    path.write_text("def test_other():\n    pass\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="no soak tests in"):
        soak.tests_in([str(path)])
