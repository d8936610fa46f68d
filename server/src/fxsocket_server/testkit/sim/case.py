"""The evidence of one account: its lane, what its clients did, and all that its journal holds."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.model.facts import TerminalSnapshot
from fxsocket_server.model.records import Deal, Order
from fxsocket_server.testkit.sim.clients import Deed


class Case(Struct):
    """One account: its lane, what its clients did, and all that its journal holds."""

    lane: Lane
    deeds: list[Deed]
    events: list[Event]
    orders: dict[str, Order]
    deals: list[Deal]
    begun: set[str]  # tags that the terminal began, and does not know the end of
    held: TerminalSnapshot
    loses_answers: bool  # an answer may be lost after it was written

    @property
    def told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event's type and content."""
        for event in self.events:
            yield event.type, msgspec.json.decode(b"{" + event.payload + b"}")
