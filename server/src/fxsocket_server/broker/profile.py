"""A broker profile: the symbols and rules of one simulated broker, read from TOML.

The file has the broker's own keys, `[sessions.NAME]` (a list of "HH:MM-HH:MM" per weekday, server
time), `[groups.NAME]` (keys shared by symbols) and `[symbols.NAME]`. Prices and volumes are written
as people write them; `stops_level`, `freeze_level`, `spread` and swap points are points. Generated
prices begin at `start_bid`; `daily_move` is the standard deviation of a day's change in percent.
"""

import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.generator import GeneratorSymbol
from fxsocket_server.broker.state import AccountTerms
from fxsocket_server.broker.toml_reader import ProfileError, Table, read_toml
from fxsocket_server.model.enums import (
    CalcMode,
    ExecutionMode,
    Filling,
    OrderType,
    SwapMode,
    TradeMode,
)
from fxsocket_server.model.money import currency_digits
from fxsocket_server.model.server_time import ZONES, ServerZone, fixed_zone
from fxsocket_server.model.symbol import WEEKDAYS, Session, SymbolSpec
from fxsocket_server.model.units import DIGITS_MAX, LOT, POWERS, VOLUME_DIGITS

__all__ = ["Profile", "ProfileError", "parse_profile", "with_file_digits"]

_AMOUNT_MAX = 10**10  # no contract, volume or margin is larger
_LEVEL_MAX = 10**6
_SWAP_MAX = 10**6
_LEVERAGE_MAX = 10_000
_NO_TRIPLE_DAY = 7
_MOVE_DIGITS = 4
_DAY_ROOT_S = 86_400**0.5  # a day's move is this many times that of a second

_MARKET_MODES = (ExecutionMode.MARKET,)
_PLACEABLE = tuple(kind for kind in OrderType if kind is not OrderType.CLOSE_BY)
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
_OFFSET = re.compile(r"UTC([+-])(0\d|1[0-4]):([0-5]\d)")

_PROFILE_KEYS = (
    "name", "company", "server", "currency", "leverage", "margin_call_level", "stop_out_level",
    "limit_orders", "zone", "sessions", "groups", "symbols",
)  # fmt: skip
_GROUP_KEYS = (
    "description", "digits", "contract_size", "currency_base", "currency_profit",
    "currency_margin", "tick_size", "volume_min", "volume_max", "volume_step", "volume_limit",
    "stops_level", "freeze_level", "execution_mode", "filling_modes", "order_types", "trade_mode",
    "calc_mode", "margin_initial", "margin_hedged", "margin_rate", "swap_mode", "swap_long",
    "swap_short", "swap_triple_day", "spread", "spread_floating", "sessions", "quote_sessions",
    "start_bid", "daily_move",
)  # fmt: skip


class Profile(Struct, frozen=True, kw_only=True):
    """One simulated broker; levels are percentages times 100.

    `generators` says how each symbol's generated prices begin and move.
    """

    name: str
    company: str
    server: str
    currency: str
    leverage: int
    margin_call_level: int
    stop_out_level: int
    limit_orders: int
    zone: ServerZone
    symbols: dict[str, SymbolSpec]
    generators: dict[str, GeneratorSymbol]

    def terms(
        self,
        *,
        currency: str | None = None,
        leverage: int | None = None,
        sessions_apply: bool = True,
    ) -> AccountTerms:
        """The terms of an account at this broker, in its own currency and leverage if given."""
        chosen = currency or self.currency
        return AccountTerms(
            currency=chosen,
            money_digits=currency_digits(chosen),
            leverage=leverage or self.leverage,
            stop_out_level=self.stop_out_level,
            margin_call_level=self.margin_call_level,
            limit_orders=self.limit_orders,
            zone=self.zone,
            sessions_apply=sessions_apply,
        )


