"""Stop out: one thing after another is given up until the margin level has recovered."""

from msgspec.structs import replace

from fxsocket_server.broker import checks, deals, margins
from fxsocket_server.broker.guard import Guard
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.model import stop_out
from fxsocket_server.model.enums import DealType, Filling, OrderStatus, Reason, Side
from fxsocket_server.model.facts import Fact, OrderFact, PositionFact


def liquidate(ledger: Ledger, guard: Guard, time_ms: int) -> list[Fact]:
    """Remove pending orders by margin, then close positions by loss, until the level recovers."""
    facts: list[Fact] = []
    if ledger.terms.hedged_skip_stop_out and _is_hedged(ledger):
        return facts
    # Prices stand still meanwhile, so that margins and profits are looked at once.
    for ticket in _by_margin(ledger, time_ms):
        if not guard.is_below():
            return facts
        facts.append(_removed(ledger, ledger.orders[ticket], time_ms))
    for ticket in _by_loss(ledger, time_ms):
        # A netted position goes in parts when it is larger than one order may be.
        while (position := ledger.positions.get(ticket)) is not None:
            if not guard.is_below():
                return facts
            facts += _close(ledger, position, time_ms)
    if facts and not ledger.positions:
        facts += compensate(ledger, time_ms)
    return facts


def compensate(ledger: Ledger, time_ms: int) -> list[Fact]:
    """Bring a balance that is below 0 back there, and write off the credit."""
    balance, credit = ledger.balance, ledger.credit
    if not ledger.terms.compensates or balance >= 0:
        return []
    paid = stop_out.compensation(balance)
    facts = [*deals.money_deal(ledger, DealType.SO_COMPENSATION, paid, time_ms, "so compensation")]
    if credit:
        taken = stop_out.credit_write_off(balance, credit)
        kind = DealType.SO_COMPENSATION_CREDIT
        facts += deals.money_deal(ledger, kind, taken, time_ms, "so credit write-off")
    return facts


def _is_hedged(ledger: Ledger) -> bool:
    sides = [book.exposures for book in ledger.books.values() if book.positions]
    return stop_out.is_fully_hedged((s[Side.BUY].volume, s[Side.SELL].volume) for s in sides)


def _tradable(ledger: Ledger, symbol: str, time_ms: int) -> bool:
    book = ledger.books[symbol]
    return book.fault() is None and not checks.session_refusal(ledger, book.spec, time_ms)


def _by_margin(ledger: Ledger, time_ms: int) -> list[int]:
    """Tickets of pending orders in the order in which they are removed."""
    costs = []
    for book in ledger.books.values():
        if book.orders and _tradable(ledger, book.spec.symbol, time_ms):
            for order in book.orders.values():
                rest = NewOrder(order.type, order.volume - order.filled_volume, order.price or 0)
                if not order.type.is_market:
                    costs.append((order.ticket, margins.order_margin(book, rest)))
    return stop_out.removal_order(costs)


def _removed(ledger: Ledger, order: OrderFact, time_ms: int) -> OrderFact:
    removed = replace(order, status=OrderStatus.CANCELED, reason=Reason.SO, time_ms=time_ms)
    ledger.enter_order(removed)
    return removed


def _by_loss(ledger: Ledger, time_ms: int) -> list[int]:
    """Tickets in the order in which they are closed; by FIFO the oldest of a symbol goes first."""
    profits = []
    for book in ledger.books.values():
        if book.positions and _tradable(ledger, book.spec.symbol, time_ms):
            held = book.positions.values()
            profits += [(position.ticket, book.position_profit(position)) for position in held]
    order = stop_out.liquidation_order(profits)
    return _oldest_first(ledger, order) if ledger.terms.fifo_close else order


def _oldest_first(ledger: Ledger, tickets: list[int]) -> list[int]:
    waiting = {symbol: iter(sorted(book.positions)) for symbol, book in ledger.books.items()}
    return [next(waiting[ledger.positions[ticket].symbol]) for ticket in tickets]


def _close(ledger: Ledger, position: PositionFact, time_ms: int) -> tuple[Fact, ...]:
    book, terms = ledger.books[position.symbol], ledger.terms
    volume = position.volume if terms.hedges else min(position.volume, book.spec.volume_max)
    figures = ledger.figures()
    say = stop_out.mt4_stop_out_comment if terms.is_mt4 else stop_out.stop_out_comment
    order = deals.closing_order(
        ledger,
        position,
        volume,
        reason=Reason.SO,
        comment=say(figures.equity, figures.margin, terms.money_digits),
        magic=position.magic,
        filling=Filling.FOK,
        time_ms=time_ms,
    )
    return deals.fill(ledger, book, order, time_ms)
