"""A failing world is made as small as it can be while it still breaks the same promise."""

from msgspec.structs import replace

from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.plan import FAULTS, Plan, plan_of
from fxsocket_server.testkit.sim.shrink import shrunk
from fxsocket_server.testkit.sim.trace import Trace, Violation
from fxsocket_server.testkit.sim.world import Outcome


def outcome_of(seed: int, plan: Plan, *promises: str) -> Outcome:
    broken = [Violation(promise, "planted") for promise in promises]
    return Outcome(seed, plan, broken, "", Trace(lambda: 0.0), 0, 0)


def run(seed: int, plan: Plan) -> Outcome:
    """I1 breaks by two faults and two deeds of a keyed bot; without a fault something else does."""
    if not plan.faults:
        return outcome_of(seed, plan, "I5")
    if {"cut", "crash"} <= {*plan.faults} and plan.bots and plan.deeds >= 2:
        return outcome_of(seed, plan, "I1")
    return outcome_of(seed, plan)


def test_what_is_left_is_what_the_failure_needs(seed: int) -> None:
    plan = replace(plan_of(Chance(seed).split("plan")), faults=FAULTS)
    smallest = shrunk(run(seed, plan), run)
    assert {violation.invariant for violation in smallest.violations} == {"I1"}
    assert sorted(smallest.plan.faults) == ["crash", "cut"]
    assert (len(smallest.plan.bots), smallest.plan.listeners) == (1, ())
    assert [account.id for account in smallest.plan.accounts] == [smallest.plan.bots[0].account_id]
    assert smallest.plan.deeds == 2
    assert not any(run(seed, smaller).violations for smaller in smallest.plan.smaller())


def test_what_no_part_can_be_left_out_of_stays(seed: int) -> None:
    whole = plan_of(Chance(seed).split("plan"))

    def fails_whole(seed: int, plan: Plan) -> Outcome:
        return outcome_of(seed, plan, *(["I1"] if plan == whole else []))

    assert shrunk(fails_whole(seed, whole), fails_whole).plan == whole
