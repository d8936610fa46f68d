"""Commission of deals: taken with the deal, or put on the account of its day or month."""

from math import gcd

from fxsocket_server.broker.book import Book, tick_ratio_of
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.rates import find_route
from fxsocket_server.broker.state import PeriodDeal
from fxsocket_server.model import commission
from fxsocket_server.model.commission import CommissionDeal, CommissionRule
from fxsocket_server.model.conversion import ONE, Ratio, price_ratio, product
from fxsocket_server.model.enums import CommissionCharge, CommissionUnit, DealEntry
from fxsocket_server.model.profit import FOREX_MODES, lot_value
from fxsocket_server.model.units import LOT, POWERS


def charge(
    ledger: Ledger,
    book: Book,
    entry: DealEntry,
    volume: int,
    price: int,
    *,
    closed: int = 0,
    profit: int = 0,
) -> int:
    """Commission (negative) of a deal; what is taken later is blocked from now on.

    MT4 takes the whole round trip when a position is opened, and nothing when it is closed.
    """
    total = 0
    for rule in book.spec.commissions:
        deal = _deal(ledger, book, rule, entry, volume, price, closed, profit)
        if rule.charge is CommissionCharge.INSTANT:
            total += _instant(ledger, rule, deal)
        else:
            daily = rule.charge is CommissionCharge.DAILY
            record = PeriodDeal(book.spec.symbol, deal)
            (ledger.day_deals if daily else ledger.month_deals).append(record)
            ledger.blocked = blocked(ledger)
    return total


def _instant(ledger: Ledger, rule: CommissionRule, deal: CommissionDeal) -> int:
    digits = ledger.terms.money_digits
    if not ledger.terms.is_mt4:
        return commission.deal_commission(rule, deal, digits)
    if deal.entry is not DealEntry.IN:
        return 0
    closing = deal._replace(entry=DealEntry.OUT)
    return sum(commission.deal_commission(rule, part, digits) for part in (deal, closing))


def charge_close_by(
    ledger: Ledger, book: Book, volume: int, prices: tuple[int, int], profit: int
) -> int:
    """Commission of both deals of a close-by, all of it in the first."""
    total = 0
    for rule in book.spec.commissions:
        if rule.charge is CommissionCharge.INSTANT and not ledger.terms.is_mt4:
            first, second = (
                _deal(ledger, book, rule, DealEntry.OUT_BY, volume, price, volume, amount)
                for price, amount in zip(prices, (profit, 0), strict=True)
            )
            total += sum(
                commission.close_by_commission(rule, first, second, ledger.terms.money_digits)
            )
    return total


def blocked(ledger: Ledger) -> int:
    """What the day and the month so far will be charged, as a positive amount."""
    return -period(ledger, CommissionCharge.DAILY) - period(ledger, CommissionCharge.MONTHLY)


def period(ledger: Ledger, when: CommissionCharge) -> int:
    """Commission (negative) that the rules of a period take of its deals so far."""
    records = ledger.day_deals if when is CommissionCharge.DAILY else ledger.month_deals
    total = 0
    for symbol in dict.fromkeys(record.symbol for record in records):
        deals = [record.deal for record in records if record.symbol == symbol]
        for rule in ledger.books[symbol].spec.commissions:
            if rule.charge is when:
                total += commission.period_commission(rule, deals, ledger.terms.money_digits)
    return total


def _deal(
    ledger: Ledger,
    book: Book,
    rule: CommissionRule,
    entry: DealEntry,
    volume: int,
    price: int,
    closed: int,
    profit: int,
) -> CommissionDeal:
    spec = book.spec
    at = price_ratio(price, spec.digits)
    ratio = tick_ratio_of(spec)
    pip = spec.contract_size, LOT * POWERS[spec.digits]
    lot = lot_value(spec.calc_mode, at, contract_size=spec.contract_size, tick_ratio=ratio)
    return CommissionDeal(
        entry,
        volume,
        closed,
        profit,
        _reduced(lot),
        _reduced(product(pip, _rate(ledger, book, spec.currency_profit))),
        _reduced(_rate(ledger, book, _currency(ledger, book, rule))),
    )


def _reduced(ratio: Ratio) -> Ratio:
    """The same number in lowest terms, so that it fits a snapshot."""
    divisor = gcd(*ratio)
    return ratio[0] // divisor, ratio[1] // divisor


def _currency(ledger: Ledger, book: Book, rule: CommissionRule) -> str:
    """The currency that a rule's first tier is in; all of its tiers are in the same one."""
    spec, unit = book.spec, rule.tiers[0].unit
    if unit is CommissionUnit.PERCENT:
        is_forex = spec.calc_mode in FOREX_MODES
        return spec.currency_base if is_forex else spec.currency_profit
    return {
        CommissionUnit.MONEY_BASE: spec.currency_base,
        CommissionUnit.MONEY_PROFIT: spec.currency_profit,
        CommissionUnit.MONEY_MARGIN: spec.currency_margin,
    }.get(unit, ledger.terms.currency)


def _rate(ledger: Ledger, book: Book, currency: str) -> Ratio:
    """The Ask of a currency in the deposit currency, since a commission is paid."""
    if currency == ledger.terms.currency:
        return ONE
    route = find_route(ledger.books.values(), currency, ledger.terms.currency, book.spec)
    return route.rate(at_ask=True) or ONE
