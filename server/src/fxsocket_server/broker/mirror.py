"""An account as its terminal tells it: facts and prices go in, figures come out; nothing acts here.

Between two words of a terminal its floating profit and margin are what the broker's own arithmetic
makes of its positions and the newest prices.
"""

from collections.abc import Iterable, Mapping

from fxsocket_server.broker import checks
from fxsocket_server.broker.book import Book
from fxsocket_server.broker.ledger import RESTING, Ledger
from fxsocket_server.broker.state import AccountTerms, BrokerState
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.conversion import Ratio
from fxsocket_server.model.facts import (
    BalanceFact,
    Fact,
    OrderFact,
    PositionFact,
    Quote,
    TerminalSnapshot,
)
from fxsocket_server.model.profit import tick_value
from fxsocket_server.model.symbol import SymbolSpec


class Mirror:
    """One account at a terminal; what is on symbols that it does not list has no figures."""

    def __init__(
        self,
        terms: AccountTerms,
        specs: Mapping[str, SymbolSpec],
        quotes: Iterable[Quote],
        held: TerminalSnapshot,
    ) -> None:
        self.terms = terms
        self.specs = dict(specs)
        state = BrokerState(
            time_ms=held.time_ms,
            balance=held.balance,
            credit=held.credit,
            quotes=tuple(quotes),
            orders=tuple(order for order in held.orders if self._is_resting(order)),
            positions=tuple(fact for fact in held.positions if fact.volume and self._knows(fact)),
        )
        self._ledger = Ledger(terms, self.specs, state)

    def _knows(self, fact: OrderFact | PositionFact) -> bool:
        spec = self.specs.get(fact.symbol)
        return spec is not None and spec.digits == fact.digits

    def _is_resting(self, order: OrderFact) -> bool:
        return order.status in RESTING and self._knows(order)

    # --- what the terminal tells -------------------------------------------------------------

    def apply(self, facts: Iterable[Fact]) -> None:
        """Take facts in; twice changes nothing."""
        for fact in facts:
            if isinstance(fact, BalanceFact):
                self._ledger.balance, self._ledger.credit = fact.balance, fact.credit
            elif isinstance(fact, PositionFact) and self._knows(fact):
                if fact.volume or fact.ticket in self._ledger.positions:
                    self._ledger.enter_position(fact)
            elif isinstance(fact, OrderFact) and self._knows(fact):
                self._ledger.enter_order(fact)

    def price(self, quote: Quote) -> bool:
        """Take a price in; False for a symbol that the terminal has not listed."""
        book = self._ledger.books.get(quote.symbol)
        if book is None:
            return False
        book.bid, book.ask, book.time_ms = quote.bid, quote.ask, quote.time_ms
        return True

    # --- reads -------------------------------------------------------------------------------

    def quote(self, symbol: str) -> Quote | None:
        """The newest price; KeyError on an unknown symbol."""
        return self._book(symbol).quote()

    def figures(self) -> AccountFigures:
        """The account's money at the newest prices."""
        return self._ledger.figures()

    def position_profit(self, ticket: int) -> int:
        """Floating profit of a position without its swap; 0 of one that has no figures."""
        position = self._ledger.positions.get(ticket)
        return 0 if position is None else self._book(position.symbol).position_profit(position)

    def tick_value(self, symbol: str) -> Ratio | None:
        """What a tick of one lot earns in the account's currency; None while no rate tells."""
        book = self._book(symbol)
        rate = book.profit_route.rate(at_ask=False)
        spec = book.spec
        return rate and tick_value(spec.tick_size, spec.digits, spec.contract_size, rate)

    def market_open(self, symbol: str, time_ms: int) -> bool:
        """Whether a symbol may be traded at a moment."""
        return checks.market_open(self.terms, self.specs[symbol], time_ms)

    def _book(self, symbol: str) -> Book:
        return self._ledger.books[symbol]
