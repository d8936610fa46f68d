"""The order in which the facts of one delivery are booked, whatever order they were told in."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from fxsocket_server.model.facts import BalanceFact, DealFact, Fact, OrderFact, PositionFact

_RANKS: dict[type[Fact], int] = {OrderFact: 0, DealFact: 1, PositionFact: 2, BalanceFact: 3}


def in_booking_order(facts: tuple[Fact, ...], is_new: Callable[[DealFact], bool]) -> Iterable[Fact]:
    """Orders, new deals, positions, balance; a deal finds its position as it was before.

    Versions of one thing are told in their order, since nothing in them says which is newer; only
    the last one counts, unless a new deal came between. So a delivery that is told again, whose
    deals are not new, goes over nothing again.
    """
    if _is_plain(facts):
        return facts
    orders = dict.fromkeys(fact for fact in facts if isinstance(fact, OrderFact))
    deals = {fact for fact in facts if isinstance(fact, DealFact) and is_new(fact)}
    positions = dict.fromkeys(fact for fact in facts if isinstance(fact, PositionFact))
    balances = [fact for fact in facts if isinstance(fact, BalanceFact)]
    return [
        *sorted(orders, key=_ticket),
        *_deals_and_positions(sorted(deals, key=_ticket), sorted(positions, key=_ticket)),
        *balances[-1:],
    ]


def _is_plain(facts: tuple[Fact, ...]) -> bool:
    """Whether there is one of each kind at most, in order: what nearly every order tells."""
    last = -1
    for fact in facts:
        rank = _RANKS[type(fact)]
        if rank <= last:
            return False
        last = rank
    return True


def _ticket(fact: OrderFact | DealFact | PositionFact) -> int:
    return fact.ticket


def _deals_and_positions(deals: list[DealFact], positions: list[PositionFact]) -> list[Fact]:
    """Deals, with the version of a position that a deal found put before it.

    Each deal makes a version of its position; what is above their number was there before.
    """
    booked: list[Fact] = []
    versions: dict[int | None, list[PositionFact]] = defaultdict(list)
    for fact in positions:
        versions[fact.ticket].append(fact)
    to_come = Counter(deal.position_ticket for deal in deals)
    for deal in deals:
        waiting = versions[deal.position_ticket]
        earlier = max(len(waiting) - to_come[deal.position_ticket], 0)
        booked += [*waiting[:earlier][-1:], deal]
        del waiting[:earlier]
        to_come[deal.position_ticket] -= 1
    return [*booked, *(version for waiting in versions.values() for version in waiting[-1:])]
