"""I9: at any point of a log, replaying it gives the state that the journal held there."""

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.replay import Replay

from ..unit.journal_logs import PROFILES, State, log_of, steps

STEPS = 30


def told(replay: Replay, log: list[Event]) -> State:
    """The state that a replay tells of."""
    return {id_: log[seq - 1].payload for id_, seq in replay.newest.items()}


async def trade(folder: Path, seed: int, count: int, profile: str) -> list[tuple[int, State]]:
    return [point async for point in steps(folder, seed, count, profile)]


def check_prefixes(log: list[Event], points: Iterable[tuple[int, State]]) -> None:
    """Replay the log once, and stop at each point at which the journal's state is known."""
    replay, done = Replay(), 0
    for head, state in points:
        for event in log[done:head]:
            replay.apply(event)
        done = head
        assert told(replay, log) == state


def check_a_log(folder: Path, seed: int, profile: str) -> int:
    """One random log, at all its prefixes; and one of them made again from the same inputs."""
    for name in ("whole", "again"):
        (folder / name).mkdir(parents=True)
    points = asyncio.run(trade(folder / "whole", seed, STEPS, profile))
    log = log_of(folder / "whole" / "journal.db")
    check_prefixes(log, points)
    stop = random.Random(seed).randint(1, STEPS)
    again = asyncio.run(trade(folder / "again", seed, stop, profile))
    assert again == points[:stop]
    assert log_of(folder / "again" / "journal.db") == log[: points[stop - 1][0]]
    return len(log)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_prefix_of_a_log_replays_to_its_state(
    profile: str, tmp_path: Path, rng: random.Random
) -> None:
    events = [check_a_log(tmp_path / str(n), rng.getrandbits(40), profile) for n in range(8)]
    assert sum(events) > 8 * STEPS


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_every_prefix_of_1000_logs_replays_to_its_state(
    profile: str, tmp_path: Path, rng: random.Random
) -> None:
    for n in range(334):
        check_a_log(tmp_path / str(n), rng.getrandbits(40), profile)
    print("334 passing, 0 failing logs")  # counted by tools/soak.py
