"""I12: what listeners heard over all their reconnects, held against the journal's logs."""

from typing import TYPE_CHECKING

from fxsocket_server.gateway.lane import Lane
from fxsocket_server.testkit.sim.listener import FAMILIES, Listener

if TYPE_CHECKING:
    from fxsocket_server.testkit.sim.world import World

_ALL = 1_000_000


def told_of(lane: Lane) -> list[tuple[int, str]]:
    """Number and type of every event of a log that the stream tells."""
    events = lane.journal.events(lane.account.id, 0, _ALL)
    return [(e.seq, e.type) for e in events if e.type.partition(".")[0] in FAMILIES]


def last_told(lane: Lane) -> int:
    """The number of the last of them."""
    told = told_of(lane)
    return told[-1][0] if told else 0


def check_heard(world: "World") -> None:
    """Every listener must have heard every event, once and in order."""
    for listener in world.listeners:
        for lane in world.server.program.lanes():
            _check(world, listener, lane)


def _check(world: "World", listener: Listener, lane: Lane) -> None:
    told, heard = told_of(lane), listener.heard[lane.account.id].events
    if told != heard:
        missed, doubled = set(told) - set(heard), len(heard) - len(set(heard))
        world.wrong(
            "I12",
            f"{listener.name} {lane.account.id}: missed {sorted(missed)[:5]}, {doubled} twice,"
            f" invented {sorted(set(heard) - set(told))[:5]}",
        )
