"""Round trips of an MT5 strategy tester report, with its deals and its spec."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fxsocket_server.model.commission import CommissionDeal, deal_commission
from fxsocket_server.model.conversion import (
    ONE,
    Ratio,
    converted,
    currency_digits,
    inverse,
    price_ratio,
)
from fxsocket_server.model.enums import CommissionUnit, DealEntry, Side, SwapMode
from fxsocket_server.model.profit import FOREX_MODES, converts_at_ask, lot_value, profit
from fxsocket_server.model.server_time import DAY_MS, days_of
from fxsocket_server.model.swap import accrued, night, rollover_days, swap_currency
from fxsocket_server.model.swap import converts_at_ask as swap_converts_at_ask
from fxsocket_server.model.units import LOT, VOLUME_DIGITS, text_of
from quotes import codes
from replay_spec import Spec, Symbol, read_spec
from tables import Row, TableError, rows

TRIPS = ("side", "volume", "open_time", "open", "close_time", "close", "profit")
DEALS = ("commission", "swap", "profit", "balance")
TRIPS_NAME = re.compile(r"(?P<stem>.*)_trips\.csv(?:\.gz)?")

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_TIME = re.compile(r"(\d{4})[.-](\d\d)[.-](\d\d) (\d\d):(\d\d)(?::(\d\d))?")


@dataclass(frozen=True)
class Figures:
    """What a trip brings, in minor units of the deposit currency."""

    profit: int
    swap: int
    commission_in: int
    commission_out: int


# --- files -----------------------------------------------------------------------------------


def replay_report(path: Path) -> tuple[int, list[str]]:
    """How many round trips a report holds, and what is wrong with those that differ.

    A deal that belongs to no trip counts only when the balance goes wrong with it.
    """
    named = TRIPS_NAME.fullmatch(path.name)
    if named is None:
        raise TableError(f"{path}: is not a *_trips.csv file; its deals and spec are found by it")
    spec = read_spec(path.with_name(f"{named['stem']}_spec.json"))
    deals = rows(_deals_path(path, named["stem"]), DEALS)
    trips = [Trip(row, spec.of(row)) for row in rows(path, TRIPS)]
    if not trips:
        raise TableError(f"{path}: no round trips; the file has a header only")
    wrong: dict[int, list[str]] = defaultdict(list)
    shared = _shared(trip.row.cells.get("in_deal", "") for trip in trips)
    for number, trip in enumerate(trips):
        wrong[number] += trip.misses(shared)
    loose = _follow_balance(deals, trips, wrong, spec)
    misses = ["; ".join(texts) for texts in wrong.values() if texts] + loose
    return len(trips) + len(loose), misses


def _deals_path(path: Path, stem: str) -> Path:
    choices = [path.with_name(f"{stem}_deals.csv{ending}") for ending in (".gz", "")]
    found = [choice for choice in choices if choice.is_file()]
    if not found:
        raise TableError(f"{path}: needs {choices[0].name} beside it, for the running balance")
    return found[0]


def _shared(numbers: Iterable[str]) -> set[str]:
    """Deals that opened more than one trip, which partial closes make of one position."""
    counts = Counter(number for number in numbers if number)
    return {number for number, count in counts.items() if count > 1}


# --- one round trip --------------------------------------------------------------------------


class Trip:
    """A position's way in and out, with what it must have brought."""

    def __init__(self, row: Row, symbol: Symbol) -> None:
        self.row = row
        self.symbol = symbol
        self.volume = row.fixed("volume", VOLUME_DIGITS)
        self.open = row.fixed("open", symbol.digits)
        self.close = row.fixed("close", symbol.digits)
        side = row.text("side").lower()
        if side not in _SIDES:
            raise row.fail("side", f"{side!r} is neither buy nor sell")
        self.side = _SIDES[side]
        self.figures = Figures(
            profit=self._profit(),
            swap=self._swap(),
            commission_in=commission(symbol, DealEntry.IN, self.volume, self.open),
            commission_out=commission(symbol, DealEntry.OUT, self.volume, self.close),
        )

    def misses(self, shared: set[str]) -> list[str]:
        """Each printed figure that differs; columns that are absent are not compared."""
        columns = ["profit", "swap", "commission_out"]
        if self.row.cells.get("in_deal", "") not in shared:
            columns.append("commission_in")
        present = (name for name in columns if self.row.cells.get(name, "").strip())
        digits = self.symbol.money_digits
        return [
            difference
            for name in present
            if (difference := _differs(self.row, name, getattr(self.figures, name), digits))
        ]

    def _profit(self) -> int:
        symbol = self.symbol
        digits = currency_digits(symbol.profit_currency)
        amount = profit(
            symbol.calc_mode,
            self.side,
            self.volume,
            contract_size=symbol.contract_size,
            open_price=self.open,
            close_price=self.close,
            digits=symbol.digits,
            money_digits=digits,
            tick_ratio=symbol.tick_ratio,
            face_value=symbol.record.fixed("face_value", VOLUME_DIGITS, LOT),
        )
        return converted(amount, self._profit_rate(amount), digits, symbol.money_digits)

    def _profit_rate(self, amount: int) -> Ratio:
        """The deal's own close price where the pair is the rate itself, else the spec's rate."""
        symbol = self.symbol
        if codes(symbol.name) == (symbol.deposit, symbol.profit_currency):
            return inverse(price_ratio(self.close, symbol.digits))
        at_ask = converts_at_ask(symbol.calc_mode, self.side, amount)
        return symbol.rate(symbol.profit_currency, at_ask, "profits")

    def _swap(self) -> int:
        days = rollover_days(self._time("open_time"), self._time("close_time"))
        symbol, rate = self.symbol, self.symbol.swap_rate(self.side)
        if not days or not rate:
            return 0
        price, conversion = self._swap_price(), self._swap_rate(rate)

        def one(multiplier: int) -> int:
            return night(
                symbol.swap_mode,
                rate,
                self.volume,
                multiplier=multiplier,
                calc_mode=symbol.calc_mode,
                contract_size=symbol.contract_size,
                digits=symbol.digits,
                price=price,
                tick_ratio=symbol.tick_ratio,
                days_in_year=symbol.record.fixed("swap_year_days", 0, 360),
                conversion=conversion,
                money_digits=symbol.money_digits,
            )

        return accrued(one, days, symbol.multipliers)

    def _swap_price(self) -> Ratio:
        symbol = self.symbol
        if symbol.swap_mode is SwapMode.INTEREST_CURRENT and symbol.calc_mode not in FOREX_MODES:
            raise symbol.record.fail(
                "swap_mode", "INTEREST_CURRENT goes by each night's price, which no report holds"
            )
        return price_ratio(self.open, symbol.digits)

    def _swap_rate(self, rate: int) -> Ratio:
        symbol = self.symbol
        currency = swap_currency(
            symbol.swap_mode,
            symbol.calc_mode,
            base=symbol.base_currency,
            profit=symbol.profit_currency,
            margin=symbol.margin_currency,
            deposit=symbol.deposit,
        )
        at_ask = swap_converts_at_ask(symbol.swap_mode, symbol.calc_mode, self.side, rate)
        return symbol.rate(currency, at_ask, "swaps")

    def _time(self, column: str) -> int:
        """A server time in milliseconds."""
        text = self.row.text(column)
        parts = _TIME.fullmatch(text)
        if parts is None:
            raise self.row.fail(column, f"{text!r} is no time such as 2025.01.02 11:30:00")
        year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups())
        return days_of(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000


def commission(symbol: Symbol, entry: DealEntry, volume: int, price: int) -> int:
    """What a deal costs by the spec."""
    currency = symbol.base_currency if symbol.calc_mode in FOREX_MODES else symbol.profit_currency
    rule = symbol.commissions[entry]
    in_percent = any(tier.unit is CommissionUnit.PERCENT for tier in rule.tiers)
    deal = CommissionDeal(
        entry,
        volume,
        closed=volume if entry is DealEntry.OUT else 0,
        lot_value=lot_value(
            symbol.calc_mode,
            price_ratio(price, symbol.digits),
            contract_size=symbol.contract_size,
            tick_ratio=symbol.tick_ratio,
        ),
        conversion=symbol.rate(currency, at_ask=True, what="commissions") if in_percent else ONE,
    )
    return deal_commission(rule, deal, symbol.money_digits)


def _differs(row: Row, column: str, found: int, digits: int) -> str | None:
    printed = row.fixed(column, digits, 0)
    if printed == found:
        return None
    return (
        f"{row.path.name}:{row.line}: {column} {text_of(printed, digits)}, "
        f"calculated {text_of(found, digits)}"
    )


# --- the running balance ---------------------------------------------------------------------


def _follow_balance(
    deals: list[Row], trips: list[Trip], wrong: dict[int, list[str]], spec: Spec
) -> list[str]:
    """Each deal's balance is the one before it with the deal's own figures.

    What is wrong goes to the trip that a deal belongs to; the rest is returned.
    """
    opened, closed = _by_deal(trips, "in_deal"), _by_deal(trips, "out_deal")
    loose: list[str] = []
    previous: int | None = None
    for row in deals:
        number = row.cells.get("deal", "").strip()
        ins, outs = opened.get(number, []), closed.get(number, [])
        found = _deal_figures(row, [trips[one] for one in ins], [trips[one] for one in outs], spec)
        if previous is not None:
            found["balance"] = previous + sum(found.values())
        differing = (_differs(row, *figure, spec.money_digits) for figure in found.items())
        texts = [text for text in differing if text]
        owner = next(iter(outs or ins), None)
        (loose if owner is None else wrong[owner]).extend(texts)
        previous = row.fixed("balance", spec.money_digits)
    return loose


def _by_deal(trips: list[Trip], column: str) -> dict[str, list[int]]:
    """The trips that each deal opened or closed."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, trip in enumerate(trips):
        if deal := trip.row.cells.get(column, "").strip():
            found[deal].append(number)
    return found


def _deal_figures(row: Row, ins: list[Trip], outs: list[Trip], spec: Spec) -> dict[str, int]:
    """Commission, swap and profit of a deal: those of its trips, as printed if it has none."""
    if not ins and not outs:
        names = ("commission", "swap", "profit")
        return {name: row.fixed(name, spec.money_digits, 0) for name in names}
    entry, trips = (DealEntry.OUT, outs) if outs else (DealEntry.IN, ins)
    symbol, first = trips[0].symbol, trips[0]
    price = row.fixed("price", symbol.digits, first.close if outs else first.open)
    volume = row.fixed("volume", VOLUME_DIGITS, sum(trip.volume for trip in trips))
    return {
        "commission": commission(symbol, entry, volume, price),
        "swap": sum(trip.figures.swap for trip in outs),
        "profit": sum(trip.figures.profit for trip in outs),
    }
