"""The account as it stands: balance, books, ticket numbers; facts are entered, figures are read.

Whatever changes an account is entered as a fact, so a ledger made from facts is the ledger that
made them.
"""

from collections import deque
from collections.abc import Mapping

from msgspec.structs import replace

from fxsocket_server.broker.book import Book
from fxsocket_server.broker.rates import find_route
from fxsocket_server.broker.state import AccountTerms, BrokerState
from fxsocket_server.broker.stops import is_stop
from fxsocket_server.broker.triggers import Levels
from fxsocket_server.model import money
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import OrderStatus, OrderType, Side, TimeInForce
from fxsocket_server.model.facts import BalanceFact, OrderFact, PositionFact
from fxsocket_server.model.server_time import DAY_MS, ServerZone
from fxsocket_server.model.symbol import SymbolSpec

DONE_ORDERS = 1_000  # finished orders that a lookup still finds

# What a stop-limit order becomes when the market reaches its price.
LIMIT_OF = {
    OrderType.BUY_STOP_LIMIT: OrderType.BUY_LIMIT,
    OrderType.SELL_STOP_LIMIT: OrderType.SELL_LIMIT,
}


class Ledger:
    """An account's books and money; positions and orders by ticket."""

    def __init__(
        self, terms: AccountTerms, specs: Mapping[str, SymbolSpec], state: BrokerState
    ) -> None:
        self.terms = terms
        self.books = _books(terms, specs)
        self.input_ms = state.time_ms
        self.balance = state.balance
        self.credit = state.credit
        self.positions: dict[int, PositionFact] = {}
        self.orders: dict[int, OrderFact] = {}
        self.done: deque[OrderFact] = deque(maxlen=DONE_ORDERS)
        self._next_ticket = state.next_ticket
        self._next_deal_ticket = state.next_deal_ticket
        self._load(state)

    def _load(self, state: BrokerState) -> None:
        for quote in state.quotes:
            if book := self.books.get(quote.symbol):
                book.bid, book.ask, book.time_ms = quote.bid, quote.ask, quote.time_ms
        for position in state.positions:
            self._check_symbol(position)
            self.enter_position(position)
        for order in state.orders:
            self._check_symbol(order)
            self.enter_order(_activated(order))

    def _check_symbol(self, fact: PositionFact | OrderFact) -> None:
        book = self.books.get(fact.symbol)
        if book is None:
            raise ValueError(f"{fact.symbol} of ticket {fact.ticket} is not in the broker profile")
        if book.spec.digits != fact.digits:
            raise ValueError(
                f"ticket {fact.ticket} has {fact.digits} digits, but the broker profile gives "
                f"{fact.symbol} {book.spec.digits}"
            )

    @property
    def time_ms(self) -> int:
        """The moment of the newest input."""
        return max([self.input_ms, *(book.time_ms for book in self.books.values())])

    def state(self) -> BrokerState:
        """Everything that decides the future."""
        quotes = (book.quote() for book in self.books.values())
        return BrokerState(
            time_ms=self.time_ms,
            balance=self.balance,
            credit=self.credit,
            next_ticket=self._next_ticket,
            next_deal_ticket=self._next_deal_ticket,
            quotes=tuple(quote for quote in quotes if quote is not None),
            orders=tuple(order for _, order in sorted(self.orders.items())),
            positions=tuple(position for _, position in sorted(self.positions.items())),
        )

    # --- ticket numbers ----------------------------------------------------------------------

    def take_ticket(self) -> int:
        """The next order's number."""
        self._next_ticket += 1
        return self._next_ticket - 1

    def take_deal_ticket(self) -> int:
        """The next deal's number."""
        self._next_deal_ticket += 1
        return self._next_deal_ticket - 1

    # --- facts -------------------------------------------------------------------------------

    def enter_position(self, position: PositionFact) -> None:
        """Open, change or (volume 0) close a position; its stops wait from the next tick on."""
        book = self.books[position.symbol]
        book.drop_position(position.ticket)
        if position.volume:
            self.positions[position.ticket] = position
            book.add_position(position)
            book.triggers.watch(position.ticket, _stop_levels(position))
        else:
            del self.positions[position.ticket]
            book.triggers.forget(position.ticket)

    def enter_order(self, order: OrderFact) -> None:
        """Let a placed order rest, or put a finished one among the done."""
        book = self.books[order.symbol]
        book.drop_order(order.ticket)
        if order.status is OrderStatus.PLACED:
            self.orders[order.ticket] = order
            book.add_order(order, deadline_of(order, self.terms.zone))
            book.triggers.watch(order.ticket, _order_levels(order))
        else:
            self.done.append(order)
            if self.orders.pop(order.ticket, None) is not None:
                book.triggers.forget(order.ticket)

    def book_money(self, amount: int) -> tuple[BalanceFact, ...]:
        """Add to the balance; the fact of it, or none when nothing changes."""
        if not amount:
            return ()
        self.balance += amount
        return (BalanceFact(balance=self.balance, credit=self.credit),)

    # --- figures -----------------------------------------------------------------------------

    def figures(self) -> AccountFigures:
        """The account's money at the newest prices."""
        floating = margin = 0
        for book in self.books.values():
            if book.positions:
                floating += book.floating()
                margin += book.margin()
        return money.account_figures(self.balance, self.credit, floating, margin)

    def margin_gap(self, book: Book, side: Side, volume: int) -> tuple[int, int] | None:
        """Margin that one more position needs and free margin there is, if that is too little.

        A position that does not raise the account's margin is always affordable.
        """
        needed = book.margin_with(side, volume) - book.margin()
        if needed <= 0:
            return None
        free = self.figures().free_margin
        return (needed, free) if needed > free else None


def _books(terms: AccountTerms, specs: Mapping[str, SymbolSpec]) -> dict[str, Book]:
    books = {name: Book(spec, terms) for name, spec in specs.items()}
    for book in books.values():
        spec, target = book.spec, terms.currency
        book.convert_by(
            find_route(books.values(), spec.currency_profit, target, spec),
            find_route(books.values(), spec.currency_margin, target, spec),
        )
    return books


def _activated(order: OrderFact) -> OrderFact:
    """A stop-limit order without a limit price left is the limit order that it became."""
    if order.type in LIMIT_OF and order.stop_limit is None:
        return replace(order, type=LIMIT_OF[order.type])
    return order


def _stop_levels(position: PositionFact) -> Levels:
    if position.side is Side.BUY:
        return position.sl, position.tp, None, None
    return None, None, position.tp, position.sl


def _order_levels(order: OrderFact) -> Levels:
    price, rises = order.price, is_stop(order.type) == order.type.is_buy
    if order.type.is_buy:
        return (None, None, None, price) if rises else (None, None, price, None)
    return (None, price, None, None) if rises else (price, None, None, None)


def day_end_ms(utc_ms: int, zone: ServerZone) -> int:
    """The server midnight that follows a moment, in UTC."""
    return zone.to_utc_ms((zone.to_server_ms(utc_ms) // DAY_MS + 1) * DAY_MS)


def deadline_of(order: OrderFact, zone: ServerZone) -> int | None:
    """The moment at or after which the first tick ends an order; None if none does."""
    if order.time_in_force is TimeInForce.GTC or order.expires_ms is None:
        return None
    if order.time_in_force is TimeInForce.SPECIFIED_DAY:
        return day_end_ms(order.expires_ms, zone)
    return order.expires_ms
