"""One sample of each account's money per minute of its own clock, kept and forgotten."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.gateway.changes import EquitySample
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.storage.history.bundled import BundledHistory
from fxsocket_server.workers.equity import EquitySampler

from ..api.world import on_loop
from .journal_bench import change, event, opened
from .lane_bench import ACCOUNT, Bench, bench

MINUTE = 60_000


class Minutes:
    """A sampler over one account, and what it has saved."""

    def __init__(self, b: Bench, **account: Any) -> None:
        self._bench = b
        self.gateway = Gateway(b.journal, b.lane._bus, b.clock, b.ids, BundledHistory())
        self.linked = LinkedAccount(self._account(**account), AccountStatus.CONNECTED, b.lane)
        self.gateway.accounts["acc_1"] = self.linked
        self.sampler = EquitySampler(self.gateway)

    def _account(self, **parts: Any) -> Account:
        return replace(ACCOUNT, **parts)

    async def saved(self) -> list[EquitySample]:
        """What a reader finds once all that was sent is durable."""
        await self._bench.journal.append(self._bench.lane._recorder.begin(0))
        return self._bench.journal.equity_samples("acc_1", 0, 10**15, 10_000)


@on_loop
async def test_a_minute_is_sampled_once_however_often_one_looks(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        minutes = Minutes(b)
        start = b.connector.time_ms() // MINUTE * MINUTE
        for _ in range(5):
            minutes.sampler.look()
        b.clock.advance(MINUTE)
        minutes.sampler.look()
        assert [one.minute_ms for one in await minutes.saved()] == [start, start + MINUTE]


@on_loop
async def test_a_sample_is_the_account_as_it_stands(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        minutes = Minutes(b)
        await b.place(volume=1.0)
        figures = b.connector.figures()
        assert figures.margin > 0
        assert figures.equity != figures.balance
        minutes.sampler.look()
        [one] = await minutes.saved()
        assert (one.account_id, one.user_id) == ("acc_1", "usr_1")
        assert (one.balance, one.credit) == (figures.balance, figures.credit)
        assert (one.equity, one.margin) == (figures.equity, figures.margin)


@on_loop
async def test_an_account_that_is_not_connected_is_not_sampled(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        minutes = Minutes(b)
        minutes.linked.status = AccountStatus.DISCONNECTED
        minutes.sampler.look()
        assert await minutes.saved() == []


async def minutes_of_ticks(b: Bench, minutes: Minutes, count: int) -> list[EquitySample]:
    """Let ticks pass, three in each minute, while nobody looks."""
    minutes.sampler.look()
    for _ in range(3 * count):
        b.clock.advance(MINUTE // 3)
        await b.connector.set_price("EURUSD", 108_300, 108_310)
    minutes.sampler.look()
    return await minutes.saved()


@on_loop
async def test_no_minute_of_a_replay_is_missed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        samples = await minutes_of_ticks(b, Minutes(b, kind=AccountKind.REPLAY), 20)
        found = [one.minute_ms for one in samples]
        assert found == [found[0] + n * MINUTE for n in range(21)]


@on_loop
async def test_ticks_of_other_accounts_cost_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        assert len(await minutes_of_ticks(b, Minutes(b), 20)) == 2


@on_loop
async def test_a_fast_replay_is_written_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EQUITY_BUFFER_SAMPLES", 8)
    async with bench(tmp_path) as b:
        minutes = Minutes(b, kind=AccountKind.REPLAY)
        sizes: list[int] = []
        save = b.journal.save_equity

        def counted(samples: Any) -> None:
            sizes.append(len(samples))
            save(samples)

        monkeypatch.setattr(b.journal, "save_equity", counted)
        assert len(await minutes_of_ticks(b, minutes, 20)) == 21
        assert sizes == [1, 8, 8, 4]


@on_loop
async def test_samples_are_read_by_their_minutes_and_forgotten_with_age(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        samples = [EquitySample("acc_1", n * MINUTE, "usr_1", n, 0, n, 0) for n in range(10)]
        other = EquitySample("acc_2", 0, "usr_1", 5, 0, 5, 0)
        journal.save_equity([*samples, other])
        journal.save_equity([EquitySample("acc_1", 9 * MINUTE, "usr_1", 99, 0, 99, 0)])
        await journal.append(change(event(1)))
        read = journal.equity_samples("acc_1", 2 * MINUTE, 5 * MINUTE, 10)
        assert [one.balance for one in read] == [2, 3, 4]
        assert [one.balance for one in journal.equity_samples("acc_1", 0, 10**9, 2)] == [0, 1]
        assert journal.equity_samples("acc_1", 9 * MINUTE, 10**9, 2)[0].balance == 99
        journal.forget_equity("acc_1", 3 * MINUTE)
        await journal.append(change(event(2)))
        left = journal.equity_samples("acc_1", 0, 10**9, 100)
        assert [one.minute_ms // MINUTE for one in left] == [6, 7, 8, 9]
        assert journal.equity_samples("acc_2", 0, 10**9, 100) == [other]
