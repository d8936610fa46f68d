"""Risk rules as people write them and as they are checked.

    max_order_volume=0.5            lots that one order may add
    max_open_volume=2               lots that may be open or on their way in the account
    symbols=*USD*,!XAU*             MetaTrader's group masks, tried in order
    hours=Mon-Fri 08:00-17:00; Sun 22:00-24:00
    hours_zone=server               or utc
    orders_per_minute=30
    max_daily_loss=500              or 5%: of the equity at the server's midnight
    max_drawdown=10%                or an amount: from the highest equity
    on_loss=refuse                  or flatten: close and cancel everything, once
    reduce_only=true

Volumes are 1e-8 lots, amounts the account's currency.
"""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.model.symbol import WEEKDAYS, Session
from fxsocket_server.model.units import fixed_of, volume_of

_DAYS = {day[:3]: number for number, day in enumerate(WEEKDAYS)}
_DAY_MINUTES = 1_440


class RuleError(Exception):
    """A rule that cannot be: the text names it and the fix."""


class Loss(Struct, frozen=True):
    """How much may be lost: an amount of the account's currency, or a part of what there was."""

    value: float
    is_percent: bool

    def minor_units(self, base: int, digits: int) -> int:
        """The loss in minor units, of `base` minor units."""
        if self.is_percent:
            return int(max(base, 0) * self.value / 100)
        return fixed_of(self.value, digits)


class RiskRules(Struct, frozen=True, kw_only=True):
    """The rules of one account or one key; None and empty bound nothing."""

    max_order_volume: int | None = None
    max_open_volume: int | None = None
    symbols: tuple[str, ...] = ()
    hours: tuple[Session, ...] = ()
    hours_zone: str = "server"
    orders_per_minute: int | None = None
    max_daily_loss: Loss | None = None
    max_drawdown: Loss | None = None
    on_loss: str = "refuse"
    reduce_only: bool = False

    @property
    def watch_equity(self) -> bool:
        """Whether a rule depends on what the account has won or lost."""
        return self.max_daily_loss is not None or self.max_drawdown is not None


NO_RULES = RiskRules()


def rules_of(texts: Mapping[str, str]) -> RiskRules:
    """Rules from their texts by name; raises RuleError for the first that cannot be."""
    read: dict[str, Any] = {}
    for name, text in texts.items():
        reader = _READERS.get(name)
        if reader is None:
            raise RuleError(f"{name[:64]!r} is no rule; there are {', '.join(_READERS)}")
        try:
            read[name] = reader(text.strip())
        except ValueError as error:
            raise RuleError(f"{name}={text[:64]}: {error}") from None
    return RiskRules(**read)


def in_group(symbol: str, masks: tuple[str, ...]) -> bool:
    """MetaTrader's group rule: masks are tried in order, `!` takes out again."""
    inside = False
    for mask in masks:
        if fnmatchcase(symbol, mask.removeprefix("!")):
            inside = not mask.startswith("!")
    return inside


# --- reading ---------------------------------------------------------------------------------


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and 0 < value < limits.NUMBER_MAX):
        raise ValueError("give a number above 0, such as 0.5")
    return value


def _volume(text: str) -> int:
    volume = volume_of(_number(text))
    if volume == 0:
        raise ValueError("give lots above 0, such as 0.5")
    return volume


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= limits.RISK_ORDERS_PER_MINUTE):
        raise ValueError(f"give a whole number from 1 to {limits.RISK_ORDERS_PER_MINUTE}")
    return int(text)


def _loss(text: str) -> Loss:
    if not text.endswith("%"):
        return Loss(_number(text), False)
    share = _number(text.removesuffix("%"))
    if share > 100:
        raise ValueError("give at most 100%")
    return Loss(share, True)


def _masks(text: str) -> tuple[str, ...]:
    masks = tuple(mask.strip() for mask in text.split(","))
    if "" in masks or "!" in masks:
        raise ValueError("give masks separated by commas, such as *USD*,!XAU*")
    if all(mask.startswith("!") for mask in masks):
        raise ValueError("only takes out; begin with what is allowed, such as *,!XAU*")
    return masks


def _flag(text: str) -> bool:
    return _one_of(text, "true", "false") == "true"


def _one_of(text: str, *choices: str) -> str:
    if text not in choices:
        raise ValueError(f"give {' or '.join(choices)}")
    return text


def _hours(text: str) -> tuple[Session, ...]:
    spans = [_span(part.split()) for part in text.split(";") if part.strip()]
    if not spans:
        raise ValueError("give days and times, such as Mon-Fri 08:00-17:00")
    return tuple(session for span in spans for session in span)


def _span(words: list[str]) -> list[Session]:
    if len(words) != 2:
        raise ValueError("give days and times, such as Mon-Fri 08:00-17:00; Sun 22:00-24:00")
    first, _, last = words[0].partition("-")
    start, end = _day(first), _day(last or first)
    opens, closes = (_minute(time) for time in (words[1] + "-").split("-")[:2])
    if opens >= closes:
        raise ValueError(f"{words[1]} ends before it begins; write two spans across midnight")
    days = range(start, start + (end - start) % 7 + 1)
    return [Session(day % 7, opens, closes) for day in days]


def _day(text: str) -> int:
    if text.lower() not in _DAYS:
        raise ValueError(f"{text[:16]!r} is no day; write {' '.join(d.title() for d in _DAYS)}")
    return _DAYS[text.lower()]


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    if len(hours) == 2 and len(minutes) == 2 and (hours + minutes).isdigit():
        minute = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and minute <= _DAY_MINUTES:
            return minute
    raise ValueError(f"{text[:16]!r} is no time of day; write 08:00 to 24:00")


_READERS: dict[str, Callable[[str], object]] = {
    "max_order_volume": _volume,
    "max_open_volume": _volume,
    "symbols": _masks,
    "hours": _hours,
    "hours_zone": lambda text: _one_of(text, "server", "utc"),
    "orders_per_minute": _count,
    "max_daily_loss": _loss,
    "max_drawdown": _loss,
    "on_loss": lambda text: _one_of(text, "refuse", "flatten"),
    "reduce_only": _flag,
}
RULE_NAMES = tuple(_READERS)
