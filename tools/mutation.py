"""Mutation testing: how many small changes to the trade's arithmetic and orders do tests notice?

mutmut changes one operator, number or word at a time in `model/` and `gateway/orders/` and runs the
tests that reach it. It works in a copy, never in the checkout: it wants `src/` and `tests/` side by
side, so that the copy's root is the server's folder.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MUTMUT = [sys.executable, "-m", "mutmut"]
MUTATED = ("src/fxsocket_server/model/*", "src/fxsocket_server/gateway/orders/*")
# What reaches the mutated code; the large random ones would only take longer to find the same.
TESTS = (
    "tests/unit",
    "tests/golden",
    "tests/api/test_check.py",
    "tests/api/test_netting.py",
    "tests/api/test_orders.py",
    "tests/api/test_stats.py",
)
BESIDE = ("audit", "bar_files", "bundled", "channels", "disk", "journal", "profile", "tick_files")
COPIED = ("conftest.py", "pyproject.toml", "spec", "tools")
NICE = 15

# What mutmut stores of a mutant: pytest's exit code, a signal (24: too much CPU) or its own 33, 36.
_UNREACHED = "not reached"
_FATES = {
    0: "survived", 1: "killed", 3: "killed", 33: _UNREACHED,
    36: "timed out", 24: "timed out", -24: "timed out", 152: "timed out",
}  # fmt: skip
_NOTICED = ("killed", "timed out")


def main() -> None:
    """Run it and print the figures; exit code 1 when fewer than `--least` are killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=600, help="mutants to try; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample")
    parser.add_argument("--least", type=float, default=0.85, help="share that must be killed")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    parser.add_argument("--keep", action="store_true", help="leave the copy, and say where")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    try:
        figures = measure(folder, asked.sample, asked.seed)
    finally:
        if not asked.keep:
            shutil.rmtree(folder)
    print(json.dumps(figures, indent=2))
    if asked.keep:
        print(folder, file=sys.stderr)
    if asked.out is not None:
        asked.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.exit(figures["killed_share"] < asked.least)


def measure(folder: Path, sample: int, seed: int) -> dict[str, Any]:
    """Try a seeded sample of all mutants in a copy below `folder`."""
    copy = _copied(folder)
    _mutmut(copy, "no.such.mutant")  # makes the mutants and learns which tests reach which
    names = sorted(_fates(copy))
    chosen = random.Random(seed).sample(names, min(sample, len(names))) if sample else names
    began = time.monotonic()
    _mutmut(copy, *chosen)
    fates = _fates(copy)
    counts = Counter(fates[name] for name in chosen)
    broken_off = [name for name in chosen if fates[name] not in (*_NOTICED, "survived", _UNREACHED)]
    assert not broken_off, f"{len(broken_off)} were not tried to the end: see mutmut.log"
    return {
        "command": f"python tools/mutation.py --sample {sample} --seed {seed}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "python": sys.version.split()[0],
        "mutmut": version("mutmut"),
        "seconds": round(time.monotonic() - began),
        "mutants": len(names),
        "tried": len(chosen),
        **dict(sorted(counts.items())),
        "killed_share": round(sum(counts[fate] for fate in _NOTICED) / len(chosen), 4),
        "survivors": sorted(name for name in chosen if fates[name] not in _NOTICED),
    }


def _copied(folder: Path) -> Path:
    """The server's folder of a copy of the checkout, made ready for mutmut."""
    copy = folder / "server"
    shutil.copytree(ROOT / "server", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy / name)
    # A test looks for what does not ship beside the checkout; mutmut's checkout is `mutants`.
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (copy / "shared").symlink_to(shared)
    lines = {
        "source_paths": ["src/"],
        "only_mutate": MUTATED,
        "also_copy": COPIED,
        "pytest_add_cli_args_test_selection": TESTS,
        # At this priority a watchdog of wall time means nothing; mutmut bounds the CPU instead.
        "pytest_add_cli_args": [
            "-q",
            "-x",
            "--timeout=0",
            *(f"--ignore-glob=*{n}*" for n in BESIDE),
        ],
    }
    text = "".join(f"{name}=\n  " + "\n  ".join(values) + "\n" for name, values in lines.items())
    (copy / "setup.cfg").write_text("[mutmut]\n" + text, encoding="utf-8")
    return copy


def _mutmut(copy: Path, *names: str) -> None:
    """Run it, nicely; what it exits with says nothing: the fates it writes down do."""
    command = [*MUTMUT, "run", "--max-children", "1", *names]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with (copy / "mutmut.log").open("ab") as log:
        subprocess.run(
            ["nice", "-n", str(NICE), *command],
            cwd=copy,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            check=False,
        )


def _fates(copy: Path) -> dict[str, str]:
    """What became of each mutant."""
    fates: dict[str, str] = {}
    for path in (copy / "mutants/src").rglob("*.meta"):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        fates |= {name: _FATES.get(code, f"exit {code}") for name, code in codes.items()}
    return fates


def _git(*words: str) -> str:
    asked = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


if __name__ == "__main__":
    main()