def parse_profile(text: str, source: str) -> Profile:
    """Read a profile; `source` names the file in errors. Raises ProfileError."""
    root = read_toml(text, source)
    root.allow(_PROFILE_KEYS)
    sessions = {name: _sessions(table) for name, table in root.tables("sessions").items()}
    groups = root.tables("groups")
    for group in groups.values():
        group.allow(_GROUP_KEYS)
    tables = {name: _in_group(table, groups) for name, table in root.tables("symbols").items()}
    if not tables:
        root.fail("symbols", "is missing; add at least one [symbols.NAME]")
    symbols = {name: _spec(table, sessions) for name, table in tables.items()}
    return Profile(
        name=root.text("name"),
        company=root.text("company"),
        server=root.text("server"),
        currency=root.text("currency"),
        leverage=root.whole("leverage", 1, _LEVERAGE_MAX),
        margin_call_level=root.fixed("margin_call_level", 2, 0, 1_000),
        stop_out_level=root.fixed("stop_out_level", 2, 0, 1_000),
        limit_orders=root.whole("limit_orders", 0, _LEVEL_MAX, 0),
        zone=_zone(root),
        symbols=symbols,
        generators={name: _generator(tables[name], spec) for name, spec in symbols.items()},
    )


def with_file_digits(spec: SymbolSpec, digits: int) -> SymbolSpec:
    """The symbol with the digits of recorded prices, if those are more.

    Levels, spread and swap points keep their size in money; the tick is one point, since the
    recorded prices stand on points.
    """
    if digits <= spec.digits:
        return spec
    if digits > DIGITS_MAX:
        raise ValueError(f"{spec.symbol}: prices have {digits} digits, at most {DIGITS_MAX}")
    scale = POWERS[digits - spec.digits]
    swap_scale = scale if spec.swap_mode is SwapMode.POINTS else 1
    return replace(
        spec,
        digits=digits,
        tick_size=1,
        stops_level=spec.stops_level * scale,
        freeze_level=spec.freeze_level * scale,
        spread=spec.spread * scale,
        swap_long=spec.swap_long * swap_scale,
        swap_short=spec.swap_short * swap_scale,
    )


# --- broker ----------------------------------------------------------------------------------


def _zone(root: Table) -> ServerZone:
    name = root.text("zone", "New York close + 7 h")
    if name in ZONES:
        return ZONES[name]
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        choices = ", ".join(f'"{zone}"' for zone in ZONES)
        root.fail("zone", f'must be one of {choices} or "UTC+02:00", is {name!r}')
    seconds = int(offset[2]) * 3600 + int(offset[3]) * 60
    return fixed_zone(-seconds if offset[1] == "-" else seconds)


def _sessions(table: Table) -> tuple[Session, ...]:
    table.allow(WEEKDAYS)
    return tuple(
        _session(table, day, number, span)
        for number, day in enumerate(WEEKDAYS)
        for span in table.texts(day)
    )


def _session(table: Table, day: str, number: int, span: str) -> Session:
    start, _, end = span.partition("-")
    first, last = _minutes(start), _minutes(end)
    if first is None or last is None or first >= last:
        table.fail(day, f'must be spans such as "00:05-24:00", from early to late, is {span!r}')
    return Session(number, first, last)


def _minutes(text: str) -> int | None:
    clock = _CLOCK.fullmatch(text.strip())
    minutes = int(clock[1]) * 60 + int(clock[2]) if clock else 1_441
    return minutes if minutes <= 1_440 else None


# --- symbols ---------------------------------------------------------------------------------


def _in_group(table: Table, groups: Mapping[str, Table]) -> Table:
    table.allow((*_GROUP_KEYS, "group"))
    name = table.text("group", "none")
    if name != "none" and name not in groups:
        table.fail("group", f"no [groups.{name}]; known: {', '.join(groups) or 'none'}")
    return table.falling_back_on(groups.get(name))


