"""One symbol of one account: its quote, what is open on it, and what that is worth.

Sums per side are kept as positions come and go, so that margin never looks at single positions, and
floating profit only where each position's profit is rounded on its own.
"""

from fxsocket_server.broker.rates import Route
from fxsocket_server.broker.state import AccountTerms
from fxsocket_server.broker.triggers import NEVER, Triggers
from fxsocket_server.model import money
from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.facts import OrderFact, PositionFact, Quote
from fxsocket_server.model.money import ONE, Leg, Ratio
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import LOT, POWERS

_NO_RATE: Ratio = (0, 1)


class Exposure:
    """One side of a symbol: volume and turnover of its positions, volume of its pending orders."""

    __slots__ = ("resting", "turnover", "volume")

    def __init__(self) -> None:
        self.volume = 0
        self.turnover = 0
        self.resting = 0


class Book:
    """A symbol's quote, positions and pending orders, with the figures made of them."""

    __slots__ = (
        "_close_converts",
        "_deadlines",
        "_floating",
        "_floating_at",
        "_inexact",
        "_margin",
        "_margin_is_steady",
        "_price_converts",
        "_terms",
        "ask",
        "bid",
        "deadline_ms",
        "exposures",
        "margin_route",
        "orders",
        "positions",
        "profit_digits",
        "profit_route",
        "spec",
        "swaps",
        "time_ms",
        "triggers",
    )

    def __init__(self, spec: SymbolSpec, terms: AccountTerms) -> None:
        self.spec = spec
        self._terms = terms
        self.bid = self.ask = self.time_ms = 0
        self.positions: dict[int, PositionFact] = {}
        self.orders: dict[int, OrderFact] = {}
        self.exposures = {Side.BUY: Exposure(), Side.SELL: Exposure()}
        self.swaps = 0
        self.triggers = Triggers()
        in_deposit = spec.currency_profit == terms.currency
        other_digits = money.currency_digits(spec.currency_profit)
        self.profit_digits = terms.money_digits if in_deposit else other_digits
        self.deadline_ms = NEVER
        self._deadlines: dict[int, int] = {}
        self._inexact = 0
        self._floating = 0
        self._floating_at: object = None
        self._margin: int | None = None
        self.convert_by(Route("", "", None), Route("", "", None))

    def convert_by(self, profit: Route, margin: Route) -> None:
        """Take the routes from profit and margin currency to the deposit currency.

        A pair that is the rate itself converts profit at the close price and margin at the mean
        open price, which is what `_close_converts` and `_price_converts` say.
        """
        self.profit_route = profit
        self.margin_route = margin
        profit_step, margin_step = profit.step_of(self), margin.step_of(self)
        self._close_converts = profit_step is not None and profit_step.backwards
        self._price_converts = margin_step is not None and not margin_step.backwards
        self._margin_is_steady = margin.is_identity or self._price_converts

    # --- quote -------------------------------------------------------------------------------

    def quote(self) -> Quote | None:
        """The newest price, None before the first."""
        return Quote(self.spec.symbol, self.time_ms, self.bid, self.ask) if self.bid else None

    def entry_price(self, side: Side) -> int:
        """What a deal of this side executes at."""
        return self.ask if side is Side.BUY else self.bid

    def exit_price(self, side: Side) -> int:
        """What a position of this side closes at."""
        return self.bid if side is Side.BUY else self.ask

    def fault(self) -> str | None:
        """Why a deal cannot be priced now, None if it can."""
        if not self.bid:
            return f"no price of {self.spec.symbol} yet"
        return self.profit_route.fault() or self.margin_route.fault()

    # --- what is open ------------------------------------------------------------------------

    def add_position(self, position: PositionFact) -> None:
        """Take a position's volume, turnover and swap into the sums."""
        self.positions[position.ticket] = position
        self._count(position, 1)

    def drop_position(self, ticket: int) -> None:
        """Take a position out of the sums; nothing if it is not there."""
        position = self.positions.pop(ticket, None)
        if position is not None:
            self._count(position, -1)

    def _count(self, position: PositionFact, sign: int) -> None:
        exposure = self.exposures[position.side]
        exposure.volume += sign * position.volume
        exposure.turnover += sign * position.volume * position.open_price
        self.swaps += sign * position.swap
        self._margin = None
        self._inexact += sign * (self._points_value(position.volume)[1] != 0)
        if self._floating_at is not None and self._floating_at == self._prices():
            self._floating += sign * self.position_profit(position)
        else:
            self._floating_at = None

    def add_order(self, order: OrderFact, deadline_ms: int | None) -> None:
        """Let a pending order rest, until its deadline if it has one."""
        self.orders[order.ticket] = order
        self.exposures[side_of(order.type)].resting += order.volume
        if deadline_ms is not None:
            self._deadlines[order.ticket] = deadline_ms
            self.deadline_ms = min(self.deadline_ms, deadline_ms)

    def drop_order(self, ticket: int) -> None:
        """Let a pending order rest no longer; nothing if it is not there."""
        order = self.orders.pop(ticket, None)
        if order is None:
            return
        self.exposures[side_of(order.type)].resting -= order.volume
        if self._deadlines.pop(ticket, None) == self.deadline_ms:
            self.deadline_ms = min(self._deadlines.values(), default=NEVER)

    def due_orders(self, time_ms: int) -> list[OrderFact]:
        """Pending orders whose deadline has come, by ticket."""
        due = [ticket for ticket, deadline in self._deadlines.items() if deadline <= time_ms]
        return [self.orders[ticket] for ticket in sorted(due)]

    # --- profit ------------------------------------------------------------------------------

    def profit(self, side: Side, volume: int, open_price: int, close_price: int) -> int | None:
        """Profit of a volume in the deposit currency; None without a rate to convert it at."""
        spec = self.spec
        amount = money.profit(
            spec.calc_mode,
            side,
            volume,
            contract_size=spec.contract_size,
            open_price=open_price,
            close_price=close_price,
            digits=spec.digits,
            money_digits=self.profit_digits,
        )
        if self.profit_route.is_identity:
            return amount
        rate = self._profit_rate(side, amount, close_price)
        if rate is None:
            return None
        return money.converted(amount, rate, self.profit_digits, self._terms.money_digits)

    def _profit_rate(self, side: Side, amount: int, close_price: int) -> Ratio | None:
        if self._close_converts:
            return money.inverse(money.price_ratio(close_price, self.spec.digits))
        return self.profit_route.rate(money.converts_at_ask(self.spec.calc_mode, side, amount))

    def position_profit(self, position: PositionFact) -> int:
        """Floating profit at the newest price; 0 while there is no price or rate to tell it by."""
        if not self.bid:
            return 0
        close_price = self.exit_price(position.side)
        side, volume = position.side, position.volume
        return self.profit(side, volume, position.open_price, close_price) or 0

    def floating(self) -> int:
        """Floating profit of all positions, with their swaps."""
        if not self.positions or not self.bid:
            return self.swaps
        if self.profit_route.is_identity and not self._inexact:
            return self.swaps + self._linear_profit()
        prices = self._prices()
        if self._floating_at != prices:
            self._floating = sum(map(self.position_profit, self.positions.values()))
            self._floating_at = prices
        return self.swaps + self._floating

    def _linear_profit(self) -> int:
        """Profits that need no rounding add up, so the sums say it all."""
        buy, sell = self.exposures[Side.BUY], self.exposures[Side.SELL]
        points = self.bid * buy.volume - buy.turnover + sell.turnover - self.ask * sell.volume
        return self._points_value(points)[0]

    def _points_value(self, points: int) -> tuple[int, int]:
        """Lots times points in minor units of the profit currency, and what is left over."""
        spec = self.spec
        minor_units: int = points * spec.contract_size * POWERS[self.profit_digits]
        unit: int = LOT * LOT * POWERS[spec.digits]
        return divmod(minor_units, unit)

    def _prices(self) -> tuple[object, ...]:
        """All that floating profit depends on but the positions."""
        route = self.profit_route
        return self.bid, self.ask, route.rate(at_ask=False), route.rate(at_ask=True)

    # --- margin ------------------------------------------------------------------------------

    def margin(self) -> int:
        """Margin of all positions."""
        if self._margin is not None:
            return self._margin
        margin = self.margin_with(Side.BUY, 0)
        self._margin = margin if self._margin_is_steady else None
        return margin

    def margin_with(self, side: Side, volume: int) -> int:
        """Margin as it were with one more position of this side and volume."""
        spec, terms = self.spec, self._terms
        return money.hedged_margin(
            spec.calc_mode,
            self._leg(Side.BUY, volume if side is Side.BUY else 0),
            self._leg(Side.SELL, volume if side is Side.SELL else 0),
            contract_size=spec.contract_size,
            margin_hedged=spec.margin_hedged,
            digits=spec.digits,
            leverage=terms.leverage,
            margin_initial=spec.margin_initial,
            price_converts=self._price_converts,
            money_digits=terms.money_digits,
        ).total

    def _leg(self, side: Side, volume: int) -> Leg:
        exposure = self.exposures[side]
        rate = ONE
        if not self._margin_is_steady:
            rate = self.margin_route.rate(at_ask=side is Side.BUY) or _NO_RATE
        turnover = exposure.turnover + volume * self.entry_price(side)
        return Leg(exposure.volume + volume, turnover, self.spec.margin_rate, rate)


def side_of(order_type: OrderType) -> Side:
    """The direction in which an order deals."""
    return Side.BUY if order_type.is_buy else Side.SELL
