"""100,000 seeds; `make soak` goes on where it stopped, by the counts in bench/results."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fxsocket_server.testkit.sim.soak import Soak, go_on

SEEDS = 100_000
ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "bench" / "results"


def about() -> dict[str, Any]:
    """The machine and the commit, without what changes from minute to minute."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "commit": done.stdout.strip(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


@pytest.mark.soak
def test_promises_hold_in_100_000_seeds() -> None:
    soak = go_on(RESULTS / "soak-sim.json", SEEDS, about())
    assert not soak.failures, "\n".join(soak.failures)


def test_a_long_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    saved: list[int] = []
    path = tmp_path / "soak.json"
    once = go_on(path, 3, {"commit": "a"}, lambda soak: saved.append(soak.next_seed))
    again = go_on(path, 5, {"commit": "b"}, lambda soak: saved.append(soak.next_seed))
    assert saved == [4, 6]
    assert (once.seeds, again.seeds) == (3, 5)
    assert again.orders > once.orders
    assert [(part["first"], part["last"]) for part in again.parts] == [(1, 3), (4, 5)]
    assert msgspec.json.decode(path.read_bytes(), type=Soak) == again
    assert go_on(path, 5, {"commit": "c"}) == again, "nothing is left to do"
