"""Folding facts: what a terminal tells becomes records and events, once however often it is told.

The facts are those of a real simulated broker that random requests and prices drive.
"""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import Profile
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.gateway.book import Book
from fxsocket_server.gateway.changes import AccountState, Change, Table
from fxsocket_server.gateway.recorder import Recorder, untagged
from fxsocket_server.model.enums import (
    Action,
    DealEntry,
    Filling,
    OrderStatus,
    OrderType,
    PositionStatus,
    TimeInForce,
)
from fxsocket_server.model.facts import DealFact, Fact, TradeRequest
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.settings import Settings

LOT = 10**8
START_MS = 1_767_571_200_000
PROFILE = load_profile("standard")
ACCOUNT = new_account(Settings(), PROFILE, "acc_1", "usr_1", 1, START_MS)

Group = tuple[Fact, ...]
Step = tuple[str, int, int]


class Books:
    """A recorder with what is committed, as a journal would have it."""

    def __init__(self) -> None:
        state = AccountState(
            epoch="e", head_seq=0, balance=0, credit=0, last_order_ticket=0,
            last_position_ticket=0, last_deal_ticket=0, orders=[], positions=[], checkpoint=None,
        )  # fmt: skip
        self.book = Book(state)
        ids = IdFactory(SplitMix64(1).bytes, ManualClock(START_MS).wall_ms)
        self.recorder = Recorder(ACCOUNT, self.book, ids, self._is_booked)
        self.orders: dict[str, Order] = {}
        self.positions: dict[str, Position] = {}
        self.deals: list[Deal] = []

    def _is_booked(self, table: Table, ticket: int) -> bool:
        rows: dict[str, Any] = {
            "orders": self.orders.values(),
            "positions": self.positions.values(),
            "deals": self.deals,
        }
        return any(row.ticket == ticket for row in rows[table])

    def fold(self, facts: Group, *, commit: bool = True) -> Change:
        """Fold a group of facts; `commit` makes it durable at once."""
        change = self.recorder.begin(START_MS)
        self.recorder.facts(change, facts)
        if commit:
            self.commit(change)
        return change

    def commit(self, change: Change) -> None:
        self.orders |= change.orders
        self.positions |= change.positions
        self.deals += change.deals
        self.book.drop_done(change)

    def now(self) -> tuple[Any, ...]:
        """All that is told of the account, but for when."""
        orders = [replace(order, updated_ms=0) for order in self.orders.values()]
        positions = [replace(position, updated_ms=0) for position in self.positions.values()]
        live = (sorted(self.book.orders), sorted(self.book.positions))
        return orders, positions, self.deals, self.book.balance, self.book.credit, live


# --- a broker that is driven at random -------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("buy", "sell", "close", "part", "limit", "stop", "stops", "move", "drop", "date")
        ),
        st.integers(0, 5),
        st.integers(-300, 300),
    ),
    max_size=30,
)