def _spec(table: Table, sessions: Mapping[str, tuple[Session, ...]]) -> SymbolSpec:
    digits = table.whole("digits", 0, DIGITS_MAX)
    base = table.text("currency_base")
    trade_sessions = _named_sessions(table, "sessions", sessions, ())
    spec = SymbolSpec(
        symbol=table.name,
        description=table.text("description"),
        digits=digits,
        contract_size=_amount(table, "contract_size"),
        currency_base=base,
        currency_profit=table.text("currency_profit"),
        currency_margin=table.text("currency_margin", base),
        tick_size=table.fixed("tick_size", digits, 0, _AMOUNT_MAX, 1),
        volume_min=_amount(table, "volume_min"),
        volume_max=_amount(table, "volume_max"),
        volume_step=_amount(table, "volume_step"),
        volume_limit=_amount(table, "volume_limit", 0),
        stops_level=table.whole("stops_level", 0, _LEVEL_MAX, 0),
        freeze_level=table.whole("freeze_level", 0, _LEVEL_MAX, 0),
        execution_mode=table.choice("execution_mode", _MARKET_MODES, ExecutionMode.MARKET),
        filling_modes=table.choices("filling_modes", Filling, (Filling.FOK, Filling.IOC)),
        order_types=table.choices("order_types", _PLACEABLE, _PLACEABLE),
        trade_mode=table.choice("trade_mode", TradeMode, TradeMode.FULL),
        calc_mode=table.choice("calc_mode", CalcMode),
        margin_initial=_amount(table, "margin_initial", 0),
        margin_hedged=_amount(table, "margin_hedged", 0),
        margin_rate=_amount(table, "margin_rate", LOT),
        swap_mode=table.choice("swap_mode", SwapMode, SwapMode.DISABLED),
        swap_long=table.fixed("swap_long", VOLUME_DIGITS, -_SWAP_MAX, _SWAP_MAX, 0),
        swap_short=table.fixed("swap_short", VOLUME_DIGITS, -_SWAP_MAX, _SWAP_MAX, 0),
        swap_triple_day=_triple_day(table),
        spread=table.whole("spread", 0, _LEVEL_MAX, 0),
        spread_floating=table.flag("spread_floating", True),
        quote_sessions=_named_sessions(table, "quote_sessions", sessions, trade_sessions),
        trade_sessions=trade_sessions,
    )
    _check_amounts(table, spec)
    return spec


def _amount(table: Table, key: str, default: int | None = None) -> int:
    return table.fixed(key, VOLUME_DIGITS, 0, _AMOUNT_MAX, default)


def _check_amounts(table: Table, spec: SymbolSpec) -> None:
    """What each number alone does not tell."""
    for key in ("contract_size", "tick_size", "volume_min", "volume_step"):
        if getattr(spec, key) <= 0:
            table.fail(key, "must be above 0")
    if spec.volume_max < spec.volume_min:
        table.fail("volume_max", "must not be below volume_min")
    for key in ("volume_min", "volume_max"):
        if getattr(spec, key) % spec.volume_step:
            table.fail(key, "must be a multiple of volume_step")


def _triple_day(table: Table) -> int:
    day = table.text("swap_triple_day", "wednesday")
    days = (*WEEKDAYS, "none")
    if day not in days:
        table.fail("swap_triple_day", f"must be one of {', '.join(days)}, is {day!r}")
    return _NO_TRIPLE_DAY if day == "none" else WEEKDAYS.index(day)


def _named_sessions(
    table: Table,
    key: str,
    sessions: Mapping[str, tuple[Session, ...]],
    default: tuple[Session, ...],
) -> tuple[Session, ...]:
    name = table.text(key, "none")
    if name == "none":
        return default
    if name not in sessions:
        table.fail(key, f"no [sessions.{name}]; known: {', '.join(sessions) or 'none'}")
    return sessions[name]


def _generator(table: Table, spec: SymbolSpec) -> GeneratorSymbol:
    bid = table.fixed("start_bid", spec.digits, 0, _AMOUNT_MAX)
    if bid == 0 or bid % spec.tick_size:
        table.fail("start_bid", "must be above 0 and a multiple of tick_size")
    daily_percent = table.fixed("daily_move", _MOVE_DIGITS, 0, 100) / POWERS[_MOVE_DIGITS]
    return GeneratorSymbol(
        symbol=spec.symbol,
        digits=spec.digits,
        bid=bid,
        spread=spec.spread,
        volatility=bid * daily_percent / 100 / _DAY_ROOT_S,
    )
