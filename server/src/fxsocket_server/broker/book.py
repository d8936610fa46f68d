"""One symbol of one account: its quote, what is open on it, and what that is worth.

Sums per side are kept as positions come and go, so that margin never looks at single positions, and
floating profit only where each position's profit is rounded on its own.
"""

from typing import cast

from fxsocket_server.broker.margin_rates import rates_of
from fxsocket_server.broker.rates import Box, Route
from fxsocket_server.broker.state import AccountTerms, Offer
from fxsocket_server.broker.triggers import NEVER, Triggers
from fxsocket_server.model import conversion, profit
from fxsocket_server.model.conversion import ONE, Ratio
from fxsocket_server.model.enums import ChartMode, ExecutionMode, OrderType, Side
from fxsocket_server.model.facts import OrderFact, PositionFact, Quote
from fxsocket_server.model.margin import Leg, MarginTerms
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import LOT, POWERS

EXTRA = 1_000  # open prices are kept in thousandths of a point
EXTRA_DIGITS = 3


class Exposure:
    """One side of a symbol: what its positions and its pending orders add up to.

    `turnover` is volume times open price in thousandths of a point, `worst` the open price (in
    points) that loses most, of all positions since the side was last empty.
    """

    __slots__ = ("count", "resting", "turnover", "volume", "worst")

    def __init__(self) -> None:
        self.count = 0
        self.volume = 0
        self.turnover = 0
        self.resting = 0
        self.worst = 0

    def add(self, position: PositionFact, sign: int) -> None:
        """Take a position in (1) or out (-1)."""
        self.count += sign
        self.volume += sign * position.volume
        self.turnover += sign * position.volume * open_milli(position)
        if sign > 0:
            pick = max if position.side is Side.BUY else min
            price = position.open_price + (position.side is Side.BUY) * 2 - 1  # beyond the extra
            self.worst = price if self.count == 1 else pick(self.worst, price)


