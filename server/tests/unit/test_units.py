"""Fixed-point numbers: in from floats, out to floats and texts, and the one way to round."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.model.units import (
    LOT,
    decimal_of,
    div_half_away,
    fixed_of,
    lots_of,
    lots_text,
    text_of,
    volume_of,
)


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"),
    [
        (5, 2, 3),
        (-5, 2, -3),
        (5, -2, -3),
        (-5, -2, 3),
        (4, 3, 1),
        (-4, 3, -1),
        (0, 7, 0),
        (7, 7, 1),
    ],
)
def test_division_rounds_half_away_from_zero(numerator, denominator, quotient):
    assert div_half_away(numerator, denominator) == quotient


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_division_is_that_of_decimal(numerator, denominator):
    exact = (2 * abs(numerator) + denominator) // (2 * denominator)
    assert abs(div_half_away(numerator, denominator)) == exact
    assert div_half_away(-numerator, denominator) == -div_half_away(numerator, denominator)


@pytest.mark.parametrize(
    ("value", "digits", "fixed"),
    [
        (1.0834, 5, 108_340),
        (1.000005, 5, 100_001),  # its double lies below the half, the written decimal does not
        (1.000015, 5, 100_002),
        (-1.000005, 5, -100_001),
        (2.675, 2, 268),
        (0.015, 2, 2),
        (0.1 + 0.2, 5, 30_000),
        (26598.0, 0, 26_598),
        (1e-9, 8, 0),
        (5e-9, 8, 1),
        (0.0, 3, 0),
    ],
)
def test_a_float_means_the_decimal_that_was_written(value, digits, fixed):
    assert fixed_of(value, digits) == fixed


@given(st.decimals(-(10**6), 10**6, places=7), st.integers(0, 8))
def test_every_written_decimal_is_rounded_as_decimal_does(written, digits):
    rounded = written.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    assert fixed_of(float(written), digits) == int(rounded.scaleb(digits))


@given(st.integers(-(10**14), 10**14), st.integers(0, 8))
def test_a_number_survives_the_wire(fixed, digits):
    assert fixed_of(decimal_of(fixed, digits), digits) == fixed


def test_volumes_are_lots_times_1e8():
    assert volume_of(0.01) == LOT // 100
    assert volume_of(0.001) == LOT // 1000
    assert lots_of(volume_of(0.29)) == 0.29


@pytest.mark.parametrize(
    ("fixed", "digits", "text"),
    [(150, 2, "1.50"), (-5, 2, "-0.05"), (42_000, 0, "42000"), (0, 5, "0.00000"), (-7, 0, "-7")],
)
def test_texts_are_what_people_write(fixed, digits, text):
    assert text_of(fixed, digits) == text


@pytest.mark.parametrize(
    ("volume", "text"),
    [(LOT, "1"), (LOT // 100, "0.01"), (0, "0"), (10 * LOT, "10"), (1, "0.00000001")],
)
def test_lots_are_written_without_trailing_zeros(volume, text):
    assert lots_text(volume) == text
