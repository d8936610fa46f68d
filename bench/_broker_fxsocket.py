"""The rows of the broker bench that are this repository's own.

A row by blocks is void unless its facts, answers and account are those of every tick put one by
one, which is looked at first on a part of the ticks.
"""

import sys
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np  # type: ignore[import-not-found]
from _broker_run import PASS, SIZE, UNITS, Ticks, arguments, report, timed, trips
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.drive import OnTick, Tick, as_ticks, replay, replay_blocks
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.model.enums import Action, Filling, OrderType, SwapMode, TimeInForce
from fxsocket_server.model.facts import Report, TradeRequest
from fxsocket_server.model.retcode import SUCCESS
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
TERMS = PROFILE.terms(leverage=1000, sessions_apply=False)
SYMBOL = "EURUSD"
SPEC = replace(PROFILE.symbols[SYMBOL], swap_mode=SwapMode.DISABLED)  # the peers know none
LOTS = UNITS * LOT // 100_000
DEPOSIT = SIZE * 100
ACTIONS = 500  # with stops and pending orders: an action every so many ticks, 20 a pass
POSITIONS = 10_000
CHECKED = 10 * PASS


def account(ticks: Ticks) -> Broker:
    """A rich account before the first tick."""
    broker = Broker(TERMS, {SYMBOL: SPEC})
    broker.deposit(DEPOSIT, ticks[0][0])
    return broker


def ask(broker: Broker, time_ms: int, action: Action, **fields: Any) -> Report:
    """The answer to a request; a refusal ends the bench."""
    told = {"symbol": SYMBOL, "filling": Filling.FOK, **fields}
    request = TradeRequest(action=action, command_id="", deadline_ms=0, **told)
    answer = broker.request(request, time_ms)
    if answer.retcode not in SUCCESS:
        sys.exit(f"{request} was refused: {answer.retcode} {answer.comment}")
    return answer


# --- ten round trips a pass --------------------------------------------------------------------


class Trips:
    """Buys, and closes later; called at every tick or when it is time."""

    def __init__(self, broker: Broker, count: int) -> None:
        self.broker = broker
        self.count = count
        self.ticket: int | None = None

    def act(self, time_ms: int, bid: int, ask_price: int) -> None:
        """Open, or close what is open."""
        if self.ticket is None:
            answer = ask(self.broker, time_ms, Action.DEAL, type=OrderType.BUY, volume=LOTS)
            self.ticket = answer.order_ticket
            return
        fields = {"type": OrderType.SELL, "volume": LOTS, "position_ticket": self.ticket}
        ask(self.broker, time_ms, Action.DEAL, **fields)
        self.ticket = None

    def on_tick(self) -> OnTick:
        """A callback of scalars that counts ticks."""
        plan, act = trips(self.count), self.act
        (due, _), seen = next(plan), 0

        def on_tick(time_ms: int, bid: int, ask_price: int) -> None:
            nonlocal due, seen
            if seen == due:
                act(time_ms, bid, ask_price)
                due, _ = next(plan, (-1, False))
            seen += 1

        return on_tick

    def on_object(self) -> OnTick:
        """A callback of MT5's tick object that counts ticks."""
        plan, act = trips(self.count), self.act
        (due, _), seen = next(plan), 0

        def on_object(tick: Tick) -> None:
            nonlocal due, seen
            if seen == due:
                act(tick.time_msc, round(tick.bid * 1e5), round(tick.ask * 1e5))
                due, _ = next(plan, (-1, False))
            seen += 1

        return as_ticks(on_object, SPEC.digits)


def each_tick(name: str, ticks: Ticks, *, objects: bool) -> None:
    """The trips with a callback on every tick."""
    broker, count = account(ticks), len(ticks[0])
    bot = Trips(broker, count)
    heard = bot.on_object() if objects else bot.on_tick()
    seconds = timed(lambda: replay(broker, SYMBOL, *ticks, heard))
    report("", name, count, seconds, broker.account_figures().balance - DEPOSIT)


def blocks(name: str, ticks: Ticks) -> None:
    """The trips without one."""
    broker, count = account(ticks), len(ticks[0])
    bot, columns = Trips(broker, count), arrays(ticks)
    at = [index for index, _ in trips(count)]
    seconds = timed(lambda: replay_blocks(broker, SYMBOL, *columns, at, bot.act))
    report("", name, count, seconds, broker.account_figures().balance - DEPOSIT)


def arrays(ticks: Ticks) -> tuple[Any, Any, Any]:
    """Ticks as numpy columns."""
    times, bids, asks = (np.array(column, np.int64) for column in ticks)
    return times, bids, asks


# --- twenty actions a pass, with stops and pending orders --------------------------------------


