"""Margin call and stop out: when they come, what goes first, and what the server writes.

Money is minor units; levels are percentages times 100, or money in the mode MONEY.
"""

from collections.abc import Iterable
from typing import TypeVar

from fxsocket_server.model.conversion import Ratio, rounded
from fxsocket_server.model.enums import StopOutMode
from fxsocket_server.model.units import POWERS, div_half_away, text_of

COMMENT_CHARS = 31

Ticket = TypeVar("Ticket", int, str)


def margin_level(equity: int, used_margin: int) -> Ratio | None:
    """Equity as a percentage of margin, exact; None without margin."""
    return (equity * 100, used_margin) if used_margin else None


def is_below(
    level: int, equity: int, used_margin: int, mode: StopOutMode = StopOutMode.PERCENT
) -> bool:
    """Whether an account has fallen below a margin call or stop-out level; at it, it has not.

    In MONEY the equity itself is compared. Without margin there is nothing to call or close.
    """
    if not used_margin:
        return False
    if mode is StopOutMode.MONEY:
        return equity < level
    return equity * POWERS[4] < level * used_margin


# --- what goes first -------------------------------------------------------------------------


def removal_order(margins: Iterable[tuple[Ticket, int]]) -> list[Ticket]:
    """Pending orders (ticket, margin) in the order of their removal; those without margin stay.

    That with the largest margin comes first; of equal ones the oldest ticket.
    """
    return [ticket for _, ticket in sorted((-cost, ticket) for ticket, cost in margins if cost > 0)]


def next_order(margins: Iterable[tuple[Ticket, int]]) -> Ticket | None:
    """The pending order (ticket, margin) that a stop out removes first; None if none has margin."""
    return next(iter(removal_order(margins)), None)


def liquidation_order(profits: Iterable[tuple[Ticket, int]]) -> list[Ticket]:
    """Positions (ticket, profit without swap and commission) in the order of their closing.

    That with the largest loss comes first, among winners the smallest profit; of equal ones the
    oldest ticket. A stop out goes on until the level has recovered.
    """
    return [ticket for _, ticket in sorted((profit, ticket) for ticket, profit in profits)]


def is_fully_hedged(volumes: Iterable[tuple[int, int]]) -> bool:
    """Whether every symbol's long and short volume are the same, which a group may spare."""
    return all(long == short for long, short in volumes)


# --- afterwards ------------------------------------------------------------------------------


def compensation(balance: int) -> int:
    """What a SO_COMPENSATION deal pays to bring a negative balance back to 0."""
    return max(-balance, 0)


def credit_write_off(balance: int, credit: int) -> int:
    """What a SO_COMPENSATION_CREDIT deal takes: all credit of a balance that was compensated."""
    return -credit if balance < 0 else 0


# --- comments --------------------------------------------------------------------------------


def stop_out_comment(equity: int, used_margin: int, money_digits: int = 2) -> str:
    """MT5's comment: level, equity and margin, `[so 49.50%/99.00/200.00]`."""
    level = text_of(_percent(equity, used_margin, 2), 2)
    money = "/".join(text_of(amount, money_digits) for amount in (equity, used_margin))
    return f"[so {level}%/{money}]"[:COMMENT_CHARS]


def mt4_stop_out_comment(equity: int, used_margin: int, money_digits: int = 2) -> str:
    """MT4's comment, with one decimal: `[so/a: -135.0% -2430.0/1800.0]`."""
    level = text_of(_percent(equity, used_margin, 1), 1)
    unit = POWERS[money_digits]
    money = (text_of(div_half_away(amount * 10, unit), 1) for amount in (equity, used_margin))
    return f"[so/a: {level}% {'/'.join(money)}]"[:COMMENT_CHARS]


def _percent(equity: int, used_margin: int, digits: int) -> int:
    return rounded(margin_level(equity, used_margin) or (0, 1), digits)
