"""A key's trade limits as the API carries them, and as the risk rules that bind it."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.keys.ports import RuleTexts
from fxsocket_server.gateway.risk.rules import RiskRules, RuleError, rules_of


class KeyLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The risk rules of a key (docs/how-to/limit-risk.md); null bounds nothing."""

    max_order_volume: float | None = None
    max_open_volume: float | None = None
    symbols: str | None = None
    hours: str | None = None
    hours_zone: Literal["server", "utc"] | None = None
    orders_per_minute: int | None = None
    max_daily_loss: str | None = None
    max_drawdown: str | None = None
    on_loss: Literal["refuse", "flatten"] | None = None
    reduce_only: bool | None = None


def texts_of(limits: KeyLimits | None | UnsetType) -> RuleTexts | None:
    """Limits as rule texts, None when they were left out; raises `validation_error`."""
    if limits is UNSET:
        return None
    given = {} if limits is None else asdict(limits)
    texts = {name: _text(value) for name, value in given.items() if value is not None}
    for name, text in texts.items():
        try:
            rules_of({name: text})
        except RuleError as error:
            raise Problem("validation_error", str(error), pointer=f"/limits/{name}") from None
    return texts


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def limits_of(texts: RuleTexts) -> KeyLimits:
    """Rule texts as limits."""
    return KeyLimits(**{name: _READ.get(name, str)(text) for name, text in texts.items()})


_READ: dict[str, Callable[[str], Any]] = {
    "max_order_volume": float,
    "max_open_volume": float,
    "orders_per_minute": int,
    "reduce_only": lambda text: text == "true",
}


def looser(wanted: RiskRules, own: RiskRules) -> str | None:
    """The first rule that binds `wanted` less than `own`, or None."""
    for name in ("max_order_volume", "max_open_volume", "orders_per_minute"):
        bound, asked = getattr(own, name), getattr(wanted, name)
        if bound is not None and (asked is None or asked > bound):
            return name
    for name in ("max_daily_loss", "max_drawdown"):
        bound, asked = getattr(own, name), getattr(wanted, name)
        if bound is None:
            continue
        # A percentage and an amount cannot be told apart without an account.
        if asked is None or asked.is_percent != bound.is_percent or asked.value > bound.value:
            return name
    return _looser_word(wanted, own)


def _looser_word(wanted: RiskRules, own: RiskRules) -> str | None:
    if own.symbols and wanted.symbols != own.symbols:
        return "symbols"
    if own.hours and wanted.hours != own.hours:
        return "hours"
    if own.hours and wanted.hours_zone != own.hours_zone:
        return "hours_zone"
    if own.on_loss == "flatten" and wanted.on_loss != "flatten":
        return "on_loss"
    return "reduce_only" if own.reduce_only and not wanted.reduce_only else None
