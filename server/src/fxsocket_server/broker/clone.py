"""Clone your broker: a profile made of the `symbol_info` objects that its terminal shows.

The dump is JSON: a list of MetaTrader 5 `symbol_info` objects (`mt5.symbol_info(name)._asdict()`),
an object of them by name, or `{"account": account_info, "symbols": [...]}`. Errors name the symbol
and the field.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from fxsocket_server.model.enums import (
    CalcMode,
    ExecutionMode,
    Filling,
    GtcMode,
    MarginMode,
    OrderType,
    StopOutMode,
    SwapMode,
    TradeMode,
)
from fxsocket_server.model.server_time import DAY_MS, date_of
from fxsocket_server.model.symbol import WEEKDAYS

_DAY_S = DAY_MS // 1_000
_DAILY_MOVE = "0.5"  # a dump says nothing of volatility

_CALC_MODES = {
    0: CalcMode.FOREX,
    1: CalcMode.FUTURES,
    2: CalcMode.CFD,
    3: CalcMode.CFDINDEX,
    4: CalcMode.CFDLEVERAGE,
    5: CalcMode.FOREX_NO_LEVERAGE,
    32: CalcMode.EXCH_STOCKS,
    33: CalcMode.EXCH_FUTURES,
}
_SWAP_MODES = dict(
    enumerate(
        (
            SwapMode.DISABLED,
            SwapMode.POINTS,
            SwapMode.CURRENCY_SYMBOL,
            SwapMode.CURRENCY_MARGIN,
            SwapMode.CURRENCY_DEPOSIT,
            SwapMode.INTEREST_CURRENT,
            SwapMode.INTEREST_OPEN,
            SwapMode.REOPEN_CURRENT,
            SwapMode.REOPEN_BID,
            SwapMode.CURRENCY_PROFIT,
        )
    )
)
_TRADE_MODES = dict(enumerate(TradeMode))
_EXECUTION_MODES = dict(enumerate(ExecutionMode))
_GTC_MODES = dict(enumerate(GtcMode))
_MARGIN_MODES = {0: MarginMode.NETTING, 1: MarginMode.EXCHANGE, 2: MarginMode.HEDGING}
_STOP_OUT_MODES = {0: StopOutMode.PERCENT, 1: StopOutMode.MONEY}
_TRIPLE_DAYS = {**dict(enumerate(WEEKDAYS)), 7: "none"}
_FILLINGS = {1: Filling.FOK, 2: Filling.IOC, 4: Filling.BOC}
_ORDERS = {
    1: (OrderType.BUY, OrderType.SELL),
    2: (OrderType.BUY_LIMIT, OrderType.SELL_LIMIT),
    4: (OrderType.BUY_STOP, OrderType.SELL_STOP),
    8: (OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT),
}
_CLOSE_BY_FLAG = 64

_ALWAYS = "\n".join(f'{day} = ["00:00-24:00"]' for day in WEEKDAYS)


class CloneError(ValueError):
    """A dump that no profile can be made of: the text names symbol, field and fix."""


def profile_text(dump: str, name: str) -> str:
    """The TOML text of a profile made of a dump in JSON; raises CloneError."""
    try:
        data = json.loads(dump, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise CloneError(f"line {error.lineno}: not valid JSON: {error.msg}") from None
    account, symbols = _parts(data)
    blocks = [_account_block(account, name), f"[sessions.always]\n{_ALWAYS}\n"]
    blocks += [_symbol_block(symbol) for symbol in symbols]
    return "\n".join(blocks)


def _parts(data: Any) -> tuple["_Fields", list["_Fields"]]:
    account: Any = {}
    if isinstance(data, dict) and isinstance(data.get("symbols"), list | dict):
        account, data = data.get("account") or {}, data["symbols"]
    if isinstance(data, dict):
        data = [{"name": key, **value} for key, value in data.items() if isinstance(value, dict)]
    if not isinstance(data, list) or not data:
        raise CloneError("the dump holds no symbols; write a list of symbol_info objects")
    rows = []
    for number, row in enumerate(data, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"]:
            raise CloneError(f"symbol {number}: name: is missing; write symbol_info objects")
        rows.append(_Fields(row["name"], row))
    return _Fields("account", account if isinstance(account, dict) else {}), rows


class _Fields:
    """One object of the dump, read strictly."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self._values = values

    def fail(self, field: str, message: str) -> NoReturn:
        raise CloneError(f"{self.name}: {field}: {message}")

    def text(self, field: str, default: str | None = None) -> str:
        value = self._values.get(field) or default
        if value is None:
            self.fail(field, "is missing; dump the whole symbol_info")
        if not isinstance(value, str):
            self.fail(field, f"must be text, is {value}")
        return json.dumps(value, ensure_ascii=False)

    def number(self, field: str, default: int | None = None) -> Decimal:
        value = self._values.get(field, default)
        if value is None:
            self.fail(field, "is missing; dump the whole symbol_info")
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.fail(field, f"must be a number, is {value!r}")
        return Decimal(value)

    def flag(self, field: str, default: bool) -> str:
        value = self._values.get(field, default)
        if value not in (0, 1):
            self.fail(field, f"must be true or false, is {value!r}")
        return "true" if value else "false"

    def whole(self, field: str, default: int | None = None) -> int:
        value = self.number(field, default)
        if value != int(value):
            self.fail(field, f"must be a whole number, is {value}")
        return int(value)

    def choice(self, field: str, choices: Mapping[int, str], default: int | None = None) -> str:
        value = self.whole(field, default)
        if value not in choices:
            known = ", ".join(f"{key} {word}" for key, word in choices.items())
            self.fail(field, f"{value} is not simulated; known: {known}")
        return f'"{choices[value]}"'

    def flags(self, field: str, choices: Mapping[int, Any], default: int) -> list[Any]:
        value = self.whole(field, default)
        return [choice for flag, choice in choices.items() if value & flag]


