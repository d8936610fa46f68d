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

from fxsocket_server.broker import checks, commissions, deals
from fxsocket_server.broker.actions import perform
from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.guard import Guard
from fxsocket_server.broker.ledger import (
    LIMIT_OF,
    ORDER_KEY,
    RESTING,
    Ledger,
    day_end_ms,
    deadline_of,
)
from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.broker.mt4 import mt4_error
from fxsocket_server.broker.rollover import roll_over
from fxsocket_server.broker.state import AccountTerms, BrokerState, PeriodDeal
from fxsocket_server.broker.stop_out import liquidate
from fxsocket_server.broker.stops import Refusal, is_stop
from fxsocket_server.broker.triggers import ASK_RISES, BID_FALLS, Hit
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.conversion import Ratio
from fxsocket_server.model.enums import DealType, Filling, OrderStatus, OrderType, Reason, Side
from fxsocket_server.model.facts import (
    CheckResult,
    Fact,
    OrderFact,
    PositionFact,
    Quote,
    Report,
    TerminalSnapshot,
    TradeRequest,
)
from fxsocket_server.model.profit import tick_value
from fxsocket_server.model.retcode import SUCCESS, Retcode
from fxsocket_server.model.stop_out import is_below
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import text_of

_SL, _TP, _PENDING = range(3)  # the order in which one tick's hits are worked off


