"""Stops under load: every order that was answered is there, and the end is clean and quick.

Bots with and without keys trade while the server is asked to end, again and again (Ctrl-C; SIGTERM
does the same). It finishes what it took, answers it or lets the next start answer it, and ends by
itself with code 0.
"""

import random
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.testkit.process import ServerProcess

from .bots import Bot, Field
from .test_kill import read_all, read_events

RUNS = 12
SOAK_RUNS = 200
STOP_S = 10  # what a stop may take


def stop_often(folder: Path, rng: random.Random, runs: int) -> int:
    """Stop the server so many times under load; how many orders were told as executed."""
    field = Field()
    server = ServerProcess(folder / "data", "--balance", "100000000", "--seed", "1")
    bots = [
        Bot(name, field, random.Random(rng.random()), keyed=name.startswith("keyed"))
        for name in ("keyed0", "bare0", "keyed1", "bare1")
    ]
    try:
        field.up(server.start().rest)
        for bot in bots:
            bot.start()
        for _ in range(runs):
            field.wait_for_sent(field.sent + rng.randint(5, 40))
            assert server.stop(STOP_S) == 0
            field.up(server.start().rest)
        field.stopping = True
        for bot in bots:
            bot.join(60)
            assert not bot.is_alive()
            assert bot.failure is None, bot.failure
        return check(server.addresses.rest, bots)
    finally:
        if server.running:
            server.kill()


def check(rest: str, bots: list[Bot]) -> int:
    """Each logical order stands once, as it was told; the log has no hole."""
    rows: list[Any] = read_all(rest, "/orders")
    shown = {row["id"]: row for row in rows}
    placed = [row for row in rows if row["position_id"] is None or row["type"].startswith("BUY")]
    executed = 0
    for told in [told for bot in bots for told in bot.told]:
        mine = [row for row in placed if row["comment"] == told.name]
        assert len(mine) <= 1, f"{told.name} was executed {len(mine)} times"
        if told.answers:
            status, body = told.answers[-1]
            assert status == 200
            assert shown[body["id"]]["ticket"] == body["ticket"] == mine[0]["ticket"]
            executed += 1
    seqs = [event["seq"] for event in read_events(rest)]
    assert seqs == list(range(1, len(seqs) + 1))
    return executed


@pytest.mark.timeout(600)
def test_no_answered_order_is_lost_by_a_stop(tmp_path: Path, rng: random.Random) -> None:
    executed = stop_often(tmp_path, rng, RUNS)
    assert executed >= RUNS


@pytest.mark.soak
@pytest.mark.timeout(4 * 3_600)
def test_no_answered_order_is_lost_by_many_stops(tmp_path: Path, rng: random.Random) -> None:
    print(f"{SOAK_RUNS} stops, {stop_often(tmp_path, rng, SOAK_RUNS)} orders, none lost")
