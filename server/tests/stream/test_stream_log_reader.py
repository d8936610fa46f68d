"""One connection's way through a log, in 300 random interleavings of everything that can happen."""

import json
import random

import pytest

from fxsocket_server.channels.frames import Message
from fxsocket_server.gateway.changes import Event
from fxsocket_server.stream.log_reader import EventBatch, LogReader

ACC = "acc_1"
PAGE = 4
TYPES = ("order.pending", "order.filled", "deal.added", "position.opened", "balance.deposit")


class Logs:
    """A log that is committed first and published later, in order.

    When `far`, what was read arrives in a later turn, and publications may overtake it.
    """

    epoch = "ep"

    def __init__(self, turns: "Turns") -> None:
        self.rows: list[Event] = []
        self.published = 0
        self.broken = self.far = False
        self._turns = turns

    def commit(self, type_: str) -> None:
        seq = len(self.rows) + 1
        payload = b'"%b":{"n":%d}' % (type_.partition(".")[0].encode(), seq)
        self.rows.append(Event(ACC, seq, type_, seq, payload))

    def account(self, account_id: str) -> "Logs":
        return self

    @property
    def head(self) -> int:
        return self.published

    def read_events(self, account_id: str, after: int, limit: int, then) -> None:
        page = None if self.broken else self.rows[after : after + limit]
        if self.far:
            self._turns.after(0, lambda: then(page))
        else:
            then(page)


class Outlet:
    """A client that reads when it is told to."""

    def __init__(self) -> None:
        self.is_full = False
        self.is_closing = False
        self.frames: list[dict] = []
        self.code: int | None = None

    def queue(self, message: Message) -> None:
        self.send(message.plain)

    def flush(self) -> None:
        pass

    def send(self, frame: bytes) -> None:
        if not self.is_closing:
            self.frames.append(json.loads(frame))

    def close(self, code: int, reason: str) -> None:
        self.is_closing, self.code = True, code


class Turns:
    """Timers of 0 ms, run one by one."""

    def __init__(self) -> None:
        self.calls: list = []

    def after(self, ms: float, callback) -> "Turns":
        assert ms == 0
        self.calls.append(callback)
        return self

    def cancel(self) -> None:
        raise AssertionError("nothing cancels these")

    def run_one(self) -> None:
        if self.calls:
            self.calls.pop(0)()


