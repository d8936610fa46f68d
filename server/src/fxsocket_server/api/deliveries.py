"""What became of the answers of one connection: decided from what its socket tells.

An answer is under way from its request until it is complete, then leaving until the last byte is
with the kernel, then written. A written answer is proven once its sender goes on with another
request; before that a reset still says that it was lost.
"""

from collections import deque

from fxsocket_server.gateway.delivery import Delivery


class Deliveries:
    """The answers of one connection, in the order of their requests; None is one nobody watches."""

    __slots__ = ("_leaving", "_running", "_written")

    def __init__(self) -> None:
        # tidy: unbounded because one read of the socket holds only so many requests
        self._running: deque[Delivery | None] = deque()
        self._leaving: list[Delivery] = []
        self._written: list[Delivery] = []

    @property
    def are_leaving(self) -> bool:
        """Whether a complete answer waits for the kernel to take its last byte."""
        return bool(self._leaving)

    def asked(self, delivery: Delivery | None) -> None:
        """A request has come whole as far as its head."""
        self._running.append(delivery)

    def sender_goes_on(self) -> None:
        """Another request begins: what was written before it has been read."""
        self._written.clear()

    def answered(self) -> None:
        """The oldest request's answer is complete."""
        delivery = self._running.popleft()
        if delivery is not None:
            self._leaving.append(delivery)

    def flushed(self) -> None:
        """All that was complete is with the kernel."""
        for delivery in self._leaving:
            delivery.answer_written()
        self._written += self._leaving
        self._leaving.clear()

    def sender_ended(self, *, unread: bool) -> None:
        """The sender said that nothing more will come: it may have given up on its answers.

        `unread` says that it did so before the answers that were written had reached it.
        """
        self._end((*self._leaving, *self._running), reset=False)
        if unread:
            self._end(tuple(self._written), reset=True)

    def lost(self, *, reset: bool) -> None:
        """The connection is gone."""
        self._end((*self._leaving, *self._running), reset=reset)
        if reset:
            self._end(tuple(self._written), reset=True)
        self._written.clear()

    def _end(self, deliveries: tuple[Delivery | None, ...], *, reset: bool) -> None:
        for delivery in deliveries:
            if delivery is not None:
                delivery.connection_lost(reset=reset)
