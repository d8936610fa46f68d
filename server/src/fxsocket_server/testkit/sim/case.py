"""The evidence of one account: its lane, what its clients did, and all that its journal holds."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.model.facts import TerminalSnapshot
from fxsocket_server.model.records import Deal, Order
from fxsocket_server.testkit.sim.deeds import Deed


class MadeBy(Struct, frozen=True):
    """The command that an order came of: its kind and what it was about."""

    kind: str
    subject_id: str


class Case(Struct):
    """One account: its lane, what its clients did, and all that its journal holds."""

    lane: Lane
    deeds: list[Deed]
    events: list[Event]
    orders: dict[str, Order]
    deals: list[Deal]
    made_by: dict[str, MadeBy]  # orders by id: the commands that they came of
    begun: set[str]  # tags that the terminal began, and does not know the end of
    held: TerminalSnapshot
    loses_answers: bool  # an answer may be lost after it was written

    def came_of(self, kind: str) -> list[Order]:
        """The orders that the broker has seen, of one kind of command."""
        return [
            order
            for order in self.orders.values()
            if order.ticket is not None and self.kind_of(order.id) == kind
        ]

    def kind_of(self, order_id: str | None) -> str | None:
        """The kind of command that an order came of."""
        made_by = self.made_by.get(order_id or "")
        return None if made_by is None else made_by.kind

    @property
    def told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event's type and content."""
        for event in self.events:
            yield event.type, msgspec.json.decode(b"{" + event.payload + b"}")
