"""What a terminal has to say: numbered facts until they are acknowledged, and prices on credit."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from fxsocket_server.core import limits
from fxsocket_server.fxb.messages import Ev, Res, Tk
from fxsocket_server.model.facts import Quote

Send = Callable[[Ev | Res | Tk], None]


class Forget(Protocol):
    """Called with the number up to which events are acknowledged."""

    def __call__(self, q: int) -> None:
        """Forget them."""
        ...


class Outbox:
    """Sends events in order, a window at a time; ticks wait for the events before them."""

    def __init__(self, head_q: int, forget: Forget) -> None:
        self.head_q = head_q
        self.dropped_ticks = 0
        self._forget = forget
        self._unsent: deque[Ev | Res] = deque(maxlen=limits.TERMINAL_KEPT_EVENTS)
        self._unacked: deque[Ev | Res] = deque(maxlen=limits.BRIDGE_UNACKED_EVENTS)
        self._ticks: dict[str, list[Quote]] = {}
        self._credit = 0
        self._send: Send | None = None

    # --- sessions ----------------------------------------------------------------------------

    def open(self, send: Send, received_q: int, credit: int) -> None:
        """A session begins; the server has the events up to `received_q`."""
        self._send, self._credit = send, credit
        self._unsent.extendleft(reversed(self._unacked))
        self._unacked.clear()
        while self._unsent and self._unsent[0].q <= received_q:
            self._unsent.popleft()
        self._forget(received_q)
        self._ticks.clear()
        self.pump()

    def close(self) -> None:
        """The session is over; what was not acknowledged is told in the next."""
        self._send = None

    # --- events ------------------------------------------------------------------------------

    def put(self, event: Ev | Res) -> None:
        """Tell facts that are in the ledger."""
        self.head_q = max(self.head_q, event.q)
        self._unsent.append(event)

    def acknowledge(self, q: int) -> None:
        """The server has made events up to `q` durable."""
        while self._unacked and self._unacked[0].q <= q:
            self._unacked.popleft()
        self._forget(q)

    def pump(self) -> None:
        """Send what may be sent now."""
        send = self._send
        if send is None:
            return
        while self._unsent and not self._window_is_full:
            event = self._unsent.popleft()
            self._unacked.append(event)
            send(event)
        if not self._unsent:
            self._send_ticks(send)

    @property
    def _window_is_full(self) -> bool:
        return len(self._unacked) >= limits.BRIDGE_UNACKED_EVENTS

    # --- ticks -------------------------------------------------------------------------------

    def tick(self, quote: Quote) -> None:
        """A price; while nothing may be sent only the newest of each symbol is kept."""
        if self._send is None:
            return
        waiting = self._ticks.setdefault(quote.symbol, [])
        if waiting and (not self._credit or self._unsent):
            self.dropped_ticks += len(waiting)
            waiting.clear()
        waiting.append(quote)

    def give_credit(self, count: int) -> None:
        """The server takes so many more tick frames."""
        self._credit += count

    def _send_ticks(self, send: Send) -> None:
        for symbol in tuple(self._ticks):
            if not self._credit:
                return
            self._credit -= 1
            quotes = self._ticks.pop(symbol)
            send(Tk(s=symbol, v=tuple((q.time_ms, q.bid, q.ask) for q in quotes)))
