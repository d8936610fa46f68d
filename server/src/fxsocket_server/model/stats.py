"""Statistics of closed trades and of curves, in integers: money in minor units, times in ms.

A trade is a closed position: its net result is all that its deals booked, so that one closed in
parts counts once, at its end, with every part.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from fxsocket_server.model.records import Deal, Position
from fxsocket_server.model.units import div_half_away

T = TypeVar("T")


class Trade(Struct, frozen=True, kw_only=True, gc=False):
    """A closed position and the sums of its deals; `volume` is what was closed of it."""

    symbol: str
    magic: int
    comment: str
    opened_ms: int
    closed_ms: int
    volume: int
    profit: int
    swap: int
    commission: int
    fee: int

    @property
    def net(self) -> int:
        """What the trade brought: profit, swap, commission and fee."""
        return self.profit + self.swap + self.commission + self.fee


def trade_of(position: Position, closed_ms: int, deals: Iterable[Deal]) -> Trade:
    """The trade that a closed position was, from all its deals."""
    deals = list(deals)
    return Trade(
        symbol=position.symbol,
        magic=position.magic,
        comment=position.comment,
        opened_ms=position.opened_ms,
        closed_ms=closed_ms,
        volume=position.closed_volume,
        profit=sum(deal.profit for deal in deals),
        swap=sum(deal.swap for deal in deals),
        commission=sum(deal.commission for deal in deals),
        fee=sum(deal.fee for deal in deals),
    )


class Tally:
    """Adds up trades in the order in which they closed.

    A trade of net 0 is neither won nor lost. `max_drawdown` is the deepest fall of the summed net
    results from their highest point, which starts at 0.
    """

    __slots__ = (
        "_peak",
        "commission",
        "fee",
        "gross_loss",
        "gross_profit",
        "hold_ms",
        "losses",
        "max_drawdown",
        "net",
        "swap",
        "trades",
        "volume",
        "wins",
    )

    def __init__(self) -> None:
        self.trades = self.wins = self.losses = 0
        self.net = self.gross_profit = self.gross_loss = 0
        self.swap = self.commission = self.fee = 0
        self.volume = self.hold_ms = 0
        self.max_drawdown = self._peak = 0

    def add(self, trade: Trade) -> None:
        """Count the next trade."""
        net = trade.net
        self.trades += 1
        self.wins += net > 0
        self.losses += net < 0
        self.gross_profit += max(net, 0)
        self.gross_loss += min(net, 0)
        self.swap += trade.swap
        self.commission += trade.commission
        self.fee += trade.fee
        self.volume += trade.volume
        self.hold_ms += trade.closed_ms - trade.opened_ms
        self._step(net)

    def _step(self, net: int) -> None:
        self.net += net
        self._peak = max(self._peak, self.net)
        self.max_drawdown = max(self.max_drawdown, self._peak - self.net)

    @property
    def win_rate(self) -> float | None:
        """Won trades in percent; None without trades."""
        return self.wins * 100 / self.trades if self.trades else None

    @property
    def profit_factor(self) -> float | None:
        """Gross profit over gross loss; None while nothing was lost."""
        return self.gross_profit / -self.gross_loss if self.gross_loss else None

    @property
    def expectancy(self) -> int | None:
        """Net result of a trade on average; None without trades."""
        return div_half_away(self.net, self.trades) if self.trades else None

    @property
    def average_hold_ms(self) -> int | None:
        """How long a trade was open on average; None without trades."""
        return div_half_away(self.hold_ms, self.trades) if self.trades else None


class Fall:
    """The deepest fall of a curve from its highest point before, and what part of that it was.

    `percent` is of the peak that the fall in percent was deepest from; 0 while no peak is above 0.
    """

    __slots__ = ("_peak", "money", "percent")

    def __init__(self) -> None:
        self.money = 0
        self.percent = 0.0
        self._peak: int | None = None

    def add(self, value: int) -> None:
        """Take the next point of the curve."""
        self._peak = peak = value if self._peak is None else max(self._peak, value)
        self.money = max(self.money, peak - value)
        if peak > 0:
            self.percent = max(self.percent, (peak - value) * 100 / peak)


class Thinned(Generic[T]):
    """At most `most` of any number of points, evenly spread; the first and the last are among them.

    When it is full every second point goes, and from then on half as many are taken.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._step = 1
        self._count = 0
        self._kept: list[T] = []
        self._last: T | None = None

    def add(self, point: T) -> None:
        """Take the next point."""
        if self._count % self._step == 0:
            if len(self._kept) == self._most - 1:
                self._kept = self._kept[::2]
                self._step *= 2
            if self._count % self._step == 0:
                self._kept.append(point)
        self._last = point
        self._count += 1

    @property
    def points(self) -> list[T]:
        """What was kept, in order."""
        if self._last is None or (self._count - 1) % self._step == 0:
            return list(self._kept)
        return [*self._kept, self._last]
