"""What each client has subscribed, over all kinds of channels."""

from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.names import EVENT_FAMILIES, TICKS
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.latest import Latest


class Holdings:
    """One look at tick subscriptions, newest-value topics and followed events."""

    def __init__(self, readers: FeedReaders[Connection], latest: Latest) -> None:
        self._readers = readers
        self._latest = latest

    def accounts(self, connection: Connection) -> list[str]:
        """The accounts of which a client has anything but what comes unasked."""
        topics = self._latest.topics(connection)
        of_topics = [topic.account_id for topic in topics]
        held = self._readers.accounts(connection) + of_topics + connection.log.followed()
        return list(dict.fromkeys(held))

    def channels(self, connection: Connection, account_id: str) -> list[str]:
        """Its channels of an account."""
        ticks = [TICKS] if self._readers.symbols(connection, account_id) else []
        topics = self._latest.topics(connection)
        latest = [topic.channel for topic in topics if topic.account_id == account_id]
        families = connection.log.families(account_id)
        logged = [name for name, family in EVENT_FAMILIES.items() if family in families]
        return list(dict.fromkeys(ticks + latest + logged))

    def count(self, connection: Connection) -> int:
        """How many symbols and topics it has in all."""
        return self._readers.count(connection) + len(self._latest.topics(connection))

    def subscription(self, connection: Connection, account_id: str) -> dict[str, object]:
        """What a client has of an account; `by_channel` names the symbols of each channel."""
        ticks = self._readers.symbols(connection, account_id)
        by_channel: dict[str, list[str]] = {TICKS: list(ticks)} if ticks else {}
        for topic in self._latest.topics(connection):
            if topic.account_id == account_id and topic.symbol is not None:
                by_channel.setdefault(topic.channel, []).append(topic.symbol)
        symbols = [symbol for held in by_channel.values() for symbol in held]
        return {
            "account_id": account_id,
            "channels": self.channels(connection, account_id),
            "symbols": list(dict.fromkeys(symbols)),
            "paced": [symbol for symbol, pace in ticks.items() if pace],
            "by_channel": by_channel,
        }
