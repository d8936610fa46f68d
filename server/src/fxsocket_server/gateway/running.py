"""The commands of one account that are under way: by id, by key, and by the order they made."""

from fxsocket_server.gateway.commands import Running


class RunningCommands:
    """Finds a command from the moment that it is taken in until it has its durable answer."""

    def __init__(self) -> None:
        self._by_id: dict[str, Running] = {}
        self._by_key: dict[str, Running] = {}
        self._by_order: dict[str, Running] = {}

    def enter(self, running: Running) -> None:
        """Know a command from now on."""
        self._by_id[running.id] = running
        if running.key is not None:
            self._by_key[running.key] = running
        if running.order_id is not None:
            self._by_order[running.order_id] = running

    def forget(self, running: Running) -> None:
        """Know a command no more; one that is not known is fine."""
        self._by_id.pop(running.id, None)
        if running.key is not None:
            self._by_key.pop(running.key, None)
        if running.order_id is not None:
            self._by_order.pop(running.order_id, None)

    def get(self, command_id: str) -> Running | None:
        """A command by its id."""
        return self._by_id.get(command_id)

    def under_key(self, key: str) -> Running | None:
        """The command that was sent under a key."""
        return self._by_key.get(key)

    def of_order(self, order_id: str) -> Running | None:
        """The command that made an order."""
        return self._by_order.get(order_id)

    @property
    def make_orders(self) -> bool:
        """Whether any command under way makes an order."""
        return bool(self._by_order)

    @property
    def outstanding(self) -> list[Running]:
        """Commands that were handed over and have no outcome yet, oldest first."""
        return [
            running
            for running in self._by_id.values()
            if running.handed_ms is not None and not running.concluded
        ]
