"""The stop-out guard: how far prices may move before the account's margin has to be looked at.

Equity and margin move with the prices of a few symbols. For each of them a box of prices is found
within which, whatever the others do inside theirs, the account stays above its stop-out level. A
tick inside its box needs no look at the account. Sums per side bound the equity from below: every
position's rounding and every conversion counts at its worst, so a box never hides a stop out; near
the level, where no box is left, every tick is judged exactly.
"""

from collections.abc import Collection
from fractions import Fraction
from math import inf

from fxsocket_server.broker import margins
from fxsocket_server.broker.book import EXTRA, Book
from fxsocket_server.broker.ledger import Ledger
from fxsocket_server.broker.triggers import NEVER, OPEN, SHUT
from fxsocket_server.model.enums import FreeMarginMode, Side, StopOutMode
from fxsocket_server.model.stop_out import is_below
from fxsocket_server.model.units import POWERS

_TRIES = 12  # each halves the box
_WIDEST = 0.5  # of the price
_FLOAT_ERROR = 1e-9


class Guard:
    """Watches one account's margin level."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._watched: tuple[Book, ...] = ()
        self.marked = False
        ledger.on_change = self.mark
        for book in ledger.active.values():
            self.mark(book)

    def mark(self, book: Book | None) -> None:
        """Have the next tick look at the account, because something but a price has changed."""
        if book is not None:
            self._watched = tuple(dict.fromkeys((*self._watched, *book.feeds)))
        self.marked = True
        for feed in self._watched:
            feed.triggers.set_guard(SHUT)

    def touched(self, book: Book) -> bool:
        """Whether a tick of this symbol calls for a look."""
        return book.triggers.outside(book.bid, book.ask)

    def is_breached(self) -> bool:
        """Whether the account must be stopped out now; if not, the next boxes are drawn."""
        if self.settle():
            return False
        self.marked = False
        if all(feed.bid for feed in self._watched) and self._draw(self._ledger.active.values()):
            return False
        for feed in self._watched:
            feed.triggers.set_guard(SHUT)
        return self.is_below()

    def settle(self) -> bool:
        """Whether the boxes drawn before still hold after what has changed; then they are kept."""
        active = self._ledger.active.values()
        self._watch(tuple(dict.fromkeys(feed for book in active for feed in book.feeds)))
        if active and not (all(map(_is_inside, self._watched)) and self._floor(active) >= 0):
            return False
        self._guard(active)
        return True

    def _watch(self, feeds: tuple[Book, ...]) -> None:
        for feed in self._watched:
            if feed not in feeds:
                feed.triggers.set_guard(OPEN)
        self._watched = feeds

    def _guard(self, active: Collection[Book]) -> None:
        self.marked = False
        for feed in self._watched:
            feed.triggers.set_guard(_sides(feed, active))

    def is_below(self) -> bool:
        """Whether equity is below the stop-out level, exactly."""
        terms, figures = self._ledger.terms, self._ledger.figures()
        return is_below(terms.stop_out_level, figures.equity, figures.margin, terms.stop_out_mode)

    # --- boxes -------------------------------------------------------------------------------

    def _draw(self, active: Collection[Book]) -> bool:
        """Find the boxes; False when the level is too near for any."""
        width = self._first_width(active)
        for _ in range(_TRIES):
            steps = [self._span(feed, width) for feed in self._watched]
            if self._floor(active) >= 0:
                self._guard(active)
                return True
            if max(steps) == 0:
                return False
            width /= 2
        return False

    def _first_width(self, active: Collection[Book]) -> float:
        """The share of all prices that would use up the slack."""
        for feed in self._watched:
            self._span(feed, 0.0)
        slack = self._floor(active)
        if slack <= 0:
            return 0.0
        at_risk = sum(map(_turnover, active)) + self._threshold(active)
        return min(slack / at_risk if at_risk else _WIDEST, _WIDEST)

    @staticmethod
    def _span(feed: Book, width: float) -> int:
        """Set a symbol's box to a share of its price; the points that this is."""
        points = int(feed.bid * width)
        feed.box = (feed.bid - points, feed.bid + points, feed.ask - points, feed.ask + points)
        return points

    def _floor(self, active: Collection[Book]) -> float:
        """The least that equity can be above the stop-out level within the boxes."""
        ledger = self._ledger
        own = ledger.balance + ledger.credit - ledger.blocked
        return own + sum(map(_worst_profit, active)) - self._threshold(active)

    def _threshold(self, active: Collection[Book]) -> float:
        """The most that the stop-out level can be within the boxes, in money."""
        terms = self._ledger.terms
        if terms.stop_out_mode is StopOutMode.MONEY:
            return terms.stop_out_level
        return sum(map(_worst_margin, active)) * terms.stop_out_level / POWERS[4]


