"""MetaTrader 5's numbers for the enumerations, as its API, its files and symbol dumps give them.

Members are numbered from 0 in the order in which they are defined, unless a table here says
otherwise.
"""

from enum import StrEnum
from typing import TypeVar

from fxsocket_server.model.enums import Action, CalcMode, MarginMode

E = TypeVar("E", bound=StrEnum)

_NUMBERS: dict[type[StrEnum], tuple[int, ...]] = {
    Action: (1, 5, 6, 7, 8, 10),
    CalcMode: (0, 1, 2, 3, 4, 5, 32, 33, 34, 35, 36, 37, 38, 39, 64),
    MarginMode: (0, 2, 1),
}


def _numbers(kind: type[E]) -> dict[int, E]:
    members = tuple(kind)
    return dict(zip(_NUMBERS.get(kind, range(len(members))), members, strict=True))


def mt5_number(member: StrEnum) -> int:
    """The number of a member: 4 of CalcMode.CFDLEVERAGE."""
    kind = type(member)
    return next(number for number, other in _numbers(kind).items() if other is member)


def from_mt5(kind: type[E], number: int) -> E:
    """The member of a number; ValueError lists those there are."""
    members = _numbers(kind)
    if number not in members:
        known = ", ".join(f"{known} {member}" for known, member in members.items())
        raise ValueError(f"{number} is no {kind.__name__}; known are {known}")
    return members[number]
