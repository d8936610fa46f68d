"""Duplicates that race: 2 to 32 requests with one key, each over a connection of its own."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from fxsocket_server.connectors.sim.connector import SimConnector
from fxsocket_server.core.limits import MARKET_DEADLINE_MS
from fxsocket_server.model.facts import Report, TradeRequest

from .world import FarConnector, Spy, World

DUPLICATES = (2, 32)
PENDING = "PENDING"


class NearConnector(SimConnector):
    """The broker in this process, counting what it is asked."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.taken: list[tuple[str, TradeRequest]] = []

    def hand_over(self, request: TradeRequest) -> Report | None:
        """Take a request."""
        self.taken.append((request.command_id, request))
        return super().hand_over(request)


class Call(Struct):
    """A trade command, and what it does to (centilots open, orders resting)."""

    method: str
    path: str
    body: Any
    effect: Callable[[int, int], tuple[int, int]]


class Answer(Struct):
    """What one of the duplicates heard."""

    status: int
    body: bytes
    replayed: bool
    retry_after_s: str | None

    @property
    def is_open(self) -> bool:
        """Whether its sender has to ask again."""
        return self.status == 409 or json.loads(self.body).get("status") == PENDING


class Course:
    """One account, and 32 connections that race for it."""

    def __init__(self, world: World, rng: Random, kind: type[SimConnector]) -> None:
        self.world, self.rng = world, rng
        account = world.add_account(kind=kind, balance=1_000_000)
        self.lane = world.lane(account)
        self.connector: Any = self.lane.connector
        self._key = world.add_key(accounts=(account,))
        host, port = world.root.removeprefix("http://").split(":")
        self.wires = [HTTPConnection(host, int(port), timeout=30) for _ in range(DUPLICATES[1])]
        self._races = 0
        self.open, self.resting = 0, 0
        self.position, self.order = "", ""

    def close(self) -> None:
        """End the connections."""
        for wire in self.wires:
            wire.close()

    # --- requests ----------------------------------------------------------------------------

    def send(self, wire: HTTPConnection, call: Call, *, patient: bool = True) -> None:
        """Send a duplicate; an impatient one hardly waits."""
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"race-{self._races}",
        }
        if not patient:
            headers["X-Request-Timeout-Ms"] = "1"
        body = None if call.body is None else json.dumps(call.body)
        wire.request(call.method, "/v1" + call.path, body, headers)

    def hear(self, wire: HTTPConnection) -> Answer:
        """The next answer on a connection."""
        response = wire.getresponse()
        header = response.headers.get
        return Answer(
            response.status,
            response.read(),
            header("Idempotency-Replayed") == "true",
            header("Retry-After"),
        )

    def next_call(self) -> Call:
        """A command that suits what is open and resting now."""
        calls = [self._open() if not self.open else self._close(), self._rest_or_cancel()]
        if self.open:
            calls += [self._stops()]
        if self.open > 1:
            calls += [self._part()]
        if self.resting:
            calls += [self._move()]
        return self.rng.choice(calls)

    def _open(self) -> Call:
        order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.03}
        return Call("POST", "/orders", order, lambda lots, resting: (3, resting))

    def _close(self) -> Call:
        return Call("DELETE", f"/positions/{self.position}", None, lambda _, resting: (0, resting))

    def _part(self) -> Call:
        path = f"/positions/{self.position}?volume=0.01"
        return Call("DELETE", path, None, lambda lots, resting: (lots - 1, resting))

    def _stops(self) -> Call:
        body = {"sl": self._level()}
        return Call("PATCH", f"/positions/{self.position}", body, lambda *held: held)

    def _move(self) -> Call:
        body = {"price": self._level()}
        return Call("PATCH", f"/orders/{self.order}", body, lambda *held: held)

    def _rest_or_cancel(self) -> Call:
        if self.resting:
            return Call("DELETE", f"/orders/{self.order}", None, lambda lots, _: (lots, 0))
        order = {"symbol": "EURUSD", "type": "BUY_LIMIT", "volume": 0.01, "price": self._level()}
        return Call("POST", "/orders", order, lambda lots, _: (lots, 1))

    def _level(self) -> float:
        return round(self.rng.uniform(0.9, 1.05), 5)

    # --- a race ------------------------------------------------------------------------------

    def race(self) -> None:
        """Let duplicates of one command run, and see that it was carried out once."""
        self._races += 1
        call = self.next_call()
        wires = self.rng.sample(self.wires, self.rng.randint(*DUPLICATES))
        with self._executed_once():
            answers = self._run(call, wires)
            first = [answer for answer in answers if not answer.replayed]
            again = [self._until_final(call, *pair) for pair in zip(wires, answers, strict=True)]
        assert len([answer for answer in first if answer.status != 409]) == 1
        assert {(answer.status, answer.body) for answer in again} == {(200, again[0].body)}
        self.open, self.resting = call.effect(self.open, self.resting)
        self._note(json.loads(again[0].body))
        assert self.world.do(self._held) == (self.open, self.resting)

    def _run(self, call: Call, wires: list[HTTPConnection]) -> list[Answer]:
        pace = self.rng.choice((self._at_once, self._report_midway, self._report_late))
        return (pace if isinstance(self.connector, FarConnector) else self._at_once)(call, wires)

    def _at_once(self, call: Call, wires: list[HTTPConnection]) -> list[Answer]:
        for wire in wires:
            self.send(wire, call)
        return [self.hear(wire) for wire in wires]

    def _report_midway(self, call: Call, wires: list[HTTPConnection]) -> list[Answer]:
        """The terminal reports when some have joined, while the others are still coming."""
        early = self.rng.randint(1, len(wires))
        joined, handed = Spy(self.lane.retries, "_join"), Spy(self.connector, "hand_over")
        with self._silence(), joined, handed:
            for wire in wires[:early]:
                self.send(wire, call)
            joined.wait_for(early - 1)
            handed.wait_for(1)
        for wire in wires[early:]:
            self.send(wire, call)
        self._report()
        return [self.hear(wire) for wire in wires]

    def _report_late(self, call: Call, wires: list[HTTPConnection]) -> list[Answer]:
        """The terminal reports when all have given up waiting."""
        with self._silence(), Spy(self.connector, "hand_over") as handed:
            for wire in wires:
                self.send(wire, call, patient=False)
            handed.wait_for(1)
            answers = [self.hear(wire) for wire in wires]
        assert sorted({answer.status for answer in answers}) in ([200], [200, 409])
        self._report()
        return answers

    def _until_final(self, call: Call, wire: HTTPConnection, answer: Answer) -> Answer:
        """Ask again, after the time that the answer names, until it is final."""
        stands_open = answer.status == 409 or not answer.replayed
        if not stands_open:
            return answer
        self.world.clock.advance(1_000 * int(answer.retry_after_s or 0))
        self.send(wire, call)
        final = self.hear(wire)
        assert final.replayed
        assert not final.is_open, final
        return final

    @contextmanager
    def _silence(self) -> Iterator[None]:
        self.connector.silent = True
        yield
        self.connector.silent = False

    @contextmanager
    def _executed_once(self) -> Iterator[None]:
        before = len(self.connector.taken)
        yield
        taken = [request.command_id for _, request in self.connector.taken[before:]]
        assert len(taken) == 1, taken

    def _report(self) -> None:
        command_id, request = self.connector.taken[-1]
        report = self.world.do(lambda: self.connector.execute(request))
        self.world.run(self.lane.on_report(command_id, report))

    def _held(self) -> tuple[int, int]:
        """What the broker itself holds."""
        held = self.connector.broker.terminal_snapshot()
        return sum(p.volume for p in held.positions) // 1_000_000, len(held.orders)

    def _note(self, final: Any) -> None:
        if final.get("status") == "FILLED":
            self.position = final["position_id"]
        elif final.get("status") == "PLACED":
            self.order = final["id"]


def run_races(world: World, rng: Random, count: int) -> None:
    """Race on a broker in the process and on one outside it in turn."""
    courses = [Course(world, rng, kind) for kind in (NearConnector, FarConnector)]
    try:
        for number in range(count):
            world.clock.advance(MARKET_DEADLINE_MS / 1_000)  # the rate limits' buckets fill
            courses[number % 2].race()
    finally:
        for course in courses:
            course.close()


def test_a_thousand_races_execute_a_thousand_times(world: World, rng: Random) -> None:
    run_races(world, rng, 1_000)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_ten_thousand_races_execute_ten_thousand_times(world: World, rng: Random) -> None:
    run_races(world, rng, 10_000)