def _plain(value: Decimal) -> str:
    """A number as TOML writes it, without binary noise and exponents."""
    text = f"{value.quantize(Decimal('1e-8')):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- blocks ----------------------------------------------------------------------------------


def _account_block(account: _Fields, name: str) -> str:
    rows = {
        "name": json.dumps(name),
        "company": account.text("company", "Cloned broker"),
        "server": account.text("server", "Cloned-Server"),
        "currency": account.text("currency", "USD"),
        "leverage": str(account.whole("leverage", 100)),
        "margin_mode": account.choice("margin_mode", _MARGIN_MODES, 2),
        "stop_out_mode": account.choice("margin_so_mode", _STOP_OUT_MODES, 0),
        "margin_call_level": _plain(account.number("margin_so_call", 100)),
        "stop_out_level": _plain(account.number("margin_so_so", 50)),
        "limit_orders": str(account.whole("limit_orders", 0)),
        "fifo_close": account.flag("fifo_close", False),
    }
    note = "# Made of a real broker's symbols; sessions, commission and daily_move are to be set.\n"
    return note + _lines(rows)


def _symbol_block(symbol: _Fields) -> str:
    digits = symbol.whole("digits")
    rows: dict[str, str] = {
        "description": symbol.text("description", symbol.name),
        "digits": str(digits),
        "contract_size": _plain(symbol.number("trade_contract_size")),
        "currency_base": symbol.text("currency_base"),
        "currency_profit": symbol.text("currency_profit"),
        "currency_margin": symbol.text("currency_margin"),
        **_trading(symbol),
        **_money(symbol),
        "spread": str(max(symbol.whole("spread", 0), 1)),
        "spread_floating": symbol.flag("spread_float", True),
        "chart_mode": symbol.choice("chart_mode", {0: "BID", 1: "LAST"}, 0),
        "sessions": '"always"',
        **_dates(symbol),
        "start_bid": _plain(_start_bid(symbol, digits)),
        "daily_move": _DAILY_MOVE,
    }
    return f"[symbols.{json.dumps(symbol.name, ensure_ascii=False)}]\n" + _lines(rows)


def _trading(symbol: _Fields) -> dict[str, str]:
    fillings = symbol.flags("filling_mode", _FILLINGS, 1) or [Filling.FOK]
    kinds = [kind for pair in symbol.flags("order_mode", _ORDERS, 127) for kind in pair]
    rows: dict[str, Callable[[], str]] = {
        "tick_size": lambda: _plain(symbol.number("trade_tick_size")),
        "volume_min": lambda: _plain(symbol.number("volume_min")),
        "volume_max": lambda: _plain(symbol.number("volume_max")),
        "volume_step": lambda: _plain(symbol.number("volume_step")),
        "volume_limit": lambda: _plain(symbol.number("volume_limit", 0)),
        "stops_level": lambda: str(symbol.whole("trade_stops_level", 0)),
        "freeze_level": lambda: str(symbol.whole("trade_freeze_level", 0)),
        "trade_mode": lambda: symbol.choice("trade_mode", _TRADE_MODES, 4),
        "execution_mode": lambda: symbol.choice("trade_exemode", _EXECUTION_MODES, 2),
        "gtc_mode": lambda: symbol.choice("order_gtc_mode", _GTC_MODES, 0),
    }
    close_by = symbol.whole("order_mode", 127) & _CLOSE_BY_FLAG
    return {key: read() for key, read in rows.items()} | {
        "filling_modes": json.dumps([filling.value for filling in fillings]),
        "order_types": json.dumps([kind.value for kind in kinds]),
        "close_by": "true" if close_by else "false",
    }


def _money(symbol: _Fields) -> dict[str, str]:
    rows = {
        "calc_mode": symbol.choice("trade_calc_mode", _CALC_MODES),
        "margin_initial": _plain(symbol.number("margin_initial", 0)),
        "margin_maintenance": _plain(symbol.number("margin_maintenance", 0)),
        "margin_hedged": _plain(symbol.number("margin_hedged", 0)),
        "margin_larger_leg": symbol.flag("margin_hedged_use_leg", False),
        "swap_mode": symbol.choice("swap_mode", _SWAP_MODES, 0),
        "swap_long": _plain(symbol.number("swap_long", 0)),
        "swap_short": _plain(symbol.number("swap_short", 0)),
        "swap_triple_day": symbol.choice("swap_rollover3days", _TRIPLE_DAYS, 3),
    }
    if "FUTURES" in rows["calc_mode"]:
        rows["tick_value"] = _plain(symbol.number("trade_tick_value"))
    return rows


def _dates(symbol: _Fields) -> dict[str, str]:
    rows = {}
    for field, key in (("start_time", "start_date"), ("expiration_time", "expiration_date")):
        if seconds := symbol.whole(field, 0):
            date = date_of(seconds // _DAY_S)
            rows[key] = f'"{date.year:04}-{date.month:02}-{date.day:02}"'
    return rows


def _start_bid(symbol: _Fields, digits: int) -> Decimal:
    """The dump's Bid on the tick size; symbols that were never quoted have none."""
    bid, tick = symbol.number("bid"), symbol.number("trade_tick_size")
    if bid <= 0:
        symbol.fail(
            "bid", "must be above 0; dump while the market is open, or leave the symbol out"
        )
    if tick <= 0:
        symbol.fail("trade_tick_size", "must be above 0")
    return (bid / tick).to_integral_value() * tick.quantize(Decimal(1).scaleb(-digits))


def _lines(rows: Mapping[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in rows.items())
