"""A broker profile: the symbols and rules of one simulated broker, read from TOML.

The file has the broker's own keys, `[sessions.NAME]` (a list of "HH:MM-HH:MM" per weekday, server
time), `[commissions.NAME]`, `[groups.NAME]` (keys shared by symbols) and `[symbols.NAME]`. Prices
and volumes are written as people write them; `stops_level`, `freeze_level`, `spread` and swap
points are points. Generated prices begin at `start_bid`; `daily_move` is the standard deviation of
a day's change in percent.
"""

import re

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.generator import GeneratorSymbol
from fxsocket_server.broker.profile_symbols import read_symbols, with_file_digits
from fxsocket_server.broker.state import AccountTerms
from fxsocket_server.broker.toml_reader import ProfileError, Table, read_toml
from fxsocket_server.model.conversion import currency_digits
from fxsocket_server.model.enums import FreeMarginMode, MarginMode, Platform, StopOutMode
from fxsocket_server.model.server_time import ZONES, ServerZone, fixed_zone
from fxsocket_server.model.symbol import SymbolSpec

__all__ = ["Profile", "ProfileError", "parse_profile", "with_file_digits"]

_LIMIT_MAX = 10**6
_LEVERAGE_MAX = 10_000
_PERCENT_MAX = 1_000
_MONEY_MAX = 10**9
_MINUTES_MAX = 1_440
_DAY_S = 86_400
_OFFSET = re.compile(r"UTC([+-])(0\d|1[0-4]):([0-5]\d)")

_PROFILE_KEYS = (
    "name", "company", "server", "currency", "leverage", "platform", "margin_mode",
    "margin_call_level", "stop_out_level", "stop_out_mode", "free_margin_mode", "limit_orders",
    "limit_positions", "fifo_close", "hedge_prohibited", "negative_balance_protection",
    "hedged_skip_stop_out", "expiration_minutes", "requote_seconds", "quote_age_seconds",
    "day_end_seconds", "zone", "holidays", "sessions", "commissions", "groups", "symbols",
)  # fmt: skip


class Profile(Struct, frozen=True, kw_only=True):
    """One simulated broker; levels are percentages times 100, or money in cents.

    `generators` says how each symbol's generated prices begin and move. `rules` are the terms of
    every account, in the profile's own currency and leverage.
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
    rules: AccountTerms

    def terms(
        self,
        *,
        currency: str | None = None,
        leverage: int | None = None,
        sessions_apply: bool = True,
    ) -> AccountTerms:
        """The terms of an account at this broker, in its own currency and leverage if given."""
        chosen = currency or self.currency
        return replace(
            self.rules,
            currency=chosen,
            money_digits=currency_digits(chosen),
            leverage=leverage or self.leverage,
            sessions_apply=sessions_apply,
        )


def parse_profile(text: str, source: str) -> Profile:
    """Read a profile; `source` names the file in errors. Raises ProfileError."""
    root = read_toml(text, source)
    root.allow(_PROFILE_KEYS)
    zone = _zone(root)
    symbols = read_symbols(root, zone)
    rules = _rules(root, zone)
    return Profile(
        name=root.text("name"),
        company=root.text("company"),
        server=root.text("server"),
        currency=rules.currency,
        leverage=rules.leverage,
        margin_call_level=rules.margin_call_level,
        stop_out_level=rules.stop_out_level,
        limit_orders=rules.limit_orders,
        zone=zone,
        symbols={name: spec for name, (spec, _) in symbols.items()},
        generators={name: generator for name, (_, generator) in symbols.items()},
        rules=rules,
    )


def _rules(root: Table, zone: ServerZone) -> AccountTerms:
    currency = root.text("currency")
    mode = root.choice("stop_out_mode", StopOutMode, StopOutMode.PERCENT)
    level_max = _PERCENT_MAX if mode is StopOutMode.PERCENT else _MONEY_MAX
    terms = AccountTerms(
        currency=currency,
        money_digits=currency_digits(currency),
        leverage=root.whole("leverage", 1, _LEVERAGE_MAX),
        platform=root.choice("platform", Platform, Platform.MT5),
        margin_mode=root.choice("margin_mode", MarginMode, MarginMode.HEDGING),
        margin_call_level=root.fixed("margin_call_level", 2, 0, level_max),
        stop_out_level=root.fixed("stop_out_level", 2, 0, level_max),
        stop_out_mode=mode,
        free_margin_mode=root.choice("free_margin_mode", FreeMarginMode, FreeMarginMode.ALL_PROFIT),
        limit_orders=root.whole("limit_orders", 0, _LIMIT_MAX, 0),
        limit_positions=root.whole("limit_positions", 0, _LIMIT_MAX, 0),
        fifo_close=root.flag("fifo_close", False),
        hedge_prohibited=root.flag("hedge_prohibited", False),
        compensates=root.flag("negative_balance_protection", False),
        hedged_skip_stop_out=root.flag("hedged_skip_stop_out", False),
        expiration_min_ms=root.whole("expiration_minutes", 0, _MINUTES_MAX, 0) * 60_000,
        requote_ms=root.whole("requote_seconds", 0, 60, 3) * 1_000,
        quote_age_ms=root.whole("quote_age_seconds", 0, _DAY_S, 0) * 1_000,
        day_end_ms=root.whole("day_end_seconds", 0, 3_600, 0) * 1_000,
        zone=zone,
    )
    if terms.is_mt4 and not terms.hedges:
        root.fail("margin_mode", "must be HEDGING with platform MT4, which has no netting")
    return terms


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
