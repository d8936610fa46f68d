"""kill -9 of `keys rotate-kek` at random points: nothing is lost, and it goes on where it was."""

from pathlib import Path
from random import Random

import pytest

from .sealed import Sealed

COUNT = 230  # two whole batches and a part of one


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path, COUNT)


def test_rotation_leaves_one_key_and_every_password(sealed: Sealed) -> None:
    [first] = sealed.keys()
    calls = sealed.rotate()
    assert calls is not None
    assert calls > COUNT
    [second] = sealed.keys()
    assert (first.partition("_")[0], second.partition("_")[0]) == ("kek1", "kek2")
    sealed.check_all()


def kill_and_resume(sealed: Sealed, kills: int, rng: Random) -> None:
    whole = sealed.rotate()
    assert whole is not None
    killed = 0
    for _ in range(kills):
        killed += sealed.rotate(dies_at=rng.randint(1, whole)) is None
        sealed.check_all()
    assert killed > kills // 3  # a run that goes on has less to do, so some end before
    assert sealed.rotate() is not None
    assert len(sealed.keys()) == 1
    assert sealed.stale() == 0
    sealed.check_all()


def test_killed_anywhere_it_loses_nothing(sealed: Sealed, rng: Random) -> None:
    kill_and_resume(sealed, 10, rng)


@pytest.mark.soak
def test_killed_anywhere_many_times_it_loses_nothing(sealed: Sealed, rng: Random) -> None:
    kill_and_resume(sealed, 50, rng)
