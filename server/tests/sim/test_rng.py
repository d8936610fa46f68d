"""Seeded chance: the same again, and independent of what other components draw."""

from fxsocket_server.testkit.rng import Chance


def drawn(chance: Chance) -> list[int]:
    return [chance.below(1_000) for _ in range(20)]


def test_a_part_draws_the_same_however_much_the_whole_draws(seed: int) -> None:
    quiet, busy = Chance(seed), Chance(seed)
    drawn(busy)
    assert drawn(quiet.split("net")) == drawn(busy.split("net"))
    assert drawn(Chance(seed).split("net")) != drawn(Chance(seed).split("disk"))
    assert drawn(Chance(seed)) != drawn(Chance(seed + 1))


def test_draws_lie_where_they_should(seed: int) -> None:
    chance = Chance(seed)
    assert all(2 <= chance.between(2, 3) < 3 for _ in range(1_000))
    assert 200 < sum(chance.happens(0.3) for _ in range(1_000)) < 400
    assert {chance.choice("abc") for _ in range(100)} == {*"abc"}
    assert len(chance.bytes(37)) == 37
