"""Makes a failing world smaller: leaves out faults and actors while it still fails."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from fxsocket_server.testkit.sim.plan import Plan
from fxsocket_server.testkit.sim.world import Outcome, run_seed

_TRIES = 200
Attempt = Callable[[int, Plan], Outcome]


def shrunk(failed: Outcome, run: Attempt | None = None) -> Outcome:
    """The smallest world found that breaks one of the promises that a seed broke.

    What is left out shifts nothing else: every part draws its own random numbers.
    """
    broken, smallest, tries = _broken(failed), failed, 0
    attempt = run or _run
    while True:  # until nothing can be left out, or the tries are used up
        for plan in smallest.plan.smaller():
            tries += 1
            outcome = attempt(failed.seed, plan)
            if broken & _broken(outcome):
                smallest = outcome
                break
            if tries >= _TRIES:
                return smallest
        else:
            return smallest


def _broken(outcome: Outcome) -> set[str]:
    return {violation.invariant for violation in outcome.violations}


def _run(seed: int, plan: Plan) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="fxsocket-sim-") as folder:
        return run_seed(seed, Path(folder) / "world", plan)