class Driven:
    """Turns random steps into requests and prices, and keeps the facts of each."""

    def __init__(self, profile: Profile = PROFILE, deposit: int = 1_000_000) -> None:
        terms = profile.terms(currency="USD", leverage=100, sessions_apply=False)
        self.broker = Broker(terms, {"EURUSD": profile.symbols["EURUSD"]})
        self.groups: list[Group] = [self.broker.deposit(deposit, START_MS, "Initial deposit")]
        self.time_ms = START_MS
        self.bid = 108_340
        self.tick(0)

    def tick(self, move: int) -> None:
        self.bid = max(50_000, self.bid + move)
        self.time_ms += 1_000
        self._keep(self.broker.on_tick("EURUSD", self.time_ms, self.bid, self.bid + 10))

    def _keep(self, facts: Group) -> None:
        if facts:
            self.groups.append(facts)

    def _ask(self, action: Action, **parts: Any) -> None:
        self.time_ms += 10
        request = TradeRequest(
            action=action, command_id="c", deadline_ms=0, symbol="EURUSD", **parts
        )
        self._keep(self.broker.request(request, self.time_ms).facts)

    def step(self, what: str, which: int, move: int) -> None:
        """One step; what the broker refuses leaves no fact."""
        held, resting = self.broker.snapshot().positions, self.broker.snapshot().orders
        if what in ("buy", "sell"):
            type_ = OrderType.BUY if what == "buy" else OrderType.SELL
            self._ask(Action.DEAL, type=type_, volume=(which + 1) * 2_000_000, magic=which)
        elif what in ("close", "part") and held:
            position = held[which % len(held)]
            self._ask(
                Action.DEAL,
                type=OrderType(position.side.opposite.value),
                volume=position.volume if what == "close" else 1_000_000,
                position_ticket=position.ticket,
            )
        elif what in ("limit", "stop"):
            self._ask(
                Action.PENDING,
                type=OrderType.BUY_LIMIT if what == "limit" else OrderType.BUY_STOP_LIMIT,
                price=self.bid - abs(move) - 5 if what == "limit" else self.bid + abs(move) + 15,
                stop_limit=None if what == "limit" else self.bid - 20,
                volume=2_000_000,
                filling=Filling.RETURN,
                time_in_force=TimeInForce.SPECIFIED if which == 0 else TimeInForce.GTC,
                expires_ms=self.time_ms + 5_000 if which == 0 else None,
            )
        elif what == "stops" and held:
            position = held[which % len(held)]
            self._ask(Action.SLTP, position_ticket=position.ticket, sl=self.bid - abs(move) - 20)
        elif what == "drop" and resting:
            self._ask(Action.REMOVE, order_ticket=resting[which % len(resting)].ticket)
        elif what == "date" and resting:
            order = resting[which % len(resting)]
            dated = which % 2 == 1
            self._ask(
                Action.MODIFY,
                order_ticket=order.ticket,
                time_in_force=TimeInForce.SPECIFIED if dated else TimeInForce.GTC,
                expires_ms=self.time_ms + 9_000 if dated else None,
            )
        self.tick(move)


def driven(steps: list[Step], profile: Profile = PROFILE, deposit: int = 1_000_000) -> Driven:
    run = Driven(profile, deposit)
    for step in steps:
        run.step(*step)
    return run


# --- properties ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(STEPS)
@example([("limit", 1, 100), ("date", 1, 0)])
@example([("stop", 1, 10), ("move", 0, 30), ("drop", 0, 0)])
def test_the_records_are_what_the_broker_holds(steps: list[Step]) -> None:
    run, books = driven(steps), Books()
    for group in run.groups:
        books.fold(group)
    snapshot = run.broker.snapshot()
    live = {order.ticket: order for order in books.book.orders.values()}
    assert sorted(live) == [order.ticket for order in snapshot.orders]  # type: ignore[type-var]
    for fact in snapshot.orders:
        order = live[fact.ticket]
        assert order.status is OrderStatus.PLACED
        told = (order.type, order.requested_price, order.stop_limit_price, order.volume)
        assert told == (fact.type, fact.price, fact.stop_limit, fact.volume)
        assert (order.time_in_force, order.expires_ms) == (fact.time_in_force, fact.expires_ms)
    held = {position.ticket: position for position in books.book.positions.values()}
    assert sorted(held) == [position.ticket for position in snapshot.positions]
    for fact_ in snapshot.positions:
        position = held[fact_.ticket]
        told_ = (position.volume, position.open_price, position.sl, position.tp)
        assert told_ == (fact_.volume, fact_.open_price, fact_.sl, fact_.tp)
    assert (
        books.book.balance
        == snapshot.balance
        == sum(deal.profit + deal.swap + deal.commission + deal.fee for deal in books.deals)
    )


@settings(max_examples=60)
@given(STEPS)
def test_a_position_is_the_sum_of_its_deals(steps: list[Step]) -> None:
    run, books = driven(steps), Books()
    for group in run.groups:
        books.fold(group)
    for position in books.positions.values():
        deals = [deal for deal in books.deals if deal.position_id == position.id]
        entered = sum(deal.volume for deal in deals if deal.entry is DealEntry.IN)
        left = [deal for deal in deals if deal.entry is DealEntry.OUT]
        assert position.volume == entered - sum(deal.volume for deal in left)
        assert position.closed_volume == sum(deal.volume for deal in left)
        assert position.profit == sum(deal.profit for deal in left)
        assert (position.status is PositionStatus.CLOSED) == (position.volume == 0)
        assert {deal.order_id for deal in deals} <= set(books.orders)


