"""The spec of an MT5 report: what it does not print, as the arithmetic takes it.

Contract, calculation mode, swap rates, commission, and rates that convert money: numbers as people
write them, names or MetaTrader's numbers for modes.
"""

from pathlib import Path
from typing import Any

from fxsocket_server.model.commission import CommissionRule, CommissionTier
from fxsocket_server.model.conversion import ONE, Ratio, currency_digits
from fxsocket_server.model.enums import (
    CalcMode,
    CommissionPer,
    CommissionUnit,
    DealEntry,
    Side,
    SwapMode,
)
from fxsocket_server.model.profit import tick_ratio
from fxsocket_server.model.swap import NO_TRIPLE_DAY, weekday_multipliers
from fxsocket_server.model.symbol import WEEKDAYS
from fxsocket_server.model.units import LOT, VOLUME_DIGITS
from quotes import NamedRate, codes, cross_rate
from tables import Record, Row, TableError, read_json

_COMMISSIONS = {
    "per_lot": (CommissionUnit.MONEY_DEPOSIT, CommissionPer.LOT),
    "per_deal": (CommissionUnit.MONEY_DEPOSIT, CommissionPer.DEAL),
    "percent": (CommissionUnit.PERCENT, CommissionPer.LOT),
}


class Symbol:
    """What the spec says of one symbol, as the arithmetic takes it."""

    def __init__(self, record: Record, rates: list[NamedRate]) -> None:
        self.record = record
        self.rates = rates
        self.name = record.text("symbol")
        pair = codes(self.name) or ("", "")
        self.deposit = record.text("deposit_currency").upper()
        self.profit_currency = record.text("profit_currency", pair[1] or None).upper()
        self.base_currency = record.text("base_currency", pair[0] or self.profit_currency).upper()
        self.margin_currency = record.text("margin_currency", self.base_currency).upper()
        self.digits = record.fixed("digits", 0)
        self.contract_size = record.fixed("contract_size", VOLUME_DIGITS)
        self.calc_mode = record.choice("calc_mode", CalcMode)
        self.tick_ratio = self._tick_ratio()
        self.swap_mode = record.choice("swap_mode", SwapMode, SwapMode.DISABLED)
        self.multipliers = self._multipliers()
        self.commissions = {
            entry: self._commission(name)
            for entry, name in ((DealEntry.IN, "in"), (DealEntry.OUT, "out"))
        }
        if record.find("server_midnight_rollover") is False:
            raise record.fail("server_midnight_rollover", "must be true: nights end at midnight")

    @property
    def money_digits(self) -> int:
        """Digits of the deposit currency."""
        return currency_digits(self.deposit)

    def _tick_ratio(self) -> Ratio:
        if self.record.find("tick_value") is None:
            return ONE
        size = self.record.fixed("tick_size", self.digits, 1)
        return tick_ratio(self.record.fixed("tick_value", VOLUME_DIGITS), size, self.digits)

    def _multipliers(self) -> tuple[int, ...]:
        listed = self.record.find("swap_days", "swap_multipliers")
        if listed is not None:
            if not isinstance(listed, list) or len(listed) != len(WEEKDAYS):
                raise self.record.fail("swap_days", "must be seven numbers, Sunday first")
            return tuple(int(value * LOT) for value in listed)
        day = self.record.find("swap_triple_day")
        if isinstance(day, int) and not isinstance(day, bool) and 0 <= day <= NO_TRIPLE_DAY:
            return weekday_multipliers(day)
        name = str(day or "wednesday").lower()
        if name in WEEKDAYS:
            return weekday_multipliers(WEEKDAYS.index(name))
        if name in ("none", "disabled"):
            return weekday_multipliers(NO_TRIPLE_DAY)
        raise self.record.fail("swap_triple_day", f"{day!r} is no weekday, nor NONE")

    def _commission(self, entry: str) -> CommissionRule:
        """Per lot, per deal and percent of the value, for deals in or out; what is absent is 0."""
        for kind, (unit, per) in _COMMISSIONS.items():
            both = self.record.fixed(f"commission_{kind}", VOLUME_DIGITS, 0)
            rate = abs(self.record.fixed(f"commission_{kind}_{entry}", VOLUME_DIGITS, both))
            if rate:
                return CommissionRule(tiers=(CommissionTier(rate=rate, unit=unit, per=per),))
        return CommissionRule(tiers=())

    def swap_rate(self, side: Side) -> int:
        """What a night costs in the units of the swap mode; 0 without swaps."""
        if self.swap_mode is SwapMode.DISABLED:
            return 0
        return self.record.fixed("swap_long" if side is Side.BUY else "swap_short", VOLUME_DIGITS)

    def rate(self, currency: str, at_ask: bool, what: str) -> Ratio:
        """From a currency to the deposit currency, by the spec's rates."""
        if currency == self.deposit:
            return ONE
        rate = cross_rate(self.rates, currency, self.deposit, at_ask=at_ask, traded=self.name)
        if rate is None:
            missing = f"no rate from {currency} to {self.deposit}, which {what} need"
            example = f'"rates": {{"{self.deposit}{currency}": ...}}'
            raise self.record.fail("rates", f"{missing}; add {example}")
        return rate


class Spec:
    """The spec of a report: one symbol, or several under `symbols`; `rates` may convert money."""

    def __init__(self, record: Record) -> None:
        self.record = record
        rates = [_named_rate(record, *item) for item in (record.find("rates") or {}).items()]
        listed = record.find("symbols")
        parts = [listed] if isinstance(listed, dict) and "symbol" in listed else listed
        if isinstance(parts, dict):
            parts = [{"symbol": name, **values} for name, values in parts.items()]
        common = {key: value for key, value in record.values.items() if key != "symbols"}
        records = [Record(record.place, {**common, **part}) for part in parts or [{}]]
        self.symbols = {symbol.name: symbol for symbol in (Symbol(one, rates) for one in records)}
        self.money_digits = next(iter(self.symbols.values())).money_digits

    def of(self, row: Row) -> Symbol:
        """The symbol of a trip; a column that is missing or empty means the only one."""
        name = row.cells.get("symbol", "").strip()
        if not name and len(self.symbols) == 1:
            return next(iter(self.symbols.values()))
        if name not in self.symbols:
            known = ", ".join(self.symbols)
            raise row.fail("symbol", f"{name or 'nothing'} is not in the spec, which has {known}")
        return self.symbols[name]


def read_spec(path: Path) -> Spec:
    """The spec beside a report."""
    if not path.is_file():
        raise TableError(f"{path}: no such file; a report's contract and rates are read from it")
    values = read_json(path)
    if not isinstance(values, dict):
        raise TableError(f"{path}: must be an object {{...}}")
    return Spec(Record(str(path), values))


def _named_rate(record: Record, name: str, price: Any) -> NamedRate:
    try:
        return NamedRate(name, price)
    except (TypeError, ValueError, KeyError, IndexError):
        problem = f"{name}: {price!r} is neither a price nor a bid and ask"
        raise record.fail("rates", problem) from None
