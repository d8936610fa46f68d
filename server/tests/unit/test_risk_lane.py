"""Risk rules at work in a lane: what they refuse, what they reserve, what they never hold up."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.broker.faults import Fault
from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import EquitySample
from fxsocket_server.gateway.flatten import Flattening
from fxsocket_server.gateway.orders.cancel import CancelOrder
from fxsocket_server.gateway.risk.guard import RuleBook
from fxsocket_server.gateway.risk.rules import rules_of
from fxsocket_server.model.enums import OrderStatus, OrderType, PositionStatus
from fxsocket_server.model.units import LOT
from fxsocket_server.workers.risk import RiskWatch, Rules

from ..api.world import FarConnector, on_loop
from .lane_bench import Bench, again, bench, shown

DAY_MS = 86_400_000


def rule(b: Bench, **texts: str) -> None:
    """Put the account's rules in force."""
    b.lane.risk.book.replace({"acc_1": rules_of(texts)}, {})


async def refused(b: Bench, code: str, **order: Any) -> str:
    """The detail of a refusal, which leaves no trace."""
    head = b.lane.book.head_seq
    with pytest.raises(Problem) as caught:
        await b.place(**order)
    assert caught.value.kind.code == code
    assert caught.value.kind.status == 403
    assert b.lane.book.head_seq == head
    return caught.value.detail


def open_lots(b: Bench) -> float:
    held = [p for p in b.lane.book.positions.values() if p.status is PositionStatus.OPEN]
    return sum(p.volume for p in held) / LOT


def watch(b: Bench) -> RiskWatch:
    return RiskWatch(lambda: [b.lane], b.lane._bus, b.clock)


async def move(b: Bench, points: int) -> None:
    """EURUSD by so many points from where it began."""
    await b.connector.set_price("EURUSD", 108_340 + points, 108_350 + points)


# --- one order -------------------------------------------------------------------------------


