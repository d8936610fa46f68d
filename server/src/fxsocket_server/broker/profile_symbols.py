"""The symbols of a broker profile: sessions, commissions, groups, and each symbol's rules."""

import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.generator import GeneratorSymbol
from fxsocket_server.broker.toml_reader import Table
from fxsocket_server.model.commission import CommissionRule, CommissionTier
from fxsocket_server.model.enums import (
    CalcMode,
    ChartMode,
    CommissionCharge,
    CommissionEntry,
    CommissionPer,
    CommissionRange,
    CommissionUnit,
    ExecutionMode,
    Filling,
    GtcMode,
    OrderType,
    SwapMode,
    TradeMode,
)
from fxsocket_server.model.leverage import Tier
from fxsocket_server.model.server_time import DAY_MS, ServerZone
from fxsocket_server.model.symbol import WEEKDAYS, Session, SymbolSpec
from fxsocket_server.model.units import DIGITS_MAX, LOT, POWERS, VOLUME_DIGITS

_AMOUNT_MAX = 10**10  # no contract, volume or margin is larger
_LEVEL_MAX = 10**6
_SWAP_MAX = 10**6
_RATE_MAX = 10**4
_YEAR_DAYS = 366
_NO_TRIPLE_DAY = 7
_MOVE_DIGITS = 4
_DAY_ROOT_S = 86_400**0.5  # a day's move is this many times that of a second

# The others have their formulas, but no orders.
_TRADED_MODES = (
    CalcMode.FOREX,
    CalcMode.FUTURES,
    CalcMode.CFD,
    CalcMode.CFDINDEX,
    CalcMode.CFDLEVERAGE,
    CalcMode.FOREX_NO_LEVERAGE,
    CalcMode.EXCH_STOCKS,
    CalcMode.EXCH_FUTURES,
)
_PLACEABLE = tuple(kind for kind in OrderType if kind is not OrderType.CLOSE_BY)
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")

_COMMISSION_KEYS = (
    "rate", "unit", "per", "entry", "charge", "range", "minimum", "maximum", "tiers",
)  # fmt: skip
_GROUP_KEYS = (
    "description", "digits", "contract_size", "currency_base", "currency_profit",
    "currency_margin", "tick_size", "tick_value", "face_value", "volume_min", "volume_max",
    "volume_step", "volume_limit", "stops_level", "freeze_level", "execution_mode",
    "filling_modes", "order_types", "trade_mode", "calc_mode", "margin_initial",
    "margin_maintenance", "margin_hedged", "margin_larger_leg", "margin_rate", "margin_rates",
    "maintenance_rates", "leverage_tiers", "swap_mode", "swap_long", "swap_short",
    "swap_triple_day", "swap_multipliers", "swap_year_days", "spread", "spread_floating",
    "chart_mode",
    "sessions", "quote_sessions", "holidays", "start_date", "expiration_date", "gtc_mode",
    "close_by", "instant_volume_max", "depth", "commissions", "start_bid", "daily_move",
)  # fmt: skip


class Shared(Struct, frozen=True, kw_only=True):
    """What a profile's symbols refer to by name, and what holds for all of them."""

    sessions: dict[str, tuple[Session, ...]]
    commissions: dict[str, CommissionRule]
    holidays: tuple[int, ...]
    zone: ServerZone


