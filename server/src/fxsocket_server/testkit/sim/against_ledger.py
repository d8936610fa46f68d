"""A journal held against the terminal's own ledger, which knows nothing of the server."""

from collections.abc import Iterator

from fxsocket_server.model.facts import OrderFact
from fxsocket_server.model.records import Order
from fxsocket_server.storage.terminal_ledger import TerminalLedger, tag_in
from fxsocket_server.testkit.sim.case import Case

Found = tuple[str, str]  # invariant, detail


def against_ledger(case: Case, ledger: TerminalLedger) -> list[Found]:
    """Where the journal and the terminal's ledger differ."""
    return [
        *_orders(case, ledger),
        *_tags(ledger),
        *_deals(case, ledger),
        *_positions(case, ledger),
    ]


def _orders(case: Case, ledger: TerminalLedger) -> Iterator[Found]:
    """I3, I5: each of the terminal's orders is one of the journal's, and stands there as it is."""
    booked = {order.ticket: order for order in case.orders.values() if order.ticket}
    for fact in ledger.orders():
        order = booked.pop(fact.ticket, None)
        if order is None:
            yield "I5", f"the terminal's order {fact.ticket} {fact.status} is not in the journal"
            continue
        if _differs(order, fact):
            yield (
                "I5",
                f"{order.id} is {order.status} {order.filled_volume} in the journal,"
                f" {fact.status} {fact.filled_volume} at the terminal",
            )
        if tag_in(fact.comment) and not order.tag:
            yield "I3", f"the terminal's order {fact.ticket} has a tag that was never journalled"
    for order in booked.values():
        yield "I5", f"{order.id} {order.status} has ticket {order.ticket}, unknown at the terminal"


def _differs(order: Order, fact: OrderFact) -> bool:
    return (order.status, order.filled_volume) != (fact.status, fact.filled_volume)


def _tags(ledger: TerminalLedger) -> Iterator[Found]:
    """I1: no tag was carried out twice."""
    tags = [tag_in(fact.comment) for fact in ledger.orders()]
    for tag in {tag for tag in tags if tag and tags.count(tag) > 1}:
        yield "I1", f"{tag} was carried out {tags.count(tag)} times"


def _deals(case: Case, ledger: TerminalLedger) -> Iterator[Found]:
    """I6: the journal has every deal of the terminal, and no other."""
    booked = [(d.ticket, d.volume, d.price, d.profit, d.commission) for d in case.deals]
    done = [(d.ticket, d.volume, d.price, d.profit, d.commission) for d in ledger.deals()]
    if booked != done:
        lost = sorted(set(done) - set(booked))
        yield "I6", f"deals lost {lost}, invented {sorted(set(booked) - set(done))}"


def _positions(case: Case, ledger: TerminalLedger) -> Iterator[Found]:
    """I8: the same positions are open, and the money is the same."""
    held = {p.ticket: (p.side, p.volume, p.sl, p.tp) for p in ledger.positions(only_open=True)}
    booked = {
        p.ticket: (p.side, p.volume, p.sl, p.tp)
        for p in case.lane.book.positions.values()
        if p.volume
    }
    if held != booked:
        yield "I8", f"the terminal holds {held}, booked {booked}"
    if ledger.money[0] != case.lane.book.balance:
        yield "I8", f"the terminal's balance is {ledger.money[0]}, booked {case.lane.book.balance}"
