"""A seed's configuration: who is there, and which faults may strike."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.testkit.rng import Chance

FAULTS = (
    "crash",  # the server dies at any step
    "crash_at_point",  # the server dies at a named point of the order path
    "crash_in_commit",  # the server dies while something becomes durable
    "cut",  # a connection breaks
    "swallow",  # a connection becomes a black hole
    "slow_net",
    "bridge_stall",  # what is said to and by a terminal arrives seconds later
    "split",  # writes arrive in pieces
    "slow_disk",
    "full_disk",
    "failing_disk",
    "wall_clock",  # somebody sets the machine's clock
    "terminal_crash",
    "terminal_crash_at_point",
    "terminal_power",  # a terminal's machine loses its power, and what its disk had not synced
    "broker_fault",  # a simulated broker delays, refuses, loses replies, freezes...
)
POINTS = ("after_intent", "before_hand_over", "after_hand_over", "after_broker", "after_commit")
TERMINAL_POINTS = ("before_start", "after_start", "after_execute", "after_done", "after_reply")
PROFILES = ("standard", "standard", "netting", "mt4")
_UNGUARDED = frozenset({"swallow", "slow_net", "wall_clock"})
_LOSES_ANSWERS = {"cut", "swallow", "slow_net", "crash", "crash_at_point", "crash_in_commit"}


class AccountPlan(Struct, frozen=True):
    """An account: simulated in the server, or with a terminal that dials in."""

    number: int
    terminal: bool
    profile: str

    @property
    def id(self) -> str:
        """Its id."""
        return f"acc_{'t' if self.terminal else ''}{self.number}"


class BotPlan(Struct, frozen=True):
    """A trading client: with keys or without, over HTTP or over the stream."""

    number: int
    account_id: str
    plain: bool
    streams: bool


class Plan(Struct, frozen=True):
    """What a world is made of; every seed enables a random subset of the faults."""

    accounts: tuple[AccountPlan, ...]
    bots: tuple[BotPlan, ...]
    listeners: tuple[int, ...]
    deeds: int
    pause_s: float
    chaos_s: float
    gap_s: float
    faults: tuple[str, ...]

    @property
    def loses_answers(self) -> bool:
        """Whether the server may not know that an answer has arrived."""
        return bool(_LOSES_ANSWERS & {*self.faults})

    def smaller(self) -> Iterator["Plan"]:
        """The plans that lack one thing of this one, whatever there is left to leave out."""
        for fault in self.faults:
            yield replace(self, faults=tuple(f for f in self.faults if f != fault))
        for listener in self.listeners:
            yield replace(self, listeners=tuple(n for n in self.listeners if n != listener))
        for bot in self.bots:
            yield replace(self, bots=tuple(b for b in self.bots if b != bot))
        busy = {bot.account_id for bot in self.bots}
        for account in [a for a in self.accounts if a.id not in busy and len(self.accounts) > 1]:
            yield replace(self, accounts=tuple(a for a in self.accounts if a != account))
        if self.deeds > 1:
            yield replace(self, deeds=self.deeds // 2)
            yield replace(self, deeds=self.deeds - 1)


def plan_of(chance: Chance) -> Plan:
    """The plan of a seed.

    Retries without a key are promised nothing where nobody can tell a swallowed answer from one
    that arrived, a request that comes after its own retry from a new one, or, over a restart with a
    clock that was set, how old an answer is: such clients live only where that cannot happen.
    """
    excluded = _UNGUARDED if chance.happens(0.4) else frozenset[str]()
    accounts = _accounts(chance)
    likely = {"broker_fault": 0.8} if any(account.terminal for account in accounts) else {}
    faults = tuple(f for f in FAULTS if chance.happens(likely.get(f, 0.4)) and f not in excluded)
    is_guarded = not _UNGUARDED & {*faults}
    bots = tuple(
        BotPlan(
            number=number,
            account_id=accounts[number % len(accounts)].id,
            plain=is_guarded and chance.happens(0.7),
            streams=chance.happens(0.4),
        )
        for number in range(2 + chance.below(3))
    )
    return Plan(
        accounts=accounts,
        bots=bots,
        listeners=tuple(range(chance.below(3))),
        deeds=4 + chance.below(8),
        pause_s=chance.choice((0.02, 0.1, 0.5)),
        chaos_s=chance.between(1, 12),
        gap_s=chance.choice((0.1, 0.5, 2.0)),
        faults=faults,
    )


def _accounts(chance: Chance) -> tuple[AccountPlan, ...]:
    simulated, terminals = chance.choice(((1, 0), (2, 0), (1, 1), (0, 1), (0, 2), (0, 1)))
    kinds = [False] * simulated + [True] * terminals
    return tuple(
        AccountPlan(number, is_terminal, chance.choice(PROFILES))
        for number, is_terminal in enumerate(kinds, start=1)
    )