class Broker:
    """One account at a simulated broker."""

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
        self._ledger.blocked = commissions.blocked(self._ledger)
        self._guard = Guard(self._ledger)

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
        rollover_ms: int = 0,
        day_deals: tuple[PeriodDeal, ...] = (),
        month_deals: tuple[PeriodDeal, ...] = (),
    ) -> "Broker":
        """The broker whose last facts these are; done orders and closed positions may be among.

        `rollover_ms` is the next midnight as it was known before, with the deals whose commission
        is taken later. Whatever happened to an open position since then is newer.
        """
        held = tuple(position for position in positions if position.volume)
        newest = max((position.time_ms for position in held), default=0 if rollover_ms else time_ms)
        next_ms = day_end_ms(newest, terms.zone)
        state = BrokerState(
            time_ms=time_ms,
            balance=balance,
            credit=credit,
            next_ticket=next_ticket,
            next_deal_ticket=next_deal_ticket,
            quotes=tuple(quotes),
            orders=tuple(order for order in orders if order.status in RESTING),
            positions=held,
            rollover_ms=max(next_ms, rollover_ms),
            day_deals=day_deals if next_ms <= rollover_ms else (),
            month_deals=month_deals,
        )
        return cls(terms, specs, state)

    # --- inputs ------------------------------------------------------------------------------

    def on_tick(
        self, symbol: str, time_ms: int, bid: int, ask: int, last: int = 0
    ) -> tuple[Fact, ...]:
        """Take a price and work off what it sets in motion; KeyError on an unknown symbol.

        `last` is the price of a trade, 0 if there was none; it counts on exchange symbols, whose
        levels go by the newest Last as soon as there is one.

        The end of the server's day and expired orders go first, then SL, TP and pending orders,
        each by ticket, then the margin level. What they open or change is tested from the next tick
        on.
        """
        book = self._books[symbol]
        if last and book.goes_by_last:
            book.last = last
            return self._begin_tick(book, time_ms, bid, ask)
        if time_ms >= book.deadline_ms or not book.bid:
            return self._begin_tick(book, time_ms, bid, ask)
        book.bid = bid
        book.ask = ask
        book.time_ms = time_ms
        levels = book.triggers
        if levels.bid_low < bid < levels.bid_high and levels.ask_low < ask < levels.ask_high:
            return ()
        return tuple(self._work_off(book, time_ms))

    def request(self, request: TradeRequest, time_ms: int, depth: int = 0) -> Report:
        """Answer a trade request at the newest prices; a refusal has no facts.

        A `depth` stands in place of the symbol's: the most that may be filled at once.
        """
        if depth:
            return self._request_in_depth(request, time_ms, depth)
        self._ledger.begin(time_ms)
        result = perform(self._ledger, request, time_ms)
        if isinstance(result, Refusal):
            return self._refused(result, time_ms)
        return result

    def check(self, request: TradeRequest, time_ms: int) -> CheckResult:
        """What a trade request would lead to at the newest prices; nothing changes.

        It is tried on a copy of the account, so that it cannot say anything but what `request`
        would do.
        """
        ledger = self._ledger
        before = ledger.figures()
        trial = Broker(ledger.terms, self._specs(), self.snapshot())
        report = trial.request(request, time_ms)
        if report.retcode not in SUCCESS:
            return CheckResult(retcode=report.retcode, comment=report.comment, figures=before)
        after = trial.account_figures()
        return CheckResult(
            retcode=0, comment="Done", figures=after, margin_needed=after.margin - before.margin
        )

    def deposit(self, amount: int, time_ms: int, comment: str = "") -> tuple[Fact, ...]:
        """Pay money in, or out when negative."""
        self._ledger.begin(time_ms)
        return deals.money_deal(self._ledger, DealType.BALANCE, amount, time_ms, comment)

    def _request_in_depth(self, request: TradeRequest, time_ms: int, depth: int) -> Report:
        position = self._ledger.position(request)
        book = self._books.get(position.symbol if position is not None else request.symbol)
        if book is None or not request.type.is_market:
            return self.request(request, time_ms)
        spec = book.spec
        steps = max(depth // spec.volume_step, 1)  # a part of a step cannot be filled
        book.spec = replace(spec, depth=steps * spec.volume_step)
        # All or nothing would hide the fault: what there is is filled, the rest cancelled.
        report = self.request(replace(request, filling=Filling.IOC), time_ms)
        book.spec = spec
        return report

    def _refused(self, refusal: Refusal, time_ms: int) -> Report:
        """The report of a refusal; on MT4 it names that platform's error, too."""
        comment = refusal.comment
        if self._ledger.terms.is_mt4:
            error = mt4_error(refusal.retcode)
            comment = f"{comment} (MT4 error {error.value} {error.name})"
        return Report(retcode=refusal.retcode, facts=(), time_ms=time_ms, comment=comment)

    def credit(self, amount: int, time_ms: int, comment: str = "") -> tuple[Fact, ...]:
        """Give credit, or take it back when negative."""
        self._ledger.begin(time_ms)
        return deals.money_deal(self._ledger, DealType.CREDIT, amount, time_ms, comment)

    # --- reads -------------------------------------------------------------------------------

    def account_figures(self) -> AccountFigures:
        """Balance, equity and margin at the newest prices."""
        return self._ledger.figures()

    @property
    def margin_call(self) -> bool:
        """Whether the margin level is below the margin call level: a flag, no more."""
        terms, figures = self._ledger.terms, self._ledger.figures()
        level, mode = terms.margin_call_level, terms.stop_out_mode
        return is_below(level, figures.equity, figures.margin, mode)

    @property
    def rollover_ms(self) -> int:
        """The server midnight that ends the day at hand; 0 before the first input."""
        return self._ledger.rollover_ms

    def market_open(self, symbol: str, time_ms: int) -> bool:
        """Whether a symbol may be traded at a moment."""
        return checks.market_open(self._ledger.terms, self._books[symbol].spec, time_ms)

    def quotes_open(self, symbol: str, time_ms: int) -> bool:
        """Whether prices of a symbol come at a moment."""
        return checks.quotes_open(self._ledger.terms, self._books[symbol].spec, time_ms)

    def position_profit(self, ticket: int) -> int:
        """Floating profit of an open position without its swap; 0 of one that is not open."""
        position = self._ledger.positions.get(ticket)
        if position is None:
            return 0
        return self._books[position.symbol].position_profit(position)

    def quote(self, symbol: str) -> Quote | None:
        """The newest price, None before the first; KeyError on an unknown symbol."""
        return self._books[symbol].quote()

    def quiet_bounds(self, symbol: str) -> tuple[int, int, int, int, int]:
        """From when on, and up to which Bid and Ask, a tick does more than set the price.

        `(deadline_ms, bid_low, bid_high, ask_low, ask_high)`: a tick before the deadline and with
        prices strictly between theirs does no more. Good until the broker's next input that does.
        """
        book = self._books[symbol]
        levels = book.triggers
        if self._guard.marked:
            self._guard.settle()
        deadline_ms = book.deadline_ms if book.bid else 0
        return deadline_ms, levels.bid_low, levels.bid_high, levels.ask_low, levels.ask_high

    def tick_value(self, symbol: str) -> Ratio | None:
        """What a tick of one lot earns in the account's currency; None while no rate tells."""
        book = self._books[symbol]
        rate = book.profit_route.rate(at_ask=False)
        spec = book.spec
        return rate and tick_value(spec.tick_size, spec.digits, spec.contract_size, rate)

    def order_margin(self, symbol: str, order: NewOrder) -> int | None:
        """Margin of an order as if the account held nothing else; None while no rate tells."""
        if self._books[symbol].fault() is not None:
            return None
        state = BrokerState(quotes=self._ledger.quotes())
        alone = Ledger(self._ledger.terms, self._specs(), state)
        return alone.margin_needed(alone.books[symbol], order)

    def order_profit(
        self, symbol: str, side: Side, volume: int, open_price: int, close_price: int
    ) -> int | None:
        """Profit between two prices at the rates of now; None while no rate tells."""
        book = self._books[symbol]
        if book.fault() is not None:
            return None
        return book.profit(side, volume, open_price, close_price)

    def _specs(self) -> dict[str, SymbolSpec]:
        return {symbol: book.spec for symbol, book in self._books.items()}

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

    def _begin_tick(self, book: Book, time_ms: int, bid: int, ask: int) -> tuple[Fact, ...]:
        """A tick that ends something by its time: the day before it, or orders."""
        facts: list[Fact] = []
        self._ledger.begin(max(self._ledger.input_ms, time_ms))
        if time_ms >= self._ledger.rollover_ms:
            facts += roll_over(self._ledger, time_ms)
        book.bid, book.ask, book.time_ms = bid, ask, time_ms
        if time_ms >= book.deadline_ms:
            facts += self._expire(book, time_ms)
        if book.has_ended(time_ms):
            facts += self._end_symbol(book, time_ms)
        return tuple(facts + self._work_off(book, time_ms))

    def _work_off(self, book: Book, time_ms: int) -> list[Fact]:
        facts: list[Fact] = []
        # What cannot run now stays where it waits and is tried at the next tick.
        if book.fault() is None and not checks.session_refusal(self._ledger, book.spec, time_ms):
            hits = book.triggers.hits(*book.trigger_prices())
            for rank, ticket in sorted(map(self._ranked, hits)):
                facts += self._fire(book, rank, ticket, time_ms)
        if self._guard.touched(book) and self._guard.is_breached():
            facts += liquidate(self._ledger, self._guard, time_ms)
            self._guard.mark(book)
        return facts

    def _expire(self, book: Book, time_ms: int) -> list[OrderFact]:
        expired = [
            replace(order, status=OrderStatus.EXPIRED, retcode=None, time_ms=time_ms)
            for order in book.due_orders(time_ms)
        ]
        for order in expired:
            self._ledger.enter_order(order)
        return expired

    def _end_symbol(self, book: Book, time_ms: int) -> list[Fact]:
        """An expired symbol's orders end, and its positions are closed as soon as it trades."""
        ledger, facts = self._ledger, list[Fact]()
        for order in [order for _, order in sorted(book.orders.items())]:
            facts.append(self._ended(order, OrderStatus.EXPIRED, None, time_ms))
        if book.fault() is not None or checks.session_refusal(ledger, book.spec, time_ms):
            return facts
        for position in [position for _, position in sorted(book.positions.items())]:
            order = deals.closing_order(
                ledger,
                position,
                position.volume,
                reason=Reason.CORPORATE_ACTION,
                comment="expired",
                magic=position.magic,
                filling=Filling.FOK,
                time_ms=time_ms,
            )
            facts += deals.execute(ledger, book, order, position.volume, time_ms)
        return facts

    def _ranked(self, hit: Hit) -> tuple[int, int]:
        edge, ticket = hit
        if ticket & ORDER_KEY:
            return _PENDING, ticket ^ ORDER_KEY
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
        # Where the Last fires, the market may stand short of a take profit.
        price = book.price_within(side_of(order.type), level or 0) if rank == _TP else None
        return deals.fill(self._ledger, book, order, time_ms, price)

    def _fire_order(self, book: Book, order: OrderFact, time_ms: int) -> tuple[Fact, ...]:
        ledger, side = self._ledger, side_of(order.type)
        if order.stop_limit is not None:
            return (self._activate(order, time_ms),)
        if self._closes_nothing(order):
            return (self._ended(order, OrderStatus.CANCELED, None, time_ms),)
        left = order.volume - order.filled_volume
        price = self._price_of(book, order)
        new = NewOrder(OrderType(side.value), left, price)
        held = book.net()
        takes = not ledger.terms.hedges and held is not None and held.side is not side
        opens = order.position_ticket is None and not (takes and held and left <= held.volume)
        if opens and (refusal := self._trigger_refusal(book, order, new)):
            return self._unfired(order, refusal, time_ms)
        if order.filling is Filling.FOK and 0 < book.spec.depth < left:
            return (self._ended(order, OrderStatus.CANCELED, Retcode.CANCEL, time_ms),)
        return deals.fill(ledger, book, order, time_ms, price)

    def _price_of(self, book: Book, order: OrderFact) -> int:
        """What an order that fires executes at: a limit order no worse than its price."""
        side = side_of(order.type)
        if order.price is None or order.type.is_market or is_stop(order.type):
            return book.entry_price(side)
        return book.price_within(side, order.price)

    def _trigger_refusal(self, book: Book, order: OrderFact, new: NewOrder) -> Refusal | None:
        """What is checked again when a pending order fires; its own margin is freed by it."""
        ledger, side = self._ledger, side_of(order.type)
        refusal = checks.trade_mode_refusal(book.spec, side) or checks.hedge_refusal(
            ledger, book, side
        )
        if refusal is None:
            book.drop_order(order.ticket)
            refusal = checks.margin_refusal(ledger, book, new)
            book.add_order(order, deadline_of(order, ledger.terms.zone))
        return refusal

    def _unfired(self, order: OrderFact, refusal: Refusal, time_ms: int) -> tuple[Fact, ...]:
        if not self._ledger.terms.is_mt4:
            return (self._ended(order, OrderStatus.REJECTED, Retcode.REJECT_CANCEL, time_ms),)
        if refusal.retcode is Retcode.NO_MONEY:
            order = replace(order, comment="deleted [no money]")
        return (self._ended(order, OrderStatus.CANCELED, Retcode.REJECT_CANCEL, time_ms),)

    def _closes_nothing(self, order: OrderFact) -> bool:
        """Whether this is the rest of an order that was closing a position, which is gone."""
        ticket = order.position_ticket
        if ticket in (None, order.ticket) or not order.type.is_market:
            return False
        return ticket not in self._ledger.positions and self._ledger.terms.hedges

    def _ended(
        self, order: OrderFact, status: OrderStatus, retcode: int | None, time_ms: int
    ) -> OrderFact:
        done = replace(order, status=status, retcode=retcode, time_ms=time_ms)
        self._ledger.enter_order(done)
        return done

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
