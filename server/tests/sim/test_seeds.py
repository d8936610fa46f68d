"""Seeds of the simulated world: every promise holds, and a seed repeats itself exactly."""

import pytest

from fxsocket_server.testkit.sim.runner import Tally, report_of, run_seeds

BATCH = 200
QUICK = 10  # batches: 2,000 seeds

# What a batch of seeds must have come through, or it has proved too little.
MARKS = {
    "client.ConnectionError",
    "client.ConnectionRefusedError",
    "client.TimeoutError",
    "client.answered",
    "client.gave_up",
    "client.replayed_inferred",
    "client.replayed_true",
    "crash.after_broker",
    "crash.after_commit",
    "crash.after_intent",
    "fault.crash_in_commit",
    "listener.resumed",
    "power.lost_False",
    "reach.after_hand_over",
    "reach.lookup.DONE",
    "reach.lookup.NONE",
    "reach.lookup.STARTED",
    "reach.terminal.expired",
    "death.server",
    "death.terminal",
}


def assert_kept(tally: Tally) -> None:
    """No promise was broken; the report says how to see a broken one again."""
    assert not tally.failures, "\n".join(report_of(outcome) for outcome in tally.failures)


@pytest.mark.parametrize("batch", range(QUICK))
def test_promises_hold_in_every_seed(batch: int, seed: int) -> None:
    first = seed % 10**9
    tally = run_seeds(range(first, first + BATCH))
    assert_kept(tally)
    assert set(tally.marks) >= MARKS, f"never reached: {sorted(MARKS - set(tally.marks))}"


def test_a_seed_repeats_itself_exactly(seed: int) -> None:
    seeds = range(seed % 10**9, seed % 10**9 + 20)
    first, second = _digests(seeds), _digests(seeds)
    assert first == second
    assert len(set(first)) == len(seeds), "seeds differ"


def _digests(seeds: range) -> list[str]:
    digests: list[str] = []
    run_seeds(seeds, lambda outcome: digests.append(outcome.digest))
    return digests
