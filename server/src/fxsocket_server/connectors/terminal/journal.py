"""What the simulated terminal needs of its ledger, as a Protocol."""

from typing import Protocol

from fxsocket_server.model.facts import Fact, OrderFact, PositionFact, Report, TerminalHistory


class Ledger(Protocol):
    """Durable facts, commands by tag, and events that the server has not acknowledged."""

    def note(self, name: str) -> bytes | None:
        """A value that was kept under a name."""
        ...

    def keep(self, name: str, value: bytes) -> None:
        """Keep a value under a name."""
        ...

    def book(self, facts: tuple[Fact, ...], time_ms: int) -> int:
        """Make facts true, and an event of them; returns its number."""
        ...

    @property
    def money(self) -> tuple[int, int]:
        """Balance and credit."""
        ...

    def orders(self, *, only_open: bool = False) -> tuple[OrderFact, ...]:
        """Orders by ticket."""
        ...

    def positions(self, *, only_open: bool = False) -> tuple[PositionFact, ...]:
        """Positions by ticket."""
        ...

    def last_ticket(self, table: str) -> int:
        """The highest number in `orders`, `positions` or `deals`, 0 without any."""
        ...

    def history(self, from_ms: int) -> TerminalHistory:
        """Done orders and deals since a moment, oldest first."""
        ...

    def facts_of_tag(self, tag: str) -> tuple[Fact, ...]:
        """The orders with a tag, their deals and positions, as they stand."""
        ...

    def as_it_stands(self, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
        """Facts of before, each as its order or position stands now."""
        ...

    def command(self, tag: str) -> tuple[str, Report | None] | None:
        """What the journal has of a tag: STARTED, DONE with its report, or NONE for ruled out."""
        ...

    def start(self, tag: str, time_ms: int) -> None:
        """A command begins."""
        ...

    def rule_out(self, tag: str, time_ms: int) -> None:
        """A command that has not begun never will."""
        ...

    def finish(self, tag: str, report: Report) -> None:
        """A command is done."""
        ...

    @property
    def forgotten_ms(self) -> int:
        """The time of the newest command that is forgotten; of later ones all are known."""
        ...

    def head_q(self) -> int:
        """The number of the newest event."""
        ...

    def events(self) -> list[tuple[int, int, tuple[Fact, ...]]]:
        """Number, time and facts of the events that are not acknowledged, oldest first."""
        ...

    def acknowledge(self, q: int) -> None:
        """Forget events up to a number; facts stay."""
        ...
