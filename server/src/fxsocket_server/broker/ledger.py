"""The account as it stands: balance, books, ticket numbers; facts are entered, figures are read.

Whatever changes an account is entered as a fact, so a ledger made from facts is the ledger that
made them.
"""

from collections import deque
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from fxsocket_server.broker import margins
from fxsocket_server.broker.book import Book
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.broker.rates import find_route
from fxsocket_server.broker.state import AccountTerms, BrokerState
from fxsocket_server.broker.stops import is_stop
from fxsocket_server.broker.triggers import Levels
from fxsocket_server.model.account import AccountFigures, account_figures
from fxsocket_server.model.enums import OrderStatus, OrderType, Side, TimeInForce
from fxsocket_server.model.facts import BalanceFact, OrderFact, PositionFact, Quote, TradeRequest
from fxsocket_server.model.server_time import DAY_MS, ServerZone
from fxsocket_server.model.symbol import SymbolSpec

DONE_ORDERS = 1_000  # finished orders that a lookup still finds

# Among the triggers an order has this bit: a partly filled one shares its position's ticket.
ORDER_KEY = 1 << 39
RESTING = frozenset((OrderStatus.PLACED, OrderStatus.PARTIALLY_FILLED))

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
        self.active: dict[str, Book] = {}  # the books that equity or margin depends on
        self.done: deque[OrderFact] = deque(maxlen=DONE_ORDERS)
        self.closing: dict[int, int] = {}  # position -> the order that is closing it
        self.day_deals = list(state.day_deals)
        self.month_deals = list(state.month_deals)
        self.blocked = 0
        self.rollover_ms = 0
        self.on_change: Callable[[Book | None], None] = _nobody
        self._next_ticket = state.next_ticket
        self._next_deal_ticket = state.next_deal_ticket
        self._load(state)

    def _load(self, state: BrokerState) -> None:
        for quote in state.quotes:
            if book := self.books.get(quote.symbol):
                book.bid, book.ask, book.time_ms = quote.bid, quote.ask, quote.time_ms
                book.last = quote.last if book.goes_by_last else 0
        for position in state.positions:
            self._check_symbol(position)
            self.enter_position(position)
        for order in state.orders:
            self._check_symbol(order)
            self.enter_order(_activated(order))
        for offer in state.offers:
            if book := self.books.get(offer.symbol):
                book.offers[offer.side] = offer
        self.roll_at(state.rollover_ms)

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

    def quotes(self) -> tuple[Quote, ...]:
        """The newest price of every symbol that has one."""
        quotes = (book.quote() for book in self.books.values())
        return tuple(quote for quote in quotes if quote is not None)

    def state(self) -> BrokerState:
        """Everything that decides the future."""
        return BrokerState(
            time_ms=self.time_ms,
            balance=self.balance,
            credit=self.credit,
            next_ticket=self._next_ticket,
            next_deal_ticket=self._next_deal_ticket,
            quotes=self.quotes(),
            orders=tuple(order for _, order in sorted(self.orders.items())),
            positions=tuple(position for _, position in sorted(self.positions.items())),
            rollover_ms=self.rollover_ms,
            offers=tuple(offer for book in self.books.values() for offer in book.offers.values()),
            day_deals=tuple(self.day_deals),
            month_deals=tuple(self.month_deals),
        )

    # --- time --------------------------------------------------------------------------------

    def begin(self, time_ms: int) -> None:
        """Take an input's time; the first one says when the first day ends."""
        self.input_ms = time_ms
        if not self.rollover_ms:
            self.roll_at(day_end_ms(time_ms, self.terms.zone))

    def roll_at(self, rollover_ms: int) -> None:
        """Let the first tick at or after this server midnight end the day; 0: none yet."""
        self.rollover_ms = rollover_ms
        for book in self.books.values():
            book.roll_at(rollover_ms)

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
        before = self.positions.get(position.ticket)
        if before is not None and _weighs_the_same(before, position):
            self.positions[position.ticket] = position
            book.change_stops(position)
            book.triggers.watch(position.ticket, _stop_levels(position))
            return
        book.drop_position(position.ticket)
        if position.volume:
            self.positions[position.ticket] = position
            book.add_position(position)
            book.triggers.watch(position.ticket, _stop_levels(position))
        else:
            del self.positions[position.ticket]
            book.triggers.forget(position.ticket)
        self._weigh(book)
        self.on_change(book)

    def enter_order(self, order: OrderFact) -> None:
        """Let a placed order rest, or put a finished one among the done."""
        book = self.books[order.symbol]
        book.drop_order(order.ticket)
        if order.status in RESTING:
            self.orders[order.ticket] = order
            book.add_order(order, deadline_of(order, self.terms.zone))
            book.triggers.watch(order.ticket | ORDER_KEY, _order_levels(order))
            if self._closes(order):
                self.closing[order.position_ticket or 0] = order.ticket
            if book.charges(order):
                self._weigh(book)
                self.on_change(book)
            return
        self.done.append(order)
        if self.orders.pop(order.ticket, None) is not None:
            book.triggers.forget(order.ticket | ORDER_KEY)
            self.closing.pop(order.position_ticket or 0, None)
            if book.charges(order):
                self._weigh(book)
                self.on_change(book)

    def _weigh(self, book: Book) -> None:
        if book.weighs:
            self.active[book.spec.symbol] = book
        else:
            self.active.pop(book.spec.symbol, None)

    def _closes(self, order: OrderFact) -> bool:
        """Whether this is the rest of an order that closes a position of a hedging account."""
        position = self.positions.get(order.position_ticket or 0)
        if position is None or not (self.terms.hedges and order.type.is_market):
            return False
        return order.type.is_buy != (position.side is Side.BUY)

    def book_money(self, amount: int, credit: int = 0) -> tuple[BalanceFact, ...]:
        """Add to balance and credit; the fact of it, or none when nothing changes."""
        if not amount and not credit:
            return ()
        self.balance += amount
        self.credit += credit
        self.on_change(None)
        return (BalanceFact(balance=self.balance, credit=self.credit),)

    def position(self, request: TradeRequest) -> PositionFact | None:
        """The open position that a request names.

        A netted position that was turned round goes by its newest order's ticket, too.
        """
        ticket = request.position_ticket or 0
        position = self.positions.get(ticket)
        if position is None and not self.terms.hedges:
            held = filter(None, (book.net() for book in self.books.values()))
            return next((fact for fact in held if fact.order_ticket == ticket), None)
        return position

    # --- figures -----------------------------------------------------------------------------

    def figures(self) -> AccountFigures:
        """The account's money at the newest prices."""
        floating = sum(book.floating() for book in self.active.values())
        return account_figures(
            self.balance,
            self.credit,
            floating,
            self.margin(),
            mode=self.terms.free_margin_mode,
            blocked=self.blocked,
        )

    def margin(self) -> int:
        """Margin of all positions and pending orders."""
        return sum(map(margins.margin, self.active.values()))

    def margin_needed(self, book: Book, order: NewOrder) -> int:
        """By how much one more order raises the account's margin."""
        return margins.margin_with(book, order) - margins.margin(book)


def _nobody(_book: Book | None) -> None:
    pass


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


def _weighs_the_same(before: PositionFact, after: PositionFact) -> bool:
    """Whether nothing that profit or margin depends on has changed."""
    return (
        after.volume == before.volume
        and after.open_price == before.open_price
        and after.open_extra == before.open_extra
        and after.swap == before.swap
        and after.side is before.side
    )


def _stop_levels(position: PositionFact) -> Levels:
    if position.side is Side.BUY:
        return position.sl, position.tp, None, None
    return None, None, position.tp, position.sl


def _order_levels(order: OrderFact) -> Levels:
    if order.type.is_market:  # the rest of a partly filled one takes what every tick offers
        return (None, None, None, 0) if order.type.is_buy else (None, 0, None, None)
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
