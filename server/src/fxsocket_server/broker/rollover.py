"""The end of the server's day: daily commission, swaps of the night, orders for the day only.

It runs at the first tick at or after server midnight, once for every midnight that has passed, and
at the prices from before that tick.
"""

from msgspec.structs import replace

from fxsocket_server.broker import commissions, deals
from fxsocket_server.broker.book import EXTRA, Book, open_milli
from fxsocket_server.broker.ledger import Ledger, day_end_ms
from fxsocket_server.broker.rates import find_route
from fxsocket_server.model import swap
from fxsocket_server.model.conversion import ONE, Ratio, middle
from fxsocket_server.model.enums import (
    CommissionCharge,
    DealEntry,
    DealType,
    Filling,
    GtcMode,
    OrderStatus,
    Reason,
    Side,
    SwapMode,
)
from fxsocket_server.model.facts import Fact, PositionFact
from fxsocket_server.model.server_time import DAY_MS, date_of
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import LOT, POWERS, div_half_away

_REOPENED = frozenset((SwapMode.REOPEN_CURRENT, SwapMode.REOPEN_BID))


def roll_over(ledger: Ledger, time_ms: int) -> list[Fact]:
    """Work off every server midnight up to a moment."""
    facts: list[Fact] = []
    while ledger.rollover_ms <= time_ms:
        midnight_ms = ledger.rollover_ms
        ended = (ledger.terms.zone.to_server_ms(midnight_ms) - 1) // DAY_MS
        facts += _commission(ledger, CommissionCharge.DAILY, time_ms)
        if date_of(ended).month != date_of(ended + 1).month:
            facts += _commission(ledger, CommissionCharge.MONTHLY, time_ms)
        for book in ledger.books.values():
            if book.positions or book.orders:
                facts += _night(ledger, book, ended, midnight_ms, time_ms)
        ledger.roll_at(day_end_ms(midnight_ms, ledger.terms.zone))
    return facts


def _commission(ledger: Ledger, when: CommissionCharge, time_ms: int) -> tuple[Fact, ...]:
    is_daily = when is CommissionCharge.DAILY
    records = ledger.day_deals if is_daily else ledger.month_deals
    if not records:
        return ()
    amount = commissions.period(ledger, when)
    records.clear()
    ledger.blocked = commissions.blocked(ledger)
    if not amount:
        return ()
    kind = DealType.COMMISSION_DAILY if is_daily else DealType.COMMISSION_MONTHLY
    return deals.money_deal(ledger, kind, amount, time_ms, f"{when.lower()} commission")


def _night(ledger: Ledger, book: Book, day: int, midnight_ms: int, time_ms: int) -> list[Fact]:
    """What the night of a day does to a symbol's positions and orders."""
    spec = book.spec
    multipliers = spec.swap_multipliers or swap.weekday_multipliers(spec.swap_triple_day)
    multiplier = swap.night_multiplier(day, multipliers, frozenset(spec.holidays))
    held = [fact for _, fact in sorted(book.positions.items()) if fact.opened_ms < midnight_ms]
    facts: list[Fact] = []
    if multiplier and book.bid and spec.swap_mode is not SwapMode.DISABLED:
        for position in held:
            facts += _charged(ledger, book, position, multiplier, time_ms)
    return facts + _day_end(ledger, book, midnight_ms, time_ms)


def _charged(
    ledger: Ledger, book: Book, position: PositionFact, multiplier: int, time_ms: int
) -> tuple[Fact, ...]:
    if book.spec.swap_mode in _REOPENED:
        return _reopened(ledger, book, position, multiplier, time_ms)
    amount = night_amount(ledger, book, position, multiplier)
    if not amount:
        return ()
    charged = replace(position, swap=position.swap + amount, time_ms=time_ms)
    ledger.enter_position(charged)
    return (charged,)


