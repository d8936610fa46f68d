"""The simulated loop: its time, its order, its bounds, and processes that die in it."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from fxsocket_server.testkit.loop import SimLoop, SimProcess, Stuck


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    """A loop that is closed afterwards."""
    loop = SimLoop(max_steps=10_000, max_seconds=1_000)
    yield loop
    loop.close()


def run(loop: SimLoop, work: Coroutine[Any, Any, Any]) -> Any:
    return loop.run_until_complete(loop.create_task(work))


def process(loop: SimLoop) -> tuple[SimProcess, list[str]]:
    deaths: list[str] = []
    return SimProcess("one", loop, lambda dead: deaths.append(dead.name)), deaths


def test_an_hour_takes_no_time_and_timers_fire_in_order(loop: SimLoop) -> None:
    fired: list[tuple[float, float]] = []

    def note(delay: float) -> None:
        fired.append((round(loop.time(), 6), delay))

    for delay in (900, 0.001, 60, 0):
        loop.call_later(delay, note, delay)
    run(loop, loop.elapse(950))
    assert fired == [(0, 0), (0.001, 0.001), (60, 60), (900, 900)]


def test_callbacks_of_one_turn_run_first_in_first_out(loop: SimLoop) -> None:
    order: list[int] = []
    for number in range(50):
        loop.call_soon(order.append, number)
    run(loop, loop.elapse(0))
    assert order == list(range(50))


def test_a_world_that_waits_for_ever_is_stuck(loop: SimLoop) -> None:
    with pytest.raises(Stuck, match="nothing is left to run"):
        run(loop, asyncio.Event().wait())


def test_steps_and_seconds_are_bounded(loop: SimLoop) -> None:
    async def spin() -> None:
        while True:  # until the loop ends it
            await loop.elapse(0)

    spinning = loop.create_task(spin())
    with pytest.raises(Stuck, match="no end in sight"):
        loop.run_until_complete(spinning)
    spinning.cancel()
    loop.steps_left = 10
    with pytest.raises(Stuck, match="no end in sight"):
        run(loop, loop.elapse(1_001))


def test_threads_are_refused(loop: SimLoop) -> None:
    with pytest.raises(RuntimeError, match="would run in a thread"):
        run(loop, asyncio.to_thread(int))


def test_a_dead_process_runs_nothing_not_even_its_finally(loop: SimLoop) -> None:
    one, deaths = process(loop)
    done: list[str] = []

    async def work() -> None:
        try:
            done.append("begun")
            await loop.elapse(1)
            done.append("went on")
        finally:
            done.append("finally")

    _ = one.spawn(work())
    loop.call_later(0.5, one.kill)
    run(loop, loop.elapse(5))
    assert (done, deaths) == (["begun"], ["one"])
    assert one.bury() == []


def test_a_process_dies_in_the_middle_of_a_step(loop: SimLoop) -> None:
    one, deaths = process(loop)
    heard: list[int] = []

    async def work() -> None:
        for number in range(10):
            asyncio.get_running_loop().call_soon(heard.append, number)

    _ = one.spawn(work())  # its own start is step 1
    one.crash_at(4)
    run(loop, loop.elapse(1))
    assert (heard, deaths) == ([], ["one"]), "what the step had scheduled died with it"


def test_what_a_process_starts_belongs_to_it(loop: SimLoop) -> None:
    one, _ = process(loop)
    ticks: list[float] = []

    async def child() -> None:
        while True:  # until its process dies
            await loop.elapse(1)
            ticks.append(loop.time())

    async def parent() -> None:
        asyncio.get_running_loop().call_later(0.5, lambda: loop.create_task(child()))

    _ = one.spawn(parent())
    loop.call_later(3.7, one.kill)
    run(loop, loop.elapse(10))
    assert [round(at, 6) for at in ticks] == [1.5, 2.5, 3.5]
    one.bury()


def test_an_exception_that_nobody_asked_for_is_found(loop: SimLoop) -> None:
    one, _ = process(loop)

    async def fail() -> None:
        raise ValueError("unheard")

    _ = one.spawn(fail())
    run(loop, loop.elapse(1))
    assert [str(error) for error in one.bury()] == ["unheard"]
