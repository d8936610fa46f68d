"""The pace barrier against a model that keeps every unacknowledged tick by number."""

from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.channels.pacing import PaceBarrier

READERS = ("a", "b", "c")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("join", "leave")), st.sampled_from(READERS)),
        st.tuples(st.just("tick"), st.sets(st.sampled_from(READERS))),
        st.tuples(st.just("ack"), st.sampled_from(READERS), st.integers(0, 12)),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_clock_may_go_on_exactly_when_no_sent_tick_is_unacknowledged(steps):
    barrier: PaceBarrier[str] = PaceBarrier()
    owed: dict[str, set[int]] = {}  # reader -> ticks that were sent to it and not acknowledged
    n = 0
    for step in steps:
        if step[0] == "join":
            barrier.join(step[1])
            owed.setdefault(step[1], set())
        elif step[0] == "leave":
            barrier.leave(step[1])
            owed.pop(step[1], None)
        elif step[0] == "tick":
            n += 1
            for reader in sorted(step[1]):
                barrier.sent(reader, n)
                if reader in owed:
                    owed[reader].add(n)
        else:
            barrier.ack(step[1], step[2])
            if step[1] in owed:
                owed[step[1]] = {tick for tick in owed[step[1]] if tick > step[2]}
        assert barrier.clear() == (not any(owed.values()))


@given(st.lists(st.sampled_from(READERS), min_size=1, max_size=60), st.randoms())
def test_three_readers_in_lockstep_never_see_a_tick_ahead_of_the_slowest(order, chance):
    """A feed that waits for the barrier: nobody is ever more than one tick ahead of another."""
    barrier: PaceBarrier[str] = PaceBarrier()
    for reader in READERS:
        barrier.join(reader)
    n, acked = 0, dict.fromkeys(READERS, 0)
    for reader in order:
        if barrier.clear():
            assert set(acked.values()) == {n}
            n += 1
            for each in chance.sample(READERS, len(READERS)):
                barrier.sent(each, n)
        barrier.ack(reader, n)
        acked[reader] = n
        assert max(acked.values()) - min(acked.values()) <= 1


def test_an_ack_in_advance_settles_only_what_was_sent():
    barrier: PaceBarrier[str] = PaceBarrier()
    barrier.join("a")
    barrier.ack("a", 100)
    barrier.sent("a", 1)
    assert not barrier.clear()
    barrier.ack("a", 100)
    assert barrier.clear()
    barrier.sent("a", 2)
    assert not barrier.clear()


def test_joining_again_forgives_nothing():
    barrier: PaceBarrier[str] = PaceBarrier()
    barrier.join("a")
    barrier.sent("a", 1)
    barrier.join("a")
    assert not barrier.clear()
