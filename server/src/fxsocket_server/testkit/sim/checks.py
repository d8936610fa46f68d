"""The promises, held against what a world left: its journal, its brokers, its clients' answers."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from fxsocket_server.gateway.changes import OrderQuery
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.ports import Unreachable
from fxsocket_server.model.enums import DealEntry, DealType, Platform, PositionStatus
from fxsocket_server.model.facts import TerminalSnapshot
from fxsocket_server.model.records import Position
from fxsocket_server.storage.journal.audit.run import audit
from fxsocket_server.storage.terminal_ledger import TerminalLedger
from fxsocket_server.testkit.http_client import Reply
from fxsocket_server.testkit.sim.against_ledger import against_ledger
from fxsocket_server.testkit.sim.case import Case, MadeBy
from fxsocket_server.testkit.sim.deeds import Deed, is_known, is_stored

if TYPE_CHECKING:
    from fxsocket_server.testkit.sim.world import World

_ALL = 1_000_000
_CLOSING = (DealEntry.OUT, DealEntry.OUT_BY)
_TRIES = 3
_RECONNECT_S = 30
_NEXT = {
    None: {"PENDING", "PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED"},
    "PENDING": {"PENDING", "PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED",
                "EXPIRED", "UNKNOWN"},
    "PLACED": {"PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "REJECTED"},
    "PARTIALLY_FILLED": {"PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"},
    "UNKNOWN": {"UNKNOWN", "PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED",
                "EXPIRED"},
}  # fmt: skip


async def _case(world: "World", lane: Lane, ledger: TerminalLedger | None) -> Case:
    deeds = [d for bot in world.bots for d in bot.deeds if d.account_id == lane.account.id]
    held = await _held(lane)
    await lane.settled()
    query = OrderQuery(account_id=lane.account.id, limit=_ALL)
    orders = {order.id: order for _, order in lane.journal.orders(query)}
    deals = sorted((deal for _, deal in lane.journal.deals(query)), key=lambda d: d.ticket)
    events = lane.journal.events(lane.account.id, 0, _ALL)
    commands = world.server.program.journal.commands_of_orders(lane.account.id)
    made_by = {order_id: MadeBy(*command) for order_id, command in commands.items()}
    begun = set() if ledger is None else set(ledger.begun())
    return Case(lane, deeds, events, orders, deals, made_by, begun, held, world.plan.loses_answers)


async def _held(lane: Lane) -> TerminalSnapshot:
    """What the terminal holds; a session of before the healing may still have to be found dead."""
    for _ in range(_TRIES):
        with suppress(Unreachable):
            return await lane.connector.snapshot()
        await asyncio.sleep(_RECONNECT_S)
    return await lane.connector.snapshot()


async def check_world(world: "World") -> None:
    """Hold the promises against the world as it stands now, and note what is broken."""
    for bot in world.bots:
        for deed in [deed for deed in bot.deeds if deed.final and is_stored(deed.final)]:
            if bot.would_ask_again() and not _is_same(deed, await bot.ask_again(deed)):
                world.wrong(
                    "I2", f"{deed.label} was answered, and is not again: {deed.replies[-1]}"
                )
    for lane in world.server.program.lanes():
        terminal = world.terminals.get(lane.account.id)
        ledger = None if terminal is None else terminal.program.ledger
        case = await _case(world, lane, ledger)
        found = [(invariant, detail) for invariant, check in _CHECKS for detail in check(case)]
        if ledger is not None:
            found += against_ledger(case, ledger)
        for invariant, detail in found:
            world.wrong(invariant, f"{lane.account.id}: {detail}")
        _check_told(world, case)
    for finding in audit(world.disk.journal_path, lambda *_: None).findings:
        world.wrong("I9", f"the journal's audit finds: {finding}")


def _is_same(deed: Deed, again: Reply | None) -> bool:
    """Whether a settled command was answered again as it had been, where an outcome was told."""
    if again is None or deed.final is None:
        return False
    told_outcome = is_known(deed.final) and not (deed.changes_stops and deed.final.status == 200)
    return again.status == deed.final.status or not told_outcome


def _check_told(world: "World", case: Case) -> None:
    """What was published stays true after every crash."""
    held = {(event.account_id, event.seq): event for event in case.events}
    for place, event in world.told.items():
        if place[0] == case.lane.account.id and held.get(place) != event:
            world.wrong("I7", f"seq {place[1]} {event.type} was told, but is not in the journal")


def _once(case: Case) -> Iterator[str]:
    """I1: a deed was executed at most once; each order carries a magic number to the broker."""
    placed = Counter(order.magic for order in case.came_of("order.place"))
    wanted = Counter(magic for deed in case.deeds for magic in deed.magics)
    reversed_ = Counter(_subject(deed) for deed in case.deeds if deed.path.endswith("/reverse"))
    for position_id, count in reversed_.items():
        wanted[_magic_of(case, position_id)] += count  # the other side has the same number
    for magic, count in placed.items():
        if count > wanted[magic]:
            yield f"{count} orders have the magic {magic}, {wanted[magic]} were wanted"


def _closed_once(case: Case) -> Iterator[str]:
    """I1: no position or filled order was closed more often than somebody asked for it."""
    closing_orders = case.came_of("position.close") + case.came_of("order.cancel")
    closed = Counter(
        case.made_by[order.id].subject_id for order in closing_orders if order.filled_volume
    )
    for subject_id, count in closed.items():
        asked = sum(_may_close(deed, subject_id) for deed in case.deeds)
        if count > asked:
            yield f"{subject_id} was closed {count} times by {asked} commands"


def _may_close(deed: Deed, subject_id: str) -> bool:
    """Whether a deed may close a position or filled order once."""
    if deed.method == "PATCH":
        return False
    return deed.path.endswith("/close-all") or _subject(deed) == subject_id


def _subject(deed: Deed) -> str:
    """The id in a deed's path."""
    return deed.path.partition("?")[0].removesuffix("/reverse").rpartition("/")[2]


