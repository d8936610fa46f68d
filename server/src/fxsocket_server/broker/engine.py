"""The simulated broker: ticks and requests in, facts out; no clock, no chance, no I/O.

    broker = Broker(terms, specs)              an empty account
    broker.deposit(10_000_00, time_ms)         -> facts
    broker.on_tick("EURUSD", time_ms, bid, ask) -> facts of expiries, SL, TP and pending orders
    broker.request(request, time_ms)           -> Report: retcode, facts, and why not
    broker.snapshot()                          -> BrokerState; Broker(terms, specs, state) goes on

Prices are points, volumes 1e-8 lots, money minor units of the account's currency, times UTC
milliseconds that never go backwards. The same inputs give the same facts.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from fxsocket_server.broker import checks, deals
from fxsocket_server.broker.actions import perform
from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.ledger import LIMIT_OF, Ledger
from fxsocket_server.broker.state import AccountTerms, BrokerState
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.broker.triggers import ASK_RISES, BID_FALLS, Hit
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import Filling, OrderStatus, Reason
from fxsocket_server.model.facts import (
    Fact,
    OrderFact,
    PositionFact,
    Quote,
    Report,
    TerminalSnapshot,
    TradeRequest,
)
from fxsocket_server.model.money import Ratio, tick_value
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import text_of

_SL, _TP, _PENDING = range(3)  # the order in which one tick's hits are worked off


class Broker:
    """One MT5 hedging account with market execution at a simulated broker."""

    def __init__(
        self,
        terms: AccountTerms,
        specs: Mapping[str, SymbolSpec],
        state: BrokerState | None = None,
    ) -> None:
        """Open an account, or go on with one from its state.

        ValueError names an open ticket whose symbol the specs do not have with the same digits.
        """
        self._ledger = Ledger(terms, specs, state or BrokerState())
        self._books = self._ledger.books

    @classmethod
    def restore(
        cls, terms: AccountTerms, specs: Mapping[str, SymbolSpec], state: BrokerState
    ) -> "Broker":
        """The broker that took a snapshot, as it was then."""
        return cls(terms, specs, state)

    @classmethod
    def rebuild(
        cls,
        terms: AccountTerms,
        specs: Mapping[str, SymbolSpec],
        *,
        balance: int,
        credit: int,
        next_ticket: int,
        next_deal_ticket: int,
        quotes: Iterable[Quote],
        orders: Iterable[OrderFact],
        positions: Iterable[PositionFact],
        time_ms: int,
    ) -> "Broker":
        """The broker whose last facts these are; done orders and closed positions may be among."""
        state = BrokerState(
            time_ms=time_ms,
            balance=balance,
            credit=credit,
            next_ticket=next_ticket,
            next_deal_ticket=next_deal_ticket,
            quotes=tuple(quotes),
            orders=tuple(order for order in orders if order.status is OrderStatus.PLACED),
            positions=tuple(position for position in positions if position.volume),
        )
        return cls(terms, specs, state)

    # --- inputs ------------------------------------------------------------------------------

    def on_tick(self, symbol: str, time_ms: int, bid: int, ask: int) -> tuple[Fact, ...]:
        """Take a price and work off what it sets in motion; KeyError on an unknown symbol.

        Expired orders go first, then SL, TP and pending orders, each by ticket. What they open or
        change is tested from the next tick on.
        """
        book = self._books[symbol]
        book.bid = bid
        book.ask = ask
        book.time_ms = time_ms
        levels = book.triggers
        if (
            levels.bid_low < bid < levels.bid_high
            and levels.ask_low < ask < levels.ask_high
            and time_ms < book.deadline_ms
        ):
            return ()
        return self._work_off(book, time_ms)

    def request(self, request: TradeRequest, time_ms: int) -> Report:
        """Answer a trade request at the newest prices; a refusal has no facts."""
        self._ledger.input_ms = time_ms
        result = perform(self._ledger, request, time_ms)
        if isinstance(result, Refusal):
            return Report(retcode=result.retcode, facts=(), time_ms=time_ms, comment=result.comment)
        return result

    def deposit(self, amount: int, time_ms: int, comment: str = "") -> tuple[Fact, ...]:
        """Pay money in, or out when negative."""
        self._ledger.input_ms = time_ms
        return deals.deposit(self._ledger, amount, time_ms, comment)

    # --- reads -------------------------------------------------------------------------------

    def account_figures(self) -> AccountFigures:
        """Balance, equity and margin at the newest prices."""
        return self._ledger.figures()

    def position_profit(self, ticket: int) -> int:
        """Floating profit of an open position without its swap; KeyError if it is not open."""
        position = self._ledger.positions[ticket]
        return self._books[position.symbol].position_profit(position)

    def quote(self, symbol: str) -> Quote | None:
        """The newest price, None before the first; KeyError on an unknown symbol."""
        return self._books[symbol].quote()

    def tick_value(self, symbol: str) -> Ratio | None:
        """What a tick of one lot earns in the account's currency; None while no rate tells."""
        book = self._books[symbol]
        rate = book.profit_route.rate(at_ask=False)
        spec = book.spec
        return rate and tick_value(spec.tick_size, spec.digits, spec.contract_size, rate)

    def lookup(self, tag: str) -> tuple[OrderFact, ...]:
        """Orders whose comment starts with a tag: those that rest, and the last 1,000 done."""
        ledger = self._ledger
        orders = (*ledger.done, *ledger.orders.values())
        return tuple(order for order in orders if order.comment.startswith(tag))

    def terminal_snapshot(self) -> TerminalSnapshot:
        """What a terminal would show of the account."""
        state = self.snapshot()
        return TerminalSnapshot(
            time_ms=state.time_ms,
            balance=state.balance,
            credit=state.credit,
            orders=state.orders,
            positions=state.positions,
        )

    def snapshot(self) -> BrokerState:
        """All that decides the account's future."""
        return self._ledger.state()

    # --- one tick ----------------------------------------------------------------------------

    def _work_off(self, book: Book, time_ms: int) -> tuple[Fact, ...]:
        facts: list[Fact] = []
        if time_ms >= book.deadline_ms:
            facts += self._expire(book, time_ms)
        # What cannot run now stays where it waits and is tried at the next tick.
        if book.fault() is None and not checks.session_refusal(self._ledger, book.spec, time_ms):
            for rank, ticket in sorted(map(self._ranked, book.triggers.hits(book.bid, book.ask))):
                facts += self._fire(book, rank, ticket, time_ms)
        return tuple(facts)

    def _expire(self, book: Book, time_ms: int) -> list[OrderFact]:
        expired = [
            replace(order, status=OrderStatus.EXPIRED, retcode=None, time_ms=time_ms)
            for order in book.due_orders(time_ms)
        ]
        for order in expired:
            self._ledger.enter_order(order)
        return expired

    def _ranked(self, hit: Hit) -> tuple[int, int]:
        edge, ticket = hit
        if ticket not in self._ledger.positions:
            return _PENDING, ticket
        return (_SL if edge in (BID_FALLS, ASK_RISES) else _TP), ticket

    def _fire(self, book: Book, rank: int, ticket: int, time_ms: int) -> tuple[Fact, ...]:
        if rank == _PENDING:
            return self._fire_order(book, self._ledger.orders[ticket], time_ms)
        position = self._ledger.positions.get(ticket)
        if position is None:  # its SL was hit by the same tick
            return ()
        return self._fire_stop(book, position, rank, time_ms)

    def _fire_stop(
        self, book: Book, position: PositionFact, rank: int, time_ms: int
    ) -> tuple[Fact, ...]:
        word, level, reason = (
            ("sl", position.sl, Reason.SL) if rank == _SL else ("tp", position.tp, Reason.TP)
        )
        order = deals.closing_order(
            self._ledger,
            position,
            position.volume,
            reason=reason,
            comment=f"[{word} {text_of(level or 0, position.digits)}]",
            magic=position.magic,
            filling=Filling.FOK,
            time_ms=time_ms,
        )
        return deals.leave_market(self._ledger, book, order, position, time_ms)

    def _fire_order(self, book: Book, order: OrderFact, time_ms: int) -> tuple[Fact, ...]:
        if order.stop_limit is not None:
            return (self._activate(order, time_ms),)
        if checks.margin_refusal(self._ledger, book, side_of(order.type), order.volume):
            rejected = replace(
                order,
                status=OrderStatus.REJECTED,
                retcode=Retcode.REJECT_CANCEL,
                time_ms=time_ms,
            )
            self._ledger.enter_order(rejected)
            return (rejected,)
        return deals.enter_market(self._ledger, book, order, time_ms)

    def _activate(self, order: OrderFact, time_ms: int) -> OrderFact:
        """A stop-limit order whose price was reached rests on as a limit order."""
        limit = replace(
            order,
            type=LIMIT_OF[order.type],
            price=order.stop_limit,
            stop_limit=None,
            time_ms=time_ms,
        )
        self._ledger.enter_order(limit)
        return limit
