"""Ids: their alphabet, their order in time, and that a seeded world repeats them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.ids import IdFactory, base62
from fxsocket_server.core.rng import SplitMix64

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def factory(seed: int = 1, clock: ManualClock | None = None) -> IdFactory:
    return IdFactory(SplitMix64(seed).bytes, (clock or ManualClock()).wall_ms)


@given(st.integers(min_value=0, max_value=2**200))
def test_base62_is_a_number_in_base_62(number: int) -> None:
    value = 0
    for digit in base62(number):
        value = value * 62 + _DIGITS.index(digit)
    assert value == number


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (61, "z"), (62, "10"), (3843, "zz")])
def test_base62_by_hand(number: int, text: str) -> None:
    assert base62(number) == text


def test_an_id_is_its_prefix_and_eighteen_characters() -> None:
    assert re.fullmatch(r"ord_[0-9A-Za-z]{18}", factory().make("ord_"))


def test_a_tag_is_twelve_characters_of_a_comment() -> None:
    assert re.fullmatch(r"~[0-9a-hjkmnp-tv-z]{10} ", factory().tag())


def test_every_character_of_a_tag_is_drawn() -> None:
    ids = factory()
    seen = {character for _ in range(1_000) for character in ids.tag()[1:-1]}
    assert seen == set("0123456789abcdefghjkmnpqrstvwxyz")


def test_ids_and_tags_do_not_repeat() -> None:
    ids = factory()
    made = [ids.make("ord_") for _ in range(20_000)]
    assert len(set(made)) == len(made)
    assert len({ids.tag() for _ in range(20_000)}) == 20_000


def test_ids_sort_by_time() -> None:
    clock = ManualClock()
    ids = factory(clock=clock)
    made = []
    for _ in range(100):
        made.append(ids.make("ord_"))
        clock.advance(1)
    assert made == sorted(made)


def test_the_same_seed_and_clock_make_the_same_ids() -> None:
    def some(seed: int) -> list[str]:
        ids = factory(seed)
        return [ids.make("pos_") if n % 3 else ids.tag() for n in range(1_000)]

    assert some(5) == some(5)
    assert some(5) != some(6)


def test_every_character_of_an_id_is_drawn() -> None:
    ids = factory()
    seen = {character for _ in range(1_000) for character in ids.make("")[7:]}
    assert seen == set(_DIGITS)