def _magic_of(case: Case, position_id: str) -> int:
    position = case.lane.journal.position(case.lane.account.id, position_id)
    return 0 if position is None else position.magic


def _honest(case: Case) -> Iterator[str]:
    """I1: two equal orders without a key whose answers both arrived are two orders.

    Where answers can be lost after they were written, the guard may take the second for a retry.
    """
    if case.loses_answers:
        return
    answered: dict[tuple[int, str], list[str]] = {}
    for deed in case.deeds:
        if deed.key is None and deed.places and deed.was_done:
            answered.setdefault((deed.number, deed.bot), []).append(deed.view["id"])
    for (magic, _), ids in answered.items():
        if len(set(ids)) != len(ids):
            yield f"two orders like {magic} were wanted, one was made: {ids}"


def _answers(case: Case) -> Iterator[str]:
    """I5: no wrong answers. What was said to be done is, what was refused is not."""
    executed = Counter(o.magic for o in case.came_of("order.place") if o.filled_volume)
    for deed in case.deeds:
        if not deed.places or deed.final is None:
            continue
        (magic,) = deed.magics
        if deed.final.status != 200:
            if executed[magic] and deed.key is not None:
                yield f"{deed.label} was refused with {deed.final.body!r}, but executed"
            continue
        order = case.orders.get(deed.view["id"])
        if order is None:
            yield f"{deed.label} was answered {deed.view['id']}, which does not exist"
        elif deed.view["status"] == "FILLED" and not order.filled_volume:
            yield f"{deed.label} was said to be filled, and is not: {order}"
        elif deed.view["status"] == "REJECTED" and executed[magic] and deed.key is not None:
            yield f"{deed.label} was said to be rejected, but executed"


def _closes(case: Case) -> Iterator[str]:
    """I5: a close was answered with what its deals closed."""
    volumes: Counter[str] = Counter()
    for deal in case.deals:
        if deal.entry in _CLOSING and deal.order_id is not None:
            volumes[deal.order_id] += deal.volume
    for deed in case.deeds:
        view = deed.view if deed.method == "DELETE" and deed.was_done and deed.key else {}
        if view.get("close_order_id") and not view["already"]:
            closed = round(view["closed_volume"] * 10**8)
            if closed != volumes[view["close_order_id"]]:
                yield f"{deed.label} was said to close {closed}: {view}, {volumes}"


def _settles(case: Case) -> Iterator[str]:
    """Liveness: a client with a key hears of every outcome that there is."""
    for deed in case.deeds:
        if deed.key is not None and deed.gave_up and not case.begun:
            yield f"{deed.label} never had a final answer: {deed.replies[-1:]}"