class Desk:
    """Deals with SL and TP, pending orders that expire, new stops, and closes, in turn."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.turns = cycle(
            (self.buy, self.limit, self.sell, self.stop, self.trail, self.close, self.remove)
        )
        self.log: list[object] = []

    def act(self, time_ms: int, bid: int, ask_price: int) -> None:
        """Do what is next."""
        self.log.append(next(self.turns)(time_ms, bid, ask_price))

    def buy(self, time_ms: int, bid: int, ask_price: int) -> Report:
        """A deal that is stopped soon, or wins less soon."""
        levels = {"sl": bid - 25, "tp": bid + 40}
        return self.send(time_ms, Action.DEAL, type=OrderType.BUY, volume=LOTS, **levels)

    def sell(self, time_ms: int, bid: int, ask_price: int) -> Report:
        """The same the other way."""
        levels = {"sl": ask_price + 25, "tp": ask_price - 40}
        return self.send(time_ms, Action.DEAL, type=OrderType.SELL, volume=LOTS, **levels)

    def limit(self, time_ms: int, bid: int, ask_price: int) -> Report:
        """An order below the market, for an hour."""
        return self.pend(OrderType.BUY_LIMIT, bid - 20, time_ms, sl=bid - 50, tp=bid + 20)

    def stop(self, time_ms: int, bid: int, ask_price: int) -> Report:
        """An order that follows a fall."""
        return self.pend(OrderType.SELL_STOP, bid - 15, time_ms, sl=bid + 25, tp=bid - 60)

    def pend(self, kind: OrderType, price: int, time_ms: int, **levels: int) -> Report:
        """Place a pending order."""
        return self.send(
            time_ms,
            Action.PENDING,
            type=kind,
            volume=LOTS,
            price=price,
            filling=Filling.RETURN,
            time_in_force=TimeInForce.SPECIFIED,
            expires_ms=time_ms + 3_600_000,
            **levels,
        )

    def trail(self, time_ms: int, bid: int, ask_price: int) -> Report | None:
        """Bring the stops of the newest position nearer."""
        held = self.broker.snapshot().positions
        if not held:
            return None
        near, far = (bid - 15, bid + 30), (ask_price + 15, ask_price - 30)
        sl, tp = near if held[-1].side.value == "BUY" else far
        return self.send(time_ms, Action.SLTP, position_ticket=held[-1].ticket, sl=sl, tp=tp)

    def close(self, time_ms: int, bid: int, ask_price: int) -> Report | None:
        """Close the oldest position."""
        held = self.broker.snapshot().positions
        if not held:
            return None
        kind = OrderType(held[0].side.opposite.value)
        fields = {"position_ticket": held[0].ticket, "volume": held[0].volume}
        return self.send(time_ms, Action.DEAL, type=kind, **fields)

    def remove(self, time_ms: int, bid: int, ask_price: int) -> Report | None:
        """Remove the oldest pending order."""
        resting = self.broker.snapshot().orders
        if not resting:
            return None
        return self.send(time_ms, Action.REMOVE, order_ticket=resting[0].ticket)

    def send(self, time_ms: int, action: Action, **fields: Any) -> Report:
        """The answer to a request."""
        return ask(self.broker, time_ms, action, **fields)


def desk_blocks(ticks: Ticks) -> tuple[Desk, float]:
    """A desk driven by blocks, and the seconds that it took."""
    desk, columns = Desk(account(ticks)), arrays(ticks)
    at = range(0, len(ticks[0]), ACTIONS)
    drive = partial(replay_blocks, desk.broker, SYMBOL, *columns, at, desk.act, desk.log.append)
    return desk, timed(drive)


def desk_ticks(ticks: Ticks) -> Desk:
    """The same tick by tick."""
    desk, times = Desk(account(ticks)), iter(range(len(ticks[0])))

    def on_tick(time_ms: int, bid: int, ask_price: int) -> None:
        if next(times) % ACTIONS == 0:
            desk.act(time_ms, bid, ask_price)

    replay(desk.broker, SYMBOL, *ticks, on_tick, desk.log.append)
    return desk


def part_of(ticks: Ticks, count: int) -> Ticks:
    """The first ticks."""
    times, bids, asks = ticks
    return times[:count], bids[:count], asks[:count]


def desk_row(name: str, ticks: Ticks) -> None:
    """Measure a desk, once it is known to be the same by blocks and by ticks."""
    part = part_of(ticks, CHECKED)
    by_blocks, by_ticks = desk_blocks(part)[0], desk_ticks(part)
    if by_blocks.log != by_ticks.log or by_blocks.broker.snapshot() != by_ticks.broker.snapshot():
        sys.exit(f"{name}: not the facts of the tick-by-tick path")
    _, seconds = desk_blocks(ticks)
    report("", name, len(ticks[0]), seconds, None)


# --- ten thousand open positions ---------------------------------------------------------------


def crowd_row(name: str, ticks: Ticks) -> None:
    """Quiet ticks with many positions open, whose SL and TP lie apart but out of reach."""
    times, bids, asks = part = part_of(ticks, 20 * PASS)
    broker = account(ticks)
    broker.on_tick(SYMBOL, times[0], bids[0], asks[0])
    for number in range(POSITIONS):
        far = 2_000 + number % 1_000
        buys = number % 2 == 0
        sl, tp = (bids[0] - far, bids[0] + far) if buys else (bids[0] + far, bids[0] - far)
        kind = OrderType.BUY if buys else OrderType.SELL
        ask(broker, times[0], Action.DEAL, type=kind, volume=LOT // 100, sl=sl, tp=tp)
    caused: list[Any] = []
    seconds = timed(lambda: replay(broker, SYMBOL, *part, on_facts=caused.append))
    if caused:
        sys.exit(f"{name}: {len(caused)} ticks were not quiet")
    report("", name, len(times), seconds, None)


def main() -> None:
    """Every row once."""
    ticks, _count = arguments()
    each_tick("callback, scalars", ticks, objects=False)
    each_tick("callback, MT5 tick", ticks, objects=True)
    blocks("blocks, 10 trips", ticks)
    desk_row("blocks, 20 actions", ticks)
    crowd_row("quiet, 10,000 positions", ticks)


if __name__ == "__main__":
    main()
