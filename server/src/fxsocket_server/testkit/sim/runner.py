"""Runs seeds one after the other, counts, and names the command that repeats a failure."""

import gc
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from fxsocket_server.testkit.sim.world import Outcome, run_seed

_SEEDS_A_COLLECTION = 8
MODULE = "fxsocket_server.testkit.sim"


class Tally(Struct):
    """What a run of seeds came to."""

    seeds: int = 0
    orders: int = 0
    crashes: int = 0
    failures: list[Outcome] = []
    marks: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count a seed."""
        self.seeds += 1
        self.orders += outcome.orders
        self.crashes += outcome.crashes
        self.marks.update(outcome.trace.marks)
        if outcome.violations:
            self.failures.append(outcome)


def _scratch() -> Path | None:
    """Memory where there is some: a world's disk has a clock of its own."""
    memory = Path("/dev/shm")  # noqa: S108 - a scratch folder of our own is made inside
    return memory if memory.is_dir() else None


def run_seeds(seeds: Iterable[int], done: Callable[[Outcome], None] | None = None) -> Tally:
    """Run every seed; `done` hears of each."""
    tally = Tally(failures=[], marks=Counter())
    with tempfile.TemporaryDirectory(prefix="fxsocket-sim-", dir=_scratch()) as folder, _no_gc():
        for number, seed in enumerate(seeds):
            outcome = run_seed(seed, Path(folder) / str(seed))
            if number % _SEEDS_A_COLLECTION == 0:
                gc.collect()
            tally.add(outcome)
            if done is not None:
                done(outcome)
    return tally


@contextmanager
def _no_gc() -> Iterator[None]:
    """Collect garbage between worlds only: quicker, and never at another moment in another run."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def report_of(outcome: Outcome) -> str:
    """A failing seed: what broke, how to see it again, and its last moments."""
    lines = [f"seed {outcome.seed} broke {len(outcome.violations)} promises, {outcome.plan}"]
    lines += [f"  {violation}" for violation in outcome.violations]
    lines.append(f"  repeat: python -m {MODULE} --seeds {outcome.seed} --trace")
    return "\n".join(lines)