def _same_answers(case: Case) -> Iterator[str]:
    """I2: every final answer to one key is the same.

    A position's answer does not say whether its stops have been moved, or how it stands meanwhile.
    """
    for deed in case.deeds:
        if deed.method == "PATCH" and deed.path.startswith("/v1/positions/"):
            continue
        bodies = {(r.status, r.body) for r in deed.replies if is_stored(r) and is_known(r)}
        if len(bodies) > 1:
            yield f"{deed.label} was answered in {len(bodies)} ways: {sorted(bodies)}"


def _deals_told(case: Case) -> Iterator[str]:
    """I6: every deal is one event, in the broker's order."""
    told = [content["deal"]["ticket"] for _, content in case.told if "deal" in content]
    if told != [deal.ticket for deal in case.deals]:
        yield f"deals {[d.ticket for d in case.deals]} were told as {told}"
    if len(set(told)) != len(told):
        yield f"a deal was told twice: {told}"


def _gapless(case: Case) -> Iterator[str]:
    """I7: the log is numbered 1, 2, 3..."""
    seqs = [event.seq for event in case.events]
    if seqs != list(range(1, len(seqs) + 1)):
        yield f"the log's numbers have a hole: {seqs}"
    if case.lane.published_seq != len(seqs):
        yield f"published up to {case.lane.published_seq}, but the log has {len(seqs)} events"


def _sums(case: Case) -> Iterator[str]:
    """I8: positions and balance are the sums of their deals, in journal and broker."""
    paid = [deal for deal in case.deals if deal.type is not DealType.CREDIT]
    balance = sum(deal.profit + deal.swap + deal.commission + deal.fee for deal in paid)
    if balance != case.lane.book.balance:
        yield f"balance is {case.lane.book.balance}, the deals sum up to {balance}"
    booked = {p.id: p.volume for p in case.lane.book.positions.values() if _is_open(p)}
    if case.lane.account.platform != Platform.MT4:  # there a rest is a position without a deal
        yield from _volumes(case, booked)
    at_broker = {position.ticket: position.volume for position in case.held.positions}
    if at_broker != {p.ticket: p.volume for p in case.lane.book.positions.values() if _is_open(p)}:
        yield f"the broker holds {at_broker}, booked {booked}"
    if case.held.balance != case.lane.book.balance:
        yield f"the broker's balance is {case.held.balance}, booked {case.lane.book.balance}"


def _volumes(case: Case, booked: dict[str, int]) -> Iterator[str]:
    bought: Counter[str] = Counter()
    for deal in case.deals:
        if deal.position_id is not None:
            bought[deal.position_id] += deal.volume * (1 if deal.type is DealType.BUY else -1)
    open_now = {position_id: abs(volume) for position_id, volume in bought.items() if volume}
    if open_now != booked:
        yield f"open by the deals {open_now}, booked {booked}"


def _is_open(position: Position) -> bool:
    return position.status is PositionStatus.OPEN


def _transitions(case: Case) -> Iterator[str]:
    """I11: order states follow each other only as listed, and replay to the record."""
    states: dict[str, str] = {}
    for type_, content in case.told:
        order = content.get("order")
        if order is None:
            continue
        before = states.get(order["id"])
        if order["status"] not in _NEXT.get(before, set()) and type_ != "order.corrected":
            yield f"{order['id']} went from {before} to {order['status']} by {type_}"
        states[order["id"]] = order["status"]
    records_say = {order.id: order.status.value for order in case.orders.values()}
    if states != records_say:
        yield f"the events end with {states}, the records with {records_say}"


def _settled(case: Case) -> Iterator[str]:
    """Liveness: once all is well, no command is left without an outcome."""
    for order in case.orders.values():
        if order.status.value == "PENDING":
            yield f"{order.id} is still PENDING"
    for command in case.lane.journal.open_commands(case.lane.account.id):
        if command.plan is not None:
            continue  # its legs stand on their own: whoever comes back finds them one by one
        if command.request is None or command.request.tag not in case.begun:
            yield f"the command {command.kind} {command.key} has no outcome"
    for order in case.orders.values():
        if order.status.value == "UNKNOWN" and order.tag not in case.begun:
            yield f"{order.id} is UNKNOWN, but its terminal knows what became of it"


_CHECKS = (
    ("I1", _once),
    ("I1", _closed_once),
    ("I1", _honest),
    ("I2", _same_answers),
    ("I5", _answers),
    ("I5", _closes),
    ("liveness", _settles),
    ("I6", _deals_told),
    ("I7", _gapless),
    ("I8", _sums),
    ("I11", _transitions),
    ("liveness", _settled),
)