class Book:
    """A symbol's quote, positions and pending orders, with the profit that they show."""

    __slots__ = (
        "_close_converts",
        "_deadlines",
        "_ends_ms",
        "_floating",
        "_floating_at",
        "_inexact",
        "_point_unit",
        "_rollover_ms",
        "ask",
        "bid",
        "box",
        "deadline_ms",
        "exposures",
        "feeds",
        "goes_by_last",
        "last",
        "margin_cache",
        "margin_is_steady",
        "margin_memo",
        "margin_rates",
        "margin_route",
        "margin_terms",
        "offers",
        "orders",
        "positions",
        "price_converts",
        "profit_digits",
        "profit_route",
        "spec",
        "swaps",
        "terms",
        "tick_ratio",
        "time_ms",
        "triggers",
    )

    def __init__(self, spec: SymbolSpec, terms: AccountTerms) -> None:
        self.spec = spec
        self.terms = terms
        self.bid = self.ask = self.last = self.time_ms = 0
        on_exchange = spec.execution_mode is ExecutionMode.EXCHANGE
        self.goes_by_last = on_exchange and spec.chart_mode is ChartMode.LAST
        self.box: Box = (0, 0, 0, 0)
        self.positions: dict[int, PositionFact] = {}
        self.orders: dict[int, OrderFact] = {}
        self.exposures = {Side.BUY: Exposure(), Side.SELL: Exposure()}
        self.offers: dict[Side, Offer] = {}
        self.swaps = 0
        self.triggers = Triggers()
        in_deposit = spec.currency_profit == terms.currency
        other_digits = conversion.currency_digits(spec.currency_profit)
        self.profit_digits = terms.money_digits if in_deposit else other_digits
        self.tick_ratio = tick_ratio_of(spec)
        self._point_unit = self._unit()
        self._rollover_ms = NEVER
        self._ends_ms = NEVER if spec.expiration_ms is None else spec.expiration_ms
        self.deadline_ms = self._ends_ms
        self._deadlines: dict[int, int] = {}
        self._inexact = 0
        self._floating = 0
        self._floating_at: object = None
        self.margin_cache: int | None = None
        # What was asked before a deal is asked again after it.
        self.margin_memo: tuple[Leg, Leg, int] = (Leg(), Leg(), 0)
        self.margin_rates = rates_of(spec, is_mt4=terms.is_mt4)
        self.convert_by(Route("", "", None), Route("", "", None))

    def _unit(self) -> Ratio:
        """What one point of 1e-8 lots is worth in minor units of the profit currency."""
        spec, money = self.spec, POWERS[self.profit_digits]
        if spec.calc_mode in profit.TICK_MODES:
            return self.tick_ratio[0] * money, self.tick_ratio[1] * LOT * POWERS[spec.digits]
        return spec.contract_size * money, LOT * LOT * POWERS[spec.digits]

    def convert_by(self, profit_route: Route, margin_route: Route) -> None:
        """Take the routes from profit and margin currency to the deposit currency.

        A pair that is the rate itself converts profit at the close price and margin at the mean
        open price, which is what `_close_converts` and `price_converts` say.
        """
        self.profit_route = profit_route
        self.margin_route = margin_route
        self.margin_terms: MarginTerms | None = None
        profit_step, margin_step = profit_route.step_of(self), margin_route.step_of(self)
        self._close_converts = profit_step is not None and profit_step.backwards
        self.price_converts = margin_step is not None and not margin_step.backwards
        self.margin_is_steady = margin_route.is_identity or self.price_converts
        steps = (*(profit_route.steps or ()), *(margin_route.steps or ()))
        # In the order of the routes, each once: a set of books would have no order of its own.
        self.feeds = tuple(dict.fromkeys((self, *(cast(Book, step.symbol) for step in steps))))

    # --- quote -------------------------------------------------------------------------------

    def quote(self) -> Quote | None:
        """The newest price, None before the first."""
        if not self.bid:
            return None
        return Quote(self.spec.symbol, self.time_ms, self.bid, self.ask, self.last)

    def trigger_prices(self) -> tuple[int, int]:
        """What levels of the Bid and of the Ask are compared with: on an exchange, the Last."""
        return (self.last, self.last) if self.last else (self.bid, self.ask)

    def entry_price(self, side: Side) -> int:
        """What a deal of this side executes at."""
        return self.ask if side is Side.BUY else self.bid

    def price_within(self, side: Side, limit: int) -> int:
        """What a deal of this side executes at that may be no worse than a limit."""
        return min(self.ask, limit) if side is Side.BUY else max(self.bid, limit)

    def exit_price(self, side: Side) -> int:
        """What a position of this side closes at."""
        return self.bid if side is Side.BUY else self.ask

    def fault(self) -> str | None:
        """Why a deal cannot be priced now, None if it can."""
        if not self.bid:
            return f"no price of {self.spec.symbol} yet"
        return self.profit_route.fault() or self.margin_route.fault()

    # --- what is open ------------------------------------------------------------------------

    def net(self) -> PositionFact | None:
        """The one position of a netting account."""
        return next(iter(self.positions.values()), None)

    def add_position(self, position: PositionFact) -> None:
        """Take a position's volume, turnover and swap into the sums."""
        self.positions[position.ticket] = position
        self._count(position, 1)

    def change_stops(self, position: PositionFact) -> None:
        """Take a position in place of the one that differs in nothing that money depends on."""
        self.positions[position.ticket] = position

    def drop_position(self, ticket: int) -> None:
        """Take a position out of the sums; nothing if it is not there."""
        position = self.positions.pop(ticket, None)
        if position is not None:
            self._count(position, -1)

    def _count(self, position: PositionFact, sign: int) -> None:
        self.exposures[position.side].add(position, sign)
        self.swaps += sign * position.swap
        self.margin_cache = None
        self._inexact += sign * self._leaves_fractions(position)
        if self._floating_at is not None and self._floating_at == self._prices():
            self._floating += sign * self.position_profit(position)
        else:
            self._floating_at = None

    def _leaves_fractions(self, position: PositionFact) -> bool:
        """Whether the position's profit may have to be rounded."""
        per_point, unit = position.volume * self._point_unit[0], self._point_unit[1]
        return per_point % (unit * EXTRA if position.open_extra else unit) != 0

    def add_order(self, order: OrderFact, deadline_ms: int | None) -> None:
        """Let a pending order rest, until its deadline if it has one."""
        self.orders[order.ticket] = order
        self._rest(order, 1)
        if deadline_ms is not None:
            self._deadlines[order.ticket] = deadline_ms
            self.deadline_ms = min(self.deadline_ms, deadline_ms)

    def drop_order(self, ticket: int) -> None:
        """Let a pending order rest no longer; nothing if it is not there."""
        order = self.orders.pop(ticket, None)
        if order is None:
            return
        self._rest(order, -1)
        if self._deadlines.pop(ticket, None) == self.deadline_ms:
            self._refresh_deadline()

    def _rest(self, order: OrderFact, sign: int) -> None:
        left = order.volume - order.filled_volume
        self.exposures[side_of(order.type)].resting += sign * left
        if self.charges(order):
            self.margin_cache = None

    def charges(self, order: OrderFact) -> bool:
        """Whether margin is kept for an order while it rests; never for the rest of a deal."""
        return not order.type.is_market and self.margin_rates.of_order[order.type] != 0

    @property
    def weighs(self) -> bool:
        """Whether anything on the symbol counts in equity or margin."""
        return bool(self.positions) or (self.margin_rates.charge_pending and bool(self.orders))

    def due_orders(self, time_ms: int) -> list[OrderFact]:
        """Pending orders whose deadline has come, by ticket."""
        due = [ticket for ticket, deadline in self._deadlines.items() if deadline <= time_ms]
        return [self.orders[ticket] for ticket in sorted(due)]

    def roll_at(self, rollover_ms: int) -> None:
        """Be called for the account's next server midnight, too."""
        self._rollover_ms = rollover_ms
        self._refresh_deadline()

    def has_ended(self, time_ms: int) -> bool:
        """Whether the symbol has expired, with something left to end; told until nothing is."""
        if time_ms < self._ends_ms:
            return False
        if not self.positions and not self.orders:
            self._ends_ms = NEVER
            self._refresh_deadline()
        return True

    def _refresh_deadline(self) -> None:
        first = min(self._deadlines.values(), default=NEVER)
        self.deadline_ms = min(first, self._rollover_ms, self._ends_ms)

    # --- profit ------------------------------------------------------------------------------

    def profit(self, side: Side, volume: int, open_price: int, close_price: int) -> int | None:
        """Profit of a volume in the deposit currency; None without a rate to convert it at."""
        return self._profit(side, volume, open_price, close_price, self.spec.digits, close_price)

    def profit_of(self, position: PositionFact, volume: int, close_price: int) -> int | None:
        """The same of part of a position, whose mean price may have fractions of a point."""
        side, digits = position.side, self.spec.digits
        if not position.open_extra:
            return self._profit(side, volume, position.open_price, close_price, digits, close_price)
        opened, closed = open_milli(position), close_price * EXTRA
        return self._profit(side, volume, opened, closed, digits + EXTRA_DIGITS, close_price)

    def _profit(
        self, side: Side, volume: int, opened: int, closed: int, digits: int, close_price: int
    ) -> int | None:
        spec = self.spec
        amount = profit.profit(
            spec.calc_mode,
            side,
            volume,
            contract_size=spec.contract_size,
            open_price=opened,
            close_price=closed,
            digits=digits,
            money_digits=self.profit_digits,
            tick_ratio=self.tick_ratio,
        )
        if self.profit_route.is_identity:
            return amount
        rate = self._profit_rate(side, amount, close_price)
        if rate is None:
            return None
        return conversion.converted(amount, rate, self.profit_digits, self.terms.money_digits)

    def _profit_rate(self, side: Side, amount: int, close_price: int) -> Ratio | None:
        mode = self.spec.calc_mode
        if self._close_converts:
            return conversion.inverse(conversion.price_ratio(close_price, self.spec.digits))
        if self.terms.is_mt4:
            return self.profit_route.rate(profit.mt4_converts_at_ask(mode, side))
        return self.profit_route.rate(profit.converts_at_ask(mode, side, amount))

    def position_profit(self, position: PositionFact) -> int:
        """Floating profit at the newest price; 0 while there is no price or rate to tell it by."""
        if not self.bid:
            return 0
        return self.profit_of(position, position.volume, self.exit_price(position.side)) or 0

    def floating(self) -> int:
        """Floating profit of all positions, with their swaps."""
        if not self.positions or not self.bid:
            return self.swaps
        if self.is_linear:
            return self.swaps + self._linear_profit()
        prices = self._prices()
        if self._floating_at != prices:
            self._floating = sum(map(self.position_profit, self.positions.values()))
            self._floating_at = prices
        return self.swaps + self._floating

    @property
    def is_linear(self) -> bool:
        """Whether profits need neither rounding nor conversion, so that they simply add up."""
        return self.profit_route.is_identity and not self._inexact

    def _linear_profit(self) -> int:
        buy, sell = self.exposures[Side.BUY], self.exposures[Side.SELL]
        held = self.bid * buy.volume - self.ask * sell.volume
        points = held * EXTRA - buy.turnover + sell.turnover
        return points * self._point_unit[0] // (self._point_unit[1] * EXTRA)

    def points_worth(self, points: float) -> float:
        """Volume times points as money in minor units of the profit currency, unrounded."""
        return points * self._point_unit[0] / self._point_unit[1]

    def _prices(self) -> tuple[object, ...]:
        """All that floating profit depends on but the positions."""
        route = self.profit_route
        return self.bid, self.ask, route.rate(at_ask=False), route.rate(at_ask=True)


def open_milli(position: PositionFact) -> int:
    """The open price of a position in thousandths of a point."""
    return position.open_price * EXTRA + position.open_extra


def tick_ratio_of(spec: SymbolSpec) -> Ratio:
    """Money per unit of price that the symbol's tick value says; ONE when it says none."""
    if not spec.tick_value:
        return (spec.contract_size, LOT) if spec.calc_mode in profit.TICK_MODES else ONE
    return profit.tick_ratio(spec.tick_value, spec.tick_size, spec.digits)


def side_of(order_type: OrderType) -> Side:
    """The direction in which an order deals."""
    return Side.BUY if order_type.is_buy else Side.SELL
