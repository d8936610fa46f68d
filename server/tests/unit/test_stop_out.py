"""Margin call and stop out: levels, what goes first, comments, compensation."""

import pytest

from fxsocket_server.model.enums import StopOutMode
from fxsocket_server.model.stop_out import (
    compensation,
    credit_write_off,
    is_below,
    is_fully_hedged,
    liquidation_order,
    margin_level,
    mt4_stop_out_comment,
    next_order,
    removal_order,
    stop_out_comment,
)


def test_the_level_is_exact():
    assert margin_level(104_212_4, 100_000) == (104_212_400, 100_000)
    assert margin_level(100, 0) is None


@pytest.mark.parametrize(
    ("equity", "below"), [(8_000, False), (7_999, True), (0, True), (-5_000, True), (9_000, False)]
)
def test_a_percent_level_is_reached_only_below_it(equity, below):
    assert is_below(4_000, equity, 20_000) is below


def test_no_fraction_of_a_percent_is_lost():
    # 49.99999 % of the margin is below 50 %.
    assert is_below(5_000, 4_999_999, 10_000_000)
    assert not is_below(5_000, 5_000_000, 10_000_000)


def test_a_level_in_money_is_compared_with_the_equity():
    assert is_below(10_000, 9_999, 1, StopOutMode.MONEY)
    assert not is_below(10_000, 10_000, 1, StopOutMode.MONEY)


def test_without_margin_there_is_nothing_to_call():
    assert not is_below(5_000, -100, 0)
    assert not is_below(5_000, -100, 0, StopOutMode.MONEY)


def test_the_costliest_pending_order_goes_first():
    assert next_order([(1, 500), (2, 900), (3, 900)]) == 2
    assert next_order([(1, 0)]) is None
    assert next_order([]) is None
    assert removal_order([(3, 900), (1, 500), (4, 0), (2, 900)]) == [2, 3, 1]


def test_the_largest_loss_goes_first_then_the_smallest_profit():
    assert liquidation_order([(7, -100), (5, -300), (9, 20), (6, -100)]) == [5, 6, 7, 9]
    assert liquidation_order([(7, 100), (5, 300), (9, 20)]) == [9, 7, 5]
    assert liquidation_order([]) == []


def test_fully_hedged():
    assert is_fully_hedged([(100, 100), (0, 0)])
    assert not is_fully_hedged([(100, 100), (100, 0)])


def test_compensation_of_a_negative_balance():
    assert compensation(-13_798) == 13_798
    assert compensation(500) == 0
    assert credit_write_off(-13_798, 5_000) == -5_000
    assert credit_write_off(500, 5_000) == 0


def test_comments():
    assert stop_out_comment(9_900, 20_000) == "[so 49.50%/99.00/200.00]"
    assert stop_out_comment(99, 200, 0) == "[so 49.50%/99/200]"
    assert mt4_stop_out_comment(-243_000, 180_000) == "[so/a: -135.0% -2430.0/1800.0]"
    assert mt4_stop_out_comment(995, 2_005) == "[so/a: 49.6% 10.0/20.1]"


def test_a_comment_has_31_characters_at_most():
    long = stop_out_comment(123_456_789_01, 987_654_321_00)
    assert len(long) == 31
    assert long.startswith("[so 12.50%/123456789.01/9876543")