def night_amount(ledger: Ledger, book: Book, position: PositionFact, multiplier: int) -> int:
    """Swap of a position for one night, rounded; negative is charged."""
    spec, side = book.spec, position.side
    rate = _swap_rate(spec, side)
    if spec.swap_mode is SwapMode.INTEREST_OPEN:
        price = open_milli(position), POWERS[spec.digits] * EXTRA
    else:
        price = book.exit_price(side), POWERS[spec.digits]
    return swap.night(
        spec.swap_mode,
        rate,
        position.volume,
        multiplier=multiplier,
        calc_mode=spec.calc_mode,
        contract_size=spec.contract_size,
        digits=spec.digits,
        price=price,
        tick_ratio=book.tick_ratio,
        face_value=spec.face_value,
        days_in_year=spec.swap_year_days,
        conversion=_conversion(ledger, book, side, rate),
        money_digits=ledger.terms.money_digits,
    )


def _swap_rate(spec: SymbolSpec, side: Side) -> int:
    return spec.swap_long if side is Side.BUY else spec.swap_short


def _conversion(ledger: Ledger, book: Book, side: Side, rate: int) -> Ratio:
    spec, target = book.spec, ledger.terms.currency
    source = swap.swap_currency(
        spec.swap_mode,
        spec.calc_mode,
        base=spec.currency_base,
        profit=spec.currency_profit,
        margin=spec.currency_margin,
        deposit=target,
    )
    if source == target:
        return ONE
    route = find_route(ledger.books.values(), source, target, spec)
    if ledger.terms.is_mt4:
        bid, ask = route.rate(at_ask=False), route.rate(at_ask=True)
        return middle(bid, ask) if bid and ask else (0, 1)
    at_ask = swap.converts_at_ask(spec.swap_mode, spec.calc_mode, side, rate)
    return route.rate(at_ask) or (0, 1)


# --- positions that are closed and opened again ------------------------------------------------


def _reopened(
    ledger: Ledger, book: Book, position: PositionFact, multiplier: int, time_ms: int
) -> tuple[Fact, ...]:
    """Close a position at the day's end and open it again, better or worse by the swap's points."""
    side, spec = position.side, book.spec
    closed_at = book.exit_price(side)
    base = book.bid if spec.swap_mode is SwapMode.REOPEN_BID else closed_at
    points = div_half_away(_swap_rate(spec, side) * multiplier, LOT)
    price = swap.reopen_price(base, spec.digits, side, points)
    profit = book.profit_of(position, position.volume, closed_at) or 0
    milli = div_half_away(price[0] * POWERS[spec.digits] * EXTRA, price[1])
    opened = div_half_away(milli, EXTRA)
    moved = replace(position, open_price=opened, open_extra=milli - opened * EXTRA, time_ms=time_ms)
    out, back = (
        deals.closing_order(
            ledger,
            fact,
            position.volume,
            reason=Reason.ROLLOVER,
            comment="rollover",
            magic=position.magic,
            filling=Filling.FOK,
            time_ms=time_ms,
        )
        for fact in (position, replace(position, side=side.opposite))
    )
    done = [
        replace(order, status=OrderStatus.FILLED, filled_volume=order.volume, filled_price=at)
        for order, at in ((out, closed_at), (back, opened))
    ]
    for order in done:
        ledger.enter_order(order)
    ledger.enter_position(moved)
    volume = position.volume
    first = deals.deal_of(
        ledger, done[0], DealEntry.OUT, volume=volume, price=closed_at, profit=profit
    )
    second = deals.deal_of(ledger, done[1], DealEntry.IN, volume=volume, price=opened)
    return done[0], first, done[1], second, moved, *ledger.book_money(profit)


# --- orders of the day -------------------------------------------------------------------------


def _day_end(ledger: Ledger, book: Book, midnight_ms: int, time_ms: int) -> list[Fact]:
    """Take away what a symbol keeps for the trade day only: orders, and SL and TP."""
    mode = book.spec.gtc_mode
    if mode is GtcMode.GTC:
        return []
    facts: list[Fact] = []
    for order in [fact for _, fact in sorted(book.orders.items())]:
        if order.placed_ms < midnight_ms:
            expired = replace(order, status=OrderStatus.EXPIRED, retcode=None, time_ms=time_ms)
            ledger.enter_order(expired)
            facts.append(expired)
    if mode is GtcMode.DAILY:
        for position in [fact for _, fact in sorted(book.positions.items())]:
            if position.sl is not None or position.tp is not None:
                bare = replace(position, sl=None, tp=None, time_ms=time_ms)
                ledger.enter_position(bare)
                facts.append(bare)
    return facts