def read_symbols(root: Table, zone: ServerZone) -> dict[str, tuple[SymbolSpec, GeneratorSymbol]]:
    """Every symbol of a profile with how its generated prices move; raises ProfileError."""
    shared = Shared(
        sessions={name: _sessions(table) for name, table in root.tables("sessions").items()},
        commissions={name: _rule(table) for name, table in root.tables("commissions").items()},
        holidays=root.days("holidays"),
        zone=zone,
    )
    groups = root.tables("groups")
    for group in groups.values():
        group.allow(_GROUP_KEYS)
    tables = {name: _in_group(table, groups) for name, table in root.tables("symbols").items()}
    if not tables:
        root.fail("symbols", "is missing; add at least one [symbols.NAME]")
    specs = {name: _spec(table, shared) for name, table in tables.items()}
    return {name: (spec, _generator(tables[name], spec)) for name, spec in specs.items()}


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
        tick_value=spec.tick_value // (spec.tick_size * scale),
        stops_level=spec.stops_level * scale,
        freeze_level=spec.freeze_level * scale,
        spread=spec.spread * scale,
        swap_long=spec.swap_long * swap_scale,
        swap_short=spec.swap_short * swap_scale,
    )


# --- shared ----------------------------------------------------------------------------------


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


def _rule(table: Table) -> CommissionRule:
    """A commission: one rate, or `tiers` of [up to, rate], 0 without end."""
    table.allow(_COMMISSION_KEYS)
    unit = table.choice("unit", CommissionUnit, CommissionUnit.MONEY_DEPOSIT)
    per = table.choice("per", CommissionPer, CommissionPer.LOT)
    bounds = [_bound(table, key) for key in ("minimum", "maximum")]
    rows = table.pairs("tiers", VOLUME_DIGITS, 0, _AMOUNT_MAX)
    if not rows:
        rows = ((0, table.fixed("rate", VOLUME_DIGITS, 0, _RATE_MAX)),)
    lower, tiers = 0, []
    for upper, rate in rows:
        if upper and upper <= lower:
            table.fail("tiers", "must rise; write [up to, rate] rows, the last one up to 0")
        tiers.append(
            CommissionTier(
                rate=rate,
                unit=unit,
                per=per,
                lower=lower,
                upper=upper or None,
                minimum=bounds[0],
                maximum=bounds[1],
            )
        )
        lower = upper
    return CommissionRule(
        tiers=tuple(tiers),
        range=table.choice("range", CommissionRange, CommissionRange.VOLUME),
        charge=table.choice("charge", CommissionCharge, CommissionCharge.INSTANT),
        entry=table.choice("entry", CommissionEntry, CommissionEntry.ALL),
    )


def _bound(table: Table, key: str) -> int | None:
    """A bound of a deal's commission, in minor units of a currency with cents."""
    amount = table.fixed(key, 2, -1, _RATE_MAX, -100)
    return None if amount < 0 else amount


# --- symbols ---------------------------------------------------------------------------------


def _in_group(table: Table, groups: Mapping[str, Table]) -> Table:
    table.allow((*_GROUP_KEYS, "group"))
    name = table.text("group", "none")
    if name != "none" and name not in groups:
        table.fail("group", f"no [groups.{name}]; known: {', '.join(groups) or 'none'}")
    return table.falling_back_on(groups.get(name))