class World:
    """A reader and all that can happen to it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.outlet, self.turns = Outlet(), Turns()
        self.logs = Logs(self.turns)
        self.reader = LogReader(self.outlet, self.logs, self.turns, PAGE)
        self.resumed_at: list[tuple[int, int]] = []  # (frames sent before, after)

    def commit(self) -> None:
        self.logs.commit(self.rng.choice(TYPES))

    def publish(self) -> None:
        end = self.rng.randint(self.logs.published, len(self.logs.rows))
        self.publish_up_to(end)

    def publish_up_to(self, end: int) -> None:
        rows = self.logs.rows[self.logs.published : end]
        self.logs.published = end
        if rows:
            self.reader.publish(EventBatch(ACC, "ep", rows))

    def turn(self) -> None:
        self.turns.run_one()

    def fill(self) -> None:
        self.outlet.is_full = True

    def drain(self) -> None:
        self.outlet.is_full = False
        self.reader.drained()

    def release(self) -> None:
        self.reader.release()

    def resume(self) -> None:
        after = self.rng.randint(0, len(self.logs.rows))
        self.resumed_at.append((len(self.outlet.frames), after))
        self.reader.resume(ACC, after, self.rng.choice((None, "ep")), len(self.resumed_at))

    def finish(self) -> None:
        """Let everything that is under way come to its end."""
        self.release()
        self.drain()
        while self.turns.calls:
            self.turn()
        self.publish_up_to(len(self.logs.rows))
        while self.turns.calls:
            self.turn()


def assert_complete(world: World, start: int, families: frozenset[str]) -> None:
    """Since the last resume (or the start) every entitled event came once, in order, chained."""
    begin, after = world.resumed_at[-1] if world.resumed_at else (0, start)
    frames = [frame for frame in world.outlet.frames[begin:] if "seq" in frame]
    rows = [row for row in world.logs.rows if row.type.partition(".")[0] in families]
    wanted = [row.seq for row in rows if row.seq > after]
    assert [frame["seq"] for frame in frames] == wanted
    assert [frame["prev_seq"] for frame in frames] == [after, *wanted][: len(wanted)]
    ends = [frame for frame in world.outlet.frames[begin:] if frame["type"] == "resumed"]
    if world.resumed_at:
        assert [(end["id"], end["after"]) for end in ends] == [(len(world.resumed_at), after)]
        at = world.outlet.frames.index(ends[0])
        before = [frame["seq"] for frame in world.outlet.frames[begin:at] if "seq" in frame]
        assert before == [seq for seq in wanted if seq <= ends[0]["head"]]


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("resumes", [0, 1, 3])
@pytest.mark.parametrize("case", range(100))
def test_once_in_order_and_without_a_hole(rng: random.Random, case: int, resumes: int, far: bool):
    world = World(rng)
    world.logs.far = far
    for _ in range(rng.randint(0, 30)):
        world.commit()
    world.logs.published = start = rng.randint(0, len(world.logs.rows))
    families = frozenset(("order", *rng.sample(("deal", "position"), rng.randint(0, 2))))
    world.reader.follow(ACC, families)
    steps = [world.commit, world.publish, world.turn] * 30 + [world.fill, world.drain] * 4
    steps += [world.release] * rng.randint(0, 1) + [world.resume] * resumes
    rng.shuffle(steps)
    for step in steps:
        step()
    world.finish()
    assert_complete(world, start, families)
    assert not world.outlet.is_closing


def test_no_page_is_sent_to_a_full_client(rng: random.Random):
    world = World(rng)
    for _ in range(20):
        world.logs.commit("order.filled")
    world.logs.published = 20
    world.fill()
    world.reader.resume(ACC, 0, None, "r")
    world.turn()
    assert world.outlet.frames == []
    world.drain()
    assert len(world.outlet.frames) == PAGE
    world.fill()
    world.turn()
    assert len(world.outlet.frames) == PAGE
    world.finish()
    assert [f["type"] for f in world.outlet.frames] == ["order_update"] * 20 + ["resumed"]


def test_only_one_page_goes_out_in_a_turn(rng: random.Random):
    world = World(rng)
    for _ in range(3 * PAGE):
        world.logs.commit("order.filled")
    world.logs.published = 3 * PAGE
    world.reader.resume(ACC, 0, None, "r")
    for pages in (1, 2, 3):
        assert len(world.outlet.frames) == pages * PAGE
        world.turn()
    assert world.outlet.frames[-1]["type"] == "resumed"
    assert world.turns.calls == []


def test_events_lost_by_the_bus_are_read_from_the_log(rng: random.Random):
    world = World(rng)
    world.release()
    for _ in range(10):
        world.logs.commit("order.filled")
    world.publish_up_to(2)
    world.logs.published = 7  # five publications never came
    world.publish_up_to(8)
    world.finish()
    assert [frame["seq"] for frame in world.outlet.frames] == list(range(1, 11))


def test_a_log_that_fails_in_the_middle_closes_with_a_code_that_says_come_again(
    rng: random.Random,
):
    world = World(rng)
    for _ in range(2 * PAGE):
        world.logs.commit("order.filled")
    world.logs.published = 2 * PAGE
    world.reader.resume(ACC, 0, None, "r")
    world.logs.broken = True
    world.turn()
    assert world.outlet.code == 4000
    assert [frame["seq"] for frame in world.outlet.frames] == list(range(1, PAGE + 1))
    world.finish()
    assert len(world.outlet.frames) == PAGE


def test_a_reset_forgets_a_resume_under_way(rng: random.Random):
    world = World(rng)
    for _ in range(3 * PAGE):
        world.logs.commit("order.filled")
    world.logs.published = 3 * PAGE
    world.reader.resume(ACC, 0, None, 1)
    world.reader.resume(ACC, 0, "other", 2)
    world.finish()
    kinds = [(frame["type"], frame.get("id")) for frame in world.outlet.frames]
    assert kinds == [("order_update", None)] * PAGE + [("reset", 2)]
    world.logs.commit("order.filled")
    world.publish_up_to(3 * PAGE + 1)
    assert world.outlet.frames[-1]["prev_seq"] == 3 * PAGE
