"""Long runs that go on where they stopped: the counts so far live in one JSON file."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fxsocket_server.testkit.sim.runner import Tally, report_of, run_seeds

_BATCH = 50  # seeds between two writes of the file


class Soak(Struct):
    """What a long run has come to; `parts` says where its seeds were run, and on which commit."""

    next_seed: int = 1
    seeds: int = 0
    orders: int = 0
    crashes: int = 0
    failures: list[str] = []
    marks: dict[str, int] = {}
    parts: list[dict[str, Any]] = []

    def add(self, first: int, tally: Tally, about: dict[str, Any]) -> None:
        """Count a batch that began with the seed `first`."""
        self.next_seed = first + tally.seeds
        self.seeds += tally.seeds
        self.orders += tally.orders
        self.crashes += tally.crashes
        self.failures += [report_of(outcome) for outcome in tally.failures]
        self.marks = dict(sorted((Counter(self.marks) + tally.marks).items()))
        if not self.parts or self.parts[-1]["about"] != about:
            self.parts.append({"about": about, "first": first})
        self.parts[-1]["last"] = self.next_seed - 1


def go_on(
    path: Path,
    last_seed: int,
    about: dict[str, Any],
    saved: Callable[[Soak], None] | None = None,
) -> Soak:
    """Run the seeds up to `last_seed` that the file does not count yet."""
    soak = msgspec.json.decode(path.read_bytes(), type=Soak) if path.exists() else Soak()
    while soak.next_seed <= last_seed:
        first = soak.next_seed
        soak.add(first, run_seeds(range(first, min(first + _BATCH, last_seed + 1))), about)
        _save(path, soak)
        if saved is not None:
            saved(soak)
    return soak


def _save(path: Path, soak: Soak) -> None:
    """Replace the file as a whole: a run that is killed leaves the batch before."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(soak), indent=1) + b"\n")
    new.replace(path)