@settings(max_examples=60)
@given(STEPS, st.lists(st.booleans(), min_size=31, max_size=31))
def test_telling_a_group_again_changes_nothing(steps: list[Step], commits: list[bool]) -> None:
    """Whether or not the first telling is durable when the second comes."""
    books = Books()
    for number, group in enumerate(driven(steps).groups):
        commit = commits[number % len(commits)]
        first = books.fold(group, commit=commit)
        assert first.events
        again = books.fold(group, commit=False)
        assert (again.events, again.orders, again.positions, again.deals) == ([], {}, {}, [])
        assert again.balance is None
        if not commit:
            books.commit(first)


@settings(max_examples=60)
@given(STEPS, st.integers(0, 100))
def test_telling_the_last_groups_again_ends_where_it_was(steps: list[Step], start: int) -> None:
    """As a terminal does that was cut off before it heard what had arrived."""
    groups, books = driven(steps).groups, Books()
    for group in groups:
        books.fold(group)
    before = books.now()
    for group in groups[start % len(groups) :]:
        books.fold(group)
    assert books.now() == before


@settings(max_examples=30)
@given(STEPS)
def test_events_are_numbered_without_a_hole(steps: list[Step]) -> None:
    books = Books()
    changes = [books.fold(group) for group in driven(steps).groups]
    events = [event for change in changes for event in change.events]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert books.book.head_seq == len(events)
    for change in changes:
        told = [event for event in change.events if event.type.startswith("deal.")]
        assert len(told) == len([deal for deal in change.deals if deal.entry is not None])


# --- by hand ---------------------------------------------------------------------------------


def test_an_order_of_ours_takes_its_ticket_from_the_first_fact() -> None:
    run, books = Driven(), Books()
    books.fold(run.groups[0])
    intent = Order(
        id="ord_mine", user_id="usr_1", account_id="acc_1", client_order_id="c1", symbol="EURUSD",
        digits=5, type=OrderType.BUY, status=OrderStatus.PENDING, volume=LOT // 50,
        filling=Filling.FOK, comment="the whole of a long comment", tag="~0123456789 ",
        created_ms=START_MS, updated_ms=START_MS,
    )  # fmt: skip
    run.step("buy", 0, 0)
    change = books.recorder.begin(START_MS)
    books.recorder.order(change, intent)
    books.recorder.facts(change, run.groups[1], intent.id)
    books.commit(change)
    assert [event.type for event in change.events] == [
        "order.pending", "order.filled", "deal.added", "position.opened",
    ]  # fmt: skip
    order = change.orders["ord_mine"]
    assert (order.status, order.ticket) == (OrderStatus.FILLED, 1_000_001)
    assert (order.client_order_id, order.comment) == ("c1", intent.comment)
    [position] = change.positions.values()
    assert (position.order_id, order.position_id) == ("ord_mine", position.id)
    assert change.deals[0].order_id == "ord_mine"


def test_a_deal_that_is_not_durable_yet_is_booked_once() -> None:
    run, books = Driven(), Books()
    run.step("buy", 0, 0)
    change = books.fold(run.groups[1], commit=False)
    deal = [fact for fact in run.groups[1] if isinstance(fact, DealFact)]
    assert books.fold(tuple(deal), commit=False).deals == []
    books.commit(change)
    assert books.book.new_deals == set()
    assert books.fold(tuple(deal)).deals == []


@pytest.mark.parametrize(("begin", "end"), [("buy", "close"), ("limit", "drop")])
def test_what_is_done_stays_done_before_it_is_durable(begin: str, end: str) -> None:
    run, books = Driven(), Books()
    run.step(begin, 1, 100)
    run.step(end, 0, 0)
    first, last = run.groups[1:]
    books.fold(first)
    waiting = books.fold(last, commit=False)
    assert books.fold(first, commit=False).events == []
    books.commit(waiting)
    assert books.book.orders == {}
    assert books.book.positions == {}


@pytest.mark.parametrize(
    ("comment", "shown"),
    [
        ("~0123456789 mine", "mine"),
        ("~0123456789 ", ""),
        ("~0123456789", "~0123456789"),
        ("mine", "mine"),
        ("", ""),
        ("[sl 1.07200]", "[sl 1.07200]"),
    ],
)
def test_our_tag_is_not_shown(comment: str, shown: str) -> None:
    assert untagged(comment) == shown