@on_loop
async def test_each_rule_refuses_with_its_figures(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rule(b, max_order_volume="0.2")
        assert await refused(b, "risk_limit", volume=0.21) == (
            "max_order_volume: this order adds 0.21 lots, the rule allows 0.2"
        )
        await b.place(volume=0.2)
        rule(b, max_open_volume="0.3")
        assert await refused(b, "risk_limit", volume=0.2) == (
            "max_open_volume: 0.2 lots are open or pending, this order adds 0.2, "
            "the rule allows 0.3"
        )
        rule(b, symbols="*,!EUR*")
        assert await refused(b, "risk_limit") == "symbols: EURUSD is not in *,!EUR*"
        await b.place(symbol="GBPUSD")
        rule(b, reduce_only="true")
        assert await refused(b, "risk_limit") == (
            "reduce_only: only closing is allowed, this order adds 0.1 lots"
        )


@on_loop
async def test_hours_are_server_time_or_utc(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:  # Monday 00:00 UTC, 02:00 at the server
        rule(b, hours="Mon 02:00-03:00")
        await b.place()
        rule(b, hours="Mon 02:00-03:00", hours_zone="utc")
        assert await refused(b, "risk_limit") == (
            "hours: it is Mon 00:00 utc time, outside the hours of the rule"
        )
        rule(b, hours="Mon 00:00-02:00")
        assert "it is Mon 02:00 server time" in await refused(b, "risk_limit")


@on_loop
async def test_orders_per_minute_slide(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rule(b, orders_per_minute="2")
        await b.place(volume=0.01)
        b.clock.advance(30_000)
        await b.place(volume=0.01)
        detail = await refused(b, "risk_limit", volume=0.01)
        assert detail == (
            "orders_per_minute: 2 orders opened within the last minute, the rule allows 2"
        )
        b.clock.advance(30_000)
        await b.place(volume=0.01)
        await refused(b, "risk_limit", volume=0.01)


@on_loop
async def test_a_key_s_rules_bind_that_key_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.lane.risk.book.replace({}, {"key_1": rules_of({"max_open_volume": "0.1"})})
        await b.place()
        await b.place(api_key="key_2")
        detail = await refused(b, "key_limit", api_key="key_1")
        assert "0.2 lots are open or pending" in detail


# --- what is never held up -------------------------------------------------------------------

CLOSED_DOORS = (
    {"reduce_only": "true"},
    {"max_open_volume": "0.01"},
    {"max_order_volume": "0.01"},
    {"symbols": "XAUUSD"},
    {"hours": "Sat 00:00-00:01"},
    {"max_daily_loss": "0.01"},
    {"max_drawdown": "0.01"},
)


@pytest.mark.parametrize("texts", [*CLOSED_DOORS, None], ids=str)
def test_closing_cancelling_and_stops_always_pass(
    tmp_path: Path, texts: dict[str, str] | None
) -> None:
    @on_loop
    async def test() -> None:
        async with bench(tmp_path) as b:
            resting = shown(await b.place(type=OrderType.BUY_LIMIT, price=1.05))
            position = shown(await b.place())["position_id"]
            if texts is None:
                await b.lane.risk.halt("lunch")
            else:
                rule(b, **texts)
                b.lane.risk.look()
                await move(b, -100)
            await refused(b, "account_halted" if texts is None else "risk_limit")
            assert (await b.stops(position)).status == 200
            assert shown(await b.close(position))["status"] == "CLOSED"
            verb = CancelOrder(None)
            answer = await b.run("order.cancel", resting["id"], None, verb, None, 0)
            assert shown(answer)["status"] == "CANCELED"

    test()


@on_loop
async def test_on_netting_what_reduces_passes_and_the_part_beyond_counts(tmp_path: Path) -> None:
    async with bench(tmp_path, profile_name="netting") as b:
        await b.place(volume=0.5)
        rule(b, reduce_only="true", max_order_volume="0.01")
        detail = await refused(b, "risk_limit", type=OrderType.SELL, volume=0.7)
        assert "this order adds 0.2 lots" in detail
        await b.place(type=OrderType.SELL, volume=0.3)
        assert open_lots(b) == 0.2
        await refused(b, "risk_limit", type=OrderType.SELL_LIMIT, volume=0.2, price=1.2)
        await b.place(type=OrderType.SELL, volume=0.2)
        assert open_lots(b) == 0


# --- reservation -----------------------------------------------------------------------------


@pytest.mark.parametrize("far", [False, True])
def test_concurrent_orders_never_exceed_the_rule(
    tmp_path: Path, far: bool, rng: random.Random
) -> None:
    @on_loop
    async def test() -> None:
        async with bench(tmp_path, FarConnector) if far else bench(tmp_path) as b:
            rule(b, max_open_volume="1")
            volumes = [rng.randint(1, 12) / 100 for _ in range(32)]
            done = await asyncio.gather(
                *(b.place(volume=volume) for volume in volumes), return_exceptions=True
            )
            taken = 0.0
            for volume, answer in zip(volumes, done, strict=True):
                if isinstance(answer, Problem):
                    assert answer.kind.code == "risk_limit"
                    assert round(taken + volume, 2) > 1, "room was left"
                else:
                    assert isinstance(answer, BaseException) is False
                    taken = round(taken + volume, 2)
            assert round(open_lots(b), 2) == taken <= 1
            assert any(isinstance(answer, Problem) for answer in done)

    test()


@on_loop
async def test_what_has_no_outcome_counts_and_a_refusal_gives_back(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        b.far.silent = True
        rule(b, max_open_volume="0.3")
        first = shown(await b.place(volume=0.2, wait_ms=0))
        assert first["status"] == "PENDING"
        await refused(b, "risk_limit", volume=0.2, wait_ms=0)
        unknown = replace(b.lane.book.orders[first["id"]], status=OrderStatus.UNKNOWN)
        await b.lane.note_order(unknown)
        detail = await refused(b, "risk_limit", volume=0.2, wait_ms=0)
        assert "0.2 lots are open or pending" in detail
        await b.report()
        assert open_lots(b) == 0.2
        await refused(b, "risk_limit", volume=0.2, wait_ms=0)
        await b.place(volume=0.1, wait_ms=0)


# --- losses ----------------------------------------------------------------------------------


@on_loop
async def test_a_day_s_loss_ends_at_the_server_s_midnight(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.lane.risk.look()
        rule(b, max_daily_loss="50")
        await b.place(volume=0.1)
        await move(b, -490)  # 10 points of spread, 490 of loss: 50.00
        detail = await refused(b, "risk_limit")
        assert detail == (
            "max_daily_loss: equity has fallen 50.00 USD since the server's midnight, "
            "the rule allows 50.00"
        )
        await move(b, -489)
        await b.place(volume=0.01)
        await move(b, -600)
        await refused(b, "risk_limit")
        b.clock.advance(22 * 3_600_000 - 1)  # midnight at the server
        await refused(b, "risk_limit")
        b.clock.advance(1)
        await b.place(volume=0.01)


@on_loop
async def test_a_drawdown_is_counted_from_the_highest_equity(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rule(b, max_drawdown="1%")
        await b.place(volume=1)
        b.lane.risk.look()
        await move(b, 1_000)
        b.lane.risk.look()  # 10,990.00 at its highest
        await move(b, 901)
        await b.place(volume=0.01)
        await move(b, 890)
        assert await refused(b, "risk_limit") == (
            "max_drawdown: equity has fallen 110.21 USD from its highest, the rule allows 109.90"
        )


@on_loop
async def test_money_paid_in_or_out_is_neither_won_nor_lost(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rule(b, max_daily_loss="50", max_drawdown="50")
        b.lane.risk.look()
        for amount in (-200_000, 500_000):
            now = b.connector.time_ms()
            await b.lane.on_facts(b.connector.broker.deposit(amount, now), now)
            assert b.lane.risk.look() is None
        assert b.lane.risk.state.peak_equity == b.lane.risk.state.day_equity == 1_300_000


@on_loop
async def test_halts_and_equities_survive_a_restart(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rule(b, max_daily_loss="50", max_drawdown="60")
        b.lane.risk.look()
        await b.lane.risk.halt("lunch")
        await move(b, -100)
        b.lane.risk.save()
        await b.lane.settled()
        state = again(b).risk.state
        assert state == b.lane.risk.state
        assert (state.halted, state.day_equity, state.peak_equity) == (
            "lunch", 1_000_000, 1_000_000,
        )  # fmt: skip
        assert b.types()[-1] == "account.halted"
        await b.lane.risk.resume("back")
        assert again(b).risk.state.halted is None
        assert b.types()[-1] == "account.resumed"
        head = b.lane.book.head_seq
        await b.lane.risk.resume("again")
        assert b.lane.book.head_seq == head


@on_loop
async def test_a_restart_over_midnight_begins_with_the_last_sample_before_it(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        b.lane.risk.look()
        b.lane.risk.save()
        midnight = b.connector.time_ms() + 22 * 3_600_000
        samples = [
            EquitySample("acc_1", midnight - ago * 60_000, "usr_1", 0, 0, equity, 0)
            for ago, equity in ((2, 900_000), (1, 950_000), (0, 970_000))
        ]
        b.journal.save_equity(samples)
        await b.lane.risk.halt("so that all before it is durable")
        b.clock.advance(23 * 3_600_000)
        lane = again(b)
        lane.risk.look()
        assert lane.risk.state.day_equity == 950_000


@on_loop
async def test_orders_per_minute_are_counted_on_after_a_restart(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        of_key = {"key_1": rules_of({"orders_per_minute": "2"})}
        b.lane.risk.book.replace({"acc_1": rules_of({"orders_per_minute": "3"})}, of_key)
        await b.place(volume=0.01, key="first")
        b.clock.advance(20_000)
        position_id = shown(await b.place(volume=0.01))["position_id"]
        await b.close(position_id)  # closing is not counted
        await b.place(volume=0.01, api_key="key_2")
        b.lane = again(b)
        await b.lane.resume()
        assert "2 orders opened" in await refused(b, "key_limit", volume=0.01)
        assert "3 orders opened" in await refused(b, "risk_limit", volume=0.01, api_key="key_2")
        b.clock.advance(40_000)  # a minute after the first
        await b.place(volume=0.01)
        assert "2 orders opened" in await refused(b, "key_limit", volume=0.01)


@on_loop
async def test_what_only_closed_a_netted_position_is_not_counted_after_a_restart(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, profile_name="netting") as b:
        rule(b, orders_per_minute="2")
        await b.place(volume=0.02)
        await b.place(volume=0.01, type=OrderType.SELL)
        b.lane = again(b)
        await b.lane.resume()
        await b.place(volume=0.01)
        assert "2 orders opened" in await refused(b, "risk_limit", volume=0.01)


# --- flattening ------------------------------------------------------------------------------


@on_loop
async def test_a_loss_flattens_once_and_refuses_until_midnight(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.lane.risk.look()
        rule(b, max_daily_loss="50", on_loss="flatten")
        for _ in range(3):
            await b.place(volume=0.1)
        await b.place(type=OrderType.BUY_LIMIT, price=1.05)
        look = watch(b)
        await look.look()
        assert open_lots(b) == 0.3
        await move(b, -500)
        await look.look()
        assert open_lots(b) == 0
        assert not [o for o in b.lane.book.orders.values() if o.status is OrderStatus.PLACED]
        deals = b.types().count("deal.added")
        await refused(b, "risk_limit")
        await look.look()
        assert b.types().count("deal.added") == deals
        b.clock.advance(DAY_MS)
        await look.look()
        await b.place(volume=0.1)
        assert open_lots(b) == 0.1


@on_loop
async def test_a_drawdown_flattens_and_halts_until_somebody_resumes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rule(b, max_drawdown="50", on_loss="flatten")
        look = watch(b)
        await look.look()
        await b.place(volume=0.2)
        await move(b, -300)
        await look.look()
        assert open_lots(b) == 0
        b.clock.advance(DAY_MS)
        await look.look()
        assert "max_drawdown" in await refused(b, "account_halted")
        await b.lane.risk.resume("deposit follows")
        await b.place(volume=0.01)


@on_loop
async def test_flattening_again_after_a_crash_closes_nothing_twice(tmp_path: Path) -> None:
    async with bench(tmp_path, FarConnector) as b:
        for _ in range(3):
            await b.place(volume=0.1)
        b.far.silent = True
        taken = len(b.far.taken)
        for flattening in (Flattening(b.lane, "day 1"), Flattening(b.lane, "day 1")):
            assert await flattening.run() == 3  # asked, and not known yet
            assert await flattening.run() == 3
        assert len(b.far.taken) == taken + 3
        for number in range(3):
            await b.report(taken + number)
        assert await Flattening(b.lane, "day 1").run() == 0
        assert open_lots(b) == 0
        assert len(b.far.taken) == taken + 3


@on_loop
async def test_what_the_broker_refused_to_close_is_asked_again_later(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.lane.risk.look()
        rule(b, max_daily_loss="50", on_loss="flatten")
        for _ in range(2):
            await b.place(volume=0.1)
        await move(b, -500)
        fault = Fault(retcode=10_018, times=1)
        b.connector.put_fault(fault)
        look = watch(b)
        await look.look()
        assert open_lots(b) == 0.1
        b.clock.advance(limits.RISK_FLATTEN_RETRY_MS - 1)
        await look.look()
        assert open_lots(b) == 0.1
        b.clock.advance(1)
        await look.look()
        assert open_lots(b) == 0


# --- rules in force --------------------------------------------------------------------------


@on_loop
async def test_changed_rules_come_into_force_and_unreadable_ones_do_not() -> None:
    stored: dict[tuple[str, str], dict[str, str]] = {}
    said: list[str] = []
    book = RuleBook()
    rules = Rules(book, lambda: stored, lambda text, **_: said.append(text))
    await rules.reload()
    stored = {("account", "acc_1"): {"max_open_volume": "2"}, ("key", "key_1"): {}}
    await rules.reload()
    in_force = book.of_accounts
    assert in_force["acc_1"].max_open_volume == 2 * LOT
    assert list(book.of_keys) == ["key_1"]
    stored = {("account", "acc_1"): {"max_open_volume": "two"}}
    await rules.reload()
    assert book.of_accounts is in_force
    assert len(said) == 1
