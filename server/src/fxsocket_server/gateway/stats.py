"""Statistics of an account: its closed trades by group, and its curve of balance and equity."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Struct, convert, field
from msgspec.structs import asdict, replace

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import EquitySample, HistoryQuery
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.views import time_text
from fxsocket_server.model.records import Deal
from fxsocket_server.model.stats import Fall, Tally, Thinned, Trade, trade_of
from fxsocket_server.model.units import LOT, POWERS

GROUPS = ("magic", "symbol", "comment")
_Key = tuple[int | str, ...]


class TradeFigures(Struct, frozen=True, kw_only=True):
    """The figures of some trades."""

    trades: int
    wins: int
    losses: int
    win_rate: float | None
    net_profit: float
    gross_profit: float
    gross_loss: float
    profit_factor: float | None
    expectancy: float | None
    max_drawdown: float
    average_hold_s: float | None
    volume: float
    swap: float
    commission: float
    fee: float


class TradeGroup(TradeFigures, frozen=True, kw_only=True):
    """The figures of the trades that share what they are grouped by; the rest of it is null."""

    magic: int | None
    symbol: str | None
    comment: str | None


class CurvePoint(Struct, frozen=True, gc=False):
    """An account's money in one minute."""

    time: str
    balance: float
    equity: float
    margin: float


class StatsView(Struct, frozen=True, kw_only=True):
    """Answer of GET /stats."""

    from_: str | None = field(name="from")
    to: str | None
    currency: str
    total: TradeFigures
    groups: list[TradeGroup]
    max_equity_drawdown: float
    max_equity_drawdown_percent: float
    curve: list[CurvePoint]


async def statistics(lane: Lane, query: HistoryQuery, group_by: tuple[str, ...]) -> StatsView:
    """The trades that closed in a span of time, in all and by group.

    Raises `validation_error` when there are more groups than an answer holds.
    """
    total, groups = Tally(), dict[_Key, Tally]()
    async for trade in _trades(lane, query):
        total.add(trade)
        if group_by:
            _group_of(groups, tuple(getattr(trade, name) for name in group_by)).add(trade)
    fall, samples = await _equity(lane, query)
    digits = lane.account.money_digits
    return StatsView(
        from_=None if query.from_ms is None else time_text(query.from_ms),
        to=None if query.to_ms is None else time_text(query.to_ms),
        currency=lane.account.currency,
        total=_figures(total, digits),
        groups=[
            _group(dict(zip(group_by, key, strict=True)), groups[key], digits)
            for key in sorted(groups)
        ],
        max_equity_drawdown=fall.money / POWERS[digits],
        max_equity_drawdown_percent=fall.percent,
        curve=[_point(sample, digits) for sample in samples],
    )


def _group_of(groups: dict[_Key, Tally], key: _Key) -> Tally:
    if key not in groups and len(groups) == limits.STATS_GROUPS:
        raise Problem(
            "validation_error",
            f"there are more than {limits.STATS_GROUPS} groups; narrow them with from, to, symbol "
            "or magic, or group by less",
            pointer="?group_by",
        )
    return groups.setdefault(key, Tally())


async def _trades(lane: Lane, query: HistoryQuery) -> AsyncIterator[Trade]:
    """Trades in the order in which they closed; the loop turns between two pages of them."""
    account_id, more = lane.account.id, True
    query = replace(query, limit=limits.STATS_PAGE_POSITIONS)
    while more:  # bounded by what has closed
        rows = lane.journal.closed_positions(query)
        deals = _by_position(
            lane.journal.deals_of(account_id, [position.id for _, position in rows])
        )
        for (closed_ms, _), position in rows:
            yield trade_of(position, closed_ms, deals.get(position.id, ()))
        more = len(rows) == query.limit
        if more:
            query = replace(query, after=rows[-1][0])
            await asyncio.sleep(0)


async def _equity(lane: Lane, query: HistoryQuery) -> tuple[Fall, list[EquitySample]]:
    """The fall of the equity over all samples, and as many of them as an answer holds."""
    fall, thinned = Fall(), Thinned[EquitySample](limits.STATS_CURVE_POINTS)
    from_ms, to_ms = query.from_ms or 0, query.to_ms or limits.TIME_MS_MAX
    more = True
    while more:  # bounded by what was sampled
        page = lane.journal.equity_samples(lane.account.id, from_ms, to_ms, limits.PAGE_ROWS)
        for sample in page:
            fall.add(sample.equity)
            thinned.add(sample)
        more = len(page) == limits.PAGE_ROWS
        if more:
            from_ms = page[-1].minute_ms + 1
            await asyncio.sleep(0)
    return fall, thinned.points


def _point(sample: EquitySample, money_digits: int) -> CurvePoint:
    money = POWERS[money_digits]
    return CurvePoint(
        time_text(sample.minute_ms),
        sample.balance / money,
        sample.equity / money,
        sample.margin / money,
    )


def _by_position(deals: list[Deal]) -> dict[str | None, list[Deal]]:
    found: dict[str | None, list[Deal]] = {}
    for deal in deals:
        found.setdefault(deal.position_id, []).append(deal)
    return found


def _group(key: dict[str, int | str], tally: Tally, money_digits: int) -> TradeGroup:
    shared = {name: key.get(name) for name in GROUPS}
    return convert(shared | asdict(_figures(tally, money_digits)), TradeGroup)


def _figures(tally: Tally, money_digits: int) -> TradeFigures:
    money = POWERS[money_digits]
    return TradeFigures(
        trades=tally.trades,
        wins=tally.wins,
        losses=tally.losses,
        win_rate=tally.win_rate,
        net_profit=tally.net / money,
        gross_profit=tally.gross_profit / money,
        gross_loss=tally.gross_loss / money,
        profit_factor=tally.profit_factor,
        expectancy=None if tally.expectancy is None else tally.expectancy / money,
        max_drawdown=tally.max_drawdown / money,
        average_hold_s=None if tally.average_hold_ms is None else tally.average_hold_ms / 1000,
        volume=tally.volume / LOT,
        swap=tally.swap / money,
        commission=tally.commission / money,
        fee=tally.fee / money,
    )
