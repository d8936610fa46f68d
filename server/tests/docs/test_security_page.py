"""docs/explanation/security.md: every risk has its row, and every test that it names is there."""

import re

from .blocks import ROOT

PAGE = ROOT / "docs/explanation/security.md"
TESTS = ROOT / "server/tests"


def rows() -> list[list[str]]:
    """The cells of each risk."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| API")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_risk_of_the_top_ten_has_a_row() -> None:
    assert [row[0].partition(" ")[0] for row in rows()] == [f"API{n}" for n in range(1, 11)]
    assert all(len(row) == 3 and row[1] for row in rows())


def test_every_test_that_a_row_names_is_there() -> None:
    for risk, _, shown in rows():
        named = re.findall(r"`([^`]+)`", shown)
        assert named, risk
        for node in named:
            file, _, function = node.partition("::")
            source = (TESTS / file).read_text()
            wanted = rf"^def {function}\(" if function else r"^def test_"
            assert re.search(wanted, source, re.MULTILINE), node