def _spec(table: Table, shared: Shared) -> SymbolSpec:
    digits = table.whole("digits", 0, DIGITS_MAX)
    base = table.text("currency_base")
    trade_sessions = _named_sessions(table, "sessions", shared.sessions, ())
    spec = SymbolSpec(
        symbol=table.name,
        description=table.text("description"),
        digits=digits,
        contract_size=_amount(table, "contract_size"),
        currency_base=base,
        currency_profit=table.text("currency_profit"),
        currency_margin=table.text("currency_margin", base),
        tick_size=table.fixed("tick_size", digits, 0, _AMOUNT_MAX, 1),
        tick_value=_amount(table, "tick_value", 0),
        face_value=_amount(table, "face_value", LOT),
        volume_min=_amount(table, "volume_min"),
        volume_max=_amount(table, "volume_max"),
        volume_step=_amount(table, "volume_step"),
        volume_limit=_amount(table, "volume_limit", 0),
        stops_level=table.whole("stops_level", 0, _LEVEL_MAX, 0),
        freeze_level=table.whole("freeze_level", 0, _LEVEL_MAX, 0),
        execution_mode=table.choice("execution_mode", ExecutionMode, ExecutionMode.MARKET),
        filling_modes=table.choices("filling_modes", Filling, (Filling.FOK, Filling.IOC)),
        order_types=table.choices("order_types", _PLACEABLE, _PLACEABLE),
        trade_mode=table.choice("trade_mode", TradeMode, TradeMode.FULL),
        calc_mode=table.choice("calc_mode", _TRADED_MODES),
        spread=table.whole("spread", 0, _LEVEL_MAX, 0),
        spread_floating=table.flag("spread_floating", True),
        chart_mode=table.choice("chart_mode", ChartMode, ChartMode.BID),
        quote_sessions=_named_sessions(table, "quote_sessions", shared.sessions, trade_sessions),
        trade_sessions=trade_sessions,
        holidays=tuple(sorted({*shared.holidays, *table.days("holidays")})),
        gtc_mode=table.choice("gtc_mode", GtcMode, GtcMode.GTC),
        close_by=table.flag("close_by", True),
        instant_volume_max=_amount(table, "instant_volume_max", 0),
        depth=_amount(table, "depth", 0),
        commissions=_named_rules(table, shared.commissions),
        start_ms=_midnight(table, "start_date", shared.zone),
        expiration_ms=_midnight(table, "expiration_date", shared.zone),
    )
    spec = _with_swaps(table, _with_margins(table, spec))
    _check_amounts(table, spec)
    return spec


def _with_margins(table: Table, spec: SymbolSpec) -> SymbolSpec:
    tiers = table.pairs("leverage_tiers", VOLUME_DIGITS, 0, _AMOUNT_MAX)
    return replace(
        spec,
        margin_initial=_amount(table, "margin_initial", 0),
        margin_maintenance=_amount(table, "margin_maintenance", 0),
        margin_hedged=_amount(table, "margin_hedged", 0),
        margin_larger_leg=table.flag("margin_larger_leg", False),
        margin_rate=_amount(table, "margin_rate", LOT),
        margin_rates=_rates(table, "margin_rates", len(_PLACEABLE)),
        maintenance_rates=_rates(table, "maintenance_rates", 2),
        leverage_tiers=tuple(Tier(upper or None, factor) for upper, factor in tiers),
    )


def _with_swaps(table: Table, spec: SymbolSpec) -> SymbolSpec:
    return replace(
        spec,
        swap_mode=table.choice("swap_mode", SwapMode, SwapMode.DISABLED),
        swap_long=table.fixed("swap_long", VOLUME_DIGITS, -_SWAP_MAX, _SWAP_MAX, 0),
        swap_short=table.fixed("swap_short", VOLUME_DIGITS, -_SWAP_MAX, _SWAP_MAX, 0),
        swap_triple_day=_triple_day(table),
        swap_multipliers=_rates(table, "swap_multipliers", len(WEEKDAYS)),
        swap_year_days=table.whole("swap_year_days", 1, _YEAR_DAYS, 360),
    )


def _rates(table: Table, key: str, count: int) -> tuple[int, ...]:
    """So many numbers or none."""
    rates = table.numbers(key, VOLUME_DIGITS, 0, _RATE_MAX)
    if rates and len(rates) != count:
        table.fail(key, f"must be {count} numbers, is {len(rates)}")
    return rates


def _midnight(table: Table, key: str, zone: ServerZone) -> int | None:
    """The server midnight that begins a date, in UTC milliseconds."""
    day = table.day(key)
    return None if day is None else zone.to_utc_ms(day * DAY_MS)


def _named_rules(table: Table, rules: Mapping[str, CommissionRule]) -> tuple[CommissionRule, ...]:
    names = table.texts("commissions")
    for name in names:
        if name not in rules:
            known = ", ".join(rules) or "none"
            table.fail("commissions", f"no [commissions.{name}]; known: {known}")
    return tuple(rules[name] for name in names)


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
