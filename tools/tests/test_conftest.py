"""The root conftest at work: each test runs pytest on a small repository with a copy of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]

SUITE = """
import os, pytest

def test_shared(shared_path):
    assert shared_path("brief").is_dir()

@pytest.mark.skip(reason="capability: no partial fills")
def test_card():
    pass

@pytest.mark.soak
def test_large_counts():
    assert os.environ["FXSOCKET_SOAK"] == "1"

def test_settings():
    assert "FXSOCKET_DATA" not in os.environ
"""

RANDOM = """
import pytest

@pytest.mark.parametrize("number", range(20))
def test_draw(rng, seed, number):
    with open("drawn.txt", "a") as log:
        print(number, rng.random(), seed, file=log)
    assert number != 7
"""


@pytest.fixture
def repo(tmp_path):
    """A repository with the real settings and one file of tests, no shared folder beside it."""
    (tmp_path / "repo" / "server" / "tests").mkdir(parents=True)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(REPO / name, tmp_path / "repo" / name)
    (tmp_path / "repo" / "server" / "tests" / "test_it.py").write_text(SUITE)
    return tmp_path / "repo"


@pytest.fixture
def beside(repo):
    """The shared folder beside that repository."""
    (repo.parent / "shared" / "brief").mkdir(parents=True)
    return repo.parent / "shared"


def run(repo, *options, **env):
    """Run pytest there; CI and our own variables only as given."""
    inherited = {key: value for key, value in os.environ.items() if key != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=repo,
        env={**inherited, "FXSOCKET_DATA": "elsewhere", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bare_clone_skips_and_counts_what_needs_shared(repo):
    done = run(repo, CI="true")
    assert done.returncode == 0, done.stdout
    assert "skipped, needs ../shared: 1" in done.stdout
    assert "1 passed, 2 skipped, 1 deselected" in done.stdout


def test_beside_shared_only_capabilities_skip_in_ci(repo, beside):
    done = run(repo, CI="true")
    assert done.returncode == 0, done.stdout
    assert "skipped, capability: 1" in done.stdout
    assert "2 passed, 1 skipped, 1 deselected" in done.stdout


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_any_other_skip_fails_ci_and_is_named(repo, beside, ci, code):
    tests = repo / "server" / "tests"
    (tests / "test_module.py").write_text("import pytest\npytest.importorskip('absent_module')\n")
    (tests / "test_call.py").write_text("import pytest\ndef test_x(): pytest.skip('no time')\n")
    done = run(repo, CI=ci)
    assert done.returncode == code, done.stdout
    assert ("skipped in CI: server/tests/test_module.py: " in done.stdout) == bool(code)
    assert ("skipped in CI: server/tests/test_call.py::test_x: no time" in done.stdout) == bool(
        code
    )


def test_shared_material_that_is_missing_is_a_failure(repo, beside):
    (beside / "brief").rmdir()
    done = run(repo)
    assert done.returncode == 1
    assert "../shared is there, but has no brief" in done.stdout


def test_soak_runs_only_when_asked_for(repo):
    done = run(repo, "-m", "soak", FXSOCKET_SOAK="1")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 3 deselected" in done.stdout


def test_the_seed_repeats_order_and_numbers_and_stands_beside_a_failure(repo):
    """Same seed: same order and numbers. Another seed: others. A failing test names its seed."""
    (repo / "server" / "tests" / "test_it.py").write_text(RANDOM)
    logs = []
    for seed in ("5", "5", "6"):
        done = run(repo, FXSOCKET_TEST_SEED=seed)
        assert f"FXSOCKET_TEST_SEED={seed}, ../shared absent" in done.stdout
        assert f"repeat with FXSOCKET_TEST_SEED={seed}" in done.stdout
        assert "1 failed, 19 passed" in done.stdout
        logs.append((repo / "drawn.txt").read_text().splitlines())
        (repo / "drawn.txt").unlink()

    first, second, other = logs
    numbers = [line.split()[0] for line in first]
    assert first == second
    assert sorted(first) != sorted(other)
    assert numbers != [line.split()[0] for line in other]
    assert numbers != sorted(numbers, key=int)
    assert len({line.split()[1] for line in first}) == 20


def test_modules_are_shuffled_whole(repo):
    for name in "abcdefgh":
        (repo / "server" / "tests" / f"test_{name}.py").write_text(RANDOM)
    done = run(repo, "--collect-only", "-q", FXSOCKET_TEST_SEED="1")
    files = [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line]
    runs = [file for index, file in enumerate(files) if index == 0 or files[index - 1] != file]
    assert len(runs) == 9
    assert runs != sorted(runs)
