"""The bus of one process: messages between its parts, by topic, at once and in order.

A topic is `kind.account_id`. A handler subscribes to one topic, or to every account's with
`kind.*`. Handlers run inside `publish`, in the order of their subscriptions; a message published
by a handler is delivered after the one that it is handling, so that all see one order.
"""

from collections.abc import Awaitable, Callable

Handler = Callable[[object], None]
Responder = Callable[[object], object]
OnError = Callable[[str, Exception], None]


class _Subscription:
    """One handler; it is not called any more once it has ended, not even by a running publish."""

    __slots__ = ("handler", "is_live", "topic")

    def __init__(self, topic: str, handler: Handler) -> None:
        self.topic = topic
        self.handler = handler
        self.is_live = True


class InProcessBus:
    """Delivers to handlers in this process; `on_error` hears of the exceptions they raise."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._subscriptions: list[_Subscription] = []
        self._by_topic: dict[str, tuple[_Subscription, ...]] = {}
        self._responders: dict[str, Responder] = {}
        self._waiting: list[tuple[str, object]] = []
        self._is_delivering = False

    def publish(self, topic: str, message: object) -> None:
        """Hand a message to every subscriber of its topic, in order."""
        self._waiting.append((topic, message))
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self._waiting:
                self._deliver(*self._waiting.pop(0))
        finally:
            self._is_delivering = False

    def _deliver(self, topic: str, message: object) -> None:
        for subscription in self._targets(topic):
            if not subscription.is_live:
                continue
            try:
                subscription.handler(message)
            # tidy: broad-except because one subscriber's failure must not reach the others
            except Exception as error:
                self._on_error(topic, error)

    def _targets(self, topic: str) -> tuple[_Subscription, ...]:
        targets = self._by_topic.get(topic)
        if targets is None:
            wanted = (topic, topic.partition(".")[0] + ".*")
            targets = tuple(s for s in self._subscriptions if s.topic in wanted)
            self._by_topic[topic] = targets
        return targets

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` for each message of a topic (`kind.account_id` or `kind.*`).

        Returns a function that ends the subscription; calling it twice is fine.
        """
        subscription = _Subscription(topic, handler)
        self._subscriptions.append(subscription)
        self._by_topic.clear()

        def end() -> None:
            if subscription.is_live:
                subscription.is_live = False
                self._subscriptions.remove(subscription)
                self._by_topic.clear()

        return end

    async def request(self, topic: str, message: object) -> object:
        """Ask the one responder of a topic; raises LookupError where there is none."""
        responder = self._responders.get(topic)
        if responder is None:
            raise LookupError(f"nobody answers requests on {topic!r}")
        answer = responder(message)
        if isinstance(answer, Awaitable):
            return await answer
        return answer

    def respond(self, topic: str, responder: Responder) -> Callable[[], None]:
        """Become the responder of a topic; raises ValueError when it has one already."""
        if topic in self._responders:
            raise ValueError(f"requests on {topic!r} are answered already")
        self._responders[topic] = responder

        def end() -> None:
            if self._responders.get(topic) is responder:
                del self._responders[topic]

        return end
