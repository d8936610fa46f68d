"""SIGKILL of server and terminal under load, held against the terminal's own ledger.

The terminal is a process of its own with a ledger of its own: the independent truth. Bots with and
without keys trade through it while server and terminal are killed at random and at every named
point of both. At the end, when all is connected again:
  - no order was executed twice, whoever repeated it how often,
  - what was told as executed was, and what was told as refused or not executed was not; UNKNOWN
    is only what the terminal began and never did,
  - every deal of the ledger is told exactly once, in the broker's order,
  - the event log has no hole, and what it says now is what the lists say.
"""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from fxsocket_server.model.enums import DealType
from fxsocket_server.settings import CRASH_POINTS, TERMINAL_CRASH_POINTS
from fxsocket_server.testkit.process import ServerProcess, TerminalProcess, link_terminal

from .bots import HEADERS, WATCHDOG_S, Bot, Field
from .test_kill import read_all, read_events

BOTS = 6
KILLS = 120
SOAK_KILLS = 2_000
SERVER, LOGIN = "FxSocket-Demo", 1_234_567
EXECUTED = ("FILLED", "PARTIALLY_FILLED", "PLACED", "CANCELED", "EXPIRED")


class Ground:
    """A server, a terminal, and the bots between them."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._link = link_terminal(folder / "data", SERVER, LOGIN)
        self._folder = folder
        self.server = ServerProcess(folder / "data", command="serve")
        self.field = Field()
        self._rng = rng
        self.bots = [
            Bot(f"{name}{n}", self.field, random.Random(rng.random()), keyed=name == "keyed")
            for n in range(BOTS // 2)
            for name in ("keyed", "bare")
        ]

    def open(self) -> None:
        """Start both, and the bots once the terminal is there."""
        self.start_server()
        self.terminal = TerminalProcess(
            self._folder / "terminal", self.server.addresses.bridge, self._link.token,
            "--seed", "1", "--balance", "100000000", "--server", SERVER, "--login", str(LOGIN),
        )  # fmt: skip
        self.terminal.start()
        self.terminal.wait("connected")
        for bot in self.bots:
            bot.start()

    def start_server(self, crash: str | None = None) -> None:
        """Start the server where the terminal dials it."""
        environment = {} if crash is None else {"FXSOCKET_CRASH_AT": crash}
        self.field.up(self.server.start(environment).rest)

    def start_terminal(self, crash: str | None = None) -> None:
        """Start the terminal; it dials until the server is there."""
        self.terminal.start({} if crash is None else {"FXSOCKET_TERMINAL_CRASH_AT": crash})

    def run_on(self) -> None:
        """Let the bots send a few requests more."""
        self.field.wait_for_sent(self.field.sent + self._rng.randint(1, 20))

    def kill(self, victim: str) -> None:
        """Kill one of the two at random and start it again."""
        self.run_on()
        if victim == "server":
            self.server.kill()
            self.start_server()
        else:
            self.terminal.kill()
            self.start_terminal()

    def crash(self, victim: str, point: str) -> None:
        """Have one of the two die at a named point, then start it again."""
        at = f"{point}:{self._rng.randint(1, 4)}"
        if victim == "server":
            self.server.kill()
            self.start_server(at)
            self.server.wait_dead(WATCHDOG_S)
            self.start_server()
        else:
            self.terminal.kill()
            self.start_terminal(at)
            self.terminal.wait_dead(WATCHDOG_S)
            self.start_terminal()

    def settle(self) -> str:
        """End the load and wait until every command has its outcome; where the server is."""
        self.field.stopping = True
        for bot in self.bots:
            bot.join(WATCHDOG_S)
            assert not bot.is_alive(), "a bot hangs"
            assert bot.failure is None, bot.failure
        rest = self.server.addresses.rest
        wait_until_settled(rest)
        return rest

    def close(self) -> None:
        """End both, whatever state they are in."""
        for process in (self.server, self.terminal):
            if process.running:
                process.kill()


def wait_until_settled(rest: str) -> None:
    """Follow the event log until no order is PENDING and the terminal is reconciled."""
    after = len(read_events(rest))
    for _ in range(WATCHDOG_S):
        open_orders = get(rest, "/orders?status=PENDING")["data"]
        probe = requests.post(
            rest + "/orders/check", headers=HEADERS, timeout=WATCHDOG_S,
            json={"symbol": "EURUSD", "type": "BUY", "volume": 0.01},
        )  # fmt: skip
        if not open_orders and probe.status_code == 200:
            return
        page = get(rest, f"/events?after={after}&wait_ms=1000")
        after = page["data"][-1]["seq"] if page["data"] else after
    raise AssertionError(f"orders are still without an outcome: {open_orders}")


def get(rest: str, path: str) -> Any:
    answer = requests.get(rest + path, headers=HEADERS, timeout=WATCHDOG_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def schedule(rng: random.Random, kills: int) -> list[tuple[str, str | None]]:
    """Every named point of both at least twice, the rest at random."""
    points: list[tuple[str, str | None]] = [("server", point) for point in CRASH_POINTS]
    points += [("terminal", point) for point in TERMINAL_CRASH_POINTS]
    at_random: list[tuple[str, str | None]] = [("server", None), ("terminal", None)]
    wanted = points * 2 + [rng.choice(at_random) for _ in range(kills - 2 * len(points))]
    rng.shuffle(wanted)
    return wanted


def trade_through(folder: Path, rng: random.Random, kills: int) -> Counter[str]:
    """Kill so many times under load, then hold every answer against the ledger."""
    ground = Ground(folder, rng)
    try:
        ground.open()
        for victim, point in schedule(rng, kills):
            if point is None:
                ground.kill(victim)
            else:
                ground.crash(victim, point)
        rest = ground.settle()
        return Verdict(rest, ground).counts()
    finally:
        ground.close()


class Verdict:
    """What the server says against what the terminal's ledger says."""

    def __init__(self, rest: str, ground: Ground) -> None:
        with ground.terminal.ledger() as ledger:
            self._deals = [d for d in ledger.deals() if d.type is not DealType.BALANCE]
            self._orders = {order.ticket: order for order in ledger.orders()}
        self._told = [told for bot in ground.bots for told in bot.told]
        self._rest = rest

    def counts(self) -> Counter[str]:
        """Check everything; how much there was of each."""
        rows: list[Any] = read_all(self._rest, "/orders")
        shown = {order["id"]: order for order in rows}
        counts: Counter[str] = Counter()
        for told in self._told:
            counts["orders"] += 1
            counts[self._check(told, shown)] += 1
        self._check_shown(shown)
        self._check_deals()
        events = read_events(self._rest)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        counts["events"] = len(events)
        counts["deals"] = len(self._deals)
        return counts

    def _check(self, told: Any, shown: dict[str, Any]) -> str:
        executed = self._entries(told.name)
        assert executed <= 1, f"{told.name} was executed {executed} times"
        if not told.answers:
            return "unanswered"
        status, body = told.answers[-1]
        if status == 200:
            order = shown[body["id"]]
            assert (order["status"] in EXECUTED) == (executed == 1), (told, order)
            return "executed" if executed else "not executed"
        assert executed == 0, f"{told.name} was told {body} and was executed"
        return "refused"

    def _entries(self, name: str) -> int:
        """How many of the broker's orders are this one: closing orders carry the name, too."""
        return sum(
            1
            for order in self._orders.values()
            if order.comment[12:] == name and order.position_ticket in (None, order.ticket)
        )

    def _check_shown(self, shown: dict[str, Any]) -> None:
        tickets = Counter(o["ticket"] for o in shown.values() if o["ticket"] is not None)
        assert not [ticket for ticket, count in tickets.items() if count > 1]
        assert set(tickets) == set(self._orders), "the lists of orders differ"
        for order in shown.values():
            if order["ticket"] is not None:
                fact = self._orders[order["ticket"]]
                assert order["status"] == fact.status.value, (order, fact)

    def _check_deals(self) -> None:
        rows: list[Any] = [
            d for d in read_all(self._rest, "/history/deals") if d["type"] != "BALANCE"
        ]
        assert sorted(row["ticket"] for row in rows) == [deal.ticket for deal in self._deals]
        account = get(self._rest, "/account")
        assert account["balance"] == round(
            100_000_000 + sum(r["profit"] + r["swap"] + r["commission"] for r in rows), 2
        )


@pytest.mark.timeout(900)
def test_the_ledger_and_the_answers_agree(tmp_path: Path, rng: random.Random) -> None:
    kills = int(os.environ.get("FXSOCKET_TEST_KILLS", KILLS))
    counts = trade_through(tmp_path, rng, kills)
    print(f"{kills} kills: {dict(counts)}")
    assert counts["executed"] > kills // 2


@pytest.mark.soak
@pytest.mark.timeout(4 * 3_600)
def test_the_ledger_and_the_answers_agree_for_long(tmp_path: Path, rng: random.Random) -> None:
    kills = int(os.environ.get("FXSOCKET_TEST_KILLS", SOAK_KILLS))
    counts = trade_through(tmp_path, rng, kills)
    print(f"{kills} kills: {dict(counts)}")
