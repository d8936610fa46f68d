"""An event cursor: filters, holes, and the seam between a log and its live publications."""

import random

import pytest
from msgspec import Struct

from fxsocket_server.channels.event_log import EventCursor, LogHole

LIMIT = 3
ORDERS = frozenset(("order",))
ALL = frozenset(("order", "deal", "position"))
TYPES = ("order.filled", "order.pending", "deal.added", "position.opened", "balance.deposit")


class Row(Struct, frozen=True):
    seq: int
    type: str


def rows(*seqs: int, type_: str = "order.filled") -> list[Row]:
    return [Row(seq, type_) for seq in seqs]


def seqs(passed: list[tuple[Row, int]]) -> list[tuple[int, int]]:
    return [(row.seq, prev_seq) for row, prev_seq in passed]


def test_a_live_cursor_passes_each_event_once_with_the_one_before_it():
    cursor: EventCursor[Row] = EventCursor(4, live=True)
    assert seqs(cursor.publish(rows(5, 6), ORDERS)) == [(5, 4), (6, 5)]
    assert cursor.publish(rows(5, 6), ORDERS) == []
    assert seqs(cursor.publish(rows(6, 7), ORDERS)) == [(7, 6)]


def test_a_filter_is_not_a_hole():
    cursor: EventCursor[Row] = EventCursor(0, live=True)
    mixed = [Row(seq, type_) for seq, type_ in enumerate(TYPES, 1)]
    assert seqs(cursor.publish(mixed, ORDERS)) == [(1, 0), (2, 1)]
    assert seqs(cursor.publish(rows(6), ORDERS)) == [(6, 2)]
    assert cursor.position == 6


def test_a_hole_in_what_is_published_leaves_the_cursor_behind():
    cursor: EventCursor[Row] = EventCursor(0, live=True)
    assert seqs(cursor.publish(rows(1, 3), ORDERS)) == [(1, 0)]
    assert not cursor.live
    assert cursor.publish(rows(2), ORDERS) == []
    assert seqs(cursor.read(rows(2, 3), LIMIT, cursor.heard, ORDERS)) == [(2, 1), (3, 2)]
    assert cursor.live


def test_what_is_published_while_a_page_is_on_its_way_keeps_the_cursor_behind():
    cursor: EventCursor[Row] = EventCursor(0, live=False)
    heard = cursor.heard
    assert cursor.publish(rows(3), ORDERS) == []
    assert seqs(cursor.read(rows(1, 2), LIMIT, heard, ORDERS)) == [(1, 0), (2, 1)]
    assert not cursor.live
    assert seqs(cursor.read(rows(3), LIMIT, cursor.heard, ORDERS)) == [(3, 2)]
    assert cursor.live


def test_a_log_that_does_not_hold_what_was_published_has_a_hole():
    cursor: EventCursor[Row] = EventCursor(0, live=False)
    cursor.publish(rows(3), ORDERS)
    with pytest.raises(LogHole):
        cursor.read([], LIMIT, cursor.heard, ORDERS)


def test_a_full_page_is_not_the_end_and_a_short_one_is():
    cursor: EventCursor[Row] = EventCursor(0, live=False)
    cursor.read(rows(1, 2, 3), LIMIT, cursor.heard, ORDERS)
    assert not cursor.live
    cursor.read([], LIMIT, cursor.heard, ORDERS)
    assert cursor.live


def test_a_log_that_lost_its_beginning_says_so():
    cursor: EventCursor[Row] = EventCursor(4, live=False)
    with pytest.raises(LogHole, match="does not hold event 5"):
        cursor.read(rows(6, 7), LIMIT, cursor.heard, ORDERS)


def test_rewinding_begins_a_new_chain():
    cursor: EventCursor[Row] = EventCursor(9, live=True)
    cursor.rewind(2)
    assert cursor.publish(rows(10), ORDERS) == []
    assert seqs(cursor.read(rows(3, 4), LIMIT, cursor.heard, ORDERS)) == [(3, 2), (4, 3)]


class World:
    """A log that commits before it publishes, and one cursor on it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.log: list[Row] = []
        self.published = 0
        self.families = rng.choice((ORDERS, ALL, frozenset(("order", "deal"))))
        self.got: list[tuple[int, int]] = []

    def commit(self) -> None:
        for _ in range(self.rng.randint(1, 5)):
            self.log.append(Row(len(self.log) + 1, self.rng.choice(TYPES)))

    def publish(self, cursor: EventCursor[Row], *, lossy: bool, all_: bool = False) -> None:
        end = len(self.log) if all_ else self.rng.randint(self.published, len(self.log))
        batch = self.log[self.published : end]
        self.published = end
        if not (lossy and self.rng.random() < 0.3):
            self.got += seqs(cursor.publish(batch, self.families))

    def read(self, cursor: EventCursor[Row]) -> None:
        if not cursor.live:
            page = self.log[cursor.position : cursor.position + LIMIT]
            self.got += seqs(cursor.read(page, LIMIT, cursor.heard, self.families))

    def wanted_above(self, after: int) -> list[int]:
        rows = [row for row in self.log if row.type.partition(".")[0] in self.families]
        return [row.seq for row in rows if row.seq > after]


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("case", range(150))
def test_resume_meets_live_publication_without_hole_or_double(
    rng: random.Random, case: int, lossy: bool
):
    """Commits, late (or lost) publications and page reads in any order; then all of it arrived."""
    world = World(rng)
    for _ in range(rng.randint(0, 6)):
        world.commit()
    world.published = rng.randint(0, len(world.log))
    after = rng.randint(0, len(world.log))
    cursor: EventCursor[Row] = EventCursor(world.published, live=True)
    cursor.rewind(after)
    for _ in range(rng.randint(5, 60)):
        step = rng.choice((world.commit, world.publish, world.read))
        if step == world.commit:
            world.commit()
        elif step == world.publish:
            world.publish(cursor, lossy=lossy)
        else:
            world.read(cursor)
    if lossy:
        world.commit()  # the next event reveals what is lost
        world.got += seqs(cursor.publish(world.log[-1:], world.families))
        world.published = len(world.log)
    while not cursor.live:
        world.read(cursor)
    world.publish(cursor, lossy=False, all_=True)
    wanted = world.wanted_above(after)
    assert [seq for seq, _ in world.got] == wanted
    assert [prev_seq for _, prev_seq in world.got] == [after, *wanted][: len(wanted)]
