"""Random trading on a lane of its own, and the state that its journal holds after each step."""

import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.commands import Command
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.payloads import (
    balance_payload,
    deal_payload,
    order_payload,
    position_payload,
)
from fxsocket_server.gateway.positions.close import ClosePosition
from fxsocket_server.gateway.positions.close_by import CloseBy
from fxsocket_server.gateway.replay import BALANCE
from fxsocket_server.gateway.several.reverse import reverse
from fxsocket_server.gateway.several.run import run_composite
from fxsocket_server.model.enums import OrderStatus, OrderType, PositionStatus
from fxsocket_server.storage.journal.rows import decode_deal, decode_order, decode_position

from .lane_bench import Bench, bench

State = dict[str, bytes]  # the public form of each record, and of the balance, by id

PROFILES = ("standard", "netting", "mt4")
SYMBOLS = {"EURUSD": (108_340, 108_350, 0.00001), "XAUUSD": (265_000, 265_020, 0.01)}
DAY_MS = 24 * 3_600_000


class Trader:
    """Does one random thing after another; the same seed does the same things."""

    def __init__(self, b: Bench, seed: int) -> None:
        self._bench = b
        self._rng = random.Random(seed)
        self._prices = {symbol: bid for symbol, (bid, _, _) in SYMBOLS.items()}

    async def step(self) -> None:
        """Trade, close, cancel, or let the market or the clock move; refusals are part of it."""
        acts: list[Callable[[], Coroutine[Any, Any, object]]] = [
            self._place, self._place, self._pending, self._close, self._close_by, self._reverse,
            self._cancel, self._stops, self._move, self._move, self._night,
        ]  # fmt: skip
        with suppress(Problem):
            await self._rng.choice(acts)()

    async def _place(self) -> None:
        side = self._rng.choice((OrderType.BUY, OrderType.SELL))
        volume = self._rng.randint(1, 300) / 100
        await self._bench.place(symbol=self._symbol(), type=side, volume=volume)

    async def _pending(self) -> None:
        symbol = self._symbol()
        away = self._rng.randint(20, 200)
        price = (self._prices[symbol] - away) * SYMBOLS[symbol][2]
        await self._bench.place(symbol=symbol, type=OrderType.BUY_LIMIT, volume=0.5, price=price)

    async def _close(self) -> None:
        open_ = self._open_positions()
        if open_:
            lots = self._rng.choice((None, 0.01, 0.1))
            verb = ClosePosition(lots, None)
            await self._bench.run(
                "position.close", self._rng.choice(open_), lots, verb, None, 30_000
            )

    async def _close_by(self) -> None:
        open_ = self._open_positions()
        if len(open_) > 1:
            one, other = self._rng.sample(open_, 2)
            await self._bench.run("position.close_by", one, other, CloseBy(other), None, 30_000)

    async def _reverse(self) -> None:
        open_ = self._open_positions()
        if open_:
            command = Command(
                id=self._bench.ids.make("req_"),
                kind="position.reverse",
                subject_id=self._rng.choice(open_),
                fingerprint=b"reverse",
                key=None,
                wait_ms=30_000,
            )
            await run_composite(self._bench.lane, command, reverse())

    async def _cancel(self) -> None:
        orders = self._bench.lane.book.orders.values()
        resting = [order.id for order in orders if order.status is OrderStatus.PLACED]
        if resting:
            target = self._rng.choice(resting)
            await self._bench.run("order.cancel", target, None, CancelOrder(None), None, 30_000)

    async def _stops(self) -> None:
        open_ = self._open_positions()
        if open_:
            await self._bench.stops(self._rng.choice(open_))

    async def _move(self) -> None:
        symbol = self._symbol()
        bid = self._prices[symbol] = self._prices[symbol] + self._rng.randint(-150, 150)
        spread = SYMBOLS[symbol][1] - SYMBOLS[symbol][0]
        self._bench.clock.advance(self._rng.randint(1, 600_000))
        await self._bench.connector.set_price(symbol, bid, bid + spread)

    async def _night(self) -> None:
        self._bench.clock.advance(DAY_MS)
        await self._move()

    def _symbol(self) -> str:
        return self._rng.choice(list(SYMBOLS))

    def _open_positions(self) -> list[str]:
        positions = self._bench.lane.book.positions.values()
        return [p.id for p in positions if p.status is PositionStatus.OPEN]


async def steps(
    folder: Path, seed: int, count: int, profile: str, kind: type[SimConnector] = SimConnector
) -> AsyncIterator[tuple[int, State]]:
    """Trade so many steps; after each one the log's head and the state in the journal's tables."""
    async with bench(folder, kind, profile) as b:
        trader = Trader(b, seed)
        for _ in range(count):
            await trader.step()
            await b.lane.settled()
            yield b.lane.book.head_seq, state_of(folder / "journal.db")


def state_of(path: Path) -> State:
    """The state that the tables of a journal hold (of its one account, in USD)."""
    with closing(sqlite3.connect(path)) as db:
        orders = [decode_order(body) for (body,) in db.execute("SELECT body FROM orders")]
        deals = [decode_deal(body) for (body,) in db.execute("SELECT body FROM deals")]
        positions = [decode_position(body) for (body,) in db.execute("SELECT body FROM positions")]
        [(balance, credit)] = db.execute("SELECT balance, credit FROM accounts")
    return {
        **{order.id: order_payload(order) for order in orders},
        **{deal.id: deal_payload(deal, 2) for deal in deals},
        **{position.id: position_payload(position, 2) for position in positions},
        BALANCE: balance_payload(balance, credit, "USD", 2),
    }


def log_of(path: Path) -> list[Event]:
    """All events of a journal of one account."""
    with closing(sqlite3.connect(path)) as db:
        sql = "SELECT account_id, seq, type, time_ms, payload FROM events ORDER BY seq"
        return [Event(*row) for row in db.execute(sql)]