def free_margin_floor(ledger: Ledger) -> float:
    """A lower bound of the free margin at the newest prices, without looking at positions."""
    active = ledger.active.values()
    feeds = dict.fromkeys(feed for book in active for feed in book.feeds)
    if not all(feed.bid for feed in feeds):
        return -inf
    boxes = [feed.box for feed in feeds]
    for feed in feeds:
        feed.box = (feed.bid, feed.bid, feed.ask, feed.ask)
    profit = sum(map(_worst_profit, active))
    for feed, box in zip(feeds, boxes, strict=True):
        feed.box = box
    if ledger.terms.free_margin_mode is not FreeMarginMode.ALL_PROFIT:
        profit = min(profit, 0.0)
    return ledger.balance + ledger.credit - ledger.blocked + profit - ledger.margin()


def _is_inside(feed: Book) -> bool:
    """Whether the newest price is within the symbol's box, which must have been drawn."""
    bid_low, bid_high, ask_low, ask_high = feed.box
    return bid_low <= feed.bid <= bid_high and ask_low <= feed.ask <= ask_high and feed.bid > 0


def _sides(feed: Book, active: Collection[Book]) -> tuple[int, int, int, int]:
    """A symbol's box as a guard: open where a move cannot hurt."""
    bid_low, bid_high, ask_low, ask_high = feed.box
    if any(feed is not book and feed in book.feeds for book in active) or not (
        feed.profit_route.is_identity and feed.margin_is_steady
    ):
        return bid_low - 1, bid_high + 1, ask_low - 1, ask_high + 1
    buys, sells = (feed.exposures[side].volume for side in Side)
    return bid_low - 1 if buys else -NEVER, NEVER, -NEVER, ask_high + 1 if sells else NEVER


def _turnover(book: Book) -> float:
    """What the positions of a symbol are worth, in the deposit currency."""
    buys, sells = (book.exposures[side].volume for side in Side)
    worth = book.points_worth(buys * book.bid + sells * book.ask)
    return worth * _scale(book) * book.profit_route.span()[1]


def _scale(book: Book) -> float:
    """Minor units of the deposit currency in one of the profit currency, at a rate of 1."""
    return POWERS[book.terms.money_digits] / POWERS[book.profit_digits]


def _worst_profit(book: Book) -> float:
    """The least that floating profit and swap can be within the boxes."""
    if not book.positions:
        return book.swaps
    bid_low, _, _, ask_high = book.box
    buy, sell = book.exposures[Side.BUY], book.exposures[Side.SELL]
    won = (bid_low * buy.volume - ask_high * sell.volume) * EXTRA - buy.turnover + sell.turnover
    profit = book.points_worth(won / EXTRA)
    if book.is_linear:
        return book.swaps + profit - 1
    rounding = buy.count + sell.count + 1
    if book.profit_route.is_identity:
        return book.swaps + profit - rounding
    lost = max(0, buy.volume * (buy.worst - bid_low)) if buy.volume else 0
    lost += max(0, sell.volume * (ask_high - sell.worst)) if sell.volume else 0
    low, high = (rate * _scale(book) for rate in book.profit_route.span())
    # Every profit is converted at some rate in [low, high], winners and losers each at their worst.
    worst = low * profit - (high - low) * book.points_worth(lost) - rounding * (high + 1)
    return book.swaps + worst - _FLOAT_ERROR * high * book.points_worth(lost + abs(won) / EXTRA)


def _worst_margin(book: Book) -> float:
    """The most that the symbol's margin can be within the boxes."""
    if book.margin_is_steady:
        return margins.margin(book)
    high = Fraction(book.margin_route.span()[1] * (1 + _FLOAT_ERROR))
    return margins.margin_with(book, rate=(high.numerator, high.denominator))
