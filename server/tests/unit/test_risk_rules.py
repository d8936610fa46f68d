"""Risk rules as text: what they mean, and what a rule that cannot be is told."""

import pytest

from fxsocket_server.gateway.risk.rules import (
    NO_RULES,
    RULE_NAMES,
    Loss,
    RiskRules,
    RuleError,
    in_group,
    rules_of,
)
from fxsocket_server.model.sessions import is_open
from fxsocket_server.model.symbol import Session
from fxsocket_server.model.units import LOT

HOUR_MS = 3_600_000
SUNDAY_MS = 3 * 24 * HOUR_MS  # 1970-01-04


def test_every_rule_is_read() -> None:
    rules = rules_of(
        {
            "max_order_volume": "0.5",
            "max_open_volume": " 2 ",
            "symbols": "*USD*, !XAU*",
            "hours": "Mon-Fri 08:00-17:00; Sun 22:00-24:00",
            "hours_zone": "utc",
            "orders_per_minute": "30",
            "max_daily_loss": "500",
            "max_drawdown": "12.5%",
            "on_loss": "flatten",
            "reduce_only": "true",
        }
    )
    weekdays = tuple(Session(day, 480, 1020) for day in range(1, 6))
    assert rules == RiskRules(
        max_order_volume=LOT // 2,
        max_open_volume=2 * LOT,
        symbols=("*USD*", "!XAU*"),
        hours=(*weekdays, Session(0, 1320, 1440)),
        hours_zone="utc",
        orders_per_minute=30,
        max_daily_loss=Loss(500, False),
        max_drawdown=Loss(12.5, True),
        on_loss="flatten",
        reduce_only=True,
    )
    assert set(RULE_NAMES) == set(RiskRules.__struct_fields__)
    assert rules_of({}) == NO_RULES


@pytest.mark.parametrize(
    ("name", "text", "fix"),
    [
        ("max_order_volume", "0", "above 0"),
        ("max_order_volume", "-1", "above 0"),
        ("max_order_volume", "1e-12", "lots above 0"),
        ("max_open_volume", "nan", "above 0"),
        ("max_open_volume", "1e400", "above 0"),
        ("max_open_volume", "lots", "above 0"),
        ("symbols", "", "separated by commas"),
        ("symbols", "EURUSD,,GBPUSD", "separated by commas"),
        ("symbols", "!XAU*", "begin with what is allowed"),
        ("hours", "", "such as Mon-Fri"),
        ("hours", "Mon", "such as Mon-Fri"),
        ("hours", "Mom 08:00-09:00", "is no day"),
        ("hours", "Mon 8-9", "is no time of day"),
        ("hours", "Mon 08:00-24:01", "is no time of day"),
        ("hours", "Mon 08:61-09:00", "is no time of day"),
        ("hours", "Mon 17:00-08:00", "two spans across midnight"),
        ("hours_zone", "EST", "server or utc"),
        ("orders_per_minute", "0", "from 1 to"),
        ("orders_per_minute", "2.5", "from 1 to"),
        ("orders_per_minute", "²", "from 1 to"),
        ("max_daily_loss", "101%", "at most 100%"),
        ("max_drawdown", "%", "above 0"),
        ("on_loss", "close", "refuse or flatten"),
        ("reduce_only", "yes", "true or false"),
        ("max_orders", "3", "is no rule; there are max_order_volume,"),
    ],
)
def test_a_rule_that_cannot_be_names_itself_and_the_fix(name: str, text: str, fix: str) -> None:
    with pytest.raises(RuleError) as caught:
        rules_of({name: text})
    assert name in str(caught.value)
    assert fix in str(caught.value)


def test_days_may_run_over_the_end_of_the_week() -> None:
    hours = rules_of({"hours": "Fri-Mon 10:00-11:00"}).hours
    opens = [is_open(hours, SUNDAY_MS + (24 * day + 10) * HOUR_MS) for day in range(7)]
    assert opens == [True, True, False, False, False, True, True]
    assert not is_open(hours, SUNDAY_MS + 11 * HOUR_MS)


def test_masks_are_tried_in_order() -> None:
    masks = ("*USD*", "!XAU*", "XAUEUR")
    inside = [s for s in ("EURUSD", "USDJPY", "XAUUSD", "XAUEUR", "EURGBP") if in_group(s, masks)]
    assert inside == ["EURUSD", "USDJPY", "XAUEUR"]


def test_a_loss_is_an_amount_or_a_part() -> None:
    assert Loss(500.005, False).minor_units(1, 2) == 50_001
    assert Loss(5, True).minor_units(1_000_000, 2) == 50_000
    assert Loss(5, True).minor_units(-10, 2) == 0
