"""Whether an order may open: one rule after another, each refusal with its figures."""

from collections.abc import Callable

from msgspec import Struct

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.risk.rules import Loss, RiskRules, in_group
from fxsocket_server.gateway.risk.state import RiskState
from fxsocket_server.model.sessions import is_open
from fxsocket_server.model.units import lots_text, text_of


class Opening(Struct, frozen=True, kw_only=True):
    """What an order would open, and how the account stands: volumes 1e-8 lots, money minor units.

    `lately` says how many orders opened within the last minute.
    """

    symbol: str
    added: int
    open_volume: int
    utc_ms: int
    server_ms: int
    lately: int
    equity: int
    currency: str
    money_digits: int


def check_opening(rules: RiskRules, code: str, state: RiskState, opening: Opening) -> None:
    """Raise `code` for the first rule that an opening breaks; the detail has the figures."""
    for name, check in _CHECKS.items():
        why = check(rules, state, opening)
        if why is not None:
            raise Problem(code, f"{name}: {why}", pointer=_FIELDS.get(name))


def broken_loss(rules: RiskRules, state: RiskState, opening: Opening) -> str | None:
    """The rule of losses that an account has broken, with its figures, or None."""
    for name in ("max_daily_loss", "max_drawdown"):
        why = _CHECKS[name](rules, state, opening)
        if why is not None:
            return f"{name}: {why}"
    return None


def _reduce_only(rules: RiskRules, _state: RiskState, opening: Opening) -> str | None:
    if not rules.reduce_only:
        return None
    return f"only closing is allowed, this order adds {lots_text(opening.added)} lots"


def _symbols(rules: RiskRules, _state: RiskState, opening: Opening) -> str | None:
    if not rules.symbols or in_group(opening.symbol, rules.symbols):
        return None
    return f"{opening.symbol} is not in {','.join(rules.symbols)}"


def _hours(rules: RiskRules, _state: RiskState, opening: Opening) -> str | None:
    now = opening.utc_ms if rules.hours_zone == "utc" else opening.server_ms
    if is_open(rules.hours, now):
        return None
    minute = now // 60_000 % 1_440
    return (
        f"it is {_WEEKDAYS[(now // 86_400_000 + 4) % 7]} {minute // 60:02d}:{minute % 60:02d} "
        f"{rules.hours_zone} time, outside the hours of the rule"
    )


def _order_volume(rules: RiskRules, _state: RiskState, opening: Opening) -> str | None:
    most = rules.max_order_volume
    if most is None or opening.added <= most:
        return None
    return f"this order adds {lots_text(opening.added)} lots, the rule allows {lots_text(most)}"


def _open_volume(rules: RiskRules, _state: RiskState, opening: Opening) -> str | None:
    most = rules.max_open_volume
    if most is None or opening.open_volume + opening.added <= most:
        return None
    return (
        f"{lots_text(opening.open_volume)} lots are open or pending, this order adds "
        f"{lots_text(opening.added)}, the rule allows {lots_text(most)}"
    )


def _per_minute(rules: RiskRules, _state: RiskState, opening: Opening) -> str | None:
    most = rules.orders_per_minute
    if most is None or opening.lately < most:
        return None
    return f"{opening.lately} orders opened within the last minute, the rule allows {most}"


def _daily_loss(rules: RiskRules, state: RiskState, opening: Opening) -> str | None:
    if rules.max_daily_loss is None or state.day is None:
        return None
    return _lost(rules.max_daily_loss, state.day_equity, opening, "since the server's midnight")


def _drawdown(rules: RiskRules, state: RiskState, opening: Opening) -> str | None:
    if rules.max_drawdown is None or state.peak_equity is None:
        return None
    return _lost(rules.max_drawdown, state.peak_equity, opening, "from its highest")


def _lost(loss: Loss, base: int, opening: Opening, since: str) -> str | None:
    lost, most = base - opening.equity, loss.minor_units(base, opening.money_digits)
    if lost < most:
        return None
    digits, currency = opening.money_digits, opening.currency
    return (
        f"equity has fallen {text_of(lost, digits)} {currency} {since}, "
        f"the rule allows {text_of(most, digits)}"
    )


_Check = Callable[[RiskRules, RiskState, Opening], str | None]
_CHECKS: dict[str, _Check] = {
    "reduce_only": _reduce_only,
    "symbols": _symbols,
    "hours": _hours,
    "max_order_volume": _order_volume,
    "max_open_volume": _open_volume,
    "orders_per_minute": _per_minute,
    "max_daily_loss": _daily_loss,
    "max_drawdown": _drawdown,
}
_FIELDS = {"symbols": "/symbol", "max_order_volume": "/volume", "max_open_volume": "/volume"}
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
