"""A seed's configuration: how many of what, and which faults may strike."""

from msgspec import Struct

from fxsocket_server.testkit.rng import Chance

FAULTS = (
    "crash",  # the server dies at any step
    "crash_at_point",  # the server dies at a named point of the order path
    "cut",  # a connection breaks
    "swallow",  # a connection becomes a black hole
    "slow_net",
    "split",  # writes arrive in pieces
    "slow_disk",
    "full_disk",
    "failing_disk",
    "wall_clock",  # somebody sets the machine's clock
    "terminal_crash",
    "terminal_crash_at_point",
    "broker_fault",  # the terminal's broker delays, refuses, loses replies, freezes...
)
POINTS = ("after_intent", "before_hand_over", "after_hand_over", "after_broker", "after_commit")
TERMINAL_POINTS = ("before_start", "after_start", "after_execute", "after_done", "after_reply")
_UNGUARDED = frozenset({"swallow", "slow_net", "wall_clock"})


class Plan(Struct, frozen=True):
    """What a world is made of; every seed enables a random subset of the faults."""

    accounts: int
    terminals: int
    bots: int
    deeds: int
    pause_s: float
    chaos_s: float
    gap_s: float
    faults: tuple[str, ...]

    @property
    def guards_plain_bots(self) -> bool:
        """Whether retries without a key are safe here, by all that is promised of them.

        Nobody can tell a swallowed answer from one that arrived, nor a request that comes after its
        own retry from a new one; and over a restart only the wall clock tells how old an answer is.
        """
        return not _UNGUARDED & {*self.faults}

    @property
    def loses_answers(self) -> bool:
        """Whether the server may not know that an answer has arrived."""
        return bool({"cut", "swallow", "slow_net", "crash", "crash_at_point"} & {*self.faults})

    @property
    def clock_error_s(self) -> float:
        """How far a terminal's idea of the server's clock may be behind: the least way there."""
        return 6.1 if "slow_net" in self.faults else 0.01


def plan_of(chance: Chance) -> Plan:
    """The plan of a seed."""
    excluded = _UNGUARDED if chance.happens(0.4) else frozenset[str]()
    accounts, terminals = chance.choice(((1, 0), (2, 0), (1, 1), (0, 1), (0, 2), (0, 1)))
    likely = {"broker_fault": 0.8} if terminals else {}
    faults = tuple(f for f in FAULTS if chance.happens(likely.get(f, 0.4)) and f not in excluded)
    return Plan(
        accounts=accounts,
        terminals=terminals,
        bots=2 + chance.below(3),
        deeds=4 + chance.below(8),
        pause_s=chance.choice((0.02, 0.1, 0.5)),
        chaos_s=chance.between(1, 12),
        gap_s=chance.choice((0.1, 0.5, 2.0)),
        faults=faults,
    )
