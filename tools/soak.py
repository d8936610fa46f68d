"""Runs the tests with large counts, and writes down how many examples each of them passed.

One test after the other in a process of its own, at the lowest priority; what the time does not
suffice for is written down as not run. Exits 1 if a test failed.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
PASSING = re.compile(r"(\d+) passing, ")

EXAMPLE = """\
example:
  $ python tools/soak.py --minutes 40 broker server/tests/property/test_money_reference.py
"""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How one test went: `passed`, `failed`, `unfinished` or `not run`, and its examples."""

    test: str
    result: str
    examples: int = 0
    seconds: float = 0.0


def examples_of(output: str) -> int:
    """The examples that hypothesis, or the test itself, says have passed."""
    return sum(int(count) for count in PASSING.findall(output))


def tests_in(files: list[str]) -> list[str]:
    """The soak tests of some files."""
    command = [*_pytest(), "--collect-only", *files]
    done = subprocess.run(
        command, cwd=ROOT, env=_env(), capture_output=True, text=True, check=False
    )
    found = [line for line in done.stdout.splitlines() if "::" in line]
    if not found:
        sys.exit(f"no soak tests in {' '.join(files)}:\n{done.stdout}{done.stderr}")
    return found


def run(test: str, seconds: float) -> Run:
    """Run one test for at most so long."""
    began = time.perf_counter()
    command = [*_pytest(), "--hypothesis-show-statistics", "-rP", test]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=_env(), capture_output=True, text=True, check=False,
            timeout=max(seconds, 0),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Run(test=test, result="unfinished", seconds=round(seconds, 1))
    took = round(time.perf_counter() - began, 1)
    if done.returncode:
        print(done.stdout)
        return Run(test=test, result="failed", seconds=took)
    return Run(test=test, result="passed", examples=examples_of(done.stdout), seconds=took)


def _pytest() -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-m", "soak"]


def _env() -> dict[str, str]:
    return {**os.environ, "FXSOCKET_SOAK": "1"}


def write(name: str, command: str, runs: list[Run]) -> Path:
    """Write bench/results/soak-<name>.json."""
    head = subprocess.run(
        ("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    figures = {
        "soak": name,
        "command": command,
        "commit": head.stdout.strip(),
        "examples": sum(run.examples for run in runs),
        "tests": runs,
    }
    path = RESULTS / f"soak-{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    return path


def main() -> None:
    """Run the tests that the time suffices for, and write the result down after each."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="the result is bench/results/soak-NAME.json")
    parser.add_argument("files", nargs="+", metavar="FILE", help="test files")
    parser.add_argument("--minutes", type=float, default=600, help="for all of them (600)")
    options = parser.parse_args()
    os.nice(15)
    ends = time.perf_counter() + 60 * options.minutes
    command = f"python tools/soak.py --minutes {options.minutes:g} {options.name} " + " ".join(
        options.files
    )
    tests, runs = tests_in(options.files), list[Run]()
    for number, test in enumerate(tests):
        runs.append(run(test, ends - time.perf_counter()))
        print(
            f"{runs[-1].result:10} {runs[-1].examples:>9,} {runs[-1].seconds:>8} s  {test}",
            flush=True,
        )
        left = [Run(test=other, result="not run") for other in tests[number + 1 :]]
        path = write(options.name, command, runs + left)
        if time.perf_counter() >= ends:
            break
    print(f"written: {path.relative_to(ROOT)}")
    sys.exit(any(run.result == "failed" for run in runs))


if __name__ == "__main__":
    main()
